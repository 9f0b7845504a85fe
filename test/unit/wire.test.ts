import fc from 'fast-check'
import jspb from 'google-protobuf'
import t from 'tap'
import { decodeCheckRequest } from '../../src/envoy/wire/ext-authz-request.ts'
import { encodeCheckResponse } from '../../src/envoy/wire/ext-authz-response.ts'
import { decodeProcessingRequest } from '../../src/envoy/wire/ext-proc-request.ts'
import { encodeProcessingResponse, type ProcessingResponse } from '../../src/envoy/wire/ext-proc-response.ts'
import { fromLatin1 } from '../../src/envoy/wire/reader.ts'
import type { StructMap } from '../../src/envoy/wire/struct.ts'
import { CHECK, type Loose, PROCESS, structOf } from '../helpers/wire-messages.ts'

const ascii = fc.string({ maxLength: 40 })
const anyText = fc.oneof(ascii, fc.string({ unit: 'grapheme', maxLength: 30 }), fc.string({ maxLength: 200 }))
const bytes = fc.uint8Array({ maxLength: 300 }).map((one) => Buffer.from(one))
const pairs = fc.array(fc.tuple(ascii, anyText), { maxLength: 8 })
const json = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 3 },
    anyText,
    fc.double({ noNaN: true }),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('any'), { maxLength: 3 }),
    tie('object'),
  ),
  object: fc.dictionary(anyText, tie('any'), { maxKeys: 4 }),
})).object as fc.Arbitrary<Record<string, unknown>>

const structsOf = (all: Record<string, Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(all).map(([key, one]) => [key, structOf(one)]))
const latin1 = (text: string) => Buffer.from(text).toString('latin1')
/** A plain copy: what we read has no prototype, and -0 is 0 in JSON. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

const same = (a: unknown, b: unknown): void => {
  const sorted = (value: unknown): string =>
    JSON.stringify(value, (_key, one) =>
      typeof one === 'object' && one !== null && !Array.isArray(one)
        ? Object.fromEntries(Object.entries(one).sort(([x], [y]) => (x < y ? -1 : 1)))
        : one,
    )
  if (sorted(a) !== sorted(b)) throw new Error(`${sorted(a)} is not ${sorted(b)}`)
}

/** The values of a header as one, as its readers see it. */
const joined = (headers: readonly (readonly [string, string])[], name: string): string =>
  headers
    .filter(([key]) => key === name)
    .map(([, value]) => fromLatin1(value))
    .join(',')

/** Whether a map of structs has these, whole and field by field, in this order and after other things were asked. */
const structsAre = (read: StructMap, given: Readonly<Record<string, unknown>>): void => {
  for (const [name, fields] of Object.entries(given)) {
    for (const [key, value] of Object.entries(fields as object)) same(plain(read.field(name, key)), plain(value))
    same(plain(read.get(name)), plain(fields))
    same(read.field(name, 'not-there'), undefined)
  }
  same(read.get('not-there'), undefined)
}

t.test("what proto-loader's codec writes, ours reads the same", async (t) => {
  const headers = fc.array(fc.record({ key: ascii, raw_value: bytes }), { maxLength: 12 })
  const structs = fc.dictionary(ascii, json, { maxKeys: 3 })
  const given = fc.record({
    headers,
    end: fc.boolean(),
    attributes: structs,
    metadata: structs,
    mode: fc.constantFrom('NONE', 'STREAMED', 'BUFFERED', 'BUFFERED_PARTIAL', 'FULL_DUPLEX_STREAMED'),
    observe: fc.boolean(),
    body: bytes,
  })
  const compare = (phase: 'request' | 'response') => (one: typeof given extends fc.Arbitrary<infer T> ? T : never) => {
    const rest = {
      attributes: structsOf(one.attributes),
      metadata_context: { filter_metadata: structsOf(one.metadata) },
      protocol_config: { request_body_mode: one.mode },
      observability_mode: one.observe,
    }
    const head = decodeProcessingRequest(
      PROCESS.requestSerialize({
        [`${phase}_headers`]: { headers: { headers: one.headers }, end_of_stream: one.end },
        ...rest,
      }),
    )
    const modes = ['NONE', 'STREAMED', 'BUFFERED', 'BUFFERED_PARTIAL', 'FULL_DUPLEX_STREAMED']
    const { kind, endOfStream, observabilityMode, requestBodyMode } = head
    if (kind !== `${phase}_headers` || endOfStream !== one.end || observabilityMode !== one.observe) return false
    if (requestBodyMode !== modes.indexOf(one.mode)) return false
    const written = one.headers.map(({ key, raw_value }) => [latin1(key), raw_value.toString('latin1')] as const)
    same(head.headers.pairs(), written)
    structsAre(head.attributes, one.attributes)
    structsAre(head.metadata, one.metadata)
    const body = decodeProcessingRequest(
      PROCESS.requestSerialize({ [`${phase}_body`]: { body: one.body, end_of_stream: one.end }, ...rest }),
    )
    structsAre(body.attributes, one.attributes)
    // Another message has been read since: this one is gone through again.
    same(head.headers.pairs(), written)
    for (const { key } of one.headers) same(head.headers.get(latin1(key)), joined(written, latin1(key)))
    same(head.headers.get('not-there'), undefined)
    return body.kind === `${phase}_body` && body.endOfStream === one.end && one.body.equals(body.body!)
  }
  fc.assert(fc.property(given, compare('request')), { numRuns: 2_000, seed: 1 })
  fc.assert(fc.property(given, compare('response')), { numRuns: 300, seed: 2 })
  t.equal(decodeProcessingRequest(PROCESS.requestSerialize({ request_trailers: {} })).kind, 'request_trailers')
  t.equal(decodeProcessingRequest(PROCESS.requestSerialize({ response_trailers: {} })).kind, 'response_trailers')
})

