import { ConnectionError, ERROR } from './codes.ts'
import type { Limits } from './limits.ts'

/**
 * Patience of one connection: a token bucket for frames that make work and bring none. Calls fill it up again, so that
 * the resets and window updates of an Envoy under load cost nothing. The clock is asked only when the bucket is empty.
 */
export class FloodGuard {
  readonly #limits: Limits
  readonly #now: () => number
  #left: number
  #since: number

  constructor(limits: Limits, now: () => number) {
    this.#limits = limits
    this.#now = now
    this.#left = limits.floodTokens
    this.#since = now()
  }

  /** Takes tokens, one of FLOOD_COSTS; an empty bucket ends the connection. */
  spend(cost: number): void {
    this.#left -= cost
    if (this.#left >= 0) return
    const now = this.#now()
    this.#left += ((now - this.#since) * this.#limits.floodTokensPerSecond) / 1_000
    if (this.#left > this.#limits.floodTokens) this.#left = this.#limits.floodTokens
    this.#since = now
    if (this.#left < 0) throw new ConnectionError(ERROR.enhanceYourCalm, 'too many frames that bring no work')
  }

  /** A message came: work that somebody wants done. */
  earn(): void {
    if (this.#left < this.#limits.floodTokens) this.#left += this.#limits.floodTokensPerMessage
  }
}
