import type { ClassName, EpochMs, TargetName } from './names.ts'

/**
 * What one admitted job holds until it reports its end or its token ages out. Each hubward knows only its own
 * reservations: two of them can give away the same headroom once each.
 */
export interface Reservation {
  /** The id of the decision that admitted it. */
  readonly id: string
  readonly class: ClassName
  readonly target: TargetName
  /** Declared draw. */
  readonly mw: number
  /** Heat declared, or what the draw makes. */
  readonly coolingKw: number
  readonly gpus: number
  /** What the job has reported to draw already: it shows in the measured draw, so only the rest is held. */
  readonly drawMw: number
  readonly madeAt: EpochMs
  readonly expiresAt: EpochMs
  readonly tenant?: string
}

/** How long a reservation holds without a word from its job: two hours, as the longest admission token. */
export const RESERVATION_LIFE_MS = 7_200_000

/** The most reservations held at once; the next admission is refused rather than made without one. */
export const RESERVATIONS_MAX = 10_000