const response: fc.Arbitrary<ProcessingResponse> = fc.oneof(
  fc.record({
    kind: fc.constantFrom('request_headers' as const, 'response_headers' as const),
    mutation: fc.record({ set: pairs, remove: fc.array(ascii, { maxLength: 4 }) }),
    clearRouteCache: fc.boolean(),
    requestBodyMode: fc.integer({ min: 0, max: 4 }),
  }),
  fc.record({
    kind: fc.constant('request_body' as const),
    mutation: fc.record({ set: pairs }),
    clearRouteCache: fc.boolean(),
    body: fc.uint8Array({ maxLength: 3_000 }),
  }),
  fc.record({
    kind: fc.constant('immediate' as const),
    status: fc.integer({ min: 200, max: 599 }),
    headers: pairs,
    body: fc.string({ maxLength: 20_000 }),
    details: ascii,
  }),
  fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 100_000 }) }),
  fc.record({
    kind: fc.constantFrom('response_body' as const, 'request_trailers' as const, 'response_trailers' as const),
  }),
)

/** Headers to set as ext_proc must get them: raw_value and nothing in value, the action said. */
const rawOptions = (set: readonly (readonly [string, string])[]) =>
  set.map(([key, text]) => ({
    header: { key, value: '', raw_value: Buffer.from(text) },
    append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
  }))

t.test("what ours writes, proto-loader's codec reads the same", async (t) => {
  fc.assert(
    fc.property(response, fc.option(json, { nil: undefined }), (one, metadata) => {
      const read = PROCESS.responseDeserialize(encodeProcessingResponse(one, metadata as Loose))
      const options = (list: Loose[]) =>
        list.map(({ header, append_action }) => ({
          header,
          append_action: append_action === 2 ? 'OVERWRITE_IF_EXISTS_OR_ADD' : append_action,
        }))
      if (metadata !== undefined)
        same(
          read.dynamic_metadata,
          PROCESS.responseDeserialize(PROCESS.responseSerialize({ dynamic_metadata: structOf(metadata) }))
            .dynamic_metadata,
        )
      else same(read.dynamic_metadata, null)
      if (one.kind === 'wait') {
        const { seconds, nanos } = read.override_message_timeout
        return seconds * 1000 + nanos / 1e6 === one.ms
      }
      if (one.kind === 'immediate') {
        const { status, headers, body, details } = read.immediate_response
        same(options(headers.set_headers), rawOptions(one.headers))
        return status.code === one.status && body.toString() === one.body && details === one.details
      }
      if (!('mutation' in one)) return read[one.kind] !== undefined
      const common = read[one.kind].response
      same(options(common.header_mutation.set_headers), rawOptions(one.mutation?.set ?? []))
      same(common.header_mutation.remove_headers, one.mutation?.remove ?? [])
      if (one.kind === 'request_body' && !Buffer.from(one.body!).equals(common.body_mutation.body)) return false
      if (one.kind !== 'request_body' && read.mode_override.request_body_mode !== one.requestBodyMode) return false
      return common.clear_route_cache === one.clearRouteCache && common.status === 0
    }),
    { numRuns: 2_000, seed: 3 },
  )
  t.pass('2,000 answers')
})

