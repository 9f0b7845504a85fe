import type { DimensionGap, GapsReport, SiteGaps, WorkGap } from '../model/gaps.ts'
import type { EpochMs } from '../model/names.ts'
import { DIMENSIONS, type Dimension } from '../model/signal-row.ts'
import {
  CAPACITY,
  EVERYWHERE,
  HOUR_MS,
  type Hour,
  type Hours,
  OVERALL,
  type StateTime,
  type WorkCount,
} from './gaps-hours.ts'

/** Not green for this share of the watched time is chronic, once an hour has been watched. */
const CHRONIC_RATIO = 0.1

/** What one site comes to; `work` by class, action and constraint. */
interface SiteSums {
  readonly states: Map<string, StateTime>
  readonly work: Map<string, WorkCount>
}

/** Sums over whole hours, hour by hour, so that nobody has to wait while a long time is summed up. */
export class GapsSums {
  readonly #first: number
  readonly #last: number
  readonly #sites = new Map<string, SiteSums>()
  #watchedMs = 0
  #since: number | null = null

  constructor(from: EpochMs, to: EpochMs) {
    this.#first = Math.floor(from / HOUR_MS)
    this.#last = Math.ceil(to / HOUR_MS)
  }

  add(number: number, hour: Hour): void {
    if (this.#since === null || number < this.#since) this.#since = number
    if (number < this.#first || number >= this.#last) return
    this.#watchedMs += hour.watchedMs
    for (const [key, { amberMs, redMs }] of hour.states) {
      const [states, rest] = this.#place(key, 'states')
      const sum = states.get(rest)
      if (sum === undefined) states.set(rest, { amberMs, redMs })
      else {
        sum.amberMs += amberMs
        sum.redMs += redMs
      }
    }
    for (const [key, one] of hour.work) {
      const [work, rest] = this.#place(key, 'work')
      const sum = work.get(rest)
      if (sum === undefined) work.set(rest, { ...one })
      else for (const name of Object.keys(one) as (keyof WorkCount)[]) sum[name] += one[name]
    }
  }

  #place<Kind extends keyof SiteSums>(key: string, kind: Kind): readonly [SiteSums[Kind], string] {
    const end = key.indexOf('\n')
    const name = key.slice(0, end)
    let sums = this.#sites.get(name)
    if (sums === undefined) {
      sums = { states: new Map(), work: new Map() }
      this.#sites.set(name, sums)
    }
    return [sums[kind], key.slice(end + 1)]
  }

  /** Sites with something chronic first, then by hours not green, then by what they turned away. */
  report(): GapsReport {
    const sites = [...this.#sites]
      .filter(([name]) => name !== EVERYWHERE)
      .map(([name, sums]) => siteGaps(name, sums, this.#watchedMs))
    return {
      from: this.#first * HOUR_MS,
      to: this.#last * HOUR_MS,
      since: this.#since === null ? null : this.#since * HOUR_MS,
      watchedHours: this.#watchedMs / HOUR_MS,
      sites: sites.sort(
        (a, b) =>
          Number(b.chronic.length > 0) - Number(a.chronic.length > 0) ||
          b.redHours + b.amberHours - a.redHours - a.amberHours ||
          energyOf(b.work) - energyOf(a.work) ||
          askedOf(b.work) - askedOf(a.work) ||
          (a.site < b.site ? -1 : 1),
      ),
      total: workOf(this.#sites.get(EVERYWHERE)?.work ?? new Map()),
    }
  }
}

/** What is known of whole hours from one time to another. */
export function gapsReport(hours: Hours, from: EpochMs, to: EpochMs): GapsReport {
  const sums = new GapsSums(from, to)
  for (const [number, hour] of hours) sums.add(number, hour)
  return sums.report()
}

function siteGaps(site: string, { states, work }: SiteSums, watchedMs: number): SiteGaps {
  const timeOf = (dimension: string): StateTime => states.get(dimension) ?? { amberMs: 0, redMs: 0 }
  const share = (dimension: Dimension): number => {
    const { amberMs, redMs } = timeOf(dimension)
    return watchedMs < HOUR_MS ? 0 : (amberMs + redMs) / watchedMs
  }
  const overall = timeOf(OVERALL)
  return {
    site,
    chronic: CAPACITY.filter((name) => share(name) >= CHRONIC_RATIO).toSorted((a, b) => share(b) - share(a)),
    amberHours: overall.amberMs / HOUR_MS,
    redHours: overall.redMs / HOUR_MS,
    dimensions: DIMENSIONS.flatMap((dimension): DimensionGap[] => {
      const { amberMs, redMs } = timeOf(dimension)
      return amberMs + redMs === 0 ? [] : [{ dimension, amberHours: amberMs / HOUR_MS, redHours: redMs / HOUR_MS }]
    }),
    work: workOf(work),
  }
}

const workOf = (work: ReadonlyMap<string, WorkCount>): WorkGap[] =>
  [...work]
    .map(([key, counts]): WorkGap => {
      const [name = '', action, constraint = ''] = key.split('\n')
      return { class: name, action: action as WorkGap['action'], constraint, ...counts }
    })
    .sort((a, b) => b.mwh - a.mwh || b.work - a.work || b.asked - a.asked)

const energyOf = (work: readonly WorkGap[]): number => work.reduce((sum, { mwh }) => sum + mwh, 0)
const askedOf = (work: readonly WorkGap[]): number => work.reduce((sum, { asked }) => sum + asked, 0)
