import type { Metadata } from './metadata.ts'
import type { ClassName, SiteName, TargetName } from './names.ts'
import type { Dimension } from './signal-row.ts'
import type { Threshold } from './threshold.ts'

/** How ready a target is for a class: green before amber before red; unknown where nothing fresh says so. */
export const READINESS_STATES = ['green', 'amber', 'red', 'unknown'] as const

/** One of READINESS_STATES. */
export type ReadinessState = (typeof READINESS_STATES)[number]

/** One signal of a dimension, with the limits past which it is amber and red. */
export interface ReadinessLimit {
  readonly signal: string
  readonly amber?: Threshold
  readonly red?: Threshold
  /** Somebody's guess: status lists it and proposes a value from what was measured. */
  readonly estimated: boolean
}

/**
 * Who may come while a target is in a state: every class, or those of these flexibilities, those marked critical, and
 * those named.
 */
export type Admits =
  | 'all'
  | {
      readonly flexibility: readonly ('inflexible' | 'movable' | 'delayable' | 'pausable')[]
      readonly critical: boolean
      readonly classes: readonly ClassName[]
    }

/** What makes a target amber or red, and whom each state lets in: for some sites, some classes, or all. */
export interface ReadinessDocument {
  readonly metadata: Metadata
  /** Absent: all sites. */
  readonly sites?: readonly SiteName[]
  /** Absent: all classes. */
  readonly classes?: readonly ClassName[]
  /** Limits by dimension; a signal named here replaces what a less particular document says of it. */
  readonly limits: Readonly<Partial<Record<Dimension, readonly ReadinessLimit[]>>>
  /** Whom amber and red let in, by dimension. */
  readonly admits: Readonly<Partial<Record<Dimension, Readonly<Partial<Record<'amber' | 'red' | 'unknown', Admits>>>>>>
  /** The last game day may be so long ago, in milliseconds. */
  readonly gameDayMaxMs?: number
}

/** One dimension of a target's readiness for a class, with the number that made it so. */
export interface DimensionReadiness {
  readonly state: ReadinessState
  readonly signal?: string
  readonly measured?: number | string
  readonly limit?: number
  readonly unit?: string
  readonly ageMs?: number
  readonly says: string
}

/** The readiness of a target for a class. */
export interface TargetReadiness {
  readonly target: TargetName
  readonly class: ClassName
  readonly overall: ReadinessState
  readonly dimensions: Readonly<Record<Dimension, DimensionReadiness>>
}

const CRITICAL: Admits = { flexibility: [], critical: true, classes: [] }
const FIRM: Admits = { flexibility: ['inflexible', 'movable'], critical: true, classes: [] }
const NOBODY: Admits = { flexibility: [], critical: false, classes: [] }
const min = (limit: number, resume: number): Threshold => ({ op: 'min', limit, resume })
const max = (limit: number, resume: number): Threshold => ({ op: 'max', limit, resume })
const limit = (signal: string, amber?: Threshold, red?: Threshold): ReadinessLimit => ({
  signal,
  ...(amber === undefined ? {} : { amber }),
  ...(red === undefined ? {} : { red }),
  estimated: false,
})

/**
 * What holds where no document says otherwise. Power sheds flexible work at 85 % of the budget and everything but
 * critical work at 99 %, each with a lower release point; a leak or no cooling margin lets nobody in. Queue, latency and
 * errors are shown and keep nobody out: policies have limits of their own for them.
 */
export const READINESS_DEFAULT: ReadinessDocument = {
  metadata: { name: 'built-in' },
  limits: {
    power: [
      limit('power.headroom_pct', min(15, 20), min(1, 3)),
      limit('power.state', max(0, 0), max(1, 0)),
      limit('grid.emergency', undefined, max(0, 0)),
    ],
    cooling: [
      limit('cooling.margin_c', min(2, 4), min(0, 1)),
      limit('cooling.margin_pct', min(10, 20), min(0, 5)),
      limit('leak.detected', undefined, max(0, 0)),
    ],
    gpu: [
      limit('gpu.healthy_ratio', min(0.95, 1), min(0.5, 0.75)),
      limit('gpu.throttled_ratio', max(0.1, 0.05), max(0.5, 0.25)),
    ],
    queue: [limit('queue.depth', max(40, 32), max(200, 120)), limit('kv.used_ratio', max(0.9, 0.8))],
    latency: [limit('ttft.p95_ms', max(1_000, 800), max(5_000, 3_000))],
    errors: [
      limit('errors.ratio', max(0.01, 0.005), max(0.1, 0.05)),
      limit('errors.passive_ratio', max(0.01, 0.005), max(0.1, 0.05)),
    ],
  },
  admits: {
    power: { amber: FIRM, red: CRITICAL },
    cooling: { amber: FIRM, red: NOBODY },
  },
  gameDayMaxMs: 180 * 86_400_000,
}

/** The dimensions whose red is a hard loss: it acts at once, and nothing overrides it. */
export const SAFETY_DIMENSIONS: readonly Dimension[] = ['power', 'cooling']

/** The readiness of targets for classes, a page of it. */
export interface ReadinessPage {
  readonly rows: readonly TargetReadiness[]
  /** The row to go on with, where there are more. */
  readonly next?: number
}

/** A threshold that somebody guessed, and what was measured since. */
export interface Estimate {
  /** `Readiness/house` or `Policy/training@1`. */
  readonly document: string
  readonly owner?: string
  readonly signal: string
  readonly unit: string
  readonly use: 'limit' | 'band' | 'amber' | 'red'
  readonly threshold: Threshold
  /** What its targets measured; null: nothing yet. */
  readonly measured: {
    readonly samples: number
    /** Over how many hours. */
    readonly hours: number
    readonly p5: number
    readonly p50: number
    readonly p95: number
  } | null
  /** The limit and resume value that the measured values suggest; null: too few, or a limit of safety that no past can tell. */
  readonly proposed: { readonly limit: number; readonly resume: number } | null
  readonly says: string
}
