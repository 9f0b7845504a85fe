import { copyFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http2 from 'node:http2'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { Client, credentials } from '@grpc/grpc-js'
import t, { type Test as TapTest } from 'tap'
import { type EnvoyServer, startEnvoyServer } from '../../src/envoy/grpc-server.ts'
import type { Handlers } from '../../src/envoy/handlers.ts'
import type { Listen } from '../../src/envoy/listener.ts'
import { selfWarm } from '../../src/envoy/self-warm.ts'
import { handlersOf } from '../../src/envoy/serving.ts'
import { until } from '../helpers/running-envoy.ts'
import { scriptedJudge } from '../helpers/scripted-judge.ts'
import { transport } from '../helpers/transport.ts'
import { PROCESS } from '../helpers/wire-messages.ts'

const folder = mkdtempSync(join(tmpdir(), 'hubward-life-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))
const pem = (name: string) => join(import.meta.dirname, '../fixtures/tls', name)
const TCP: Listen = { host: '127.0.0.1', port: 0 }
const HANDLERS = handlersOf({ judge: scriptedJudge, failed: () => {} })
const MESSAGE = PROCESS.requestSerialize({ request_headers: { headers: { headers: [] } } })
const same = (bytes: Buffer): Buffer => bytes

const serve = async (t: TapTest, listen: Listen = TCP, handlers = HANDLERS): Promise<EnvoyServer> => {
  const server = await startEnvoyServer([listen], handlers, undefined, transport())
  t.teardown(() => server.close())
  server.setServing(true)
  return server
}
const clientOf = (t: TapTest, server: EnvoyServer): Client => {
  const client = new Client(server.addresses[0]!, credentials.createInsecure())
  t.teardown(() => client.close())
  return client
}
const portOf = (server: EnvoyServer): number => Number(server.addresses[0]!.split(':').at(-1))
const health = (client: Client): Promise<number> =>
  new Promise((resolve, reject) =>
    client.makeUnaryRequest('/grpc.health.v1.Health/Check', same, same, Buffer.alloc(0), (error, value) =>
      error ? reject(error) : resolve(value![1]!),
    ),
  )
const SERVING = 1
const NOT_SERVING = 2
/** Whether a request gets a decision. */
const isAnswered = (client: Client): Promise<boolean> =>
  new Promise((resolve) => {
    const call = client.makeBidiStreamRequest('/envoy.service.ext_proc.v3.ExternalProcessor/Process', same, same)
    call.on('data', () => {
      resolve(true)
      call.cancel()
    })
    call.on('error', () => resolve(false))
    call.write(MESSAGE)
  })

t.test('peers that speak no HTTP/2, or break off in the middle, are let go and nobody else notices', async (t) => {
  const server = await serve(t)
  const client = clientOf(t, server)
  t.ok(await isAnswered(client))
  const preface = Buffer.concat([
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
  ])
  const openings: readonly Buffer[] = [
    Buffer.from('GET / HTTP/1.1\r\nhost: h\r\n\r\n'),
    Buffer.from([0x16, 0x03, 0x01, 0xff, 0xff, 1, 2, 3]),
    Buffer.alloc(100_000, 0xff),
    preface.subarray(0, 10),
    Buffer.concat([preface, Buffer.from([0xff, 0xff, 0xff, 1, 4, 0, 0, 0, 1])]), // headers of 16 MB
    Buffer.concat([preface, Buffer.from([0, 0, 4, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4])]), // data on stream 0
    Buffer.concat([preface, Buffer.from([0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0])]), // a window of nothing
  ]
  for (const opening of openings) {
    const socket: Socket = connect(portOf(server), '127.0.0.1')
    socket.on('error', () => {})
    await new Promise<void>((resolve) => socket.write(opening, () => resolve()))
    socket.resetAndDestroy()
  }
  await until('only our own connection to be left', () => server.connections() === 1)
  t.ok(await isAnswered(client))
  await until('its call to be over', () => server.active() === 0)
})

t.test('calls that are no gRPC, or of no method that there is, are answered as such', async (t) => {
  const server = await serve(t)
  const session = http2.connect(`http://${server.addresses[0]}`)
  t.teardown(() => session.destroy())
  const ask = (headers: http2.OutgoingHttpHeaders): Promise<http2.IncomingHttpHeaders> =>
    new Promise((resolve) => session.request({ ':method': 'POST', ...headers }).once('response', resolve))
  t.equal((await ask({ ':path': '/', 'content-type': 'text/plain' }))[':status'], 415)
  const unknown = await ask({
    ':path': '/envoy.service.auth.v3.Authorization/Other',
    'content-type': 'application/grpc',
  })
  t.equal(unknown['grpc-status'], '12', 'UNIMPLEMENTED')
})

t.test('a peer that asks on and on and never reads does not fill the memory with answers', async (t) => {
  let asked = 0
  const handlers: Handlers = {
    ...HANDLERS,
    process: (message, state) => {
      asked += 1
      return HANDLERS.process(message, state)
    },
  }
  const server = await serve(t, TCP, handlers)
  // A window of nothing: not one byte of an answer may be sent.
  const session = http2.connect(`http://${server.addresses[0]}`, { settings: { initialWindowSize: 0 } })
  t.teardown(() => session.destroy())
  session.on('error', () => {})
  await new Promise((resolve) => session.once('localSettings', resolve))
  const stream = session.request({
    ':method': 'POST',
    ':path': '/envoy.service.ext_proc.v3.ExternalProcessor/Process',
    'content-type': 'application/grpc',
    te: 'trailers',
  })
  stream.on('error', () => {})
  const total = 100_000
  const frame = Buffer.concat([Buffer.from([0, 0, 0, 0, MESSAGE.length]), MESSAGE])
  for (let i = 0; i < total / 100; i++) stream.write(Buffer.concat(Array.from({ length: 100 }, () => frame)))
  const client = clientOf(t, server)
  let before = -1
  await until('no more messages to be taken', async () => {
    const stands = asked > 0 && asked === before
    before = asked
    for (let i = 0; i < 20; i++) await isAnswered(client)
    asked -= 20
    return stands
  })
  t.ok(asked < total / 10, `${asked} of ${total} were taken`)
})

t.test(
  'an exception in one stream is answered with INTERNAL; what comes after it on that stream is not heard',
  async (t) => {
    let asked = 0
    const failed: string[] = []
    const handlers: Handlers = {
      ...HANDLERS,
      failed: (error, where) => failed.push(`${where}: ${(error as Error).message}`),
      process: () => {
        asked += 1
        throw new Error('a bug')
      },
    }
    const client = clientOf(t, await serve(t, TCP, handlers))
    const code = await new Promise<number>((resolve) => {
      const call = client.makeBidiStreamRequest('/envoy.service.ext_proc.v3.ExternalProcessor/Process', same, same)
      call.on('error', (error: Error & { code?: number }) => resolve(error.code ?? -1))
      call.on('data', () => {})
      for (let i = 0; i < 50; i++) call.write(MESSAGE)
    })
    t.equal(code, 13)
    t.equal(asked, 1)
    t.same(failed, ['ext_proc: a bug'])
  },
)

t.test('a drain that announces itself says NOT_SERVING and answers on', async (t) => {
  const path = join(folder, 'drain.sock')
  const server = await serve(t, { unix: path })
  const client = clientOf(t, server)
  t.equal(await health(client), SERVING)
  const drained = server.drain({ forMs: 600_000, announce: true, quietMs: 50 })
  t.equal(await health(client), NOT_SERVING)
  t.ok(await isAnswered(client))
  client.close()
  t.equal(await drained, 'left')
  t.equal(existsSync(path), false, 'the socket is gone')
})

t.test('a drain whose time is over ends whoever is still connected', async (t) => {
  const server = await serve(t)
  const client = clientOf(t, server)
  t.ok(await isAnswered(client))
  const silent = connect(portOf(server), '127.0.0.1')
  const ended = new Promise((resolve) => silent.once('close', resolve))
  silent.on('error', () => {}).resume()
  await until('two connections', () => server.connections() === 2)
  t.equal(await server.drain({ forMs: 1 }), 'late')
  await ended
  await until('none', () => server.connections() === 0)
})

t.test('a drain ends as soon as nobody is connected, and does not mind a connection that is renewed', async (t) => {
  const server = await serve(t)
  const first = connect(portOf(server), '127.0.0.1')
  await until('one connection', () => server.connections() === 1)
  let ended = false
  const drained = server.drain({ forMs: 600_000, quietMs: 300 }).finally(() => {
    ended = true
  })
  first.destroy()
  await until('none', () => server.connections() === 0)
  const second = connect(portOf(server), '127.0.0.1')
  await until('one again', () => server.connections() === 1)
  t.equal(ended, false)
  second.destroy()
  t.equal(await drained, 'left')
})

/** The name in the certificate that a server shows. */
const certificateOf = (port: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2'] }, () => {
      const subject = socket.getPeerCertificate().subject.CN
      resolve(String(subject))
      socket.destroy()
    })
    socket.on('error', reject)
  })

