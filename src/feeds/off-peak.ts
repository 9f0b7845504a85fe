import type { EpochMs } from '../model/names.ts'
import type { Interval } from '../model/sample.ts'
import { LocalTime, wallLater } from './local-time.ts'
import { tidyIntervals } from './series-check.ts'

/** Which hours count as off-peak, by their prices: the cheapest of each local day, or all that are cheaper than so much. */
export type OffPeakRule = { readonly cheapestHours: number; readonly timeZone?: string } | { readonly below: number }

const HOUR_MS = 3_600_000
const DAYS_MAX = 10

/**
 * Off-peak by a rule as intervals of 0 and 1, from prices in order and without overlaps. Of the cheapest hours only days
 * are chosen whose prices are known but for an hour at most: half a day's cheapest are not the day's. The shortest day has
 * 23 hours and the longest 25; equal prices go to the earlier hours.
 */
export function offPeakOf(prices: readonly Interval[], rule: OffPeakRule, now: EpochMs): readonly Interval[] {
  if ('below' in rule) {
    const rated = prices.map(({ from, to, value }) => ({ from, to, value: value < rule.below ? 1 : 0 }))
    return tidyIntervals(rated, 'tariff.off_peak', now).intervals
  }
  const local = new LocalTime(rule.timeZone ?? 'UTC')
  const today = { ...local.wall(now), hour: 0, minute: 0 }
  const beginning = (days: number): EpochMs => {
    const { at, gapEnd } = local.moments(wallLater(today, days * 1_440))
    return gapEnd ?? at[0]!
  }
  const rated: Interval[] = []
  for (let day = 0; day < DAYS_MAX; day++) {
    const [start, end] = [beginning(day), beginning(day + 1)]
    const pieces = prices
      .filter(({ from, to }) => from < end && to > start)
      .map(({ from, to, value }) => ({ from: Math.max(from, start), to: Math.min(to, end), value }))
    const known = pieces.reduce((sum, { from, to }) => sum + to - from, 0)
    if (known < end - start - HOUR_MS) continue
    let left = rule.cheapestHours * HOUR_MS
    for (const { from, to } of pieces.toSorted((a, b) => a.value - b.value || a.from - b.from)) {
      const taken = Math.min(left, to - from)
      if (taken > 0) rated.push({ from, to: from + taken, value: 1 })
      left -= taken
    }
    rated.push(...pieces.map(({ from, to }) => ({ from, to, value: 0 })))
  }
  return tidyIntervals(rated, 'tariff.off_peak', now).intervals
}
