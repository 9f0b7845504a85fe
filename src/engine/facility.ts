import type { CoolantLoop, Site } from '../model/documents.ts'
import type { EpochMs } from '../model/names.ts'
import { SIGNALS, signalOf } from '../model/signal.ts'
import type { Spoken } from '../model/snapshot.ts'

/*
 * What a site's places say of one signal, made into one value for each target. A site as a whole, its coolant loops and
 * the pool itself may all speak; the worst counts, and the oldest of them gives the age: a loop that fell silent must not
 * be covered up by a site that goes on talking. Power headroom and cooling margin are worked out here as well, from what
 * meters measure and what the document declares, and shrink with the plant's derating.
 */

/** All that a site's places have said, by signal and place. */
export type SpokenOfSite = Readonly<Record<string, Readonly<Record<string, Spoken>>>>

/** Signals that others are worked out of. */
const INPUTS: ReadonlySet<string> = new Set([
  'power.draw_mw',
  'grid.import_limit_mw',
  'pue.ratio',
  'cop.ratio',
  'ambient.temperature_c',
  'cooling.supply_c',
  'cooling.heat_kw',
  'cooling.flow_lpm',
  'cooling.capacity_kw',
])

/** The signals that the engine works out, in the order in which they are worked out. */
const DERIVED = [
  'derating.ratio',
  'power.headroom_mw',
  'power.headroom_pct',
  'cooling.margin_c',
  'cooling.margin_pct',
  'cooling.headroom_kw',
] as const

/** Signals that are kept by place, because several places meet in them or others are worked out of them. */
export const PLACED: ReadonlySet<string> = new Set(
  Object.keys(SIGNALS).filter((signal) => signalOf(signal)?.tightest === true || INPUTS.has(signal)),
)

const POWER = ['power.headroom_mw', 'power.headroom_pct'] as const

/** What is worked out of each signal, beside its own value; what shrinks the plant moves everything. */
export const FOLLOWS: ReadonlyMap<string, readonly string[]> = new Map<string, readonly string[]>([
  ...['pue.ratio', 'cop.ratio', 'ambient.temperature_c', 'derating.ratio'].map((signal) => [signal, DERIVED] as const),
  ...['power.draw_mw', 'grid.import_limit_mw', ...POWER].map((signal) => [signal, POWER] as const),
  ['cooling.supply_c', ['cooling.margin_c', 'cooling.margin_pct']],
  ['cooling.heat_kw', ['cooling.margin_pct', 'cooling.headroom_kw']],
  ['cooling.capacity_kw', ['cooling.margin_pct', 'cooling.headroom_kw']],
  ['cooling.flow_lpm', ['cooling.margin_pct']],
])

/** The place of a sample: the site as a whole, one of its loops, or a pool. */
export const placeOf = (pool: string | undefined, loop: string | undefined): string =>
  loop !== undefined ? `loop:${loop}` : pool === undefined ? '' : `pool:${pool}`

/** The loops that a pool is on. */
export const loopsOf = (site: Site, pool: string): readonly CoolantLoop[] =>
  (site.loops ?? []).filter((loop) => loop.pools === undefined || loop.pools.includes(pool))

/** The value of a signal for one pool: the worst of what its places say and of what follows from them; undefined: nothing known. */
export const effective = (
  site: Site,
  spoken: SpokenOfSite,
  signal: string,
  pool: string,
  loops: readonly CoolantLoop[],
): Spoken | undefined => {
  const said = direct(spoken, signal, pool, loops)
  switch (signal) {
    case 'derating.ratio': {
      const at = worked(spoken)
      return worse(signal, said, at === undefined ? undefined : { value: deratingOf(site, spoken), ...at })
    }
    case 'power.headroom_mw':
      return worse(signal, said, headroom(site, spoken, pool, loops))
    case 'power.headroom_pct': {
      const budget = site.powerBudgetMw
      const mw = budget === undefined ? undefined : headroom(site, spoken, pool, loops)
      const derived =
        mw === undefined ? shrunkPct(site, spoken, said) : { ...mw, value: clampPct((mw.value / budget!) * 100) }
      return worse(signal, said, derived)
    }
    case 'cooling.margin_c': {
      const factor = deratingOf(site, spoken)
      let worst = said === undefined ? undefined : { ...said, value: shrunk(said.value, factor) }
      for (const loop of loops) {
        const supply = spoken['cooling.supply_c']?.[`loop:${loop.name}`]
        if (supply === undefined || loop.supplyLimitC === undefined) continue
        worst = worse(signal, worst, { ...supply, value: shrunk(loop.supplyLimitC - supply.value, factor) })
      }
      return worst
    }
    case 'cooling.margin_pct': {
      const factor = deratingOf(site, spoken)
      let worst = said === undefined ? undefined : { ...said, value: shrunk(said.value, factor) }
      for (const loop of loops) for (const way of waysOf(loop, spoken, factor)) worst = worse(signal, worst, way)
      return worst
    }
    case 'cooling.headroom_kw': {
      const factor = deratingOf(site, spoken)
      let worst = said
      for (const loop of loops) {
        const heat = spoken['cooling.heat_kw']?.[`loop:${loop.name}`]
        const capacityKw = capacityOf(loop, spoken)
        if (heat === undefined || capacityKw === undefined) continue
        worst = worse(signal, worst, { ...heat, value: capacityKw * factor - heat.value })
      }
      return worst
    }
    default:
      return said
  }
}

