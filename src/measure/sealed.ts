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

  constructor(block: Block, shape: BlockShape) {
    this.begin = block.begin
    this.cells = block.cells
    this.#shape = shape
    const writer = new Writer()
    block.visitCells((_cell, labels, sums) => {
      for (let at = 0; at < shape.dimensions; at++) writer.put(labels[at]!)
      for (let at = 0; at < shape.sums; at++) writer.put(Math.round(sums[at]!))
    })
    this.#countsAt = writer.length
    const keys = new Float64Array(block.entries)
    const counts = new Map<number, number>()
    let at = 0
    block.visitCounts((cell, time, bucket, count) => {
      const key = keyOf(cell, time, bucket)
      keys[at++] = key
      counts.set(key, count)
    })
    keys.sort()
    let before = 0
    for (const key of keys) {
      writer.put(key - before)
      writer.put(counts.get(key)!)
      before = key
    }
    this.#entries = keys.length
    this.#bytes = writer.done()
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
