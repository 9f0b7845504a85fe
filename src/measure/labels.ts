/** The number of a label that is absent. */
export const NONE = 0
/** The number of all labels that were too many to be told apart. */
export const OTHER = 1
/** How a label is shown that stands for all that were too many. */
export const OTHER_NAME = 'other'
/** Longer labels are nobody's names. */
const CHARS_MAX = 128

/**
 * The values of one dimension by number. There are at most so many at once: whatever comes beyond counts as `other` until
 * numbers that nothing uses any more are given back.
 */
export class Labels {
  readonly #numbers = new Map<string, number>()
  readonly #names: (string | undefined)[] = ['', OTHER_NAME]
  #free: number[] = []
  readonly #max: number

  constructor(max: number) {
    this.#max = max
  }

  /** The number of a value, new ones included while there is room. */
  numberOf(name: string | null | undefined): number {
    if (name === undefined || name === null || name === '') return NONE
    const known = this.#numbers.get(name)
    if (known !== undefined) return known
    if (name === OTHER_NAME || this.#numbers.size >= this.#max || name.length > CHARS_MAX) return OTHER
    const number = this.#free.pop() ?? this.#names.length
    this.#names[number] = name
    this.#numbers.set(name, number)
    return number
  }

  nameOf(number: number): string {
    return this.#names[number] ?? OTHER_NAME
  }

  /** How many values are told apart. */
  get size(): number {
    return this.#numbers.size
  }

  /** Gives back the numbers of all values but these. */
  keep(used: ReadonlySet<number>): void {
    for (const [name, number] of this.#numbers) {
      if (used.has(number)) continue
      this.#numbers.delete(name)
      this.#names[number] = undefined
      this.#free.push(number)
    }
  }
}
