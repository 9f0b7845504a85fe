import { HeaderMap, readHeader, readHeaders, readText } from './header-map.ts'
import { Reader } from './reader.ts'
import { metadataPlaces, NO_STRUCTS, type StructMap, structsAt } from './struct.ts'

/** One envoy.service.auth.v3.CheckRequest, as far as hubward reads it. */
export interface CheckRequest {
  readonly headers: HeaderMap
  readonly method: string
  readonly path: string
  readonly host: string
  /** The peer's address, `ip:port`; empty where it has none. */
  readonly source: string
  readonly body: Buffer | undefined
  readonly contextExtensions: Readonly<Record<string, string>>
  /** Dynamic metadata by namespace. */
  readonly metadata: StructMap
}

type Draft = { -readonly [Name in keyof CheckRequest]: CheckRequest[Name] }

const NO_EXTENSIONS: CheckRequest['contextExtensions'] = Object.freeze(Object.create(null) as Record<string, string>)

/** Reads one CheckRequest. Throws WireError, and nothing else, for bytes that are none. */
export const decodeCheckRequest = (bytes: Buffer): CheckRequest => readCheck(bytes, new HeaderMap(bytes, readCheck))

const readCheck = (bytes: Buffer, headers: HeaderMap): CheckRequest => {
  const reader = new Reader(bytes)
  const request: Draft = {
    headers,
    method: '',
    path: '',
    host: '',
    source: '',
    body: undefined,
    contextExtensions: NO_EXTENSIONS,
    metadata: NO_STRUCTS,
  }
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) readAttributes(reader, request)
    else reader.skip(tag)
  }
  return request
}

/** An AttributeContext. */
const readAttributes = (reader: Reader, request: Draft): void => {
  const outer = reader.enter()
  let extensions: Record<string, string> | undefined
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case 0x0a: // source
        readPeer(reader, request)
        break
      case 0x22: // request
        readRequest(reader, request)
        break
      case 0x52: // context_extensions
        extensions ??= Object.assign(Object.create(null) as Record<string, string>, request.contextExtensions)
        request.contextExtensions = extensions
        readExtension(reader, extensions)
        break
      case 0x5a: // metadata_context
        request.metadata = structsAt(reader, metadataPlaces(reader))
        break
      default:
        reader.skip(tag)
    }
  }
  reader.leave(outer)
}

/** A Peer. */
const readPeer = (reader: Reader, request: Draft): void => {
  const outer = reader.enter()
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) request.source = readAddress(reader)
    else reader.skip(tag)
  }
  reader.leave(outer)
}

/** A Request, and the HttpRequest in it. */
const readRequest = (reader: Reader, request: Draft): void => {
  const outer = reader.enter()
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x12) readHttp(reader, request)
    else reader.skip(tag)
  }
  reader.leave(outer)
}

const readHttp = (reader: Reader, request: Draft): void => {
  const outer = reader.enter()
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case 0x12:
        request.method = readText(reader, ':method')
        break
      case 0x1a: // headers: an entry of a map lies as a HeaderValue does
        readHeader(reader, request.headers)
        break
      case 0x22:
        request.path = readText(reader, ':path')
        break
      case 0x2a:
        request.host = readText(reader, ':authority')
        break
      case 0x5a: // body
      case 0x62: // raw_body
        request.body = reader.slice()
        break
      case 0x6a: // header_map
        readHeaders(reader, request.headers)
        break
      default:
        reader.skip(tag)
    }
  }
  reader.leave(outer)
}

/** One entry of a map<string, string> of texts. */
const readExtension = (reader: Reader, into: Record<string, string>): void => {
  let key = ''
  let value = ''
  reader.message((tag) => {
    if (tag === 0x0a) key = reader.latin1()
    else if (tag === 0x12) value = reader.latin1()
    else reader.skip(tag)
  })
  into[key] = value
}

/** The longest written address is shorter by far. */
const ADDRESS_BYTES_MAX = 256

const readAddress = (reader: Reader): string => {
  let address = ''
  reader.message((tag) => {
    if (tag !== 0x0a) return reader.skip(tag)
    let ip = ''
    let port = 0
    reader.message((inner) => {
      if (inner === 0x12) ip = reader.ownText(ADDRESS_BYTES_MAX)
      else if (inner === 0x18) port = reader.varint()
      else reader.skip(inner)
    })
    address = ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`
  })
  return address
}
