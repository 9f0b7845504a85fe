import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { parseAllDocuments } from 'yaml'
import type { AdminView } from '../../src/admin/handlers.ts'
import { ROUTES, type Route } from '../../src/admin/routes.ts'
import { type AdminSettings, startAdmin } from '../../src/admin/server.ts'
import { readConfig } from '../../src/config.ts'
import { emptySnapshot } from '../../src/engine/fold.ts'
import type { Problem } from '../../src/model/problem.ts'
import type { SourceStatus } from '../../src/model/source.ts'
import { parseNeeds } from '../../src/request/needs.ts'
import { flagsOf } from '../helpers/flagd-view.ts'
import { campusWorld, jobsServer, jobsWorld } from '../helpers/jobs-world.ts'
import { nothingMeasured } from '../helpers/measure-view.ts'
import { plannerOf } from '../helpers/planner-view.ts'
import { rolloutsOf } from '../helpers/rollout-world.ts'
import { max, order, policy, site, T0, World } from '../helpers/world.ts'

const source: SourceStatus = {
  name: 'policies',
  kind: 'documents',
  where: '/etc/hubward/documents',
  owner: 'routing@example.com',
  version: 'abc',
  nonce: 'x-1',
  lastAcceptedAt: T0,
  lastRefusedAt: null,
  refusal: [],
  failuresInARow: 0,
  delivers: [],
  covers: [],
}

const setUp = async (test: Test, over: Partial<AdminSettings> = {}, viewOver: Partial<AdminView> = {}) => {
  const world = new World({
    sites: [
      site('ams', {
        pools: [{ name: 'h100', cluster: 'ams-h100', endpoints: ['10.1.2.3:8000'], models: [], capacity: 1 }],
      }),
      site('fra'),
    ],
    policies: [policy([['ams'], ['fra']], { signals: { 'queue.depth': max(40, 30) } })],
    factSources: [
      {
        metadata: { name: 'facts' },
        trustedHops: 0,
        trustedPeers: [],
        facts: { tenant: [{ from: 'header', name: 'x-tenant', trusted: true }] },
        residency: [],
        tenantResidency: { 'secret-tenant': 'eu' },
        bodyBytesMax: 0,
      },
    ],
  })
  const errors: unknown[] = []
  const problems: Problem[] = []
  const running = jobsWorld(test, world)
  const planner = plannerOf(world)
  const view: AdminView = {
    version: '1.2.3',
    instance: 'here',
    now: () => world.now,
    data: () => world.snapshot.data,
    sources: () => [source],
    ready: () => ({ ready: true, because: [] }),
    siteReady: (name, className) =>
      name === 'ams' && className !== 'unheard-of'
        ? { ready: className === 'chat', because: className === 'chat' ? [] : ['ams/h100: drained'] }
        : undefined,
    metrics: { text: async () => 'hubward_ready 1\n', contentType: 'text/plain; version=0.0.4; charset=utf-8' },
    jobs: running.view,
    planner: planner.view,
    measure: nothingMeasured,
    flags: flagsOf(world, running.view),
    rollouts: rolloutsOf(world, running.folder).view,
    ...viewOver,
  }
  const settings = { host: '127.0.0.1', port: 0, hosts: [], waitersMax: 3, ...over }
  const server = await startAdmin(settings, view, {
    onError: (error) => errors.push(error),
    onProblem: (problem) => problems.push(problem),
  })
  test.teardown(() => server.close())
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const answer = await fetch(`${server.url}${path}`, { headers })
    const text = await answer.text()
    return { status: answer.status, headers: answer.headers, text, json: () => JSON.parse(text) }
  }
  return { world, server, get, errors, problems, planner }
}

/** The fetch of Node sets Host by itself, so this one is written by hand. */
const statusWithHost = (url: string, host: string): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url)
    httpRequest({ hostname, port, path: '/healthz', headers: { host } }, (answer) => {
      answer.resume()
      resolve(answer.statusCode)
    })
      .on('error', reject)
      .end()
  })

/** What a route answers to a question with nothing in it; a stream that it opens is left. */
const statusOf = async (url: string, { path, method = 'GET' }: Route): Promise<number> => {
  const body = method === 'POST' ? { body: '{}', headers: { 'content-type': 'application/json' } } : {}
  const place = path.replace(':site', 'ams').replace(':id', 'nobody')
  const leaving = new AbortController()
  const { status } = await fetch(`${url}${place}`, { method, ...body, signal: leaving.signal })
  leaving.abort()
  return status
}

t.test('every route of the table answers as the table says, and the index is the table', async (t) => {
  const { get, server } = await setUp(t)
  for (const route of Object.values(ROUTES)) {
    const status = await statusOf(server.url, route)
    t.ok(Object.hasOwn(route.answers, status), `${route.path} ${status}`)
  }
  t.same(
    (await get('/')).json().routes.map(({ path }: { path: string }) => path),
    Object.values(ROUTES).map(({ path }) => path),
  )
  t.match(await get('/metrics'), { text: 'hubward_ready 1\n', status: 200 })
  t.match((await get('/sources')).json(), { now: T0, sources: [source] })
})

