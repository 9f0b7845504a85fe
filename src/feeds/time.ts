import type { EpochMs } from '../model/names.ts'

/** What feeds need to know of time; the sidecar's clock, or one that a test turns by hand. */
export interface FeedClock {
  /** Now, by the machine's clock. */
  now(): EpochMs
  /** Milliseconds from some fixed moment, never going back; performance.now where there is none. */
  monotonicMs?(): number
}

/** Runs something once after so many milliseconds; the function it gives calls it off. */
export type Timer = (ms: number, run: () => void) => () => void

/** The timer of Node's event loop. */
export const realTimer: Timer = (ms, run) => {
  const handle = setTimeout(run, ms)
  return () => clearTimeout(handle)
}

/** Milliseconds that never go back, by this clock. */
export const monotonicMs = (clock: FeedClock): number => clock.monotonicMs?.() ?? performance.now()
