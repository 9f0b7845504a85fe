import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { ServerCredentials } from '@grpc/grpc-js'
import fc from 'fast-check'
import t from 'tap'
import { readConfig } from '../../src/config.ts'
import { emptySnapshot, fold } from '../../src/engine/fold.ts'
import { isStaleSource } from '../../src/engine/fold-flags.ts'
import { FlagsFailure } from '../../src/openfeature/failure.ts'
import { flagLoop } from '../../src/openfeature/flag-loop.ts'
import { flagReader } from '../../src/openfeature/flag-reader.ts'
import { httpAsker } from '../../src/openfeature/http-ask.ts'
import { FLAG_KINDS, type FlagSourceConfig, type SyncFlagsConfig } from '../../src/openfeature/kinds.ts'
import { ofrepUrl } from '../../src/openfeature/remote-flags.ts'
import {
  readFlagsMessage,
  readSyncRequest,
  SyncMessageError,
  writeFlags,
  writeMetadata,
  writeSyncRequest,
} from '../../src/openfeature/sync-messages.ts'
import { serverOf } from '../helpers/feed-servers.ts'
import { cuttableWire, loadedService, syncService } from '../helpers/flagd-server.ts'
import { checked, definition, folderOf, openedSource, REMOTE } from '../helpers/flagd-sources.ts'

const TLS = join(import.meta.dirname, '../fixtures/tls')
const codesOf = (problems: readonly { readonly code: string }[]): string[] => problems.map(({ code }) => code)

const fileAt = (file: string, more: object = {}): FlagSourceConfig => ({
  kind: 'file',
  name: 'flags',
  file,
  ttlMs: 0,
  whenStale: 'keep',
  pollMs: 20,
  ...more,
})
const httpAt = (url: string, more: object = {}): FlagSourceConfig => ({
  kind: 'http',
  name: 'flags',
  url,
  ...REMOTE,
  ...more,
})
const ofrepAt = (url: string, more: object = {}): FlagSourceConfig => ({
  kind: 'ofrep',
  name: 'flags',
  url,
  context: { targetingKey: 'hubward' },
  ...REMOTE,
  ...more,
})
const syncAt = (port: number, more: Partial<SyncFlagsConfig> = {}): FlagSourceConfig => ({
  kind: 'flagd-sync',
  name: 'flags',
  address: `127.0.0.1:${port}`,
  streamDeadlineMs: 600_000,
  ...REMOTE,
  ...more,
})

t.test('a file is taken whole, followed, refused whole once, and good again when it is repaired', async (t) => {
  const file = join(folderOf(t), 'flags.json')
  writeFileSync(file, definition('off'))
  const source = openedSource(t, fileAt(file, { owner: 'routing@example.com' }))
  await source.sources.start()
  const first = await source.accepted('off')
  writeFileSync(file, definition('on'))
  const second = await source.accepted('on')
  writeFileSync(file, '{"flags": {"checkout": {"state": "MAYBE"}}}')
  const refused = await source.find('flags-refused')
  t.ok(refused.problems.length > 0, 'every problem is told')
  t.match(source.status(), { version: second.version, owner: 'routing@example.com', kind: 'flags-file' })
  await source.when(() => source.status().failuresInARow > 1)
  t.equal(source.changes.filter(({ kind }) => kind === 'flags-refused').length, 1, 'the same bytes are refused once')
  writeFileSync(file, definition('off'))
  await source.when(() => source.status().failuresInARow === 0)
  const nonces = source.changes.flatMap((change) => ('nonce' in change ? [change.nonce] : []))
  t.equal(new Set(nonces).size, nonces.length, 'each verdict has a nonce of its own')
  t.not(first.version, second.version)
  t.equal(source.changes.at(-1)?.kind, 'flags-accepted', 'what was good before the bad one is taken again')
})

