/**
 * Where a signal belongs: a site's own (its pools inherit it), one pool's, a coolant loop's (the pools on the loop inherit
 * it), or a link's: from a client region, an ASN or another site to this site.
 */
export type SignalScope = 'site' | 'pool' | 'loop' | 'link'

/** The dimensions of readiness, in the order in which they are shown. */
export const DIMENSIONS = [
  'power',
  'cooling',
  'gpu',
  'queue',
  'latency',
  'errors',
  'observability',
  'procedures',
] as const

/** One of DIMENSIONS. */
export type Dimension = (typeof DIMENSIONS)[number]

/** One named quantity that feeds deliver and policies compare. */
export interface Signal {
  /** The unit of every sample's value, after conversion at the edge; `bool` is 0 or 1, `state` a small whole number. */
  readonly unit: string
  readonly scope: SignalScope
  /** Which way is bad; ranking, lint and the choice of the tightest read it. */
  readonly worseWhen: 'higher' | 'lower'
  /** The smallest and largest value a sample may have; anything else is refused and counted. */
  readonly range: readonly [number, number]
  /** The hard age in milliseconds; absent: the class's `default` freshness applies. */
  readonly staleAfterMs?: number
  /** How many events a value needs before it says anything; below, the sample is `insufficient`. */
  readonly countMin?: number
  /** May be given for one model of a pool beside the pool's own value. */
  readonly byModel?: boolean
  /** Has one value for each class, told and kept as `signal@class`; a policy that names the signal reads its class's. */
  readonly byClass?: true
  /**
   * Several places speak of one target (its site, its coolant loops, the pool itself): the worst value counts, and its
   * age is that of the oldest of them. Without it the newest sample replaces the one before, whatever its place.
   */
  readonly tightest?: boolean
  /** Worked out by the engine from other signals; a sample of it counts as one more place. */
  readonly derived?: boolean
  /** Worked out by the engine for each request: a sample of it is refused. */
  readonly perRequest?: true
  /** How fast the real thing can change, per second; a sample that jumps further is refused once as absurd. */
  readonly stepPerS?: number
  /** Noise is expected: bit-equal values for this long, while samples keep coming, mean a frozen sensor. */
  readonly frozenAfterMs?: number
  /** Its values are smoothed over this time constant in milliseconds before anything is compared with them. */
  readonly smoothMs?: number
  /** One line for the reference. */
  readonly says: string
}
