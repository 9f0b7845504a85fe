import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { readDocuments } from '../../src/documents/read.ts'
import { envoyConfig } from '../../src/envoy/config/bootstrap.ts'
import { ENVOY_OPTIONS_DEFAULT } from '../../src/envoy/config/options.ts'
import { HEADERS } from '../../src/model/headers.ts'
import { hubwardFolder, socketIn, startHubward } from '../helpers/hubward-process.ts'
import { ask, childEnvironment, startEnvoy, until } from '../helpers/running-envoy.ts'

// A tester's header on its whole way: signed by `hubward force`, let in by Envoy, believed by hubward, and taken off.

const folder = mkdtempSync(join(tmpdir(), 'hubward-testers-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

/** A site that answers with its cluster and the headers of hubward's that it saw. */
const site = http.createServer(({ headers }, response) => {
  const seen = Object.keys(headers).filter((name) => name.includes('hubward-force'))
  response.end(JSON.stringify({ cluster: headers[HEADERS.cluster], seen }))
})
await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve))
t.teardown(() => site.close())
const at = `127.0.0.1:${(site.address() as AddressInfo).port}`

const HEAD = 'apiVersion: hubward.dev/v1alpha1'
const siteText = (name: string) =>
  `${HEAD}\nkind: Site\nmetadata: { name: ${name} }\nspec: { jurisdictions: [EU], cluster: ${name}, endpoints: ["${at}"], models: [{ name: m }] }\n`
const documents = [
  siteText('ams'),
  siteText('fra'),
  `${HEAD}\nkind: ResidencyClass\nmetadata: { name: eu }\nspec: { allows: [EU], default: { sites: [ams] } }\n`,
  `${HEAD}\nkind: WorkloadClass\nmetadata: { name: chat }\nspec: { whenHubwardIsDown: default }\n`,
  `${HEAD}\nkind: Cohort\nmetadata: { name: internal }\nspec: { when: request.tier == "internal" }\n`,
  `${HEAD}\nkind: Policy\nmetadata: { name: chat, version: 1 }\nspec: { class: chat, ladder: [[ams], [fra]] }\n`,
  `${HEAD}\nkind: FactSources\nmetadata: { name: f }\nspec: { facts: { class: [{ from: value, value: chat }] } }\n`,
].join('---\n')
const flags = {
  flags: {
    'prefer-frankfurt-for-internal': {
      state: 'ENABLED',
      variants: { off: {}, fra: { preferred_region: 'fra' } },
      defaultVariant: 'off',
      targeting: { if: [{ in: ['internal', { var: 'cohorts' }] }, 'fra', null] },
      metadata: { layer: 'preference', class: 'chat', owner: 'routing@example.com' },
    },
  },
}
const files = hubwardFolder(folder, documents, {
  keys: { forceFile: join(folder, 'force.keys') },
  flags: [{ kind: 'file', name: 'flags', file: join(folder, 'flags.json') }],
})
writeFileSync(join(folder, 'flags.json'), JSON.stringify(flags))
writeFileSync(join(folder, 'force.keys'), `k1 ${Buffer.alloc(32, 7).toString('base64url')}\n`)
const { set } = readDocuments([{ path: 'all.yaml', text: documents }])
if (set === null) throw new Error('the documents of this test are bad')

const envoyWith = (force: boolean) =>
  startEnvoy(
    envoyConfig(set, {
      ...ENVOY_OPTIONS_DEFAULT,
      ...{ listener: { host: '127.0.0.1', port: 0 }, admin: { host: '127.0.0.1', port: 0 } },
      ...{ sidecar: { path: socketIn(folder) }, accessLog: undefined, healthPath: undefined },
      ...{ residency: { by: 'listener', class: 'eu' }, messageTimeoutMs: 10_000, force },
    }),
  )
const [open, closed] = await Promise.all([envoyWith(true), envoyWith(false)])
t.teardown(() => Promise.all([open.stop(), closed.stop()]))
const hubward = startHubward(files)
t.teardown(() => hubward.stop())
const [openPort, closedPort] = await Promise.all([open.port(), closed.port()])

const through = async (port: number, header?: string) => {
  const { headers, body } = await ask(
    port,
    '/v1/models',
    header === undefined ? {} : { headers: { [HEADERS.force]: header } },
  )
  const { cluster, seen } = JSON.parse(body) as { cluster: string; seen: string[] }
  return { isDecided: headers[HEADERS.decision] !== undefined, cluster: cluster.split('+')[0], seen }
}
for (const port of [openPort, closedPort]) await until('a decision', async () => (await through(port)).isDecided)

const { stdout } = spawnSync(
  process.execPath,
  [
    'src/cli/hubward.ts',
    'force',
    '--keys',
    join(folder, 'force.keys'),
    '--cohort',
    'internal',
    '--for',
    '1h',
    '--value',
  ],
  { cwd: join(import.meta.dirname, '../..'), encoding: 'utf8', env: childEnvironment() },
)
const signed = stdout.trim()

t.test("a tester's header counts where Envoy lets it in, and no site sees it", async (t) => {
  t.strictSame(await through(openPort, signed), { isDecided: true, cluster: 'fra', seen: [] })
  t.strictSame(await through(openPort), { isDecided: true, cluster: 'ams', seen: [] }, 'without it')
})

t.test('a forged one forces nothing, and goes no further either', async (t) => {
  t.strictSame(await through(openPort, `${signed.slice(0, -1)}_`), { isDecided: true, cluster: 'ams', seen: [] })
})

t.test('an Envoy that was not told to let it in takes it off before hubward is asked', async (t) => {
  t.strictSame(await through(closedPort, signed), { isDecided: true, cluster: 'ams', seen: [] })
})