t.test('the snapshot shows what decisions read, and no address, tenant or origin of facts', async (t) => {
  const { get, world } = await setUp(t)
  world.samples({ 'ams/h100': { 'queue.depth': 41 } })
  world.probe(['fra/default'], 'refused', 3)
  const { text, json } = await get('/snapshot')
  t.match(json(), {
    revision: world.snapshot.data.revision,
    targets: [
      { target: 'ams/h100', state: 'ready', signals: { 'queue.depth': { value: 41, at: T0, source: 'test' } } },
      { target: 'fra/default', state: 'down' },
    ],
    documents: { test: { policies: [{ policy: 'p@1', class: 'chat' }] } },
  })
  for (const secret of ['10.1.2.3', 'secret-tenant', 'x-tenant']) t.notMatch(text, secret)
})

t.test('an ETag is a hash of the answer, and an answer that is known already is not sent again', async (t) => {
  const { get, world } = await setUp(t)
  const first = await get('/snapshot')
  const etag = first.headers.get('etag')!
  t.equal(etag, `"${createHash('sha256').update(first.text).digest('base64url').slice(0, 22)}"`)
  t.match(await get('/snapshot', { 'if-none-match': etag }), { status: 304, text: '' })
  world.pass(1_000)
  t.match(await get('/snapshot', { 'if-none-match': etag }), { status: 200 })
})

t.test('whoever waits for a newer revision gets it when it comes, and 304 if it does not', async (t) => {
  const { get, world, server } = await setUp(t)
  const { revision } = world.snapshot.data
  t.equal((await get(`/snapshot?after=${revision - 1}`)).json().revision, revision, 'there is one already')
  t.equal((await get(`/snapshot?after=${revision}&timeoutMs=1`)).status, 304)
  const waiting = get(`/snapshot?after=${revision}&timeoutMs=60000`)
  const busy = setInterval(() => {
    world.pass(1_000)
    server.changed()
  }, 5)
  t.teardown(() => clearInterval(busy))
  t.ok((await waiting).json().revision > revision)
})

t.test('only so many may wait, and who leaves makes room', async (t) => {
  const { get, world, server } = await setUp(t)
  const { revision } = world.snapshot.data
  const leaving = new AbortController()
  for (let i = 0; i < 3; i++) {
    const url = `${server.url}/snapshot?after=${revision}&timeoutMs=60000`
    fetch(url, { signal: leaving.signal }).catch(() => {})
  }
  const ask = async () => (await get(`/snapshot?after=${revision}&timeoutMs=1`)).status
  while ((await ask()) !== 503);
  t.equal((await get(`/snapshot?after=${revision - 1}`)).status, 200, 'what needs no waiting is still answered')
  leaving.abort()
  while ((await ask()) !== 304);
  t.pass('there is room again')
})

t.test('a site is ready for a class or it is not, and what does not exist is told apart', async (t) => {
  const { get } = await setUp(t)
  t.match((await get('/v1/sites/ams/ready?class=chat')).json(), { site: 'ams', class: 'chat', ready: true })
  t.match(await get('/v1/sites/ams/ready?class=training'), { status: 503, text: /drained/ })
  t.equal((await get('/v1/sites/nowhere/ready?class=chat')).status, 404)
  t.equal((await get('/v1/sites/ams/ready?class=unheard-of')).status, 404)
  t.equal((await get(`/v1/sites/${'x'.repeat(5_000)}/ready`)).status, 414)
})

t.test('orders are listed with whether they are in force', async (t) => {
  const { get, world } = await setUp(t)
  const planned = {
    id: 'm1',
    site: 'fra',
    from: T0 + 1_000,
    to: T0 + 2_000,
    reason: 'valve',
    author: 'ops@example.com',
  }
  world.overrides({ overrides: [order('drain', { site: 'ams' }, { expires: T0 + 60_000 })], maintenance: [planned] })
  t.match((await get('/overrides')).json(), {
    routing: null,
    overrides: [{ id: 'drain-1', source: 'orders', state: 'in force', inForce: true }],
    maintenance: [{ id: 'm1', state: 'planned', inForce: false }],
  })
  world.pass(61_000)
  t.match((await get('/overrides')).json(), { overrides: [{ state: 'ended', inForce: false }] })
})

t.test('with tokens, nothing but health is told to those who bring none, and then without details', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-admin-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const tokensFile = join(folder, 'tokens')
  const hash = (token: string) => createHash('sha256').update(token).digest('hex')
  writeFileSync(tokensFile, `# who may ask\nops ${hash('open-sesame')}\n`)
  const { get, problems, server } = await setUp(
    t,
    { tokensFile },
    { ready: () => ({ ready: false, because: ['documents: none accepted'] }) },
  )
  const known = { authorization: 'Bearer open-sesame' }
  for (const route of Object.values(ROUTES)) {
    const status = await statusOf(server.url, route)
    t.equal(status === 401, !route.open, `${route.path} ${status}`)
  }
  t.match(await get('/snapshot', known), { status: 200 })
  t.match(await get('/snapshot', { authorization: 'Bearer open-sesame2' }), { status: 401 })
  t.match(await get('/snapshot', { authorization: `Bearer ${hash('open-sesame')}` }), { status: 401 })
  t.same((await get('/readyz')).json(), { ready: false })
  t.same((await get('/readyz', known)).json(), { ready: false, because: ['documents: none accepted'] })
  t.notMatch((await get('/v1/sites/ams/ready')).text, 'drained')

  writeFileSync(tokensFile, `others ${hash('another-one')}\n`)
  t.match(await get('/snapshot', known), { status: 401 }, 'taken out of the file is out')
  t.match(await get('/snapshot', { authorization: 'Bearer another-one' }), { status: 200 })
  writeFileSync(tokensFile, 'oops\n')
  t.match(await get('/snapshot', { authorization: 'Bearer another-one' }), { status: 200 }, 'the good ones stay')
  t.match(problems, [{ code: 'admin/tokens', line: 1, path: tokensFile }])
})

