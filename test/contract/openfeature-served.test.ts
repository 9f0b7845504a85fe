import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, credentials, Metadata, status } from '@grpc/grpc-js'
import { FlagdProvider } from '@openfeature/flagd-provider'
import { OFREPProvider } from '@openfeature/ofrep-provider'
import { OpenFeature, ProviderEvents } from '@openfeature/server-sdk'
import t, { type Test } from 'tap'
import { contextIn } from '../../src/admin/ofrep-answers.ts'
import { definitionText, parseSelector, type ServedFlag } from '../../src/openfeature/definitions.ts'
import { startSyncServer } from '../../src/openfeature/sync-server.ts'
import { syncListener } from '../../src/sidecar/sync-listener.ts'
import { loadedService } from '../helpers/flagd-server.ts'
import { contexts, servedWorld, webFlags } from '../helpers/flagd-world.ts'
import { jobsServer } from '../helpers/jobs-world.ts'
import { childEnvironment, until } from '../helpers/running-envoy.ts'
import { policy, site, World } from '../helpers/world.ts'

const CHAT = 'chat-prefers-frankfurt-first'
const bulk = '/ofrep/v1/evaluate/flags'

/** Server-sent events of one address, as they come. */
const listening = async (t: Test, url: string, headers: Readonly<Record<string, string>> = {}) => {
  const controller = new AbortController()
  t.teardown(() => controller.abort())
  const answer = await fetch(url, { headers, signal: controller.signal })
  const events: Record<string, string>[] = []
  const read = async (): Promise<void> => {
    let rest = ''
    for await (const part of answer.body!) {
      rest += Buffer.from(part).toString()
      const lines = rest.split('\n')
      rest = lines.pop()!
      for (const line of lines) if (line.startsWith('data: ')) events.push(JSON.parse(line.slice(6)))
    }
  }
  void read().catch(() => {})
  return { events, status: answer.status, headers: answer.headers, leave: () => controller.abort() }
}

const world = await servedWorld(t, { origins: ['https://console.example.com'] })

t.test('an OpenFeature SDK with the public OFREP provider', async (t) => {
  await OpenFeature.setProviderAndWait('ofrep', new OFREPProvider({ baseUrl: world.url }))
  const client = OpenFeature.getClient('ofrep')

  await t.test('gets routing decisions as object flags, the same that programs get', async (t) => {
    for (const context of contexts(20)) {
      const details = await client.getObjectDetails('route', {}, { ...context, country: 'NL' })
      const decision = await world.decide({ sessionKey: context.targetingKey, country: 'NL' })
      t.match(details, { reason: 'TARGETING_MATCH', variant: decision.target })
      const { action, target, cluster, reason, policy, arm } = decision
      t.match(details.value, { action, target, site: target.split('/')[0], cluster, reason, policy, arm })
    }
    const named = await client.getObjectDetails('route.fine-tuning', {}, { targetingKey: 'job-1', residency: ['EU'] })
    t.match(named, {
      variant: 'fra/h100',
      value: { policy: 'tuning@1', because: [{ target: 'lon/h100', constraint: 'residency' }] },
    })
    const unknown = await client.getObjectDetails('route', { mine: true }, { targetingKey: 'x', class: 'knitting' })
    t.match(unknown, { value: { mine: true }, errorCode: 'INVALID_CONTEXT', errorMessage: /knitting/ })
    const many = await client.getObjectDetails('route.fine-tuning', {}, { targetingKey: 'x', country: 'Atlantis' })
    t.match(many.errorMessage, /country is no country code/)
  })

  await t.test('gets the arm that requests get, in the shares of the stage', async (t) => {
    let treated = 0
    for (const context of contexts(60)) {
      const { variant } = await client.getObjectDetails(CHAT, {}, context)
      const { arm } = await world.decide({ sessionKey: context.targetingKey })
      t.equal(variant, arm, 'the targeting key is the session')
      if (variant === 'treatment') treated += 1
    }
    t.ok(treated > 5 && treated < 35, `${treated} of 60 at 30 %`)
  })

  await t.test('gets values of every type, and its own default where there is none', async (t) => {
    const context = { targetingKey: 'x', email: 'a@example.com', version: '2.0.0' }
    t.equal(await client.getStringValue('banner-text', '', context), 'hello there')
    t.equal(await client.getNumberValue('page-size', 0, context), 200)
    t.match(await client.getObjectDetails('page-limits', {}, context), { value: { rows: 5 }, reason: 'STATIC' })
    t.equal(await client.getBooleanValue('switched-off', true, context), true)
    t.match(await client.getBooleanDetails('nobody-knows-it', false, context), { errorCode: 'FLAG_NOT_FOUND' })
    t.match(await client.getStringDetails('page-size', 'mine', context), { value: 'mine', errorCode: 'TYPE_MISMATCH' })
  })
})

