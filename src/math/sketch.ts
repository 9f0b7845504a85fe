/** Relative error of a quantile, and the most buckets a sketch may have, where the maker gives none. */
const ACCURACY_RATIO = 0.01
const BUCKETS_MAX = 2_048
/** Below this a value counts as zero: the logarithm's buckets would never end. */
const ZERO_BELOW = 1e-9

/**
 * Quantiles of many values in little memory: DDSketch (Masson, Rim and Lee, VLDB 2019). A value falls into the bucket
 * ceil(log_g(value)) with g = (1 + a) / (1 - a), so a bucket's middle is within a of everything in it, whatever the
 * values are: with a = 0.01, 100 ms and 101 ms share a bucket and 100 ms and 103 ms don't. Sketches of one accuracy
 * merge without loss, which percentiles don't.
 *
 * Values are at least 0; others are not taken. Past the most buckets the lowest are put together, so only quantiles
 * near 0 lose accuracy.
 */
export class Sketch {
  readonly #gamma: number
  readonly #perLog: number
  readonly #bucketsMax: number
  readonly #counts = new Map<number, number>()
  #zeros = 0
  #count = 0

  constructor(accuracyRatio = ACCURACY_RATIO, bucketsMax = BUCKETS_MAX) {
    this.#gamma = (1 + accuracyRatio) / (1 - accuracyRatio)
    this.#perLog = 1 / Math.log(this.#gamma)
    this.#bucketsMax = bucketsMax
  }

  /** How many values it has taken. */
  get count(): number {
    return this.#count
  }

  /** Takes a value; false for one that is negative or not a number. */
  add(value: number, count = 1): boolean {
    if (!(value >= 0) || value === Number.POSITIVE_INFINITY || !(count > 0)) return false
    this.#count += count
    if (value < ZERO_BELOW) this.#zeros += count
    else this.#put(Math.ceil(Math.log(value) * this.#perLog), count)
    return true
  }

  /** Takes everything that another sketch of the same accuracy holds. */
  merge(other: Sketch): void {
    this.#count += other.#count
    this.#zeros += other.#zeros
    for (const [index, count] of other.#counts) this.#put(index, count)
  }

  /** The value below which the share q of all values lies, within the accuracy; undefined while there are none. */
  quantile(q: number): number | undefined {
    if (this.#count === 0 || !(q >= 0 && q <= 1)) return undefined
    const rank = q * (this.#count - 1)
    let below = this.#zeros
    if (below > rank) return 0
    const indexes = [...this.#counts.keys()].sort((a, b) => a - b)
    for (const index of indexes) {
      below += this.#counts.get(index)!
      if (below > rank) return (2 * this.#gamma ** index) / (this.#gamma + 1)
    }
    return 0
  }

  #put(index: number, count: number): void {
    this.#counts.set(index, (this.#counts.get(index) ?? 0) + count)
    if (this.#counts.size <= this.#bucketsMax) return
    const [lowest, next] = [...this.#counts.keys()].sort((a, b) => a - b) as [number, number]
    this.#counts.set(next, this.#counts.get(next)! + this.#counts.get(lowest)!)
    this.#counts.delete(lowest)
  }
}
