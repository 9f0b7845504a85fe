import { join } from 'node:path'
import { loadSync, type MethodDefinition, type ServiceDefinition } from '@grpc/proto-loader'
import jspb from 'google-protobuf'
import { decodeCheckRequest } from '../src/envoy/wire/ext-authz-request.ts'
import { encodeCheckResponse } from '../src/envoy/wire/ext-authz-response.ts'
import { decodeProcessingRequest } from '../src/envoy/wire/ext-proc-request.ts'
import { encodeProcessingResponse } from '../src/envoy/wire/ext-proc-response.ts'

// What reading and writing Envoy's messages costs with our codec, with @grpc/proto-loader's, and by hand on
// google-protobuf's reader and writer: nanoseconds each, the best of twenty rounds, one codec after the other. Run with
// `node bench/wire.ts`.

const folder = join(import.meta.dirname, '../proto')
const method = (file: string, service: string, name: string) =>
  (
    loadSync(file, { keepCase: true, defaults: true, oneofs: true, includeDirs: [folder] })[
      service
    ] as ServiceDefinition
  )[name] as MethodDefinition<object, object>
const process_ = method(
  'envoy/service/ext_proc/v3/external_processor.proto',
  'envoy.service.ext_proc.v3.ExternalProcessor',
  'Process',
)
const check = method('envoy/service/auth/v3/external_auth.proto', 'envoy.service.auth.v3.Authorization', 'Check')

const headers = Array.from({ length: 20 }, (_, i) => ({
  key: i === 0 ? ':path' : `x-header-number-${i}`,
  raw_value: Buffer.from(`value-${i}-`.padEnd(30, 'abcdef')),
}))
const request = process_.requestSerialize({
  request_headers: { headers: { headers }, end_of_stream: true },
  attributes: { 'envoy.filters.http.ext_proc': { fields: { 'source.address': { stringValue: '10.1.2.3:40000' } } } },
})
const set: [string, string][] = [
  ['x-hubward-cluster', 'ams-h100+fra-h100'],
  ['x-hubward-site', 'ams'],
  ['x-hubward-action', 'route'],
  ['x-hubward-reason', 'first-choice'],
  ['x-hubward-policy', 'emea-interactive@4'],
  ['x-hubward-decision', '01JD8Z7Q6WABCDEFGHJKMNPQRS'],
]
const answer = {
  request_headers: {
    response: {
      header_mutation: {
        set_headers: set.map(([key, value]) => ({ header: { key, raw_value: Buffer.from(value) }, append_action: 2 })),
      },
      clear_route_cache: true,
    },
  },
}
const checkRequest = check.requestSerialize({
  attributes: {
    source: { address: { socket_address: { address: '10.1.2.3', port_value: 40_000 } } },
    request: {
      http: {
        method: 'POST',
        path: '/v1/chat/completions',
        headers: Object.fromEntries(headers.map(({ key, raw_value }) => [key, raw_value.toString()])),
      },
    },
  },
})
const checkAnswer = {
  status: { code: 0 },
  ok_response: { headers: set.map(([key, value]) => ({ header: { key, value }, append_action: 2 })) },
}

/** The headers of a request on google-protobuf's reader; field numbers as in proto/. */
const readByHand = (): string[] => {
  const values: string[] = []
  const each = (bytes: Uint8Array, field: number, found: (reader: jspb.BinaryReader) => void): void => {
    const reader = new jspb.BinaryReader(bytes)
    while (reader.nextField()) {
      if (reader.getFieldNumber() === field) found(reader)
      else reader.skipField()
    }
  }
  const bytesOf = (reader: jspb.BinaryReader): Uint8Array => reader.readBytes() as Uint8Array
  each(request, 2, (one) =>
    each(bytesOf(one), 1, (map) =>
      each(bytesOf(map), 1, (header) => {
        const inner = new jspb.BinaryReader(bytesOf(header))
        while (inner.nextField()) values.push(inner.readString())
      }),
    ),
  )
  return values
}

const writeByHand = (): Uint8Array => {
  const writer = new jspb.BinaryWriter()
  const nested = (field: number, body: () => void): void => writer.writeMessage(field, {} as never, body)
  nested(1, () =>
    nested(1, () => {
      nested(2, () => {
        for (const [key, value] of set)
          nested(1, () => {
            nested(1, () => {
              writer.writeString(1, key)
              writer.writeString(3, value)
            })
            writer.writeEnum(3, 2)
          })
      })
      writer.writeBool(5, true)
    }),
  )
  return writer.getResultBuffer()
}

type Case = readonly [ours: () => unknown, loader: () => unknown, google?: () => unknown]

const CASES: Readonly<Record<string, Case>> = {
  [`decode ProcessingRequest, 20 headers, ${request.length} bytes`]: [
    () => decodeProcessingRequest(request).headers.pairs().length,
    () => process_.requestDeserialize(request),
    readByHand,
  ],
  'the same with its attributes': [
    () => decodeProcessingRequest(request).attributes.get('envoy.filters.http.ext_proc'),
    () => process_.requestDeserialize(request),
  ],
  'encode ProcessingResponse, 6 headers': [
    () => encodeProcessingResponse({ kind: 'request_headers', mutation: { set }, clearRouteCache: true }),
    () => process_.responseSerialize(answer),
    writeByHand,
  ],
  [`decode CheckRequest, 20 headers, ${checkRequest.length} bytes`]: [
    () => decodeCheckRequest(checkRequest).headers.pairs().length,
    () => check.requestDeserialize(checkRequest),
  ],
  'encode CheckResponse, 6 headers': [
    () => encodeCheckResponse({ kind: 'ok', set }),
    () => check.responseSerialize(checkAnswer),
  ],
}

const time = (run: () => unknown): number => {
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < 20; round++) {
    const start = process.hrtime.bigint()
    for (let i = 0; i < 20_000; i++) run()
    best = Math.min(best, Number(process.hrtime.bigint() - start) / 20_000)
  }
  return best
}

console.log(`${'ns each'.padEnd(55)}    ours  proto-loader  google-protobuf`)
for (const [name, [ours, loader, google]] of Object.entries(CASES)) {
  const cells = [ours, loader, google].map((run) => (run === undefined ? '' : time(run).toFixed(0)))
  console.log(`${name.padEnd(55)}${cells[0]!.padStart(8)}${cells[1]!.padStart(14)}${cells[2]!.padStart(17)}`)
}