t.test('it does not listen to other machines without knowing who they are', async (t) => {
  await t.rejects(setUp(t, { host: '0.0.0.0' }), /tokensFile/)
  await t.rejects(setUp(t, { host: '127.0.0.1', tokensFile: '/nowhere/tokens' }), /cannot be read/)
})

t.test('a page that resolves its own name to this address is refused, whatever it asks', async (t) => {
  const { server } = await setUp(t, { hosts: ['hub.example.com'] })
  t.equal(await statusWithHost(server.url, 'evil.example.net'), 421)
  t.equal(await statusWithHost(server.url, 'evil.example.net:80'), 421)
  t.equal(await statusWithHost(server.url, 'localhost:1'), 200)
  t.equal(await statusWithHost(server.url, '127.0.0.1'), 200)
  t.equal(await statusWithHost(server.url, '[::1]:9'), 200)
  t.equal(await statusWithHost(server.url, 'Hub.Example.com'), 200)
})

t.test('bad requests are told so, other methods have no place, and no page elsewhere may read an answer', async (t) => {
  const { get, server } = await setUp(t)
  t.match(await get('/snapshot?after=soon'), { status: 400 })
  t.match(await get('/nothing'), { status: 404, text: /GET \/ tells/ })
  const post = await fetch(`${server.url}/snapshot`, { method: 'POST', body: 'x' })
  t.equal(post.status, 405)
  t.equal((await get('/snapshot', { origin: 'https://example.net' })).headers.get('access-control-allow-origin'), null)
})

t.test('our own mistake is told to us and not to whoever asked', async (t) => {
  const { get, errors } = await setUp(
    t,
    {},
    {
      sources: () => {
        throw new Error('inner workings')
      },
    },
  )
  const answer = await get('/sources')
  t.equal(answer.status, 500)
  t.notMatch(answer.text, 'inner workings')
  t.match(errors, [{ message: 'inner workings' }])
})

t.test('garbage on the line does not disturb it', async (t) => {
  const { get, server } = await setUp(t)
  const { port } = new URL(server.url)
  await new Promise<void>((resolve) => {
    const socket = connect(Number(port), '127.0.0.1', () => socket.write(Buffer.from([0, 1, 2, 255, 13, 10, 13, 10])))
    socket.on('error', () => {}).on('close', () => resolve())
    socket.resume()
  })
  t.equal((await get('/healthz')).status, 200)
})

const kubernetes = (name: string) =>
  JSON.parse(readFileSync(new URL(`../fixtures/kubernetes/${name}.json`, import.meta.url), 'utf8'))

