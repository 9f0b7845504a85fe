/** The label value that takes the place of one that is not known. */
export const OTHER = 'other'

/** One number and what it is counted by. */
export interface Slot {
  readonly labels: readonly string[]
  value: number
}

type Level = Map<string, Level | Slot>

const NAMES_MAX = 4

/** Which values a label may have; undefined: any, up to the limit of series. */
export type KnownValues = (label: string) => ReadonlySet<string> | undefined

/**
 * Numbers by labels, made for counting on the request path: one look-up for each label and an addition, no text is
 * built. Values that are not known, and whatever comes after the limit, share the slots called `other`.
 */
export class Slots {
  readonly #names: readonly string[]
  readonly #known: KnownValues
  readonly #max: number
  #root: Level = new Map()
  #slots: Slot[] = []

  /** At most four names. */
  constructor(names: readonly string[], known: KnownValues, max = 20_000) {
    if (names.length > NAMES_MAX) throw new Error(`a counter has at most ${NAMES_MAX} labels: ${names.join(', ')}`)
    this.#names = names
    this.#known = known
    this.#max = max
  }

  /**
   * Adds to the number with these labels; one value for each name. They are not gathered into a list, which would be made
   * anew for each number of each request.
   */
  add(count: number, a = '', b = '', c = '', d = ''): void {
    const { length } = this.#names
    let found: Level | Slot | undefined = this.#root.get(a)
    if (length > 1) found = (found as Level | undefined)?.get(b)
    if (length > 2) found = (found as Level | undefined)?.get(c)
    if (length > 3) found = (found as Level | undefined)?.get(d)
    const slot = (found as Slot | undefined) ?? this.#make([a, b, c, d].slice(0, length))
    slot.value += count
  }

  /** The number with these labels; 0 where nothing was counted. */
  value(...labels: readonly string[]): number {
    return this.#slots.find((slot) => slot.labels.every((label, index) => label === labels[index]))?.value ?? 0
  }

  rows(): readonly Slot[] {
    return this.#slots
  }

  /** After other values have become known: counts of those that are not any more go to `other`, so that none is lost. */
  refold(): void {
    const before = this.#slots
    this.#root = new Map()
    this.#slots = []
    for (const slot of before) this.#make(slot.labels).value += slot.value
  }

  #make(labels: readonly string[]): Slot {
    const names = this.#slots.length >= this.#max ? labels.map(() => OTHER) : labels.map((v, i) => this.#name(v, i))
    let level = this.#root
    const last = names.length - 1
    for (let index = 0; index < last; index++) {
      let next = level.get(names[index]!)
      if (next === undefined) {
        next = new Map()
        level.set(names[index]!, next)
      }
      level = next as Level
    }
    const key = names[last] ?? ''
    let slot = level.get(key) as Slot | undefined
    if (slot === undefined) {
      slot = { labels: names, value: 0 }
      level.set(key, slot)
      this.#slots.push(slot)
    }
    return slot
  }

  #name(value: string, index: number): string {
    const known = this.#known(this.#names[index]!)
    return known === undefined || value === '' || known.has(value) ? value : OTHER
  }
}

/** The upper edges of a histogram in seconds: 2^k and 1.5 * 2^k nanoseconds, from 0.77 µs to 1.6 s. */
export const EDGES_SECONDS: readonly number[] = Array.from({ length: 43 }, (_, index) => edgeNs(index + 1) / 1e9)

/**
 * A histogram with two buckets to the octave, found by counting bits: 9 leading zeros more or less instead of a search.
 * 3 µs = 3000 ns has 12 bits and its second bit set, so it counts below 3.07 µs.
 */
export class Histogram {
  readonly #buckets = new Float64Array(EDGES_SECONDS.length + 1)
  readonly #nsByMs: number
  #sumMs = 0

  /** With a scale of 1,000 the edges go from 0.77 ms to 27 minutes. */
  constructor(scale = 1) {
    this.#nsByMs = 1e6 / scale
  }

  observeMs(ms: number): void {
    this.#sumMs += ms
    const ns = Math.min(2_147_483_647, ms * this.#nsByMs) | 0
    const bits = 31 - Math.clz32(ns | 1)
    const bucket = (bits - 9) * 2 + ((ns >> (bits - 1)) & 1)
    this.#buckets[Math.min(Math.max(bucket, 0), EDGES_SECONDS.length)]!++
  }

  /** How many fell between two edges, by the index of the upper one, and the sum in milliseconds. */
  get counts(): { readonly buckets: readonly number[]; readonly sumMs: number } {
    return { buckets: [...this.#buckets], sumMs: this.#sumMs }
  }

  /** Takes in what another histogram of the same scale has counted. */
  absorb(buckets: readonly number[], sumMs: number): void {
    for (let index = 0; index < this.#buckets.length; index++) this.#buckets[index]! += buckets[index] ?? 0
    this.#sumMs += sumMs
  }

  /** Counts up to each edge, all of them, and the sum in seconds. */
  read(): { readonly cumulative: readonly number[]; readonly count: number; readonly sumSeconds: number } {
    let count = 0
    const cumulative: number[] = []
    for (let index = 0; index < EDGES_SECONDS.length; index++) {
      count += this.#buckets[index]!
      cumulative.push(count)
    }
    return { cumulative, count: count + this.#buckets[EDGES_SECONDS.length]!, sumSeconds: this.#sumMs / 1e3 }
  }
}

function edgeNs(index: number): number {
  const base = 2 ** (9 + Math.floor(index / 2))
  return index % 2 === 0 ? base : base * 1.5
}
