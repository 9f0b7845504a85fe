import { Sketch } from './sketch.ts'

/** Quantiles of values of either sign: one sketch for those from 0 up, one for those below. */
export class SignedSketch {
  readonly #up: Sketch
  readonly #down: Sketch

  constructor(accuracyRatio?: number, bucketsMax?: number) {
    this.#up = new Sketch(accuracyRatio, bucketsMax)
    this.#down = new Sketch(accuracyRatio, bucketsMax)
  }

  /** How many values it has taken. */
  get count(): number {
    return this.#up.count + this.#down.count
  }

  /** Takes a value; false for one that is not a finite number. */
  add(value: number): boolean {
    return value < 0 ? this.#down.add(-value) : this.#up.add(value)
  }

  /** Takes everything that another sketch of the same accuracy holds. */
  merge(other: SignedSketch): void {
    this.#up.merge(other.#up)
    this.#down.merge(other.#down)
  }

  /** The value below which the share q of all values lies, within the accuracy; undefined while there are none. */
  quantile(q: number): number | undefined {
    const { count } = this
    if (count === 0 || !(q >= 0 && q <= 1)) return undefined
    const rank = q * (count - 1)
    const below = this.#down.count
    if (rank > below - 1)
      return this.#up.quantile(this.#up.count <= 1 ? 0 : (Math.max(rank, below) - below) / (this.#up.count - 1))
    const value = this.#down.quantile(below <= 1 ? 0 : 1 - rank / (below - 1))
    return value === undefined ? undefined : -value
  }
}
