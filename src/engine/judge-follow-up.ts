import type { Decision } from '../model/decision.ts'
import { couldServe, HARD, holds, pinAgainst } from './eligibility.ts'
import type { Judgement } from './judgement.ts'
import type { PolicyProgram, TargetProgram } from './programs.ts'
import type { Scene } from './scene.ts'

/** What keeps even a question from a target. Drains, maintenance and red keep out work, and a question brings none. */
const OF_QUESTIONS: ReadonlySet<string> = new Set(['residency', 'cluster.known', 'health.state'])
/** When to ask again after a target that may come back. */
const RETRY_MS = 5_000

/**
 * A request about work that was sent before goes where the work is, or nowhere: another site has never heard of it. Where
 * that is the session says, or the ladder, if there is only one place the work can have gone to. Nothing takes its place:
 * no fallback, no aggregate that heals, no default.
 */
export const judgeFollowUp = (scene: Scene, policy: PolicyProgram, judgement: Judgement): Decision => {
  const { facts, programs } = scene
  const index = facts.session.verdict === 'valid' ? programs.indexOf.get(facts.session.target ?? '') : undefined
  if (index !== undefined) judgement.session = 'kept'
  const home = index === undefined ? onlyTarget(scene, policy) : programs.targets[index]!
  if (home === undefined) return judgement.decision('job-unplaced', { action: 'deny', status: 409 })
  for (const [code, constraint] of HARD.entries()) {
    if (facts.followUp === 'ask' && !OF_QUESTIONS.has(constraint)) continue
    if (holds(scene, home, facts.model, code)) continue
    judgement.hard(home, facts.model, code)
  }
  const pin = facts.followUp === 'ask' ? undefined : pinAgainst(scene, home)
  if (pin !== undefined) {
    judgement.override = pin.id
    const measured = `pinned elsewhere by ${pin.author}: ${pin.reason}`
    judgement.add({ target: home.name, constraint: 'pin', measured, op: '==', limit: 'not pinned elsewhere' })
  }
  judgement.next = []
  return judgement.because === undefined
    ? judgement.decision('follow-up', { action: 'route', target: home.name, cluster: home.cluster })
    : judgement.decision('no-target', { action: 'deny', status: 503, retryAfterMs: RETRY_MS })
}

/** The one target that work of this policy can have gone to; undefined where there are several. */
const onlyTarget = (scene: Scene, policy: PolicyProgram): TargetProgram | undefined => {
  const { targets } = scene.programs
  const all = policy.nearest > 0 ? targets.map(({ index }) => index) : policy.tiers.flat().flatMap((one) => one.targets)
  const able = [...new Set(all)].filter((index) => couldServe(scene, targets[index]!, scene.facts.model))
  return able.length === 1 ? targets[able[0]!] : undefined
}
