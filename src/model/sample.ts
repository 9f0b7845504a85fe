import type { EpochMs, PoolName, SiteName, SourceName } from './names.ts'

/** One measured value, already in its signal's unit. */
export interface Sample {
  /** A name in SIGNALS; anything else is refused and counted. */
  readonly signal: string
  readonly site: SiteName
  /** Absent, and no loop: the whole site, so each of its pools. */
  readonly pool?: PoolName
  /** A coolant loop of the site, by the name its document gives: the pools on it. */
  readonly loop?: string
  /** For signals of a link, the other end: `region:EMEA`, `asn:1136` or `site:ams`. */
  readonly from?: string
  /** The value is of this model only; allowed where the signal's row says `byModel`. */
  readonly model?: string
  readonly value: number
  /** When it was measured, by the measuring side's clock after correction; never the time it was read. */
  readonly at: EpochMs
  readonly source: SourceName
  /** The value holds until then, whatever its age: the end of a price's interval, of a grid event. */
  readonly validUntil?: EpochMs
  /** How many events stand behind it, for percentiles and ratios. */
  readonly count?: number
  /** The dispatch counter of the target when the scrape was sent, so that own dispatches since can be added. */
  readonly dispatchedBefore?: number
}

/** How one attempt to reach a target ended. */
export type HeartbeatOutcome = 'ok' | 'refused' | 'timeout' | 'error'

/** A sign of life, or the lack of one. A failed scrape is not one: it only ages the samples. */
export interface Heartbeat {
  readonly site: SiteName
  readonly pool?: PoolName
  /** `probe`: we asked; `passive`: connections of real traffic through Envoy. */
  readonly kind: 'probe' | 'passive'
  readonly outcome: HeartbeatOutcome
  readonly at: EpochMs
  readonly source: SourceName
  /** What was seen: `connect ECONNREFUSED`, `503`; shown to operators. */
  readonly detail?: string
}

/** One stretch of time with one value; `to` is not part of it. */
export interface Interval {
  readonly from: EpochMs
  readonly to: EpochMs
  readonly value: number
}

/**
 * A signal's values ahead of time: prices, carbon, off-peak hours, a weather forecast. The running interval's value is
 * the signal's value; those to come say when a class will fit. A new series of the same source, signal and place
 * replaces the one before.
 */
export interface Series {
  readonly signal: string
  readonly site: SiteName
  readonly pool?: PoolName
  /** In the order of time, not overlapping, at most SERIES_INTERVALS_MAX. */
  readonly intervals: readonly Interval[]
  readonly source: SourceName
  /** When the publisher made it. */
  readonly issuedAt: EpochMs
}

/** A week of quarter hours, and a day more. */
export const SERIES_INTERVALS_MAX = 768
