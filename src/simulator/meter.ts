/** Upper bounds of a histogram's buckets, ascending; +Inf is understood. */
export type Bounds = readonly number[]

// Those of vllm/v1/metrics/loggers.py, in seconds; trtllm-serve took over the same.
const TTFT_S: Bounds = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560,
]
const TOKEN_S: Bounds = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80]
const REQUEST_S: Bounds = [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680]
// Those of sglang's metrics collector.
const SGLANG_S: Bounds = [0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8, 10, 20, 40, 60, 80, 100, 200, 400]
const SGLANG_TOKEN_S: Bounds = [
  0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.04, 0.06, 0.08, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4,
  6, 8,
]

/** Bucket bounds in seconds by what is measured. */
export interface BoundSet {
  readonly ttft: Bounds
  readonly itl: Bounds
  readonly e2e: Bounds
  readonly queueTime: Bounds
}

/** vLLM's buckets. */
export const VLLM_BOUNDS: BoundSet = { ttft: TTFT_S, itl: TOKEN_S, e2e: REQUEST_S, queueTime: REQUEST_S }
/** SGLang's buckets. */
export const SGLANG_BOUNDS: BoundSet = {
  ttft: SGLANG_S,
  itl: SGLANG_TOKEN_S,
  e2e: [...SGLANG_S, 800],
  queueTime: SGLANG_S,
}
/** Triton's, which knows the first response only: 100, 500, 2000 and 5000 ms. */
export const TRITON_BOUNDS: BoundSet = { ...VLLM_BOUNDS, ttft: [0.1, 0.5, 2, 5] }

/** A cumulative Prometheus histogram. */
export class Histogram {
  readonly bounds: Bounds
  /** Observations by bucket, not yet added up; the last is +Inf. */
  readonly counts: number[]
  sum = 0
  count = 0

  constructor(bounds: Bounds) {
    this.bounds = bounds
    this.counts = new Array<number>(bounds.length + 1).fill(0)
  }

  /** Counts one value, in seconds. */
  observe(value: number): void {
    const found = this.bounds.findIndex((bound) => value <= bound)
    const index = found < 0 ? this.bounds.length : found
    this.counts[index]! += 1
    this.sum += value
    this.count += 1
  }
}

/** How requests end, in vLLM's words. */
export const FINISH_REASONS = ['stop', 'length', 'abort', 'error'] as const

/** One of FINISH_REASONS. */
export type FinishReason = (typeof FINISH_REASONS)[number]

/** What is counted of one model on one engine. */
export interface Series {
  kvTokens: number
  promptTokens: number
  generationTokens: number
  preemptions: number
  cacheQueries: number
  cacheHits: number
  readonly finished: Record<FinishReason, number>
  readonly ttft: Histogram
  readonly itl: Histogram
  readonly e2e: Histogram
  readonly queueTime: Histogram
}

/** The counters of a site. Their number is fixed by its models and engines, whatever requests come. */
export class Meter {
  readonly #series: Map<string, Series>[]

  constructor(models: readonly string[], engines: number, bounds: BoundSet) {
    this.#series = Array.from({ length: engines }, () => new Map(models.map((model) => [model, newSeries(bounds)])))
  }

  /** The counters of a served model on an engine. */
  of(engine: number, model: string): Series {
    return this.#series[engine]!.get(model)!
  }

  /** Tokens in the cache of an engine, over its models. */
  kvTokens(engine: number): number {
    let sum = 0
    for (const series of this.#series[engine]!.values()) sum += series.kvTokens
    return sum
  }
}

const newSeries = (bounds: BoundSet): Series => ({
  kvTokens: 0,
  promptTokens: 0,
  generationTokens: 0,
  preemptions: 0,
  cacheQueries: 0,
  cacheHits: 0,
  finished: { stop: 0, length: 0, abort: 0, error: 0 },
  ttft: new Histogram(bounds.ttft),
  itl: new Histogram(bounds.itl),
  e2e: new Histogram(bounds.e2e),
  queueTime: new Histogram(bounds.queueTime),
})