t.test('OFREP as it is specified', async (t) => {
  const context = { targetingKey: 'x', version: '1.0.0' }

  await t.test('answers one flag', async (t) => {
    const answers: [string, object, number, object][] = [
      ['page-limits', context, 200, { key: 'page-limits', reason: 'STATIC', variant: 'all', value: { rows: 5 } }],
      ['page-size', context, 200, { reason: 'TARGETING_MATCH', variant: 'small', metadata: { flagSetId: 'web' } }],
      ['banner-text', context, 200, { reason: 'UNKNOWN', variant: 'plain', value: 'hello' }],
      [
        'not-a-variant',
        { named: 'nobody' },
        400,
        { key: 'not-a-variant', errorCode: 'GENERAL', errorDetails: /nobody/ },
      ],
      ['nobody-knows-it', context, 404, { key: 'nobody-knows-it', errorCode: 'FLAG_NOT_FOUND', errorDetails: /./ }],
      [
        'route',
        context,
        400,
        { errorCode: 'INVALID_CONTEXT', errorDetails: /class is missing|class is no text|class/ },
      ],
    ]
    for (const [key, given, code, shape] of answers) {
      const { status, json } = await world.evaluate(key, given)
      t.equal(status, code, key)
      t.match(json, shape)
      t.equal(typeof json.metadata === 'object' && json.metadata !== null, code === 200 || json.metadata !== undefined)
    }
    for (const key of ['switched-off', 'caller-decides']) {
      const { json } = await world.evaluate(key, context)
      t.strictSame(Object.keys(json).sort(), ['key', 'metadata', 'reason'], `${key} has neither value nor variant`)
    }
    t.equal((await world.evaluate('switched-off', context)).json.reason, 'DISABLED')
  })

  await t.test('says what is wrong with a question', async (t) => {
    for (const body of ['[]', '{"context": 5}', '{"context": {"targetingKey": 7}}', '{"context": ', '[['.repeat(500)]) {
      for (const path of [bulk, `${bulk}/page-size`]) {
        const { status, json } = await world.ask(path, body)
        t.equal(status, 400)
        t.match(json, { errorCode: 'INVALID_CONTEXT', errorDetails: /./ })
      }
    }
    t.match(await world.ask(bulk, `{"context":{"a":"${'x'.repeat(70_000)}"}}`), {
      status: 413,
      json: { errorDetails: /./ },
    })
    t.strictSame(contextIn(undefined), {}, 'no context is an empty one')
  })

  await t.test('knows only its own keys, takes any context, and counts nothing that it is asked', async (t) => {
    const counted = async () =>
      (await (await fetch(`${world.url}/metrics`)).text())
        .split('\n')
        .filter((line) =>
          /^hubward_(decide_seconds_count|decisions|layer_decisions|arm_decisions|sessions|reservations\w*|internal_errors)/.test(
            line,
          ),
        )
    const before = await counted()
    for (const key of [
      'constructor',
      '__proto__',
      'toString',
      'hasOwnProperty',
      'x'.repeat(60),
      'route.constructor',
      'route.__proto__',
      'route.',
    ]) {
      const { status, json } = await world.evaluate(key, { targetingKey: 'x', residency: ['EU'] })
      t.ok(status === 404 || status === 400, `${key}: ${status}`)
      t.match(json, { key, errorCode: /^(FLAG_NOT_FOUND|INVALID_CONTEXT)$/, errorDetails: /./ })
    }
    const odd = (name: string, value: unknown) =>
      `{"context":{"targetingKey":"x",${JSON.stringify(name)}:${JSON.stringify(value)}}}`
    const names = [
      '__proto__',
      'constructor',
      'cohorts',
      'residency',
      'tier',
      'forced',
      'extra',
      'session',
      'needs',
      '$flagd',
      'tenant',
    ]
    const values = [
      null,
      5,
      'x',
      [],
      {},
      [[1]],
      { cohort: 'internal' },
      '\u0000',
      'y'.repeat(30_000),
      Object.fromEntries(Array.from({ length: 900 }, (_, i) => [`k${i}`, i])),
    ]
    for (const name of names)
      for (const value of values)
        for (const path of [bulk, `${bulk}/${CHAT}`, `${bulk}/route.fine-tuning`]) {
          const { status } = await world.ask(path, odd(name, value))
          t.ok(status === 200 || status === 400, `${path} ${name} ${JSON.stringify(value).slice(0, 20)}: ${status}`)
        }
    t.equal(
      (await world.evaluate('route.fine-tuning', { targetingKey: 'j-1', residency: ['EU'], needs: { mw: 1 } })).status,
      200,
    )
    t.strictSame(await counted(), before)
    t.strictSame((await world.ask('/v1/jobs')).json.jobs, [], 'nothing is reserved')
  })

  await t.test('has an ETag that covers the context, and sends nothing twice', async (t) => {
    const first = await world.ask(bulk, { context })
    const etag = first.headers.get('etag')!
    t.equal(etag, `"${createHash('sha256').update(first.text).digest('hex').slice(0, 32)}"`)
    const again = await world.ask(bulk, { context }, { 'if-none-match': `W/${etag}` })
    t.match([again.status, again.text], [304, ''])
    const other = await world.ask(bulk, { context: { ...context, version: '3.0.0' } }, { 'if-none-match': etag })
    t.equal(other.status, 200, 'another context has another answer')
    const keys = first.json.flags.map(({ key }: { key: string }) => key)
    t.ok(keys.includes('route.interactive-inference') && keys.includes('route.fine-tuning') && !keys.includes('route'))
    t.ok(keys.includes('switched-off'), 'disabled flags are told')
    t.match(first.json.eventStreams, [{ type: 'sse', endpoint: { origin: world.url }, inactivityDelaySec: 120 }])
  })

  await t.test('tells that an answer has changed, and only then', async (t) => {
    const streamOf = async (given: object) => {
      const { json, headers } = await world.ask(bulk, { context: given })
      const { origin, requestUri } = json.eventStreams[0].endpoint
      return { ...(await listening(t, `${origin}${requestUri}`)), etag: headers.get('etag')!, given }
    }
    const old = await streamOf({ ...context, version: '1.0.0' })
    const young = await streamOf({ ...context, version: '2.0.0' })
    const all = await listening(t, `${world.url}/ofrep/v1/events`)
    t.match((await fetch(`${world.url}/ofrep/v1/events`)).status, 503, 'only so many may listen')
    const flags = webFlags(20)
    world.write('web', { ...flags, 'page-size': { ...flags['page-size'], variants: { small: 20, large: 999 } } })
    await until('who is concerned to hear of it', () => young.events.length > 0 && all.events.length > 0)
    t.match(young.events, [{ type: 'refetchEvaluation' }])
    t.equal((await world.ask(bulk, { context: young.given })).headers.get('etag'), young.events[0]?.etag)
    world.write('web', webFlags(21))
    await until(
      'everybody to hear of it',
      () => old.events.length > 0 && young.events.length > 1 && all.events.length > 1,
    )
    t.equal(old.events.length, 1, 'whose answer was the same heard nothing of the first')
    young.leave()
    const lost = await until('the room of who has left', async () => {
      const stream = await listening(t, `${world.url}/ofrep/v1/events?ticket=of-another-time`)
      return stream.status === 200 && stream
    })
    await until('an unknown ticket to be told to ask anew', () => lost.events.length > 0)
  })

  await t.test('is open to the pages that are named, and to no others', async (t) => {
    const origin = 'https://console.example.com'
    const asked = (from: string, method: string, path: string) =>
      fetch(`${world.url}${path}`, {
        method,
        headers: { origin: from, 'content-type': 'application/json' },
        ...(method === 'POST' ? { body: JSON.stringify({ context }) } : {}),
      })
    const preflight = await asked(origin, 'OPTIONS', `${bulk}/page-size`)
    t.equal(preflight.status, 204)
    t.equal(preflight.headers.get('access-control-allow-origin'), origin)
    t.match(preflight.headers.get('access-control-allow-headers'), /Authorization.*If-None-Match.*X-API-Key/)
    const answer = await asked(origin, 'POST', bulk)
    t.match([answer.status, answer.headers.get('access-control-allow-origin')], [200, origin])
    for (const [from, method, path] of [
      ['https://evil.example.net', 'OPTIONS', bulk],
      ['https://evil.example.net', 'POST', bulk],
      [origin, 'POST', '/v1/decide'],
    ] as const) {
      const refused = await asked(from, method, path)
      t.equal(refused.status, 403, `${method} ${path} from ${from}`)
      t.equal(refused.headers.get('access-control-allow-origin'), null)
    }
  })
})

