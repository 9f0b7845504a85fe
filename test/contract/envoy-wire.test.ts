import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import jspb from 'google-protobuf'
import protobuf from 'protobufjs'
import t from 'tap'
import { decodeCheckRequest, encodeCheckResponse } from '../../src/envoy/wire/ext-authz-codec.ts'
import {
  decodeProcessingRequest,
  encodeProcessingResponse,
  type ProcessingResponse,
} from '../../src/envoy/wire/ext-proc-codec.ts'
import { WireError } from '../../src/envoy/wire/reader.ts'

const HERE = join(import.meta.dirname, '../..')
const DEPS = join(dirname(createRequire(import.meta.url).resolve('@grpc/grpc-js-xds/package.json')), 'deps')
const BUNDLED = dirname(createRequire(import.meta.url).resolve('protobufjs/package.json'))
const FILES = ['envoy/service/ext_proc/v3/external_processor.proto', 'envoy/service/auth/v3/external_auth.proto']

const load = (folders: readonly string[], files: readonly string[]): protobuf.Root => {
  const root = new protobuf.Root()
  root.resolvePath = (_origin, target) => {
    if (target.startsWith('google/protobuf/') && protobuf.common.get(target) !== null) return target
    for (const folder of [...folders, BUNDLED]) {
      const path = join(folder, target)
      if (existsSync(path)) return path
    }
    return target
  }
  return root.loadSync([...files], { keepCase: true })
}

const ours = load([join(HERE, 'proto')], FILES)
const theirs = load(
  ['envoy-api', 'xds', 'googleapis', 'protoc-gen-validate'].map((name) => join(DEPS, name)),
  FILES,
)

/** Fields that are newer than the full protos we compare with, as Envoy 1.40's own descriptors have them. */
const NEWER: Readonly<Record<string, string>> = {
  'envoy.service.ext_proc.v3.ProcessingRequest.protocol_config': '11 envoy.service.ext_proc.v3.ProtocolConfiguration',
}
/** Messages that are newer as a whole. */
const NEWER_MESSAGES = new Set(['envoy.service.ext_proc.v3.ProtocolConfiguration'])
/** Differences that are none on the wire: an enum is a varint, and bytes are a string that need not be text. */
const SAME_ON_THE_WIRE: readonly (readonly [string, string])[] = [
  ['int32', 'enum'],
  ['bytes', 'string'],
]

const messagesOf = (namespace: protobuf.NamespaceBase, into: protobuf.Type[] = []): protobuf.Type[] => {
  for (const one of namespace.nestedArray) {
    if (one instanceof protobuf.Type) into.push(one)
    if (one instanceof protobuf.Namespace) messagesOf(one, into)
  }
  return into
}
const name = (one: protobuf.ReflectionObject): string => one.fullName.replace(/^\./, '')
const typeOf = (field: protobuf.Field): string =>
  field.resolvedType instanceof protobuf.Enum
    ? 'enum'
    : field.resolvedType === null
      ? field.type
      : name(field.resolvedType)

t.test(
  "every field of our protos has the number, the type, the label and the oneof that it has in Envoy's",
  async (t) => {
    let compared = 0
    for (const message of messagesOf(ours)) {
      if (name(message).startsWith('google.protobuf.') || NEWER_MESSAGES.has(name(message))) continue
      const full = theirs.lookupType(name(message))
      for (const field of message.fieldsArray) {
        field.resolve()
        const label = `${name(message)}.${field.name}`
        const newer = NEWER[label]
        if (newer !== undefined) {
          t.equal(`${field.id} ${typeOf(field)}`, newer, label)
          t.notOk(
            full.fields[field.name] !== undefined,
            `${label} is still newer than what we compare with; take it off the list`,
          )
          continue
        }
        const other = full.fields[field.name]
        if (other === undefined) {
          t.fail(`${label} does not exist in Envoy`)
          continue
        }
        other.resolve()
        const [a, b] = [typeOf(field), typeOf(other)]
        const sameType = a === b || SAME_ON_THE_WIRE.some(([mine, yours]) => a === mine && b === yours)
        t.ok(sameType, `${label}: ${a} and ${b}`)
        t.same(
          { id: field.id, repeated: field.repeated, map: field.map, oneof: field.partOf?.name ?? null },
          { id: other.id, repeated: other.repeated, map: other.map, oneof: other.partOf?.name ?? null },
          label,
        )
        compared += 1
      }
    }
    t.ok(compared > 50, `${compared} fields`)
  },
)

