import { monitorEventLoopDelay } from 'node:perf_hooks'
import { collectDefaultMetrics, type Metric, Registry } from 'prom-client'
import { Histograms } from './metrics/histograms.ts'
import { type Slot, Slots } from './metrics/slots.ts'
import { type LabelsOf, METRICS, type MetricName, type MetricOf } from './metrics/table.ts'

/** Numbers with labels at the moment of a scrape. */
export type Reading<Name extends MetricName> = readonly (readonly [labels: LabelsOf<Name>, value: number])[]

/** All numbers that hubward counts. Counting calls no library; prom-client writes them when somebody scrapes. */
export interface Metrics {
  /** Adds to a counter. */
  readonly add: <Name extends MetricOf<'counter'>>(name: Name, count: number, ...labels: LabelsOf<Name>) => void
  /** Counts a duration in milliseconds. */
  readonly observeMs: <Name extends MetricOf<'histogram'>>(name: Name, ms: number, ...labels: LabelsOf<Name>) => void
  /** Takes in durations that another process has counted. */
  readonly absorb: <Name extends MetricOf<'histogram'>>(
    name: Name,
    buckets: readonly number[],
    sumMs: number,
    ...labels: LabelsOf<Name>
  ) => void
  /** Has a counter or gauge read at every scrape, from what is counted elsewhere. */
  readonly read: <Name extends MetricOf<'counter' | 'gauge'>>(name: Name, read: () => Reading<Name>) => void
  /** What a counter has come to with these labels. */
  readonly value: <Name extends MetricOf<'counter'>>(name: Name, ...labels: LabelsOf<Name>) => number
  /** Says which values a label may have from now on; others are counted under `other`. */
  readonly know: (label: string, values: Iterable<string>) => void
  /** The text of a scrape, and its content type. */
  readonly text: () => Promise<string>
  readonly contentType: string
  readonly close: () => void
}

/** What adds to these counters; labels are handed on one by one, so that counting makes no list of them. */
export const countingInto = (slots: ReadonlyMap<string, Slots>): Metrics['add'] => {
  const add = (name: string, count: number, a?: string, b?: string, c?: string, d?: string): void =>
    slots.get(name)!.add(count, a, b, c, d)
  return add as Metrics['add']
}

/** What prom-client asks of a metric when it writes one. */
interface Written {
  readonly name: string
  readonly get: () => {
    readonly name: string
    readonly help: string
    readonly type: string
    readonly values: readonly {
      readonly labels: Record<string, string | number>
      readonly value: number
      readonly metricName?: string
    }[]
  }
  readonly reset: () => void
}

/** Metrics with all counters at 0. `process` adds the usual numbers of the process and the event loop's delay. */
export function createMetrics(options: { readonly process?: boolean } = {}): Metrics {
  const registry = new Registry()
  const known = new Map<string, ReadonlySet<string>>()
  const slots = new Map<string, Slots>()
  const histograms = new Map<string, Histograms>()
  const readers = new Map<string, () => readonly (readonly [readonly string[], number])[]>()
  const rowsOf = (name: string): readonly Slot[] =>
    readers
      .get(name)?.()
      .map(([labels, value]) => ({ labels, value })) ??
    slots.get(name)?.rows() ??
    []

  for (const [name, row] of Object.entries(METRICS)) {
    const labels: readonly string[] = row.labels
    if (row.type === 'histogram') {
      const made = new Histograms(labels, 'scale' in row ? row.scale : 1)
      // One without labels is there from the start, as counters are.
      if (labels.length === 0) made.of([])
      histograms.set(name, made)
    } else if (row.type === 'counter') {
      const made = new Slots(labels, (label) => known.get(label))
      // A counter without labels is there from the start, at 0, so that its first rise can be seen.
      if (labels.length === 0) made.add(0)
      slots.set(name, made)
    }
    const written: Written = {
      name,
      get: () => ({
        name,
        help: row.says,
        type: row.type,
        values:
          row.type === 'histogram'
            ? histograms.get(name)!.values(name)
            : rowsOf(name).map((slot) => ({
                labels: Object.fromEntries(labels.map((label, index) => [label, slot.labels[index] ?? ''])),
                value: slot.value,
              })),
      }),
      reset: () => {},
    }
    registry.registerMetric(written as unknown as Metric)
  }

  const metrics: Metrics = {
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
    read: (name, read) => {
      readers.set(name, read as unknown as () => readonly (readonly [readonly string[], number])[])
    },
    value: (name, ...labels) => slots.get(name)!.value(...(labels as readonly string[])),
    know: (label, values) => {
      known.set(label, new Set(values))
      for (const made of slots.values()) made.refold()
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
    close: () => {},
  }
  return options.process === true ? withProcess(metrics, registry) : metrics
}

function withProcess(metrics: Metrics, registry: Registry): Metrics {
  collectDefaultMetrics({ register: registry })
  const delay = monitorEventLoopDelay({ resolution: 20 })
  delay.enable()
  metrics.read('hubward_event_loop_delay_max_seconds', () => {
    const seconds = delay.count === 0 ? 0 : delay.max / 1e9
    delay.reset()
    return [[[], seconds]]
  })
  return {
    ...metrics,
    close: () => {
      delay.disable()
      registry.clear()
    },
  }
}
