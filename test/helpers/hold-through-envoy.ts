import { writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import type { Test } from 'tap'
import { readDocuments } from '../../src/documents/read.ts'
import { envoyConfig } from '../../src/envoy/config/bootstrap.ts'
import { ENVOY_OPTIONS_DEFAULT } from '../../src/envoy/config/options.ts'
import { hubwardFolder, socketIn, startHubward } from './hubward-process.ts'
import { ask, startEnvoy, until } from './running-envoy.ts'

const documents = (port: number): string => `
apiVersion: hubward.dev/v1alpha1
kind: Site
metadata: { name: ams, owner: dc-ops@example.com }
spec:
  jurisdictions: [EU]
  cluster: ams
  endpoints: ["127.0.0.1:${port}"]
---
apiVersion: hubward.dev/v1alpha1
kind: ResidencyClass
metadata: { name: eu, owner: privacy@example.com }
spec: { allows: [EU], default: { sites: [ams] } }
---
apiVersion: hubward.dev/v1alpha1
kind: WorkloadClass
metadata: { name: chat, owner: platform-routing@example.com }
spec: { whenHubwardIsDown: default, freshness: { queue.depth: 1h } }
---
apiVersion: hubward.dev/v1alpha1
kind: WorkloadClass
metadata: { name: brief, owner: platform-routing@example.com }
spec: { whenHubwardIsDown: default, freshness: { queue.depth: 1h } }
${['chat', 'brief']
  .map(
    (name) => `---
apiVersion: hubward.dev/v1alpha1
kind: Policy
metadata: { name: ${name}, version: 1, owner: platform-routing@example.com }
spec:
  class: ${name}
  require: { signals: { queue.depth: { max: 40, resume: 32 } } }
  ladder: [[ams]]
  timers: { stableFor: 0s, dwell: 0s, failBack: 0s, cooldown: 0s }
  otherwise: [{ action: queue, for: ${name === 'chat' ? '20s' : '200ms'} }, { action: deny, retryAfter: 7s }]
`,
  )
  .join('')}---
apiVersion: hubward.dev/v1alpha1
kind: FactSources
metadata: { name: gateway, owner: platform-routing@example.com }
spec:
  facts:
    class: [{ from: path, prefix: /v1/brief, value: brief }, { from: value, value: chat }]
    tenant: [{ from: header, name: x-tenant, trusted: true }]
  residency: []
`

/** Requests that are held on a real Envoy: released, left, over their time, turned away, and told to go on when hubward ends. */
export const holdThroughEnvoy = (t: Test, site: number, newFolder: (test: Test) => string): void => {
  t.test(
    'eight requests are held and go on when the site has room; who leaves, waits too long or finds no room is told apart',
    async (t) => {
      const folder = newFolder(t)
      const samples = join(folder, 'samples.json')
      const say = (depth: number) =>
        writeFileSync(samples, JSON.stringify([{ site: 'ams', signal: 'queue.depth', value: depth }]))
      say(100)
      const text = documents(site)
      const place = hubwardFolder(folder, text, {
        log: { level: 'info' },
        feeds: [
          { kind: 'file', name: 'queue', path: samples, intervalMs: 100, signals: ['queue.depth'], targets: ['ams'] },
        ],
        hold: { max: '10s', countMax: 8 },
        drain: '1s',
      })
      const { set, problems } = readDocuments([{ path: 'all.yaml', text }])
      if (set === null) throw new Error(JSON.stringify(problems))
      const hubward = startHubward(place)
      t.teardown(() => hubward.stop())
      const envoy = await startEnvoy(
        envoyConfig(set, {
          ...ENVOY_OPTIONS_DEFAULT,
          listener: { host: '127.0.0.1', port: 0 },
          admin: { host: '127.0.0.1', port: 0 },
          sidecar: { path: socketIn(folder) },
          accessLog: undefined,
          residency: { by: 'listener', class: 'eu' },
        }),
      )
      t.teardown(() => envoy.stop())
      const port = await envoy.port()
      const chat = (path = '/v1/chat/completions') => ask(port, path, { body: '{}' })
      const admin = await until('the admin address', () => /"admin":"(http:[^"]+)"/.exec(hubward.log())?.[1] ?? false)
      const metric = async (name: string): Promise<number> => {
        const line = (await (await fetch(`${admin}/metrics`)).text())
          .split('\n')
          .find((one) => one.startsWith(`${name} `))
        return line === undefined ? 0 : Number(line.split(' ')[1])
      }
      const isHeld = (count: number) =>
        until(`${count} to be held`, async () => (await metric('hubward_held{class="chat"}')) === count)

      const failedOpen = async (): Promise<number> =>
        Object.values(await envoy.stats('ext_proc.*failure_mode_allowed')).reduce((all, one) => all + one, 0)
      await until('the queue to be known as full', async () => {
        const { status, headers } = await chat('/v1/brief')
        return status === 503 && headers['x-hubward-reason'] === 'no-target'
      })
      const opened = await failedOpen()
      const late = await chat('/v1/brief')
      t.match(
        late,
        { status: 503, headers: { 'retry-after': '7', 'x-hubward-action': 'deny' } },
        'after its time the next entry',
      )
      t.ok((await metric('hubward_holds_total{class="brief",outcome="timed-out"}')) >= 2)

      const eight = Array.from({ length: 8 }, () => chat())
      await isHeld(8)
      t.match(await chat(), { status: 503, headers: { 'x-hubward-reason': 'no-target' } }, 'the ninth finds no room')
      t.equal(await metric('hubward_holds_total{class="chat",outcome="full"}'), 1)
      say(0)
      for (const answer of await Promise.all(eight)) {
        // On a slow machine the queue was not measured for so long that its limit has yet to be seen to hold.
        const reason = /^(first-choice|returning)$/
        t.match(answer, { status: 200, headers: { 'x-hubward-site': 'ams', 'x-hubward-reason': reason } })
      }
      t.equal(await metric('hubward_holds_total{class="chat",outcome="released"}'), 8)
      t.equal(await metric('hubward_held{class="chat"}'), 0)
      t.equal(await metric('hubward_held_bytes'), 0)

      say(100)
      await until('the queue to be full again', async () => (await chat('/v1/brief')).status === 503)
      const leaving = request({ port, path: '/v1/chat/completions', method: 'POST' })
      leaving.on('error', () => {})
      leaving.end('{}')
      await isHeld(1)
      leaving.destroy()
      await until(
        'the one that left',
        async () => (await metric('hubward_holds_total{class="chat",outcome="cancelled"}')) === 1,
      )
      t.equal(await metric('hubward_held{class="chat"}'), 0, 'its place is free')

      const last = [chat(), chat()]
      await isHeld(2)
      hubward.process.kill('SIGTERM')
      for (const answer of await Promise.all(last)) {
        t.match(
          answer,
          { status: 503, headers: { 'retry-after': '7', 'x-hubward-action': 'deny' } },
          'told what comes next',
        )
      }
      const stats = await envoy.stats('ext_proc')
      const sum = (name: string) =>
        Object.entries(stats).reduce((all, [key, value]) => (key.endsWith(name) ? all + value : all), 0)
      t.ok(sum('override_message_timeout_received') >= 13, 'Envoy was asked to wait')
      t.equal(sum('override_message_timeout_ignored'), 0)
      t.equal(sum('message_timeouts'), 0)
      t.equal(await failedOpen(), opened, 'nobody was let through unjudged')
    },
  )
}