const Request = ours.lookupType('envoy.service.ext_proc.v3.ProcessingRequest')
const Response = theirs.lookupType('envoy.service.ext_proc.v3.ProcessingResponse')
const Check = ours.lookupType('envoy.service.auth.v3.CheckRequest')
const Checked = theirs.lookupType('envoy.service.auth.v3.CheckResponse')

const ascii = fc.string({ maxLength: 40 })
const anyText = fc.oneof(ascii, fc.string({ unit: 'grapheme', maxLength: 12 }))
const headers = fc.array(
  fc.record({ key: ascii, raw_value: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)) }),
  { maxLength: 12 },
)
const struct = fc
  .dictionary(
    ascii,
    fc.oneof(
      anyText.map((stringValue) => ({ stringValue })),
      fc.double({ noNaN: true }).map((numberValue) => ({ numberValue })),
      fc.boolean().map((boolValue) => ({ boolValue })),
    ),
    { maxKeys: 4 },
  )
  .map((fields) => ({ fields }))

t.test("what proto-loader's codec writes, ours reads the same, 3,000 times", async (t) => {
  fc.assert(
    fc.property(
      headers,
      fc.boolean(),
      fc.dictionary(ascii, struct, { maxKeys: 3 }),
      fc.dictionary(ascii, struct, { maxKeys: 2 }),
      fc.integer({ min: 0, max: 4 }),
      fc.boolean(),
      (list, end, attributes, filterMetadata, mode, observe) => {
        const message = {
          request_headers: { headers: { headers: list }, end_of_stream: end },
          attributes,
          metadata_context: { filter_metadata: filterMetadata },
          protocol_config: { request_body_mode: mode },
          observability_mode: observe,
        }
        const bytes = Buffer.from(Request.encode(Request.fromObject(message)).finish())
        const read = decodeProcessingRequest(bytes)
        const plain = (structs: typeof attributes) =>
          Object.fromEntries(
            Object.entries(structs).map(([key, value]) => [
              key,
              Object.fromEntries(Object.entries(value.fields).map(([field, one]) => [field, Object.values(one)[0]])),
            ]),
          )
        const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)
        if (
          read.kind !== 'request_headers' ||
          read.endOfStream !== end ||
          read.requestBodyMode !== mode ||
          read.observabilityMode !== observe
        )
          throw new Error('scalars')
        if (
          !same(
            read.names,
            list.map((one) => Buffer.from(one.key).toString('latin1')),
          )
        )
          throw new Error('names')
        if (
          !same(
            read.values,
            list.map((one) => one.raw_value.toString('latin1')),
          )
        )
          throw new Error('values')
        if (!same(sorted(read.attributes()), sorted(plain(attributes)))) throw new Error('attributes')
        if (!same(sorted(read.metadata()), sorted(plain(filterMetadata)))) throw new Error('metadata')
      },
    ),
    { numRuns: 3_000, seed: 1 },
  )
  t.pass()
})

const sorted = (value: unknown): unknown =>
  typeof value !== 'object' || value === null
    ? value
    : Object.fromEntries(
        Object.entries(value)
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([key, one]) => [key, sorted(one)]),
      )

