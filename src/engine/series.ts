import type { EpochMs } from '../model/names.ts'
import type { Interval, Sample, Series } from '../model/sample.ts'

/** Where a series is kept: a new one of the same signal and place replaces it. */
export const seriesKey = ({ signal, site, pool }: Pick<Series, 'signal' | 'site' | 'pool'>): string =>
  pool === undefined ? `${signal}|${site}` : `${signal}|${site}|${pool}`

/** The interval that a time lies in, by halving; undefined: the series says nothing of that time. */
export const intervalAt = (series: Series, at: EpochMs): Interval | undefined => {
  const { intervals } = series
  let low = 0
  let high = intervals.length - 1
  while (low <= high) {
    const middle = (low + high) >> 1
    const interval = intervals[middle]!
    if (at < interval.from) high = middle - 1
    else if (at >= interval.to) low = middle + 1
    else return interval
  }
  return undefined
}

/** The running interval as a sample: measured at its beginning, valid until its end. */
export const runningOf = (series: Series, now: EpochMs): Sample | undefined => {
  const interval = intervalAt(series, now)
  if (interval === undefined) return undefined
  const { signal, site, pool, source } = series
  return {
    signal,
    site,
    ...(pool === undefined ? {} : { pool }),
    value: interval.value,
    at: interval.from,
    source,
    validUntil: interval.to,
  }
}
