import { readHeader } from './header.ts'
import { Reader } from './reader.ts'
import { noteMetadata, type Structs, structsLater } from './struct.ts'

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

/** One envoy.service.ext_proc.v3.ProcessingRequest. Header names are lower case, values one code unit a byte. */
export interface ProcessingRequest {
  readonly kind: ProcessingKind
  readonly names: readonly string[]
  readonly values: readonly string[]
  readonly endOfStream: boolean
  readonly body: Buffer | undefined
  readonly observabilityMode: boolean
  /** What the first message says about the body, one of BODY_MODE or newer. NONE where nothing is said. */
  readonly requestBodyMode: number
  /** Envoy attributes by filter name; decoded when first asked for. */
  readonly attributes: () => Structs
  /** Dynamic metadata by namespace; decoded when first asked for. */
  readonly metadata: () => Structs
}

/** Reads one ProcessingRequest. Throws WireError, and nothing else, for bytes that are none. */
export const decodeProcessingRequest = (bytes: Buffer): ProcessingRequest => {
  const reader = new Reader(bytes)
  let kind: ProcessingKind = 'other'
  let names: string[] = []
  let values: string[] = []
  let endOfStream = false
  let body: Buffer | undefined
  let observabilityMode = false
  let requestBodyMode = 0
  const attributesAt: number[] = []
  let metadataAt: number[] = []
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case 0x12: // request_headers
      case 0x1a: // response_headers
        kind = KINDS[tag >>> 3]!
        names = []
        values = []
        endOfStream = false
        body = undefined
        reader.message((field) => {
          if (field === 0x0a)
            reader.message((inner) => (inner === 0x0a ? readHeader(reader, names, values) : reader.skip(inner)))
          else if (field === 0x18) endOfStream = reader.bool()
          else reader.skip(field)
        })
        break
      case 0x22: // request_body
      case 0x2a: // response_body
        kind = KINDS[tag >>> 3]!
        endOfStream = false
        body = EMPTY
        reader.message((field) => {
          if (field === 0x0a) body = reader.slice()
          else if (field === 0x10) endOfStream = reader.bool()
          else reader.skip(field)
        })
        break
      case 0x32: // request_trailers
      case 0x3a: // response_trailers
        kind = KINDS[tag >>> 3]!
        reader.skip(tag)
        break
      case 0x42: // metadata_context
        metadataAt = []
        noteMetadata(reader, metadataAt)
        break
      case 0x4a: // attributes
        attributesAt.push(reader.pos)
        reader.skip(tag)
        break
      case 0x50: // observability_mode
        observabilityMode = reader.bool()
        break
      case 0x5a: // protocol_config
        reader.message((field) => {
          if (field === 0x08) requestBodyMode = reader.varint()
          else reader.skip(field)
        })
        break
      default:
        reader.skip(tag)
    }
  }
  return {
    kind,
    names,
    values,
    endOfStream,
    body,
    observabilityMode,
    requestBodyMode,
    attributes: structsLater(reader, attributesAt),
    metadata: structsLater(reader, metadataAt),
  }
}

const EMPTY = Buffer.alloc(0)
