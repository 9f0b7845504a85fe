import { bucketQuantile } from '../math/bucket-quantile.ts'
import type { Sample } from '../model/sample.ts'
import { signalOf } from '../model/signal.ts'
import { RecentCounts, windowStart } from './window.ts'

/** What a sample says, without where and by whom it was measured. */
export type Measured = Pick<Sample, 'signal' | 'value'> & Partial<Pick<Sample, 'model' | 'count' | 'at'>>

/** What is counted by bucket. */
export type Timing = 'ttft' | 'itl' | 'response' | 'wait'

/** How a request ended, as far as the server answers for it. */
export type Ending = 'well' | 'badly'

const QUANTILES: Readonly<Record<Timing, readonly (readonly [signal: string, q: number])[]>> = {
  ttft: [
    ['ttft.p50_ms', 0.5],
    ['ttft.p95_ms', 0.95],
    ['ttft.p99_ms', 0.99],
  ],
  itl: [
    ['itl.p50_ms', 0.5],
    ['itl.p95_ms', 0.95],
  ],
  response: [
    ['response.p50_ms', 0.5],
    ['response.p95_ms', 0.95],
    ['response.p99_ms', 0.99],
  ],
  wait: [
    ['queue.wait_p50_ms', 0.5],
    ['queue.wait_p95_ms', 0.95],
  ],
}

/** What is added up for the whole pool. */
export type Summed = 'preemptions' | 'tokens' | 'hits' | 'queries'

const RATES = [
  ['preemptions', 'preemptions.per_s'],
  ['tokens', 'tokens.per_s'],
] as const

/** Models that are told apart in one pool; the rest only count for the pool. */
export const MODELS_MAX = 64

/**
 * What happened in one pool within the last minute, counted from all its replicas and ranks: buckets are added up and
 * percentiles taken of the sums, never averaged. The pool's own values are kept under the model ''.
 */
export class ModelWindows {
  readonly #timings = new Map<Timing, Map<string, RecentCounts<number>>>()
  readonly #endings = new Map<string, RecentCounts<Ending>>()
  readonly #sums = new RecentCounts<Summed>()
  readonly #models = new Set<string>()
  #since: number | undefined
  /** Whether some model was counted for the pool alone, there being too many. */
  tooManyModels = false

  /** Counts from this moment, where it has not begun: the time of the first baseline. */
  begin(at: number): void {
    this.#since ??= at
  }

  /** Counts events of one model's histogram by upper bound in milliseconds. */
  timing(timing: Timing, model: string | undefined, deltas: ReadonlyMap<number, number>, now: number): void {
    let byModel = this.#timings.get(timing)
    if (byModel === undefined) {
      byModel = new Map()
      this.#timings.set(timing, byModel)
    }
    for (const name of this.#names(model)) {
      let counts = byModel.get(name)
      if (counts === undefined) {
        counts = new RecentCounts()
        byModel.set(name, counts)
      }
      for (const [bound, n] of deltas) counts.add(bound, n, now)
    }
  }

  /** Counts requests of one model that ended. */
  ended(ending: Ending, model: string | undefined, n: number, now: number): void {
    for (const name of this.#names(model)) {
      let counts = this.#endings.get(name)
      if (counts === undefined) {
        counts = new RecentCounts()
        this.#endings.set(name, counts)
      }
      counts.add(ending, n, now)
    }
  }

  /** Counts something of the whole pool. */
  sum(what: Summed, n: number, now: number): void {
    this.#sums.add(what, n, now)
  }

  /**
   * The percentiles, ratios and rates of the window that ends now. A pool in which nothing happened has waited for
   * nothing: its percentiles and error ratio are 0 with a count of 0, which the engine takes as insufficient.
   */
  measured(now: number): Measured[] {
    const all: Measured[] = []
    for (const [timing, byModel] of this.#timings) {
      for (const [model, counts] of byModel) all.push(...percentiles(timing, model, counts.totals(now)))
    }
    for (const [model, endings] of this.#endings) {
      const totals = endings.totals(now)
      const badly = totals.get('badly') ?? 0
      const count = badly + (totals.get('well') ?? 0)
      all.push({ signal: 'errors.ratio', value: count === 0 ? 0 : badly / count, count, ...named(model) })
    }
    const sums = this.#sums.totals(now)
    const forMs = now - Math.max(this.#since ?? now, windowStart(now))
    for (const [what, signal] of RATES) {
      const n = sums.get(what)
      if (n !== undefined && forMs > 0) all.push({ signal, value: (n * 1_000) / forMs })
    }
    const queries = sums.get('queries') ?? 0
    if (queries > 0) {
      const value = Math.min(1, (sums.get('hits') ?? 0) / queries)
      all.push({ signal: 'cache.hit_ratio', value })
    }
    return all
  }

  #names(model: string | undefined): string[] {
    if (model === undefined || model === '' || model.length > 256) return ['']
    if (!this.#models.has(model)) {
      this.tooManyModels ||= this.#models.size >= MODELS_MAX
      if (this.#models.size >= MODELS_MAX) return ['']
      this.#models.add(model)
    }
    return ['', model]
  }
}

const percentiles = (timing: Timing, model: string, totals: ReadonlyMap<number, number>): Measured[] => {
  const bounds = [...totals.keys()].sort((a, b) => a - b)
  const counts = bounds.map((bound) => totals.get(bound)!)
  const count = counts.reduce((sum, n) => sum + n, 0)
  return QUANTILES[timing]
    .filter(([signal]) => model === '' || signalOf(signal)?.byModel === true)
    .map(([signal, q]) => ({ signal, value: bucketQuantile(bounds, counts, q) ?? 0, count, ...named(model) }))
}

const named = (model: string): { model?: string } => (model === '' ? {} : { model })
