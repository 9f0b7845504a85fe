/** Bytes that are held for peers: messages that are half here, and answers that wait for a window. */
export class Memory {
  readonly #max: number
  readonly #whole: Memory | undefined
  #held = 0

  /** A part of `whole` counts in both. */
  constructor(max: number, whole?: Memory) {
    this.#max = max
    this.#whole = whole
  }

  get held(): number {
    return this.#held
  }

  /** Takes bytes; false, and nothing is taken, where there is no room. */
  take(bytes: number): boolean {
    if (this.#held + bytes > this.#max) return false
    if (this.#whole !== undefined && !this.#whole.take(bytes)) return false
    this.#held += bytes
    return true
  }

  /** Gives bytes back that were taken. */
  give(bytes: number): void {
    this.#held -= bytes
    this.#whole?.give(bytes)
  }
}
