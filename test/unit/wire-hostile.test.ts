import t from 'tap'
import { decodeCheckRequest } from '../../src/envoy/wire/ext-authz-request.ts'
import { decodeProcessingRequest } from '../../src/envoy/wire/ext-proc-request.ts'
import { encodeProcessingResponse } from '../../src/envoy/wire/ext-proc-response.ts'
import { WireError } from '../../src/envoy/wire/reader.ts'
import { CHECK, PROCESS, structOf } from '../helpers/wire-messages.ts'

t.test('fields and messages of a later version are passed over', async (t) => {
  const known = PROCESS.requestSerialize({
    request_headers: { headers: { headers: [{ key: 'a', raw_value: Buffer.from('b') }] } },
  })
  const later = Buffer.concat([
    Buffer.from([0x9a, 0x06, 3, 1, 2, 3]), // field 99, bytes
    Buffer.from([0xa1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8]), // field 100, fixed64
    Buffer.from([0xad, 0x06, 1, 2, 3, 4]), // field 101, fixed32
    Buffer.from([0xb3, 0x06, 0x08, 1, 0xb4, 0x06]), // field 102, a group
    Buffer.from([0xb8, 0x06, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), // field 103, the largest varint
    Buffer.from([0x10, 0x01, 0x3d, 1, 2, 3, 4]), // fields 2 and 7 in wire types that they do not have
  ])
  const read = decodeProcessingRequest(Buffer.concat([later, known, later]))
  t.same([read.kind, read.headers.pairs()], ['request_headers', [['a', 'b']]])
  t.equal(decodeProcessingRequest(Buffer.from([0x82, 0x01, 0])).kind, 'other', 'a message of a later version')
  t.equal(decodeProcessingRequest(Buffer.alloc(0)).kind, 'other')
  const body = PROCESS.requestSerialize({ request_body: { body: Buffer.from('x'), end_of_stream: true } })
  t.match(
    decodeProcessingRequest(Buffer.concat([known, body])),
    { kind: 'request_body', endOfStream: true },
    'of a oneof given twice the last counts',
  )
})

t.test('malformed bytes are named', async (t) => {
  const refused: readonly (readonly [string, readonly number[]])[] = [
    ['a number of eleven bytes', [0x50, ...Array(10).fill(0x80), 1]],
    ['a number that is cut off', [0x50, 0x80]],
    ['a length beyond the message', [0x12, 0x05, 0x00]],
    ['a length beyond 2^64', [0x12, ...Array(9).fill(0xff), 0x7f]],
    ['an inner length beyond its outer one', [0x12, 0x02, 0x0a, 0x05, 0, 0, 0, 0, 0]],
    ['field number 0', [0x02, 0x00]],
    ['wire type 6', [0x0e]],
    ['wire type 7', [0x0f]],
    ['a group without an end', [0xb3, 0x06, 0x08, 1]],
    ['an end without a group', [0xb4, 0x06]],
    ['a group that ends as another', [0xb3, 0x06, 0xbc, 0x06]],
    ['a fixed64 that is cut off', [0xa1, 0x06, 1, 2]],
    ['groups nested a thousand deep', [...Array(1_000).fill(0x33), ...Array(1_000).fill(0x34)]],
  ]
  for (const [what, list] of refused)
    t.throws(() => decodeProcessingRequest(Buffer.from(list)), { name: 'WireError' }, what)
  let deep: Buffer = Buffer.from([0x08, 0])
  for (let level = 0; level < 200; level++) deep = nest(0x2a, nest(0x0a, nest(0x12, deep)))
  const request = nest(0x4a, Buffer.concat([nest(0x0a, Buffer.from('f')), nest(0x12, nest(0x0a, nest(0x12, deep)))]))
  const { attributes } = decodeProcessingRequest(request)
  t.equal(attributes.get('f'), undefined, 'a Struct too deep to read is none, and does not throw late')
  t.equal(attributes.field('f', ''), undefined, 'nor has it a field')
})

const nest = (tag: number, inner: Buffer): Buffer => {
  const length: number[] = []
  for (let rest = inner.length; ; rest >>>= 7) {
    if (rest < 128) {
      length.push(rest)
      break
    }
    length.push((rest & 127) | 128)
  }
  return Buffer.concat([Buffer.from([tag, ...length]), inner])
}

t.test('whatever bytes come, the answer is a message or a WireError: 200,000 mutated messages', async (t) => {
  const claims = { sub: 'a', org: { tenant: 'acme', roles: ['x', 1, null, { deep: [true] }] } }
  const headers = Array.from({ length: 12 }, (_, i) => ({ key: `x-${i}`, raw_value: Buffer.from('v'.repeat(i * 7)) }))
  const rest = {
    attributes: { f: structOf({ 'source.address': '10.0.0.1:1', nested: claims }) },
    metadata_context: { filter_metadata: { jwt: structOf(claims) } },
  }
  const samples = [
    PROCESS.requestSerialize({ request_headers: { headers: { headers }, end_of_stream: true }, ...rest }),
    PROCESS.requestSerialize({ request_body: { body: Buffer.alloc(150, 'x'), end_of_stream: true }, ...rest }),
    CHECK.requestSerialize({
      attributes: {
        source: { address: { socket_address: { address: '::1', port_value: 9 } } },
        request: { http: { headers: { a: 'b', c: 'd' }, path: '/', method: 'GET' } },
        context_extensions: { e: 'f' },
        metadata_context: rest.metadata_context,
      },
    }),
  ]
  // Numerical Recipes' generator: the same mutations in every run.
  let state = 42
  const next = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return (state >>> 8) % below
  }
  const mutate = (from: Buffer): Buffer => {
    let mutated = Buffer.from(from)
    for (let change = next(4); change >= 0; change--) {
      const at = next(mutated.length)
      const how = next(6)
      if (how === 0) mutated[at] = next(256)
      else if (how === 1) mutated[at] = mutated[at]! ^ (1 << next(8))
      else if (how === 2) mutated = mutated.subarray(0, at + 1)
      else if (how === 3)
        mutated = Buffer.concat([mutated.subarray(0, at), Buffer.from([next(256), 0xff]), mutated.subarray(at)])
      else if (how === 4) mutated[at] = 0xff
      else mutated = Buffer.concat([mutated.subarray(0, at), mutated.subarray(next(mutated.length))]).subarray(0, 2_048)
      if (mutated.length === 0) mutated = Buffer.from([next(256)])
    }
    return mutated
  }
  let refused = 0
  const rounds = 200_001
  for (let round = 0; round < rounds; round++) {
    const which = round % samples.length
    const mutated = mutate(samples[which]!)
    try {
      const read = which === 2 ? decodeCheckRequest(mutated) : decodeProcessingRequest(mutated)
      for (const structs of [read.metadata, ...('attributes' in read ? [read.attributes] : [])]) {
        structs.get('jwt')
        structs.field('f', 'source.address')
      }
      let size = read.body?.length ?? 0
      for (const [name, value] of read.headers.pairs()) {
        size += name.length + value.length
        read.headers.get(name)
      }
      // What is read can't be more than what was sent.
      if (size > mutated.length) throw new Error(`${size} bytes out of ${mutated.length}`)
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      refused += 1
    }
  }
  t.ok(refused > rounds / 10 && refused < rounds - rounds / 10, `${refused} refused`)
})

