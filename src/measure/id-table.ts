/**
 * Finds places of a ring by a hash: open addressing with linear probing in preallocated arrays, twice as large as the
 * ring. Removal moves what follows back (Knuth 6.4, algorithm R), so nothing piles up and no rehash ever stops a request.
 */
export class IdTable {
  readonly #mask: number
  /** The place of the ring and one more; 0: nobody. */
  readonly #places: Int32Array
  readonly #hashes: Int32Array

  constructor(places: number) {
    let size = 16
    while (size < places * 2) size *= 2
    this.#mask = size - 1
    this.#places = new Int32Array(size)
    this.#hashes = new Int32Array(size)
  }

  put(hash: number, place: number): void {
    let at = hash & this.#mask
    while (this.#places[at] !== 0) at = (at + 1) & this.#mask
    this.#places[at] = place + 1
    this.#hashes[at] = hash
  }

  /** The place with this hash that `isIt`; -1: none. */
  find(hash: number, isIt: (place: number) => boolean): number {
    for (let at = hash & this.#mask; this.#places[at] !== 0; at = (at + 1) & this.#mask) {
      if (this.#hashes[at] === hash && isIt(this.#places[at]! - 1)) return this.#places[at]! - 1
    }
    return -1
  }

  remove(hash: number, place: number): void {
    const mask = this.#mask
    let hole = hash & mask
    while (this.#places[hole] !== place + 1) {
      if (this.#places[hole] === 0) return
      hole = (hole + 1) & mask
    }
    for (let at = (hole + 1) & mask; this.#places[at] !== 0; at = (at + 1) & mask) {
      const home = this.#hashes[at]! & mask
      // What would have been put at or before the hole if that had been free may move there.
      if (((at - home) & mask) < ((at - hole) & mask)) continue
      this.#places[hole] = this.#places[at]!
      this.#hashes[hole] = this.#hashes[at]!
      hole = at
    }
    this.#places[hole] = 0
  }
}

/** A hash of a decision's id. Its last digits are random bits of the edge. */
export const hashOfId = (id: string): number => {
  let hash = 0x811c9dc5 | 0
  for (let at = Math.max(0, id.length - 10); at < id.length; at++)
    hash = Math.imul(hash ^ id.charCodeAt(at), 0x01000193)
  return hash ^ (hash >>> 15)
}
