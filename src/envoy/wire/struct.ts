import { type Reader, WireError } from './reader.ts'
import type { Writer } from './writer.ts'

/** What google.protobuf.Struct can hold. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json }

type Fields = Readonly<Record<string, Json>>

const NO_PLACES: readonly number[] = []
const NO_FIELDS: Fields = Object.freeze(Object.create(null) as Record<string, Json>)

/**
 * A map<string, Struct> that lies in a message: attributes by filter, dynamic metadata by namespace. It is read when it
 * is asked for, as far as it is asked for, because most requests are decided without most of it. What is read late must
 * not surprise late: of bytes that are no Struct nothing is known, and nothing is thrown.
 */
export class StructMap {
  readonly #reader: Reader | undefined
  /** Where the entries start. */
  readonly #entries: readonly number[]
  #known: Map<string, Fields | undefined> | undefined

  constructor(reader: Reader | undefined, entries: readonly number[]) {
    this.#reader = reader
    this.#entries = entries
  }

  /** The fields of the Struct of this name, as plain JSON without a prototype; undefined where there is none. */
  get(name: string): Fields | undefined {
    if (this.#entries.length === 0) return undefined
    this.#known ??= new Map()
    if (this.#known.has(name)) return this.#known.get(name)
    const fields = this.#late((reader) => {
      const at = this.#find(reader, name)
      if (at === undefined) return undefined
      if (at < 0) return NO_FIELDS
      reader.rewind(at)
      return readStruct(reader)
    })
    this.#known.set(name, fields)
    return fields
  }

  /** One field of the Struct of this name, without reading the others; undefined where there is none. */
  field(name: string, field: string): Json | undefined {
    if (this.#entries.length === 0) return undefined
    return this.#late((reader) => {
      const at = this.#find(reader, name)
      if (at === undefined || at < 0) return undefined
      reader.rewind(at)
      return readField(reader, field)
    })
  }

  /** Where the Struct of the last entry of this name starts; -1 where that entry has none. */
  #find(reader: Reader, name: string): number | undefined {
    let found: number | undefined
    for (const entry of this.#entries) {
      reader.rewind(entry)
      const outer = reader.enter()
      let isIt = name === ''
      let at = -1
      for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
        if (tag === 0x0a) isIt = reader.is(name)
        else {
          if (tag === 0x12) at = reader.pos
          reader.skip(tag)
        }
      }
      reader.leave(outer)
      if (isIt) found = at
    }
    return found
  }

  #late<T>(read: (reader: Reader) => T): T | undefined {
    try {
      return read(this.#reader!)
    } catch (error) {
      if (error instanceof WireError) return undefined
      throw error
    }
  }
}

/** No structs at all. */
export const NO_STRUCTS = new StructMap(undefined, NO_PLACES)

/** The map whose entries start at these places of the reader's message; undefined: it has none. */
export const structsAt = (reader: Reader, entries: readonly number[] | undefined): StructMap =>
  entries === undefined ? NO_STRUCTS : new StructMap(reader, entries)

/** The most filters or namespaces of a message, each of which a look-up goes over. */
const ENTRIES_MAX = 1_024

/** Notes that an entry starts at the cursor. Throws WireError where there are too many. */
export const noteEntry = (reader: Reader, entries: number[]): void => {
  if (entries.length === ENTRIES_MAX) throw new WireError(`a map has more than ${ENTRIES_MAX} entries`)
  entries.push(reader.pos)
}

/** Passes over a core.v3.Metadata message; gives where its filter_metadata entries start. */
export const metadataPlaces = (reader: Reader): number[] => {
  const entries: number[] = []
  const outer = reader.enter()
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) noteEntry(reader, entries)
    reader.skip(tag)
  }
  reader.leave(outer)
  return entries
}

/** The fields of a Struct message that starts at the cursor, as plain JSON without a prototype. */
const readStruct = (reader: Reader): Record<string, Json> => {
  const fields: Record<string, Json> = Object.create(null) as Record<string, Json>
  reader.message((tag) => {
    if (tag === 0x0a) readEntry(reader, fields)
    else reader.skip(tag)
  })
  return fields
}

const readEntry = (reader: Reader, fields: Record<string, Json>): void => {
  let key = ''
  let value: Json = null
  reader.message((tag) => {
    if (tag === 0x0a) key = reader.utf8()
    else if (tag === 0x12) value = readValue(reader)
    else reader.skip(tag)
  })
  fields[key] = value
}

/** One field of a Struct message that starts at the cursor; the last one of its name. */
const readField = (reader: Reader, name: string): Json | undefined => {
  let value: Json | undefined
  const outer = reader.enter()
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag !== 0x0a) {
      reader.skip(tag)
      continue
    }
    const around = reader.enter()
    let isIt = name === ''
    let at = -1
    for (let inner = reader.tag(); inner !== 0; inner = reader.tag()) {
      if (inner === 0x0a) isIt = reader.is(name)
      else {
        if (inner === 0x12) at = reader.pos
        reader.skip(inner)
      }
    }
    const after = reader.pos
    if (isIt) {
      reader.pos = at
      value = at < 0 ? null : readValue(reader)
      reader.pos = after
    }
    reader.leave(around)
  }
  reader.leave(outer)
  return value
}

const readValue = (reader: Reader): Json => {
  let value: Json = null
  reader.message((tag) => {
    switch (tag) {
      case 0x08:
        reader.varint()
        value = null
        break
      case 0x11:
        value = reader.double()
        break
      case 0x1a:
        value = reader.ownText(Number.POSITIVE_INFINITY)
        break
      case 0x20:
        value = reader.bool()
        break
      case 0x2a:
        value = readStruct(reader)
        break
      case 0x32: {
        const list: Json[] = []
        reader.message((inner) => {
          if (inner === 0x0a) list.push(readValue(reader))
          else reader.skip(inner)
        })
        value = list
        break
      }
      default:
        reader.skip(tag)
    }
  })
  return value
}

/** Writes the fields of a Struct, without the tag of the message they stand in. */
export const writeStruct = (writer: Writer, fields: { readonly [name: string]: Json }): void => {
  for (const [key, value] of Object.entries(fields)) {
    writer.message(1, () => {
      writer.text(1, key)
      writer.message(2, () => writeValue(writer, value))
    })
  }
}

const writeValue = (writer: Writer, value: Json): void => {
  if (value === null) {
    writer.rawVarint(0x08)
    writer.rawVarint(0)
  } else if (typeof value === 'number') writer.double(2, value)
  else if (typeof value === 'string') writer.text(3, value)
  else if (typeof value === 'boolean') {
    writer.rawVarint(0x20)
    writer.rawVarint(value ? 1 : 0)
  } else if (Array.isArray(value))
    writer.message(6, () => {
      for (const one of value as readonly Json[]) writer.message(1, () => writeValue(writer, one))
    })
  else writer.message(5, () => writeStruct(writer, value as { readonly [name: string]: Json }))
}
