import { Reader } from './reader.ts'
import { readHeader, readMetadata } from './ext-proc-codec.ts'
import { type Json, writeStruct } from './struct.ts'
import { Writer } from './writer.ts'

/** One envoy.service.auth.v3.CheckRequest, as far as hubward reads it. */
export interface CheckRequest {
  readonly names: readonly string[]
  readonly values: readonly string[]
  readonly method: string
  readonly path: string
  readonly host: string
  /** The peer's address, `ip:port`; empty where it has none. */
  readonly source: string
  readonly principal: string
  readonly body: Buffer | undefined
  readonly contextExtensions: Readonly<Record<string, string>>
  readonly metadata: () => Readonly<Record<string, Readonly<Record<string, Json>>>>
}

/** Reads one CheckRequest. Throws WireError, and nothing else, for bytes that are none. */
export const decodeCheckRequest = (bytes: Buffer): CheckRequest => {
  const reader = new Reader(bytes)
  const names: string[] = []
  const values: string[] = []
  const contextExtensions: Record<string, string> = Object.create(null) as Record<string, string>
  let metadata: Record<string, Record<string, Json>> = {}
  let method = ''
  let path = ''
  let host = ''
  let source = ''
  let principal = ''
  let body: Buffer | undefined
  const entry = (into: (key: string, value: string) => void): void => {
    let key = ''
    let value = ''
    reader.message((tag) => {
      if (tag === 0x0a) key = reader.latin1()
      else if (tag === 0x12) value = reader.latin1()
      else reader.skip(tag)
    })
    into(key, value)
  }
  const http = (tag: number): void => {
    switch (tag) {
      case 0x12:
        method = reader.latin1()
        return
      case 0x1a:
        return entry((key, value) => {
          names.push(key)
          values.push(value)
        })
      case 0x22:
        path = reader.latin1()
        return
      case 0x2a:
        host = reader.latin1()
        return
      case 0x5a: // body
      case 0x62: // raw_body
        body = reader.slice()
        return
      case 0x6a: // header_map
        reader.message((inner) => (inner === 0x0a ? readHeader(reader, names, values) : reader.skip(inner)))
        return
      default:
        reader.skip(tag)
    }
  }
  const attributes = (tag: number): void => {
    switch (tag) {
      case 0x0a: // source
        reader.message((peer) => {
          if (peer === 0x0a) source = readAddress(reader)
          else if (peer === 0x22) principal = reader.utf8()
          else reader.skip(peer)
        })
        return
      case 0x22: // request
        reader.message((inner) => (inner === 0x12 ? reader.message(http) : reader.skip(inner)))
        return
      case 0x52: // context_extensions
        return entry((key, value) => {
          contextExtensions[key] = value
        })
      case 0x5a: // metadata_context
        metadata = readMetadata(reader)
        return
      default:
        reader.skip(tag)
    }
  }
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) reader.message(attributes)
    else reader.skip(tag)
  }
  return { names, values, method, path, host, source, principal, body, contextExtensions, metadata: () => metadata }
}

const readAddress = (reader: Reader): string => {
  let address = ''
  reader.message((tag) => {
    if (tag !== 0x0a) return reader.skip(tag)
    let ip = ''
    let port = 0
    reader.message((inner) => {
      if (inner === 0x12) ip = reader.latin1()
      else if (inner === 0x18) port = reader.varint()
      else reader.skip(inner)
    })
    address = ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`
  })
  return address
}

/** What a CheckResponse can say, as far as hubward says it. */
export type CheckResponse =
  | {
      readonly kind: 'ok'
      readonly set: readonly (readonly [name: string, value: string])[]
      readonly remove?: readonly string[]
      readonly response?: readonly (readonly [name: string, value: string])[]
    }
  | {
      readonly kind: 'denied'
      readonly status: number
      readonly headers: readonly (readonly [name: string, value: string])[]
      readonly body: string
    }

const OVERWRITE = 2
/** google.rpc.Code PERMISSION_DENIED: any code but OK makes Envoy use the denied response. */
const PERMISSION_DENIED = 7

const writer = new Writer()

/** The bytes of one CheckResponse. Header values go into value, the only one that ext_authz reads. */
export const encodeCheckResponse = (response: CheckResponse, metadata?: { readonly [name: string]: Json }): Buffer => {
  writer.restart()
  const options = (field: number, headers: readonly (readonly [name: string, value: string])[]): void => {
    for (const [name, value] of headers) {
      writer.message(field, () => {
        writer.message(1, () => writer.text(1, name).text(2, value))
        writer.varint(3, OVERWRITE)
      })
    }
  }
  writer.message(1, () => writer.varint(1, response.kind === 'ok' ? 0 : PERMISSION_DENIED))
  if (response.kind === 'ok') {
    writer.message(3, () => {
      options(2, response.set)
      for (const name of response.remove ?? []) writer.text(5, name)
      options(6, response.response ?? [])
    })
  } else {
    writer.message(2, () => {
      writer.message(1, () => writer.varint(1, response.status))
      options(2, response.headers)
      writer.text(3, response.body)
    })
  }
  if (metadata !== undefined) writer.message(4, () => writeStruct(writer, metadata))
  return writer.finish()
}
