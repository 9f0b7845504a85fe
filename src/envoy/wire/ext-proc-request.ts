import { HeaderMap, readHeaders } from './header-map.ts'
import { Reader } from './reader.ts'
import { metadataPlaces, noteEntry, type StructMap, structsAt } from './struct.ts'

/** Which of its messages Envoy sent; `other` is one that this codec does not know, of a later version. */
export type ProcessingKind =
  | 'request_headers'
  | 'response_headers'
  | 'request_body'
  | 'response_body'
  | 'request_trailers'
  | 'response_trailers'
  | 'other'

const KINDS: readonly ProcessingKind[] = [
  'other',
  'other',
  'request_headers',
  'response_headers',
  'request_body',
  'response_body',
  'request_trailers',
  'response_trailers',
]

/** How Envoy sends a body: ProcessingMode.BodySendMode. */
export const BODY_MODE = { none: 0, streamed: 1, buffered: 2, bufferedPartial: 3, fullDuplexStreamed: 4 } as const

/** One envoy.service.ext_proc.v3.ProcessingRequest. */
export interface ProcessingRequest {
  readonly kind: ProcessingKind
  readonly headers: HeaderMap
  readonly endOfStream: boolean
  readonly body: Buffer | undefined
  readonly observabilityMode: boolean
  /** What the first message says about the body, one of BODY_MODE or newer. NONE where nothing is said. */
  readonly requestBodyMode: number
  /** Envoy attributes by filter name. */
  readonly attributes: StructMap
  /** Dynamic metadata by namespace. */
  readonly metadata: StructMap
}

/** Reads one ProcessingRequest. Throws WireError, and nothing else, for bytes that are none. */
export const decodeProcessingRequest = (bytes: Buffer): ProcessingRequest => {
  const reader = new Reader(bytes)
  const headers = new HeaderMap(bytes, readAgain)
  let kind: ProcessingKind = 'other'
  let endOfStream = false
  let body: Buffer | undefined
  let observabilityMode = false
  let requestBodyMode = 0
  let attributesAt: number[] | undefined
  let metadataAt: number[] | undefined
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case 0x12: // request_headers
      case 0x1a: // response_headers
        kind = KINDS[tag >>> 3]!
        body = undefined
        endOfStream = readHttpHeaders(reader, headers)
        break
      case 0x22: // request_body
      case 0x2a: {
        // response_body
        kind = KINDS[tag >>> 3]!
        endOfStream = false
        body = EMPTY
        const outer = reader.enter()
        for (let field = reader.tag(); field !== 0; field = reader.tag()) {
          if (field === 0x0a) body = reader.slice()
          else if (field === 0x10) endOfStream = reader.bool()
          else reader.skip(field)
        }
        reader.leave(outer)
        break
      }
      case 0x32: // request_trailers
      case 0x3a: // response_trailers
        kind = KINDS[tag >>> 3]!
        reader.skip(tag)
        break
      case 0x42: // metadata_context
        metadataAt = metadataPlaces(reader)
        break
      case 0x4a: // attributes
        attributesAt ??= []
        noteEntry(reader, attributesAt)
        reader.skip(tag)
        break
      case 0x50: // observability_mode
        observabilityMode = reader.bool()
        break
      case 0x5a: {
        // protocol_config
        const outer = reader.enter()
        for (let field = reader.tag(); field !== 0; field = reader.tag()) {
          if (field === 0x08) requestBodyMode = reader.varint()
          else reader.skip(field)
        }
        reader.leave(outer)
        break
      }
      default:
        reader.skip(tag)
    }
  }
  return {
    kind,
    headers,
    endOfStream,
    body,
    observabilityMode,
    requestBodyMode,
    attributes: structsAt(reader, attributesAt),
    metadata: structsAt(reader, metadataAt),
  }
}

/** Notes the headers of an HttpHeaders message; gives its end_of_stream. */
const readHttpHeaders = (reader: Reader, headers: HeaderMap): boolean => {
  headers.clear()
  let endOfStream = false
  const outer = reader.enter()
  for (let field = reader.tag(); field !== 0; field = reader.tag()) {
    if (field === 0x0a) readHeaders(reader, headers)
    else if (field === 0x18) endOfStream = reader.bool()
    else reader.skip(field)
  }
  reader.leave(outer)
  return endOfStream
}

/** Notes the headers of a message that was read before. */
const readAgain = (bytes: Buffer, headers: HeaderMap): void => {
  const reader = new Reader(bytes)
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x12 || tag === 0x1a) readHttpHeaders(reader, headers)
    else reader.skip(tag)
  }
}

const EMPTY = Buffer.alloc(0)