t.test('tokens apply, also as API keys, and errors are in words of OFREP', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-tokens-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const tokensFile = join(folder, 'tokens')
  writeFileSync(tokensFile, `sdk ${createHash('sha256').update('s3cret').digest('hex')}\n`)
  const world = new World({ sites: [site('ams')], policies: [policy([['ams']])] })
  const { url } = await jobsServer(t, world, { settings: { tokensFile } })
  const asked = (headers: Record<string, string>, path: string = bulk) =>
    fetch(`${url}${path}`, { method: 'POST', body: '{}', headers: { 'content-type': 'application/json', ...headers } })
  const refused = await asked({})
  t.match([refused.status, await refused.json()], [401, { errorDetails: /./ }])
  t.equal((await asked({ 'x-api-key': 'wrong' })).status, 401)
  t.equal((await asked({ 'x-api-key': 's3cret' })).status, 200)
  t.equal((await asked({ authorization: 'Bearer s3cret' })).status, 200)
  t.equal((await asked({ 'x-api-key': 's3cret' }, '/v1/decide')).status, 401, 'API keys are for OFREP alone')
  const early = await jobsServer(t, new World({}), { documents: false })
  const soon = await fetch(`${early.url}${bulk}/route`, {
    method: 'POST',
    body: '{"context":{"class":"chat"}}',
    headers: { 'content-type': 'application/json' },
  })
  t.match([soon.status, soon.headers.get('retry-after')], [503, '1'], 'before any documents')
})