t.test('a folder is one source: JSON and YAML together, by symlink swaps, and never empty', async (t) => {
  const folder = folderOf(t)
  const [one, two, live] = ['one', 'two', 'live'].map((name) => join(folder, name)) as [string, string, string]
  mkdirSync(one)
  mkdirSync(two)
  writeFileSync(join(one, 'a.json'), definition('on', 'checkout'))
  writeFileSync(
    join(one, 'b.yaml'),
    'flags:\n  billing: { state: ENABLED, variants: { on: true, off: false }, defaultVariant: on }\n',
  )
  writeFileSync(join(one, '.hidden.json'), 'not read')
  writeFileSync(join(two, 'a.json'), definition('off', 'checkout'))
  symlinkSync(one, live)
  const source = openedSource(t, fileAt(live))
  await source.sources.start()
  const first = await source.find('flags-accepted')
  t.strictSame(Object.keys(first.set.flags).sort(), ['billing', 'checkout'])
  symlinkSync(two, `${live}.new`)
  renameSync(`${live}.new`, live)
  const second = await source.accepted('off')
  t.strictSame(Object.keys(second.set.flags), ['checkout'], 'what a source does not report any more is gone')
  rmSync(join(two, 'a.json'))
  await source.when(() => codesOf(source.status().refusal).includes('flag-source/empty'))
  rmSync(live)
  await source.when(() => codesOf(source.status().refusal).includes('flag-source/unreadable'))
  t.equal(source.changes.length, 2, 'what can not be read is no new set: the last good one stays')
})

t.test('after a restart the kept set is in force, as old as it is, until the source answers', async (t) => {
  const folder = folderOf(t)
  const file = join(folder, 'flags.json')
  const keptFile = () => join(folder, 'last-good', 'flags.flags.json')
  writeFileSync(file, definition('on'))
  const before = openedSource(t, fileAt(file, { ttlMs: 60_000, whenStale: 'off' }), { keptFile })
  await before.sources.start()
  await before.when(() => before.changes.some(({ kind }) => kind === 'flags-heard'))
  await before.stop()
  t.strictSame(readdirSync(join(folder, 'last-good')), ['flags.flags.json'], 'and no half of one')
  const hourAgo = Math.floor(Date.now() / 1_000) - 3_600
  utimesSync(keptFile(), hourAgo, hourAgo)
  rmSync(file)
  const after = openedSource(t, fileAt(file, { ttlMs: 60_000, whenStale: 'off' }), { keptFile })
  await after.sources.start()
  const kept = await after.find('flags-accepted')
  t.match(kept, { fromDisk: true, heardAt: hourAgo * 1_000 })
  t.match(codesOf(kept.problems), ['flag-source/from-disk'])
  t.match(codesOf(after.status().refusal), ['flag-source/unreadable'], 'what is wrong with the source stays told')
  const now = Date.now()
  const { snapshot } = fold(
    emptySnapshot(() => () => true),
    { ...kept, at: now },
  )
  t.ok(isStaleSource(snapshot.data.flagSets.flags!, now), 'a restart makes nothing fresh')
  writeFileSync(file, definition('on'))
  const fresh = await after.find('flags-accepted', ({ fromDisk }) => fromDisk === undefined)
  t.equal(fresh.version, kept.version, 'the same bytes from the source are taken once more')
  await after.stop()
  const ahead = Math.floor(Date.now() / 1_000) + 86_400
  utimesSync(keptFile(), ahead, ahead)
  rmSync(file)
  const early = openedSource(t, fileAt(file, { ttlMs: 60_000, whenStale: 'off' }), { keptFile })
  await early.sources.start()
  const { at, heardAt } = await early.find('flags-accepted')
  t.ok(heardAt !== undefined && heardAt <= at, 'nothing was heard in the future, whatever the clock was then')
  await early.stop()
  writeFileSync(file, '')
  writeFileSync(keptFile(), '{"version": 7')
  rmSync(file)
  const lost = openedSource(t, fileAt(file), { keptFile })
  await lost.sources.start()
  t.equal(lost.changes.length, 0, 'what was kept and can not be read is no set')
})

t.test('what documents have against a set refuses it, and it is taken when they no longer have', async (t) => {
  const file = join(folderOf(t), 'flags.json')
  writeFileSync(file, definition('on'))
  let isWrong = true
  const check = () =>
    checked(isWrong ? [{ code: 'flag/unknown-policy', severity: 'error' as const, message: 'no such policy' }] : [])
  const source = openedSource(t, fileAt(file), { check })
  await source.sources.start()
  await source.find('flags-refused')
  isWrong = false
  source.sources.lookAgain()
  await source.accepted('on')
  t.equal(source.status().failuresInARow, 0)
})

