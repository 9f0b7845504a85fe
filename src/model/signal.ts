/** Where a signal belongs: a site's own (its pools inherit it) or one pool's. */
export type SignalScope = 'site' | 'pool'

/** One named quantity that feeds deliver and policies compare. */
export interface Signal {
  /** The unit of every sample's value, after conversion at the edge; `bool` is 0 or 1. */
  readonly unit: string
  readonly scope: SignalScope
  /** Which way is bad; ranking and lint read it. */
  readonly worseWhen: 'higher' | 'lower'
  /** The smallest and largest value a sample may have; anything else is refused and counted. */
  readonly range: readonly [number, number]
  /** The hard age in milliseconds; absent: the class's `default` freshness applies. */
  readonly staleAfterMs?: number
  /** How many events a value needs before it says anything; below, the sample is `insufficient`. */
  readonly countMin?: number
  /** May be given for one model of a pool beside the pool's own value. */
  readonly byModel?: boolean
  /** Acts at once and hard, whatever the policy says: the value beyond which the target is red, and the one that ends it. */
  readonly red?: { readonly min: number; readonly resume: number } | { readonly max: number; readonly resume: number }
  /** One line for the reference. */
  readonly says: string
}

const MS = [0, 3_600_000] as const
const RATIO = [0, 1] as const
const COUNT = [0, 10_000_000] as const
const BOOL = [0, 1] as const

/**
 * Every signal a site can report. To add one, add a row: feeds, schema, lint and docs read this table.
 * Hard ages are those of docs/reference/signals.md; counts for percentiles: 100, 200 and 1000 events for p50, p95, p99.
 */
