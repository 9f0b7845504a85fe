import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { readDocuments } from '../../src/documents/read.ts'
import { envoyConfig } from '../../src/envoy/config/bootstrap.ts'
import { ENVOY_OPTIONS_DEFAULT, type EnvoyOptions } from '../../src/envoy/config/options.ts'
import { e2eDocuments } from '../helpers/e2e-documents.ts'
import { hubwardFolder, socketIn, startHubward } from '../helpers/hubward-process.ts'
import { instantSites } from '../helpers/instant-sites.ts'
import { processesThroughEnvoy } from '../helpers/processes-through-envoy.ts'
import { load } from '../helpers/raw-load.ts'
import { ask, startEnvoy, until } from '../helpers/running-envoy.ts'

const folder = mkdtempSync(join(tmpdir(), 'hubward-reload-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

/** A thousand more sites, in no ladder, so that only the reading and folding of them is new. */
const manySites = (role: string): string =>
  Array.from(
    { length: 1_000 },
    (_, i) => `---
apiVersion: hubward.dev/v1alpha1
kind: Site
metadata: { name: more-${i}, owner: dc-ops@example.com }
spec: { role: ${role}, jurisdictions: [XX], pools: [{ name: p, cluster: more-${i}, models: [{ name: other }] }] }
`,
  ).join('')

t.test(
  '1,000 sites are reloaded under load, by a symlink as a ConfigMap does it, and no request goes on without a decision',
  async (t) => {
    const { ports, envoy: sites } = await instantSites(['ams', 'fra', 'lon', 'dxb'])
    t.teardown(() => sites.stop())
    const documents = e2eDocuments(ports)
    const { set } = readDocuments([{ path: 'all.yaml', text: documents }])
    const options: EnvoyOptions = {
      ...ENVOY_OPTIONS_DEFAULT,
      listener: { host: '127.0.0.1', port: 0 },
      admin: { host: '127.0.0.1', port: 0 },
      sidecar: { path: socketIn(folder) },
      accessLog: undefined,
      residency: { by: 'listener', class: 'eu' },
    }
    const envoy = await startEnvoy(envoyConfig(set!, options))
    t.teardown(() => envoy.stop())
    const port = await envoy.port()
    const mounted = join(folder, 'mounted')
    const swap = (version: string, text: string): void => {
      mkdirSync(join(mounted, `..${version}`), { recursive: true })
      writeFileSync(join(mounted, `..${version}`, 'all.yaml'), text)
      rmSync(join(mounted, '..data_tmp'), { force: true })
      symlinkSync(`..${version}`, join(mounted, '..data_tmp'))
      renameSync(join(mounted, '..data_tmp'), join(mounted, '..data'))
    }
    swap('first', documents)
    symlinkSync('..data/all.yaml', join(mounted, 'all.yaml'))
    const hubward = startHubward(
      hubwardFolder(folder, documents, {
        documents: [{ name: 'policies', dir: mounted }],
        journal: { share: 0, fsync: 'never' },
        admin: { address: '127.0.0.1:0' },
        log: { level: 'info' },
      }),
    )
    t.teardown(() => hubward.stop())
    const chat = () => ask(port, '/v1/chat/completions', { body: '{}' })
    await until('the first decision', async () => (await chat()).headers['x-hubward-site'] === 'ams')
    // Asked of the log and not of the admin port: writing a snapshot of 1,000 sites is work for the same thread.
    const accepted = (): number => hubward.log().split('"documents accepted"').length - 1
    const counters = 'ext_proc\\.hubward\\.(failure_mode_allowed|message_timeouts|streams_failed|streams_started)'
    const before = await envoy.stats(counters)

    let stop = false
    let answered = 0
    const traffic = (async () => {
      while (!stop) {
        const { byStatus, broken } = await load(port, {
          total: 500,
          concurrency: 4,
          requestOf: () => 'POST /v1/chat/completions HTTP/1.1\r\nhost: eu.test\r\ncontent-length: 2\r\n\r\n{}',
          keyOf: (_index, _head, body) => body,
        })
        if (broken > 0 || byStatus.get(200) !== 500)
          return t.fail(`not all were answered: ${JSON.stringify([...byStatus])}, ${broken} broken`)
        answered += 500
      }
    })()
    for (const [index, role] of ['cloud', 'edge', 'campus'].entries()) {
      const known = accepted()
      swap(`version-${index}`, documents + manySites(role))
      await until(`the set with ${role}`, () => accepted() > known)
    }
    const known = accepted()
    swap('broken', `${documents}${manySites('cloud')}---\nkind: Policy\n`)
    await until('the broken set to be refused', () =>
      /policies refused|refused; what was in force before stays/.test(hubward.log()),
    )
    t.equal(accepted(), known, 'what was in force stays')
    stop = true
    await traffic
    const after = await envoy.stats(counters)
    const grown = (name: string): number =>
      (after[`http.ingress.ext_proc.hubward.${name}`] ?? -1) - (before[`http.ingress.ext_proc.hubward.${name}`] ?? 0)
    t.ok(answered >= 500, `${answered} requests meanwhile`)
    t.equal(grown('failure_mode_allowed'), 0)
    t.equal(grown('message_timeouts'), 0)
    t.equal(grown('streams_failed'), 0)
    t.ok(grown('streams_started') >= answered)
  },
)

t.test('several processes', processesThroughEnvoy)
