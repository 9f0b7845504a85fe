import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, type ClientWritableStream, credentials, type ServiceError, status } from '@grpc/grpc-js'
import type { Test } from 'tap'
import { LOG_BYTES_MAX, LOG_STREAMS_MAX, SLICE_ENTRIES } from '../../src/envoy/access-log-service.ts'
import { type EnvoyServer, startEnvoyServer } from '../../src/envoy/grpc-server.ts'
import type { Handlers } from '../../src/envoy/handlers.ts'
import { handlersOf } from '../../src/envoy/serving.ts'
import { WireError } from '../../src/envoy/wire/reader.ts'
import type { AccessEntry } from '../../src/model/outcome.ts'
import { logOf } from './access-log-messages.ts'
import { until } from './running-envoy.ts'
import { scriptedJudge } from './scripted-judge.ts'
import { transport } from './transport.ts'
import { PROCESS } from './wire-messages.ts'

const LOG = '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs'
const same = (bytes: Buffer): Buffer => bytes

interface Stream {
  readonly call: ClientWritableStream<Buffer>
  /** How it ended; the code OK where it ended well. */
  readonly ended: Promise<{ readonly code: status; readonly details: string }>
}

interface Pair {
  readonly server: EnvoyServer
  readonly client: Client
  readonly entries: AccessEntry[]
  readonly failures: unknown[]
  readonly open: () => Stream
}

