/**
 * How far another machine's clock is from ours, from the Date headers of its answers. One header narrows the difference
 * to an interval: it was written between our sending and our receiving, and its second may have just begun or be nearly
 * over. The intervals of many answers overlap in the true difference, so their intersection soon is narrower than the
 * second that the header is cut to. Once they no longer overlap, one of the clocks was set, and it begins anew.
 *
 * Sent at 1,000 and received at 1,020, header 3 s: the other clock is 1,980 to 3,000 ms ahead.
 */
export class SkewEstimate {
  #low = Number.NEGATIVE_INFINITY
  #high = Number.POSITIVE_INFINITY

  /** Learns from one answer; times in epoch milliseconds, the header's in whole seconds. */
  learn(sentAt: number, receivedAt: number, dateMs: number): void {
    if (!Number.isFinite(dateMs)) return
    const low = dateMs - receivedAt
    const high = dateMs + 1_000 - sentAt
    if (low > this.#high || high < this.#low) {
      this.#low = low
      this.#high = high
      return
    }
    this.#low = Math.max(this.#low, low)
    this.#high = Math.min(this.#high, high)
  }

  /** Their clock less ours in milliseconds; undefined before the first answer. */
  get ms(): number | undefined {
    return Number.isFinite(this.#low) ? Math.round((this.#low + this.#high) / 2) : undefined
  }

  /** The same, but 0 while the clocks may well agree: what a timestamp of theirs is corrected by. */
  get certainMs(): number {
    return this.#low > 0 || this.#high < 0 ? (this.ms ?? 0) : 0
  }
}
