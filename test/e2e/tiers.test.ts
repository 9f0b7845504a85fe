import { mkdtempSync, rmSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { readDocuments } from '../../src/documents/read.ts'
import { envoyConfig } from '../../src/envoy/config/bootstrap.ts'
import { ENVOY_OPTIONS_DEFAULT, type EnvoyOptions } from '../../src/envoy/config/options.ts'
import { e2eDocuments, SHORT_TIMERS, type SitePorts } from '../helpers/e2e-documents.ts'
import { hubwardFolder, socketIn, startHubward } from '../helpers/hubward-process.ts'
import { ask, startEnvoy, until } from '../helpers/running-envoy.ts'

const folder = mkdtempSync(join(tmpdir(), 'hubward-tiers-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

const names = ['ams', 'fra', 'lon', 'dxb'] as const
type Name = (typeof names)[number]

/** A site that answers with its name, can be switched off, and comes back on the port it had. */
async function siteOf(name: Name) {
  let port = 0
  let server: http.Server
  const start = async () => {
    server = http.createServer((request, response) => {
      request.resume()
      response.setHeader('was-cluster', String(request.headers['x-hubward-cluster']))
      request.on('end', () => response.end(name))
    })
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    port = (server.address() as AddressInfo).port
  }
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  await start()
  return { port: () => port, start, stop }
}

const sites = Object.fromEntries(
  await Promise.all(names.map(async (name) => [name, await siteOf(name)] as const)),
) as Record<Name, Awaited<ReturnType<typeof siteOf>>>
t.teardown(() => Promise.all(names.map((name) => sites[name].stop())))

const ports = Object.fromEntries(names.map((name) => [name, sites[name].port()])) as unknown as SitePorts
const documents = e2eDocuments(ports, SHORT_TIMERS)
const { set } = readDocuments([{ path: 'all.yaml', text: documents }])
if (set === null) throw new Error('the documents of this test are bad')

const options: EnvoyOptions = {
  ...ENVOY_OPTIONS_DEFAULT,
  listener: { host: '127.0.0.1', port: 0 },
  admin: { host: '127.0.0.1', port: 0 },
  sidecar: { path: socketIn(folder) },
  accessLog: undefined,
  residency: { by: 'listener', class: 'eu' },
  // Neither health checks nor ejection may be what heals here: the request itself has to find the next site.
  healthPath: undefined,
}
// biome-ignore lint/suspicious/noExplicitAny: fields of the generated configuration.
const config: any = envoyConfig(set, options)
for (const cluster of config.static_resources.clusters) delete cluster.outlier_detection
const envoy = await startEnvoy(config)
t.teardown(() => envoy.stop())
const targets = names.map((name) => ({ target: `${name}/h100`, url: `http://127.0.0.1:${ports[name]}` }))
const hubward = startHubward(
  hubwardFolder(folder, documents, {
    envoyAdmin: { address: `127.0.0.1:${envoy.adminPort}`, intervalMs: 500 },
    feeds: [{ kind: 'probe', name: 'health', intervalMs: 500, timeoutMs: 400, targets }],
  }),
)
t.teardown(() => hubward.stop())
const port = await envoy.port()
const chat = () => ask(port, '/v1/chat/completions', { body: '{"model":"llama-3.1-70b"}' })
const summary = () => ask(port, '/v1/summaries', { body: '{}' })

/** How often each site answered so many summaries. */
async function spread(count: number): Promise<Record<string, number>> {
  const by: Record<string, number> = {}
  for (let i = 0; i < count; i++) {
    const { status, body } = await summary()
    const key = status === 200 ? body : String(status)
    by[key] = (by[key] ?? 0) + 1
  }
  return by
}

t.test('hubward learns from Envoy which aggregates there are', async (t) => {
  const cluster = await until('a decision that names an aggregate', async () => {
    const named = (await chat()).headers['was-cluster']
    return String(named).includes('+') && named
  })
  t.equal(cluster, 'ams-h100+fra-h100')
})

t.test('both sites of one tier get traffic, and the next tier none', async (t) => {
  const by = await spread(60)
  t.ok((by.ams ?? 0) > 10 && (by.fra ?? 0) > 10, JSON.stringify(by))
  t.equal((by.ams ?? 0) + (by.fra ?? 0), 60)
})

t.test('between tiers the first takes all of it', async (t) => {
  for (let i = 0; i < 20; i++) t.equal((await chat()).body, 'ams')
})

t.test('a refused connection is healed by the aggregate in the same request', async (t) => {
  // A probe may see the death before the request does; then there was nothing to heal, and it is tried again.
  const healed = await until('a request that was sent to a dead site', async () => {
    await until('ams to serve', async () => (await chat()).body === 'ams')
    await sites.ams.stop()
    const answer = await chat()
    if (answer.headers['x-hubward-site'] === 'ams') return answer
    await sites.ams.start()
    return undefined
  })
  t.match(healed, { status: 200, body: 'fra', headers: { 'was-cluster': 'ams-h100+fra-h100' } })
  for (let i = 0; i < 50; i++) t.match(await chat(), { status: 200, body: 'fra' }, 'and so is every later one')
})

t.test('an active-active tier goes on with the site that is left', async (t) => {
  t.strictSame(await spread(20), { fra: 20 })
})

t.test('with both gone, the client is told so and nothing leaves the residency', async (t) => {
  await sites.fra.stop()
  const { status, body } = await chat()
  t.equal(status, 503)
  t.notOk(['lon', 'dxb'].includes(body))
})

t.test('a site that came back serves again', async (t) => {
  await sites.ams.start()
  await until('ams to serve', async () => (await chat()).body === 'ams')
  t.pass()
})