t.test('flagd.sync.v1 as it is specified', async (t) => {
  const flag = (key: string, source: string, flagSetId: string, isOff = false): ServedFlag => ({
    key,
    source,
    isOff,
    definition: { state: 'ENABLED', variants: { on: true }, defaultVariant: 'on', metadata: { flagSetId } },
  })
  let flags: readonly ServedFlag[] = [flag('a', 'one', 'web'), flag('b', 'two', 'web'), flag('c', 'two', 'apps', true)]
  const server = await startSyncServer({
    flags: () => flags,
    streamsMax: 2,
    about: { server: 'hubward' },
    listen: syncListener({ host: '127.0.0.1', port: 0 }, () => {}),
  })
  t.teardown(server.stop)
  const client = new Client(server.address, credentials.createInsecure())
  t.teardown(() => client.close())
  const { SyncFlags, FetchAllFlags, GetMetadata } = loadedService()
  const header = (selector?: string): Metadata => {
    const metadata = new Metadata()
    if (selector !== undefined) metadata.set('flagd-selector', selector)
    return metadata
  }
  const fetched = (body: object, metadata = header()): Promise<Record<string, { state: string }> | number> =>
    new Promise((resolve) => {
      const { path, requestSerialize, responseDeserialize } = FetchAllFlags
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, body, metadata, (error, answer) => {
        const { flag_configuration } = (answer ?? {}) as { flag_configuration: string }
        resolve(error?.code ?? JSON.parse(flag_configuration).flags)
      })
    })
  const keysOf = async (...asked: Parameters<typeof fetched>) => Object.keys((await fetched(...asked)) as object)
  const followed = (metadata = header()) => {
    const { path, requestSerialize, responseDeserialize } = SyncFlags
    const stream = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, {}, metadata)
    const got: string[][] = []
    const codes: number[] = []
    stream.on('data', (one: { flag_configuration: string }) =>
      got.push(Object.keys(JSON.parse(one.flag_configuration).flags)),
    )
    stream.on('error', (error: { code: number }) => codes.push(error.code))
    return { stream, got, codes }
  }

  t.strictSame(await keysOf({}), ['a', 'b', 'c'])
  t.strictSame(await keysOf({ selector: 'source=two' }), ['b', 'c'])
  t.strictSame(await keysOf({ selector: 'source=two' }, header('flagSetId=web')), ['a', 'b'], 'the header goes first')
  t.strictSame(await keysOf({ selector: 'flagSetId=web,source=two' }), ['b'])
  t.strictSame(await keysOf({ selector: 'one' }), ['a'], 'a word alone is a source')
  t.equal(await fetched({ selector: 'colour=red' }), status.INVALID_ARGUMENT)
  t.match(
    await fetched({}),
    { a: { state: 'ENABLED' }, c: { state: 'DISABLED' } },
    'stale flags that are off are disabled',
  )
  t.equal(parseSelector('x'.repeat(600)), undefined)
  t.equal(definitionText(flags, {}), definitionText([...flags], {}), 'the same flags give the same text')
  const about = await new Promise((resolve) => {
    const { path, requestSerialize, responseDeserialize } = GetMetadata
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, {}, (_error, answer) => resolve(answer))
  })
  t.match(about, { metadata: { fields: { server: { stringValue: 'hubward' } } } })

  const all = followed()
  const web = followed(header('flagSetId=web'))
  await until('both to have their flags', () => all.got.length > 0 && web.got.length > 0)
  const third = followed()
  await until('a third to be refused', () => third.codes.length > 0)
  t.strictSame(third.codes, [status.RESOURCE_EXHAUSTED])
  flags = [...flags, flag('d', 'two', 'apps')]
  server.changed()
  await until('who is concerned to be told', () => all.got.length > 1)
  flags = [...flags]
  server.changed()
  flags = [...flags, flag('e', 'one', 'web')]
  server.changed()
  await until('both to be told', () => all.got.length > 2 && web.got.length > 1)
  t.strictSame(
    web.got,
    [
      ['a', 'b'],
      ['a', 'b', 'e'],
    ],
    'who is not concerned hears nothing',
  )
  t.strictSame(all.got.at(-1), ['a', 'b', 'c', 'd', 'e'])

  all.stream.pause()
  const large = 'x'.repeat(300_000)
  const changes = 40
  for (let index = 1; index <= changes; index++) {
    const { definition, ...rest } = flag(`a-${index}`, 'one', 'web')
    flags = [{ ...rest, definition: { ...definition, metadata: { flagSetId: 'web', large } } }]
    const before = web.got.length
    server.changed()
    await until('who reads to be told', () => web.got.length > before)
  }
  const slowBefore = all.got.length
  all.stream.resume()
  await until('who was slow to have the newest', () => all.got.at(-1)?.[0] === `a-${changes}`)
  // The client itself keeps sixteen messages, and its window some more.
  t.ok(all.got.length - slowBefore < 25, `of ${changes} changes it was sent ${all.got.length - slowBefore}`)
  all.stream.cancel()
  web.stream.cancel()
  await until('the room of who has left', () => server.streams() === 0)
})

