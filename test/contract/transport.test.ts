import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import http2 from 'node:http2'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import t, { type Test as TapTest } from 'tap'
import { type EnvoyServer, startEnvoyServer } from '../../src/envoy/grpc-server.ts'
import type { Handlers } from '../../src/envoy/handlers.ts'
import type { Listen } from '../../src/envoy/listener.ts'
import { handlersOf } from '../../src/envoy/serving.ts'
import { FLAG, FRAME } from '../../src/envoy/transport/codes.ts'
import { LIMITS } from '../../src/envoy/transport/limits.ts'
import type { TransportName } from '../../src/envoy/transports.ts'
import { e2eDocuments } from '../helpers/e2e-documents.ts'
import { minimalEnvoy } from '../helpers/envoy-minimal.ts'
import { call, generated, recorder, replay, withoutResets } from '../helpers/h2-differential.ts'
import { callHeaders, frame, HpackWriter, message, PREFACE, settings, u32 } from '../helpers/h2-frames.ts'
import { echoHandlers } from '../helpers/h2-peer.ts'
import { soak } from '../helpers/h2-soak.ts'
import { grpcGoClient, h2spec } from '../helpers/h2-tools.ts'
import { hubwardFolder, startHubward } from '../helpers/hubward-process.ts'
import { load } from '../helpers/raw-load.ts'
import { childEnvironment, startEnvoy, until } from '../helpers/running-envoy.ts'
import { scriptedJudge } from '../helpers/scripted-judge.ts'

