import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { parseAllDocuments } from 'yaml'
import { murmur3 } from '../../src/math/murmur3.ts'
import { METRICS } from '../../src/metrics/table.ts'
import { SIGNALS } from '../../src/model/signal.ts'
import { manualClock } from '../../src/simulator/clock.ts'
import { readCommand } from '../../src/simulator/commands.ts'
import { BIG_MODEL, CALLERS, CAST, RESIDENCY_HOSTS, SMALL_MODEL } from '../../src/simulator/demo/cast.ts'
import type { Chapter, RolloutSeen, Turn } from '../../src/simulator/demo/chapter.ts'
import { CHAPTERS } from '../../src/simulator/demo/chapters.ts'
import { ASSISTANT_SESSIONS } from '../../src/simulator/demo/chapters-flags.ts'
import { type ChatCall, type ChatSeen, chatClient } from '../../src/simulator/demo/client.ts'
import { asked, judge, matches, shares, summary } from '../../src/simulator/demo/judge.ts'
import { Performance, type Stage } from '../../src/simulator/demo/perform.ts'
import { armsTable } from '../../src/simulator/demo/rollout-steps.ts'
import { layersSeen, rolloutSeen, switchFlag, turnsOf } from '../../src/simulator/demo/rollout-view.ts'
import { arrivalsOf, orderSite } from '../../src/simulator/demo/site-control.ts'
import { sseReader } from '../../src/simulator/demo/sse.ts'
import { type Paper, Story } from '../../src/simulator/demo/story.ts'
import { closedLoop, openLoop } from '../../src/simulator/demo/traffic.ts'
import type { Site } from '../../src/simulator/server.ts'
import { siteFor } from '../helpers/simulated-site.ts'

const clientFor = (t: Test, socketsMax = 64) => {
  const client = chatClient(socketsMax)
  t.teardown(() => client.close())
  return client
}

const callOf = (baseUrl: string, more: Partial<ChatCall> = {}): ChatCall => ({
  baseUrl,
  model: BIG_MODEL,
  prompt: 'hello',
  tokens: 5,
  timeoutMs: 60_000,
  ...more,
})

const listening = async (t: Test, server: Server): Promise<string> => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const seenOf = (more: Partial<ChatSeen> = {}): ChatSeen => ({
  at: 0,
  status: 200,
  site: 'ams',
  model: BIG_MODEL,
  sessionKey: '',
  hubward: {},
  refusal: '',
  type: 'text/event-stream',
  retryAfterS: null,
  ttftMs: 1,
  totalMs: 2,
  tokens: 5,
  complete: true,
  error: null,
  ...more,
})

t.test('the reader of events gives the same events however the bytes are cut', async (t) => {
  const text = 'data: {"a":"ü€"}\n\n: a comment\r\nevent: x\r\ndata:two\r\ndata:  lines\r\n\r\ndata: [DONE]\n\n'
  const expected = ['{"a":"ü€"}', 'two\n lines', '[DONE]']
  const bytes = Buffer.from(text)
  for (let size = 1; size <= bytes.length; size++) {
    const read = sseReader()
    const events: string[] = []
    for (let at = 0; at < bytes.length; at += size) events.push(...read(bytes.subarray(at, at + size)))
    t.strictSame(events, expected, `${size} bytes at a time`)
  }
  const read = sseReader()
  t.throws(() => {
    for (let i = 0; i < 20; i++) read(Buffer.alloc(100_000, 'x'))
  }, /longer than/)
})

