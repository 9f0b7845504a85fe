import type { Decision } from '../model/decision.ts'
import { BY_HEALTH, HARD, hardBlock, holds, pinAgainst } from './eligibility.ts'
import { milder, softBlock } from './fitness.ts'
import { type Healed, healedCluster } from './healing.ts'
import type { Judgement } from './judgement.ts'
import { towardsClient } from './network-ties.ts'
import type { EntryProgram, PolicyProgram, TargetProgram } from './programs.ts'
import { nearestSites, rankTies, spread } from './ranking.ts'
import type { Scene } from './scene.ts'

/** Steps 3 to 8: the session's pool, or the best fit target of the first tier that has one. Undefined: none has. */
export const judgeTiers = (scene: Scene, policy: PolicyProgram, judgement: Judgement): Decision | undefined => {
  const kept = keepSession(scene, policy, judgement)
  if (kept !== undefined) return kept
  const tiers = tiersOf(scene, policy)
  for (let number = 0; number < tiers.length; number++) {
    const tier = tiers[number]!
    const fit: number[] = []
    for (const entry of tier) {
      for (const index of entry.targets) {
        if (!judgeTarget(scene, scene.programs.targets[index]!, number, judgement)) continue
        fit.push(index)
        break
      }
    }
    if (fit.length === 0) continue
    const chosen = spread(scene, towardsClient(scene, rankTies(scene, policy, fit)))
    judgement.next = policy.nextAfter[number + 1] ?? policy.nextAfter.at(-1)!
    const pinned = scene.pins.length > 0
    return routed(scene, judgement, chosen, pinned ? 'pinned' : number === 0 ? 'first-choice' : 'fallback', {
      tiers,
      fit,
    })
  }
  return undefined
}

/** The tiers of a policy for this request; those of a nearest-sites ladder are worked out of the measured round trips. */
export const tiersOf = (scene: Scene, policy: PolicyProgram): readonly (readonly EntryProgram[])[] => {
  if (policy.nearest === 0) return policy.tiers
  const { programs, data, facts } = scene
  const tiers: (readonly EntryProgram[])[] = [...policy.tiers]
  const taken = new Set(tiers.flat().flatMap((entry) => entry.targets))
  const places = tiers.length + policy.nearest
  for (const site of nearestSites(data, programs, policy.timers.stableForMs)) {
    const targets = among(programs.bySite.get(site)!, policy, taken)
    if (targets.length === 0) continue
    // Only sites that may serve count: the nearest three that are eligible, not the nearest three on the map.
    if (!targets.some((index) => hardBlock(scene, programs.targets[index]!, facts.model) < 0)) continue
    tiers.push([{ name: site, targets }])
    if (tiers.length === places) break
  }
  return tiers
}

/** Of a site's targets those that the policy lets be found by nearness, and that no tier before has. */
const among = (targets: readonly number[], { only }: PolicyProgram, taken: ReadonlySet<number>): readonly number[] =>
  only === undefined && taken.size === 0
    ? targets
    : targets.filter((index) => only?.has(index) !== false && !taken.has(index))

/** Is this target fit? What stands in the way is noted, and spares are kept for later steps. */
const judgeTarget = (scene: Scene, target: TargetProgram, tier: number, judgement: Judgement): boolean => {
  const code = hardBlock(scene, target, scene.facts.model)
  if (code >= 0) {
    judgement.hard(target, scene.facts.model, code)
    const isPinned = pinAgainst(scene, target) === undefined
    if (code === BY_HEALTH && isPinned && scene.data.health[target.index]!.evidence !== 'passive') {
      judgement.unheard ??= []
      judgement.unheard.push(target.index)
    }
    return false
  }
  judgement.sawEligible = true
  if (scene.pins.length > 0) {
    const pin = pinAgainst(scene, target)
    judgement.override = scene.pins[0]!.id
    if (pin !== undefined) {
      judgement.add({
        target: target.name,
        constraint: 'pin',
        measured: `pinned elsewhere by ${pin.author}: ${pin.reason}`,
        op: '==',
        limit: 'not pinned elsewhere',
      })
      return false
    }
  }
  const block = softBlock(scene, target, judgement.notes)
  if (block?.kind !== 'stale') judgement.sawFresh = true
  if (block === undefined) return true
  judgement.add(block.because)
  if (block.kind === 'held') {
    judgement.held ??= []
    judgement.held.push({ index: target.index, tier, block })
  } else if (block.kind === 'stale') {
    judgement.stale ??= []
    judgement.stale.push({ index: target.index, tier, block })
  } else if (block.kind === 'readiness') judgement.unready += 1
  else if (block.kind === 'band') judgement.band = milder(judgement.band, block.action!)
  return false
}

/** Step 5: a session stays where it is as long as its pool survives the hard constraints and the pins. */
const keepSession = (scene: Scene, policy: PolicyProgram, judgement: Judgement): Decision | undefined => {
  const { facts, programs } = scene
  if (policy.doc.session !== 'sticky' || facts.session.verdict !== 'valid') return undefined
  const index = programs.indexOf.get(facts.session.target ?? '')
  if (index === undefined) return undefined
  const target = programs.targets[index]!
  const critical = scene.workload?.critical === true
  for (let code = 0; code < HARD.length; code++) {
    // Safety red ends the pins of classes that are not critical; a critical session may finish where it is.
    if (critical && HARD[code] === 'safety.red') continue
    if (!holds(scene, target, facts.model, code)) return undefined
  }
  if (pinAgainst(scene, target) !== undefined) return undefined
  // More work of a job is work: a session is a preference there, and no way past a limit on power.
  const isJob = scene.workload?.whenHubwardIsDown === 'refuse'
  if (isJob && softBlock(scene, target, { stale: [], insufficient: [], waivedBy: null }) !== undefined) return undefined
  judgement.session = 'kept'
  return routed(scene, judgement, index, 'session', { tiers: tiersOf(scene, policy), fit: [index] })
}

/** A route to a target, by the aggregate that also knows the next one where there is such a thing. */
export const routed = (
  scene: Scene,
  judgement: Judgement,
  index: number,
  reason: Decision['reason'],
  healed: Healed,
): Decision => {
  const target = scene.programs.targets[index]!
  return judgement.decision(reason, {
    action: 'route',
    target: target.name,
    cluster: healedCluster(scene, index, healed),
  })
}
