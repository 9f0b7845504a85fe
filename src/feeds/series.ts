import { type HistogramRef, type MetricRef, MIRROR_LABELS } from './engines.ts'
import type { PromSample, PromSamples } from './prometheus-text.ts'

/** One series of a gauge or counter. */
export interface Series {
  /** Tells it from others of its metric: its labels, in order. */
  readonly key: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
  /** The exposition's own time of measurement, where it gives one. */
  readonly timestampMs?: number
}

/** One series of a histogram: counts at or below each bound, bounds in milliseconds. */
export interface HistogramSeries {
  readonly key: string
  readonly labels: Readonly<Record<string, string>>
  readonly cumulative: ReadonlyMap<number, number>
}

/**
 * The series of the first of these metrics that is there; undefined where none is. Ranks that report the same requests
 * as another (MIRROR_LABELS) are one series, with the largest value among them.
 */
export function seriesOf(samples: PromSamples, refs: readonly MetricRef[]): Series[] | undefined {
  for (const { name, where } of refs) {
    const found = (samples.get(name) ?? []).filter(({ labels }) => matches(labels, where))
    if (found.length > 0) return merged(found)
  }
  return undefined
}

/** The histograms of the first of these metrics that is there, and its unit taken out of the bounds. */
export function histogramsOf(samples: PromSamples, refs: readonly HistogramRef[]): HistogramSeries[] | undefined {
  for (const { name, unit } of refs) {
    const found = samples.get(`${name}_bucket`)
    if (found !== undefined) return histograms(found, unit === 's' ? 1_000 : 1)
  }
  return undefined
}

/** Is this a count that a counter can have? Beyond 2^53 a double no longer counts. */
export const isCount = (value: number): boolean => value >= 0 && value <= Number.MAX_SAFE_INTEGER

/** Are these counts at or below ascending bounds: counts, never falling, up to +Infinity? */
export const isHistogram = ({ cumulative }: HistogramSeries): boolean => {
  let below = 0
  const bounds = [...cumulative.keys()].sort((a, b) => a - b)
  for (const bound of bounds) {
    const count = cumulative.get(bound)!
    if (Number.isNaN(bound) || !isCount(count) || count < below) return false
    below = count
  }
  return bounds.at(-1) === Number.POSITIVE_INFINITY
}

const merged = (found: readonly PromSample[]): Series[] => {
  const byKey = new Map<string, Series>()
  for (const { labels, value, timestampMs } of found) {
    const key = keyOf(labels)
    const known = byKey.get(key)
    const larger = known === undefined || Number.isNaN(value) || value > known.value
    if (larger) byKey.set(key, { key, labels, value, ...(timestampMs === undefined ? {} : { timestampMs }) })
  }
  return [...byKey.values()]
}

const histograms = (found: readonly PromSample[], factor: number): HistogramSeries[] => {
  const byKey = new Map<string, { labels: PromSample['labels']; cumulative: Map<number, number> }>()
  for (const { labels, value } of found) {
    const key = keyOf(labels, 'le')
    let series = byKey.get(key)
    if (series === undefined) {
      series = { labels, cumulative: new Map() }
      byKey.set(key, series)
    }
    const le = labels.le ?? ''
    const bound = /^\+?inf$/i.test(le) ? Number.POSITIVE_INFINITY : le === '' ? Number.NaN : Number(le) * factor
    const known = series.cumulative.get(bound)
    series.cumulative.set(bound, known === undefined || Number.isNaN(value) ? value : Math.max(known, value))
  }
  return [...byKey].map(([key, series]) => ({ key, ...series }))
}

const matches = (labels: Readonly<Record<string, string>>, where: MetricRef['where']): boolean =>
  where === undefined || Object.entries(where).every(([name, value]) => labels[name] === value)

const keyOf = (labels: Readonly<Record<string, string>>, without?: string): string =>
  JSON.stringify(
    Object.entries(labels)
      .filter(([name]) => name !== without && !MIRROR_LABELS.has(name))
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)),
  )