t.test('a renewed certificate is used for new connections; one that is none leaves the old in force', async (t) => {
  const own = mkdtempSync(join(folder, 'tls'))
  const [certFile, keyFile] = [join(own, 'tls.crt'), join(own, 'tls.key')]
  const put = (name: string) => {
    copyFileSync(pem(`${name}.key`), keyFile)
    copyFileSync(pem(`${name}.pem`), certFile)
  }
  put('server')
  const troubles: string[] = []
  const listen = { ...TCP, tls: { certFile, keyFile } }
  const server = await startEnvoyServer([listen], HANDLERS, (error) => troubles.push(error.message), transport())
  t.teardown(() => server.close())
  const port = portOf(server)
  t.equal(await certificateOf(port), 'server')
  put('renewed')
  t.equal(await certificateOf(port), 'renewed')
  copyFileSync(pem('server.pem'), certFile)
  t.equal(await certificateOf(port), 'renewed', "the key is not the certificate's: half of a renewal")
  writeFileSync(certFile, 'nonsense')
  t.equal(await certificateOf(port), 'renewed')
  t.equal(troubles.length, 2)
  t.match(troubles[0], /new TLS files are not used: .*tls\.crt and .*tls\.key do not make a TLS server/)
  put('server')
  t.equal(await certificateOf(port), 'server')
  await t.rejects(startEnvoyServer([{ ...TCP, tls: { certFile: join(own, 'none'), keyFile } }], HANDLERS), {
    message: /none: ENOENT/,
  })
})

t.test('the self-warm goes through handlers and gRPC, leaves nothing open, and fails no start', async (t) => {
  const seen = { ext_proc: 0, ext_authz: 0 }
  const counting = handlersOf({
    judge: (view) => {
      seen[view.contextExtensions === undefined ? 'ext_proc' : 'ext_authz'] += 1
      return scriptedJudge(view)
    },
    failed: (error) => t.fail(`${error}`),
  })
  await selfWarm(counting, { rounds: 100, calls: 40, callsForMs: 60_000, transport: transport() })
  t.same(seen, { ext_proc: 100 + 30, ext_authz: 50 + 10 })
  const failed: unknown[] = []
  const broken = handlersOf({
    judge: () => {
      throw new Error('not ready')
    },
    failed: (error) => failed.push(error),
  })
  await selfWarm(broken)
  t.match(failed, [{ message: 'not ready' }])
})