/** A server over training and chat at ams; `post` sends JSON, or a text as it is. */
const campus = async (test: Test, mw = 5, options: Parameters<typeof jobsServer>[2] = {}, sites = ['ams']) => {
  const world = campusWorld(mw, sites)
  const made = await jobsServer(test, world, options)
  const post = async (path: string, body: unknown, headers: Record<string, string> = {}) => {
    const answer = await fetch(`${made.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
    const text = await answer.text()
    return { status: answer.status, headers: answer.headers, text, json: () => JSON.parse(text) }
  }
  const get = async (path: string) => (await fetch(`${made.url}${path}`)).json() as Promise<Record<string, unknown>>
  return { ...made, world, post, get }
}

t.test(
  'a program asks where work would go, in one question or many, and nothing is held until it says so',
  async (t) => {
    const { post, view, tally } = await campus(t)
    const facts = { class: 'training', residency: ['eu'], needs: { mw: 4 } }
    t.match((await post('/v1/decide', { facts })).json(), {
      action: 'route',
      target: 'ams/default',
      policy: 'training@1',
      reservation: undefined,
    })
    t.same(tally.dispatched, {})
    const many = await post('/v1/decide', { facts: [facts, facts, { class: 'chat' }], reserve: true })
    t.equal(many.status, 200)
    t.equal(many.headers.get('retry-after'), '30')
    const { decisions } = many.json()
    t.match(decisions, [
      { action: 'route', reservation: decisions[0].id },
      { action: 'delay', because: [{ constraint: 'job.need', measured: 1, limit: 4 }] },
      { action: 'route', class: 'chat', reservation: undefined },
    ])
    t.equal(view.all().size, 1, 'only job classes hold something')
    t.match((await post('/v1/decide', { facts: { ...facts, residency: ['CH'] } })).json(), {
      reason: 'residency-unservable',
    })
    const header = { class: 'training', needs: 'power.headroom_mw>=9' }
    t.match((await post('/v1/decide', { facts: header })).json(), {
      action: 'delay',
      because: [{ constraint: 'job.need' }],
    })
  },
)

t.test('facts that cannot be used are told one by one, with their place and what to write', async (t) => {
  const { post, bugs } = await campus(t)
  const problemsOf = async (facts: unknown, more: object = {}) => {
    const answer = await post('/v1/decide', { facts, ...more })
    t.equal(answer.status, 400, JSON.stringify([facts]).slice(0, 80))
    t.match(answer.headers.get('content-type'), 'application/problem+json')
    const { problems } = answer.json()
    for (const one of problems) t.match(one, { pointer: /^\//, message: String, remedy: /\S/ })
    return problems.map(({ pointer }: { pointer: string }) => pointer)
  }
  t.same(
    await problemsOf({ class: 'trainin', asn: -1, needs: { mw: '2', signals: { 'power.headroom': { min: 1 } } } }),
    ['/facts/class', '/facts/asn', '/facts/needs/mw', '/facts/needs/signals/power.headroom'],
  )
  t.same(await problemsOf([{ class: 'chat' }, { klass: 'chat' }]), ['/facts/1/klass', '/facts/1/class'])
  t.same(await problemsOf({ class: 'chat', extra: JSON.parse('{"__proto__":"x","ok":1,"a/b":2}') }), [
    '/facts/extra/__proto__',
    '/facts/extra/a~1b',
  ])
  t.same(await problemsOf({ class: 'chat', residency: 'EU' }), ['/facts/residency'])
  t.same(await problemsOf({ class: 'chat', residencyClass: 'uk' }), ['/facts/residencyClass'])
  t.same(await problemsOf({ class: 'chat', deadline: 'soon', country: 'Holland', hold: 'please' }), [
    '/facts/country',
    '/facts/hold',
    '/facts/deadline',
  ])
  t.same(await problemsOf({ class: 'chat' }, { reserve: 'yes', reserveFor: '2 hours', what: 1 }), [
    '/what',
    '/reserveFor',
    '/reserve',
  ])
  t.same(await problemsOf({ class: 'chat' }, { site: 'frankfurt' }), ['/site'])
  t.same(await problemsOf([]), ['/facts'])
  t.same(await problemsOf(Array.from({ length: 257 }, () => ({ class: 'chat' }))), ['/facts'])
  t.same(await problemsOf(undefined), ['/facts'])
  t.same(bugs, [])
})

t.test('bodies that are no JSON, too large, too deep or from a page are refused before anything else', async (t) => {
  const { post, url, bugs } = await campus(t)
  t.match(await post('/v1/decide', '{"facts":'), { status: 400, text: /no JSON/ })
  t.match(await post('/v1/decide', `{"facts":${'['.repeat(5_000)}${']'.repeat(5_000)}}`), {
    status: 400,
    text: /nests deeper/,
  })
  t.match(await post('/v1/decide', `{"facts":{"class":"${'x'.repeat(300_000)}"}}`), { status: 413 })
  t.match(await post('/v1/decide', '{}', { 'content-type': 'text/plain' }), { status: 415 })
  t.match(await post('/v1/decide', { facts: { class: 'chat' } }, { origin: 'https://example.net' }), { status: 403 })
  t.match(await post('/v1/decide', ''), { status: 400, text: /is no JSON object/ })
  t.equal((await fetch(`${url}/v1/decide`)).status, 405)
  t.equal((await fetch(`${url}/v1/decide`)).headers.get('allow'), 'POST')
  t.same(bugs, [])
})

t.test('before the first documents nothing is decided, and the asker is told to come back', async (t) => {
  const world = new World({})
  world.snapshot = emptySnapshot(() => () => true)
  const { url } = await jobsServer(t, world, { documents: false })
  for (const [path, body] of [
    ['/v1/decide', { facts: { class: 'training' } }],
    ['/v1/kubernetes/admission', kubernetes('job-create')],
    ['/v1/kueue/admission-check', { workload: kubernetes('workload') }],
  ] as const) {
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${url}${path}`, { method: 'POST', body: JSON.stringify(body), headers })
    t.equal(answer.status, 503, path)
    t.equal(answer.headers.get('retry-after'), '1')
    await answer.text()
  }
})

t.test('a job says that it runs, needs longer, has ended; one that is not here is told so', async (t) => {
  const { post, get, world } = await campus(t)
  const { id } = (await post('/v1/decide', { facts: { class: 'training', needs: { mw: 2 } }, reserve: true })).json()
  t.match(await get('/v1/jobs'), {
    total: 1,
    jobs: [{ id, state: 'admitted', advice: { action: 'run' } }],
    next: undefined,
  })
  t.match((await post(`/v1/jobs/${id}/running`, { drawMw: 0.5 })).json(), { state: 'running', drawMw: 0.5 })
  t.match(world.snapshot.data.reservations, { [id]: { drawMw: 0.5 } })
  t.match(await post(`/v1/jobs/${id}/running`, { drawMw: -1 }), { status: 400, text: /\/drawMw/ })
  world.pass(60_000)
  t.match((await post(`/v1/jobs/${id}/renew`, { for: '10m' })).json(), { expiresAt: T0 + 660_000 })
  t.match(await post(`/v1/jobs/${id}/renew`, { for: 'ever' }), { status: 400 })
  const bodyless = await fetch(`${(await campus(t)).url}/v1/jobs/nobody/ended`, { method: 'POST' })
  t.equal(bodyless.status, 404)
  t.match((await post(`/v1/jobs/${id}/ended`, {})).json(), { id })
  t.match(await post(`/v1/jobs/${id}/ended`, {}), { status: 404, text: /has ended/ })
  t.same(world.snapshot.data.reservations, {})
})

