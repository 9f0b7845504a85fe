/**
 * A map that keeps the entries used last and forgets the others, without an order to keep: when half of its room is
 * taken, that half grows old, and what is not used until the next half is full is gone. At least `max / 2` entries are
 * kept, at most `max`.
 */
export class RecentMap<V> {
  readonly #half: number
  #young = new Map<string, V>()
  #old = new Map<string, V>()

  constructor(max: number) {
    this.#half = Math.max(1, Math.floor(max / 2))
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  /** The entry, which counts as used; undefined where it was never set or is forgotten. */
  get(key: string): V | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young
    const old = this.#old.get(key)
    if (old === undefined) return undefined
    this.#old.delete(key)
    this.set(key, old)
    return old
  }

  /** Sets an entry, forgetting the half that was not used for longest where there is no room. */
  set(key: string, value: V): void {
    this.#young.set(key, value)
    if (this.#young.size <= this.#half) return
    this.#old = this.#young
    this.#young = new Map()
  }
}