t.test('the chat client', async (t) => {
  t.test('sees site, model, tokens and the end of a stream, and of an answer in one piece', async (t) => {
    const site = await siteFor(t)
    const client = clientFor(t)
    for (const stream of [true, false]) {
      const seen = await client.chat(callOf(site.url, { stream, headers: { 'x-request-id': `r-${stream}` } })).done
      t.match(seen, {
        status: 200,
        site: 'ams',
        model: BIG_MODEL,
        tokens: 5,
        complete: true,
        error: null,
        ttftMs: Number,
      })
    }
    t.same(
      site.control.requests().last.map(({ id }) => id),
      ['r-true', 'r-false'],
    )
  })

  t.test('tells the first token before the end', async (t) => {
    const clock = manualClock()
    const site = await siteFor(t, { decodeTokensPerS: 10 }, { clock })
    const chat = clientFor(t).chat(callOf(site.url))
    await chat.first
    t.equal(site.control.state().running, 1, 'the answer is still under way')
    clock.advance(1_000)
    t.match(await chat.done, { complete: true, tokens: 5 })
  })

  t.test('sees why it was refused, by a site and by a gateway', async (t) => {
    const site = await siteFor(t)
    const client = clientFor(t)
    t.match(await client.chat(callOf(site.url, { model: 'nobody' })).done, {
      status: 404,
      refusal: '404',
      complete: false,
      error: null,
    })
    const gateway = createServer((_, res) => {
      res.writeHead(503, {
        'content-type': 'application/problem+json',
        'x-hubward-action': 'deny',
        'x-hubward-reason': 'no-target',
      })
      res.end(JSON.stringify({ status: 503, reason: 'no-target', error: { code: 'other' } }))
    })
    const url = await listening(t, gateway)
    t.match(await client.chat(callOf(url)).done, {
      status: 503,
      site: '',
      refusal: 'no-target',
      hubward: { action: 'deny', reason: 'no-target' },
    })
  })

  t.test('names what went wrong, and never rejects', async (t) => {
    const client = clientFor(t)
    const dead = await siteFor(t)
    await dead.control.obey({ do: 'die', mode: 'refuse' })
    t.match(await client.chat(callOf(dead.url)).done, { status: 0, error: 'ECONNREFUSED' })
    const hung = await siteFor(t)
    await hung.control.obey({ do: 'hang', scope: 'all' })
    t.match(await client.chat(callOf(hung.url, { timeoutMs: 20 })).done, { status: 0, error: 'timeout' })
    const slow = await siteFor(t, { decodeTokensPerS: 1 }, { clock: manualClock() })
    const [cancelled, cut] = [client.chat(callOf(slow.url)), client.chat(callOf(slow.url))]
    await Promise.all([cancelled!.first, cut!.first])
    cancelled!.cancel()
    t.match(await cancelled!.done, { status: 200, error: 'cancelled', complete: false, tokens: 1 })
    await slow.control.obey({ do: 'die', mode: 'refuse' })
    t.match(await cut!.done, { status: 200, error: 'cut', complete: false })
  })

  t.test('bears an answer that is no answer', async (t) => {
    const bodies = ['data: {broken\n\n', 'data: 7\n\ndata: null\n\n', 'data: {"choices":[]}\n\n', '']
    for (const body of bodies) {
      const server = createServer((_, res) => {
        res.writeHead(200, { 'content-type': 'text/event-stream' })
        res.end(body)
      })
      const seen = await clientFor(t).chat(callOf(await listening(t, server))).done
      t.match(seen, { status: 200, complete: false, error: String })
    }
  })
})

t.test('traffic', async (t) => {
  const pending = () => {
    const { promise, resolve } = Promise.withResolvers<ChatSeen>()
    return { chat: { first: Promise.resolve(), done: promise, cancel: () => {} }, end: () => resolve(seenOf()) }
  }

  t.test('in a closed loop has never more under way than it has clients, and ends at its total', async (t) => {
    const made: ReturnType<typeof pending>[] = []
    const loop = closedLoop(
      3,
      () => {
        made.push(pending())
        return made.at(-1)!.chat
      },
      10,
    )
    for (let ended = 0; ended < 10; ended++) {
      t.equal(made.length, Math.min(10, ended + 3))
      made[ended]!.end()
      await made[ended]!.chat.done
      await new Promise(setImmediate)
    }
    t.equal((await loop.ended).seen.length, 10)
  })

  t.test('in a closed loop that is stopped begins nothing more', async (t) => {
    const made: ReturnType<typeof pending>[] = []
    const loop = closedLoop(2, () => {
      made.push(pending())
      return made.at(-1)!.chat
    })
    const stopped = loop.stop()
    for (const one of made) one.end()
    t.equal((await stopped).seen.length, 2)
  })

  t.test('in an open loop keeps its rate, skips what would be too much, and waits for what is under way', async (t) => {
    const clock = manualClock()
    const made: ReturnType<typeof pending>[] = []
    const loop = openLoop(
      10,
      4,
      () => {
        made.push(pending())
        return made.at(-1)!.chat
      },
      clock,
    )
    t.equal(made.length, 1)
    clock.advance(250)
    t.equal(made.length, 3)
    clock.advance(750)
    t.equal(made.length, 4)
    const stopped = loop.stop()
    t.equal(clock.pending(), 0)
    for (const one of made) one.end()
    t.match(await stopped, { seen: { length: 4 }, skipped: 7, dropped: 0 })
  })

  t.test('of 25,000 calls keeps the newest 10,000', async (t) => {
    let at = 0
    const done = () => ({ first: Promise.resolve(), done: Promise.resolve(seenOf({ at: at++ })), cancel: () => {} })
    const harvest = await closedLoop(1, done, 25_000).ended
    t.match(
      [harvest.seen.length, harvest.dropped, harvest.seen[0]?.at, harvest.seen.at(-1)?.at],
      [10_000, 15_000, 15_000, 24_999],
    )
  })
})