t.test('jobs come in pages, in the order in which they were admitted', async (t) => {
  const { post, get, world } = await campus(t)
  const ids: string[] = []
  for (let i = 0; i < 5; i++) {
    world.pass(1_000, () => world.samples({ ams: { 'power.headroom_mw': 5 } }))
    ids.push((await post('/v1/decide', { facts: { class: 'training', needs: { mw: 0.1 } }, reserve: true })).json().id)
  }
  const page = async (query: string) => {
    const { jobs, next } = (await get(`/v1/jobs?${query}`)) as { jobs: { id: string }[]; next?: string }
    return { ids: jobs.map(({ id }) => id), next }
  }
  t.same(await page('limit=2'), { ids: ids.slice(0, 2), next: ids[1] })
  t.same(await page(`limit=2&after=${ids[1]}`), { ids: ids.slice(2, 4), next: ids[3] })
  t.same(await page(`limit=2&after=${ids[3]}`), { ids: ids.slice(4), next: undefined })
  t.same(await page('advice=pause'), { ids: [], next: undefined })
})

/** The events of a stream as they come; `next` waits for one. */
const listen = async (test: Test, url: string, headers: Record<string, string> = {}) => {
  const leaving = new AbortController()
  test.teardown(() => leaving.abort())
  const answer = await fetch(url, { headers, signal: leaving.signal })
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  const next = async (): Promise<{ id?: string; event?: string; data?: Record<string, unknown> } | undefined> => {
    for (;;) {
      const end = text.indexOf('\n\n')
      if (end < 0) {
        const { done, value } = await reader.read()
        if (done) return undefined
        text += value
        continue
      }
      const fields = Object.fromEntries(
        text
          .slice(0, end)
          .split('\n')
          .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
      )
      text = text.slice(end + 2)
      if (fields.event !== undefined) return { ...fields, data: JSON.parse(fields.data!) }
    }
  }
  return { status: answer.status, type: answer.headers.get('content-type'), next, leave: () => leaving.abort() }
}

t.test('who listens hears what a job is told, and who comes back hears what was missed', async (t) => {
  const { url, post, world, get } = await campus(t)
  const all = await listen(t, `${url}/v1/jobs/events`)
  t.match(all, { status: 200, type: /^text\/event-stream/ })
  t.match(await all.next(), { event: 'hello' })
  const { id } = (await post('/v1/decide', { facts: { class: 'training', needs: { mw: 2 } }, reserve: true })).json()
  const admitted = await all.next()
  t.match(admitted, { event: 'admitted', data: { job: { id } } })
  const one = await listen(t, `${url}/v1/jobs/${id}/events`)
  t.match(await one.next(), { event: 'job', data: { id, advice: { action: 'run' } } })
  t.match(await get(`/v1/jobs/${id}/kueue`), { spec: { suspend: false } })
  const other = (await post('/v1/decide', { facts: { class: 'training', needs: { mw: 1 } }, reserve: true })).json()
  await post(`/v1/jobs/${other.id}/ended`, {})
  t.match([await all.next(), await all.next()], [{ event: 'admitted' }, { event: 'ended' }])
  world.samples({ ams: { 'leak.detected': 1 } })
  for (const stream of [all, one])
    t.match(await stream.next(), {
      event: 'advice',
      data: { job: { id, advice: { action: 'pause', reason: 'red', deadline: T0 } } },
    })
  t.match(await get(`/v1/jobs/${id}/kueue`), {
    spec: { suspend: true },
    metadata: {
      annotations: {
        'hubward.dev/reason': /^red: safety\.red leak/,
        'hubward.dev/deadline': new Date(T0).toISOString(),
      },
    },
  })
  await post(`/v1/jobs/${id}/ended`, { cause: 'done' })
  t.match(await one.next(), { event: 'ended', data: { cause: 'done' } })
  t.equal(await one.next(), undefined, 'a stream of one job ends with it')
  const back = await listen(t, `${url}/v1/jobs/events`, { 'last-event-id': admitted!.id! })
  const missed = [await back.next(), await back.next(), await back.next(), await back.next()]
  t.match(missed, [{ event: 'admitted' }, { event: 'ended' }, { event: 'advice' }, { event: 'ended' }])
  const lost = await listen(t, `${url}/v1/jobs/events?lastEventId=other-7`)
  t.match(await lost.next(), { event: 'reset' })
})

t.test('only so many may listen, and who leaves makes room', async (t) => {
  const { url, server } = await campus(t)
  const streams = await Promise.all([1, 2, 3].map(() => listen(t, `${url}/v1/jobs/events`)))
  t.equal(server.streams(), 3)
  const full = await fetch(`${url}/v1/jobs/events`)
  t.equal(full.status, 503)
  await full.text()
  streams[0]!.leave()
  while (server.streams() === 3) await new Promise((resolve) => setImmediate(resolve))
  t.equal((await listen(t, `${url}/v1/jobs/events`)).status, 200)
})

