/** One thing that is wrong with a body, where, and what to write instead. */
export interface BodyProblem {
  /** A JSON pointer into the body: `/facts/needs/mw`. */
  readonly pointer: string
  readonly message: string
  readonly remedy: string
}

/** The longest text, list and object that a body may hold in one field. */
const TEXT_CHARS_MAX = 1_024
const ITEMS_MAX = 64
/** More problems than that help nobody. */
const PROBLEMS_MAX = 32

/** A JSON object, as it came. */
export type Plain = Readonly<Record<string, unknown>>

/** Whether a value is a JSON object and no list. */
export const isPlain = (value: unknown): value is Plain =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Reads fields of JSON objects one by one and gathers all that is wrong, rather than stopping at the first. */
export class JsonReader {
  readonly problems: BodyProblem[] = []

  wrong(pointer: string, message: string, remedy: string): undefined {
    if (this.problems.length < PROBLEMS_MAX) this.problems.push({ pointer, message, remedy })
    return undefined
  }

  /** The value as an object that has none but these fields. */
  object(value: unknown, pointer: string, fields: readonly string[]): Plain | undefined {
    if (!isPlain(value)) return this.wrong(pointer, 'is no JSON object', `write an object with ${fields.join(', ')}`)
    for (const name of Object.keys(value)) {
      if (!fields.includes(name))
        this.wrong(`${pointer}/${escaped(name)}`, 'is not known here', `write one of ${fields.join(', ')}`)
    }
    return value
  }

  text(from: Plain, field: string, pointer: string): string | undefined {
    const value = own(from, field)
    if (value === undefined) return undefined
    if (typeof value !== 'string' || value === '')
      return this.wrong(`${pointer}/${field}`, 'is no text', 'write a text that is not empty')
    return this.#short(value, `${pointer}/${field}`)
  }

  texts(from: Plain, field: string, pointer: string): readonly string[] | undefined {
    const value = own(from, field)
    if (value === undefined) return undefined
    const place = `${pointer}/${field}`
    if (!Array.isArray(value) || !value.every((one) => typeof one === 'string' && one !== ''))
      return this.wrong(place, 'is no list of texts', 'write a list such as ["EU"]')
    if (value.length > ITEMS_MAX) return this.wrong(place, `has ${value.length} items`, `write at most ${ITEMS_MAX}`)
    return value.every((one) => this.#short(one as string, place) !== undefined) ? (value as string[]) : undefined
  }

  /** A finite number, at least `min`; a whole one where that is asked for. */
  number(
    from: Plain,
    field: string,
    pointer: string,
    { min = 0, whole = false, max = Number.MAX_SAFE_INTEGER }: { min?: number; whole?: boolean; max?: number } = {},
  ): number | undefined {
    const value = own(from, field)
    if (value === undefined) return undefined
    const fits = typeof value === 'number' && Number.isFinite(value) && value >= min && value <= max
    if (fits && (!whole || Number.isInteger(value))) return value
    const wanted = `${whole ? 'a whole number' : 'a number'} from ${min}${max < Number.MAX_SAFE_INTEGER ? ` to ${max}` : ''}`
    return this.wrong(`${pointer}/${field}`, `is not ${wanted}`, `write ${wanted}`)
  }

  truth(from: Plain, field: string, pointer: string): boolean | undefined {
    const value = own(from, field)
    if (value === undefined || typeof value === 'boolean') return value
    return this.wrong(`${pointer}/${field}`, 'is neither true nor false', 'write true or false')
  }

  oneOf<T extends string>(from: Plain, field: string, pointer: string, values: readonly T[]): T | undefined {
    const value = own(from, field)
    if (value === undefined) return undefined
    const found = values.find((one) => one === value)
    return found ?? this.wrong(`${pointer}/${field}`, 'is not known', `write one of ${values.join(', ')}`)
  }

  /** The fields of an object of the user's own, bounded in number. */
  entries(from: Plain, field: string, pointer: string): readonly (readonly [string, unknown])[] {
    const value = own(from, field)
    if (value === undefined) return []
    const place = `${pointer}/${field}`
    if (!isPlain(value)) return this.wrong(place, 'is no JSON object', 'write an object') ?? []
    const entries = Object.entries(value)
    if (entries.length <= ITEMS_MAX) return entries
    return this.wrong(place, `has ${entries.length} fields`, `write at most ${ITEMS_MAX}`) ?? []
  }

  #short(value: string, place: string): string | undefined {
    return value.length <= TEXT_CHARS_MAX
      ? value
      : this.wrong(place, `has ${value.length} characters`, `write at most ${TEXT_CHARS_MAX}`)
  }
}

/** A field that is the object's own: what it inherits (`constructor`) nobody wrote. */
export const own = (from: Plain, field: string): unknown => (Object.hasOwn(from, field) ? from[field] : undefined)

/** A field's name as a part of a JSON pointer. */
export const escaped = (name: string): string => name.slice(0, 64).replaceAll('~', '~0').replaceAll('/', '~1')
