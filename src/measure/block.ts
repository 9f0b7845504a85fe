import { BUCKETS } from '../math/log-buckets.ts'
import { NONE, OTHER } from './labels.ts'

/** What a block is made for. */
export interface BlockShape {
  /** How many labels a cell has. */
  readonly dimensions: number
  /** The labels that are kept where there is no room for all of them; the others become `other`. */
  readonly coarse: readonly number[]
  /** How many sums a cell has. */
  readonly sums: number
  readonly cellsMax: number
  /** Counts of a bucket of one cell that are kept. */
  readonly entriesMax: number
}

/** Something whose cells and counts can be gone through. */
export interface Visited {
  readonly begin: number
  readonly cells: number
  readonly bytes: number
  /** Each cell with its labels and sums; the arrays are lent for the call. */
  readonly visitCells: (visit: (cell: number, labels: ArrayLike<number>, sums: ArrayLike<number>) => void) => void
  /** Each count: of which cell, which time, which bucket. */
  readonly visitCounts: (visit: (cell: number, time: number, bucket: number, count: number) => void) => void
}

const CELL = 1 << 14
/** The most cells that a block can have. */
export const CELLS_MAX = 4_096
/** Twelve bits for the cell, four for the time, ten for the bucket: a count's key is a small integer. */
export const keyOf = (cell: number, time: number, bucket: number): number => cell * CELL + time * BUCKETS + bucket

/** The cell in which everything is counted for which there is no room. It is there from the start. */
const REST = 0

/**
 * What was measured in one stretch of time: cells by their labels, each with sums and with the buckets of its times. All
 * buckets stand in one table by (cell, time, bucket), so a cell with three requests takes a dozen numbers and one with
 * millions some hundreds, and adding up blocks is adding up tables. Bounded by cells and by counts: where there is no room
 * for a cell, its requests are counted under its coarse labels, and where there is none for that under `other` alone.
 * No request is lost.
 */
export class Block implements Visited {
  readonly begin: number
  readonly #shape: BlockShape
  #cells = 1
  #labels: Uint16Array
  #sums: Float64Array
  #finder: Int16Array
  #keys: Uint32Array
  #counts: Float64Array
  #entries = 0
  /** Requests that were counted under less than their own labels. */
  folded = 0

  constructor(begin: number, shape: BlockShape) {
    this.begin = begin
    this.#shape = shape
    this.#labels = new Uint16Array(shape.dimensions * 16)
    this.#sums = new Float64Array(shape.sums * 16)
    this.#finder = new Int16Array(64)
    this.#keys = new Uint32Array(256)
    this.#counts = new Float64Array(256)
    this.#labels.fill(OTHER, 0, shape.dimensions)
  }

  get cells(): number {
    return this.#cells
  }

  get entries(): number {
    return this.#entries
  }

  get bytes(): number {
    return [this.#labels, this.#sums, this.#finder, this.#keys, this.#counts].reduce(
      (sum, one) => sum + one.byteLength,
      0,
    )
  }

  /** Is nothing counted here? */
  get isEmpty(): boolean {
    return this.#cells === 1 && this.#entries === 0 && this.#sums.subarray(0, this.#shape.sums).every((n) => n === 0)
  }

