import { mkdtempSync, rmSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { readDocuments } from '../../src/documents/read.ts'
import { envoyConfig } from '../../src/envoy/config/bootstrap.ts'
import { ENVOY_OPTIONS_DEFAULT, type EnvoyOptions } from '../../src/envoy/config/options.ts'
import { hubwardFolder, socketIn, startHubward } from '../helpers/hubward-process.ts'
import { jobRoutes } from '../helpers/job-routes.ts'
import { ask, startEnvoy, until } from '../helpers/running-envoy.ts'

const folder = mkdtempSync(join(tmpdir(), 'hubward-bodies-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

const site = http.createServer((request, response) => {
  const parts: Buffer[] = []
  request.on('data', (part) => parts.push(part))
  request.on('end', () => {
    const body = Buffer.concat(parts)
    response.setHeader('was-length', body.length)
    response.setHeader('was-cluster', String(request.headers['x-hubward-cluster']))
    response.end(body.subarray(0, 200))
  })
})
await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve))
t.teardown(() => site.close())
const at = `127.0.0.1:${(site.address() as AddressInfo).port}`

const documents = `
apiVersion: hubward.dev/v1alpha1
kind: Site
metadata: { name: ams, owner: dc-ops@example.com }
spec: { jurisdictions: [EU], cluster: ams-h100, endpoints: ["${at}"], models: [{ name: llama-3.1-70b }] }
---
apiVersion: hubward.dev/v1alpha1
kind: Site
metadata: { name: edge, owner: dc-ops@example.com }
spec: { jurisdictions: [EU], cluster: edge-l4, endpoints: ["${at}"], models: [{ name: llama-3.2-3b }] }
---
apiVersion: hubward.dev/v1alpha1
kind: ResidencyClass
metadata: { name: eu, owner: privacy@example.com }
spec: { allows: [EU], default: { sites: [ams] } }
---
apiVersion: hubward.dev/v1alpha1
kind: WorkloadClass
metadata: { name: interactive-inference, owner: platform-routing@example.com }
spec: { flexibility: inflexible, whenHubwardIsDown: default }
---
apiVersion: hubward.dev/v1alpha1
kind: Policy
metadata: { name: chat, version: 1, owner: platform-routing@example.com }
spec:
  class: interactive-inference
  ladder: [[ams]]
  degraded: { site: edge, model: llama-3.2-3b, rewriteBody: true }
  otherwise: [{ action: degrade }, { action: deny, retryAfter: 5s }]
---
apiVersion: hubward.dev/v1alpha1
kind: FactSources
metadata: { name: gateway, owner: platform-routing@example.com }
spec:
  facts:
    class: [{ from: value, value: interactive-inference }]
    model: [{ from: body, name: model }]
`
const { set } = readDocuments([{ path: 'all.yaml', text: documents }])
if (set === null) throw new Error('the documents of this test are bad')

const options: EnvoyOptions = {
  ...ENVOY_OPTIONS_DEFAULT,
  listener: { host: '127.0.0.1', port: 0 },
  admin: { host: '127.0.0.1', port: 0 },
  sidecar: { path: socketIn(folder) },
  accessLog: undefined,
  healthPath: undefined,
  residency: { by: 'listener', class: 'eu' },
  bodyPaths: ['/v1/chat/completions'],
}
const envoy = await startEnvoy(envoyConfig(set, options))
t.teardown(() => envoy.stop())
const files = hubwardFolder(folder, documents)
const hubward = startHubward(files)
t.teardown(() => hubward.stop())
const port = await envoy.port()
const post = (path: string, body: string) =>
  ask(port, path, { body, headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) } })
await until('a decision', async () => (await post('/v1/models', '')).headers['x-hubward-decision'] !== undefined)

const counters = 'ext_proc\\.hubward\\.(streams_failed|rejected_header_mutations|spurious_msgs_received)'
const before = await envoy.stats(counters)

t.test('a body that is read passes unchanged, up to the limit', async (t) => {
  const body = JSON.stringify({ model: 'llama-3.1-70b', prompt: 'x'.repeat(900_000) })
  const { status, headers } = await post('/v1/chat/completions', body)
  t.match(
    { status, headers },
    { status: 200, headers: { 'was-length': String(body.length), 'was-cluster': 'ams-h100' } },
  )
})

t.test('a body over the limit is refused where it is read, and passes where it is not', async (t) => {
  const body = JSON.stringify({ model: 'llama-3.1-70b', prompt: 'x'.repeat(2_000_000) })
  t.equal((await post('/v1/chat/completions', body)).status, 413)
  t.equal((await post('/v1/completions', body)).headers['was-length'], String(body.length))
})

t.test('a degraded request has its model rewritten and its length with it', async (t) => {
  files.writeOverrides({
    overrides: [
      {
        id: 'drain-ams',
        kind: 'drain',
        scope: { site: 'ams' },
        reason: 'test',
        author: 'oncall@example.com',
        created: Date.now(),
        expires: Date.now() + 3_600_000,
      },
    ],
    maintenance: [],
  })
  const body = '{"stream":false,"model":"llama-3.1-70b","messages":[]}'
  const answer = await until('ams to be drained', async () => {
    const found = await post('/v1/chat/completions', body)
    return found.headers['x-hubward-action'] === 'degrade' && found
  })
  t.equal(answer.status, 200)
  t.strictSame(JSON.parse(answer.body), { stream: false, model: 'llama-3.2-3b', messages: [] })
  t.match(answer.headers, {
    'x-hubward-model': 'llama-3.2-3b',
    'was-cluster': 'edge-l4',
    'was-length': String(answer.body.length),
  })
})

t.test('Envoy rejected none of that', async (t) => {
  t.strictSame(await envoy.stats(counters), before)
})

t.test('jobs', (t) => jobRoutes(t, mkdtempSync(join(folder, 'jobs-'))))
