import { Reader, WireError } from './reader.ts'
import { type Json, readStructEntry, writeStruct } from './struct.ts'
import { Writer } from './writer.ts'

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

/** One envoy.service.ext_proc.v3.ProcessingRequest. Header names are lower case, values one code unit a byte. */
export interface ProcessingRequest {
  readonly kind: ProcessingKind
  readonly names: readonly string[]
  readonly values: readonly string[]
  readonly endOfStream: boolean
  readonly body: Buffer | undefined
  readonly observabilityMode: boolean
  /** request_body_mode of the first message's protocol_config: 0 none, 1 streamed, 2 buffered, 3 buffered partial. */
  readonly requestBodyMode: number
  /** Envoy attributes by filter name; decoded when first asked for. */
  readonly attributes: () => Readonly<Record<string, Readonly<Record<string, Json>>>>
  /** Dynamic metadata by namespace; decoded when first asked for. */
  readonly metadata: () => Readonly<Record<string, Readonly<Record<string, Json>>>>
}

type Structs = Record<string, Record<string, Json>>
const NOTHING: Structs = Object.freeze(Object.create(null) as Structs)

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
  let attributesAt: number[] | undefined
  let metadataAt = -1
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
        metadataAt = reader.pos
        reader.skip(tag)
        break
      case 0x4a: // attributes
        attributesAt ??= []
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
  let attributes: Structs | undefined
  let metadata: Structs | undefined
  return {
    kind,
    names,
    values,
    endOfStream,
    body,
    observabilityMode,
    requestBodyMode,
    attributes: () => {
      attributes ??=
        attributesAt === undefined
          ? NOTHING
          : lazily(() => {
              const all: Structs = Object.create(null) as Structs
              for (const at of attributesAt) {
                rewind(reader, at)
                readStructEntry(reader, all)
              }
              return all
            })
      return attributes
    },
    metadata: () => {
      metadata ??=
        metadataAt < 0
          ? NOTHING
          : lazily(() => {
              rewind(reader, metadataAt)
              return readMetadata(reader)
            })
      return metadata
    },
  }
}

const EMPTY = Buffer.alloc(0)

const rewind = (reader: Reader, at: number): void => {
  reader.pos = at
  reader.end = reader.bytes.length
  reader.depth = 0
}

// What is decoded late must not surprise the handler late: a bad Struct reads as none.
const lazily = (read: () => Structs): Structs => {
  try {
    return read()
  } catch (error) {
    if (error instanceof WireError) return NOTHING
    throw error
  }
}

/** The filter_metadata of a core.v3.Metadata message that starts at the cursor. */
export const readMetadata = (reader: Reader): Structs => {
  const all: Structs = Object.create(null) as Structs
  reader.message((tag) => {
    if (tag === 0x0a) readStructEntry(reader, all)
    else reader.skip(tag)
  })
  return all
}

/** A core.v3.HeaderValue: raw_value where Envoy sends one, else value. */
export const readHeader = (reader: Reader, names: string[], values: string[]): void => {
  const to = reader.span()
  const outer = reader.end
  reader.end = to
  let key = ''
  let value = ''
  let raw: string | undefined
  while (reader.pos < to) {
    const tag = reader.tag()
    if (tag === 0x0a) key = reader.latin1()
    else if (tag === 0x1a) raw = reader.latin1()
    else if (tag === 0x12) value = reader.latin1()
    else reader.skip(tag)
  }
  reader.end = outer
  names.push(key)
  values.push(raw ?? value)
}

/** Changes of a request's headers. */
export interface HeaderMutation {
  readonly set: readonly (readonly [name: string, value: string])[]
  readonly remove?: readonly string[]
}

/** What a ProcessingResponse can say, as far as hubward says it. */
export type ProcessingResponse =
  | {
      readonly kind: 'request_headers' | 'response_headers'
      readonly mutation?: HeaderMutation
      readonly clearRouteCache?: boolean
    }
  | {
      readonly kind: 'request_body'
      readonly mutation?: HeaderMutation
      readonly clearRouteCache?: boolean
      readonly body?: Uint8Array
    }
  | {
      readonly kind: 'immediate'
      readonly status: number
      readonly headers: readonly (readonly [name: string, value: string])[]
      readonly body: string
      readonly details: string
    }
  /** Only asks Envoy to wait longer for the real answer. */
  | { readonly kind: 'wait'; readonly ms: number }

const RESPONSE_FIELD = { request_headers: 1, response_headers: 2, request_body: 3 } as const
/** OVERWRITE_IF_EXISTS_OR_ADD. The default would append or overwrite depending on a deprecated field: always explicit. */
const OVERWRITE = 2

const writer = new Writer()

/** The bytes of one ProcessingResponse. Header values go into raw_value, the only one that ext_proc reads. */
export const encodeProcessingResponse = (
  response: ProcessingResponse,
  metadata?: { readonly [namespace: string]: Json },
): Buffer => {
  writer.restart()
  if (response.kind === 'wait')
    writer.message(10, () => writer.varint(1, Math.floor(response.ms / 1000)).varint(2, (response.ms % 1000) * 1e6))
  else if (response.kind === 'immediate') {
    writer.message(7, () => {
      writer.message(1, () => writer.varint(1, response.status))
      writer.message(2, () => writeMutation({ set: response.headers }))
      writer.text(3, response.body)
      writer.text(5, response.details)
    })
  } else {
    writer.message(RESPONSE_FIELD[response.kind], () =>
      writer.message(1, () => {
        const { mutation } = response
        if (mutation !== undefined) writer.message(2, () => writeMutation(mutation))
        if (response.kind === 'request_body' && response.body !== undefined) {
          const { body } = response
          writer.message(3, () => writer.data(1, body))
        }
        writer.bool(5, response.clearRouteCache === true)
      }),
    )
  }
  if (metadata !== undefined) writer.message(8, () => writeStruct(writer, metadata))
  return writer.finish()
}

const writeMutation = ({ set, remove }: HeaderMutation): void => {
  for (const [name, value] of set) {
    writer.message(1, () => {
      writer.message(1, () => writer.text(1, name).text(3, value))
      writer.varint(3, OVERWRITE)
    })
  }
  for (const name of remove ?? []) writer.text(2, name)
}