t.test('the story', async (t) => {
  const paper = (isTTY: boolean): Paper & { text: string } => ({
    text: '',
    isTTY,
    write(text: string) {
      this.text += text
    },
  })
  const tell = (on: Paper, ok: boolean) => {
    let now = 0
    const story = new Story(on, () => {
      now += 10
      return now
    })
    story.chapter('First')
    story.say('something is done')
    story.row({ what: 'new chats', expected: 'ams', seen: '12x ams', ok: true })
    story.row({ what: 'others', expected: 'fra', seen: ok ? 'fra' : 'lon', ok })
    story.table()
    return story
  }

  t.test('is told with colours on a terminal only', async (t) => {
    const [plain, coloured] = [paper(false), paper(true)]
    tell(plain, true)
    tell(coloured, true)
    const colour = String.fromCharCode(27)
    t.notOk(plain.text.includes(colour))
    t.ok(coloured.text.includes(colour))
    t.match(plain.text, /1\. First\n {3}something is done\n {3}✓ new chats: 12x ams \(as expected\)/)
    t.match(plain.text, /All 2 as expected\.\n$/)
  })

  t.test('says what was not as expected, and is not ok then, nor without rows', async (t) => {
    const on = paper(false)
    const story = tell(on, false)
    t.match(on.text, /✗ others: lon \(expected fra\)/)
    t.match(on.text, /others +fra +lon +NO\n/)
    t.match(on.text, /1 of 2 not as expected\.\n$/)
    t.notOk(story.ok())
    t.ok(tell(paper(false), true).ok())
    t.notOk(new Story(paper(false)).ok())
  })

  t.test('leaves a report', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'hubward-story-'))
    t.teardown(() => rm(folder, { recursive: true }))
    const file = join(folder, 'report.json')
    await tell(paper(false), false).report(file, { envoy: '1.40' })
    t.match(JSON.parse(await readFile(file, 'utf8')), {
      ok: false,
      envoy: '1.40',
      chapters: [
        { title: 'First', ms: 20, rows: [{ ok: true }, { what: 'others', expected: 'fra', seen: 'lon', ok: false }] },
      ],
    })
  })
})

t.test('judging', async (t) => {
  const [ams, fra, refused] = [
    seenOf({ hubward: { reason: 'first-choice' } }),
    seenOf({ site: 'fra' }),
    seenOf({ status: 503, site: '', refusal: 'no-target' }),
  ]
  const verdict = (expectation: Parameters<typeof judge>[0], seen: Record<string, ChatSeen[]> = {}) =>
    judge(expectation, { seen, arrived: { dxb: { '': 3, emea: 2 } } }).ok

  t.test('compares what is asked for, and any of a list', async (t) => {
    t.ok(matches(ams, {}))
    t.ok(matches(ams, { status: 200, site: ['fra', 'ams'], reason: 'first-choice' }))
    t.notOk(matches(fra, { reason: 'first-choice' }))
    t.notOk(matches(refused, { status: [200, 429] }))
    t.equal(
      asked({ status: 200, site: ['ams', 'fra'], reason: 'session', complete: true }),
      '200, ams or fra, reason session, complete',
    )
    t.equal(summary([ams, refused, ams]), '2x ams first-choice, 1x 503 no-target')
  })

  t.test('fails where one differs, and where there is nothing', async (t) => {
    const all = { what: '', all: 'x', match: { site: 'ams' } }
    t.ok(verdict(all, { x: [ams, ams] }))
    t.notOk(verdict(all, { x: [ams, fra] }))
    t.notOk(verdict(all, { x: [] }))
    t.notOk(verdict(all))
    t.notOk(verdict({ what: '', count: 'x', match: {}, max: 0 }))
    t.ok(verdict({ what: '', count: 'x', match: { site: 'fra' }, min: 1, max: 1 }, { x: [ams, fra] }))
    t.notOk(verdict({ what: '', count: 'x', match: { site: 'fra' }, min: 2 }, { x: [ams, fra] }))
  })

  t.test('counts arrivals by class, and does not take an unknown site for one where nothing came', async (t) => {
    t.ok(verdict({ what: '', arrived: 'dxb', min: 3, max: 3 }))
    t.ok(verdict({ what: '', residency: 'emea', onlyTo: ['dxb'] }))
    t.ok(verdict({ what: '', residency: 'uk', onlyTo: [] }))
    t.notOk(verdict({ what: '', residency: 'emea', onlyTo: [] }))
    t.notOk(verdict({ what: '', residency: 'uk', onlyTo: ['dbx'] }))
    t.notOk(verdict({ what: '', arrived: 'dxb', max: 0 }))
    t.notOk(verdict({ what: '', arrived: 'dbx', max: 0 }))
  })

  t.test('wants a ramp to begin low, end high, and not to fall on its way', async (t) => {
    const ramp = { what: '', ramp: 'x', match: { site: 'ams' }, windows: 4, from: 0.2, to: 0.9, dip: 0.1 }
    const series = (sites: string) => ({
      x: [...sites].map((site, at) => seenOf({ at, site: site === 'a' ? 'ams' : 'fra' })),
    })
    t.strictSame(shares(series('fffafaaa').x, { site: 'ams' }, 4), [0, 0.5, 0.5, 1])
    t.ok(verdict(ramp, series('fffafaaa')))
    t.notOk(verdict(ramp, series('aaaaaaaa')), 'no wait')
    t.notOk(verdict(ramp, series('ffffffff')), 'no return')
    t.notOk(verdict(ramp, series('ffaaffaa')), 'flapping')
    t.notOk(verdict(ramp, { x: [] }))
  })
})