  /** The cell for these labels, as fine as there is room; `requests` and `entries` are about to be put into it. */
  cellFor(labels: ArrayLike<number>, requests: number, entries: number): number {
    const { cellsMax, entriesMax, coarse } = this.#shape
    const known = this.#find(labels)
    if (known >= 0) return known
    // A quarter of the cells is left for coarse ones.
    if (this.#cells < cellsMax * 0.75 && this.#entries + entries <= entriesMax) return this.#make(labels)
    this.folded += requests
    const wide = new Uint16Array(this.#shape.dimensions).fill(OTHER)
    for (const at of coarse) wide[at] = labels[at]!
    for (let at = 0; at < wide.length; at++) if (labels[at] === NONE) wide[at] = NONE
    const found = this.#find(wide)
    if (found >= 0) return found
    return this.#cells < cellsMax && this.#entries + entries <= entriesMax ? this.#make(wide) : REST
  }

  /** Adds to a sum of a cell. */
  sum(cell: number, sum: number, n: number): void {
    this.#sums[cell * this.#shape.sums + sum]! += n
  }

  /** Counts a time. Where the table is full, what is not in it yet is counted for the rest. */
  count(cell: number, time: number, bucket: number, n: number): void {
    const key = keyOf(cell, time, bucket) + 1
    let mask = this.#keys.length - 1
    let at = spread(key) & mask
    for (let seen = this.#keys[at]!; seen !== key; seen = this.#keys[at]!) {
      if (seen === 0) {
        if (cell !== REST && this.#entries >= this.#shape.entriesMax) {
          this.count(REST, time, bucket, n)
          return
        }
        if (this.#entries * 3 >= this.#keys.length * 2) {
          this.#grow()
          mask = this.#keys.length - 1
          at = spread(key) & mask
          while (this.#keys[at] !== 0) at = (at + 1) & mask
        }
        this.#keys[at] = key
        this.#entries += 1
        break
      }
      at = (at + 1) & mask
    }
    this.#counts[at]! += n
  }

  visitCells(visit: (cell: number, labels: ArrayLike<number>, sums: ArrayLike<number>) => void): void {
    const { dimensions, sums } = this.#shape
    for (let cell = 0; cell < this.#cells; cell++)
      visit(
        cell,
        this.#labels.subarray(cell * dimensions, (cell + 1) * dimensions),
        this.#sums.subarray(cell * sums, (cell + 1) * sums),
      )
  }

  visitCounts(visit: (cell: number, time: number, bucket: number, count: number) => void): void {
    this.visitSlots(0, this.#keys.length, visit)
  }

  /** The same for a part of the table, so that a large one can be gone through in slices; false: it ends before. */
  visitSlots(
    from: number,
    to: number,
    visit: (cell: number, time: number, bucket: number, count: number) => void,
  ): boolean {
    const end = Math.min(to, this.#keys.length)
    for (let at = from; at < end; at++) {
      const key = this.#keys[at]! - 1
      if (key < 0) continue
      visit(Math.floor(key / CELL), (key % CELL) >> 10, key & (BUCKETS - 1), this.#counts[at]!)
    }
    return to < this.#keys.length
  }

  #find(labels: ArrayLike<number>): number {
    const { dimensions } = this.#shape
    const mask = this.#finder.length - 1
    for (let at = this.#hash(labels) & mask; this.#finder[at] !== 0; at = (at + 1) & mask) {
      const cell = this.#finder[at]!
      let same = 0
      while (same < dimensions && this.#labels[cell * dimensions + same] === labels[same]) same++
      if (same === dimensions) return cell
    }
    let rest = 0
    while (rest < dimensions && labels[rest] === OTHER) rest++
    return rest === dimensions ? REST : -1
  }

  #make(labels: ArrayLike<number>): number {
    const { dimensions, sums } = this.#shape
    const cell = this.#cells
    this.#cells += 1
    if (this.#cells * dimensions > this.#labels.length) {
      this.#labels = widened(this.#labels, new Uint16Array(this.#labels.length * 2))
      this.#sums = widened(this.#sums, new Float64Array(this.#sums.length * 2))
    }
    for (let at = 0; at < dimensions; at++) this.#labels[cell * dimensions + at] = labels[at]!
    this.#sums.fill(0, cell * sums, (cell + 1) * sums)
    if (this.#cells * 2 > this.#finder.length) {
      this.#finder = new Int16Array(this.#finder.length * 2)
      for (let known = 1; known < cell; known++)
        this.#index(this.#labels.subarray(known * dimensions, (known + 1) * dimensions), known)
    }
    this.#index(labels, cell)
    return cell
  }

  #index(labels: ArrayLike<number>, cell: number): void {
    const mask = this.#finder.length - 1
    let at = this.#hash(labels) & mask
    while (this.#finder[at] !== 0) at = (at + 1) & mask
    this.#finder[at] = cell
  }

  #hash(labels: ArrayLike<number>): number {
    let hash = 0
    for (let at = 0; at < this.#shape.dimensions; at++) hash = Math.imul(hash ^ labels[at]!, 0x9e3779b1) ^ (hash >>> 13)
    return spread(hash)
  }

  #grow(): void {
    const [keys, counts] = [this.#keys, this.#counts]
    const size = keys.length * 2
    this.#keys = new Uint32Array(size)
    this.#counts = new Float64Array(size)
    for (let at = 0; at < keys.length; at++) {
      const key = keys[at]!
      if (key === 0) continue
      let to = spread(key) & (size - 1)
      while (this.#keys[to] !== 0) to = (to + 1) & (size - 1)
      this.#keys[to] = key
      this.#counts[to] = counts[at]!
    }
  }
}

const spread = (hash: number): number => {
  const mixed = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b)
  return (mixed ^ (mixed >>> 15)) >>> 0
}

const widened = <T extends Uint16Array | Float64Array>(from: T, to: T): T => {
  to.set(from as never)
  return to
}
