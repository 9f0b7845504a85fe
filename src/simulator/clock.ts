/** The time a site lives by. Handed in, so that a test can hold a request between two of its steps. */
export interface SiteClock {
  /** Milliseconds since the Unix epoch, with fractions. */
  now(): number
  /** Runs once after so many milliseconds; the function it gives cancels that. */
  after(ms: number, run: () => void): () => void
}

/** The machine's clock. */
export const realClock: SiteClock = {
  now: () => performance.timeOrigin + performance.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
}

/** A clock that stands still until it is told to advance. */
export interface ManualClock extends SiteClock {
  /** Moves on by so many milliseconds and runs what falls due on the way, in order of time. */
  advance(ms: number): void
  /** How many callbacks wait for their time. */
  pending(): number
}

/** A manual clock that starts at the given epoch milliseconds. */
export const manualClock = (start = 0): ManualClock => {
  let now = start
  let order = 0
  const timers = new Map<number, { at: number; run: () => void }>()
  const nextDue = (until: number) =>
    [...timers].filter(([, timer]) => timer.at <= until).sort((a, b) => a[1].at - b[1].at || a[0] - b[0])[0]
  return {
    now: () => now,
    after: (ms, run) => {
      const id = order++
      timers.set(id, { at: now + ms, run })
      return () => void timers.delete(id)
    },
    pending: () => timers.size,
    advance: (ms) => {
      const until = now + ms
      for (let due = nextDue(until); due !== undefined; due = nextDue(until)) {
        timers.delete(due[0])
        now = Math.max(now, due[1].at)
        due[1].run()
      }
      now = until
    },
  }
}
