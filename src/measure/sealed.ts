import { BUCKETS } from '../math/log-buckets.ts'
import { type Block, type BlockShape, keyOf, type Visited } from './block.ts'

/**
 * A block that nothing is added to any more, as bytes: labels, sums and counts in the order of their keys, each as a
 * number of variable length and keys as their distance from the one before. A count takes three bytes instead of sixteen.
 */
export class Sealed implements Visited {
  readonly begin: number
  readonly cells: number
  readonly #shape: BlockShape
  readonly #bytes: Uint8Array
  readonly #countsAt: number
  readonly #entries: number

  constructor(
    of: Pick<Visited, 'begin' | 'cells'>,
    shape: BlockShape,
    bytes: Uint8Array,
    countsAt: number,
    entries: number,
  ) {
    this.begin = of.begin
    this.cells = of.cells
    this.#shape = shape
    this.#bytes = bytes
    this.#countsAt = countsAt
    this.#entries = entries
  }

  get bytes(): number {
    return this.#bytes.byteLength
  }

  visitCells(visit: (cell: number, labels: ArrayLike<number>, sums: ArrayLike<number>) => void): void {
    const reader = new Reader(this.#bytes, 0)
    const labels = new Uint16Array(this.#shape.dimensions)
    const sums = new Float64Array(this.#shape.sums)
    for (let cell = 0; cell < this.cells; cell++) {
      for (let at = 0; at < labels.length; at++) labels[at] = reader.next()
      for (let at = 0; at < sums.length; at++) sums[at] = reader.next()
      visit(cell, labels, sums)
    }
  }

  visitCounts(visit: (cell: number, time: number, bucket: number, count: number) => void): void {
    const reader = new Reader(this.#bytes, this.#countsAt)
    let key = 0
    for (let at = 0; at < this.#entries; at++) {
      key += reader.next()
      visit(key >> 14, (key >> 10) & 15, key & (BUCKETS - 1), reader.next())
    }
  }
}

/**
 * Seals a block a part at a time, for a full one takes some tens of milliseconds: counts are sorted by cell as cards are
 * (counted, then put in place), then each cell's own.
 */
export class Sealing {
  readonly #block: Block
  readonly #shape: BlockShape
  readonly #writer = new Writer()
  readonly #starts: Uint32Array
  readonly #keys: Uint32Array
  readonly #counts: Float64Array
  #countsAt = 0
  #slot = 0
  #cell = 0
  #before = 0
  #step: 'cells' | 'count' | 'place' | 'write' = 'cells'

  constructor(block: Block, shape: BlockShape) {
    this.#block = block
    this.#shape = shape
    this.#starts = new Uint32Array(block.cells + 1)
    this.#keys = new Uint32Array(block.entries)
    this.#counts = new Float64Array(block.entries)
  }

  /** Goes on for about so many places of the table; the sealed block once it is done. */
  next(slots: number): Sealed | undefined {
    if (this.#step === 'cells') {
      const { dimensions, sums: width } = this.#shape
      this.#block.visitCells((_cell, labels, sums) => {
        for (let at = 0; at < dimensions; at++) this.#writer.put(labels[at]!)
        for (let at = 0; at < width; at++) this.#writer.put(Math.round(sums[at]!))
      })
      this.#countsAt = this.#writer.length
      this.#step = 'count'
      return undefined
    }
    if (this.#step === 'write') return this.#write(slots)
    const isCounting = this.#step === 'count'
    const starts = this.#starts
    const isUnfinished = this.#block.visitSlots(this.#slot, this.#slot + slots, (cell, time, bucket, count) => {
      if (isCounting) starts[cell + 1]! += 1
      else {
        const place = starts[cell]!
        starts[cell] = place + 1
        this.#keys[place] = keyOf(cell, time, bucket)
        this.#counts[place] = count
      }
    })
    this.#slot = isUnfinished ? this.#slot + slots : 0
    if (isUnfinished) return undefined
    if (isCounting) for (let cell = 1; cell < starts.length; cell++) starts[cell]! += starts[cell - 1]!
    this.#step = isCounting ? 'place' : 'write'
    return undefined
  }

  /** After everything is in place, where a cell's counts end is where the next cell's began. */
  #write(slots: number): Sealed | undefined {
    const { cells } = this.#block
    // Sorting and writing a count takes as long as going over four places.
    let left = slots / 4
    for (; this.#cell < cells && left > 0; this.#cell++) {
      const from = this.#cell === 0 ? 0 : this.#starts[this.#cell - 1]!
      const to = this.#starts[this.#cell]!
      left -= to - from + 1
      const order = Array.from({ length: to - from }, (_, at) => from + at)
      order.sort((a, b) => this.#keys[a]! - this.#keys[b]!)
      for (const at of order) {
        this.#writer.put(this.#keys[at]! - this.#before)
        this.#writer.put(this.#counts[at]!)
        this.#before = this.#keys[at]!
      }
    }
    if (this.#cell < cells) return undefined
    return new Sealed(this.#block, this.#shape, this.#writer.done(), this.#countsAt, this.#keys.length)
  }
}

/** The block sealed in one go. */
export const sealedAtOnce = (block: Block, shape: BlockShape): Sealed => {
  const sealing = new Sealing(block, shape)
  for (;;) {
    const sealed = sealing.next(Number.POSITIVE_INFINITY)
    if (sealed !== undefined) return sealed
  }
}

class Writer {
  #bytes = new Uint8Array(1_024)
  length = 0

  put(value: number): void {
    if (this.length + 8 > this.#bytes.length) {
      const wider = new Uint8Array(this.#bytes.length * 2)
      wider.set(this.#bytes)
      this.#bytes = wider
    }
    let rest = value
    while (rest >= 128) {
      this.#bytes[this.length++] = (rest % 128) | 128
      rest = Math.floor(rest / 128)
    }
    this.#bytes[this.length++] = rest
  }

  done(): Uint8Array {
    return this.#bytes.slice(0, this.length)
  }
}

class Reader {
  readonly #bytes: Uint8Array
  #at: number

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes
    this.#at = at
  }

  next(): number {
    let value = 0
    let scale = 1
    for (;;) {
      const byte = this.#bytes[this.#at++]!
      value += (byte & 127) * scale
      if (byte < 128) return value
      scale *= 128
    }
  }
}
