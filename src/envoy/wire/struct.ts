import { type Reader, WireError } from './reader.ts'
import type { Writer } from './writer.ts'

/** What google.protobuf.Struct can hold. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json }

/** Structs by name: attributes by filter, dynamic metadata by namespace. */
export type Structs = Readonly<Record<string, Readonly<Record<string, Json>>>>

/** No structs at all. */
const NOTHING: Structs = Object.freeze(Object.create(null) as Structs)

/**
 * A map<string, Struct> whose entries start at these places of the message; read when first asked for, because most
 * requests are decided without it. What is read late must not surprise late: bytes that are no Struct give none at all.
 */
export const structsLater = (reader: Reader, entries: readonly number[]): (() => Structs) => {
  let structs: Structs | undefined
  return () => {
    structs ??= entries.length === 0 ? NOTHING : readEntries(reader, entries)
    return structs
  }
}

const readEntries = (reader: Reader, entries: readonly number[]): Structs => {
  try {
    const all = Object.create(null) as Record<string, Record<string, Json>>
    for (const at of entries) {
      reader.rewind(at)
      readStructEntry(reader, all)
    }
    return all
  } catch (error) {
    if (error instanceof WireError) return NOTHING
    throw error
  }
}

/** Passes over a core.v3.Metadata message and notes where its filter_metadata entries start. */
export const noteMetadata = (reader: Reader, entries: number[]): void =>
  reader.message((tag) => {
    if (tag === 0x0a) entries.push(reader.pos)
    reader.skip(tag)
  })

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
        value = reader.utf8()
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

/** A map<string, Struct> whose entry starts at the cursor. */
const readStructEntry = (reader: Reader, into: Record<string, Record<string, Json>>): void => {
  let key = ''
  let value: Record<string, Json> | undefined
  reader.message((tag) => {
    if (tag === 0x0a) key = reader.utf8()
    else if (tag === 0x12) value = readStruct(reader)
    else reader.skip(tag)
  })
  into[key] = value ?? (Object.create(null) as Record<string, Json>)
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
