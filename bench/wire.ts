import { join } from 'node:path'
import { loadSync, type MethodDefinition, type ServiceDefinition } from '@grpc/proto-loader'
import { decodeCheckRequest } from '../src/envoy/wire/ext-authz-request.ts'
import { encodeCheckResponse } from '../src/envoy/wire/ext-authz-response.ts'
import { decodeProcessingRequest } from '../src/envoy/wire/ext-proc-request.ts'
import { encodeProcessingResponse } from '../src/envoy/wire/ext-proc-response.ts'

// What reading and writing Envoy's messages costs with our codec and with @grpc/proto-loader's: nanoseconds each, the
// best of twenty rounds, one codec after the other. Run with `node bench/wire.ts`.

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

const CASES: Record<string, readonly [ours: () => unknown, theirs: () => unknown]> = {
  [`decode ProcessingRequest, 20 headers, ${request.length} bytes`]: [
    () => decodeProcessingRequest(request).values.length,
    () => process_.requestDeserialize(request),
  ],
  'the same with its attributes': [
    () => decodeProcessingRequest(request).attributes(),
    () => process_.requestDeserialize(request),
  ],
  'encode ProcessingResponse, 6 headers': [
    () => encodeProcessingResponse({ kind: 'request_headers', mutation: { set }, clearRouteCache: true }),
    () => process_.responseSerialize(answer),
  ],
  [`decode CheckRequest, 20 headers, ${checkRequest.length} bytes`]: [
    () => decodeCheckRequest(checkRequest).values.length,
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

console.log('ns each                                                    ours  proto-loader  ratio')
for (const [name, [ours, theirs]] of Object.entries(CASES)) {
  const [a, b] = [time(ours), time(theirs)]
  console.log(
    `${name.padEnd(55)}${a.toFixed(0).padStart(8)}${b.toFixed(0).padStart(14)}${(b / a).toFixed(1).padStart(7)}`,
  )
}
