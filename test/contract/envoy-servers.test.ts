import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, credentials } from '@grpc/grpc-js'
import t, { type Test as TapTest } from 'tap'
import { type EnvoyServer, startEnvoyServer } from '../../src/envoy/grpc-server.ts'
import type { Listen } from '../../src/envoy/listener.ts'
import { handlersOf } from '../../src/envoy/serving.ts'
import { type Minimal, minimalEnvoy } from '../helpers/envoy-minimal.ts'
import { load } from '../helpers/raw-load.ts'
import { ask, startEnvoy, until } from '../helpers/running-envoy.ts'
import { scriptedJudge } from '../helpers/scripted-judge.ts'
import { transport } from '../helpers/transport.ts'

const pem = (name: string) => join(import.meta.dirname, '../fixtures/tls', name)
const folder = mkdtempSync(join(tmpdir(), 'hubward-servers-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))
let sockets = 0
const failures: string[] = []

const serve = async (t: TapTest, listen: Listen): Promise<EnvoyServer> => {
  const server = await startEnvoyServer(
    [listen],
    handlersOf({
      judge: scriptedJudge,
      failed: (error, where) => failures.push(`${where}: ${(error as Error).message}`),
    }),
    undefined,
    transport(),
  )
  t.teardown(() => server.close())
  server.setServing(true)
  return server
}
const around = async (t: TapTest, told: Omit<Minimal, 'sidecar'> & { listen?: Listen }) => {
  const { listen = { unix: join(folder, `s${++sockets}.sock`) }, ...rest } = told
  const server = await serve(t, listen)
  const [host, port] = server.addresses[0]!.split(':') as [string, string]
  const own = mkdtempSync(join(folder, 'e'))
  const envoy = await startEnvoy(
    minimalEnvoy(own, { ...rest, sidecar: 'unix' in listen ? { path: listen.unix } : { host, port: Number(port) } }),
  )
  t.teardown(() => envoy.stop())
  return { server, envoy, port: await envoy.port() }
}

for (const mode of ['ext_proc', 'ext_authz'] as const) {
  for (const where of ['unix', 'tcp'] as const) {
    t.test(`${mode} over ${where}: the decision chooses the upstream, and says so`, async (t) => {
      const { port } = await around(t, { mode, ...(where === 'tcp' ? { listen: { host: '127.0.0.1', port: 0 } } : {}) })
      t.equal((await ask(port, '/', { headers: { 'x-want': 'a' } })).body, 'a')
      t.equal((await ask(port, '/', { headers: { 'x-want': 'b' } })).body, 'b')
      t.equal(
        (await ask(port, '/', { headers: { 'x-want': 'envoy', 'x-hubward-cluster': 'a' } })).body,
        'default',
        'without a decision the marker stands, whatever the client sent',
      )
      const refused = await ask(port, '/', { headers: { 'x-want': 'deny' } })
      t.equal(refused.status, 503)
      t.match(refused.headers, {
        'content-type': 'application/problem+json',
        'retry-after': '90',
        'x-should-retry': 'false',
        'x-hubward-reason': 'no-target',
        'x-hubward-decision': 'd1',
      })
      t.match(JSON.parse(refused.body), {
        status: 503,
        reason: 'no-target',
        because: [{ measured: 41, limit: 40 }],
        error: { type: 'service_unavailable_error', code: 'no-target' },
      })
    })
  }
}

t.test('a body is read where the route asks for it, and its decision is followed', async (t) => {
  const { port, envoy } = await around(t, { bodyPath: '/v1/' })
  const big = await ask(port, '/v1/chat', {
    headers: { 'x-want': 'body', 'content-type': 'application/json' },
    body: '{ "a": 1.0, "model":"big" }',
  })
  t.equal(big.body, 'b', 'decided on the body')
  t.equal((await ask(port, '/v1/chat', { headers: { 'x-want': 'body' }, body: '{"model":"other"}' })).body, 'a')
  t.equal(
    (await ask(port, '/v1/models', { headers: { 'x-want': 'a' } })).body,
    'a',
    'a request without a body is decided on its headers',
  )
  t.equal((await ask(port, '/elsewhere', { headers: { 'x-want': 'b' }, body: '{}' })).body, 'b')
  t.equal((await envoy.stats('ext_proc.*failed'))['http.ingress.ext_proc.streams_failed'] ?? 0, 0)
})

t.test('an exception answers with the failure mode of the route, is told, and kills nothing', async (t) => {
  failures.length = 0
  const open = await around(t, { failOpen: true })
  t.equal((await ask(open.port, '/', { headers: { 'x-want': 'throw' } })).body, 'default', 'open: on to the default')
  const closed = await around(t, {})
  t.equal((await ask(closed.port, '/', { headers: { 'x-want': 'throw' } })).status, 500, 'closed: refused')
  const authz = await around(t, { mode: 'ext_authz' })
  t.equal((await ask(authz.port, '/', { headers: { 'x-want': 'throw' } })).status, 503)
  t.same(failures, ['ext_proc: a bug in the judge', 'ext_proc: a bug in the judge', 'ext_authz: a bug in the judge'])
  t.equal((await ask(open.port, '/', { headers: { 'x-want': 'b' } })).body, 'b', 'and the next request is answered')
})

t.test('bytes that are no message end their stream and nothing else', async (t) => {
  failures.length = 0
  const server = await serve(t, { host: '127.0.0.1', port: 0 })
  const client = new Client(server.addresses[0]!, credentials.createInsecure())
  t.teardown(() => client.close())
  const same = (bytes: Buffer): Buffer => bytes
  const send = (bytes: Buffer): Promise<number> =>
    new Promise((resolve) => {
      const call = client.makeBidiStreamRequest('/envoy.service.ext_proc.v3.ExternalProcessor/Process', same, same)
      call.on('data', () => resolve(0))
      call.on('error', (error: Error & { code?: number }) => resolve(error.code ?? -1))
      call.write(bytes)
    })
  t.equal(await send(Buffer.from([0xff, 0xff, 0xff])), 13, 'INTERNAL')
  t.equal(await send(Buffer.from([0x82, 0x01, 0])), 13, 'a message of a later version')
  t.equal(await send(Buffer.from([0x12, 0x00])), 0, 'and the server goes on')
  t.equal(failures.length, 2)
})

t.test("10,000 requests without one refused: Envoy's resets are not taken for an attack", async (t) => {
  const { port, envoy } = await around(t, {})
  const requestOf = (index: number) => `GET / HTTP/1.1\r\nhost: h\r\nx-want: ${index % 2 === 0 ? 'a' : 'b'}\r\n\r\n`
  const keyOf = (index: number, _head: string, body: string) => `${index % 2 === 0 ? 'a' : 'b'} to ${body}`
  const { byStatus, byKey, broken } = await load(port, { total: 10_000, concurrency: 16, requestOf, keyOf })
  t.same([...byStatus], [[200, 10_000]])
  t.same(Object.fromEntries(byKey), { 'a to a': 5_000, 'b to b': 5_000 })
  t.equal(broken, 0)
  const stats = await envoy.stats('ext_proc.streams_(started|failed)')
  t.equal(stats['http.ingress.ext_proc.streams_failed'], 0)
  t.ok(stats['http.ingress.ext_proc.streams_started']! >= 10_000)
  const resets = await envoy.stats('cluster.hubward.upstream_(rq_tx_reset|cx_close_notify)$')
  t.ok(resets['cluster.hubward.upstream_rq_tx_reset']! >= 10_000, 'each stream was reset')
  t.equal(resets['cluster.hubward.upstream_cx_close_notify'], 0, 'and no connection was told to go away')
})

t.test('health: NOT_SERVING until told, then SERVING, and watchers hear of it', async (t) => {
  const server = await startEnvoyServer(
    [{ host: '127.0.0.1', port: 0 }],
    handlersOf({ judge: scriptedJudge, failed: () => {} }),
    undefined,
    transport(),
  )
  t.teardown(() => server.close())
  const client = new Client(server.addresses[0]!, credentials.createInsecure())
  t.teardown(() => client.close())
  const same = (bytes: Buffer): Buffer => bytes
  const seen: number[] = []
  const watch = client.makeServerStreamRequest('/grpc.health.v1.Health/Watch', same, same, Buffer.alloc(0))
  watch.on('data', (bytes: Buffer) => seen.push(bytes[1]!))
  watch.on('error', () => {})
  await until('the first word', () => seen.length === 1)
  server.setServing(true)
  await until('the second', () => seen.length === 2)
  t.same(seen, [2, 1])
  const check = await new Promise<Buffer>((resolve, reject) =>
    client.makeUnaryRequest('/grpc.health.v1.Health/Check', same, same, Buffer.alloc(0), (error, value) =>
      error ? reject(error) : resolve(value!),
    ),
  )
  t.equal(check[1], 1)
})

t.test('a unix socket: left behind it is taken over, in use it is not, and its mode is kept small', async (t) => {
  const path = join(folder, 'deep', 'er', 's.sock')
  const left = spawn(
    process.execPath,
    ['-e', `require('net').createServer().listen(${JSON.stringify(`${folder}/left.sock`)}, () => console.log('up'))`],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  await new Promise((resolve) => left.stdout.once('data', resolve))
  left.kill('SIGKILL')
  await new Promise((resolve) => left.once('close', resolve))
  await t.resolves(serve(t, { unix: join(folder, 'left.sock') }), 'a process that is gone left it')
  await serve(t, { unix: path, mode: 0o600 })
  t.equal(statSync(path).mode & 0o777, 0o600)
  await t.rejects(startEnvoyServer([{ unix: path }], handlersOf({ judge: scriptedJudge, failed: () => {} })), {
    message: /another process answers on this socket/,
  })
  writeFileSync(join(folder, 'file'), 'x')
  await t.rejects(
    startEnvoyServer([{ unix: join(folder, 'file') }], handlersOf({ judge: scriptedJudge, failed: () => {} })),
    {
      message: /not a socket/,
    },
  )
  await t.rejects(
    startEnvoyServer([{ unix: join(folder, 'x'.repeat(120)) }], handlersOf({ judge: scriptedJudge, failed: () => {} })),
    { message: /107 bytes/ },
  )
  const taken = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => taken.once('listening', resolve))
  t.teardown(() => taken.close())
  await t.rejects(
    startEnvoyServer(
      [{ host: '127.0.0.1', port: (taken.address() as { port: number }).port }],
      handlersOf({ judge: scriptedJudge, failed: () => {} }),
    ),
  )
})

t.test('mTLS: a client without a certificate is not let in', async (t) => {
  const listen: Listen = {
    host: '127.0.0.1',
    port: 0,
    tls: { certFile: pem('server.pem'), keyFile: pem('server.key'), clientCaFile: pem('ca.pem') },
  }
  const socket = (own: boolean) => ({
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
      sni: 'hubward.test',
      common_tls_context: {
        alpn_protocols: ['h2'],
        validation_context: { trusted_ca: { filename: pem('ca.pem') } },
        ...(own
          ? {
              tls_certificates: [
                { certificate_chain: { filename: pem('client.pem') }, private_key: { filename: pem('client.key') } },
              ],
            }
          : {}),
      },
    },
  })
  const known = await around(t, { listen, sidecarTls: socket(true) })
  t.equal((await ask(known.port, '/', { headers: { 'x-want': 'b' } })).body, 'b')
  const stranger = await around(t, { listen, sidecarTls: socket(false) })
  t.equal((await ask(stranger.port, '/', { headers: { 'x-want': 'b' } })).status, 500)
})

t.test('hubward ends after Envoy: asked to stop, it answers until Envoy has closed its connections', async (t) => {
  const { port, envoy, server } = await around(t, {})
  t.equal((await ask(port, '/', { headers: { 'x-want': 'a' } })).body, 'a')
  let ended: string | undefined
  const drained = server.drain({ forMs: 600_000, quietMs: 50 }).then((how) => {
    ended = how
  })
  for (let i = 0; i < 20; i++) t.equal((await ask(port, '/', { headers: { 'x-want': 'b' } })).body, 'b')
  t.equal(ended, undefined)
  await envoy.stop()
  await drained
  t.equal(ended, 'left')
  t.equal(server.connections(), 0)
})
