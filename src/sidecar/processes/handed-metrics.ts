import { Histogram, type KnownValues, Slots } from '../../metrics/slots.ts'
import { METRICS, type MetricName } from '../../metrics/table.ts'
import type { Metrics } from '../../metrics.ts'

/** What was counted since it was last taken. */
export interface Counted {
  readonly counters: readonly (readonly [name: string, count: number, labels: readonly string[]])[]
  readonly histograms: readonly (readonly [
    name: string,
    buckets: readonly number[],
    sumMs: number,
    labels: readonly string[],
  ])[]
}

/** Metrics of a process that nobody scrapes: what it counts is taken to the main process and added there. */
export interface HandedMetrics extends Metrics {
  readonly take: () => Counted
}

/** Metrics with all counters at 0. Gauges are not read here: each has its place among what is handed over. */
export function createHandedMetrics(): HandedMetrics {
  const known = new Map<string, ReadonlySet<string>>()
  const knownValues: KnownValues = (label) => known.get(label)
  const slots = new Map<string, Slots>()
  const histograms = new Map<string, Map<string, { readonly labels: readonly string[]; readonly of: Histogram }>>()
  for (const [name, row] of Object.entries(METRICS)) {
    if (row.type === 'histogram') histograms.set(name, new Map())
    else if (row.type === 'counter') slots.set(name, new Slots(row.labels, knownValues))
  }
  const histogramOf = (name: MetricName, labels: readonly string[]): Histogram => {
    const all = histograms.get(name)!
    const key = labels.length > 1 ? labels.join('\n') : (labels[0] ?? '')
    let found = all.get(key)
    if (found === undefined) {
      const row = METRICS[name]
      found = { labels, of: new Histogram('scale' in row ? row.scale : 1) }
      all.set(key, found)
    }
    return found.of
  }
  const add = (name: string, count: number, a?: string, b?: string, c?: string, d?: string): void =>
    slots.get(name)!.add(count, a, b, c, d)
  return {
    add: add as Metrics['add'],
    observeMs: (name, ms, ...labels) => histogramOf(name, labels as readonly string[]).observeMs(ms),
    absorb: (name, buckets, sumMs, ...labels) => histogramOf(name, labels as readonly string[]).absorb(buckets, sumMs),
    read: () => {},
    value: (name, ...labels) => slots.get(name)!.value(...(labels as readonly string[])),
    know: (label, values) => {
      known.set(label, new Set(values))
      for (const made of slots.values()) made.refold()
    },
    text: () => Promise.resolve(''),
    contentType: '',
    close: () => {},
    take: () => {
      const counters: [string, number, readonly string[]][] = []
      for (const [name, made] of slots) {
        for (const slot of made.rows()) {
          if (slot.value === 0) continue
          counters.push([name, slot.value, slot.labels])
          slot.value = 0
        }
      }
      const durations: [string, readonly number[], number, readonly string[]][] = []
      for (const [name, all] of histograms) {
        for (const { labels, of } of all.values()) {
          const { buckets, sumMs } = of.counts
          durations.push([name, buckets, sumMs, labels])
        }
        all.clear()
      }
      return { counters, histograms: durations }
    },
  }
}

/** Adds what another process has counted. */
export function addCounted(metrics: Metrics, { counters, histograms }: Counted): void {
  const add = metrics.add as (name: string, count: number, ...labels: readonly string[]) => void
  const absorb = metrics.absorb as (name: string, ...what: readonly unknown[]) => void
  for (const [name, count, labels] of counters) add(name, count, ...labels)
  for (const [name, buckets, sumMs, labels] of histograms) absorb(name, buckets, sumMs, ...labels)
}