/** A server and a client of it; `take` is what hubward does with entries. */
const pairFor = async (t: Test, take?: Handlers['accessLog'] | null): Promise<Pair> => {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-log-'))
  const socket = join(folder, 's.sock')
  const entries: AccessEntry[] = []
  const failures: unknown[] = []
  const handlers = handlersOf({ judge: scriptedJudge, failed: () => {} })
  const keep = (some: readonly AccessEntry[]): void => void entries.push(...some)
  const accessLog = take === null ? {} : { accessLog: take ?? keep }
  const server = await startEnvoyServer(
    [{ unix: socket }],
    { ...handlers, ...accessLog, failed: (error) => failures.push(error) },
    undefined,
    transport(),
  )
  const client = new Client(`unix:${socket}`, credentials.createInsecure(), { 'grpc.max_send_message_length': -1 })
  t.teardown(() => {
    client.close()
    server.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const open = (): Stream => {
    let settle: (how: { code: status; details: string }) => void = () => {}
    const ended = new Promise<{ code: status; details: string }>((resolve) => {
      settle = resolve
    })
    const call = client.makeClientStreamRequest(LOG, same, same, (error: ServiceError | null) =>
      settle(error ?? { code: status.OK, details: '' }),
    )
    call.on('error', () => {})
    return { call, ended }
  }
  return { server, client, entries, failures, open }
}

const entry = (decision: string) => ({ request: { request_headers: { 'x-hubward-decision': decision } } })

/** Streams of access logs between a real client and a real server: order, refusals, slices, and how they end. */
export const accessLogStreams = async (t: Test): Promise<void> => {
  t.test('entries arrive in the order in which they were sent, in slices', async (t) => {
    const sizes: number[] = []
    const seen: string[] = []
    const { open } = await pairFor(t, (some) => {
      sizes.push(some.length)
      seen.push(...some.map((one) => one.decision))
    })
    const names = Array.from({ length: 5 * SLICE_ENTRIES + 1 }, (_, i) => `d${i}`)
    const { call, ended } = open()
    call.write(logOf(...names.slice(0, 3).map(entry)))
    call.write(logOf(...names.slice(3).map(entry)))
    call.end()
    t.match(await ended, { code: status.OK })
    t.strictSame(seen, names)
    t.equal(Math.max(...sizes), SLICE_ENTRIES)
  })

  t.test('a message that can not be read ends its stream and no other, and is told', async (t) => {
    const { open, entries, failures } = await pairFor(t)
    const good = open()
    const bad = open()
    bad.call.write(Buffer.from([0x12, 0x05, 0x0a]))
    t.match(await bad.ended, { code: status.INVALID_ARGUMENT, details: /does not fit/ })
    good.call.write(logOf(entry('d1')))
    await until('the good entry', () => entries.length === 1)
    t.equal(failures.length, 1)
    t.ok(failures[0] instanceof WireError)
  })

  t.test('a message of 4 MiB is read, and a larger one is refused with what to do', async (t) => {
    const { open, entries } = await pairFor(t)
    const path = 'x'.repeat(LOG_BYTES_MAX - 200)
    const large = open()
    large.call.write(logOf({ ...entry('large'), response: { response_code_details: path } }))
    await until('the large entry', () => entries.length === 1)
    t.equal(entries[0]?.details.length, 256, 'and only so much of it is kept')
    large.call.write(logOf({ response: { response_code_details: path.repeat(2) } }))
    t.match(await large.ended, { code: status.RESOURCE_EXHAUSTED, details: /buffer_size_bytes/ })
  })

  t.test('requests are answered while a long message is read', async (t) => {
    let [count, atAnswer] = [0, 0]
    const { client, open } = await pairFor(t, (some) => {
      count += some.length
    })
    const empty = Buffer.alloc(1 << 20, Buffer.from([0x0a, 0x00]))
    open().call.write(Buffer.concat([Buffer.from([0x12, 0x80, 0x80, 0x40]), empty]))
    await until('the first slice', () => count > 0)
    const ask = client.makeBidiStreamRequest(PROCESS.path, PROCESS.requestSerialize, PROCESS.responseDeserialize)
    ask.on('error', () => {})
    ask.write({ request_headers: { headers: { headers: [] } } })
    await new Promise((resolve) => ask.once('data', resolve))
    atAnswer = count
    ask.end()
    await until('the last entry', () => count === 1 << 19)
    t.ok(atAnswer < count, `${atAnswer} of ${count} entries had been read`)
  })

  t.test('a mistake of whoever takes the entries costs these, and not the stream', async (t) => {
    const seen: string[] = []
    const { open, failures } = await pairFor(t, ([first]) => {
      if (first?.decision === 'd1') throw new Error('a bug')
      seen.push(first?.decision ?? '')
    })
    const { call } = open()
    call.write(logOf(entry('d1')))
    call.write(logOf(entry('d2')))
    await until('the second entry', () => seen.length === 1)
    t.strictSame(seen, ['d2'])
    t.match(failures, [{ message: 'a bug' }])
  })

  t.test('a hubward that measures nothing takes the log and drops it', async (t) => {
    const { open, failures } = await pairFor(t, null)
    const { call, ended } = open()
    call.write(Buffer.from('no message at all'))
    call.end()
    t.match(await ended, { code: status.OK })
    t.strictSame(failures, [])
  })

  t.test('there is an end to how many streams are taken, and one that ends makes room', async (t) => {
    const { open, entries } = await pairFor(t)
    const streams = Array.from({ length: LOG_STREAMS_MAX }, open)
    for (const [i, { call }] of streams.entries()) call.write(logOf(entry(`d${i}`)))
    await until('all of them', () => entries.length === LOG_STREAMS_MAX)
    t.match(await open().ended, { code: status.RESOURCE_EXHAUSTED, details: /streams/ })
    streams[0]!.call.end()
    t.match(await streams[0]!.ended, { code: status.OK })
    open().call.write(logOf(entry('later')))
    await until('the later one', () => entries.at(-1)?.decision === 'later')
  })

  t.test('streams end well when hubward says that it leaves, so that Envoy opens others elsewhere', async (t) => {
    const { server, client, open, entries } = await pairFor(t)
    const { call, ended } = open()
    call.write(logOf(entry('d1')))
    await until('the entry', () => entries.length === 1)
    const drained = server.drain({ forMs: 60_000, quietMs: 1, announce: true })
    t.match(await ended, { code: status.OK })
    client.close()
    t.equal(await drained, 'left')
  })
}
