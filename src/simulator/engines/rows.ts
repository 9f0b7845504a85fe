import { FINISH_REASONS, type Histogram, type Meter, type Series } from '../meter.ts'
import type { Family, Labels } from '../metrics-text.ts'
import type { Queue } from '../queue.ts'
import { BLOCK_TOKENS } from '../tokens.ts'

/** What a site shows of itself, whatever its engine calls it. */
export interface SiteView {
  readonly models: readonly string[]
  readonly engines: number
  readonly queue: Queue
  readonly meter: Meter
  /** Blocks in the cache of one engine. */
  readonly kvBlocks: number
  /** Seconds since the epoch. */
  readonly nowS: number
}

/** One model on one engine, synthetic requests counted with the first model. */
export interface Row {
  readonly engine: number
  readonly model: string
  readonly running: number
  readonly waiting: number
  readonly kvRatio: number
  readonly kvBlocks: number
  readonly series: Series
}

/** What a synthetic request occupies in the cache, in tokens. */
const SYNTHETIC_TOKENS = 1_024

/** The rows of a site. */
export const rowsOf = (view: SiteView): Row[] =>
  Array.from({ length: view.engines }, (_, engine) =>
    view.models.map((model, index): Row => {
      const running = index === 0 ? view.queue.syntheticRunning(engine) : 0
      const series = view.meter.of(engine, model)
      return {
        engine,
        model,
        series,
        running: running + view.queue.running(engine, model),
        waiting: (index === 0 ? view.queue.syntheticWaiting(engine) : 0) + view.queue.waiting(engine, model),
        kvRatio: Math.min(1, (series.kvTokens + running * SYNTHETIC_TOKENS) / (view.kvBlocks * BLOCK_TOKENS)),
        kvBlocks: view.kvBlocks,
      }
    }),
  ).flat()

/** Writes families about rows that all carry the same labels. */
export const writer = (rows: readonly Row[], labels: (row: Row) => Labels) => ({
  gauge: (name: string, help: string, of: (row: Row) => number, extra: Labels = {}): Family => ({
    name,
    help,
    type: 'gauge',
    series: rows.map((row) => [{ ...labels(row), ...extra }, of(row)]),
  }),
  counter: (name: string, help: string, of: (row: Row) => number): Family => ({
    name,
    help,
    type: 'counter',
    series: rows.map((row) => [labels(row), of(row)]),
  }),
  histogram: (name: string, help: string, of: (row: Row) => Histogram, scale = 1): Family => ({
    name,
    help,
    type: 'histogram',
    scale,
    series: rows.map((row) => [labels(row), of(row)]),
  }),
  finished: (name: string, help: string): Family => ({
    name,
    help,
    type: 'counter',
    series: rows.flatMap((row) =>
      FINISH_REASONS.map(
        (reason) => [{ ...labels(row), finished_reason: reason }, row.series.finished[reason]] as const,
      ),
    ),
  }),
})

/** Requests that have ended, however. */
export const ended = (row: Row): number => FINISH_REASONS.reduce((sum, reason) => sum + row.series.finished[reason], 0)

/** Requests that have ended well. */
export const served = (row: Row): number => row.series.finished.stop + row.series.finished.length
