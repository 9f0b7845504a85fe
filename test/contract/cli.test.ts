import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { COMMANDS } from '../../src/cli/commands.ts'
import { EXIT_CODES } from '../../src/cli/exit-codes.ts'
import { ageText, table } from '../../src/cli/output.ts'
import { campusWorld, jobsServer } from '../helpers/jobs-world.ts'
import { childEnvironment } from '../helpers/running-envoy.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const CLI = join(ROOT, 'src/cli/hubward.ts')

const run = (args: readonly string[], env: Record<string, string> = {}, cwd = ROOT) =>
  new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
    const child = spawn(process.execPath, [CLI, ...args], { env: { ...childEnvironment(), ...env }, cwd })
    let [out, err] = ['', '']
    child.stdout.on('data', (part) => {
      out += part
    })
    child.stderr.on('data', (part) => {
      err += part
    })
    child.on('close', (code) => resolve({ code, out, err }))
  })

const SITE = `apiVersion: hubward.dev/v1alpha1
kind: Site
metadata: { name: ams, owner: dc-ops@example.com }
spec: { jurisdictions: [EU], pools: [{ name: h100, cluster: ams-h100, models: [{ name: llama }] }] }
`
const REST = `apiVersion: hubward.dev/v1alpha1
kind: WorkloadClass
metadata: { name: chat }
spec: { flexibility: inflexible, whenHubwardIsDown: default }
---
apiVersion: hubward.dev/v1alpha1
kind: Policy
metadata: { name: chat, version: 1 }
spec:
  class: chat
  require: { signals: { queue.depth: { max: 40, resume: 30 } } }
  ladder: [[ams]]
  otherwise: [{ action: deny }]
`

/** A configuration with two sources, one of which needs what the other has. */
const setUp = (test: Test, more: object = {}) => {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-cli-'))
  test.teardown(() => rmSync(folder, { recursive: true, force: true }))
  for (const [name, text] of [
    ['sites', SITE],
    ['policies', REST],
  ] as const) {
    mkdirSync(join(folder, name))
    writeFileSync(join(folder, name, 'all.yaml'), text)
  }
  const config = join(folder, 'hubward.yaml')
  const documents = ['policies', 'sites'].map((name) => ({ name, dir: name }))
  writeFileSync(config, JSON.stringify({ stateDir: folder, documents, ...more }))
  return { folder, config, orders: () => JSON.parse(readFileSync(join(folder, 'overrides.json'), 'utf8')) }
}
const ORDER = ['--reason', 'valve', '--author', 'ops@example.com']

