import { mkdtempSync, rmSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { readDocuments } from '../../src/documents/read.ts'
import { envoyConfig } from '../../src/envoy/config/bootstrap.ts'
import type { EnvoyObject } from '../../src/envoy/config/envoy-object.ts'
import { ENVOY_OPTIONS_DEFAULT, type EnvoyOptions } from '../../src/envoy/config/options.ts'
import { e2eDocuments, type SitePorts } from '../helpers/e2e-documents.ts'
import { hubwardFolder, type RunningHubward, startHubward } from '../helpers/hubward-process.ts'
import { type Answer, ask, startEnvoy, until } from '../helpers/running-envoy.ts'

const folder = mkdtempSync(join(tmpdir(), 'hubward-matrix-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

const names = ['ams', 'fra', 'lon', 'dxb'] as const
const seen: { site: string; headers: http.IncomingHttpHeaders }[] = []
const sites = names.map((site) =>
  http.createServer((request, response) => {
    if (request.url !== '/health') seen.push({ site, headers: request.headers })
    response.end(site)
  }),
)
for (const site of sites) await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve))
t.teardown(() => {
  for (const site of sites) site.close()
})
const ports = Object.fromEntries(
  names.map((name, i) => [name, (sites[i]!.address() as AddressInfo).port]),
) as unknown as SitePorts

// A filter that takes the class out of a path prefix stands for one that reads it from a token: it sets the attribute
// and clears the route cache. What a client says itself can't get here, because early mutation has stripped it.
const attributeFilter: EnvoyObject = {
  name: 'envoy.filters.http.lua',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua',
    default_source_code: {
      inline_string: `
        function envoy_on_request(handle)
          local class = handle:headers():get("verified-class")
          if class then
            handle:headers():replace("x-hubward-residency", class)
            handle:clearRouteCache()
          end
        end`,
    },
  },
}

const documents = e2eDocuments(ports)
const { set } = readDocuments([{ path: 'all.yaml', text: documents }])
if (set === null) throw new Error('the documents of this test are bad')

const columns = {
  listed: { 'verified-class': 'eu' },
  'listed, another class': { 'verified-class': 'uk' },
  unlisted: { 'verified-class': 'mars' },
  absent: {},
  spoofed: {
    'x-hubward-residency': 'eu',
    'x-hubward-cluster': 'dxb-h100',
    'X-Hubward-Site': 'dxb',
    x_hubward_cluster: 'dxb-h100',
  },
} as const
const work = { chat: '/v1/chat/completions', job: '/v1/fine_tuning/jobs' } as const

type Column = keyof typeof columns
type Work = keyof typeof work
/** A site that serves, or a status with the reason that the client is told. */
type Cell = (typeof names)[number] | readonly [status: number, reason: string]

const JOB_REFUSED: Cell = [503, 'hubward-down']
const unlisted: Cell = [503, 'residency-unlisted']
const absent: Cell = [503, 'residency-absent']
const DOWN: Record<Column, Record<Work, Cell>> = {
  listed: { chat: 'fra', job: JOB_REFUSED },
  'listed, another class': { chat: 'lon', job: JOB_REFUSED },
  unlisted: { chat: unlisted, job: JOB_REFUSED },
  absent: { chat: absent, job: JOB_REFUSED },
  spoofed: { chat: absent, job: JOB_REFUSED },
}
const nowhere: Cell = [403, 'residency-unservable']
const unknown: Cell = [403, 'residency-unknown']
const MATRIX: Record<string, Record<Column, Record<Work, Cell>>> = {
  up: {
    listed: { chat: 'ams', job: 'fra' },
    'listed, another class': { chat: 'lon', job: 'lon' },
    unlisted: { chat: nowhere, job: nowhere },
    absent: { chat: unknown, job: unknown },
    spoofed: { chat: unknown, job: unknown },
  },
  'up with routing disabled': {
    listed: { chat: 'fra', job: 'fra' },
    'listed, another class': { chat: 'lon', job: 'lon' },
    unlisted: { chat: nowhere, job: nowhere },
    absent: { chat: absent, job: absent },
    spoofed: { chat: absent, job: absent },
  },
  hung: DOWN,
  'hung, and known to be': DOWN,
  dead: DOWN,
}

