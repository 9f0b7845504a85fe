import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import protobuf from 'protobufjs'
import { HEADERS } from '../../src/model/headers.ts'

/** A message of any shape. */
// biome-ignore lint/suspicious/noExplicitAny: every test knows the message that it asks for
export type Loose = any

const here = createRequire(import.meta.url)
const DEPS = join(dirname(here.resolve('@grpc/grpc-js-xds/package.json')), 'deps')
const BUNDLED = dirname(here.resolve('protobufjs/package.json'))

const root = new protobuf.Root()
root.resolvePath = (_origin, target) => {
  if (target.startsWith('google/protobuf/') && protobuf.common.get(target) !== null) return target
  const folders = [
    ...['envoy-api', 'xds', 'googleapis', 'protoc-gen-validate'].map((name) => join(DEPS, name)),
    BUNDLED,
  ]
  return folders.map((folder) => join(folder, target)).find((path) => existsSync(path)) ?? target
}
root.loadSync('envoy/service/accesslog/v3/als.proto', { keepCase: true })

/** Envoy's own StreamAccessLogsMessage, all of its fields. */
export const MESSAGE = root.lookupType('envoy.service.accesslog.v3.StreamAccessLogsMessage')
/** Envoy's own ResponseFlags. */
export const FLAGS = root.lookupType('envoy.data.accesslog.v3.ResponseFlags')

/** The bytes of a message that Envoy's protos describe. */
export const encode = (message: Loose): Buffer => Buffer.from(MESSAGE.encode(MESSAGE.fromObject(message)).finish())

/** The bytes of a message with these HTTPAccessLogEntry. */
export const logOf = (...entries: Loose[]): Buffer => encode({ http_logs: { log_entry: entries } })

const duration = (us: number): Loose => ({ seconds: Math.floor(us / 1e6), nanos: (us % 1e6) * 1_000 })
const micros = fc.integer({ min: 0, max: 3_600_000_000 })
const text = fc.string({ maxLength: 40 })
const bytes = fc.integer({ min: 0, max: 2 ** 48 })
const headers = fc.dictionary(fc.constantFrom('x-hubward-decision', ...Object.values(HEADERS), 'x-other', 'é'), text)
const at = fc.record({ seconds: fc.integer({ min: 1, max: 4e9 }), nanos: fc.integer({ min: 0, max: 999_999_999 }) })
const address = { socket_address: { address: '10.0.0.1', port_value: 4711 } }

/** What of a line is known here, from which both the message and the entry follow. */
export const lines = fc.record({
  at,
  durationUs: micros,
  bodyUs: fc.option(micros),
  headerUs: fc.option(micros),
  upstreamUs: fc.option(micros),
  status: fc.integer({ min: 0, max: 599 }),
  flags: fc.uniqueArray(fc.integer({ min: 1, max: 28 }), { maxLength: 4 }),
  details: fc.oneof(fc.constant('via_upstream'), text),
  cluster: text,
  attempts: fc.integer({ min: 0, max: 9 }),
  requestBytes: bytes,
  responseBytes: bytes,
  requestId: text,
  request: headers,
  response: headers,
  tokens: fc.option(fc.integer({ min: 0, max: 1e6 })),
})

/** One of `lines`. */
export type Line = typeof lines extends fc.Arbitrary<infer One> ? One : never

/** The line as Envoy writes it, with much beside it that nobody reads. */
export const entryMessage = (line: Line): Loose => ({
  common_properties: {
    sample_rate: 1,
    downstream_remote_address: address,
    tls_properties: { tls_version: 4, tls_sni_hostname: 'llm.example.com', peer_certificate_properties: {} },
    start_time: line.at,
    time_to_last_rx_byte: duration(3),
    ...(line.upstreamUs === null ? {} : { time_to_first_upstream_tx_byte: duration(line.upstreamUs) }),
    ...(line.headerUs === null ? {} : { time_to_first_upstream_rx_byte: duration(line.headerUs) }),
    time_to_last_downstream_tx_byte: duration(line.durationUs),
    upstream_cluster: line.cluster,
    response_flags: Object.fromEntries(
      line.flags.map((id) => [FLAGS.fieldsById[id]!.name, id === 13 ? { reason: 1 } : true]),
    ),
    metadata: { filter_metadata: { some: { fields: { token: { string_value: 'a-secret' } } } } },
    route_name: 'hubward-decided',
    custom_tags: {
      ...(line.tokens === null
        ? {}
        : { 'hubward.prompt-tokens': String(line.tokens), 'hubward.completion-tokens': `${line.tokens + 1}` }),
      'hubward.first-body-us': line.bodyUs === null ? '-' : String(line.bodyUs),
      other: 'a tag of somebody else',
    },
    duration: duration(line.durationUs),
    upstream_request_attempt_count: line.attempts,
    stream_id: line.requestId,
    access_log_type: 6,
  },
  protocol_version: 2,
  request: {
    request_method: 1,
    path: '/v1/chat/completions',
    request_id: line.requestId,
    request_body_bytes: line.requestBytes,
    request_headers: line.request,
  },
  response: {
    response_code: { value: line.status },
    response_body_bytes: line.responseBytes,
    response_headers: line.response,
    response_code_details: line.details,
  },
})
