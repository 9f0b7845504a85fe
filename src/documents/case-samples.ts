import type { DocumentSet, Pool, Site } from '../model/documents.ts'
import type { FlagSet } from '../model/flag.ts'
import { type EpochMs, targetName } from '../model/names.ts'
import type { Heartbeat, Sample } from '../model/sample.ts'
import { signalOf } from '../model/signal.ts'
import { type Given, NOTHING, type Place } from './case-given.ts'
import { goodValues } from './good-values.ts'

const MONTH_MS = 31 * 86_400_000

/** What a site has one meter for. What is read at each coolant loop is told by its scope. */
const METERED_BY_SITE: ReadonlySet<string> = new Set([
  'power.draw_mw',
  'grid.import_limit_mw',
  'pue.ratio',
  'cop.ratio',
  'ambient.temperature_c',
])

const isReadAtLoops = (signal: string): boolean =>
  signalOf(signal)?.scope === 'loop' && signalOf(signal)?.derived !== true

/** What the sites of a case send at one moment. `ends`: the ends of links from which the request may come. */
export function caseSamples(
  set: DocumentSet,
  given: Given,
  ends: readonly string[],
  at: EpochMs,
  flags: FlagSet | null = null,
): { samples: Sample[]; heartbeats: Heartbeat[] } {
  const good = goodValues(set, flags)
  const samples: Sample[] = []
  const heartbeats: Heartbeat[] = []
  for (const site of set.sites) {
    const wide = given.places[site.metadata.name] ?? NOTHING
    const sending = new Sending(samples, at, wide)
    metersOf(site, wide, given, good, sending)
    linksOf(site.metadata.name, wide, ends, good, sending)
    for (const pool of site.pools) {
      const narrow = given.places[targetName(site.metadata.name, pool.name)] ?? NOTHING
      signalsOf(site, pool, narrow, wide, good, sending)
      heartbeats.push(...beatsOf(site, pool, narrow, wide, at))
    }
  }
  return { samples, heartbeats }
}

/** Writes samples as old and as well founded as the case says. */
class Sending {
  readonly #samples: Sample[]
  readonly #at: EpochMs
  readonly #wide: Place

  constructor(samples: Sample[], at: EpochMs, wide: Place) {
    this.#samples = samples
    this.#at = at
    this.#wide = wide
  }

  send(sample: Omit<Sample, 'at' | 'count' | 'source'>, narrow: Place = NOTHING): void {
    const says = (word: 'stale' | 'missing' | 'insufficient'): boolean =>
      this.#wide[word].includes(sample.signal) || narrow[word].includes(sample.signal)
    if (says('missing')) return
    const at = says('stale') ? this.#at - MONTH_MS : this.#at
    this.#samples.push({ ...sample, source: 'case', at, count: says('insufficient') ? 1 : 1_000_000 })
  }
}

/** Meters of the site and of its loops: power headroom and cooling margin are worked out of what they say. */
function metersOf(site: Site, wide: Place, given: Given, good: Values, sending: Sending): void {
  const name = site.metadata.name
  const loops = (site.loops ?? []).map((loop) => ({ loop: loop.name, said: given.places[`${name}@${loop.name}`] }))
  const values: Record<string, number> = { ...good, ...wide.values }
  for (const signal of wide.stale) values[signal] ??= 0
  for (const [signal, value] of Object.entries(values)) {
    if (METERED_BY_SITE.has(signal) || (loops.length === 0 && isReadAtLoops(signal)))
      sending.send({ site: name, signal, value })
  }
  for (const { loop, said = NOTHING } of loops) {
    for (const [signal, value] of Object.entries({ ...values, ...said.values }))
      if (isReadAtLoops(signal) || Object.hasOwn(said.values, signal))
        sending.send({ site: name, loop, signal, value }, said)
    for (const signal of said.stale)
      if (!Object.hasOwn(values, signal) && !Object.hasOwn(said.values, signal))
        sending.send({ site: name, loop, signal, value: 0 }, said)
  }
}

/** Links from where the case says, and good ones from where the request comes. */
function linksOf(site: string, wide: Place, ends: readonly string[], good: Values, sending: Sending): void {
  for (const end of new Set([...ends, ...Object.keys(wide.from)])) {
    const byDefault = Object.entries(good).filter(
      ([signal]) => signal.startsWith('client.') && signalOf(signal)?.scope === 'link',
    )
    const values = { ...(ends.includes(end) ? Object.fromEntries(byDefault) : {}), ...wide.from[end] }
    for (const [signal, value] of Object.entries(values)) sending.send({ site, from: end, signal, value })
  }
}

type Values = Readonly<Record<string, number>>

/** What is said of one pool, or of it because of its site. */
function signalsOf(site: Site, pool: Pool, narrow: Place, wide: Place, good: Values, sending: Sending): void {
  const values: Record<string, number> = { ...good, ...headroomOf(site, narrow, wide, good), ...narrow.values }
  for (const signal of [...wide.stale, ...narrow.stale]) values[signal] ??= 0
  for (const [signal, value] of Object.entries(values)) {
    const isOwn = Object.hasOwn(narrow.values, signal)
    const isElsewhere = METERED_BY_SITE.has(signal) || isReadAtLoops(signal)
    // What is known ahead of time has no samples beside its series; the ends of links have been told apart.
    if (signalOf(signal)?.scope === 'link' || Object.hasOwn({ ...wide.series, ...narrow.series }, signal)) continue
    if (isElsewhere && !isOwn) continue
    sending.send({ site: site.metadata.name, pool: pool.name, signal, value }, narrow)
  }
}

/**
 * The values of the site, with power headroom in megawatts and in percent saying the same: where the case gives one of
 * them, the other follows from the budget, and a site of which nothing is said stands idle.
 */
function headroomOf({ powerBudgetMw: budget }: Site, narrow: Place, wide: Place, good: Values): Record<string, number> {
  const given: Record<string, number> = { ...wide.values }
  if (budget === undefined) return given
  const said = { ...given, ...narrow.values }
  const [mw, pct] = [said['power.headroom_mw'], said['power.headroom_pct']]
  if (pct === undefined && (mw !== undefined || good['power.headroom_pct'] !== undefined))
    given['power.headroom_pct'] = mw === undefined ? 100 : Math.min(100, (mw / budget) * 100)
  if (mw === undefined && (pct !== undefined || good['power.headroom_mw'] !== undefined))
    given['power.headroom_mw'] = pct === undefined ? budget : (pct / 100) * budget
  return given
}

function beatsOf(site: Site, pool: Pool, narrow: Place, wide: Place, at: EpochMs): Heartbeat[] {
  const where = { site: site.metadata.name, pool: pool.name, source: 'case', at }
  const isDown = wide.down || narrow.down
  return [
    ...(wide.refusing || narrow.refusing ? [{ ...where, kind: 'passive' as const, outcome: 'refused' as const }] : []),
    {
      ...where,
      kind: 'probe',
      outcome: isDown ? 'refused' : 'ok',
      detail: isDown ? 'down, says the case' : 'ok',
    },
  ]
}
