/** A header as Envoy sends it. */
export type Header = readonly [name: string, value: string]

const varint = (value: number): Buffer => {
  const bytes: number[] = []
  for (let left = value; ; left >>>= 7) {
    if (left < 128) return Buffer.from([...bytes, left])
    bytes.push((left & 127) | 128)
  }
}
const field = (number: number, content: Buffer | string): Buffer => {
  const bytes = Buffer.from(content as string)
  return Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes])
}
const flag = (number: number): Buffer => Buffer.from([number << 3, 1])

/**
 * The first message of an ext_proc stream, as Envoy 1.40 writes it: headers by raw_value, the end of the stream, an empty
 * context of metadata, one attribute, and the modes of bodies.
 */
export const processingRequest = (headers: readonly Header[], source = '127.0.0.1:37598'): Buffer => {
  const map = Buffer.concat(headers.map(([name, value]) => field(1, Buffer.concat([field(1, name), field(3, value)]))))
  const attribute = Buffer.concat([field(1, 'source.address'), field(2, field(3, source))])
  return Buffer.concat([
    field(2, Buffer.concat([field(1, map), flag(3)])),
    field(8, ''),
    field(9, Buffer.concat([field(1, 'envoy.filters.http.ext_proc'), field(2, field(1, attribute))])),
    field(11, ''),
  ])
}

const OPTIONAL: readonly Header[] = [
  ['user-agent', 'bench'],
  ['accept', 'application/json'],
  ['x-request-source', 'bench'],
]

/** The headers of a chat request of this number, so many in all: 10 at least. Tenants take turns. */
export const requestHeaders = (number: number, count = 13): readonly Header[] => [
  [':authority', 'bench'],
  [':path', '/v1/chat/completions'],
  [':method', 'GET'],
  [':scheme', 'http'],
  ['x-tenant', `tenant-${number % 50}`],
  ['authorization', 'Bearer not-a-secret'],
  ['x-region', 'EMEA'],
  ...OPTIONAL.slice(0, count - 10),
  ...Array.from({ length: Math.max(0, count - 13) }, (_, i): Header => [`x-more-${i}`, `a value of some length ${i}`]),
  ['x-hubward-cluster', 'default'],
  ['x-forwarded-proto', 'http'],
  ['x-request-id', `d3579c07-73f9-4147-a054-${number.toString(16).padStart(12, '0')}`],
]
