import type { Decision } from '../model/decision.ts'
import type { Facts } from '../model/facts.ts'
import type { EpochMs } from '../model/names.ts'
import type { Tally } from '../model/tally.ts'
import { hardBlock } from './eligibility.ts'
import { judgeFollowUp } from './judge-follow-up.ts'
import { judgeAction, judgeOtherwise } from './judge-otherwise.ts'
import { judgeTiers } from './judge-tiers.ts'
import { Judgement } from './judgement.ts'
import { choose } from './precedence.ts'
import type { EngineSnapshot } from './programs.ts'
import { residencyDefault } from './residency-default.ts'
import { type Scene, sceneOf } from './scene.ts'

/**
 * Where one request goes, or why nowhere. Pure: the same facts, snapshot, tally, time and id give the same decision.
 * The order of judgement is lexicographic: the switch, flags and the policy, hard eligibility, overrides, session,
 * readiness, tiers and ranking, spread, and what the policy says otherwise. Nothing later buys back an earlier step.
 */
export const decide = (facts: Facts, snapshot: EngineSnapshot, tally: Tally, now: EpochMs, id: string): Decision => {
  const { data, programs } = snapshot
  const workload = programs.classes.get(facts.class)
  const choice = choose(facts, snapshot, now)
  const { policy } = choice
  const scene = sceneOf(facts, data, programs, tally, now, policy, workload?.doc)
  const judgement = new Judgement(scene, id, choice)

  if (facts.malformed !== undefined) return judgement.decision('bad-request', { action: 'deny', status: 400 })
  if (facts.hop?.verdict === 'loop') return judgement.decision('hop-loop', { action: 'deny', status: 503 })
  if (facts.hop?.verdict === 'valid') {
    const kept = keepHop(scene, judgement)
    if (kept !== undefined) return kept
  }
  // What a flag stops is new work: questions about work that was sent before go where it is.
  if (
    facts.followUp !== undefined &&
    policy?.doc.session === 'sticky' &&
    !(choice.action !== undefined && facts.followUp === 'work')
  )
    return judgeFollowUp(scene, policy, judgement)
  if (choice.action !== undefined) return judgeAction(scene, policy, judgement, choice.action)
  if (programs.routing?.enabled === false) return residencyDefault(scene, judgement, 'routing-disabled')
  if (policy === undefined) return residencyDefault(scene, judgement, 'no-policy')
  if (facts.residency === undefined && policy.doc.residency === 'required') {
    return judgement.decision('residency-unknown', { action: 'deny', status: 403 })
  }
  return judgeTiers(scene, policy, judgement) ?? judgeOtherwise(scene, policy, judgement)
}

/** The decision of another hubward stands if its target is one of ours and still passes every hard constraint. */
const keepHop = (scene: Scene, judgement: Judgement): Decision | undefined => {
  const index = scene.programs.indexOf.get(scene.facts.hop?.target ?? '')
  if (index === undefined) return undefined
  const target = scene.programs.targets[index]!
  if (hardBlock(scene, target, undefined) >= 0) return undefined
  return judgement.decision('hop', { action: 'route', target: target.name, cluster: target.cluster })
}
