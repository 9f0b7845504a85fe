import type { CoolantLoop, Site } from '../model/documents.ts'
import type { SourceStatus } from '../model/source.ts'

/** What a derived signal can be worked out of at a site; every list is one way, and all of its signals are needed. */
type Ways = (site: Site) => readonly (readonly string[])[]

const someLoop = (site: Site, can: (loop: CoolantLoop) => boolean): boolean => (site.loops ?? []).some(can)

/** The ways that the engine knows (src/engine/facility.ts), as far as the site's document allows them. */
const WAYS: Readonly<Record<string, Ways>> = {
  'power.headroom_mw': ({ powerBudgetMw }) =>
    powerBudgetMw === undefined
      ? [['power.draw_mw', 'grid.import_limit_mw']]
      : [['power.draw_mw'], ['power.headroom_pct']],
  'power.headroom_pct': ({ powerBudgetMw }) =>
    powerBudgetMw === undefined ? [] : [['power.draw_mw'], ['power.headroom_mw']],
  'cooling.margin_c': (site) =>
    someLoop(site, ({ supplyLimitC }) => supplyLimitC !== undefined) ? [['cooling.supply_c']] : [],
  'cooling.margin_pct': (site) => [
    ...(someLoop(site, ({ supplyLimitC, designSupplyC }) => supplyLimitC !== undefined && designSupplyC !== undefined)
      ? [['cooling.supply_c']]
      : []),
    ...(someLoop(site, ({ capacityKw }) => capacityKw !== undefined) ? [['cooling.heat_kw']] : []),
    ...(someLoop(site, ({ ratedFlowLpm }) => ratedFlowLpm !== undefined) ? [['cooling.flow_lpm']] : []),
    ...(site.loops === undefined ? [] : [['cooling.heat_kw', 'cooling.capacity_kw']]),
  ],
  'cooling.headroom_kw': (site) => [
    ...(someLoop(site, ({ capacityKw }) => capacityKw !== undefined) ? [['cooling.heat_kw']] : []),
    ...(site.loops === undefined ? [] : [['cooling.heat_kw', 'cooling.capacity_kw']]),
  ],
  'derating.ratio': ({ derating }) => [
    ...(derating?.designPue === undefined ? [] : [['pue.ratio']]),
    ...(derating?.designCop === undefined ? [] : [['cop.ratio']]),
    ...(derating?.designAmbientC === undefined ? [] : [['ambient.temperature_c']]),
  ],
  'path.cost_ms': () => [['client.rtt_p95_ms'], ['network.rtt_p95_ms']],
}

/** Does some feed deliver the signal for this site, or what it is worked out of there? */
export function isDelivered(feeds: readonly SourceStatus[], signal: string, site: Site): boolean {
  const names = [site.metadata.name, ...site.pools.map(({ name }) => `${site.metadata.name}/${name}`)]
  const isRead = (one: string): boolean =>
    feeds.some(
      ({ delivers, covers }) =>
        delivers.includes(one) && (covers.length === 0 || covers.some((place) => names.includes(place.split('@')[0]!))),
    )
  return isRead(signal) || (WAYS[signal]?.(site) ?? []).some((way) => way.every(isRead))
}

/** The signals that a derived one may be worked out of, at whatever site. */
export const inputsOf = (signal: string): readonly string[] => INPUTS[signal] ?? []

const INPUTS: Readonly<Record<string, readonly string[]>> = {
  'power.headroom_mw': ['power.draw_mw'],
  'power.headroom_pct': ['power.draw_mw'],
  'cooling.margin_c': ['cooling.supply_c'],
  'cooling.margin_pct': ['cooling.supply_c', 'cooling.heat_kw', 'cooling.flow_lpm'],
  'cooling.headroom_kw': ['cooling.heat_kw'],
}
