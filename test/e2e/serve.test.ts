import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { readDocuments } from '../../src/documents/read.ts'
import { envoyConfig } from '../../src/envoy/config/bootstrap.ts'
import { ENVOY_OPTIONS_DEFAULT, type EnvoyOptions } from '../../src/envoy/config/options.ts'
import type { JournalLine } from '../../src/journal/lines.ts'
import { type JournalFilter, readJournal } from '../../src/journal/read.ts'
import { e2eDocuments } from '../helpers/e2e-documents.ts'
import { holdThroughEnvoy } from '../helpers/hold-through-envoy.ts'
import { hubwardFolder, type RunningHubward, socketIn, startHubward } from '../helpers/hubward-process.ts'
import { instantSites } from '../helpers/instant-sites.ts'
import { ask, childEnvironment, startEnvoy, until } from '../helpers/running-envoy.ts'

const CLI = fileURLToPath(new URL('../../src/cli/hubward.ts', import.meta.url))

const { ports, envoy: sites } = await instantSites(['ams', 'fra', 'lon', 'dxb'])
t.teardown(() => sites.stop())

/** Chat keeps its sessions here, and who asks is in a header. */
const documents = e2eDocuments(ports)
  .replace('ladder: [[ams], [fra], [lon]]', 'session: sticky, ladder: [[ams], [fra], [lon]]')
  .replace('  facts:\n', '  facts:\n    sessionKey: [{ from: header, name: x-user }]\n')
const { set, problems } = readDocuments([{ path: 'all.yaml', text: documents }])
if (set === null) throw new Error(`the documents of this test are bad: ${JSON.stringify(problems)}`)

const newFolder = (test: Test): string => {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-serve-'))
  test.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

const hubward = (args: readonly string[], env: Record<string, string> = {}) =>
  new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
    const child = spawn(process.execPath, [CLI, ...args], { env: { ...childEnvironment(), ...env } })
    let [out, err] = ['', '']
    child.stdout.on('data', (part) => {
      out += part
    })
    child.stderr.on('data', (part) => {
      err += part
    })
    child.on('close', (code) => resolve({ code, out, err }))
  })

/** A hubward with an Envoy that asks it; what is kept is everything. */
async function setUp(test: Test, more: object = {}, text = documents) {
  const folder = newFolder(test)
  const options: EnvoyOptions = {
    ...ENVOY_OPTIONS_DEFAULT,
    listener: { host: '127.0.0.1', port: 0 },
    admin: { host: '127.0.0.1', port: 0 },
    sidecar: { path: socketIn(folder) },
    accessLog: undefined,
    residency: { by: 'listener', class: 'eu' },
  }
  const place = hubwardFolder(folder, text, {
    log: { level: 'info' },
    journal: { share: 1 },
    documents: [{ name: 'documents', dir: join(folder, 'documents'), poll: '100ms' }],
    ...more,
  })
  const start = (): RunningHubward => {
    const running = startHubward(place)
    test.teardown(() => running.stop())
    return running
  }
  const running = start()
  const envoy = await startEnvoy(envoyConfig(set!, options))
  test.teardown(() => envoy.stop())
  const port = await envoy.port()
  const chat = (headers: Record<string, string> = {}) => ask(port, '/v1/chat/completions', { body: '{}', headers })
  const adminOf = (one: RunningHubward) =>
    until('the admin address', () => /"admin":"(http:[^"]+)"/.exec(one.log())?.[1] ?? false)
  return { folder, place, running, start, envoy, chat, adminOf }
}

const get = async (url: string) => {
  const answer = await fetch(url)
  return { status: answer.status, text: await answer.text() }
}

const journalOf = async (folder: string, filter: JournalFilter) => {
  const lines: JournalLine[] = []
  for await (const line of readJournal(join(folder, 'state', 'journal'), filter)) lines.push(line)
  return lines
}

