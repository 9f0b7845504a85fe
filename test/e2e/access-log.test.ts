import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import t, { type Test } from 'tap'
import { hungHubward } from '../helpers/access-log-hung.ts'
import { accessLogWorld, closedPort, scriptedSite } from '../helpers/access-log-world.ts'
import { type Answer, ask, until } from '../helpers/running-envoy.ts'

/** What a request is to be decided, what it asks, and the names of both. */
interface Sent {
  readonly id: string
  readonly path?: string
  readonly want?: string
  readonly body?: string
}

const headersOf = ({ id, want }: Sent) => ({
  'x-id': id,
  ...(want === undefined ? {} : { 'x-want': want }),
  'x-hubward-arm': 'forged',
})

/** An answer that the site holds back until it is let go. */
class Held {
  #go: (() => void) | undefined
  get isWaiting(): boolean {
    return this.#go !== undefined
  }
  wait(go: () => void): void {
    this.#go = go
  }
  go(): void {
    this.#go?.()
    this.#go = undefined
  }
}

const setUp = async (t: Test, more: Parameters<typeof accessLogWorld>[2] = {}) => {
  const held = new Held()
  const usage = '{"choices":[],"usage":{"prompt_tokens":11,"total_tokens":18,"completion_tokens":7}}'
  const ams = await scriptedSite(t, (request, response) => {
    switch (request.url) {
      case '/early':
        response.writeHead(200).flushHeaders()
        held.wait(() => response.end('token'))
        return
      case '/stream':
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.write('data: {"choices":[{"delta":{"content":"a"}}]}\n\n')
        held.wait(() => response.end(`data: ${usage}\n\ndata: [DONE]\n\n`))
        return
      case '/json':
        response.writeHead(200, { 'content-type': 'application/json', 'x-hubward-decision': 'forged' }).end(usage)
        return
      case '/reset':
        request.socket.destroy()
        return
      case '/cut':
        response.writeHead(200).write('half')
        held.wait(() => request.socket.destroy())
        return
      case '/silent':
        held.wait(() => response.end())
        return
      default:
        response.end('ams')
    }
  })
  const fra = await scriptedSite(t, (_, response) => void response.end('fra'))
  const world = await accessLogWorld(t, { ams, fra, dxb: await closedPort() }, more)
  const send = (sent: Sent): Promise<Answer> =>
    ask(world.port, sent.path ?? '/', {
      headers: headersOf(sent),
      ...(sent.body === undefined ? {} : { body: sent.body }),
    })
  /** A request whose answer is looked at before it has ended. */
  const open = (sent: Sent) => {
    const options = { host: '127.0.0.1', port: world.port, path: sent.path, headers: headersOf(sent), agent: false }
    const request = httpRequest(options as object).on('error', () => {})
    request.end()
    const head = once(request, 'response').then(([response]) => response)
    head.catch(() => {})
    return { request, head }
  }
  return { ...world, held, send, open }
}

