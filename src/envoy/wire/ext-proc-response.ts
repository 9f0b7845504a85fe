import { type HeaderPairs, writeHeaderOption } from './header.ts'
import { type Json, writeStruct } from './struct.ts'
import { Writer } from './writer.ts'

/** Changes of a request's headers. */
export interface HeaderMutation {
  readonly set: HeaderPairs
  readonly remove?: readonly string[]
}

interface Common {
  readonly mutation?: HeaderMutation
  /** Has Envoy choose the route again; without a mutation it is ignored. */
  readonly clearRouteCache?: boolean
}

/** What a ProcessingResponse can say, as far as hubward says it. */
export type ProcessingResponse =
  | (Common & {
      readonly kind: 'request_headers' | 'response_headers'
      /** How this one request's body is to be sent; Envoy heeds it only with allow_mode_override. One of BODY_MODE. */
      readonly requestBodyMode?: number
    })
  | (Common & { readonly kind: 'request_body'; readonly body?: Uint8Array })
  | { readonly kind: 'request_trailers' | 'response_trailers' | 'response_body' }
  | {
      readonly kind: 'immediate'
      readonly status: number
      readonly headers: HeaderPairs
      readonly body: string
      readonly details: string
    }
  /** Only asks Envoy to wait longer for the real answer. */
  | { readonly kind: 'wait'; readonly ms: number }

const writer = new Writer()

/** The bytes of one ProcessingResponse. Dynamic metadata comes to nothing unless the filter lets its namespaces in. */
export const encodeProcessingResponse = (
  response: ProcessingResponse,
  metadata?: { readonly [namespace: string]: Json },
): Buffer => {
  writer.restart()
  switch (response.kind) {
    case 'request_headers':
    case 'response_headers':
      writer.message(response.kind === 'request_headers' ? 1 : 2, () => writeCommon(response))
      writeModeOverride(response.requestBodyMode)
      break
    case 'request_body':
      writer.message(3, () => writeCommon(response, response.body))
      break
    case 'response_body':
      writer.message(4, () => {})
      break
    case 'request_trailers':
      writer.message(5, () => {})
      break
    case 'response_trailers':
      writer.message(6, () => {})
      break
    case 'immediate':
      writer.message(7, () => {
        writer.message(1, () => writer.varint(1, response.status))
        writer.message(2, () => writeMutation({ set: response.headers }))
        writer.text(3, response.body)
        writer.text(5, response.details)
      })
      break
    case 'wait':
      writer.message(10, () => writer.varint(1, Math.floor(response.ms / 1000)).varint(2, (response.ms % 1000) * 1e6))
      break
    default:
      response satisfies never
  }
  if (metadata !== undefined) writer.message(8, () => writeStruct(writer, metadata))
  return writer.finish()
}

/** A CommonResponse inside its HeadersResponse or BodyResponse; its status is always CONTINUE, the default. */
const writeCommon = (common: Common, body?: Uint8Array): void => {
  writer.message(1, () => {
    const { mutation } = common
    if (mutation !== undefined) writer.message(2, () => writeMutation(mutation))
    if (body !== undefined) writer.message(3, () => writer.data(1, body))
    writer.bool(5, common.clearRouteCache === true)
  })
}

const writeModeOverride = (requestBodyMode: number | undefined): void => {
  if (requestBodyMode !== undefined) writer.message(9, () => writer.varint(3, requestBodyMode))
}

const writeMutation = ({ set, remove }: HeaderMutation): void => {
  for (const [name, value] of set) writeHeaderOption(writer, 1, 3, name, value)
  for (const name of remove ?? []) writer.text(2, name)
}