t.test('a chat request goes to the first choice, and everything that is said of it says the same', async (t) => {
  const { folder, running, chat, adminOf, place } = await setUp(t)
  const answer = await until('the first decision', async () => {
    const one = await chat({ 'x-user': 'somebody@example.com' })
    return one.headers['x-hubward-site'] === 'ams' && one
  })
  t.match(answer, { status: 200, body: 'ams', headers: { 'x-hubward-reason': 'first-choice' } })
  const admin = await adminOf(running)
  const id = String(answer.headers['x-hubward-decision'])
  const [record] = await until('the record', async () => {
    const found = await journalOf(folder, { where: (line) => line.kind === 'decision' && line.decision.id === id })
    return found.length > 0 && found
  })
  t.match(record, {
    decision: { class: 'interactive-inference', target: 'ams/h100', policy: 'chat@1' },
    facts: { residency: ['EU'], residencyClass: 'eu', sessionKey: /^hidden:/ },
    sampledBy: 'share',
    replayable: true,
  })
  t.notMatch(readFileSync(join(folder, 'state/journal/decisions-00000001.jsonl'), 'utf8'), 'somebody@example.com')
  const { text } = await get(`${admin}/metrics`)
  t.match(text, /^hubward_decisions_total\{.*reason="first-choice",target="ams\/h100"\} [1-9]/m)
  t.notMatch(text, /^hubward_(handler|internal)_errors_total\{.*[1-9]$/m)
  t.match(text, /^hubward_ready 1$/m)
  t.equal((await get(`${admin}/readyz`)).status, 200)
  t.equal((await get(`${admin}/v1/sites/ams/ready?class=interactive-inference`)).status, 200)
  t.equal((await get(`${admin}/v1/sites/dxb/ready?class=interactive-inference`)).status, 503, 'in no ladder')
  t.equal((await get(`${admin}/v1/sites/ams/ready?class=nothing`)).status, 404)

  const status = await hubward(['status', '--admin', admin])
  t.match(status, { code: 0, out: /ready, revision[\s\S]*documents +documents[\s\S]*ams\/h100 +ready/ })
  t.match(JSON.parse((await hubward(['status', '--json', '--admin', admin])).out), { ready: { ready: true } })
  t.match((await hubward(['validate', '--config', place.config])).code, 0)
})

t.test(
  'an operator drains a site, ends the order, and switches routing off: each holds from the next request',
  async (t) => {
    const { place, chat, running, folder } = await setUp(t)
    const site = async () => (await chat()).headers['x-hubward-site']
    await until('the first decision', async () => (await site()) === 'ams')
    const order = ['--config', place.config, '--reason', 'valve', '--author', 'ops@example.com']

    const drained = await hubward(['override', 'drain', 'ams', '--for', '45m', ...order])
    t.match(drained, { code: 0, out: /^drain-ams-[0-9a-f]{4}: drain ams until .*by ops@example\.com/ })
    const id = /^(\S+):/.exec(drained.out)![1]!
    const elsewhere = await until('the drain', async () => {
      const one = await chat()
      return one.headers['x-hubward-site'] === 'fra' && one
    })
    t.match(elsewhere.headers, { 'x-hubward-reason': 'fallback' })
    t.match(
      (await hubward(['override', 'list', '--config', place.config])).out,
      new RegExp(`${id}.*in force, ends in 45`),
    )
    t.match(await hubward(['override', 'end', id, '--config', place.config]), { code: 0 })
    await until(
      'the end of it',
      async () => (await chat()).headers['x-hubward-reason'] !== undefined && running.log().includes('override ended'),
    )

    const off = await hubward(['routing', 'disable', ...order])
    t.match(off, { code: 0, out: /switched off[\s\S]*eu +fra\/h100, then ams\/h100[\s\S]*uk +lon\/h100/ })
    await until('the switch', async () => (await chat()).headers['x-hubward-reason'] === 'routing-disabled')
    t.match(await hubward(['routing', 'enable', ...order]), { code: 0 })
    await until('the switch back', async () => (await chat()).headers['x-hubward-reason'] !== 'routing-disabled')
    const kinds = (await journalOf(folder, { streams: ['changes'] })).map(({ kind }) => kind)
    for (const kind of ['documents-accepted', 'override-started', 'override-ended', 'routing-switched']) {
      t.ok(kinds.includes(kind as never), kind)
    }
  },
)

t.test('a session stays where it began, and a token is of no use to anybody else', async (t) => {
  const { place, chat } = await setUp(t)
  await until('the first decision', async () => (await chat()).headers['x-hubward-site'] === 'ams')
  const order = ['--config', place.config, '--reason', 'trial', '--for', '5m']
  const pin = await hubward(['override', 'pin', 'fra', ...order])
  const begun = await until('the pin', async () => {
    const one = await chat({ 'x-user': 'anna' })
    return one.headers['x-hubward-site'] === 'fra' && one
  })
  const token = String(begun.headers['x-hubward-session'])
  t.match(token, /^1\./)
  await hubward(['override', 'end', /^(\S+):/.exec(pin.out)![1]!, '--config', place.config])
  await until('the end of the pin', async () => (await chat({ 'x-user': 'bert' })).headers['x-hubward-site'] === 'ams')
  const headers = { 'x-user': 'anna', 'x-hubward-session': token }
  t.match((await chat(headers)).headers, { 'x-hubward-site': 'fra', 'x-hubward-reason': 'session' })
  t.match((await chat({ ...headers, 'x-user': 'bert' })).headers, { 'x-hubward-site': 'ams' })
  t.match((await chat({ ...headers, 'x-hubward-session': `${token}x` })).headers, { 'x-hubward-site': 'ams' })
})

t.test('a restart finds the last good documents on disk where the folder has become unusable', async (t) => {
  const { folder, chat, running, start, adminOf } = await setUp(t)
  await until('the first decision', async () => (await chat()).headers['x-hubward-site'] === 'ams')
  await running.stop()
  writeFileSync(join(folder, 'documents', 'all.yaml'), 'kind: Nonsense\n')
  const again = start()
  await until('a decision', async () => (await chat()).headers['x-hubward-site'] === 'ams')
  const { text } = await get(`${await adminOf(again)}/sources`)
  t.match(JSON.parse(text).sources, [
    { name: 'documents', refusal: [{ code: 'schema/unknown-kind' }], failuresInARow: 1 },
  ])
  t.match(again.log(), /"fromDisk":true/)
})

t.test('without any documents nothing is decided blindly, and the first good ones are served at once', async (t) => {
  const { folder, chat, running, adminOf, envoy } = await setUp(t, {}, 'kind: Nonsense\n')
  const admin = await adminOf(running)
  await until('not to be ready', async () => (await get(`${admin}/readyz`)).text.includes('waiting for documents'))
  t.equal((await get(`${admin}/readyz`)).status, 503)
  t.match(await chat(), { status: 200, body: 'fra', headers: { 'x-hubward-reason': undefined } }, "Envoy's own default")
  const port = await envoy.port()
  t.match(await ask(port, '/v1/fine_tuning/jobs', { body: '{}' }), { status: 503 }, 'a job is refused')
  writeFileSync(join(folder, 'new.yaml'), documents)
  renameSync(join(folder, 'new.yaml'), join(folder, 'documents', 'all.yaml'))
  await until('a decision', async () => (await chat()).headers['x-hubward-site'] === 'ams')
  t.equal((await get(`${admin}/readyz`)).status, 200)
})

t.test('jobs through Envoy and over HTTP share what a site has, and hold it over a restart', async (t) => {
  const samples = join(newFolder(t), 'facility.json')
  const measure = (mw: number) => {
    writeFileSync(`${samples}.new`, JSON.stringify([{ site: 'fra', signal: 'power.headroom_mw', value: mw }]))
    renameSync(`${samples}.new`, samples)
  }
  measure(5)
  const places = { signals: ['power.headroom_mw'], targets: ['fra'] }
  const feeds = [{ kind: 'file', name: 'facility', path: samples, intervalMs: 100, ...places }]
  const { running, start, envoy, adminOf } = await setUp(t, { feeds })
  const port = await envoy.port()
  const submit = (needs: string) =>
    ask(port, '/v1/fine_tuning/jobs', { body: '{}', headers: { 'x-hubward-needs': needs } })
  const admin = await adminOf(running)
  const post = async (url: string, path: string, body: object) => {
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
    return (await answer.json()) as Record<string, unknown>
  }
  const first = await until('the first admission', async () => {
    const answer = await submit('power.headroom_mw>=3')
    return answer.status === 200 && answer
  })
  const id = String(first.headers['x-hubward-reservation'])
  t.match(first, { body: 'fra', headers: { 'x-hubward-decision': id, 'x-hubward-site': 'fra' } })
  const question = { facts: { class: 'fine-tuning', residency: ['eu'], needs: { mw: 3 } }, reserve: true }
  t.match(await post(admin, '/v1/decide', question), {
    action: 'delay',
    because: [
      { target: 'lon/h100', constraint: 'residency' },
      { target: 'fra/h100', constraint: 'job.need', measured: 2 },
    ],
  })
  t.match(await submit('power.headroom_mw>=3'), { status: 503, headers: { 'retry-after': '120' } })
  t.match(await submit('power.headroom_mw>=2'), { status: 200 })
  running.process.kill('SIGTERM')
  await until('its end', () => running.process.exitCode !== null)
  const after = start()
  const again = await adminOf(after)
  const { jobs } = (await until('the new one', async () => {
    const answer = await fetch(`${again}/v1/jobs`)
    return answer.ok && ((await answer.json()) as { jobs: { id: string; needs: object }[] })
  })) as { jobs: { id: string }[] }
  t.equal(jobs.length, 2)
  t.ok(jobs.some((job) => job.id === id))
  t.match(await post(again, `/v1/jobs/${id}/ended`, { cause: 'done' }), { id })
  await until('a decision on fresh numbers', async () => (await post(again, '/v1/decide', question)).action === 'route')
  t.match(await submit('power.headroom_mw>=1'), { status: 503 }, 'what is left is held')
  t.match((await get(`${again}/metrics`)).text, /hubward_reserved_mw\{target="fra\/h100"\} 5/)
})

t.test('asked to end it goes on answering until Envoy has gone, and then ends by itself', async (t) => {
  const { folder, chat, running, adminOf, envoy } = await setUp(t, { drain: '5m' })
  await until('the first decision', async () => (await chat()).headers['x-hubward-site'] === 'ams')
  const admin = await adminOf(running)
  running.process.kill('SIGTERM')
  await until('not to be ready', async () => (await get(`${admin}/readyz`)).status === 503)
  for (let i = 0; i < 20; i++) t.match((await chat()).headers, { 'x-hubward-site': 'ams' })
  await envoy.stop()
  await until('its end', () => running.process.exitCode !== null)
  t.equal(running.process.exitCode, 0)
  const [last] = (await journalOf(folder, { streams: ['changes'] })).slice(-1)
  t.match(last, { kind: 'stopped', instance: 'test' })
})

t.test('asked to end twice it ends at once', async (t) => {
  const { chat, running } = await setUp(t, { drain: '5m' })
  await until('the first decision', async () => (await chat()).headers['x-hubward-site'] === 'ams')
  running.process.kill('SIGTERM')
  await until('the first to be heard', () => running.log().includes('stopping'))
  running.process.kill('SIGTERM')
  await until('its end', () => running.process.exitCode !== null)
  t.equal(running.process.exitCode, 1)
})

t.test('asked to end while it starts it ends in good order, as far as it has come', async (t) => {
  const silent = createServer().listen(0, '127.0.0.1')
  await new Promise<void>((resolve) => silent.once('listening', resolve))
  t.teardown(() => silent.close())
  const { port } = silent.address() as { port: number }
  const start = (more: object) => {
    const folder = newFolder(t)
    const running = startHubward(hubwardFolder(folder, documents, { log: { level: 'info' }, ...more }), [
      // Something that goes wrong where nobody expects it.
      ...['--import', "data:text/javascript,process.on('SIGUSR2',()=>{throw new Error('made up')})"],
    ])
    t.teardown(() => running.stop())
    const over = new Promise<number | null>((resolve) => running.process.once('close', resolve))
    const lastWord = async () => (await journalOf(folder, { streams: ['changes'] })).at(-1)?.kind
    return { running, over, lastWord }
  }
  for (const [signal, code, says] of [
    ['SIGTERM', 0, /stopped before it served/],
    ['SIGUSR2', 1, /a mistake of ours: ending/],
  ] as const) {
    const asked = new Promise<Socket>((resolve) => silent.once('connection', resolve))
    const { running, over, lastWord } = start({ envoyAdmin: { address: `127.0.0.1:${port}` } })
    const question = await asked
    running.process.kill(signal)
    t.equal(await over, code, signal)
    question.destroy()
    t.match(running.log(), says)
    t.notMatch(running.log(), /all clusters are taken to exist|hubward serves/)
    t.equal(await lastWord(), 'stopped')
  }
  const { running, over, lastWord } = start({ processes: 2 })
  await until('the first process', () => running.log().includes('hubward serves'))
  running.process.kill('SIGTERM')
  t.equal(await over, 0)
  t.match(running.log(), /stopping: answering until[\s\S]*"stopped"/)
  t.equal(await lastWord(), 'stopped')
})

t.test('what it needs and cannot have is told with its place, and nothing is left running', async (t) => {
  const folder = newFolder(t)
  const place = hubwardFolder(folder, documents)
  const started = (more: object) => {
    writeFileSync(place.config, JSON.stringify({ ...JSON.parse(readFileSync(place.config, 'utf8')), ...more }))
    return hubward(['serve', '--config', place.config])
  }
  const taken = createServer()
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  t.teardown(() => taken.close())
  const address = `127.0.0.1:${(taken.address() as { port: number }).port}`
  t.match(await started({ admin: { address } }), { code: 1, err: /EADDRINUSE/ })
  t.match(await started({ admin: { address: '127.0.0.1:0' }, listeners: [{ address }] }), {
    code: 1,
    err: /EADDRINUSE|in use/i,
  })
  t.match(await started({ listeners: [{ socket: place.socket }], journal: { shard: 1 } }), {
    code: 3,
    err: /hubward\.json:1:\d+ +schema\/unknown-field .*did you mean "share"/,
  })
  t.match(await started({ journal: {}, keys: { sessionFile: '/nowhere/keys' } }), { code: 1, err: /\/nowhere\/keys/ })
  t.match(await hubward(['serve', '--confg', 'x']), { code: 2, err: /Did you mean --config/ })
})

t.test('a state folder that cannot be written is no reason not to serve', async (t) => {
  const folder = newFolder(t)
  const place = hubwardFolder(folder, documents, {
    log: { level: 'info' },
    stateDir: join(folder, 'documents', 'all.yaml'),
  })
  mkdirSync(join(folder, 'x'))
  const running = startHubward(place)
  t.teardown(() => running.stop())
  await until('it to serve', () => running.log().includes('hubward serves'))
  t.match(running.log(), /keys of session tokens can not be kept[\s\S]*journal/)
})

t.test(
  'with an admin port of Envoy named, nothing is served before it has told its clusters, or been silent for long',
  async (t) => {
    const folder = newFolder(t)
    let release: () => void = () => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    let asked = 0
    const admin = createHttpServer((_request, response) => {
      asked += 1
      released.then(() =>
        response.end(JSON.stringify({ cluster_statuses: ['ams-h100', 'fra-h100'].map((name) => ({ name })) })),
      )
    })
    await new Promise<void>((resolve) => admin.listen(0, '127.0.0.1', resolve))
    t.teardown(() => {
      admin.closeAllConnections()
      admin.close()
    })
    const place = hubwardFolder(folder, documents, {
      log: { level: 'info' },
      envoyAdmin: { address: `127.0.0.1:${(admin.address() as { port: number }).port}` },
    })
    const running = startHubward(place)
    t.teardown(() => running.stop())
    await until('hubward to ask for the clusters', () => asked > 0)
    t.notMatch(running.log(), /hubward serves/)
    release()
    await until('hubward to serve', () => running.log().includes('hubward serves'))
    t.notMatch(running.log(), /admin port does not answer/)
    const silent = hubwardFolder(newFolder(t), documents, {
      log: { level: 'info' },
      envoyAdmin: { address: '127.0.0.1:1' },
    })
    const other = startHubward(silent)
    t.teardown(() => other.stop())
    await until('the other to serve all the same', () => other.log().includes('hubward serves'))
    t.match(other.log(), /admin port does not answer: all clusters are taken to exist/)
  },
)

holdThroughEnvoy(t, ports.ams, newFolder)
