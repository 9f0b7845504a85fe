import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { AdminView } from '../../src/admin/handlers.ts'
import { ROUTES, type Route } from '../../src/admin/routes.ts'
import { type AdminSettings, startAdmin } from '../../src/admin/server.ts'
import type { Problem } from '../../src/model/problem.ts'
import type { SourceStatus } from '../../src/model/source.ts'
import { jobsWorld } from '../helpers/jobs-world.ts'
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
  return { world, server, get, errors, problems }
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