t.test('a definition by HTTP is not sent again while it is the same, and 304 is a sign of life', async (t) => {
  let text = definition('on')
  const secret = join(folderOf(t), 'token')
  writeFileSync(secret, 's3cret\n')
  const server = await serverOf(t, (asked, response) => {
    const etag = `"${text.length}"`
    if (asked.headers['if-none-match'] === etag) response.writeHead(304).end()
    else response.writeHead(200, { etag }).end(text)
  })
  const source = openedSource(t, httpAt(`${server.url}/flags.json?key=hidden`, { auth: { bearerFile: secret } }))
  await source.sources.start()
  await source.accepted('on')
  await source.find('flags-heard')
  t.equal(server.asked[0]?.headers.authorization, 'Bearer s3cret')
  t.equal(source.status().where, `${server.url}/flags.json`, 'what is shown has no query')
  text = definition('off')
  await source.accepted('off')
  text = `${definition('on').slice(0, -1)} `
  const refused = await source.find('flags-refused')
  t.ok(refused.problems.length > 0, 'a half of a definition is refused')
  await source.when(() => source.status().failuresInARow > 2)
  t.match(source.status().refusal, refused.problems, 'not modified since a bad one is no sign of good flags')
})

t.test('a server with Last-Modified only, one that fails, and one that asks to be left alone', async (t) => {
  let status = 200
  const server = await serverOf(t, (asked, response) => {
    if (status !== 200) response.writeHead(status, { 'retry-after': '3600' }).end('no')
    else if (asked.headers['if-modified-since'] !== undefined) response.writeHead(304).end()
    else response.writeHead(200, { 'last-modified': 'Sat, 28 Nov 2026 12:00:00 GMT' }).end(definition('on'))
  })
  const source = openedSource(t, httpAt(server.url))
  await source.sources.start()
  await source.accepted('on')
  await source.find('flags-heard')
  status = 500
  await source.when(() => source.turns.at(-1) === true)
  t.match(codesOf(source.status().refusal), ['flag-source/status'])
  status = 200
  await source.when(() => source.turns.at(-1) === false)
  t.equal(source.changes.filter(({ kind }) => kind === 'flags-accepted').length, 1)
  status = 429
  const access = { headers: async () => ({}), tls: async () => undefined }
  const asker = httpAsker('there', access, 1_000)
  t.teardown(() => asker.close())
  const question = { url: server.url, method: 'GET' as const, headers: {} }
  const failure = await asker.ask(question, new AbortController().signal).catch((error: unknown) => error)
  t.equal((failure as FlagsFailure).retryAfterMs, 3_600_000)
})

t.test('answers of OFREP become flags that always give what they gave for the declared context', async (t) => {
  let flags: object[] = [
    {
      key: 'banner',
      value: { text: 'hi' },
      variant: 'short',
      reason: 'STATIC',
      metadata: { owner: 'web@example.com' },
    },
    { key: 'limit', value: 7, reason: 'TARGETING_MATCH', metadata: null },
    { key: 'quiet', reason: 'DISABLED', metadata: {} },
    { key: 'broken', errorCode: 'PARSE_ERROR', errorDetails: 'x' },
  ]
  const server = await serverOf(t, (asked, response) => {
    const body = JSON.stringify({ flags, metadata: { flagSetId: 'web' } })
    const etag = `"${body.length}"`
    if (asked.headers['if-none-match'] === etag) response.writeHead(304).end()
    else response.writeHead(200, { etag, 'content-type': 'application/json' }).end(body)
  })
  const source = openedSource(t, ofrepAt(`${server.url}/`))
  await source.sources.start()
  const first = await source.find('flags-accepted')
  await source.find('flags-heard')
  t.match(server.asked[0], {
    method: 'POST',
    path: '/ofrep/v1/evaluate/flags',
    body: JSON.stringify({ context: { targetingKey: 'hubward' } }),
  })
  const { banner, limit, quiet } = first.set.flags
  t.match(banner?.definition, {
    defaultVariant: 'short',
    variants: { short: { text: 'hi' } },
    metadata: { flagSetId: 'web' },
  })
  t.match(limit?.definition, { defaultVariant: 'value', variants: { value: 7 } })
  t.equal(quiet?.definition.state, 'DISABLED')
  t.equal(first.set.flags.broken, undefined, 'what could not be evaluated is off')
  t.match(first.problems, [{ code: 'flag-source/evaluation', severity: 'warning' }])
  flags = [
    { key: 'twice', value: 1 },
    { key: 'twice', value: 2 },
  ]
  t.match((await source.find('flags-refused')).problems, [{ code: 'flag-source/bad-answer' }])
  t.equal(ofrepUrl('http://a/b//'), 'http://a/b/ofrep/v1/evaluate/flags')
})