t.test('rollouts are judged', async (t) => {
  const turn = (to: string, stage: string, at: number, treatmentUnits: number): Turn => ({
    ...{ to, stage, at, treatmentUnits, cause: '' },
  })
  const turns = {
    wins: [
      turn('running', 'ten', 3_000, 4),
      turn('held', 'ten', 4_000, 9),
      turn('running', 'ten', 5_000, 12),
      turn('running', 'all', 7_000, 80),
      turn('finished', 'all', 9_000, 300),
    ],
  }
  const judged = (to: readonly string[], more: object = {}) =>
    judge(
      { what: '', turns: 'wins', to, ...more },
      { seen: {}, arrived: {}, turns, began: 1_000, moments: { order: 2_000 } },
    )

  t.test('by their turns, where a wait in between is none', async (t) => {
    t.match(judged(['ten', 'all', 'finished']), {
      ok: true,
      seen: 'ten after 2.0 s, all after 6.0 s, finished after 8.0 s, 300 requests of the treatment',
    })
    t.match(judged(['ten', 'all', 'finished'], { from: 'order' }).seen, /^ten after 1.0 s/)
    t.notOk(judged(['all', 'finished']).ok, 'a stage was passed over')
    t.notOk(judged(['ten', 'all']).ok, 'it went on')
    t.notOk(judged(['ten', 'all', 'finished'], { unitsMax: 299 }).ok)
    t.ok(judged(['ten', 'all', 'finished'], { unitsMax: 300 }).ok)
    const back = { bad: [{ ...turn('rolled-back', 'ten', 3_000, 9), cause: 'error: 4 of 9 (E = 200)' }] }
    t.match(
      judge({ what: '', turns: 'bad', to: ['rolled-back'] }, { seen: {}, arrived: {}, turns: back, began: 1_000 }),
      {
        ok: true,
        seen: 'rolled-back after 2.0 s, 9 requests of the treatment; error: 4 of 9 (E = 200)',
      },
    )
    t.notOk(judge({ what: '', turns: 'other', to: [] }, { seen: {}, arrived: {}, turns }).ok, 'nothing is no turn')
  })

  t.test('by whether sessions stay where they came to', async (t) => {
    const seen = (text: string) => ({
      x: text.split(' ').map((one, at) => {
        const [sessionKey = '', version = ''] = one.split('@')
        return seenOf({ at, sessionKey, hubward: version === '' ? {} : { policy: `p@${version}` } })
      }),
    })
    const kept = (text: string, min = 1) =>
      judge({ what: '', kept: 'x', policy: 'p@2', min }, { seen: seen(text), arrived: {} }).ok
    t.ok(kept('a@1 b@1 a@2 b@1 a@2 b@2'))
    t.ok(kept('a@2 a a@2'), 'an answer without a policy says nothing')
    t.notOk(kept('a@1 a@2 a@1'))
    t.notOk(kept('a@2 b@1', 2), 'too few came')
    t.notOk(kept('a@1 b@1'))
  })

  t.test('and told with both arms side by side', async (t) => {
    const seen: RolloutSeen = {
      ...{ status: 'running', stage: 'ten', says: '' },
      arms: { control: { units: 900, errors: 1 }, treatment: { units: 100, errors: 0 } },
      criteria: [
        { metric: 'ttft.p95_ms', control: 180.4, treatment: 60.2, difference: -120.2, low: -140, high: -101.6 },
        { metric: 'errors.ratio', control: 0.0011, treatment: 0, difference: -0.0011, low: -0.01, high: null },
        { metric: 'outcome.tickets', control: null, treatment: null, difference: null, low: null, high: null },
      ],
    }
    t.strictSame(armsTable(seen), [
      '                 control  treatment  difference              bounds',
      'requests             900        100',
      'errors                 1          0',
      'ttft.p95_ms       180 ms      60 ms     -120 ms  [-140 ms, -102 ms]',
      'errors.ratio       0.1 %      0.0 %      -0.1 %      [-1.0 %, open]',
      'outcome.tickets  nothing    nothing     nothing        [open, open]',
    ])
  })
})