t.test('operators list flags and evaluate one', async (t) => {
  const cli = (...words: string[]): Promise<{ code: number; out: string; err: string }> =>
    new Promise((resolve) => {
      const program = join(import.meta.dirname, '..', '..', 'src', 'cli', 'hubward.ts')
      const args = [program, 'flags', ...words, '--admin', world.url]
      execFile(process.execPath, args, { env: childEnvironment() }, (error, out, err) =>
        resolve({ code: error === null ? 0 : Number(error.code), out, err }),
      )
    })
  const [list, json, shown, route, none, bad] = await Promise.all([
    cli(),
    cli('--json'),
    cli('show', CHAT),
    cli('eval', 'route.fine-tuning', '--context', '{"targetingKey":"j-1","residency":["EU"]}'),
    cli('eval', 'nobody-knows-it'),
    cli('eval', 'page-size', '--context', '[1]'),
  ])
  t.match(
    list.out,
    new RegExp(
      `${CHAT} +rollout +interactive-inference +enabled +control\\* treatment +frankfurt-first running 30 % +routing`,
    ),
  )
  t.match(list.out, /switched-off +- +- +disabled/)
  t.match(JSON.parse(json.out).flags, [{ key: 'banner-text', source: 'web', state: 'ENABLED' }])
  t.match(JSON.parse(shown.out), { written: { variants: { control: {} } }, served: { targeting: { fractional: [] } } })
  t.equal(JSON.parse(shown.out).written.targeting, undefined, 'what was written is told beside what is served')
  t.match(route.out, /"target": "fra\/h100"[\s\S]*variant fra\/h100, TARGETING_MATCH/)
  t.match([none.code, none.err], [1, /FLAG_NOT_FOUND/])
  t.match([bad.code, bad.err], [2, /no JSON object/])
  const { json: sources } = await world.ask('/sources')
  t.match(
    sources.sources.filter(({ kind }: { kind: string }) => kind === 'flags-file'),
    [{ name: 'routing', owner: 'routing@example.com', refusal: [] }, { name: 'web' }],
  )
  t.match(await (await fetch(`${world.url}/metrics`)).text(), /hubward_flags\{source="web"\} 7/)
})

