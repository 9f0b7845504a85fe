import { type HeaderPairs, writeHeaderOption } from './header.ts'
import { type Json, writeStruct } from './struct.ts'
import { Writer } from './writer.ts'

/** What a CheckResponse can say, as far as hubward says it. */
export type CheckResponse =
  | {
      readonly kind: 'ok'
      readonly set: HeaderPairs
      readonly remove?: readonly string[]
      readonly response?: HeaderPairs
    }
  | {
      readonly kind: 'denied'
      readonly status: number
      readonly headers: HeaderPairs
      readonly body: string
    }

/** google.rpc.Code PERMISSION_DENIED: any code but OK makes Envoy use the denied response. */
const PERMISSION_DENIED = 7

const writer = new Writer()

/** The bytes of one CheckResponse. */
export const encodeCheckResponse = (response: CheckResponse, metadata?: { readonly [name: string]: Json }): Buffer => {
  writer.restart()
  const options = (field: number, headers: HeaderPairs): void => {
    for (const [name, value] of headers) writeHeaderOption(writer, field, 2, name, value)
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