t.test('what hubward says of rollouts and flags', async (t) => {
  t.test('is read from its admin port', async (t) => {
    const asked: unknown[] = []
    const server = createServer((req, res) => {
      if (req.url === '/v1/decide') {
        req.on('data', (part: Buffer) => asked.push(JSON.parse(part.toString())))
        req.on('end', () =>
          res.end(
            '{"layers":[{"layer":"kill-switch"},{"layer":"incident","shadowed":true},{"layer":"rollout","error":"stale"}]}',
          ),
        )
        return
      }
      res.statusCode = req.url === '/v1/rollouts/known' ? 200 : 404
      const arm = (units: number, bad: object) => ({ units, bad })
      const totals = { control: arm(90, { error: 1, timeout: 2 }), treatment: arm(10, {}) }
      res.end(JSON.stringify({ state: { status: 'held', says: 'waits', totals, criteria: [] }, stage: 'ten' }))
    })
    const url = await listening(t, server)
    t.strictSame(await rolloutSeen(url, 'known'), {
      ...{ status: 'held', stage: 'ten', says: 'waits', criteria: [] },
      arms: { control: { units: 90, errors: 3 }, treatment: { units: 10, errors: 0 } },
    })
    t.equal(await rolloutSeen(url, 'unknown'), undefined)
    t.equal(await rolloutSeen('http://127.0.0.1:9', 'known'), undefined, 'nobody answers')
    t.strictSame(await layersSeen(url, 'assistants'), ['kill-switch', 'incident shadowed', 'rollout stale'])
    t.match(asked, [{ dryRun: true, facts: { class: 'assistants' } }])
  })

  t.test('is read from its journal, and flags are written to its folder in one step', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'hubward-flags-'))
    t.teardown(() => rm(folder, { recursive: true }))
    const line = (rollout: string, at: number) =>
      JSON.stringify({
        ...{
          kind: 'rollout-changed',
          at,
          rollout,
          flag: 'f',
          from: 'running',
          to: 'rolled-back',
          stage: 'ten',
          shareBp: 0,
        },
        ...{ by: 'judge', cause: 'rolled back: error', numbers: { 'units treatment': 9 } },
      })
    const lines = [line('bad', 5), line('bad', 20), line('other', 21), '{"kind":"started"}']
    await writeFile(join(folder, 'changes-00000001.jsonl'), `${lines.join('\n')}\n`)
    await writeFile(join(folder, 'changes-00000002.jsonl'), `${line('bad', 30)}\n${line('bad', 40).slice(0, 50)}`)
    t.match(await turnsOf(folder, 'bad', 10), [{ at: 20, to: 'rolled-back', treatmentUnits: 9 }, { at: 30 }])
    t.equal((await turnsOf(folder, 'bad', 10)).length, 2, 'neither the one before nor half a line')
    const file = join(folder, 'flags.json')
    await writeFile(
      file,
      '{"flags":{"stop":{"variants":{"on":1,"off":2},"defaultVariant":"off"},"go":{"defaultVariant":"a"}}}',
    )
    await switchFlag(folder, 'stop', 'on')
    t.match(JSON.parse(await readFile(file, 'utf8')), {
      flags: { stop: { defaultVariant: 'on' }, go: { defaultVariant: 'a' } },
    })
    t.rejects(switchFlag(folder, 'nobody', 'on'), /no file .* has the flag nobody/)
  })
})

/** A gateway that stands in for Envoy and hubward: the first of its sites that is in, or a refusal. */
const gatewayFor = async (t: Test, sites: readonly Site[]) => {
  const out = new Set<string>()
  const server = createServer((req, res) => {
    const session = req.headers['x-hubward-session']
    const target = sites.find(({ name }) => name === session) ?? sites.find(({ name }) => !out.has(name))
    if (target === undefined) {
      res.writeHead(503, { 'content-type': 'application/problem+json' })
      return res.end('{"reason":"no-target"}')
    }
    const reason = session === undefined ? (target === sites[0] ? 'first-choice' : 'fallback') : 'session'
    const residency = Object.entries(RESIDENCY_HOSTS).find(([, host]) => host === req.headers.host)?.[0] ?? ''
    const headers = { ...req.headers, 'x-hubward-residency': residency }
    const up = request(target.url + req.url, { method: 'POST', headers }, (answer) => {
      res.writeHead(answer.statusCode!, {
        ...answer.headers,
        'x-hubward-reason': reason,
        'x-hubward-session': target.name,
      })
      answer.pipe(res)
    })
    up.on('error', () => res.destroy())
    res.on('close', () => up.destroy())
    req.pipe(up)
  })
  return { out, url: await listening(t, server) }
}

const stageFor = async (t: Test, sites: readonly Site[], more: Partial<Stage> = {}) => {
  const gateway = await gatewayFor(t, sites)
  const controlOf = (name: string) => sites.find((site) => site.name === name)!.controlUrl
  const did: string[] = []
  const stage: Stage = {
    baseUrl: gateway.url,
    client: clientFor(t),
    sites: sites.map(({ name }) => name),
    order: (site, command) => orderSite(controlOf(site), command),
    arrivals: (site) => arrivalsOf(controlOf(site)),
    drain: async (site) => void gateway.out.add(site),
    undrain: async (site) => void gateway.out.delete(site),
    killHubward: async () => void did.push('kill'),
    startHubward: async () => void did.push('start'),
    ...more,
  }
  return { gateway, did, stage }
}

