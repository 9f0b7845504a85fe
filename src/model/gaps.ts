import type { ClassName, EpochMs, SiteName } from './names.ts'
import type { Dimension } from './signal-row.ts'

/** Work that was delayed or refused for one reason. */
export interface WorkGap {
  readonly class: ClassName
  readonly action: 'delay' | 'deny'
  /** A word of CONSTRAINTS, a signal, or a reason where no target was looked at. */
  readonly constraint: string
  /** Answers that said so, each time that somebody came back included. */
  readonly asked: number
  /** Pieces of work behind them: a job that its asker names by a key counts once a day. */
  readonly work: number
  /** How many of these pieces said how much they take, or whose class does: the sums are of them alone. */
  readonly sized: number
  readonly mwh: number
  readonly gpuHours: number
}

/** Hours that a site was amber or red. */
export interface DimensionGap {
  readonly dimension: Dimension
  readonly amberHours: number
  readonly redHours: number
}

/** What one site lacked. */
export interface SiteGaps {
  readonly site: SiteName
  /** Dimensions that were not green for a tenth of the time or more, the worst first; procedures left out. */
  readonly chronic: readonly Dimension[]
  /** Hours in which the worst of its dimensions, procedures left out, was amber, and in which it was red. */
  readonly amberHours: number
  readonly redHours: number
  readonly dimensions: readonly DimensionGap[]
  /** What it turned away, most energy first. */
  readonly work: readonly WorkGap[]
}

/** What the sites lacked in a stretch of time: the capacity planner's page. */
export interface GapsReport {
  /** Whole hours: the first begins here, the last ends there. */
  readonly from: EpochMs
  readonly to: EpochMs
  /** The beginning of the oldest hour that is kept; null: nothing is. */
  readonly since: EpochMs | null
  /** Hours in which somebody watched; what hubward did not see, no sum contains. */
  readonly watchedHours: number
  /** Chronic sites first. */
  readonly sites: readonly SiteGaps[]
  /** Every piece of work once, by what stood in the way at the place it would have gone to first. */
  readonly total: readonly WorkGap[]
}