t.test('a stream of flagd.sync is followed over updates, a malformed one, and a lost connection', async (t) => {
  const server = await syncService(t)
  server.first = definition('on')
  const source = openedSource(t, syncAt(server.port, { selector: 'flagSetId=routing', providerId: 'hubward-1' }))
  await source.sources.start()
  await source.accepted('on')
  const [stream] = server.streams
  t.match(stream?.request, { provider_id: 'hubward-1', selector: 'flagSetId=routing' })
  t.strictSame(stream?.metadata.get('flagd-selector'), ['flagSetId=routing'])
  server.send('{"flags": ')
  await source.find('flags-refused')
  server.send(definition('off'))
  await source.accepted('off')
  t.equal(server.streams.length, 1, 'a malformed update is refused and the stream goes on')
  await source.find('flags-heard')
  server.first = definition('off', 'checkout', { metadata: { version: 'next' } })
  stream?.stream.end()
  await server.opened(2)
  await source.find('flags-accepted', ({ set }) => set.metadata.version === 'next')
  stream?.stream.destroy()
  t.match(source.turns, [true, false], 'that it failed and came back was told once each')
})

t.test('a server that has nothing to say, or answers no more, is left and found again', async (t) => {
  const server = await syncService(t, ServerCredentials.createInsecure(), false)
  const wire = await cuttableWire(t, server.port)
  const source = openedSource(t, syncAt(wire.port, { timeoutMs: 400, streamDeadlineMs: 60_000 }))
  void source.sources.start()
  await source.when(() => codesOf(source.status().refusal).includes('flag-source/timeout'))
  t.pass('without a first message in time the stream is given up')
  server.first = definition('on')
  await source.accepted('on')
  await source.find('flags-heard')
  t.pass('UNIMPLEMENTED is an answer too')
  const before = server.streams.length
  wire.cut()
  await server.opened(before + 1)
  await source.when(() => source.turns.at(-1) === false)
  t.pass('a connection on which nobody answers is left, though nothing closed it')
})

t.test('a stream that has had its time is followed by the next, and nothing is said of it', async (t) => {
  const server = await syncService(t)
  server.first = definition('on')
  const source = openedSource(t, syncAt(server.port, { streamDeadlineMs: 100 }))
  await source.sources.start()
  await server.opened(3)
  await source.accepted('on')
  t.strictSame(source.turns, [])
  t.equal(source.changes.filter(({ kind }) => kind === 'flags-accepted').length, 1)
})

t.test('flagd.sync over TLS needs the right authority', async (t) => {
  const pem = (name: string) => readFileSync(join(TLS, name))
  const pair = [{ private_key: pem('server.key'), cert_chain: pem('server.pem') }]
  const server = await syncService(t, ServerCredentials.createSsl(pem('ca.pem'), pair, true))
  server.first = definition('on')
  const tls = { caFile: join(TLS, 'ca.pem'), certFile: join(TLS, 'client.pem'), keyFile: join(TLS, 'client.key') }
  const source = openedSource(t, syncAt(server.port, { tls: { ...tls, serverName: 'hubward.test' } }))
  await source.sources.start()
  await source.accepted('on')
  const stranger = openedSource(t, syncAt(server.port, { tls: { serverName: 'hubward.test' } }))
  void stranger.sources.start()
  await stranger.when(() => stranger.status().failuresInARow > 0)
  t.equal(stranger.changes.length, 0)
})

t.test(
  'whatever a server of flagd.sync sends, the last good flags stay and the next good ones are taken',
  async (t) => {
    const server = await syncService(t)
    server.first = definition('on')
    const source = openedSource(t, syncAt(server.port))
    await source.sources.start()
    await source.accepted('on')
    for (const text of ['', 'null', '[]', '{"flags": 5}', `{"flags":${'['.repeat(200_000)}`, deep(5_000), '\ud800']) {
      const before = source.changes.length
      server.send(text)
      await source.when(() => source.changes.slice(before).some(({ kind }) => kind === 'flags-refused'))
    }
    server.send(`{"flags": {}, "x": "${'x'.repeat(9 * 1024 * 1024)}"}`)
    await source.when(() => codesOf(source.status().refusal).includes('flag-source/too-large'))
    server.first = definition('off')
    await source.accepted('off')
    for (let index = 0; index < 2_000; index++)
      server.send(definition('on', 'checkout', { metadata: { version: `${index}` } }))
    const last = await source.find('flags-accepted', ({ set }) => set.metadata.version === '1999')
    t.equal(last.set.flags.checkout?.definition.defaultVariant, 'on')
    const taken = source.changes.filter(({ kind }) => kind === 'flags-accepted').length
    t.ok(taken < 100, `of 2,000 sets that came at once ${taken} were read: only the newest waits`)
  },
)

