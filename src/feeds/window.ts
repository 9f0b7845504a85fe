import { Sketch } from '../math/sketch.ts'

/** The window that percentiles and rates are of: six slices of ten seconds, so the last 50 to 60 seconds. */
export const SLICE_MS = 10_000
const SLICES = 6
/** Keys that a slice tells apart; real histograms have some 30 buckets. */
const KEYS_MAX = 2_048

/** A ring of slices; each forgets what it held when its place in time comes round again. */
class Ring<T> {
  readonly #make: () => T
  readonly #slots: { slot: number; content: T }[] = []

  constructor(make: () => T) {
    this.#make = make
  }

  at(now: number): T {
    const slot = Math.floor(now / SLICE_MS)
    const place = ((slot % SLICES) + SLICES) % SLICES
    const known = this.#slots[place]
    if (known?.slot === slot) return known.content
    const content = this.#make()
    this.#slots[place] = { slot, content }
    return content
  }

  /** The contents that are within the window now. A clock that was set back forgets what it had counted ahead. */
  *within(now: number): Iterable<T> {
    const slot = Math.floor(now / SLICE_MS)
    for (const one of this.#slots) {
      if (one !== undefined && one.slot <= slot && one.slot > slot - SLICES) yield one.content
    }
  }
}

/** Where the window that ends now begins. */
export const windowStart = (now: number): number => (Math.floor(now / SLICE_MS) - SLICES + 1) * SLICE_MS

/** Counts of the last minute by key: buckets by bound, endings by how they ended. */
export class RecentCounts<K> {
  readonly #ring = new Ring(() => new Map<K, number>())

  /** Counts n more, now. A key counted with 0 is known from then on; beyond 2,048 keys in ten seconds new ones are not. */
  add(key: K, n: number, now: number): void {
    const counts = this.#ring.at(now)
    const before = counts.get(key)
    if (before !== undefined || counts.size < KEYS_MAX) counts.set(key, (before ?? 0) + n)
  }

  /** The counts within the window, by key. */
  totals(now: number): Map<K, number> {
    const totals = new Map<K, number>()
    for (const counts of this.#ring.within(now)) {
      for (const [key, n] of counts) totals.set(key, (totals.get(key) ?? 0) + n)
    }
    return totals
  }
}

/** Quantiles of the values of the last minute: the slices' sketches are merged, never their quantiles. */
export class RecentValues {
  readonly #ring = new Ring(() => new Sketch())

  /** Takes a value, now. */
  add(value: number, now: number): void {
    this.#ring.at(now).add(value)
  }

  /** All values within the window, as one sketch. */
  sketch(now: number): Sketch {
    const all = new Sketch()
    for (const sketch of this.#ring.within(now)) all.merge(sketch)
    return all
  }
}
