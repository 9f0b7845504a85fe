/** A bounded map that forgets what was not asked for lately. */
export interface Generations<V> {
  readonly get: (key: string) => V | undefined
  readonly set: (key: string, value: V) => void
  readonly clear: () => void
}

/**
 * A cache of two generations: when the young one is full it becomes the old one, and the old one is dropped. What is
 * asked for in the old one moves to the young one. Never more than twice `sizeMax` entries, and no order to keep up.
 */
export function generations<V>(sizeMax: number): Generations<V> {
  let young = new Map<string, V>()
  let old = new Map<string, V>()
  const set = (key: string, value: V): void => {
    if (young.size >= sizeMax) {
      old = young
      young = new Map()
    }
    young.set(key, value)
  }
  return {
    get: (key) => {
      const known = young.get(key)
      if (known !== undefined) return known
      const aged = old.get(key)
      if (aged !== undefined) set(key, aged)
      return aged
    },
    set,
    clear: () => {
      young = new Map()
      old = new Map()
    },
  }
}