export const SIGNALS = {
  'queue.depth': {
    unit: 'requests',
    scope: 'pool',
    worseWhen: 'higher',
    range: COUNT,
    staleAfterMs: 5_000,
    says: 'requests that wait for a slot',
  },
  'queue.running': {
    unit: 'requests',
    scope: 'pool',
    worseWhen: 'higher',
    range: COUNT,
    staleAfterMs: 5_000,
    says: 'requests being served',
  },
  'queue.wait_p95_ms': {
    unit: 'ms',
    scope: 'pool',
    worseWhen: 'higher',
    range: MS,
    staleAfterMs: 15_000,
    countMin: 200,
    says: 'time in the queue, 95th percentile',
  },
  'kv.used_ratio': {
    unit: 'ratio',
    scope: 'pool',
    worseWhen: 'higher',
    range: RATIO,
    staleAfterMs: 5_000,
    says: 'share of the key-value cache in use',
  },
  'ttft.p50_ms': {
    unit: 'ms',
    scope: 'pool',
    worseWhen: 'higher',
    range: MS,
    staleAfterMs: 15_000,
    countMin: 100,
    byModel: true,
    says: 'time to first token, median',
  },
  'ttft.p95_ms': {
    unit: 'ms',
    scope: 'pool',
    worseWhen: 'higher',
    range: MS,
    staleAfterMs: 15_000,
    countMin: 200,
    byModel: true,
    says: 'time to first token, 95th percentile',
  },
  'ttft.p99_ms': {
    unit: 'ms',
    scope: 'pool',
    worseWhen: 'higher',
    range: MS,
    staleAfterMs: 15_000,
    countMin: 1_000,
    byModel: true,
    says: 'time to first token, 99th percentile',
  },
  'itl.p50_ms': {
    unit: 'ms',
    scope: 'pool',
    worseWhen: 'higher',
    range: MS,
    staleAfterMs: 15_000,
    countMin: 100,
    byModel: true,
    says: 'time between tokens, median',
  },
  'itl.p95_ms': {
    unit: 'ms',
    scope: 'pool',
    worseWhen: 'higher',
    range: MS,
    staleAfterMs: 15_000,
    countMin: 200,
    byModel: true,
    says: 'time between tokens, 95th percentile; slow tokens are an early sign of trouble',
  },
  'response.p50_ms': {
    unit: 'ms',
    scope: 'pool',
    worseWhen: 'higher',
    range: MS,
    staleAfterMs: 15_000,
    countMin: 100,
    byModel: true,
    says: 'whole request, median',
  },
  'response.p95_ms': {
    unit: 'ms',
    scope: 'pool',
    worseWhen: 'higher',
    range: MS,
    staleAfterMs: 15_000,
    countMin: 200,
    byModel: true,
    says: 'whole request, 95th percentile',
  },
  'response.p99_ms': {
    unit: 'ms',
    scope: 'pool',
    worseWhen: 'higher',
    range: MS,
    staleAfterMs: 15_000,
    countMin: 1_000,
    byModel: true,
    says: 'whole request, 99th percentile',
  },
  'errors.ratio': {
    unit: 'ratio',
    scope: 'pool',
    worseWhen: 'higher',
    range: RATIO,
    staleAfterMs: 15_000,
    countMin: 20,
    byModel: true,
    says: 'share of requests that ended in an error',
  },
  'preemptions.per_s': {
    unit: '1/s',
    scope: 'pool',
    worseWhen: 'higher',
    range: COUNT,
    staleAfterMs: 15_000,
    says: 'requests put back for lack of cache',
  },
  'cache.hit_ratio': {
    unit: 'ratio',
    scope: 'pool',
    worseWhen: 'lower',
    range: RATIO,
    staleAfterMs: 15_000,
    says: 'prefix-cache hits by queries',
  },
  'replica.warm': {
    unit: 'bool',
    scope: 'pool',
    worseWhen: 'lower',
    range: BOOL,
    staleAfterMs: 15_000,
    says: 'a replica has its model loaded and answers',
  },
  'cache.warm': {
    unit: 'bool',
    scope: 'pool',
    worseWhen: 'lower',
    range: BOOL,
    staleAfterMs: 60_000,
    says: 'the prefix cache has been filled since the start',
  },
  'network.rtt_ms': {
    unit: 'ms',
    scope: 'site',
    worseWhen: 'higher',
    range: MS,
    staleAfterMs: 15_000,
    says: 'round trip from this gateway, newest',
  },
  'network.rtt_p95_ms': {
    unit: 'ms',
    scope: 'site',
    worseWhen: 'higher',
    range: MS,
    staleAfterMs: 15_000,
    says: 'round trip from this gateway, 95th percentile of the last minute',
  },
  'network.tls_ms': {
    unit: 'ms',
    scope: 'site',
    worseWhen: 'higher',
    range: MS,
    staleAfterMs: 30_000,
    says: 'TLS handshake with the site',
  },
  'network.ttfb_ms': {
    unit: 'ms',
    scope: 'pool',
    worseWhen: 'higher',
    range: MS,
    staleAfterMs: 15_000,
    says: "first byte of the probe's answer",
  },
  'gpu.utilisation_ratio': {
    unit: 'ratio',
    scope: 'pool',
    worseWhen: 'higher',
    range: RATIO,
    staleAfterMs: 65_000,
    says: 'share of time in which some kernel ran',
  },
  'gpu.free': {
    unit: 'gpus',
    scope: 'pool',
    worseWhen: 'lower',
    range: COUNT,
    staleAfterMs: 65_000,
    says: 'accelerators nobody uses',
  },
  'power.headroom_mw': {
    unit: 'MW',
    scope: 'site',
    worseWhen: 'lower',
    range: [-10_000, 10_000],
    staleAfterMs: 30_000,
    says: 'power budget less draw',
  },
  'power.headroom_pct': {
    unit: '%',
    scope: 'site',
    worseWhen: 'lower',
    range: [-100, 100],
    staleAfterMs: 30_000,
    red: { min: 1, resume: 3 },
    says: 'power budget less draw, by the budget',
  },
  'cooling.margin_c': {
    unit: 'Cel',
    scope: 'site',
    worseWhen: 'lower',
    range: [-100, 100],
    staleAfterMs: 30_000,
    red: { min: 0, resume: 1 },
    says: 'degrees left before the cooling limit',
  },
  'leak.detected': {
    unit: 'bool',
    scope: 'site',
    worseWhen: 'higher',
    range: BOOL,
    staleAfterMs: 30_000,
    red: { max: 0, resume: 0 },
    says: 'a leak detector is wet',
  },
  'grid.emergency': {
    unit: 'bool',
    scope: 'site',
    worseWhen: 'higher',
    range: BOOL,
    red: { max: 0, resume: 0 },
    says: 'the grid operator calls for load to be shed',
  },
  'price.per_mwh': {
    unit: 'EUR/MWh',
    scope: 'site',
    worseWhen: 'higher',
    range: [-10_000, 100_000],
    says: 'electricity price of the running interval',
  },
  'cost.per_gpu_hour': {
    unit: 'EUR/h',
    scope: 'pool',
    worseWhen: 'higher',
    range: [0, 10_000],
    says: 'what an hour of one accelerator costs',
  },
  'carbon.g_per_kwh': {
    unit: 'g/kWh',
    scope: 'site',
    worseWhen: 'higher',
    range: [0, 5_000],
    staleAfterMs: 10_800_000,
    says: 'carbon intensity of the grid',
  },
} as const satisfies Record<string, Signal>

/** The name of a signal in the table. */
export type SignalName = keyof typeof SIGNALS

/** The row of a signal, or undefined for a name that is not in the table. */
export const signalOf = (name: string): Signal | undefined =>
  Object.hasOwn(SIGNALS, name) ? SIGNALS[name as SignalName] : undefined

/** Where the values of a signal are kept: the signal alone, or the signal for one model, `itl.p95_ms|llama-3.1-70b`. */
export const columnKey = (signal: string, model?: string): string =>
  model === undefined ? signal : `${signal}|${model}`