t.test('a performance', async (t) => {
  const silent: Paper = { write: () => {} }

  t.test('plays every kind of step against real sites, and judges by what was seen', async (t) => {
    const clock = manualClock()
    const [ams, fra] = [await siteFor(t, { decodeTokensPerS: 100 }, { clock }), await siteFor(t, { name: 'fra' })]
    const { did, stage } = await stageFor(t, [ams, fra])
    // Whoever waits for ams sees time pass there, in steps that a stream needs several of.
    const ticking = setInterval(() => clock.advance(20), 1)
    t.teardown(() => clearInterval(ticking))
    const chapter: Chapter = {
      id: 'all',
      title: 'all of it',
      do: [
        { do: 'say', text: 'here we go' },
        { do: 'send', as: 'new', caller: 'chat', count: 6, clients: 2 },
        { do: 'sessions', as: 'begun', caller: 'chat', count: 2 },
        { do: 'streams', as: 'running', caller: 'chat', count: 2, tokens: 40 },
        { do: 'steady', as: 'steady', caller: 'chatUk', perSecond: 50 },
        { do: 'drain', site: 'ams', forText: '1m', reason: 'test' },
        {
          do: 'until',
          as: 'moving',
          caller: 'chat',
          what: 'moves',
          match: { site: 'fra' },
          inARow: 3,
          everyMs: 1,
          withinMs: 30_000,
        },
        { do: 'resume', as: 'resumed', sessions: 'begun' },
        { do: 'order', site: 'fra', command: { do: 'fail', status: 500, ratio: 1, scope: 'chat' } },
        { do: 'send', as: 'failing', caller: 'job', count: 3, clients: 3 },
        { do: 'undrain', site: 'ams' },
        { do: 'kill-hubward' },
        { do: 'start-hubward' },
        { do: 'finish', streams: 'running' },
        { do: 'halt', steady: 'steady' },
      ],
      expect: [
        { what: 'new', all: 'new', match: { status: 200, site: 'ams', reason: 'first-choice' } },
        { what: 'resumed', all: 'resumed', match: { site: 'ams', reason: 'session' } },
        { what: 'running', all: 'running', match: { site: 'ams', complete: true } },
        { what: 'failing', count: 'failing', match: { status: 500 }, min: 3, max: 3 },
        { what: 'steady', count: 'steady', match: {}, min: 1 },
        { what: 'arrived', residency: 'emea', onlyTo: ['ams', 'fra'] },
        { what: 'wrong', residency: 'uk', onlyTo: ['ams'] },
      ],
    }
    const story = new Story(silent)
    const performance = new Performance(stage, story)
    await performance.play(chapter)
    const rows = story.chapters()[0]!.rows
    t.strictSame(
      rows.map(({ what, ok }) => (ok ? what : `not ${what}`)),
      ['moves', 'new', 'resumed', 'running', 'failing', 'steady', 'arrived', 'not wrong'],
    )
    t.strictSame(did, ['kill', 'start'])
    await performance.play({
      id: 'again',
      title: 'again',
      do: [],
      expect: [{ what: 'nothing since', arrived: 'fra', max: 0 }],
    })
    t.equal(story.chapters()[1]!.rows[0]?.ok, true, 'each chapter counts its own arrivals')
    await performance.end()
  })

  t.test('waits for rollouts and layers, switches flags, and keeps sessions apart', async (t) => {
    const site = await siteFor(t)
    const stands = ['one', 'ten', 'all']
    const flags: string[] = []
    const arms = { control: { units: 1, errors: 0 }, treatment: { units: 1, errors: 0 } }
    const [sessions, lengths] = [new Set<string>(), new Set<number>()]
    const real = clientFor(t)
    const client = {
      ...real,
      chat: (call: ChatCall) => {
        if (call.headers?.['x-session-id'] !== undefined) sessions.add(call.headers['x-session-id'])
        lengths.add(call.tokens)
        return real.chat(call)
      },
    }
    let looked = 0
    const { stage } = await stageFor(t, [site], {
      client,
      rollout: async (name) => {
        if (name !== 'wins') return undefined
        const at = stands[Math.min(looked++, 2)]!
        return {
          status: at === 'all' ? 'finished' : 'running',
          stage: at,
          says: 'it won',
          arms,
          criteria: [],
        }
      },
      turns: async (_, since) => [{ at: since + 1_000, to: 'finished', stage: 'all', cause: '', treatmentUnits: 1 }],
      setFlag: async (flag, variant) => void flags.push(`${flag} ${variant}`),
      layers: async () => (flags.length === 0 ? [] : ['incident']),
    })
    const text: string[] = []
    const story = new Story({ write: (line) => text.push(line) })
    await new Performance(stage, story).play({
      ...{ id: 'rollout', title: 'a rollout' },
      do: [
        { do: 'steady', as: 'steady', caller: 'chat', perSecond: 200, sessions: 2, tokens: 1 },
        { do: 'rollout', rollout: 'wins', what: 'ten', stage: 'ten', withinMs: 30_000 },
        { do: 'rollout', rollout: 'wins', what: 'won', status: 'finished', withinMs: 30_000, as: 'won' },
        { do: 'rollout', rollout: 'nobody', what: 'nobody', status: 'finished', withinMs: 1 },
        { do: 'arms', rollout: 'wins' },
        { do: 'layers', class: 'c', what: 'none', layers: [], withinMs: 30_000 },
        { do: 'flag', flag: 'stop', variant: 'on' },
        { do: 'layers', class: 'c', what: 'incident', layers: ['incident'], withinMs: 30_000 },
        { do: 'layers', class: 'c', what: 'never', layers: ['kill-switch'], withinMs: 1 },
        { do: 'send', as: 'after', caller: 'chat', count: 1, clients: 1 },
        { do: 'halt', steady: 'steady' },
      ],
      expect: [
        { what: 'turned', turns: 'wins', to: ['finished'] },
        { what: 'before', all: 'steady', before: 'won', match: { status: 200 } },
        { what: 'after', all: 'after', match: { policy: '' } },
      ],
    })
    t.strictSame(
      story.chapters()[0]!.rows.map(({ what, ok }) => (ok ? what : `not ${what}`)),
      ['ten', 'won', 'not nobody', 'none', 'incident', 'not never', 'turned', 'before', 'after'],
    )
    t.match(text.join(''), /requests +1 +1\n/)
    t.match(text.join(''), /it won\n/)
    t.strictSame([...sessions].sort(), ['steady-0', 'steady-1'], 'sessions take turns')
    t.strictSame([...lengths].sort(), [1, 12])
  })

  t.test('gives up waiting at its limit, says so in a row, and goes on', async (t) => {
    const site = await siteFor(t)
    const { stage } = await stageFor(t, [site])
    const story = new Story(silent)
    const until = {
      do: 'until',
      as: 'x',
      caller: 'chat',
      what: 'moves',
      match: { site: 'fra' },
      inARow: 1,
      everyMs: 1,
      withinMs: 30,
    } as const
    await new Performance(stage, story).play({
      id: 'in-vain',
      title: 'in vain',
      do: [until],
      expect: [{ what: 'after', all: 'x', match: { site: 'ams' } }],
    })
    t.match(story.chapters()[0]!.rows, [
      { what: 'moves', ok: false, seen: /^not in .*last 1x ams first-choice/ },
      { what: 'after', ok: true },
    ])
  })

  t.test('ends what is under way when it is ended early', async (t) => {
    const site = await siteFor(t, { decodeTokensPerS: 1 }, { clock: manualClock() })
    const { stage } = await stageFor(t, [site])
    const performance = new Performance(stage, new Story(silent))
    await performance.play({
      id: '',
      title: '',
      do: [{ do: 'streams', as: 'x', caller: 'chat', count: 2, tokens: 50 }],
      expect: [],
    })
    await performance.end()
    await site.when(({ running }) => running === 0)
    t.same(
      site.control.requests().last.map(({ outcome }) => outcome),
      ['aborted', 'aborted'],
    )
  })
})