const folder = mkdtempSync(join(tmpdir(), 'hubward-transport-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))
const pem = (name: string) => join(import.meta.dirname, '../fixtures/tls', name)
/** Mistakes of ours, of which there are to be none. */
const troubles: Error[] = []
const TCP: Listen = { host: '127.0.0.1', port: 0 }
const TLS: Listen = { ...TCP, tls: { certFile: pem('server.pem'), keyFile: pem('server.key') } }

const serve = async (
  t: TapTest,
  {
    listen = TCP,
    handlers = echoHandlers,
    transport = 'own',
  }: { listen?: Listen; handlers?: Handlers; transport?: TransportName } = {},
): Promise<EnvoyServer & { readonly port: number }> => {
  const server = await startEnvoyServer([listen], handlers, (error) => troubles.push(error), transport)
  t.teardown(() => server.close())
  server.setServing(true)
  return { ...server, port: Number(server.addresses[0]!.split(':').at(-1)) }
}

for (const [where, listen, flags] of [
  ['a plain socket', TCP, []],
  ['TLS', TLS, ['-t', '-k']],
] as const) {
  t.test(`h2spec passes whole, also where it is strict, over ${where}`, async (t) => {
    const server = await serve(t, { listen })
    const { port } = server
    const text = await new Promise<string>((resolve) =>
      execFile(
        h2spec(),
        ['-h', '127.0.0.1', '-p', String(port), '-S', '-o', '20', ...flags],
        { maxBuffer: 1e7 },
        (_error, out) => resolve(out),
      ),
    )
    t.match(
      text.trim().split('\n').at(-1),
      '146 tests, 146 passed, 0 skipped, 0 failed',
      text
        .split('\n')
        .filter((line) => line.includes('✘') || line.includes('×'))
        .join('\n'),
    )
    await until('its connections to be over', () => server.connections() === 0)
    t.equal(server.active(), 0)
  })
}

t.test('grpc-go is answered as gRPC has it, in every way to call', async (t) => {
  const server = await serve(t)
  const client = grpcGoClient(folder)
  const text = await new Promise<string>((resolve, reject) =>
    execFile(
      client,
      ['-address', `127.0.0.1:${server.port}`, '-count', '4000'],
      { env: childEnvironment() },
      (error, out) => (error === null ? resolve(out) : reject(error)),
    ),
  )
  t.same(JSON.parse(text), {
    stream: 'OK',
    large: 'OK',
    'too large': 'ResourceExhausted',
    exception: 'Internal',
    unary: 'OK',
    'unary exception': 'Internal',
    unknown: 'Unimplemented',
    health: 'OK',
    deadline: 'DeadlineExceeded',
    'many headers': 'OK',
    watch: '[8 1]',
    crowd: { OK: 4_000 },
  })
  await until('nothing to be under way', () => server.active() === 0)
})

t.test('2,000 generated calls get from it what they get from grpc-js', async (t) => {
  const asks = generated(7, 2_000)
  const ask = async (transport: TransportName) => {
    const server = await serve(t, { transport })
    const session = http2.connect(`http://127.0.0.1:${server.port}`)
    t.teardown(() => session.destroy())
    const got = []
    for (let at = 0; at < asks.length; at += 50)
      got.push(...(await Promise.all(asks.slice(at, at + 50).map((one) => call(session, one)))))
    return got
  }
  const [own, theirs] = [await ask('own'), await ask('grpc-js')]
  const differ = own.flatMap((one, index) => {
    const other = theirs[index]!
    const same = JSON.stringify({ ...one, code: 0 }) === JSON.stringify({ ...other, code: 0 })
    return same
      ? []
      : [
          {
            ask: { ...asks[index]!, pieces: asks[index]!.pieces.map((piece) => piece.toString('hex').slice(0, 60)) },
            own: one,
            theirs: other,
          },
        ]
  })
  t.same(differ.slice(0, 3), [], `${differ.length} differ`)
  t.ok(
    new Set(own.map(({ status, grpcStatus }) => `${status} ${grpcStatus}`)).size >= 4,
    'good and bad ones were among them',
  )
})

t.test('what Envoy said to grpc-js, said again, gets the same from both', async (t) => {
  const handlers = handlersOf({ judge: scriptedJudge, failed: () => {} })
  const theirs = await serve(t, { handlers, transport: 'grpc-js' })
  const own = await serve(t, { handlers })
  const tape = await recorder(theirs)
  t.teardown(() => tape.server.close())
  const envoy = await startEnvoy(
    minimalEnvoy(mkdtempSync(join(folder, 'e')), { sidecar: { host: '127.0.0.1', port: tape.port } }),
  )
  t.teardown(() => envoy.stop())
  const wants = ['a', 'b', 'deny', 'envoy']
  await load(await envoy.port(), {
    total: 200,
    concurrency: 8,
    requestOf: (index) =>
      `GET /${index} HTTP/1.1\r\nhost: h\r\nx-want: ${wants[index % 4]}\r\nx-n: ${'n'.repeat(index)}\r\n\r\n`,
    keyOf: () => '',
  })
  const recording = withoutResets(tape.said())
  t.ok(recording.streams.length >= 100, `${recording.streams.length} streams were recorded`)
  const [first, second] = [await replay(own.port, recording), await replay(theirs.port, recording)]
  t.same(first, second)
})

t.test('TLS: HTTP/2 is agreed on by ALPN, and who asks for something else is not let in', async (t) => {
  const server = await serve(t, { listen: TLS })
  const session = http2.connect(`https://127.0.0.1:${server.port}`, { rejectUnauthorized: false })
  t.teardown(() => session.destroy())
  const asks = generated(3, 60)
  const got = await Promise.all(asks.map((one) => call(session, one)))
  t.ok(got.filter(({ grpcStatus }) => grpcStatus === '0').length > 20)
  for (const ALPNProtocols of [['http/1.1'], []]) {
    const socket = connectTls({ port: server.port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols })
    const ended = new Promise((resolve) => socket.once('close', resolve))
    socket.on('error', () => {}).resume()
    await ended
  }
  const plain = connect(server.port, '127.0.0.1')
  plain.on('error', () => {}).resume()
  const closed = new Promise((resolve) => plain.once('close', resolve))
  plain.write(Buffer.concat([PREFACE, settings()]))
  await closed
  await until('only the session to be left', () => server.connections() === 1)
})

t.test('a client that never reads its socket is not read from any more, and its answers stay few', async (t) => {
  let asked = 0
  const handlers: Handlers = {
    ...echoHandlers,
    process: (bytes) => {
      asked += 1
      return Buffer.alloc(10_000, bytes[0])
    },
  }
  const server = await serve(t, { handlers })
  const socket = connect(server.port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.pause()
  const writer = new HpackWriter()
  const max = 0x7fffffff
  socket.write(
    Buffer.concat([
      PREFACE,
      settings([4, max]),
      frame(FRAME.settings, FLAG.ack, 0),
      frame(FRAME.windowUpdate, 0, 0, u32(max - 65_535)),
    ]),
  )
  socket.write(frame(FRAME.headers, FLAG.endHeaders, 1, writer.block(callHeaders())))
  const asks = Buffer.concat(Array.from({ length: 1_000 }, () => frame(FRAME.data, 0, 1, message(Buffer.from('x')))))
  let said = 0
  await until('the server to read no more', () => {
    if (socket.writableLength > 1_000_000) return true
    said += 1_000
    socket.write(asks)
    return false
  })
  const before = asked
  await until('that to be so for some turns', () => asked === before)
  t.ok(asked * 10_000 < 30_000_000, `${asked} of ${said} were answered`)
  const other = http2.connect(`http://127.0.0.1:${server.port}`)
  t.teardown(() => other.destroy())
  t.equal((await call(other, generated(1, 1)[0]!)).status, '200', 'others are answered meanwhile')
})

t.test(
  '12,000 requests through Envoy, failing closed: each is answered, and the memory of the server stands',
  async (t) => {
    // The long form is `node bench/soak.ts`.
    const { rssMb, ...rest } = await soak({ requests: 12_000, step: 1_500, transport: 'own', heapMb: 48 })
    t.same(rest, { byStatus: { 200: 12_000 }, broken: 0, failed: 0, goaways: 0, timeouts: 0, isAlive: true })
    const [before, after] = [rssMb[3]!, rssMb.at(-1)!]
    t.ok(after - before < 6, `${before.toFixed(1)} MB after 6,000, ${after.toFixed(1)} MB after 12,000`)
  },
)

t.test('hubward serves on the transport that its configuration names', async (t) => {
  for (const transport of ['own', 'grpc-js'] as const) {
    const documents = e2eDocuments({ ams: 1, fra: 2, lon: 3, dxb: 4 })
    const own = hubwardFolder(mkdtempSync(join(folder, 'h')), documents, { transport })
    const hubward = startHubward(own)
    t.teardown(() => hubward.stop())
    await until('its socket', () => existsSync(own.socket), 60_000)
    const session = http2.connect('http://hubward', { createConnection: () => connect(own.socket) })
    await new Promise((resolve, reject) => session.once('remoteSettings', resolve).once('error', reject))
    const told = session.remoteSettings.maxHeaderListSize
    t.equal(told === LIMITS.headerListBytesMax.is, transport === 'own', `${transport} says ${told}`)
    const headers = { ...Object.fromEntries(callHeaders('/grpc.health.v1.Health/Check')) }
    const health = { headers, pieces: [message(Buffer.alloc(0))] }
    await until('it to serve', async () => (await call(session, health)).messages[0] === '0801', 60_000)
    session.destroy()
    await hubward.stop()
  }
})

t.test('no mistake of ours was told by any of these servers', async (t) => {
  t.same(troubles, [])
})
