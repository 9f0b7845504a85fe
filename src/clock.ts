import type { EpochMs } from './model/names.ts'

/** Where the time comes from. Whole milliseconds; never less than what it gave before. */
export interface Clock {
  readonly now: () => EpochMs
}

/** A clock that stands still until it is told. */
export interface ManualClock extends Clock {
  readonly advance: (ms: number) => void
}

/**
 * The system's time, that never goes back. When somebody sets the wall clock back, time goes on at half speed until the
 * wall has caught up: standing still would keep every sample fresh and every timer waiting.
 */
export function systemClock(wall: () => number = Date.now, steady: () => number = () => performance.now()): Clock {
  let last = wall()
  let lastSteady = steady()
  return {
    now: () => {
      const at = wall()
      const steadyAt = steady()
      last = Math.max(at, last + (at < last ? (steadyAt - lastSteady) / 2 : 0))
      lastSteady = steadyAt
      return Math.floor(last)
    },
  }
}

/** A clock for tests and for what is worked out beside the running system. */
export function manualClock(start: EpochMs): ManualClock {
  let now = start
  return {
    now: () => now,
    advance: (ms) => {
      now += Math.max(0, ms)
    },
  }
}