t.test(
  'Kubernetes asks once for each annotated object: let in where it is routed, refused with reason and number',
  async (t) => {
    const { post, view, world } = await campus(t)
    const review = async (name: string, over: object = {}, path = '/v1/kubernetes/admission') => {
      const body = kubernetes(name)
      Object.assign(body.request, over)
      const answer = await post(path, body)
      t.match(answer.json(), {
        apiVersion: 'admission.k8s.io/v1',
        kind: 'AdmissionReview',
        response: { uid: body.request.uid },
      })
      return answer.json().response
    }
    t.match(await review('job-create', { dryRun: true }), { allowed: true })
    t.equal(view.all().size, 0, 'a dry run holds nothing')
    const let_in = await review('job-create')
    t.match(let_in, { allowed: true, warnings: [/goes to ams\/default/], auditAnnotations: { target: 'ams/default' } })
    t.equal(
      (await review('job-create')).auditAnnotations.reservation,
      let_in.auditAnnotations.reservation,
      'asked again',
    )
    t.equal(view.all().size, 1)
    t.match([...view.all().values()], [{ facts: { tenant: 'research', residency: ['EU'] } }])
    t.match(await review('pod-create'), { allowed: true, warnings: undefined }, 'its job was judged')
    t.match(await review('pytorchjob-create'), { allowed: true })
    t.same(
      [...view.all().values()].map(({ id }) => world.snapshot.data.reservations[id]!.mw),
      [2, 3],
      'of several templates the hardest need holds',
    )
    const other = {
      object: {
        ...kubernetes('job-create').request.object,
        metadata: {
          name: 'b',
          annotations: { 'hubward.dev/class': 'training', 'hubward.dev/needs': 'power.headroom_mw>=2' },
        },
      },
    }
    t.match(await review('job-create', other), {
      allowed: false,
      status: { code: 403, message: /training is delayed .*power\.headroom_mw 0 MW.*wanted >= 1 MW/ },
    })
    t.match(await review('job-delete'), { allowed: true })
    t.equal(view.all().size, 1, 'a deleted job holds nothing any more')
    t.match(await review('job-create', { object: { kind: 'Job', metadata: { name: 'c' }, spec: {} } }), {
      allowed: true,
    })
    t.match(await review('job-create', {}, '/v1/kubernetes/admission/fra'), {
      allowed: false,
      status: { message: /goes to ams\/default, not to fra/ },
    })
    const bad = {
      object: { metadata: { annotations: { 'hubward.dev/class': 'training', 'hubward.dev/needs': 'much' } } },
    }
    t.match(await review('job-create', bad), {
      allowed: false,
      status: { message: /annotation hubward\.dev\/needs "much" is not understood/ },
    })
    const unknown = { object: { metadata: { annotations: { 'hubward.dev/class': 'trainin' } } } }
    t.match(await review('job-create', unknown), {
      allowed: false,
      status: { message: /no document names a class "trainin"/ },
    })
    for (const body of [{}, [], { kind: 'AdmissionReview' }, { ...kubernetes('job-create'), request: { uid: 1 } }])
      t.equal((await post('/v1/kubernetes/admission', body)).status, 400)
  },
)

t.test(
  "Kueue's check is Ready once and stays so, Retry while there is no room, Rejected where there never is",
  async (t) => {
    const { post, view, world, tally } = await campus(t)
    const check = async (workload: object, more: object = {}) =>
      (await post('/v1/kueue/admission-check', { workload, check: 'facility', ...more })).json()
    const workload = kubernetes('workload')
    const ready = await check(workload)
    t.match(ready, {
      name: 'facility',
      state: 'Ready',
      podSetUpdates: [{ name: 'main', annotations: { 'hubward.dev/target': 'ams/default' } }],
    })
    t.same((await check(workload)).podSetUpdates, ready.podSetUpdates)
    t.equal(view.all().size, 1)
    const second = { ...workload, metadata: { ...workload.metadata, uid: 'another' } }
    const sent = { ...tally.dispatched }
    t.match(await check(second, { site: 'fra' }), { state: 'Retry', message: /not to fra/ })
    t.same(tally.dispatched, sent, 'what is not let in here is not sent')
    t.equal(view.all().size, 1, 'and holds nothing')
    t.match(await check(second), { state: 'Ready' })
    const third = { ...workload, metadata: { ...workload.metadata, uid: 'third' } }
    t.match(await check(third), { state: 'Retry', requeueAfterSeconds: 30, message: /power\.headroom_mw/ })
    const finished = { type: 'Finished', status: 'True', reason: 'Succeeded' }
    t.match(await check({ ...workload, status: { conditions: [finished] } }), { state: 'Ready', message: /finished/ })
    t.match(await check(third), { state: 'Ready' }, 'what one gave back another gets')
    const abroad = structuredClone(third)
    abroad.metadata.uid = 'abroad'
    abroad.spec.podSets[0].template.metadata.annotations['hubward.dev/residency'] = 'CH'
    t.match(await check(abroad), { state: 'Rejected', message: /residency-unservable/ })
    t.equal((await post('/v1/kueue/admission-check', { workload: { kind: 'Job' } })).status, 400)
    t.equal(world.events.filter(({ kind }) => kind === 'reservation-made').length, 3)
  },
)