t.test('an answer through Envoy', async (t) => {
  const { send, open, entry, held, entries } = await setUp(t)

  t.test('whose headers come before its first token is told by the first token', async (t) => {
    const { head } = open({ id: 'early', path: '/early' })
    const response = await head
    // This one begins after the headers have come and ends before the body does.
    await send({ id: 'between' })
    held.go()
    await once(response.resume(), 'end')
    const [early, between] = [await entry('early'), await entry('between')]
    t.ok(early.firstHeaderMs > 0)
    t.ok(
      early.firstBodyMs - early.firstHeaderMs >= between.durationMs,
      `${early.firstBodyMs} and ${early.firstHeaderMs} ms, ${between.durationMs} between them`,
    )
    t.ok(early.durationMs >= early.firstBodyMs)
    t.ok(early.upstreamBeginMs > 0 && early.upstreamBeginMs < early.firstHeaderMs)
    t.match(early, { status: 200, responseBytes: 5, cluster: 'ams-h100', attempts: 1, details: 'via_upstream' })
    t.match(early.requestId, /^[0-9a-f-]{36}$/)
    t.ok(Math.abs(early.startedAt - Date.now()) < 3_600_000, 'the hour is right')
  })

  t.test('carries what was decided, and nothing that a client or a site forged', async (t) => {
    await send({ id: 'whole', body: 'hello', path: '/json' })
    const whole = await entry('whole')
    t.match(whole, { requestBytes: 5, flags: [] })
    t.strictSame(
      { ...whole.headers },
      {
        'x-hubward-decision': 'whole',
        'x-hubward-cluster': 'ams-h100',
        'x-hubward-site': 'ams',
        'x-hubward-action': 'route',
        'x-hubward-reason': 'first-choice',
        'x-hubward-policy': 'chat@1',
        'x-hubward-arm': 'treatment',
        'x-hubward-residency': 'eu',
      },
    )
    t.notMatch(JSON.stringify(entries), /a-secret-token/)
    t.equal(whole.promptTokens, undefined, 'tokens are not looked for unless asked')
  })

  t.test('that another member of an aggregate gave names that member, and the tries that it took', async (t) => {
    t.equal((await send({ id: 'healed', want: 'dxb-h100+ams-h100' })).body, 'ams')
    t.match(await entry('healed'), {
      cluster: 'ams-h100',
      attempts: 2,
      status: 200,
      headers: { 'x-hubward-cluster': 'dxb-h100+ams-h100', 'x-hubward-site': 'dxb' },
    })
  })

  t.test('that a dead, breaking or unknown site owes is told by its flags', async (t) => {
    await send({ id: 'dead', want: 'dxb-h100' })
    const dead = await entry('dead')
    t.match(dead, { status: 503, cluster: 'dxb-h100', upstreamBeginMs: -1, firstHeaderMs: -1, firstBodyMs: -1 })
    t.ok(['UF', 'UH'].includes(dead.flags[0] ?? ''), dead.flags.join())
    await send({ id: 'reset', path: '/reset' })
    t.match(await entry('reset'), { status: 503, flags: ['UC'], details: /^upstream_reset_before_response_started/ })
    const { head } = open({ id: 'cut', path: '/cut' })
    const response = await head
    const closed = new Promise((resolve) =>
      response
        .on('error', () => {})
        .resume()
        .on('close', resolve),
    )
    held.go()
    await closed
    t.match(await entry('cut'), { status: 200, flags: [/^U/], details: /^upstream_reset_after_response_started/ })
    await send({ id: 'nowhere', want: 'nowhere' })
    t.match(await entry('nowhere'), { status: 503, flags: ['NC'], cluster: '' })
  })

  t.test('that its client did not wait for is told as left', async (t) => {
    const { request } = open({ id: 'left', path: '/silent' })
    await until('the site to have it', () => held.isWaiting)
    request.destroy()
    const left = await entry('left')
    t.match(left, { flags: ['DC'], details: /^downstream_remote_disconnect/, firstHeaderMs: -1, cluster: 'ams-h100' })
  })

  t.test("that is hubward's own refusal has its decision, reason and action", async (t) => {
    t.equal((await send({ id: 'refused', want: 'deny' })).status, 503)
    const refused = await entry('refused')
    t.match(refused, {
      status: 503,
      cluster: '',
      attempts: 0,
      details: 'hubward_deny_no-target',
      headers: {
        'x-hubward-action': 'deny',
        'x-hubward-reason': 'no-target',
        'x-hubward-policy': 'chat@1',
        'x-hubward-arm': 'treatment',
      },
    })
  })
})

t.test('by ext_authz a refusal has its decision as well', async (t) => {
  const { send, entry } = await setUp(t, { mode: 'ext_authz' })
  await send({ id: 'served' })
  t.match(await entry('served'), { cluster: 'ams-h100', headers: { 'x-hubward-site': 'ams' } })
  t.equal((await send({ id: 'refused', want: 'deny' })).status, 503)
  t.match(await entry('refused'), { flags: ['UAEX'], headers: { 'x-hubward-reason': 'no-target' } })
})

t.test('the counts of tokens of a stream are lifted out of its last chunk, and no chunk is held back', async (t) => {
  const { open, send, entry, held } = await setUp(t, { tokenUsage: true })
  const { head } = open({ id: 'stream', path: '/stream' })
  const response = await head
  const [first] = await once(response, 'data')
  t.match(String(first), /"content":"a"/, 'the first chunk is here, and the last is not yet written')
  held.go()
  let rest = ''
  response.on('data', (part: Buffer) => {
    rest += part
  })
  await once(response, 'end')
  t.match(rest, /\[DONE\]/)
  t.match(await entry('stream'), { promptTokens: 11, completionTokens: 7 })
  await send({ id: 'json', path: '/json' })
  t.equal((await entry('json')).promptTokens, undefined, 'an answer that is no stream is left alone')
})

t.test('a hubward that is killed and comes back gets the log again, and no request fails meanwhile', async (t) => {
  const { send, entry, kill, restart, entries, failures } = await setUp(t)
  await send({ id: 'before' })
  await entry('before')
  kill()
  for (let i = 0; i < 20; i++) t.equal((await send({ id: `down-${i}` })).status, 200)
  await restart()
  await until('a decision again', async () => (await send({ id: 'after' })).headers['x-hubward-decision'] === 'after')
  t.match(await entry('after'), { status: 200, cluster: 'ams-h100' })
  t.notOk(
    entries.some((one) => one.decision.startsWith('down-')),
    'what hubward did not decide has no decision',
  )
  t.strictSame(failures, [])
})

t.test('a hubward that hangs', hungHubward)
