import type { Readiness } from '../admin/handlers.ts'
import { hardBecause, hardBlock } from '../engine/eligibility.ts'
import { becauseText } from '../engine/explain.ts'
import { softBlock } from '../engine/fitness.ts'
import { tiersOf } from '../engine/judge-tiers.ts'
import type { EngineSnapshot, EntryProgram, PolicyProgram, TargetProgram } from '../engine/programs.ts'
import { type Scene, sceneOf } from '../engine/scene.ts'
import type { Because } from '../model/decision.ts'
import type { Facts } from '../model/facts.ts'
import type { EpochMs } from '../model/names.ts'
import type { Tally } from '../model/tally.ts'

/**
 * Whether a site can take work of a class now: some pool of it stands in the ladder of one of the class's policies and
 * passes the hard constraints and that policy's thresholds; one that is still coming back counts. What a request says
 * of itself (residency, model, tier, needs) has no part in it. Without a class, or for a class without policies, health,
 * safety, drains and maintenance alone decide. Undefined: no such site, or no such class.
 */
export function siteReady(
  snapshot: EngineSnapshot,
  tally: Tally,
  site: string,
  className: string | undefined,
  now: EpochMs,
): Readiness | undefined {
  const { data, programs } = snapshot
  const indexes = programs.bySite.get(site)
  const known = className === undefined ? undefined : programs.classes.get(className)
  if (indexes === undefined || (className !== undefined && known === undefined)) return undefined
  const policies: readonly (PolicyProgram | undefined)[] =
    known === undefined || known.policies.length === 0 ? [undefined] : known.policies
  const because = new Set<string>()
  for (const policy of policies) {
    const scene = sceneOf(anybody(className ?? ''), data, programs, tally, now, openTo(policy), known?.doc)
    const inLadder = policy === undefined ? undefined : new Set(tiersOf(scene, policy).flatMap(entriesOf))
    for (const index of indexes) {
      const target = programs.targets[index]!
      if (inLadder?.has(index) === false) {
        because.add(`${target.name}: not in the ladder of ${policy!.ref}`)
        continue
      }
      const block = blockOf(scene, target)
      if (block === undefined) return { ready: true, because: [] }
      because.add(`${target.name}: ${becauseText(block)}`)
    }
  }
  return { ready: false, because: [...because] }
}

/** Whom room is kept for is a matter of the request too: a site that is full for some is ready for others. */
function openTo(policy: PolicyProgram | undefined): PolicyProgram | undefined {
  if (policy?.doc.keepRoom === undefined) return policy
  const { keepRoom: _, ...doc } = policy.doc
  return { ...policy, doc }
}

const entriesOf = (tier: readonly EntryProgram[]): readonly number[] => tier.flatMap((entry) => entry.targets)

function blockOf(scene: Scene, target: TargetProgram): Because | undefined {
  const hard = hardBlock(scene, target, undefined)
  if (hard >= 0) return hardBecause(scene, target, undefined, hard)
  const soft = softBlock(scene, target, { stale: [], insufficient: [], waivedBy: null })
  // Where the class is served by lowest risk when nothing is known, a dead telemetry must not withdraw every site at once.
  const staysOpen = soft?.kind === 'stale' && (scene.workload?.whenStale.action ?? 'lowest-risk') === 'lowest-risk'
  return soft === undefined || staysOpen || soft.because.constraint === 'return' ? undefined : soft.because
}

/** A request about which nothing is known but its class, and whose data may go anywhere. */
const anybody = (className: string): Facts => ({
  requestId: 'readiness',
  seed: '0000000000000000',
  class: className,
  residency: ['*'],
  session: { verdict: 'none' },
  extra: {},
})
