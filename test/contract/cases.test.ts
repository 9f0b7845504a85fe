import { join } from 'node:path'
import { Client, credentials } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import t from 'tap'
import { startEnvoyServer } from '../../src/envoy/grpc-server.ts'
import { handlersOf } from '../../src/envoy/serving.ts'
import { HEADERS, MARKER_DEFAULT } from '../../src/model/headers.ts'
import { askedBy, expectedHeaders, headersOf, judgeOfCases } from '../helpers/case-depths.ts'

const asked = askedBy('rules.yaml')
const failures: unknown[] = []
const server = await startEnvoyServer(
  [{ host: '127.0.0.1', port: 0 }],
  handlersOf({ judge: judgeOfCases(asked), failed: (error) => failures.push(error) }),
)
t.teardown(() => server.close())
const client = new Client(server.addresses[0]!, credentials.createInsecure())
t.teardown(() => client.close())

const protos = { keepCase: true, includeDirs: [join(import.meta.dirname, '../../proto')] }
const methodOf = (file: string, service: string, name: string) =>
  (
    loadSync(file, protos)[service] as unknown as Record<
      string,
      { path: string; requestSerialize: (value: object) => Buffer; responseDeserialize: (bytes: Buffer) => Wire }
    >
  )[name]!
const PROCESS = methodOf(
  'envoy/service/ext_proc/v3/external_processor.proto',
  'envoy.service.ext_proc.v3.ExternalProcessor',
  'Process',
)
const CHECK = methodOf('envoy/service/auth/v3/external_auth.proto', 'envoy.service.auth.v3.Authorization', 'Check')

interface Option {
  readonly header: { readonly key: string; readonly value?: string; readonly raw_value?: Buffer }
}
/** The parts of both protocols' answers that are looked at. */
interface Wire {
  readonly request_headers?: {
    readonly response: {
      readonly header_mutation: { readonly set_headers: readonly Option[] }
      readonly clear_route_cache: boolean
    }
  } | null
  readonly immediate_response?: {
    readonly status: { readonly code: number }
    readonly headers: { readonly set_headers: readonly Option[] }
    readonly body: Buffer
  } | null
  readonly ok_response?: { readonly headers: readonly Option[] } | null
  readonly denied_response?: {
    readonly status: { readonly code: number }
    readonly headers: readonly Option[]
    readonly body: string
  } | null
}
const read = (options: readonly Option[]): Record<string, string> =>
  Object.fromEntries(
    options.map(({ header }) => [
      header.key,
      header.raw_value?.length ? Buffer.from(header.raw_value).toString() : (header.value ?? ''),
    ]),
  )

t.test('ext_proc: each case says over gRPC what the engine says of it', async (t) => {
  for (const [index, one] of asked.entries()) {
    const headers = { ':method': 'POST', ':path': '/v1/chat/completions', ...headersOf(index, one) }
    const answer = await new Promise<Wire>((resolve, reject) => {
      const call = client.makeBidiStreamRequest(PROCESS.path, PROCESS.requestSerialize, PROCESS.responseDeserialize)
      call.on('data', resolve)
      call.on('error', reject)
      call.write({
        request_headers: {
          headers: { headers: Object.entries(headers).map(([key, value]) => ({ key, raw_value: Buffer.from(value) })) },
          end_of_stream: true,
        },
      })
      call.end()
    })
    const { decision } = one
    if (decision.action === 'delay' || decision.action === 'deny') {
      const { status, headers: said, body } = answer.immediate_response!
      t.equal(status.code, decision.status, one.name)
      t.match(read(said.set_headers), expectedHeaders(decision), one.name)
      t.match(
        JSON.parse(body.toString()),
        { status: decision.status, reason: decision.reason, because: [...decision.because] },
        one.name,
      )
    } else if (decision.action !== 'queue') {
      const { header_mutation: mutation, clear_route_cache: clears } = answer.request_headers!.response
      t.match(
        read(mutation.set_headers),
        { ...expectedHeaders(decision), [HEADERS.cluster]: decision.cluster ?? MARKER_DEFAULT },
        one.name,
      )
      t.ok(clears, one.name)
    }
  }
  t.ok(asked.length >= 38)
  t.same(failures, [])
})

t.test('ext_authz: the same', async (t) => {
  for (const [index, one] of asked.entries()) {
    const request = {
      attributes: {
        request: { http: { method: 'POST', path: '/v1/chat/completions', headers: headersOf(index, one) } },
      },
    }
    const answer = await new Promise<Wire>((resolve, reject) =>
      client.makeUnaryRequest(CHECK.path, CHECK.requestSerialize, CHECK.responseDeserialize, request, (error, value) =>
        error === null ? resolve(value!) : reject(error),
      ),
    )
    const { decision } = one
    if (decision.action === 'delay' || decision.action === 'deny') {
      t.equal(answer.denied_response!.status.code, decision.status, one.name)
      t.match(read(answer.denied_response!.headers), expectedHeaders(decision), one.name)
    } else if (decision.action !== 'queue') {
      t.match(
        read(answer.ok_response!.headers),
        { ...expectedHeaders(decision), [HEADERS.cluster]: decision.cluster ?? MARKER_DEFAULT },
        one.name,
      )
    }
  }
})
