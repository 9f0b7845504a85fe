import type { DimensionGap, GapsReport, SiteGaps, WorkGap } from '../model/gaps.ts'
import type { EpochMs } from '../model/names.ts'
import { DIMENSIONS, type Dimension } from '../model/signal-row.ts'
import { CAPACITY, EVERYWHERE, HOUR_MS, type Hours, OVERALL, type StateTime, type WorkCount } from './gaps-hours.ts'

/** Not green for this share of the watched time is chronic, once an hour has been watched. */
const CHRONIC_RATIO = 0.1

/** What is known of whole hours from one time to another: sites with something chronic first, then by hours not green. */
export function gapsReport(hours: Hours, from: EpochMs, to: EpochMs): GapsReport {
  const first = Math.floor(from / HOUR_MS)
  const last = Math.ceil(to / HOUR_MS)
  const states = new Map<string, StateTime>()
  const work = new Map<string, WorkCount>()
  let watchedMs = 0
  let since: number | null = null
  for (const [number, hour] of hours) {
    if (since === null || number < since) since = number
    if (number < first || number >= last) continue
    watchedMs += hour.watchedMs
    for (const [key, { amberMs, redMs }] of hour.states) {
      const sum = states.get(key) ?? { amberMs: 0, redMs: 0 }
      states.set(key, { amberMs: sum.amberMs + amberMs, redMs: sum.redMs + redMs })
    }
    for (const [key, one] of hour.work) {
      const sum = work.get(key)
      work.set(key, sum === undefined ? one : added(sum, one))
    }
  }
  const names = new Set([...states.keys(), ...work.keys()].map((key) => key.slice(0, key.indexOf('\n'))))
  names.delete(EVERYWHERE)
  const sites = [...names].map((site) => siteGaps(site, states, work, watchedMs))
  return {
    from: first * HOUR_MS,
    to: last * HOUR_MS,
    since: since === null ? null : since * HOUR_MS,
    watchedHours: watchedMs / HOUR_MS,
    sites: sites.sort(
      (a, b) =>
        Number(b.chronic.length > 0) - Number(a.chronic.length > 0) ||
        b.redHours + b.amberHours - a.redHours - a.amberHours ||
        energyOf(b.work) - energyOf(a.work) ||
        askedOf(b.work) - askedOf(a.work) ||
        (a.site < b.site ? -1 : 1),
    ),
    total: workOf(EVERYWHERE, work),
  }
}

function siteGaps(
  site: string,
  states: ReadonlyMap<string, StateTime>,
  work: ReadonlyMap<string, WorkCount>,
  watchedMs: number,
): SiteGaps {
  const timeOf = (dimension: string) => states.get(`${site}\n${dimension}`) ?? { amberMs: 0, redMs: 0 }
  const share = (dimension: Dimension): number => {
    const { amberMs, redMs } = timeOf(dimension)
    return watchedMs < HOUR_MS ? 0 : (amberMs + redMs) / watchedMs
  }
  const chronic = CAPACITY.filter((dimension) => share(dimension) >= CHRONIC_RATIO)
  const overall = timeOf(OVERALL)
  return {
    site,
    chronic: chronic.toSorted((a, b) => share(b) - share(a)),
    amberHours: overall.amberMs / HOUR_MS,
    redHours: overall.redMs / HOUR_MS,
    dimensions: DIMENSIONS.flatMap((dimension): DimensionGap[] => {
      const { amberMs, redMs } = timeOf(dimension)
      return amberMs + redMs === 0 ? [] : [{ dimension, amberHours: amberMs / HOUR_MS, redHours: redMs / HOUR_MS }]
    }),
    work: workOf(site, work),
  }
}

const workOf = (place: string, work: ReadonlyMap<string, WorkCount>): WorkGap[] =>
  [...work]
    .flatMap(([key, counts]): WorkGap[] => {
      const [where, name = '', action, constraint = ''] = key.split('\n')
      return where === place ? [{ class: name, action: action as WorkGap['action'], constraint, ...counts }] : []
    })
    .sort((a, b) => b.mwh - a.mwh || b.work - a.work || b.asked - a.asked)

const added = (a: WorkCount, b: WorkCount): WorkCount => ({
  asked: a.asked + b.asked,
  work: a.work + b.work,
  sized: a.sized + b.sized,
  mwh: a.mwh + b.mwh,
  gpuHours: a.gpuHours + b.gpuHours,
})

const energyOf = (work: readonly WorkGap[]): number => work.reduce((sum, { mwh }) => sum + mwh, 0)
const askedOf = (work: readonly WorkGap[]): number => work.reduce((sum, { asked }) => sum + asked, 0)
