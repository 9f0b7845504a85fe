import { BODY_MODE } from './wire/ext-proc-request.ts'
import { Writer } from './wire/writer.ts'

/** A request as a client of a chat service sends it. It names no tenant: what it is decided to be does not matter. */
const HEADERS: readonly (readonly [name: string, value: string])[] = [
  [':method', 'POST'],
  [':path', '/v1/chat/completions'],
  [':authority', 'self-warm.invalid'],
  [':scheme', 'https'],
  ['accept', 'application/json'],
  ['content-type', 'application/json'],
  ['user-agent', 'hubward-self-warm'],
  ['x-forwarded-for', '192.0.2.1'],
  ['x-forwarded-proto', 'https'],
  ['x-request-id', '00000000-0000-4000-8000-000000000000'],
  ['x-hubward-cluster', 'unset'],
]

const BODY = Buffer.from('{"model":"self-warm","messages":[{"role":"user","content":"self-warm"}],"stream":true}')

const writer = new Writer()

const pairs = (field: number, valueField: number): void => {
  for (const [name, value] of HEADERS) writer.message(field, () => writer.text(1, name).text(valueField, value))
}

const source = (): void => {
  writer.message(1, () => {
    writer.text(1, 'source.address')
    writer.message(2, () => writer.text(3, '192.0.2.1:40000'))
  })
}

const headersMessage = (bodyMode: number): Buffer => {
  writer.restart()
  writer.message(2, () => {
    writer.message(1, () => pairs(1, 3))
    writer.bool(3, bodyMode === BODY_MODE.none)
  })
  writer.message(9, () => {
    writer.text(1, 'envoy.filters.http.ext_proc')
    writer.message(2, source)
  })
  writer.message(11, () => writer.varint(1, bodyMode))
  return writer.finish()
}

const bodyMessage = (): Buffer => {
  writer.restart()
  writer.message(4, () => writer.data(1, BODY).bool(2, true))
  return writer.finish()
}

const checkMessage = (): Buffer => {
  writer.restart()
  writer.message(1, () => {
    writer.message(1, () =>
      writer.message(1, () => writer.message(1, () => writer.text(2, '192.0.2.1').varint(3, 40_000))),
    )
    writer.message(4, () =>
      writer.message(2, () => {
        writer.text(2, 'POST').text(4, '/v1/chat/completions').text(5, 'self-warm.invalid')
        pairs(3, 2)
      }),
    )
  })
  return writer.finish()
}

/** The messages of one ext_proc stream: a request decided on its headers, and one decided on its body. */
export const SELF_WARM_STREAMS: readonly (readonly Buffer[])[] = [
  [headersMessage(BODY_MODE.none)],
  [headersMessage(BODY_MODE.buffered), bodyMessage()],
]

/** One ext_authz check. */
export const SELF_WARM_CHECK: Buffer = checkMessage()
