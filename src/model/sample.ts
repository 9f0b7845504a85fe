import type { EpochMs, PoolName, SiteName, SourceName } from './names.ts'

/** One measured value, already in its signal's unit. */
export interface Sample {
  /** A name in SIGNALS; anything else is refused and counted. */
  readonly signal: string
  readonly site: SiteName
  /** Absent: the whole site, so each of its pools. */
  readonly pool?: PoolName
  /** The value is of this model only; allowed where the signal's row says `byModel`. */
  readonly model?: string
  readonly value: number
  /** When it was measured, by the measuring side's clock after correction; never the time it was read. */
  readonly at: EpochMs
  readonly source: SourceName
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
