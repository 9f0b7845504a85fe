import type { Facts } from '../model/facts.ts'
import type { EpochMs } from '../model/names.ts'
import type { Override, OverrideScope } from '../model/override.ts'
import type { Column } from '../model/snapshot.ts'
import type { Programs, TargetProgram } from './programs.ts'

/** Is an override in force now? Its clock is ours: expiry needs nobody to tell. */
export const isInForce = (order: Override, now: EpochMs): boolean => now < order.expires && now >= order.created

/** Does an override's place cover this target? */
export const coversTarget = (scope: OverrideScope, target: TargetProgram): boolean =>
  (scope.site === undefined || scope.site === target.site) && (scope.pool === undefined || scope.pool === target.pool)

/** Is this request among those that an override speaks of? */
export const coversRequest = (scope: OverrideScope, facts: Facts): boolean =>
  (scope.class === undefined || scope.class === facts.class) &&
  (scope.tenant === undefined || scope.tenant === facts.tenant) &&
  (scope.region === undefined || scope.region === facts.region)

/** The drain that keeps everybody off a target now, as words; undefined where there is none. */
export const drainOf = (programs: Programs, target: TargetProgram, now: EpochMs): string | undefined => {
  for (const order of programs.overrides) {
    if (order.kind !== 'drain' || !isInForce(order, now) || !coversTarget(order.scope, target)) continue
    const { class: workload, tenant, region } = order.scope
    if (workload === undefined && tenant === undefined && region === undefined)
      return `drained by ${order.author}: ${order.reason}`
  }
  return undefined
}

/** The maintenance that a target is in now, by window, order or the facility's own word; undefined where there is none. */
export const maintenanceOf = (
  programs: Programs,
  target: TargetProgram,
  now: EpochMs,
  columns: Readonly<Record<string, Column>>,
): string | undefined => {
  for (const window of target.maintenance) {
    if (now >= window.from && now < window.to) return `maintenance: ${window.reason ?? 'planned'}`
  }
  for (const order of programs.maintenance) {
    if (order.site !== target.site || (order.pool !== undefined && order.pool !== target.pool)) continue
    if (now >= order.from && now < order.to) return `maintenance by ${order.author}: ${order.reason}`
  }
  // Its age is not asked: work on a plant goes on until somebody says that it has ended.
  const said = columns['maintenance.active']
  if (said !== undefined && said.at[target.index]! > 0 && said.value[target.index]! > 0)
    return `maintenance, says ${said.source[target.index]}`
  return undefined
}