/** A question over TLS to a name that the certificate has, whatever the address is. */
const secureGet = (url: string, path: string, ca: string) =>
  new Promise<{ status: number | undefined; cert: string }>((resolve, reject) => {
    const { port } = new URL(url)
    const headers = { host: 'hubward.test' }
    const options = { host: '127.0.0.1', port, path, ca, servername: 'hubward.test', headers, agent: false as const }
    httpsRequest(options, (answer) => {
      answer.resume()
      resolve({
        status: answer.statusCode,
        cert: (answer.socket as TLSSocket).getPeerCertificate().subject.CN as string,
      })
    })
      .on('error', reject)
      .end()
  })

t.test(
  'over TLS it shows its certificate, follows it when it is renewed, and speaks to nobody in the clear',
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'hubward-admin-tls-'))
    t.teardown(() => rmSync(folder, { recursive: true, force: true }))
    const file = (name: string) => readFileSync(new URL(`../fixtures/tls/${name}`, import.meta.url), 'utf8')
    const tls = { certFile: join(folder, 'tls.crt'), keyFile: join(folder, 'tls.key') }
    writeFileSync(tls.certFile, file('server.pem'))
    writeFileSync(tls.keyFile, file('server.key'))
    const { server, problems } = await setUp(t, { tls, hosts: ['hubward.test'] })
    t.match(server.url, /^https:/)
    const ca = file('ca.pem')
    t.match(await secureGet(server.url, '/healthz', ca), { status: 200, cert: 'server' })
    await t.rejects(secureGet(server.url, '/healthz', file('client.pem')), 'another authority')
    await t.rejects(fetch(`${server.url.replace('https', 'http')}/healthz`))
    writeFileSync(tls.keyFile, file('renewed.key'))
    t.match(await secureGet(server.url, '/healthz', ca), { cert: 'server' }, 'half of a renewal is not used')
    t.match(problems, [{ code: 'admin/tls', message: /new TLS files are not used/ }])
    writeFileSync(tls.certFile, file('renewed.pem'))
    t.match(await secureGet(server.url, '/healthz', ca), { cert: 'renewed' })
    await t.rejects(setUp(t, { tls: { ...tls, keyFile: join(folder, 'nowhere') } }), /ENOENT/)
  },
)

t.test('with tokens Kubernetes asks without one only where the configuration lets it', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-admin-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const tokensFile = join(folder, 'tokens')
  writeFileSync(tokensFile, `ops ${createHash('sha256').update('sesame').digest('hex')}\n`)
  for (const admissionOpen of [false, true]) {
    const { post } = await campus(t, 5, { settings: { tokensFile, admissionOpen } })
    t.equal((await post('/v1/kubernetes/admission', kubernetes('job-create'))).status, admissionOpen ? 200 : 401)
    t.equal((await post('/v1/decide', { facts: { class: 'chat' } })).status, 401)
    const known = { authorization: 'Bearer sesame' }
    t.equal((await post('/v1/decide', { facts: { class: 'chat' } }, known)).status, 200)
    t.equal((await post('/v1/kueue/admission-check', {})).status, 401)
  }
})

