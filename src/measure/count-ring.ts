/** Counts of the last stretches of time, a few numbers in each; each forgets what it held when its place comes round again. */
export class CountRing {
  readonly #width: number
  readonly #slots: number
  readonly #slotMs: number
  readonly #counts: Uint32Array
  #newest = -1

  constructor(slots: number, slotMs: number, width: number) {
    this.#slots = slots
    this.#slotMs = slotMs
    this.#width = width
    this.#counts = new Uint32Array(slots * width)
  }

  /** Counts n more of one number, at that time, which is now. */
  add(at: number, number: number, n: number): void {
    const slot = Math.floor(at / this.#slotMs)
    this.#turn(slot)
    this.#counts[this.#place(slot) + number]! += n
  }

  /** The sum of one number over the running stretch and those before it that touch the window. */
  sum(now: number, windowMs: number, number: number): number {
    const last = Math.floor(now / this.#slotMs)
    const first = Math.max(Math.floor((now - windowMs) / this.#slotMs), this.#newest - this.#slots + 1)
    let sum = 0
    for (let slot = Math.max(0, first); slot <= Math.min(last, this.#newest); slot++)
      sum += this.#counts[this.#place(slot) + number]!
    return sum
  }

  /** Each stretch that holds something, by its number since the epoch. */
  entries(): (readonly [slot: number, ...counts: number[]])[] {
    const all: (readonly [number, ...number[]])[] = []
    for (let slot = Math.max(0, this.#newest - this.#slots + 1); slot <= this.#newest; slot++) {
      const counts = [...this.#counts.subarray(this.#place(slot), this.#place(slot) + this.#width)]
      if (counts.some((n) => n > 0)) all.push([slot, ...counts])
    }
    return all
  }

  /** Puts back what `entries` gave. */
  restore(entries: readonly (readonly number[])[]): void {
    for (const [slot = 0, ...counts] of entries)
      for (const [number, n] of counts.slice(0, this.#width).entries()) this.add(slot * this.#slotMs, number, n)
  }

  #place(slot: number): number {
    return (slot % this.#slots) * this.#width
  }

  #turn(slot: number): void {
    // The clock was set back: what was counted in a time that has not come yet is of no use, and must not keep out what comes.
    if (slot <= this.#newest - this.#slots) {
      this.#counts.fill(0)
      this.#newest = slot
      return
    }
    if (slot <= this.#newest) return
    const from = Math.max(this.#newest + 1, slot - this.#slots + 1)
    for (let next = from; next <= slot; next++) this.#counts.fill(0, this.#place(next), this.#place(next) + this.#width)
    this.#newest = slot
  }
}
