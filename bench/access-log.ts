import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Client, credentials } from '@grpc/grpc-js'
import { loadSync, type MethodDefinition, type ServiceDefinition } from '@grpc/proto-loader'
import { startEnvoyServer } from '../src/envoy/grpc-server.ts'
import { ACCESS_LOG_SERVICE } from '../src/envoy/grpc-services.ts'
import { AccessLogMessage } from '../src/envoy/wire/access-log.ts'

/* What it costs to take Envoy's access log in. Run with `node bench/access-log.ts`. */

/** One way of taking entries in. */
export interface AccessLogRow {
  readonly what: string
  /** Bytes of a message, and entries in it. */
  readonly messageBytes: number
  readonly entries: number
  /** Entries in a second of this process's CPU, which is what one core does. */
  readonly perCpuSecond: number
  /** Entries in a second by the clock, sender and receiver on the same machine. */
  readonly perSecond: number
  /** How much more memory the process had at the most, in bytes. */
  readonly grownBytes: number
}

/** The size of Envoy's batches in the configuration that hubward writes. */
const BATCH_BYTES = 65_536

/** A message as Envoy 1.40 writes it: what we read, among what we do not. */
const messageOf = (bytes: number): { readonly message: Buffer; readonly entries: number } => {
  const deps = join(dirname(createRequire(import.meta.url).resolve('@grpc/grpc-js-xds/package.json')), 'deps')
  const service = loadSync('envoy/service/accesslog/v3/als.proto', {
    keepCase: true,
    includeDirs: ['envoy-api', 'xds', 'googleapis', 'protoc-gen-validate'].map((name) => join(deps, name)),
  })['envoy.service.accesslog.v3.AccessLogService'] as ServiceDefinition
  const { requestSerialize } = service.StreamAccessLogs as MethodDefinition<object, object>
  const after = (ms: number) => ({ seconds: 0, nanos: ms * 1_000_000 })
  const address = { socket_address: { address: '10.12.13.14', port_value: 40_123 } }
  const entry = (i: number) => ({
    common_properties: {
      sample_rate: 1,
      downstream_remote_address: address,
      downstream_local_address: address,
      downstream_direct_remote_address: address,
      start_time: { seconds: 1_795_885_846, nanos: 822_000_000 },
      time_to_last_rx_byte: after(1),
      time_to_first_upstream_tx_byte: after(3),
      time_to_last_upstream_tx_byte: after(3),
      time_to_first_upstream_rx_byte: after(20),
      time_to_last_upstream_rx_byte: after(900),
      time_to_first_downstream_tx_byte: after(21),
      time_to_last_downstream_tx_byte: after(901),
      upstream_remote_address: address,
      upstream_local_address: address,
      upstream_cluster: 'ams-h100',
      metadata: { filter_metadata: { 'hubward.session': { fields: { token: { stringValue: 'x'.repeat(160) } } } } },
      route_name: 'hubward-decided',
      custom_tags: { 'hubward.first-body-us': '322690' },
      duration: after(901),
      upstream_request_attempt_count: 1,
      stream_id: `590cd2ca-452d-4613-92ad-${i}`,
      downstream_wire_bytes_sent: 1_500,
      downstream_wire_bytes_received: 900,
      access_log_type: 6,
    },
    protocol_version: 2,
    request: {
      request_method: 3,
      scheme: 'https',
      authority: 'emea.llm.example.com',
      path: '/v1/chat/completions',
      user_agent: 'client/1.2.3 (linux; x86_64)',
      request_id: `590cd2ca-452d-4613-92ad-${i}`,
      request_headers_bytes: 600,
      request_body_bytes: 900,
      request_headers: {
        'x-hubward-decision': `01JD8Z7Q6W${String(i).padStart(16, '0')}`,
        'x-hubward-cluster': 'ams-h100+fra-h100',
        'x-hubward-site': 'ams',
        'x-hubward-action': 'route',
        'x-hubward-reason': 'first-choice',
        'x-hubward-policy': 'emea-interactive@4',
        'x-hubward-arm': 'treatment',
        'x-hubward-residency': 'emea',
      },
    },
    response: {
      response_code: { value: 200 },
      response_headers_bytes: 400,
      response_body_bytes: 2_048,
      response_headers: {
        'x-hubward-decision': `01JD8Z7Q6W${String(i).padStart(16, '0')}`,
        'x-hubward-action': 'route',
        'x-hubward-reason': 'first-choice',
        'x-hubward-policy': 'emea-interactive@4',
      },
      response_code_details: 'via_upstream',
    },
  })
  const encode = (entries: number): Buffer =>
    requestSerialize({ http_logs: { log_entry: Array.from({ length: entries }, (_, i) => entry(i)) } })
  const entries = Math.max(1, Math.floor(bytes / encode(1).length))
  return { message: encode(entries), entries }
}