/** What the site, the pool's loops and the pool itself say, the worst of it. */
const direct = (
  spoken: SpokenOfSite,
  signal: string,
  pool: string,
  loops: readonly CoolantLoop[],
): Spoken | undefined => {
  const places = spoken[signal]
  if (places === undefined) return undefined
  let worst = worse(signal, places[''], places[`pool:${pool}`])
  for (const loop of loops) worst = worse(signal, worst, places[`loop:${loop.name}`])
  return worst
}

/** The worse value of two; as old as the older, and valid no longer than the one that ends first. */
const worse = (signal: string, a: Spoken | undefined, b: Spoken | undefined): Spoken | undefined => {
  if (a === undefined || b === undefined) return a ?? b
  const isHigherWorse = signalOf(signal)?.worseWhen !== 'lower'
  const worst = (isHigherWorse ? b.value > a.value : b.value < a.value) ? b : a
  const at = Math.min(a.at, b.at)
  const until = Math.min(a.until ?? Number.POSITIVE_INFINITY, b.until ?? Number.POSITIVE_INFINITY)
  if (at === worst.at && until === (worst.until ?? Number.POSITIVE_INFINITY)) return worst
  return { value: worst.value, at, source: worst.source, ...(Number.isFinite(until) ? { until } : {}) }
}

/**
 * What is left of the plant's capacity, 0 to 1: design PUE by measured, measured COP by design, whichever is less, and
 * a share less for each degree above the design's outside temperature. Plant ages slowly: the last known measurement
 * counts however old it is, for forgetting it would give capacity back that is not there.
 */
export const deratingOf = (site: Site, spoken: SpokenOfSite): number => {
  const design = site.derating
  let factor = 1
  for (const said of Object.values(spoken['derating.ratio'] ?? {})) factor = Math.min(factor, said.value)
  if (design === undefined) return factor
  const pue = spoken['pue.ratio']?.['']?.value
  const cop = spoken['cop.ratio']?.['']?.value
  const ambient = spoken['ambient.temperature_c']?.['']?.value
  if (pue !== undefined && design.designPue !== undefined) factor = Math.min(factor, design.designPue / pue)
  if (cop !== undefined && design.designCop !== undefined) factor = Math.min(factor, cop / design.designCop)
  if (ambient !== undefined && design.designAmbientC !== undefined) {
    const above = Math.max(0, ambient - design.designAmbientC)
    factor *= Math.max(0, 1 - (above * (design.ambientPctPerC ?? 1)) / 100)
  }
  return factor
}

/** When the newest measurement behind the derating came, and from whom. */
const worked = (spoken: SpokenOfSite): Omit<Spoken, 'value'> | undefined => {
  let newest: Spoken | undefined
  for (const signal of ['pue.ratio', 'cop.ratio', 'ambient.temperature_c']) {
    const said = spoken[signal]?.['']
    if (said !== undefined && (newest === undefined || said.at > newest.at)) newest = said
  }
  return newest === undefined ? undefined : { at: newest.at, source: newest.source }
}

/**
 * Headroom in MW: what may be drawn (the derated budget, or what the grid allows now if that is less) less what is drawn.
 * Where no draw is metered, it follows from the headroom that somebody reports against the whole budget.
 */