t.test('ext_authz: both directions agree with proto-loader', async (t) => {
  const unique = fc.uniqueArray(fc.tuple(ascii, anyText), { maxLength: 8, selector: ([key]) => key })
  const port = fc.integer({ min: 1, max: 65_535 })
  const check = (
    list: [string, string][],
    raw: boolean,
    extensions: [string, string][],
    path: string,
    portValue: number,
    body: Buffer,
    metadata: Record<string, unknown>,
  ) => {
    const http = {
      ...{ method: 'POST', path, host: 'h', raw_body: body },
      ...(raw
        ? { header_map: { headers: list.map(([key, value]) => ({ key, raw_value: Buffer.from(value) })) } }
        : { headers: Object.fromEntries(list) }),
    }
    const read = decodeCheckRequest(
      CHECK.requestSerialize({
        attributes: {
          source: {
            address: { socket_address: { address: '10.0.0.1', port_value: portValue } },
            principal: 'spiffe://cluster.local/ns/a',
          },
          context_extensions: Object.fromEntries(extensions),
          metadata_context: { filter_metadata: { n: structOf(metadata) } },
          request: { http },
        },
      }),
    )
    const { method, path: readPath, host, source } = read
    same([method, readPath, host, source], ['POST', latin1(path), 'h', `10.0.0.1:${portValue}`])
    same(
      Object.fromEntries(read.headers.pairs().map(([key, value]) => [key, fromLatin1(value)])),
      Object.fromEntries(list.map(([key, value]) => [latin1(key), value])),
    )
    same(
      plain(read.contextExtensions),
      plain(Object.fromEntries(extensions.map(([key, value]) => [latin1(key), latin1(value)]))),
    )
    structsAre(read.metadata, { n: metadata })
    same((read.body ?? Buffer.alloc(0)).toString('hex'), body.toString('hex'))
  }
  fc.assert(fc.property(unique, fc.boolean(), unique, ascii, port, bytes, json, check), { numRuns: 1_000, seed: 4 })
  fc.assert(
    fc.property(pairs, fc.array(ascii), pairs, (set, remove, added) => {
      const read = CHECK.responseDeserialize(encodeCheckResponse({ kind: 'ok', set, remove, response: added }))
      const options = (list: readonly (readonly [string, string])[]) =>
        // value alone: ext_authz reads nothing else.
        list.map(([key, value]) => ({ header: { key, value, raw_value: Buffer.alloc(0) }, append_action: 2 }))
      same(read.status.code, 0)
      same(read.ok_response.headers, options(set))
      same(read.ok_response.headers_to_remove, remove)
      same(read.ok_response.response_headers_to_add, options(added))
    }),
    { numRuns: 500, seed: 5 },
  )
  const denied = { kind: 'denied', status: 503, headers: [['retry-after', '5']], body: '{}' } as const
  t.match(CHECK.responseDeserialize(encodeCheckResponse(denied)), {
    status: { code: 7 },
    denied_response: { status: { code: 503 }, headers: [{ header: { key: 'retry-after', value: '5' } }], body: '{}' },
  })
})

/** Any message as google-protobuf's reader sees it: field numbers with what is in them, as far down as told. */
const fieldsOf = (data: Uint8Array, shape: Shape): unknown[] => {
  const reader = new jspb.BinaryReader(data)
  const found: unknown[] = []
  while (reader.nextField()) {
    const field = reader.getFieldNumber()
    const inner = shape[field]
    if (inner === undefined) throw new Error(`field ${field} is not in the shape`)
    if (inner === 'text') found.push([field, reader.readString()])
    else if (inner === 'number') found.push([field, reader.readUint32()])
    else found.push([field, fieldsOf(reader.readBytes() as Uint8Array, inner)])
  }
  return found
}
type Shape = { readonly [field: number]: Shape | 'text' | 'number' }
const OPTION: Shape = { 1: { 1: 'text', 3: 'text' }, 3: 'number' }

t.test("google-protobuf's writer and reader agree with ours", async (t) => {
  const nested = (writer: jspb.BinaryWriter, field: number, body: () => void) =>
    writer.writeMessage(field, {} as never, body)
  fc.assert(
    fc.property(pairs, fc.boolean(), (list, end) => {
      const writer = new jspb.BinaryWriter()
      nested(writer, 2, () => {
        nested(writer, 1, () => {
          for (const [key, value] of list)
            nested(writer, 1, () => {
              writer.writeString(1, key)
              writer.writeBytes(3, Buffer.from(value))
            })
        })
        writer.writeBool(3, end)
      })
      const read = decodeProcessingRequest(Buffer.from(writer.getResultBuffer()))
      same([read.kind, read.endOfStream], ['request_headers', end])
      same(
        read.headers.pairs().map((pair) => pair.map(fromLatin1)),
        list.map(([key, value]) => [key, value]),
      )
    }),
    { numRuns: 500, seed: 6 },
  )
  fc.assert(
    fc.property(pairs, (set) => {
      const written = encodeProcessingResponse({ kind: 'request_headers', mutation: { set }, clearRouteCache: true })
      same(fieldsOf(written, { 1: { 1: { 2: { 1: OPTION }, 5: 'number' } } }), [
        [
          1,
          [
            [
              1,
              [
                [
                  2,
                  set.map(([key, value]) => [
                    1,
                    [
                      [
                        1,
                        [
                          [1, key],
                          [3, value],
                        ],
                      ],
                      [3, 2],
                    ],
                  ]),
                ],
                [5, 1],
              ],
            ],
          ],
        ],
      ])
    }),
    { numRuns: 500, seed: 7 },
  )
  t.pass('1,000 messages')
})
