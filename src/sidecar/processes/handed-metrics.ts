import { Histograms } from '../../metrics/histograms.ts'
import { type KnownValues, Slots } from '../../metrics/slots.ts'
import { METRICS } from '../../metrics/table.ts'
import { countingInto, type Metrics } from '../../metrics.ts'

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
  const histograms = new Map<string, Histograms>()
  for (const [name, row] of Object.entries(METRICS)) {
    if (row.type === 'histogram') histograms.set(name, new Histograms(row.labels, 'scale' in row ? row.scale : 1))
    else if (row.type === 'counter') slots.set(name, new Slots(row.labels, knownValues))
  }
  return {
    add: countingInto(slots),
    observeMs: (name, ms, ...labels) =>
      histograms
        .get(name)!
        .of(labels as readonly string[])
        .observeMs(ms),
    absorb: (name, buckets, sumMs, ...labels) =>
      histograms
        .get(name)!
        .of(labels as readonly string[])
        .absorb(buckets, sumMs),
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
        for (const [labels, { buckets, sumMs }] of all.take()) durations.push([name, buckets, sumMs, labels])
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