const demoFile = (path: string) => readFile(new URL(`../../envoy/demo/${path}`, import.meta.url), 'utf8')
const demoDocuments = async (file: string) =>
  parseAllDocuments(await demoFile(`documents/${file}`)).map((document) => document.toJS())

t.test('the chapters', async (t) => {
  const rollouts: Record<string, { flag: string; class: string; stages: { name: string; sharePct: number }[] }> =
    Object.fromEntries((await demoDocuments('rollouts.yaml')).map(({ metadata, spec }) => [metadata.name, spec]))
  const { flags } = JSON.parse(await demoFile('flags/flags.json')) as {
    flags: Record<string, { variants: object; metadata: { class: string } }>
  }
  const classes = new Set((await demoDocuments('classes.yaml')).map(({ metadata }) => metadata.name))
  const policies = new Set(
    (await demoDocuments('policies-with-demo-timers.yaml')).map(
      ({ metadata }) => `${metadata.name}@${metadata.version}`,
    ),
  )

  t.test('switch every flag back that they switch', async (t) => {
    const switched = CHAPTERS.flatMap((chapter) => {
      const last = new Map(
        chapter.do.flatMap((step) => (step.do === 'flag' ? [[step.flag, step.variant] as const] : [])),
      )
      return [...last]
    })
    t.ok(switched.length > 0)
    for (const [flag, variant] of switched)
      t.equal(variant, (flags[flag] as { defaultVariant?: string } | undefined)?.defaultVariant, flag)
  })

  t.test('send sessions of which some fall into the first stage, and more into the second', async (t) => {
    const { flag, stages } = rollouts['amsterdam-first']!
    const fall = (sharePct: number) =>
      Array.from({ length: ASSISTANT_SESSIONS }, (_, index) => murmur3(`${flag}/arms/talk-${index}`)).filter(
        (hash) => Math.floor((hash * 10_000) / 2 ** 32) < sharePct * 100,
      ).length
    t.strictSame([fall(stages[0]!.sharePct), fall(stages[1]!.sharePct)], [3, 26])
  })

  for (const chapter of CHAPTERS) {
    t.test(`name only what there is: ${chapter.title}`, async (t) => {
      const made = new Set(chapter.do.flatMap((step) => ('as' in step ? [step.as] : [])))
      const sites = new Set(CAST.map(({ name }) => name))
      for (const step of chapter.do) {
        if ('caller' in step) t.ok(step.caller in CALLERS, step.caller)
        if ('site' in step) t.ok(sites.has(step.site), step.site)
        if (step.do === 'await' && step.failing !== undefined) t.ok(step.failing in SIGNALS, step.failing)
        if (step.do === 'order') t.type(readCommand(step.command), 'object')
        if (step.do === 'resume') t.ok(made.has(step.sessions))
        if ('streams' in step) t.ok(made.has(step.streams))
        if ('steady' in step) t.ok(made.has(step.steady))
        if ('rollout' in step) t.ok(step.rollout in rollouts, step.rollout)
        if (step.do === 'rollout' && step.stage !== undefined)
          t.ok(
            rollouts[step.rollout]?.stages.some(({ name }) => name === step.stage),
            step.stage,
          )
        if (step.do === 'flag') t.ok(step.variant in (flags[step.flag]?.variants ?? {}), `${step.flag} ${step.variant}`)
        if (step.do === 'layers') t.ok(classes.has(step.class), step.class)
      }
      const halted = chapter.do.flatMap((step) => (step.do === 'halt' ? [step.steady] : []))
      t.same(
        chapter.do.flatMap((step) => (step.do === 'steady' ? [step.as] : [])),
        halted,
        'no traffic runs on into the next chapter',
      )
      t.ok(chapter.expect.length > 0)
      for (const expectation of chapter.expect) {
        if ('all' in expectation) t.ok(made.has(expectation.all), expectation.all)
        if ('count' in expectation) t.ok(made.has(expectation.count), expectation.count)
        if ('metric' in expectation) t.ok(expectation.metric in METRICS, expectation.metric)
        if ('onlyTo' in expectation) t.ok(expectation.onlyTo.every((site) => sites.has(site)))
        if ('turns' in expectation) {
          const stages = rollouts[expectation.turns]?.stages.map(({ name }) => name) ?? []
          t.ok(expectation.to.every((turn) => stages.includes(turn) || ['finished', 'rolled-back'].includes(turn)))
        }
        if ('kept' in expectation) t.ok(made.has(expectation.kept), expectation.kept)
        if ('unanswered' in expectation) t.ok([expectation.unanswered].every((site) => sites.has(site)))
        for (const moment of 'since' in expectation || 'before' in expectation
          ? [expectation.since, expectation.before]
          : [])
          if (moment !== undefined) t.ok(made.has(moment), moment)
        if ('ramp' in expectation) t.ok(made.has(expectation.ramp), expectation.ramp)
        if ('arrived' in expectation) t.ok(sites.has(expectation.arrived), expectation.arrived)
        if ('from' in expectation && typeof expectation.from === 'string')
          t.ok(made.has(expectation.from), expectation.from)
        for (const { policy } of 'match' in expectation
          ? [expectation.match]
          : 'kept' in expectation
            ? [expectation]
            : [])
          if (policy !== undefined) t.ok(policies.has(policy), policy)
        for (const site of 'match' in expectation ? [expectation.match.site ?? []].flat() : [])
          t.ok(site === '' || sites.has(site), site)
      }
    })
  }
})

t.test('the cast is the one of the demo documents: sites, ports, models and aliases', async (t) => {
  const file = new URL('../../envoy/demo/documents/sites.yaml', import.meta.url)
  const sites = parseAllDocuments(await readFile(file, 'utf8')).map((document) => document.toJS())
  const documents = sites.map(({ metadata, spec }) => ({
    name: metadata.name,
    port: Number(spec.pools[0].endpoints[0].split(':')[1]),
    models: spec.pools[0].models.map((model: { name: string; aliases?: string[]; maxContextTokens: number }) => ({
      name: model.name,
      contextTokens: model.maxContextTokens,
      aliases: model.aliases ?? [],
    })),
    capacity: spec.pools[0].capacity,
  }))
  const cast = CAST.map(({ name, documentPort, options }) => ({
    name,
    port: documentPort,
    models: options.models,
    capacity: options.slots,
  }))
  t.strictSame(cast, documents)
  t.ok(cast.some(({ models }) => models?.[0]?.name === SMALL_MODEL))
})
