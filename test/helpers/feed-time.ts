/** Where the hand-turned clock begins. */
export const START = 1_700_000_000_000

/** A clock and a timer that a test turns by hand. */
export class Time {
  ms = START
  #timers: { at: number; run: () => void }[] = []
  readonly clock = { now: () => this.ms }
  readonly timer = (ms: number, run: () => void) => {
    const one = { at: this.ms + ms, run }
    this.#timers.push(one)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== one)
    }
  }

  get waiting(): number {
    return this.#timers.length
  }

  /** Milliseconds until the next timer. */
  get nextMs(): number {
    return Math.min(...this.#timers.map(({ at }) => at)) - this.ms
  }

  /** Goes on to that moment, running what is due in order, with everything that follows from it. */
  async advance(ms: number): Promise<void> {
    const end = this.ms + ms
    for (;;) {
      await settled()
      const next = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      this.ms = Math.max(this.ms, next.at)
      this.#timers = this.#timers.filter((one) => one !== next)
      next.run()
    }
    this.ms = end
  }

  /** Goes on to the next timer. */
  next(): Promise<void> {
    return this.advance(this.nextMs)
  }
}

/** Everything that was already due to happen has happened. */
export const settled = async () => {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve))
}