t.test('a message of more headers or entries than anybody sends is refused, not looked through', async (t) => {
  const header = nest(0x0a, nest(0x0a, Buffer.from('a')))
  const headers = (count: number): Buffer => nest(0x12, nest(0x0a, Buffer.concat(Array(count).fill(header))))
  t.equal(decodeProcessingRequest(headers(4_096)).headers.pairs().length, 4_096)
  t.throws(() => decodeProcessingRequest(headers(4_097)), { name: 'WireError', message: /more than 4096 headers/ })
  const entry = nest(0x4a, Buffer.alloc(0))
  t.doesNotThrow(() => decodeProcessingRequest(Buffer.concat(Array(1_024).fill(entry))))
  t.throws(() => decodeProcessingRequest(Buffer.concat(Array(1_025).fill(entry))), { name: 'WireError' })
  const metadata = nest(0x42, Buffer.concat(Array(1_025).fill(nest(0x0a, Buffer.alloc(0)))))
  t.throws(() => decodeProcessingRequest(metadata), { name: 'WireError', message: /more than 1024 entries/ })
  const check = nest(
    0x0a,
    nest(0x22, nest(0x12, Buffer.concat(Array(4_097).fill(nest(0x1a, nest(0x0a, Buffer.from('a'))))))),
  )
  t.throws(() => decodeCheckRequest(check), { name: 'WireError' })
})

t.test('a large body is neither copied on reading nor kept after writing', async (t) => {
  const body = Buffer.alloc(4 * 1024 * 1024, 'a')
  const message = PROCESS.requestSerialize({ request_body: { body, end_of_stream: true } })
  const read = decodeProcessingRequest(message)
  t.equal(read.body!.buffer, message.buffer, 'a view')
  const one = encodeProcessingResponse({ kind: 'request_body', body })
  const two = encodeProcessingResponse({ kind: 'request_body' })
  t.ok(one.length > body.length)
  t.not(two.buffer, one.buffer, 'the large buffer was given away')
  t.ok(
    PROCESS.responseDeserialize(one).request_body.response.body_mutation.body.equals(body),
    'and nothing wrote into it',
  )
})
