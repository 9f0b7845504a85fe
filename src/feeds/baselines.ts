import { type HistogramSeries, isCount, isHistogram } from './series.ts'

/**
 * What the counters of one replica stood at when they were last read, and so what has been counted since. A counter
 * that fell was reset with its server and has counted from 0 since; a series that is new since the last reading has
 * counted all it shows; the first reading counts nothing. A series whose values can't be true (NaN, negative, beyond
 * 2^53, buckets that fall) is passed over and keeps its old baseline. Series that are gone are forgotten.
 */
export class Baselines {
  #counters = new Map<string, number>()
  #histograms = new Map<string, ReadonlyMap<number, number>>()
  #nextCounters = new Map<string, number>()
  #nextHistograms = new Map<string, ReadonlyMap<number, number>>()
  #since: number | undefined
  /** Series of the reading under way that could not be believed. */
  bad = 0

  /** Begins a reading. What was read longer ago than `withinMs` is no baseline: its counts would not be of the window. */
  begin(now: number, withinMs: number): void {
    if (this.#since !== undefined && (now - this.#since > withinMs || now < this.#since)) this.forget()
    this.#nextCounters = new Map()
    this.#nextHistograms = new Map()
    this.bad = 0
  }

  /** When the last reading was; undefined before the first. */
  get since(): number | undefined {
    return this.#since
  }

  /** How much a counter has counted since the last reading; undefined where that can't be said. */
  counter(key: string, value: number): number | undefined {
    const before = this.#counters.get(key)
    if (!isCount(value)) {
      this.bad += 1
      if (before !== undefined) this.#nextCounters.set(key, before)
      return undefined
    }
    this.#nextCounters.set(key, value)
    if (this.#since === undefined) return undefined
    return before === undefined || value < before ? value : value - before
  }

  /** How many events fell into each bucket since the last reading, by upper bound; undefined where that can't be said. */
  histogram(name: string, series: HistogramSeries): Map<number, number> | undefined {
    const key = `${name}${series.key}`
    const before = this.#histograms.get(key)
    if (!isHistogram(series)) {
      this.bad += 1
      if (before !== undefined) this.#nextHistograms.set(key, before)
      return undefined
    }
    this.#nextHistograms.set(key, series.cumulative)
    if (this.#since === undefined) return undefined
    const bounds = [...series.cumulative.keys()].sort((a, b) => a - b)
    const usable = before !== undefined && bounds.every((bound) => isGrown(before, series.cumulative, bound))
    const deltas = new Map<number, number>()
    let last = 0
    for (const bound of bounds) {
      const grown = series.cumulative.get(bound)! - (usable ? before.get(bound)! : 0)
      // Buckets that grew by less than those below them contradict one another: a scrape in the middle of an update.
      deltas.set(bound, Math.max(0, grown - last))
      last = Math.max(last, grown)
    }
    return deltas
  }

  /** Ends a reading: what it saw is the baseline of the next. */
  commit(now: number): void {
    this.#counters = this.#nextCounters
    this.#histograms = this.#nextHistograms
    this.#since = now
  }

  /** Begins anew, as if never read. */
  forget(): void {
    this.#counters = new Map()
    this.#histograms = new Map()
    this.#since = undefined
  }
}

/** Was this bucket there before, and not larger? Other bounds than before are another server's. */
const isGrown = (before: ReadonlyMap<number, number>, now: ReadonlyMap<number, number>, bound: number): boolean => {
  const old = before.get(bound)
  return old !== undefined && now.get(bound)! >= old
}