t.test('a provider of flagd that evaluates in process', async (t) => {
  const provider = new FlagdProvider({ resolverType: 'in-process', socketPath: world.socket, deadlineMs: 10_000 })
  await OpenFeature.setProviderAndWait('flagd', provider)
  t.teardown(() => provider.onClose?.())
  const client = OpenFeature.getClient('flagd')
  const differing = async (): Promise<string[]> => {
    const wrong: string[] = []
    for (const context of contexts(40)) {
      const { json } = await world.ask(bulk, { context })
      for (const { key, variant, value, errorCode } of json.flags as Record<string, unknown>[]) {
        if (String(key).startsWith('route')) continue
        const mine =
          typeof value === 'number' ? -1 : typeof value === 'string' ? 'mine' : typeof value === 'object' ? {} : false
        const ask = { number: 'Number', string: 'String', object: 'Object' }[typeof value as string] ?? 'Boolean'
        // biome-ignore lint/suspicious/noExplicitAny: one method for each type.
        const theirs = await (client as any)[`get${ask}Details`](key, mine, context)
        const isSame =
          errorCode === undefined
            ? theirs.variant === variant &&
              (variant === undefined || JSON.stringify(theirs.value) === JSON.stringify(value))
            : theirs.errorCode === errorCode
        if (!isSame) wrong.push(`${key} ${JSON.stringify([context, variant, value, errorCode, theirs])}`)
      }
    }
    return wrong
  }
  t.strictSame(await differing(), [], 'gives what hubward gives')
  const changed = () => new Promise((resolve) => client.addHandler(ProviderEvents.ConfigurationChanged, resolve))
  const afterWrite = changed()
  world.write('web', webFlags(33))
  await afterWrite
  t.equal(await client.getNumberValue('page-size', 0, { version: '1.0.0' }), 33)
  t.strictSame(await differing(), [], 'and after an update')
  const before = await Promise.all(contexts(60).map((context) => client.getObjectDetails(CHAT, {}, context)))
  const afterOrder = changed()
  const order = { order: 'promote', author: 'lead@example.com', reason: 'looks good' }
  t.equal((await world.ask('/v1/rollouts/frankfurt-first/order', order)).status, 200)
  await afterOrder
  const after = await Promise.all(contexts(60).map((context) => client.getObjectDetails(CHAT, {}, context)))
  t.strictSame(await differing(), [], 'and after a rollout has gone on')
  const count = (list: typeof before) => list.filter(({ variant }) => variant === 'treatment').length
  t.ok(count(after) > count(before), `${count(before)}, then ${count(after)} of 60 at 30 %, then 60 %`)
  t.ok(
    before.every(({ variant }, index) => variant === 'control' || after[index]?.variant === 'treatment'),
    'whoever had the treatment keeps it',
  )
})