t.test('whatever a server of HTTP sends, it is a failure with a name', async (t) => {
  const bad: Record<string, [number, Record<string, string>, (write: (part: Buffer | string) => boolean) => void]> = {
    'flag-source/too-large': [200, {}, (write) => endless(write)],
    'flag-source/timeout': [200, {}, (write) => void write('{')],
    'flag-source/encoding': [200, { 'content-encoding': 'gzip' }, (write) => void write(gzipSync('{}'))],
    'flag-source/status': [302, { location: '/elsewhere' }, () => {}],
  }
  for (const [code, [status, headers, say]] of Object.entries(bad)) {
    const server = await serverOf(t, (_asked, response) => {
      response.on('error', () => {}).writeHead(status, headers)
      response.flushHeaders()
      say((part) => response.write(part))
      if (code !== 'flag-source/timeout' && code !== 'flag-source/too-large') response.end()
    })
    const source = openedSource(t, httpAt(server.url, { timeoutMs: code === 'flag-source/timeout' ? 200 : 10_000 }))
    void source.sources.start()
    await source.when(() => source.status().failuresInARow > 0)
    t.strictSame(codesOf(source.status().refusal), [code])
    await source.stop()
  }
  const texts = ['null', '{', deep(5_000), `{"flags":{"a":${'{"a":'.repeat(50_000)}`, '\0\0\0']
  let text = ''
  const server = await serverOf(t, (_asked, response) => void response.end(text))
  const source = openedSource(t, httpAt(server.url))
  for (text of texts) {
    const before = source.changes.length
    void source.sources.start()
    await source.when(() => source.changes.length > before)
    t.equal(source.changes.at(-1)?.kind, 'flags-refused')
  }
  text = definition('on')
  await source.accepted('on')
})

t.test('a set that takes too long to read is given up, and the next one is read', async (t) => {
  const reader = flagReader(1)
  t.teardown(() => reader.end())
  await t.rejects(reader.read([{ path: 'a', text: definition('on') }], 'flagd'), /longer than 1 ms/)
  const patient = flagReader()
  t.teardown(() => patient.end())
  const many = Object.fromEntries(
    Array.from({ length: 500 }, (_, index) => [
      `flag-${index}`,
      { state: 'ENABLED', variants: { on: true }, defaultVariant: 'on' },
    ]),
  )
  const { set } = await patient.read([{ path: 'a', text: JSON.stringify({ flags: many }) }], 'flagd')
  t.equal(Object.keys(set?.flags ?? {}).length, 500, 'parts make a whole')
})

t.test('waits after failures are drawn between the least and a limit that doubles', async (t) => {
  const waits: number[] = []
  const real = globalThis.setTimeout
  t.teardown(() => {
    globalThis.setTimeout = real
  })
  const done = Promise.withResolvers<void>()
  const draws = [0, 1, 0, 1, 1, 1, 1]
  globalThis.setTimeout = ((run: () => void, ms = 0) => {
    waits.push(ms)
    if (waits.length < 7) return real(run, 0)
    done.resolve()
    return real(() => {}, 0)
  }) as typeof setTimeout
  const loop = flagLoop({
    where: 'there',
    intervalMs: 5,
    timeoutMs: 0,
    backoffMs: { min: 1_000, max: 12_000 },
    draw: () => draws.shift() ?? 0,
    attempt: async () => {
      throw new FlagsFailure([], waits.length === 6 ? 40_000 : 0)
    },
    failed: () => {},
  })
  void loop.start()
  await done.promise
  globalThis.setTimeout = real
  await loop.stop()
  t.strictSame(waits, [1_000, 4_000, 1_000, 12_000, 12_000, 12_000, 40_000])
})

