import type { EpochMs } from './names.ts'
import type { Verdict } from './outcome.ts'

/** What measurements can be told apart by. To add one, add a row here and where outcomes are counted. */
export const MEASURED_BY = {
  site: 'the site that served',
  pool: 'the pool that served, as `site/pool`',
  gpu: 'the accelerators of that pool: the instance type',
  class: 'the workload class',
  region: 'the region of the client',
  tier: 'the tier of the tenant',
  model: 'the model that served',
  revision: 'the revision of the model that served, as `model@revision`',
  promptType: "the type of the prompt, where the user's facts have `promptType`",
  hour: 'the hour of the day, in UTC',
  arm: 'the arm of the rollout',
  rollout: 'the rollout that the request took part in',
  policy: 'the policy and its version',
} as const satisfies Record<string, string>

/** A key of MEASURED_BY. */
export type MeasuredBy = keyof typeof MEASURED_BY

/** All of MEASURED_BY, in their order. */
export const MEASURED_DIMENSIONS = Object.keys(MEASURED_BY) as readonly MeasuredBy[]

/** At most so many are told apart at once. */
export const BY_MAX = 3

/** Times of which quantiles are kept. */
export const MEASURED_TIMES = {
  response: 'the whole request; of one that timed out, until then',
  ttft: 'to the first byte of the body',
  held: 'held by hubward',
  network: 'to the site and back, as the gateway measures it',
  queue: "the pool's median wait, at most what is left",
  prefill: 'what is left of the time to the first token',
  decode: 'from the first byte of the body to the last',
} as const satisfies Record<string, string>

/** A key of MEASURED_TIMES. */
export type MeasuredTime = keyof typeof MEASURED_TIMES

/** Quantiles in ms. One with too few events behind it (100, 200 and 1,000) is null and named as insufficient. */
export interface Percentiles {
  readonly count: number
  readonly p50: number | null
  readonly p95: number | null
  readonly p99: number | null
  readonly insufficient: readonly ('p50' | 'p95' | 'p99')[]
}

/** What was measured of the requests that share some labels. Ratios are null where nothing was counted. */
export interface Measured {
  readonly by: Readonly<Partial<Record<MeasuredBy, string>>>
  readonly requests: number
  readonly verdicts: Readonly<Record<Verdict, number>>
  /** Errors and time-outs of those that a site had to answer. */
  readonly errorRatio: number | null
  /** Served elsewhere than at the first choice, or by the smaller model, of those that were served at all. */
  readonly fallbackRatio: number | null
  readonly degraded: number
  readonly retried: number
  /** Within the class's latency objective, of those that it could be told of. */
  readonly sloRatio: number | null
  readonly times: Readonly<Record<MeasuredTime, Percentiles>>
  readonly tokens: {
    /** Of those answers that told their tokens. */
    readonly prompt: number
    readonly completion: number
    /** Completion tokens by second of the time that is told of. */
    readonly perS: number | null
    /** Completion tokens by second of decoding: how fast one answer comes. */
    readonly perStreamS: number | null
    /** What the pools' model servers said of all their requests, on average over these. */
    readonly poolPerS: number | null
  }
  /** Prefix-cache hits by queries as the pools said, on average over these requests. */
  readonly cacheHitRatio: number | null
}

/** An answer of the measurements. */
export interface Measurements {
  readonly from: EpochMs
  readonly to: EpochMs
  /** How long the stretches of time are of which it is made; it begins at the begin of one. */
  readonly stretchMs: number
  readonly by: readonly MeasuredBy[]
  /** Those with the most requests first. */
  readonly rows: readonly Measured[]
  /** Rows beyond the most that are told. */
  readonly left: number
  /** Requests since the start of hubward for which there was no room under their own labels. */
  readonly folded: number
}

/** What is asked of the measurements. */
export interface MeasurementsAsked {
  readonly by: readonly MeasuredBy[]
  /** Only requests with these labels. */
  readonly where: Readonly<Partial<Record<MeasuredBy, string>>>
  readonly from: EpochMs
  readonly to: EpochMs
}