// As servers may read them: escapes, dots, double and escaped slashes, backslashes, parameters.
const SPELLINGS = [
  '/v1/fine_tuning',
  '/v1/fine_tuning/jobs?x=1',
  '/v1/%66ine_tuning/jobs',
  '/v1%2Ffine_tuning/jobs',
  '/v1//fine_tuning',
  '/v1/./fine_tuning',
  '/v1/chat/../fine_tuning',
  '/v1/chat/%2e%2e/fine_tuning',
  '/v1/chat%2F..%2Ffine_tuning',
  '/v1\\fine_tuning',
  '/v1;a=b/fine_tuning;c/jobs',
]

const found = ({ status, headers, body }: Answer): Cell =>
  status === 200 ? (body as Cell) : [status, String(headers['x-hubward-reason'])]

for (const mode of ['ext_proc', 'ext_authz'] as const) {
  t.test(`the residency matrix by ${mode}`, async (t) => {
    const hubward = hubwardFolder(join(folder, mode), documents)
    const options: EnvoyOptions = {
      ...ENVOY_OPTIONS_DEFAULT,
      mode,
      listener: { host: '127.0.0.1', port: 0 },
      admin: { host: '127.0.0.1', port: 0 },
      sidecar: { path: hubward.socket },
      accessLog: undefined,
      filtersBefore: [attributeFilter],
    }
    const envoy = await startEnvoy(envoyConfig(set, options))
    t.teardown(() => envoy.stop())
    const port = await envoy.port()
    const healthy = (count: number) =>
      until(`Envoy to count ${count} healthy hubwards`, async () => {
        const gauges = await envoy.stats('cluster\\.hubward-sidecar\\.membership_healthy')
        return Object.values(gauges)[0] === count
      })
    let running: RunningHubward = startHubward(hubward)
    t.teardown(() => running.stop())

    const row = (state: string) =>
      t.test(`hubward ${state}`, async (t) => {
        for (const [column, headers] of Object.entries(columns)) {
          for (const [kind, path] of Object.entries(work)) {
            const wanted = MATRIX[state]?.[column as Column][kind as Work]
            t.test(`${kind}, attribute ${column}: ${wanted}`, async (t) => {
              seen.length = 0
              const answer = await ask(port, path, { headers, body: '{}' })
              t.strictSame(found(answer), wanted)
              if (answer.status === 503) t.match(answer.headers['retry-after'], /^[1-9]\d*$/)
              if (answer.status !== 200) {
                t.strictSame(seen, [], 'it reached no site')
                t.match(answer.headers['content-type'], /^application\/problem\+json/)
                t.match(JSON.parse(answer.body), { status: answer.status, error: { code: String } })
              }
              t.notOk(seen.some((one) => one.headers.x_hubward_cluster !== undefined))
            })
          }
        }
      })

    await healthy(1)
    await row('up')
    hubward.writeOverrides({
      routing: { enabled: false, reason: 'test', author: 'oncall@example.com', at: Date.now() },
      overrides: [],
      maintenance: [],
    })
    await until('routing to be disabled', async () => {
      const answer = await ask(port, work.chat, { headers: columns.listed, body: '{}' })
      return answer.headers['x-hubward-reason'] === 'routing-disabled'
    })
    await row('up with routing disabled')
    running.process.kill('SIGSTOP')
    await row('hung')
    await healthy(0)
    await row('hung, and known to be')
    await running.stop()
    await row('dead')
    await t.test('no spelling of a job path gets past the refusal', async (t) => {
      for (const path of SPELLINGS) {
        seen.length = 0
        const { status } = await ask(port, path, { headers: columns.listed, body: '{}' })
        t.strictSame({ path, status, seen }, { path, status: 503, seen: [] })
      }
      const { status, body } = await ask(port, '/v1/fine_tuning_tips', { headers: columns.listed, body: '{}' })
      t.strictSame({ status, body }, { status: 200, body: 'fra' }, 'a path that only begins alike is none')
    })
    const open = await envoy.stats('failure_mode_allowed')
    t.ok(
      Object.values(open).some((count) => count > 0),
      'failing open is counted',
    )
    hubward.writeOverrides({ overrides: [], maintenance: [] })
    running = startHubward(hubward)
    await healthy(1)
    t.equal((await ask(port, work.chat, { headers: columns.listed, body: '{}' })).body, 'ams', 'it is back')
  })
}
