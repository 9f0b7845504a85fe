import type { Reader } from './reader.ts'
import type { Writer } from './writer.ts'

/** What google.protobuf.Struct can hold. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json }

/** The fields of a Struct message that starts at the cursor, as plain JSON without a prototype. */
export const readStruct = (reader: Reader): Record<string, Json> => {
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
export const readStructEntry = (reader: Reader, into: Record<string, Record<string, Json>>): void => {
  let key = ''
  let value: Record<string, Json> | undefined
  reader.message((tag) => {
    if (tag === 0x0a) key = reader.utf8()
    else if (tag === 0x12) value = readStruct(reader)
    else reader.skip(tag)
  })
  into[key] = value ?? {}
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
    writer.message(6, () =>
      (value as readonly Json[]).forEach((one) => writer.message(1, () => writeValue(writer, one))),
    )
  else writer.message(5, () => writeStruct(writer, value as { readonly [name: string]: Json }))
}