/** Runs something that takes entries in, and tells how many in a second. */
const measured = async (
  what: string,
  batch: { readonly message: Buffer; readonly entries: number },
  run: () => Promise<number>,
): Promise<AccessLogRow> => {
  const rss = (): number => process.memoryUsage.rss()
  const before = rss()
  let most = before
  const look = setInterval(() => {
    most = Math.max(most, rss())
  }, 20)
  const cpu = process.cpuUsage()
  const begun = performance.now()
  const count = await run()
  const seconds = (performance.now() - begun) / 1_000
  const used = process.cpuUsage(cpu)
  clearInterval(look)
  return {
    what,
    messageBytes: batch.message.length,
    entries: batch.entries,
    perCpuSecond: Math.round(count / ((used.user + used.system) / 1_000_000)),
    perSecond: Math.round(count / seconds),
    grownBytes: Math.max(most, rss()) - before,
  }
}

const decodeAlone = async (bytes: number, entries: number): Promise<AccessLogRow> => {
  const batch = messageOf(bytes)
  const read = (): number => {
    const message = new AccessLogMessage(batch.message)
    let count = 0
    while (!message.done) count += message.next(128).length
    return count
  }
  for (let i = 0; i < 20_000; i += batch.entries) read()
  return measured('decode alone', batch, async () => {
    let count = 0
    while (count < entries) {
      count += read()
      // Whatever looks at the memory gets its turn.
      await new Promise(setImmediate)
    }
    return count
  })
}

const overGrpc = async (bytes: number, entries: number): Promise<AccessLogRow> => {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-log-'))
  const socket = join(folder, 's.sock')
  let count = 0
  let enough: () => void = () => {}
  const server = await startEnvoyServer([{ unix: socket }], {
    process: () => undefined,
    check: () => Buffer.alloc(0),
    failed: (error) => {
      throw error
    },
    accessLog: (some) => {
      count += some.length
      enough()
    },
  })
  const reach = (wanted: number): Promise<void> =>
    new Promise((resolve) => {
      enough = () => {
        if (count >= wanted) resolve()
      }
    })
  const child = spawn(process.execPath, [import.meta.filename, 'send', socket, String(bytes)], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  try {
    await reach(entries / 10)
    return await measured('by gRPC from another process', messageOf(bytes), async () => {
      const from = count
      await reach(from + entries)
      return count - from
    })
  } finally {
    child.kill('SIGKILL')
    await once(child, 'close')
    server.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Both ways, with Envoy's batches and with messages of 1 MiB. */
export const benchAccessLog = async (entries = 300_000): Promise<AccessLogRow[]> => [
  await decodeAlone(BATCH_BYTES, entries),
  await overGrpc(BATCH_BYTES, entries),
  await overGrpc(1_048_576, entries),
]

/** The other process: one stream that is written as fast as it takes messages, until it is killed. */
const send = async (socket: string, bytes: number): Promise<void> => {
  const { message } = messageOf(bytes)
  const { path, requestSerialize, responseDeserialize } = ACCESS_LOG_SERVICE.StreamAccessLogs
  const client = new Client(`unix:${socket}`, credentials.createInsecure(), { 'grpc.max_send_message_length': -1 })
  const call = client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, () => process.exit())
  for (;;) if (!call.write(message)) await once(call, 'drain')
}

if (import.meta.main) {
  const [mode, socket = '', bytes] = process.argv.slice(2)
  if (mode === 'send') await send(socket, Number(bytes))
  else console.log(JSON.stringify(await benchAccessLog(), undefined, 1))
}
