import { createReadStream, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { setPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t from 'tap'
import { readDocuments } from '../../src/documents/read.ts'
import { envoyConfig } from '../../src/envoy/config/bootstrap.ts'
import { ENVOY_OPTIONS_DEFAULT, type EnvoyOptions } from '../../src/envoy/config/options.ts'
import { diagnose, lookAt } from '../../src/envoy/doctor/doctor.ts'
import { e2eDocuments } from '../helpers/e2e-documents.ts'
import { hubwardFolder, socketIn, startHubward } from '../helpers/hubward-process.ts'
import { instantSites } from '../helpers/instant-sites.ts'
import { load } from '../helpers/raw-load.ts'
import { ask, startEnvoy, until } from '../helpers/running-envoy.ts'

const TOTAL = 100_000
const CONCURRENCY = 32

const folder = mkdtempSync(join(tmpdir(), 'hubward-load-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

/** What is asked in turn, and where it may go. */
const KINDS = [
  { host: 'eu.test', path: '/v1/chat/completions', sites: ['ams'] },
  { host: 'uk.test', path: '/v1/chat/completions', sites: ['lon'] },
  { host: 'eu.test', path: '/v1/summaries', sites: ['ams', 'fra'] },
  { host: 'uk.test', path: '/v1/fine_tuning/jobs', sites: ['lon'] },
] as const
const kindOf = (index: number) => KINDS[index % KINDS.length] ?? KINDS[0]

async function* linesOf(file: string): AsyncGenerator<Record<string, unknown>> {
  for await (const line of createInterface({ input: createReadStream(file) })) yield JSON.parse(line)
}

t.test(`${TOTAL} requests at concurrency ${CONCURRENCY} with the shipped timeouts`, async (t) => {
  const { ports, envoy: sites } = await instantSites(['ams', 'fra', 'lon', 'dxb'])
  t.teardown(() => sites.stop())
  const documents = e2eDocuments(ports)
  const { set } = readDocuments([{ path: 'all.yaml', text: documents }])
  if (set === null) throw new Error('the documents of this test are bad')
  const log = join(folder, 'access.jsonl')
  const options: EnvoyOptions = {
    ...ENVOY_OPTIONS_DEFAULT,
    listener: { host: '127.0.0.1', port: 0 },
    admin: { host: '127.0.0.1', port: 0 },
    sidecar: { path: socketIn(folder) },
    accessLog: log,
    residency: {
      by: 'vhost',
      hosts: [
        { domains: ['eu.test'], class: 'eu' },
        { domains: ['uk.test'], class: 'uk' },
      ],
    },
  }
  const envoy = await startEnvoy(envoyConfig(set, options))
  t.teardown(() => envoy.stop())
  const port = await envoy.port()
  const hubward = hubwardFolder(folder, documents, {
    journal: { share: 0.05, fsync: 'never' },
    envoyAdmin: { address: `127.0.0.1:${envoy.adminPort}` },
  })
  const running = startHubward(hubward)
  t.teardown(() => running.stop())
  await until('hubward to know the clusters that Envoy has', async () => {
    await ask(port, '/v1/chat/completions', { headers: { host: 'eu.test' }, body: '{}' })
    const rows = await envoy.stats('cluster\\.ams-h100\\+fra-h100\\.lb_healthy_panic')
    const { headers } = await ask(port, '/v1/chat/completions', { headers: { host: 'eu.test' }, body: '{}' })
    return headers['x-hubward-site'] === 'ams' && rows !== undefined
  })
  const counters = 'ext_proc\\.hubward\\.(failure_mode_allowed|message_timeouts|streams_failed|streams_started)'
  const before = await envoy.stats(counters)
  const linesBefore = statSync(log).size

  // The clients and sites of a real load have machines of their own: here at least they step back behind Envoy and hubward.
  setPriority(10)
  setPriority(sites.process.pid ?? 0, 10)
  const { byStatus, byKey, broken } = await load(port, {
    total: TOTAL,
    concurrency: CONCURRENCY,
    requestOf: (index) => {
      const { host, path } = kindOf(index)
      return `POST ${path}?n=${index} HTTP/1.1\r\nhost: ${host}\r\ncontent-length: 2\r\n\r\n{}`
    },
    keyOf: (index, head, body) => {
      const told = /\r\nx-hubward-site: (\S+)/i.exec(head)?.[1]
      return told === body ? `${index % KINDS.length} ${body}` : `${index % KINDS.length} told ${told}, was ${body}`
    },
  })

  t.test('all of them are answered, none with an error', async (t) => {
    t.strictSame([...byStatus], [[200, TOTAL]])
    t.equal(broken, 0)
  })
  t.test('each went where its kind belongs, and the client was told the site that served it', async (t) => {
    const wanted: string[] = KINDS.flatMap(({ sites: names }, kind) => names.map((name) => `${kind} ${name}`))
    t.strictSame(
      [...byKey.keys()].filter((key) => !wanted.includes(key)),
      [],
    )
  })
  t.test('an active-active tier evens out: the site with less to do got the summaries', async (t) => {
    // ams has all of the chat, so what hubward itself has sent there speaks for fra.
    const of = (site: string) => ['0', '2'].reduce((sum, kind) => sum + (byKey.get(`${kind} ${site}`) ?? 0), 0)
    const [ams, fra] = [of('ams'), of('fra')]
    t.ok(Math.abs(ams - fra) < TOTAL / 20, `ams ${ams}, fra ${fra}`)
  })
  t.test('Envoy counts no request that went on without a decision, was late, or failed', async (t) => {
    const after = await envoy.stats(counters)
    const grown = Object.fromEntries(
      Object.entries(after).map(([name, value]) => [name.split('.').at(-1), value - (before[name] ?? 0)]),
    )
    t.strictSame(grown, {
      failure_mode_allowed: 0,
      message_timeouts: 0,
      streams_failed: 0,
      streams_started: TOTAL,
    })
  })
  t.test('each logged upstream equals its decision, as the answer and as the journal have it', async (t) => {
    const siteAt = new Map(Object.entries(ports).map(([name, value]) => [`127.0.0.1:${value}`, name]))
    const decided = new Map<string, unknown>()
    let logged = 0
    const wrong: unknown[] = []
    const count = async () => {
      logged = 0
      decided.clear()
      for await (const line of linesOf(log)) {
        if (!String(line.path).includes('?n=')) continue
        logged += 1
        const site = siteAt.get(String(line.upstreamHost))
        if (site !== line.site || line.upstreamCluster !== line.cluster) wrong.push(line)
        decided.set(String(line.decision), site)
      }
      return logged >= TOTAL
    }
    // Envoy writes its log behind the answers.
    await until('the whole access log', count)
    t.equal(logged, TOTAL)
    t.equal(decided.size, TOTAL, 'every decision has an id of its own')
    t.strictSame(wrong.slice(0, 3), [])
    const journal = join(folder, 'state', 'journal')
    let compared = 0
    await until('the journal', async () => {
      compared = 0
      for (const file of readdirSync(journal).filter((name) => name.startsWith('decisions-'))) {
        for await (const line of linesOf(join(journal, file))) {
          const { id, target } = (line.decision ?? {}) as { id?: string; target?: string }
          if (id === undefined || !decided.has(id)) continue
          compared += 1
          if (decided.get(id) !== target?.split('/')[0]) wrong.push(line)
        }
      }
      return compared >= TOTAL / KINDS.length
    })
    t.strictSame(wrong.slice(0, 3), [])
    t.comment(`${compared} of ${TOTAL} decisions compared with the journal, ${linesBefore} bytes of log before`)
  })
  t.test('the doctor finds nothing missing', async (t) => {
    const view = await lookAt({ host: '127.0.0.1', port: envoy.adminPort })
    t.strictSame(
      diagnose(view, set)
        .map((one) => one.code)
        .filter((code) => code !== 'doctor/failed-open'),
      [],
    )
  })
})