t.test('what is deployed to Kubernetes names routes that are there, fails closed, and can be read', (t) => {
  const documents = (name: string) =>
    parseAllDocuments(readFileSync(new URL(`../../envoy/kubernetes/${name}`, import.meta.url), 'utf8')).map((one) => {
      t.same(one.errors, [], name)
      return one.toJSON()
    })
  const [webhook] = documents('admission-webhook.yaml')
  const paths = Object.values(ROUTES as Record<string, Route>).map(({ path, method }) => `${method} ${path}`)
  t.match(webhook.webhooks, [{ failurePolicy: 'Fail' }, { failurePolicy: 'Ignore' }])
  for (const { clientConfig, rules, sideEffects, failurePolicy } of webhook.webhooks) {
    t.ok(paths.includes(`POST ${clientConfig.service.path}`))
    t.equal(sideEffects, 'NoneOnDryRun')
    for (const rule of rules) t.same(rule.operations, [failurePolicy === 'Fail' ? 'CREATE' : 'DELETE'])
  }
  const all = documents('hubward.yaml')
  const service = all.find(({ kind }) => kind === 'Service')
  t.equal(`${service.metadata.name}.${service.metadata.namespace}`, 'hubward.hubward-system')
  const deployment = all.find(({ kind }) => kind === 'Deployment')
  t.equal(deployment.spec.replicas, 1)
  const folder = mkdtempSync(join(tmpdir(), 'hubward-kubernetes-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'hubward.yaml')
  writeFileSync(file, all.find(({ kind }) => kind === 'ConfigMap').data['hubward.yaml'])
  const { config, problems } = readConfig({ file, environment: {}, settings: [] })
  t.same(problems, [])
  t.match(config, { admin: { port: 9_470, hosts: [/^hubward\.hubward-system\.svc/], tls: {} } })
  t.match(documents('kueue.yaml'), [
    { kind: 'AdmissionCheck' },
    { kind: 'ClusterQueue', spec: { admissionChecks: ['hubward'] } },
  ])
  documents('api-server-admission.yaml')
  const [job] = documents('job.yaml')
  t.same(parseNeeds(job.metadata.annotations['hubward.dev/needs']).unread, [])
  t.end()
})

t.test('whatever is posted, nothing breaks: it is answered or told what is wrong with it', async (t) => {
  const { post, bugs, view, get } = await campus(t)
  const anything = fc.jsonValue({ maxDepth: 4 })
  const annotations = fc.record(
    {
      'hubward.dev/class': fc.constantFrom('training', 'chat', 'nobody', ''),
      'hubward.dev/needs': fc.oneof(fc.constantFrom('mw=0.001', 'power.headroom_mw>=1', 'x'), fc.string()),
      'hubward.dev/residency': fc.string(),
      'hubward.dev/deadline': anything,
    },
    { requiredKeys: [] },
  )
  const bodies = fc.oneof(
    fc.record({ facts: anything, reserve: anything, key: anything }, { requiredKeys: ['facts'] }),
    fc.record({
      facts: fc.record({ class: fc.constant('training'), needs: anything, extra: anything, residency: anything }),
    }),
    fc.record({
      apiVersion: fc.constant('admission.k8s.io/v1'),
      kind: fc.constant('AdmissionReview'),
      request: fc.record({
        uid: fc.oneof(fc.uuid(), anything),
        operation: fc.constantFrom('CREATE', 'DELETE', 'UPDATE', 'CONNECT'),
        kind: anything,
        object: fc.oneof(
          anything,
          fc.record({ metadata: fc.record({ annotations, ownerReferences: anything }), spec: anything }),
        ),
        oldObject: anything,
        dryRun: anything,
      }),
    }),
    fc.record({
      workload: fc.record({ kind: fc.constant('Workload'), metadata: anything, spec: anything, status: anything }),
      check: anything,
    }),
    anything,
  )
  const paths = ['/v1/decide', '/v1/kubernetes/admission', '/v1/kubernetes/admission/ams', '/v1/kueue/admission-check']
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...paths, '/v1/jobs/x/running', '/v1/jobs/x/renew'),
      bodies,
      async (path, body) => {
        const { status } = await post(path, body)
        return [200, 400, 404, 413].includes(status)
      },
    ),
    { numRuns: 400, endOnFailure: true },
  )
  t.same(bugs, [])
  for (const job of view.all().values()) t.equal(job.class, 'training')
  t.match(await get('/v1/jobs'), { total: view.all().size })
})

t.test('a listener that does not read is let go rather than remembered', async (t) => {
  const { url, server, view } = await campus(t)
  const { port } = new URL(url)
  const socket = connect(Number(port), '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.on('error', () => {}).pause()
  socket.write(`GET /v1/jobs/events HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n\r\n`)
  while (server.streams() === 0) await new Promise((resolve) => setImmediate(resolve))
  const facts = { class: 'training', session: { verdict: 'none' }, extra: {}, needs: { mw: 1 } } as const
  const { id } = view.decide(facts, { reserve: true, dispatch: false, dryRun: false })!
  for (let i = 0; server.streams() > 0; i++) {
    view.renew(id, undefined)
    if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  t.equal(server.streams(), 0)
})

t.test('readiness, guesses and gaps are asked for in pages and stretches of time; nonsense is told', async (t) => {
  const { world, get, planner, errors } = await setUp(t)
  world.samples({ 'ams/h100': { 'power.headroom_pct': 0.5, 'queue.depth': 3 } }).pass(1_000)
  t.match((await get('/v1/readiness?limit=1')).json(), {
    now: world.now,
    rows: [
      {
        target: 'ams/h100',
        class: 'chat',
        overall: 'red',
        dimensions: { power: { state: 'red', signal: 'power.headroom_pct', measured: 0.5, limit: 3, unit: '%' } },
      },
    ],
    next: 1,
  })
  t.match((await get('/v1/readiness?site=fra&class=chat')).json(), { rows: [{ target: 'fra/default' }] })
  t.match((await get('/v1/readiness?class=nobody')).status, 404)
  for (const query of ['limit=251', 'limit=0', 'after=-1', 'after=x'])
    t.equal((await get(`/v1/readiness?${query}`)).status, 400, query)
  t.match((await get('/v1/readiness/estimates')).json(), { now: world.now, estimates: [] })

  const { ledger } = planner
  ledger.see(world.snapshot.data.targets, world.snapshot.data.readiness, world.now)
  ledger.pass(world.now + 18_000)
  t.match((await get('/v1/gaps')).json(), {
    sites: [{ site: 'ams', redHours: 0.005, dimensions: [{ dimension: 'power', redHours: 0.005 }] }],
    watchedHours: 0.005,
    total: [],
  })
  const day = new Date(world.now).toISOString().slice(0, 10)
  t.equal((await get(`/v1/gaps?from=${day}`)).json().from, Date.parse(day))
  t.match((await get(`/v1/gaps?from=${world.now + 9_000_000}&to=${world.now + 18_000_000}`)).json(), { sites: [] })
  for (const query of [
    'from=tomorrow',
    'to=2026-13-41',
    'from=2026-11-01T10',
    `to=${'9'.repeat(40)}`,
    `from=${world.now}&to=1`,
  ]) {
    const answer = await get(`/v1/gaps?${query}`)
    t.match(answer.status, 400, query)
    t.ok(answer.json().detail.length > 0)
  }
  t.same(errors, [])
})
