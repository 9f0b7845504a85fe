import type { ActionSpec } from '../model/action.ts'
import type { Decision, Forecast, Outcome } from '../model/decision.ts'
import type { Reason } from '../model/reason.ts'
import { couldServe, fitsResidency, hardBlock } from './eligibility.ts'
import { forecast, offPeakAt } from './forecast.ts'
import { routed, tiersOf } from './judge-tiers.ts'
import type { Judgement, Spare } from './judgement.ts'
import type { PolicyProgram } from './programs.ts'
import type { Scene } from './scene.ts'
import { suggestGpus } from './suggest.ts'

/** A delay without a stated time, and a refusal that may pass: half a minute and five seconds. */
const DELAY_MS = 30_000
const DENY_RETRY_MS = 5_000
/** A hold without a stated time. */
const HOLD_MS = 5_000
/** A delay until off-peak where no price series says when that is: a quarter of an hour, then ask again. */
const OFF_PEAK_MS = 900_000

/** Step 9: no target is fit. Stale signals, panic, the bands, and the policy's `otherwise`, in that order. */
export const judgeOtherwise = (scene: Scene, policy: PolicyProgram, judgement: Judgement): Decision => {
  const never = neverServed(scene, policy)
  if (never !== undefined) return judgement.decision(never, { action: 'deny', status: 403 })

  // Everything down on our own evidence alone: the fault may be ours, and then a refusal would be too.
  if (!judgement.sawEligible && judgement.unheard !== undefined) {
    const degraded = degrade(scene, policy, judgement)
    if (degraded !== undefined) return degraded
    if (scene.workload?.panic !== 'deny')
      return routed(scene, judgement, judgement.unheard[0]!, 'panic', { tiers: [], fit: [] })
  }
  if (judgement.stale !== undefined && !judgement.sawFresh) {
    const whenStale = scene.workload?.whenStale
    if (whenStale === undefined || whenStale.action === 'lowest-risk' || whenStale.action === 'route') {
      return routed(scene, judgement, lowestRisk(scene, policy, judgement.stale), 'lowest-risk', {
        tiers: tiersOf(scene, policy),
        fit: [],
      })
    }
    const spec: ActionSpec = whenStale.spec ?? ({ action: whenStale.action } as ActionSpec)
    return apply(scene, policy, judgement, [spec, ...policy.doc.otherwise], 'stale')
  }
  if (judgement.band !== undefined && judgement.held === undefined) {
    return apply(scene, policy, judgement, [judgement.band, ...policy.doc.otherwise], 'band')
  }
  return apply(scene, policy, judgement, policy.doc.otherwise, judgement.unready > 0 ? 'readiness' : 'no-target')
}

/**
 * What a flag of the kill-switch or incident layer says instead of choosing: the action, then what the policy does
 * otherwise. A request that no policy covers can only be turned away; to say more of it, nobody has said enough.
 */
export const judgeAction = (
  scene: Scene,
  policy: PolicyProgram | undefined,
  judgement: Judgement,
  spec: ActionSpec,
): Decision => {
  if (policy !== undefined) return apply(scene, policy, judgement, [spec, ...policy.doc.otherwise], 'flag')
  return judgement.decision(
    'flag',
    spec.action === 'delay'
      ? { action: 'delay', status: 503, retryAfterMs: spec.retryAfterMs ?? DELAY_MS }
      : refusal(spec.action === 'deny' ? spec : { action: 'deny' }),
  )
}

/** How long a request may be held: never past its own deadline, nor longer than its class bears. */
const holdFor = ({ facts, workload, now }: Scene, wantedMs: number): number =>
  Math.max(
    0,
    Math.min(
      wantedMs,
      (facts.deadlineMs ?? Number.POSITIVE_INFINITY) - now,
      workload?.delayToleranceMs ?? Number.POSITIVE_INFINITY,
    ),
  )

/** The first of these actions that can be done. A hold that nobody offers, or that is over, counts as its next entry. */
const apply = (
  scene: Scene,
  policy: PolicyProgram,
  judgement: Judgement,
  specs: readonly ActionSpec[],
  reason: Reason,
): Decision => {
  let held: number | undefined
  for (const [at, spec] of specs.entries()) {
    judgement.next = specs.slice(at + 1).map((one) => one.action)
    if (spec.action === 'degrade') {
      const degraded = degrade(scene, policy, judgement)
      if (degraded !== undefined) return degraded
      continue
    }
    if (spec.action === 'route') continue
    const spare = returning(scene, policy, judgement, reason)
    if (spare !== undefined) return spare
    if (spec.action === 'queue') {
      held = spec.forMs ?? HOLD_MS
      const holdMsMax = scene.facts.hold === 'offered' ? holdFor(scene, held) : 0
      // Why it waits is the reason, where it is more than that nobody has room.
      if (holdMsMax > 0)
        return judgement.decision(reason === 'no-target' ? 'held' : reason, { action: 'queue', holdMsMax })
      continue
    }
    return refused(scene, policy, judgement, reason, spec)
  }
  return (
    returning(scene, policy, judgement, reason) ??
    refused(
      scene,
      policy,
      judgement,
      reason,
      held === undefined ? { action: 'deny' } : { action: 'delay', retryAfterMs: held },
    )
  )
}