const headroom = (
  site: Site,
  spoken: SpokenOfSite,
  pool: string,
  loops: readonly CoolantLoop[],
): Spoken | undefined => {
  const budget = site.powerBudgetMw
  const grid = spoken['grid.import_limit_mw']?.['']
  if (budget === undefined && grid === undefined) return undefined
  const allowed = Math.min(
    budget === undefined ? Number.POSITIVE_INFINITY : budget * deratingOf(site, spoken),
    grid?.value ?? Number.POSITIVE_INFINITY,
  )
  const drawn = spoken['power.draw_mw']?.['']
  if (drawn !== undefined) return { ...drawn, value: allowed - drawn.value }
  if (budget === undefined) return undefined
  const mw = direct(spoken, 'power.headroom_mw', pool, loops)
  if (mw !== undefined) return { ...mw, value: allowed - (budget - mw.value) }
  const pct = direct(spoken, 'power.headroom_pct', pool, loops)
  return pct === undefined ? undefined : { ...pct, value: allowed - budget * (1 - pct.value / 100) }
}

const shrunkPct = (site: Site, spoken: SpokenOfSite, said: Spoken | undefined): Spoken | undefined =>
  said === undefined ? undefined : { ...said, value: clampPct(said.value - (1 - deratingOf(site, spoken)) * 100) }

/** A margin that is there shrinks with the plant; one that is not is no better for it. */
const shrunk = (margin: number, factor: number): number => (margin > 0 ? margin * factor : margin)

const capacityOf = (loop: CoolantLoop, spoken: SpokenOfSite): number | undefined => {
  const told = spoken['cooling.capacity_kw']?.[`loop:${loop.name}`]?.value
  return loop.capacityKw === undefined ? told : told === undefined ? loop.capacityKw : Math.min(told, loop.capacityKw)
}

/** A loop's margin in percent by heat, by supply temperature and by flow, as far as each can be told. */
function* waysOf(loop: CoolantLoop, spoken: SpokenOfSite, factor: number): Generator<Spoken> {
  const place = `loop:${loop.name}`
  const heat = spoken['cooling.heat_kw']?.[place]
  const capacityKw = capacityOf(loop, spoken)
  if (heat !== undefined && capacityKw !== undefined && capacityKw > 0) {
    const value = clampPct(((capacityKw * factor - heat.value) / capacityKw) * 100)
    yield { ...heat, value, source: `${heat.source}, by heat` }
  }
  const supply = spoken['cooling.supply_c']?.[place]
  const { supplyLimitC, designSupplyC, ratedFlowLpm } = loop
  if (
    supply !== undefined &&
    supplyLimitC !== undefined &&
    designSupplyC !== undefined &&
    supplyLimitC > designSupplyC
  ) {
    const value = clampPct(shrunk(((supplyLimitC - supply.value) / (supplyLimitC - designSupplyC)) * 100, factor))
    yield { ...supply, value, source: `${supply.source}, by temperature` }
  }
  const flow = spoken['cooling.flow_lpm']?.[place]
  if (flow !== undefined && ratedFlowLpm !== undefined) {
    const least = loop.minFlowLpm ?? ratedFlowLpm / 2
    const value = clampPct(shrunk(((flow.value - least) / (ratedFlowLpm - least)) * 100, factor))
    yield { ...flow, value, source: `${flow.source}, by flow` }
  }
}

const clampPct = (value: number): number => Math.max(-100, Math.min(100, value))

/** Signals of which several places speak and that have no age of their own: what they say ends by itself, if at all. */
const EVENTS = [...PLACED].filter((signal) => signalOf(signal)?.staleAfterMs === undefined)

/** What has been said without what has run out: events of the grid end by themselves. The same object where nothing has. */
export const unexpired = (spoken: SpokenOfSite, now: EpochMs): SpokenOfSite => {
  let kept: Record<string, Readonly<Record<string, Spoken>>> | undefined
  for (const signal of EVENTS) {
    const places = spoken[signal]
    if (places === undefined) continue
    const left = Object.entries(places).filter(([, said]) => said.until === undefined || said.until > now)
    if (left.length === Object.keys(places).length) continue
    kept ??= { ...spoken }
    if (left.length === 0) delete kept[signal]
    else kept[signal] = Object.fromEntries(left)
  }
  return kept ?? spoken
}