t.test('the configuration gives each kind its defaults, and tells what can not be', async (t) => {
  const folder = folderOf(t)
  const file = join(folder, 'hubward.json')
  const read = (flags: readonly object[], more: object = {}) => {
    writeFileSync(file, JSON.stringify({ documents: [{ name: 'documents', dir: 'd' }], flags, ...more }))
    return readConfig({ file, environment: {} })
  }
  for (const [kind, { example }] of Object.entries(FLAG_KINDS)) {
    const { config, problems } = read([example])
    t.strictSame(problems, [], `the example of ${kind} is good`)
    t.match(config?.flags, [{ kind, name: example.name, pollMs: Number }])
  }
  const { config } = read([
    { kind: 'flagd-sync', name: 'a', socket: 'sync.sock', backoff: { max: '3s' }, tls: { caFile: 'ca.pem' } },
    {
      kind: 'ofrep',
      name: 'b',
      url: 'http://127.0.0.1:1',
      context: { file: 'not a path' },
      ttl: '90s',
      whenStale: 'off',
    },
  ])
  t.match(config, { fractionalVersion: 2, openfeature: { origins: [], streamsMax: 64 } })
  t.match(config?.flags, [
    {
      socket: join(folder, 'sync.sock'),
      tls: { caFile: join(folder, 'ca.pem') },
      pollMs: 10_000,
      timeoutMs: 5_000,
      streamDeadlineMs: 600_000,
      backoffMs: { min: 1_000, max: 3_000 },
      ttlMs: 0,
      whenStale: 'keep',
    },
    { context: { file: 'not a path' }, ttlMs: 90_000, whenStale: 'off' },
  ])
  const wrong: [object[], object, string][] = [
    [[{ kind: 'flagd-snyc', name: 'a' }], {}, 'config/flag-kind'],
    [[{ kind: 'file', name: 'documents', file: 'f' }], {}, 'config/duplicate-name'],
    [[{ kind: 'file', name: 'a' }], {}, 'schema/missing-field'],
    [[{ kind: 'http', name: 'a', url: 'ftp://x' }], {}, 'schema/bad-value'],
    [[], { openfeature: { sync: { address: '127.0.0.1:1', socket: 's' } } }, 'config/listener'],
    [[], { openfeature: { sync: { address: '0.0.0.0:8015' } } }, 'config/flags-exposed'],
    [[], { openfeature: { origins: ['*'] } }, 'schema/bad-value'],
    [[], { fractionalVersion: 4 }, 'schema/bad-value'],
  ]
  for (const [flags, more, code] of wrong) {
    const { problems } = read(flags, more)
    t.ok(codesOf(problems).includes(code), `${code} of ${codesOf(problems)}`)
  }
})

t.test(
  'messages of flagd.sync are what another codec makes of the same proto file, and bytes never break a reader',
  async (t) => {
    const { SyncFlags, GetMetadata } = loadedService()
    const texts = fc.record({ provider_id: fc.string({ unit: 'binary' }), selector: fc.string({ unit: 'binary' }) })
    fc.assert(
      fc.property(texts, (request) => {
        const bytes = writeSyncRequest({ providerId: request.provider_id, selector: request.selector })
        const { providerId, selector } = readSyncRequest(SyncFlags.requestSerialize(request))
        const theirs = SyncFlags.requestDeserialize(bytes) as typeof request
        return (
          [providerId, theirs.provider_id].every((one) => one === request.provider_id) &&
          [selector, theirs.selector].every((one) => one === request.selector)
        )
      }),
      { numRuns: 50 },
    )
    const answer = SyncFlags.responseSerialize({ flag_configuration: 'é😀' })
    t.equal(
      readFlagsMessage(Buffer.concat([Buffer.from([0x18, 1, 0x22, 1, 65, 0x29, 1, 2, 3, 4, 5, 6, 7, 8]), answer])),
      'é😀',
    )
    t.strictSame({ ...SyncFlags.responseDeserialize(writeFlags('é😀')) }, { flag_configuration: 'é😀' })
    t.match(GetMetadata.responseDeserialize(writeMetadata({ server: 'hubward' })), {
      metadata: { fields: { server: { stringValue: 'hubward' } } },
    })
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          readSyncRequest(Buffer.from(bytes))
        } catch (error) {
          if (!(error instanceof SyncMessageError)) throw error
        }
      }),
      { numRuns: 2_000 },
    )
  },
)

const deep = (levels: number): string =>
  `{"flags":{"checkout":{"state":"ENABLED","variants":{"on":true},"defaultVariant":"on","targeting":${'{"!":['.repeat(levels)}true${']}'.repeat(levels)}}}}`

const endless = (write: (part: string) => boolean): void => {
  const part = ' '.repeat(65_536)
  for (let index = 0; index < 200; index++) write(part)
}