/** A refusal, with when it is expected to fit and what could be asked for instead. */
const refused = (
  scene: Scene,
  policy: PolicyProgram,
  judgement: Judgement,
  reason: Reason,
  spec: Extract<ActionSpec, { action: 'delay' | 'deny' }>,
): Decision => {
  judgement.suggest = suggestGpus(scene, policy)
  if (spec.action === 'deny') return judgement.decision(reason, refusal(spec))
  judgement.forecast = forecast(scene, policy)
  const later = delayed(scene, policy, spec, judgement.forecast)
  // No entry after the delay is tried: what a job says of itself must not get it more than the policy gives to others.
  return scene.facts.needs?.mayDelay === false
    ? judgement.decision('may-not-delay', { action: 'deny', status: later.status, retryAfterMs: later.retryAfterMs })
    : judgement.decision(reason, later)
}

/** A day, past which nobody is sent away in one go. */
const DELAY_MS_MAX = 86_400_000

/**
 * A delay, and for how long: as it is written, else until the off-peak hours that it names begin, else until it is
 * expected to fit. Never longer than the class bears, for it is to ask again while that still helps.
 */
const delayed = (
  scene: Scene,
  policy: PolicyProgram,
  spec: Extract<ActionSpec, { action: 'delay' }>,
  expected: Forecast | undefined,
): Extract<Outcome, { action: 'delay' }> => {
  const { now, workload } = scene
  const offPeak = spec.until === undefined ? undefined : offPeakAt(scene, policy)
  const foreseen =
    offPeak ?? (expected === undefined || expected.at === null || expected.at <= now ? undefined : expected.at)
  const wanted =
    spec.retryAfterMs ?? (foreseen === undefined ? (spec.until === undefined ? DELAY_MS : OFF_PEAK_MS) : foreseen - now)
  const retryAfterMs = Math.max(1_000, Math.min(wanted, workload?.delayToleranceMs ?? DELAY_MS_MAX, DELAY_MS_MAX))
  return { action: 'delay', status: 503, retryAfterMs, ...(spec.until === undefined ? {} : { until: spec.until }) }
}

/** A target that is healthy and only waits for its timer is better than turning somebody away. */
const returning = (scene: Scene, policy: PolicyProgram, judgement: Judgement, reason: Reason): Decision | undefined => {
  const spare = judgement.held?.[0]
  if (spare === undefined || reason === 'stale') return undefined
  return routed(scene, judgement, spare.index, 'returning', { tiers: tiersOf(scene, policy), fit: [] })
}

const refusal = (spec: Extract<ActionSpec, { action: 'deny' }>): Outcome => {
  return { action: 'deny', status: spec.status ?? 503, retryAfterMs: spec.retryAfterMs ?? DENY_RETRY_MS }
}

/** The smaller model at its named site, if that passes every hard constraint with that model. */
const degrade = (scene: Scene, policy: PolicyProgram, judgement: Judgement): Decision | undefined => {
  const spec = policy.doc.degraded
  if (spec === undefined || policy.degraded === undefined) return undefined
  for (const index of policy.degraded.targets) {
    const target = scene.programs.targets[index]!
    const code = hardBlock(scene, target, spec.model)
    if (code >= 0) {
      judgement.hard(target, spec.model, code)
      continue
    }
    return judgement.decision('degraded', {
      action: 'degrade',
      target: target.name,
      cluster: target.cluster,
      model: spec.model,
      rewriteBody: spec.rewriteBody,
    })
  }
  return undefined
}

/** Why no configured target could ever serve this; undefined if one could. */
const neverServed = (scene: Scene, policy: PolicyProgram): Reason | undefined => {
  const { facts, programs } = scene
  const inLadder =
    policy.nearest > 0
      ? programs.targets.map((target) => target.index).filter((index) => policy.only?.has(index) !== false)
      : policy.tiers.flat().flatMap((entry) => entry.targets)
  const mayDegrade = policy.doc.otherwise.some((spec) => spec.action === 'degrade')
  const smaller = mayDegrade ? (policy.degraded?.targets ?? []) : []
  const candidates = [...inLadder, ...smaller].map((index) => programs.targets[index]!)
  const { residency, model } = facts
  if (residency !== undefined && !candidates.some((target) => fitsResidency(residency, target)))
    return 'residency-unservable'
  // A smaller model stands in for one that is served somewhere, never for a name that nobody knows.
  if (model !== undefined && !candidates.some((target) => target.models.has(model))) return 'model-unknown'
  const isServable =
    inLadder.some((index) => couldServe(scene, programs.targets[index]!, model)) ||
    smaller.some((index) => couldServe(scene, programs.targets[index]!, policy.doc.degraded?.model))
  return isServable ? undefined : 'no-target'
}

/**
 * Of targets without fresh numbers the one with the least that was last seen against it: limits crossed, suspicion, and
 * no room left; ladder order next.
 */
const lowestRisk = (scene: Scene, policy: PolicyProgram, spares: readonly Spare[]): number => {
  let best = spares[0]!.index
  let bestFailed = Number.POSITIVE_INFINITY
  for (const { index } of spares) {
    let failed = (scene.data.health[index]!.suspect ? 1 : 0) + (hadRoom(scene, index) ? 0 : 1)
    for (const gate of policy.gates) failed += scene.data.gates[gate.key]?.failed[index] ?? 0
    if (failed < bestFailed) {
      best = index
      bestFailed = failed
    }
  }
  return best
}

/** Was there room when last somebody looked? Where nobody ever did, there is. */
const hadRoom = ({ data, programs }: Scene, index: number): boolean => {
  const last = (signal: string): number =>
    (data.columns[signal]?.at[index] ?? 0) > 0 ? data.columns[signal]!.value[index]! : 0
  return last('queue.running') + last('queue.depth') < programs.targets[index]!.capacity || last('queue.depth') === 0
}
