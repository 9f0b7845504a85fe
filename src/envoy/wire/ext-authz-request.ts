import { readHeader } from './header.ts'
import { Reader } from './reader.ts'
import { noteMetadata, type Structs, structsLater } from './struct.ts'

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
  /** Dynamic metadata by namespace; decoded when first asked for. */
  readonly metadata: () => Structs
}

/** Reads one CheckRequest. Throws WireError, and nothing else, for bytes that are none. */
export const decodeCheckRequest = (bytes: Buffer): CheckRequest => {
  const reader = new Reader(bytes)
  const names: string[] = []
  const values: string[] = []
  const contextExtensions: Record<string, string> = Object.create(null) as Record<string, string>
  const metadataAt: number[] = []
  let method = ''
  let path = ''
  let host = ''
  let source = ''
  let principal = ''
  let body: Buffer | undefined
  const http = (tag: number): void => {
    switch (tag) {
      case 0x12:
        method = reader.latin1()
        break
      case 0x1a: // headers
        readEntry(reader, (key, value) => {
          names.push(key)
          values.push(value)
        })
        break
      case 0x22:
        path = reader.latin1()
        break
      case 0x2a:
        host = reader.latin1()
        break
      case 0x5a: // body
      case 0x62: // raw_body
        body = reader.slice()
        break
      case 0x6a: // header_map
        reader.message((inner) => (inner === 0x0a ? readHeader(reader, names, values) : reader.skip(inner)))
        break
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
        break
      case 0x22: // request
        reader.message((inner) => (inner === 0x12 ? reader.message(http) : reader.skip(inner)))
        break
      case 0x52: // context_extensions
        readEntry(reader, (key, value) => {
          contextExtensions[key] = value
        })
        break
      case 0x5a: // metadata_context
        noteMetadata(reader, metadataAt)
        break
      default:
        reader.skip(tag)
    }
  }
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) reader.message(attributes)
    else reader.skip(tag)
  }
  const metadata = structsLater(reader, metadataAt)
  return { names, values, method, path, host, source, principal, body, contextExtensions, metadata }
}

/** One entry of a map<string, string>. */
const readEntry = (reader: Reader, into: (key: string, value: string) => void): void => {
  let key = ''
  let value = ''
  reader.message((tag) => {
    if (tag === 0x0a) key = reader.latin1()
    else if (tag === 0x12) value = reader.latin1()
    else reader.skip(tag)
  })
  into(key, value)
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