t.test('help names every command and exit code, and a wrong word ends as wrong usage with a hint', async (t) => {
  const { code, out } = await run(['--help'])
  t.equal(code, 0)
  for (const name of Object.keys(COMMANDS)) t.match(out, new RegExp(`^  ${name}\\b`, 'm'))
  for (const one of Object.values(EXIT_CODES)) t.match(out, new RegExp(`^  ${one.code} `, 'm'))
  t.match(await run(['statsu']), { code: 2, err: /Did you mean status/ })
  t.match(await run(['schema', 'Policies']), { code: 2, err: /Allowed choices are Site/ })
  t.match(await run(['override', 'drain', 'ams']), { code: 2, err: /required option '-r, --reason/ })
})

t.test('output is plain where nobody looks at it', async (t) => {
  const { folder } = setUp(t)
  writeFileSync(join(folder, 'sites', 'all.yaml'), 'kind: Nothing\n')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: an escape is what must not be there.
  t.notMatch((await run(['validate', join(folder, 'sites')])).out, /\x1b/)
})

t.test('validate reads sources beside one another, and names what no feed delivers by policy and site', async (t) => {
  const { config, folder } = setUp(t)
  t.match(await run(['validate', join(folder, 'policies'), join(folder, 'sites')]), {
    code: 0,
    out: '1 sites, 1 workload classes, 1 policies: no problems\n',
  })
  t.match(await run(['validate', join(folder, 'policies')]), { code: 3, out: /policy\/unknown-site/ })
  const warned = await run(['validate', '--config', config])
  t.match(warned, { code: 0, out: /warning: .*signal\/no-feed.*chat@1 requires queue\.depth.*ams/ })
  t.match(warned.out, `${join(folder, 'policies', 'all.yaml')}:11:25`)
  t.match(await run(['validate', '--strict'], { HUBWARD_CONFIG: config }), { code: 3 })
  const feeds = [{ kind: 'file', name: 'samples', path: 'x.json', signals: ['queue.depth'], targets: ['ams'] }]
  t.match(await run(['validate', '--config', setUp(t, { feeds }).config]), { code: 3, out: /freshness\/unreachable/ })
  const quick = [{ ...feeds[0], intervalMs: 1_000, timeoutMs: 500 }]
  const lacking = await run(['validate', '--config', setUp(t, { feeds: quick }).config])
  t.match(lacking, { code: 0, out: /site\/lacks-minimum +no feed tells of ams:.*latency to major origins/ })
  const minimum = ['power.headroom_pct', 'cooling.margin_c', 'gpu.healthy_ratio', 'network.rtt_p95_ms', 'queue.depth']
  const noisy = [{ ...quick[0], signals: minimum, noise: { 'queue.depth': 50 } }]
  t.match(await run(['validate', '--config', setUp(t, { feeds: noisy }).config]), { code: 0, out: /threshold\/noisy/ })
  const enough = [{ ...quick[0], signals: minimum }]
  t.match(await run(['validate', '--config', setUp(t, { feeds: enough }).config]), { code: 0, out: /no problems/ })
})

t.test('validate tells every problem with its place and remedy, as text and as JSON', async (t) => {
  const { folder } = setUp(t)
  const file = join(folder, 'sites', 'all.yaml')
  writeFileSync(file, `${SITE.replace('jurisdictions: [EU]', 'jurisdicton: [EU]')}---\n${SITE}`)
  const { code, out } = await run(['validate', join(folder, 'sites')])
  t.equal(code, 3)
  t.match(out, `error: ${file}:4:9  schema/unknown-field`)
  t.match(out, /did you mean "jurisdictions"/)
  const json = JSON.parse((await run(['validate', '--json', join(folder, 'sites')])).out)
  t.match(json, { ok: false, errors: json.problems.length, problems: [{ path: file, line: 4 }] })
  t.match(await run(['validate', join(folder, 'nowhere')]), { code: 3, out: /documents\// })
  t.match(await run(['validate']), { code: 2, err: /name a folder/ })
})

t.test('an order needs a reason, an end within a day, and a place that exists', async (t) => {
  const { config, orders } = setUp(t)
  const drain = (place: string, ...more: string[]) => run(['override', 'drain', place, '--config', config, ...more])
  t.match(await drain('amsterdam', '--for', '1h', ...ORDER), { code: 2, err: /no site is called "amsterdam"/ })
  t.match(await drain('ams/h200', '--for', '1h', ...ORDER), { code: 2, err: /did you mean "h100"/ })
  t.match(await drain('ams', '--for', 'long', ...ORDER), { code: 2, err: /such as 45m/ })
  t.match(await drain('ams', '--for', '25h', ...ORDER), { code: 1, err: /override\/expiry/ })
  t.match(await drain('ams/h100', '--for', '45m', '--class', 'chat', ...ORDER), { code: 0 })
  const [order] = orders().overrides
  t.match(order, { kind: 'drain', scope: { site: 'ams', pool: 'h100', class: 'chat' }, author: 'ops@example.com' })
  t.equal(Date.parse(order.expires) - Date.parse(order.created), 45 * 60_000)
})

t.test('an order waives thresholds only, and none that is hard', async (t) => {
  const { config, orders } = setUp(t)
  const admit = (signal: string) =>
    run(['override', 'admit', 'ams', '--constraint', signal, '--for', '1h', '--config', config, ...ORDER])
  t.match(await admit('residency'), { code: 2, err: /only thresholds on signals/ })
  t.match(await admit('queue.depth'), { code: 0 })
  t.match(orders().overrides, [{ kind: 'admit', constraint: 'queue.depth' }])
})

t.test('orders can be given while the documents are on fire', async (t) => {
  const { folder, config } = setUp(t)
  for (const name of ['sites', 'policies']) writeFileSync(join(folder, name, 'all.yaml'), 'oh: [no')
  const given = await run(['override', 'drain', 'anywhere', '--for', '1h', '--config', config, ...ORDER])
  t.match(given, { code: 0, out: /the place was not checked/ })
})

t.test('maintenance is planned, listed and called off, and what is not there is told', async (t) => {
  const { folder, config } = setUp(t)
  const plan = (...more: string[]) => run(['override', 'maintenance', 'ams', '--config', config, ...ORDER, ...more])
  t.match(await plan('--from', '2100-01-01T00:00:00Z'), { code: 2, err: /--to or --for/ })
  t.match(await plan('--from', 'tomorrow', '--for', '2h'), { code: 2, err: /with its zone/ })
  const planned = await plan('--from', '2100-01-01T00:00:00Z', '--for', '2h')
  t.match(planned, { code: 0, out: /from 2100-01-01T00:00:00Z to 2100-01-01T02:00:00Z/ })
  const id = /^(\S+):/.exec(planned.out)![1]!
  const file = join(folder, 'overrides.json')
  t.match((await run(['override', 'list', '--file', file])).out, new RegExp(`${id} +maintenance ams +begins in`))
  t.match(JSON.parse((await run(['override', 'list', '--json', '--file', file])).out), { maintenance: [{ id }] })
  t.match(await run(['override', 'end', 'nothing', '--file', file]), { code: 1, err: new RegExp(`known: ${id}`) })
  t.match(await run(['override', 'end', id, '--file', file]), { code: 0 })
  t.match((await run(['override', 'list', '--file', file])).out, 'no orders\n')
  t.match(await run(['override', 'list']), { code: 2, err: /--config/ })
})

t.test('two operators at once lose neither order', async (t) => {
  const { config, orders } = setUp(t)
  const given = ['1h', '2h', '3h'].map((time) =>
    run(['override', 'drain', 'ams', '--for', time, '--config', config, ...ORDER]),
  )
  for (const { code } of await Promise.all(given)) t.equal(code, 0)
  t.equal(orders().overrides.length, 3)
})

t.test('status says when nobody answers, when somebody else does, and what is wrong with a source', async (t) => {
  t.match(await run(['status', '--admin', '127.0.0.1:1']), {
    code: 1,
    err: /no hubward answers at http:\/\/127\.0\.0\.1:1/,
  })
  const answers: Record<string, unknown> = {}
  const server = createServer((request, response) => {
    const answer = answers[String(request.url)]
    response.end(answer === undefined ? '<html>' : JSON.stringify(answer))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const admin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  t.match(await run(['status', '--admin', admin]), { code: 1, err: /is no hubward: <html>/ })
  const refusal = [{ code: 'policy/unknown-site', severity: 'error', message: 'no site fra2', path: 'a.yaml', line: 3 }]
  const source = {
    name: 'policies',
    kind: 'documents',
    where: '/x',
    version: 'v1',
    nonce: 'n-7',
    owner: 'o@example.com',
  }
  const times = { lastAcceptedAt: 1_000, lastRefusedAt: 61_000, failuresInARow: 2 }
  answers['/readyz'] = { ready: false, because: ['waiting for documents'] }
  answers['/sources'] = { now: 121_000, sources: [{ ...source, ...times, refusal, delivers: [], covers: [] }] }
  answers['/snapshot'] = {
    revision: 7,
    documentsVersion: 1,
    routing: 'disabled',
    targets: [{ target: 'ams/h100', state: 'down', since: 0, cause: 'refused', red: [], failing: [] }],
  }
  answers['/overrides'] = { overrides: [], maintenance: [] }
  answers['/v1/readiness?after=0&limit=250'] = { rows: [] }
  answers['/v1/readiness/estimates'] = { estimates: [] }
  const { code, out } = await run(['status'], { HUBWARD_ADMIN: admin })
  t.equal(code, 1)
  t.match(out, /not ready: waiting for documents/)
  t.match(out, /routing is switched off/)
  t.match(out, /policies +documents +o@example\.com +v1 +n-7 +2 min ago +60 s ago +2\n/)
  t.match(out, /policies: a\.yaml:3:1 {2}policy\/unknown-site {2}no site fra2/)
  t.match(out, /ams\/h100 +down +- +refused/)
})

t.test('completions are scripts that their shells can read, with what may follow each command', async (t) => {
  const { out } = await run(['completions', 'bash'])
  const complete = (...words: string[]) => {
    const script = `${out}\nCOMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})\nCOMP_CWORD=${words.length - 1}\n_hubward\nprintf '%s\\n' "\${COMPREPLY[@]}"`
    return spawnSync('bash', ['-c', script], { encoding: 'utf8' }).stdout.trim().split('\n')
  }
  t.same(complete('hubward', 'stat'), ['status'])
  t.same(complete('hubward', 'override', 'dr'), ['drain'])
  t.same(complete('hubward', 'override', 'drain', 'ams', '--rea'), ['--reason'])
  t.same(complete('hubward', 'schema', 'Pol'), ['Policy', 'PolicyTest'])
  t.match((await run(['completions', 'zsh'])).out, /^#compdef hubward\n/)
  const fish = (await run(['completions', 'fish'])).out.trim().split('\n')
  t.ok(fish.every((line) => line.startsWith('complete -c hubward -n ')))
})

t.test('a schema can be printed, and a reader that has seen enough is no failure', async (t) => {
  const schema = JSON.parse((await run(['schema', 'config'])).out)
  t.match(schema, { title: 'hubward configuration', properties: { feeds: { items: { anyOf: [{}, {}, {}] } } } })
  const piped = spawnSync('bash', ['-c', `set -o pipefail; ${process.execPath} ${CLI} schema config | head -1`], {
    encoding: 'utf8',
    env: childEnvironment(),
  })
  t.match(piped, { status: 0, stdout: '{\n', stderr: '' })
})

t.test('columns line up, and a time is told in its largest unit', async (t) => {
  t.same(
    table([
      ['a', 'bb', 'c'],
      ['aaa', 'b', ''],
    ]),
    ['a    bb  c', 'aaa  b'],
  )
  t.same([0, 119_000, 120_000, 7_200_000, 200_000_000].map(ageText), ['0 s', '119 s', '2 min', '2 h', '2 d'])
})

/** A command that writes what it finds in its environment. */
const SHOW = [process.execPath, '-p', 'process.env.HUBWARD_TARGET + " " + process.env.HUBWARD_RESERVATION']

t.test(
  'a gate runs its command on a route, tells it where, and gives back what it held when the command ends',
  async (t) => {
    const { url, view, told } = await jobsServer(t, campusWorld())
    const gate = (...args: string[]) => run(['gate', '--class', 'training', '--admin', url, ...args])
    const ran = await gate('--needs', 'power.headroom_mw=2', '--', ...SHOW)
    t.match(ran, { code: 0, out: /^ams\/default \S+-[0-9a-f]{16}\n$/, err: /route ams\/default/ })
    t.equal(view.all().size, 0)
    const failed = await gate(
      '--need',
      'power.headroom_mw=2',
      '--json',
      '--',
      process.execPath,
      '-e',
      'process.exit(7)',
    )
    t.equal(failed.code, 7)
    t.match(JSON.parse(failed.err), { code: 7, ranCommand: true, action: 'route', decision: { reservation: String } })
    t.match(await gate('--', '/no/such/program'), { code: 127, err: /can't be started/ })
    t.equal(view.all().size, 0)
    const left = await gate('--needs', 'power.headroom_mw=2', '--detach', '--', process.execPath, '-e', '')
    t.equal(left.code, 0)
    t.match(
      [...view.all().values()],
      [{ class: 'training', facts: { needs: { signals: { 'power.headroom_mw': { min: 2 } } } } }],
    )
    t.equal(told.length, 0)
  },
)

t.test('a gate has an exit code for each action, and runs nothing for any but route', async (t) => {
  const world = campusWorld()
  const { url, view } = await jobsServer(t, world)
  const gate = (...args: string[]) => run(['gate', '--admin', url, ...args, '--', process.execPath, '-p', '"RAN"'])
  const delayed = await gate('--class', 'training', '--needs', 'power.headroom_mw=9')
  t.match(delayed, { code: EXIT_CODES.delay.code, out: '', err: /job\.need 5 .*wanted >= 9/ })
  world.probe(['ams'], 'refused', 2)
  world.samples({ ams: { 'leak.detected': 1 } })
  t.match(await gate('--class', 'chat'), { code: EXIT_CODES.deny.code, out: '' })
  world.samples({ ams: { 'leak.detected': 0 } })
  t.match(await gate('--class', 'trainin'), {
    code: EXIT_CODES.usage.code,
    err: /\/facts\/class no document names.*known: training/,
  })
  t.match(await gate('--class', 'training', '--needs', 'power.headroom=2'), { code: 2, err: /no signal is called/ })
  t.match(await gate('--class', 'training', '--needs', 'lots'), { code: 2, err: /"lots" is not understood/ })
  t.equal(view.all().size, 0)
})

t.test(
  'a gate takes a smaller model, another site or stale telemetry for no route, unless it is told to',
  async (t) => {
    const world = campusWorld(5, ['ams', 'fra'])
    const { url, view } = await jobsServer(t, world)
    const gate = (...args: string[]) => run(['gate', '--admin', url, ...args, '--', process.execPath, '-p', '"RAN"'])
    t.match(await gate('--class', 'training', '--site', 'fra'), {
      code: EXIT_CODES.deny.code,
      out: '',
      err: /goes to ams\/default, not to fra/,
    })
    t.match(await gate('--class', 'training', '--site', 'ams'), { code: 0, out: 'RAN\n' })
    t.equal(view.all().size, 0)
    const full = () => world.samples({ ams: { 'queue.depth': 99 }, fra: { 'queue.depth': 99 } })
    world.pass(12_000, full)
    t.match(await gate('--class', 'chat'), { code: EXIT_CODES.degrade.code, out: '' })
    t.match(await gate('--class', 'chat', '--accept-degraded'), { code: 0, out: 'RAN\n' })
    world.pass(300_000)
    const stale = await gate('--class', 'chat')
    t.match(stale, { code: EXIT_CODES.stale.code, out: '', err: /what was there before stays/ })
    t.match(await gate('--class', 'chat', '--accept-stale'), { code: 0, out: 'RAN\n' })
    t.match(await gate('--class', 'training'), { code: EXIT_CODES.stale.code, out: '' }, 'jobs wait then')
  },
)

t.test('a gate waits for a delay as long as it is told, and opens when there is room', async (t) => {
  const world = campusWorld(0.5)
  const { url, view, kept } = await jobsServer(t, world)
  world.documents({ ...campusWorld().snapshot.data.sets.test!, policies: shortDelays(campusWorld()) })
  world.pass(12_000, () => world.samples({ ams: { 'power.headroom_mw': 0.5 } }))
  const given = await run(['gate', '--class', 'training', '--admin', url, '--wait', '50ms', '--', ...SHOW])
  t.match(given, { code: EXIT_CODES.delay.code, out: '' }, 'the wait would end before the time that was named')
  const asked = kept.length
  const waiting = run(['gate', '--class', 'training', '--admin', url, '--wait', '10m', '--', ...SHOW])
  const again = setInterval(() => {
    if (kept.length < asked + 2) return
    world.pass(90_000, () => world.samples({ ams: { 'power.headroom_mw': 5 } }))
  }, 20)
  t.teardown(() => clearInterval(again))
  t.match(await waiting, { code: 0, out: /^ams\/default/, err: /asking again in \d+ s/ })
  t.equal(view.all().size, 0)
})

/** The same policies, with a delay of a tenth of a second. */
const shortDelays = (world: ReturnType<typeof campusWorld>) =>
  world.snapshot.data.sets.test!.policies.map((one) => ({
    ...one,
    otherwise: [{ action: 'delay' as const, retryAfterMs: 100 }],
  }))

t.test('a signal to a gate reaches its command, and its end is reported', async (t) => {
  const { url, view } = await jobsServer(t, campusWorld())
  const program = 'process.on("SIGTERM", () => process.exit(5)); setInterval(() => {}, 1000); console.log("up")'
  const child = spawn(
    process.execPath,
    [CLI, 'gate', '--class', 'training', '--admin', url, '--', process.execPath, '-e', program],
    { env: childEnvironment(), stdio: ['ignore', 'pipe', 'ignore'] },
  )
  t.teardown(() => child.kill('SIGKILL'))
  await new Promise((resolve) => child.stdout.once('data', resolve))
  t.match([...view.all().values()], [{ state: 'running' }])
  child.kill('SIGTERM')
  t.equal(await new Promise((resolve) => child.once('close', resolve)), 5)
  t.equal(view.all().size, 0)
})

t.test('a gate stays shut where no hubward answers, or one that does not know who asks', async (t) => {
  const gate = (admin: string) => run(['gate', '--class', 'training', '--admin', admin, '--', ...SHOW])
  t.match(await gate('127.0.0.1:9'), { code: EXIT_CODES.unreachable.code, out: '' })
  const { folder } = setUp(t)
  const tokensFile = join(folder, 'tokens')
  writeFileSync(tokensFile, `ops ${'0'.repeat(64)}\n`)
  const { url } = await jobsServer(t, campusWorld(), { settings: { tokensFile } })
  t.match(await gate(url), { code: EXIT_CODES.failure.code, out: '', err: /bring a token/ })
})

t.test('readiness and gaps are told as tables, as JSON and for a spreadsheet', async (t) => {
  const world = campusWorld(5, ['ams', 'fra'])
  const { url, planner } = await jobsServer(t, world)
  world.samples({ ams: { 'power.headroom_pct': 7 }, fra: { 'power.headroom_pct': 60 } }).pass(2_000)
  const told = await run(['readiness', '--admin', url])
  t.match(told, { code: 0, out: /^TARGET +CLASSES +OVERALL +POWER +COOLING/ })
  t.match(told.out, /ams\/default +all +amber +amber 7 %/)
  t.match(told.out, /fra\/default +all +green +green 60 %/)
  t.match(told.out, / {2}ams\/default power: power\.headroom_pct is amber, says built-in: 7 %, until 20, 2 s old/)
  t.match(await run(['readiness', '--site', 'nowhere', '--admin', url]), { code: 2, err: /no such site or class/ })
  const json = JSON.parse((await run(['readiness', '--class', 'training', '--json', '--admin', url])).out)
  t.match(json, { rows: [{ target: 'ams/default', class: 'training', overall: 'amber' }, { target: 'fra/default' }] })

  const { ledger } = planner
  const see = () => ledger.see(world.snapshot.data.targets, world.snapshot.data.readiness, world.now)
  see()
  const meters = { 'power.headroom_mw': 5, 'queue.depth': 1 }
  world.pass(2 * 3_600_000, () => {
    world.samples({ ams: { ...meters, 'power.headroom_pct': 7 }, fra: { ...meters, 'power.headroom_pct': 60 } })
    see()
  })
  const decision = { ...world.decide({ class: 'training', needs: { mw: 50 } }), action: 'delay', status: 503 } as never
  ledger.turnAway({ decision, needs: { mw: 50, gpus: 8, hours: 2 }, isKnownClass: true }, world.now)
  const from = new Date(world.now - 86_400_000).toISOString().slice(0, 10)
  const to = new Date(world.now + 86_400_000).toISOString().slice(0, 10)
  const gaps = await run(['gaps', '--from', from, '--to', to, '--admin', url])
  t.equal(gaps.code, 0)
  t.match(gaps.out, /SITE +CHRONIC +AMBER h +RED h/)
  t.match(gaps.out, /each piece once +training +delay +power\.headroom_mw +1 +1 +100 +16 +all/)
  const csv = (await run(['gaps', '--from', from, '--to', to, '--csv', '--admin', url])).out.split('\n')
  t.match(csv[0], /^what,site,dimension,amber_hours,red_hours,chronic,class,action,constraint,answers/)
  t.ok(csv.includes('work,*,,,,,training,delay,power.headroom_mw,1,1,1,100,16'))
  t.match(await run(['gaps', '--from', 'yesterday', '--admin', url]), {
    code: 2,
    err: /from=yesterday: write 2026-11-01/,
  })
  t.match(await run(['gaps', '--from', '1d', '--to', '2d', '--admin', url]), { code: 2, err: /from is not before to/ })
  t.match(await run(['gaps', '--json', '--csv', '--admin', url]), { code: 2, err: /cannot be used with/ })
})

t.test('a gate is held where its policy queues: shut when its wait is over, open when there is room', async (t) => {
  const queued = (forMs: number) => {
    const world = campusWorld(0.5)
    const set = world.snapshot.data.sets.test!
    const policies = set.policies.map((one) => ({
      ...one,
      otherwise: [{ action: 'queue' as const, forMs }, { action: 'deny' as const }],
    }))
    return world
      .documents({ ...set, policies })
      .pass(12_000, () => world.samples({ ams: { 'power.headroom_mw': 0.5 } }))
  }
  const world = queued(600_000)
  const { url, kept } = await jobsServer(t, world)
  const gate = (to: string, ...args: string[]) =>
    run(['gate', '--class', 'training', '--admin', to, ...args, '--', ...SHOW])
  t.match(await gate(url), { code: EXIT_CODES.deny.code, out: '' }, 'who does not wait gets what comes after')
  t.match(await gate(url, '--wait', '50ms'), { code: EXIT_CODES.queue.code, out: '' })
  const short = await jobsServer(t, queued(100))
  t.match(
    await gate(short.url, '--wait', '1m'),
    { code: EXIT_CODES.deny.code, out: '' },
    'after the hold comes the next',
  )
  const asked = kept.length
  const waiting = gate(url, '--wait', '10m')
  const again = setInterval(() => {
    if (kept.length > asked) world.pass(90_000, () => world.samples({ ams: { 'power.headroom_mw': 5 } }))
  }, 20)
  t.teardown(() => clearInterval(again))
  t.match(await waiting, { code: 0, out: /^ams\/default/, err: /queue, held; asking again/ })
})
