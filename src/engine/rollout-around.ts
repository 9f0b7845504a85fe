import type { EpochMs } from '../model/names.ts'
import type { NarrowWhen, Rollout, RolloutState } from '../model/rollout.ts'
import { signalOf } from '../model/signal.ts'
import { freshnessLimit, isInsufficient, isStale } from './columns.ts'
import { isInForce } from './orders.ts'
import type { EngineSnapshot, PolicyProgram, Programs } from './programs.ts'
import type { LimitFinding, Surroundings } from './rollout.ts'

/** What a rollout's judge looks at beside its arms, as the snapshot has it. */
export function surroundingsOf(
  snapshot: EngineSnapshot,
  rollout: Rollout,
  state: RolloutState,
  now: EpochMs,
): Surroundings {
  const { programs } = snapshot
  const targets = treatmentTargets(programs, rollout, state)
  return {
    standsStill: stillBecause(programs, rollout),
    frozen: frozenBecause(programs, rollout, targets, now),
    findings: [
      ...rollout.siteLimits.flatMap((limit) => findings(snapshot, rollout, limit, limit.action, targets, now)),
      ...(rollout.narrowWhen === undefined
        ? []
        : findings(snapshot, rollout, rollout.narrowWhen, 'narrow' as const, targets, now)),
    ],
  }
}

function stillBecause({ routing, flags, policies }: Programs, rollout: Rollout): string | undefined {
  if (routing?.enabled === false)
    return `routing is off (${routing.author}: ${routing.reason}): experiments stand still`
  const flag = flags.get(rollout.flag)
  if (flag === undefined) return `no source has the flag ${rollout.flag}`
  if (flag.rollout !== rollout.metadata.name)
    return `the flag ${rollout.flag} is not of the layer rollout and of class ${rollout.class}`
  const treatment = flag.flag.meanings[rollout.variants.treatment]
  if (rollout.policy !== undefined && treatment?.kind === 'policy' && treatment.policy !== rollout.policy)
    return `the treatment of ${rollout.flag} names ${treatment.policy}, and the rollout ${rollout.policy}`
  if (treatment?.kind === 'policy' && policies.get(treatment.policy)?.doc.class !== rollout.class)
    return `no document has ${treatment.policy}, which the treatment of ${rollout.flag} names, for ${rollout.class}`
  return flag.flag.definition.state === 'DISABLED' ? `the flag ${rollout.flag} is switched off` : undefined
}

/** Why no stage may begin now: a window of the document, or an order. Of an order's scope its class and its site count. */
export function frozenBecause(
  programs: Programs,
  rollout: Rollout,
  targets: readonly number[],
  now: EpochMs,
): string | undefined {
  const window = rollout.freezeWindows.find(({ from, to }) => now >= from && now < to)
  if (window !== undefined) return `no stage begins in a freeze window: ${window.reason}`
  for (const order of programs.overrides) {
    if (order.kind !== 'freeze' || !isInForce(order, now)) continue
    const { class: workload, site } = order.scope
    if (workload !== undefined && workload !== rollout.class) continue
    if (site !== undefined && !targets.some((index) => programs.targets[index]!.site === site)) continue
    return `frozen by ${order.author}: ${order.reason}`
  }
  return undefined
}

/** The targets of the treatment's ladder; of an overlay, those of the class's policies. */
export function treatmentTargets(
  programs: Programs,
  rollout: Rollout,
  { policy }: Pick<RolloutState, 'policy'>,
): number[] {
  const named = policy === null ? undefined : programs.policies.get(policy)
  const policies = named === undefined ? (programs.classes.get(rollout.class)?.policies ?? []) : [named]
  return [...new Set(policies.flatMap((one) => targetsOfPolicy(programs, one)))]
}

const targetsOfPolicy = ({ targets }: Programs, { tiers, nearest }: PolicyProgram): readonly number[] =>
  nearest > 0 ? [...targets.keys()] : tiers.flat().flatMap((entry) => entry.targets)

/**
 * The first target at which a limit is not kept. What has not been measured, or too long ago, keeps a stage from going on
 * and does no more: silence proves nothing, in neither direction.
 */
function findings(
  { data, programs }: EngineSnapshot,
  rollout: Rollout,
  limit: NarrowWhen,
  action: LimitFinding['action'],
  targets: readonly number[],
  now: EpochMs,
): LimitFinding[] {
  const { site, signal, max, min } = limit
  const column = data.columns[signal]
  const limitMs = freshnessLimit(programs.classes.get(rollout.class)?.doc, signal)
  const indexes =
    site === undefined
      ? targets
      : site.includes('/')
        ? [programs.indexOf.get(site) ?? -1]
        : (programs.bySite.get(site) ?? [])
  let silent: string | undefined
  for (const index of indexes) {
    const name = data.targets[index]
    if (name === undefined) continue
    if (isStale(column, index, limitMs, now)) {
      silent ??= name
      continue
    }
    if (isInsufficient(signal, column!.count[index]!)) continue
    const value = column!.value[index]!
    const crossed =
      max !== undefined && value > max ? `<= ${max}` : min !== undefined && value < min ? `>= ${min}` : undefined
    if (crossed === undefined) continue
    const unit = signalOf(signal)?.unit ?? ''
    return [{ action, says: `${name} ${signal} ${Number(value.toPrecision(4))}, wanted ${crossed} ${unit}`.trimEnd() }]
  }
  return silent === undefined ? [] : [{ action: 'hold', says: `${silent} ${signal} is not measured, or too long ago` }]
}