t.test('what ours writes, the full protos read the same, 3,000 times', async (t) => {
  const pairs = fc.array(fc.tuple(ascii, anyText), { maxLength: 8 })
  const response: fc.Arbitrary<ProcessingResponse> = fc.oneof(
    fc.record({
      kind: fc.constantFrom('request_headers' as const, 'response_headers' as const),
      mutation: fc.record({ set: pairs, remove: fc.array(ascii) }),
      clearRouteCache: fc.boolean(),
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
  )
  const raw = (set: readonly (readonly [string, string])[]) => set.map(([key, value]) => [key, value, 2])
  fc.assert(
    fc.property(response, (one) => {
      const read = Response.toObject(Response.decode(encodeProcessingResponse(one)), {
        bytes: Buffer,
        defaults: false,
        arrays: true,
      }) as any
      const seen = (options: any[] | undefined) =>
        (options ?? []).map((option) => [
          option.header.key ?? '',
          Buffer.from(option.header.raw_value ?? '').toString(),
          option.append_action,
        ])
      const check = (a: unknown, b: unknown) => {
        if (JSON.stringify(a) !== JSON.stringify(b)) throw new Error(`${JSON.stringify(a)} is not ${JSON.stringify(b)}`)
      }
      if (one.kind === 'wait')
        return check(
          Number(read.override_message_timeout.seconds ?? 0) * 1000 + (read.override_message_timeout.nanos ?? 0) / 1e6,
          one.ms,
        )
      if (one.kind === 'immediate') {
        check(
          [
            read.immediate_response.status.code,
            Buffer.from(read.immediate_response.body ?? '').toString(),
            read.immediate_response.details ?? '',
          ],
          [one.status, one.body, one.details],
        )
        return check(seen(read.immediate_response.headers.set_headers), raw(one.headers))
      }
      const common = read[one.kind].response
      check(
        [common.clear_route_cache ?? false, seen(common.header_mutation.set_headers)],
        [one.clearRouteCache ?? false, raw(one.mutation?.set ?? [])],
      )
      if (one.kind === 'request_body')
        check(Buffer.from(common.body_mutation.body ?? '').toString('hex'), Buffer.from(one.body ?? []).toString('hex'))
      else check(common.header_mutation.remove_headers ?? [], one.mutation?.remove ?? [])
    }),
    { numRuns: 3_000, seed: 2 },
  )
  t.pass()
})

t.test('ext_authz: both directions agree with the full protos', async (t) => {
  const pairs = fc.uniqueArray(fc.tuple(ascii, ascii), { maxLength: 8, selector: ([key]) => key })
  fc.assert(
    fc.property(
      pairs,
      pairs,
      ascii,
      fc.integer({ min: 1, max: 65_535 }),
      fc.uint8Array({ maxLength: 50 }),
      (list, extensions, path, port, body) => {
        const message = {
          attributes: {
            source: { address: { socket_address: { address: '10.0.0.1', port_value: port } }, principal: 'spiffe://x' },
            context_extensions: Object.fromEntries(extensions),
            request: {
              http: { method: 'POST', path, host: 'h', headers: Object.fromEntries(list), raw_body: Buffer.from(body) },
            },
          },
        }
        const read = decodeCheckRequest(Buffer.from(Check.encode(Check.fromObject(message)).finish()))
        const back = Object.fromEntries(read.names.map((key, i) => [key, read.values[i]!]))
        if (
          read.source !== `10.0.0.1:${port}` ||
          read.path !== Buffer.from(path).toString('latin1') ||
          read.method !== 'POST' ||
          read.principal !== 'spiffe://x'
        )
          throw new Error('scalars')
        if (JSON.stringify(sorted(back)) !== JSON.stringify(sorted(Object.fromEntries(list))))
          throw new Error('headers')
        if (Buffer.compare(read.body ?? Buffer.alloc(0), Buffer.from(body)) !== 0) throw new Error('body')
      },
    ),
    { numRuns: 1_000, seed: 3 },
  )
  const ok = Checked.toObject(
    Checked.decode(encodeCheckResponse({ kind: 'ok', set: [['a', 'ü']], remove: ['b'], response: [['c', 'd']] })),
  ) as any
  t.match(ok, {
    ok_response: {
      headers: [{ header: { key: 'a', value: 'ü' }, append_action: 2 }],
      headers_to_remove: ['b'],
      response_headers_to_add: [{ header: { key: 'c', value: 'd' } }],
    },
  })
  t.equal(ok.ok_response.headers[0].header.raw_value?.length ?? 0, 0, 'value alone: ext_authz reads nothing else')
  const denied = Checked.toObject(
    Checked.decode(encodeCheckResponse({ kind: 'denied', status: 503, headers: [['retry-after', '5']], body: '{}' })),
  ) as any
  t.match(denied, { status: { code: 7 }, denied_response: { status: { code: 503 }, body: '{}' } })
})

t.test("google-protobuf's writer and reader agree with ours", async (t) => {
  const writer = new jspb.BinaryWriter()
  writer.writeMessage(2, {} as never, () => {
    writer.writeMessage(1, {} as never, () => {
      for (const [key, value] of [
        [':path', '/v1/x'],
        ['x-tenant', 'München'],
      ] as const) {
        writer.writeMessage(1, {} as never, () => {
          writer.writeString(1, key)
          writer.writeBytes(3, Buffer.from(value))
        })
      }
    })
    writer.writeBool(3, true)
  })
  const read = decodeProcessingRequest(Buffer.from(writer.getResultBuffer()))
  t.same(read.names, [':path', 'x-tenant'])
  t.equal(Buffer.from(read.values[1]!, 'latin1').toString(), 'München')
  t.ok(read.endOfStream)
  const reader = new jspb.BinaryReader(
    encodeProcessingResponse({ kind: 'immediate', status: 429, headers: [], body: 'no', details: 'd' }),
  )
  t.ok(reader.nextField())
  t.equal(reader.getFieldNumber(), 7)
})

t.test('fields and messages of a later version are passed over', async (t) => {
  const known = Buffer.from(
    Request.encode(
      Request.fromObject({ request_headers: { headers: { headers: [{ key: 'a', raw_value: Buffer.from('b') }] } } }),
    ).finish(),
  )
  const later = Buffer.concat([
    Buffer.from([0x9a, 0x06, 3, 1, 2, 3]), // field 99, bytes
    Buffer.from([0xa1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8]), // field 100, fixed64
    Buffer.from([0xad, 0x06, 1, 2, 3, 4]), // field 101, fixed32
    Buffer.from([0xb3, 0x06, 0x08, 1, 0xb4, 0x06]), // field 102, a group
    Buffer.from([0xb8, 0x06, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), // field 103, the largest varint
  ])
  const read = decodeProcessingRequest(Buffer.concat([later, known, later]))
  t.same([read.kind, read.names, read.values], ['request_headers', ['a'], ['b']])
  t.equal(decodeProcessingRequest(Buffer.from([0x82, 0x01, 0])).kind, 'other', 'a message of a later version')
  const twice = Buffer.concat([
    known,
    Buffer.from(
      Request.encode(Request.fromObject({ request_body: { body: Buffer.from('x'), end_of_stream: true } })).finish(),
    ),
  ])
  t.match(
    decodeProcessingRequest(twice),
    { kind: 'request_body', endOfStream: true },
    'of a oneof given twice the last counts',
  )
})

t.test('malformed bytes give WireError and nothing else: 200,000 mutated messages', async (t) => {
  const samples = [
    Buffer.from(
      Request.encode(
        Request.fromObject({
          request_headers: {
            headers: {
              headers: Array.from({ length: 12 }, (_, i) => ({
                key: `x-${i}`,
                raw_value: Buffer.from('v'.repeat(i * 7)),
              })),
            },
            end_of_stream: true,
          },
          attributes: {
            f: { fields: { a: { structValue: { fields: { b: { listValue: { values: [{ stringValue: 'c' }] } } } } } } },
          },
        }),
      ).finish(),
    ),
    Buffer.from(
      Check.encode(
        Check.fromObject({
          attributes: {
            source: { address: { socket_address: { address: '::1', port_value: 9 } } },
            request: { http: { headers: { a: 'b' }, path: '/' } },
          },
        }),
      ).finish(),
    ),
  ]
  let state = 42
  const next = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return (state >>> 8) % below
  }
  let refused = 0
  for (let round = 0; round < 100_000; round++) {
    for (const [which, sample] of samples.entries()) {
      let bytes = Buffer.from(sample)
      for (let change = next(4); change >= 0; change--) {
        const at = next(bytes.length)
        const how = next(5)
        if (how === 0) bytes[at] = next(256)
        else if (how === 1) bytes = bytes.subarray(0, at + 1)
        else if (how === 2)
          bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from([next(256), 0xff]), bytes.subarray(at)])
        else if (how === 3) bytes[at] = 0xff
        else bytes = Buffer.concat([bytes, bytes.subarray(at)])
      }
      try {
        if (which === 0) {
          const read = decodeProcessingRequest(bytes)
          read.attributes()
          read.metadata()
        } else decodeCheckRequest(bytes)
      } catch (error) {
        if (!(error instanceof WireError)) throw error
        refused += 1
      }
    }
  }
  t.ok(refused > 20_000 && refused < 195_000, `${refused} refused`)
  const deep = Array.from({ length: 60 }).reduce<Buffer>(
    (inner) => Buffer.concat([Buffer.from([0x33]), inner, Buffer.from([0x34])]),
    Buffer.alloc(0),
  )
  t.throws(() => decodeProcessingRequest(deep), { name: 'WireError' }, 'depth is bounded')
})
