import t from 'tap'
import { manualClock } from '../../src/simulator/clock.ts'
import { COMMANDS, type Command, readCommand } from '../../src/simulator/commands.ts'
import { controlHelp } from '../../src/simulator/control.ts'
import { type FaultHooks, Faults } from '../../src/simulator/faults.ts'
import { optionsOf } from '../../src/simulator/hubward-site.ts'
import { Ledger } from '../../src/simulator/ledger.ts'
import { Histogram } from '../../src/simulator/meter.ts'
import { metricsText } from '../../src/simulator/metrics-text.ts'
import { type Ask, readAsk } from '../../src/simulator/openai.ts'
import { SITE_DEFAULTS, servedModels } from '../../src/simulator/options.ts'
import { type Place, Queue } from '../../src/simulator/queue.ts'
import { PrefixCache, tokenAt, tokensIn } from '../../src/simulator/tokens.ts'
import { plantLaws } from '../helpers/plant-laws.ts'

t.test('a manual clock runs what falls due in order of time, and nothing that was cancelled', async (t) => {
  const clock = manualClock(1_000)
  const ran: string[] = []
  clock.after(30, () => ran.push(`c at ${clock.now()}`))
  clock.after(10, () => {
    ran.push(`a at ${clock.now()}`)
    clock.after(5, () => ran.push(`b at ${clock.now()}`))
  })
  clock.after(20, () => ran.push('never'))()
  clock.advance(20)
  t.same(ran, ['a at 1010', 'b at 1015'])
  clock.advance(10)
  t.same(ran[2], 'c at 1030')
  t.equal(clock.pending(), 0)
})

t.test('the queue', async (t) => {
  const queueOf = (slots: number, max = 100, engines = 1) => new Queue({ slots, engines, max })
  const started: string[] = []
  const enter = (queue: Queue, name: string) => queue.enter('m', () => void started.push(name))
  t.beforeEach(() => {
    started.length = 0
  })

  t.test('starts requests first come, first served, as slots come free', async (t) => {
    const queue = queueOf(1)
    const [a, b, c] = ['a', 'b', 'c'].map((name) => enter(queue, name)) as [Place, Place, Place]
    t.same([started, queue.running(), queue.waiting()], [['a'], 1, 2])
    a.leave()
    t.same(started, ['a', 'b'])
    b.leave()
    t.same([started, c.running, queue.waiting()], [['a', 'b', 'c'], true, 0])
  })

  t.test('frees the place of a request that leaves the line, once however often it leaves', async (t) => {
    const queue = queueOf(1)
    const a = enter(queue, 'a')
    const b = enter(queue, 'b')
    enter(queue, 'c')
    b.leave()
    b.leave()
    t.equal(queue.waiting(), 1)
    a.leave()
    a.leave()
    t.same([started, queue.running()], [['a', 'c'], 1])
  })

  t.test('has room up to its limit, and with a limit of zero only while a slot is free', async (t) => {
    const queue = queueOf(1, 1)
    enter(queue, 'a')
    t.ok(queue.hasRoom())
    enter(queue, 'b')
    t.notOk(queue.hasRoom())
    const none = queueOf(1, 0)
    t.ok(none.hasRoom())
    enter(none, 'a')
    t.notOk(none.hasRoom())
  })

  t.test('counts synthetic requests as waiting and against the limit, but lets real ones pass', async (t) => {
    const queue = queueOf(2, 10)
    queue.fill({ queued: 9, slots: 0 })
    t.same([queue.waiting(), queue.running(), queue.hasRoom()], [9, 0, true])
    enter(queue, 'a')
    t.same(started, ['a'])
    queue.fill({ queued: 10, slots: 0 })
    t.notOk(queue.hasRoom())
    queue.fill({ queued: 0, slots: 0 })
    t.ok(queue.hasRoom())
  })

  t.test('holds real requests up by the slots that synthetic ones occupy, and releases them all', async (t) => {
    const queue = queueOf(2)
    const a = enter(queue, 'a')
    queue.fill({ queued: 0, slots: 5 })
    t.equal(queue.running(), 2, 'a real request keeps its slot')
    a.leave()
    enter(queue, 'b')
    t.same([started, queue.running(), queue.waiting()], [['a'], 2, 1])
    queue.fill({ queued: 0, slots: 0 })
    t.same([started, queue.running()], [['a', 'b'], 1])
  })

  t.test('gives each request to the engine with the least to do, and splits synthetic ones evenly', async (t) => {
    const queue = queueOf(1, 100, 3)
    t.same(
      ['a', 'b', 'c', 'd'].map((name) => enter(queue, name).engine),
      [0, 1, 2, 0],
    )
    queue.fill({ queued: 4, slots: 0 })
    t.same(
      [0, 1, 2].map((engine) => queue.waiting(engine)),
      [1 + 2, 1, 1],
    )
    t.same(
      [0, 1, 2].map((engine) => queue.waiting(engine, 'm')),
      [1, 0, 0],
    )
  })

  t.test('works off a line of 50,000 requests that each end as they start, without a deep stack', async (t) => {
    const queue = queueOf(1, 100_000)
    const first = enter(queue, 'first')
    let ended = 0
    for (let i = 0; i < 50_000; i++) {
      queue.enter('m', (place) => {
        ended += 1
        place.leave()
      })
    }
    first.leave()
    t.same([ended, queue.running(), queue.waiting()], [50_000, 0, 0])
  })
})

t.test('faults', async (t) => {
  const faultsOf = () => {
    const clock = manualClock()
    const did: string[] = []
    const hooks: FaultHooks = {
      door: async (open) => void did.push(open ? 'open' : 'shut'),
      fill: ({ queued, slots }) => void did.push(`fill ${queued} ${slots}`),
      freeze: () => void did.push('freeze'),
      repace: (ratio) => void did.push(`repace ${ratio}`),
      exit: () => void did.push('exit'),
    }
    return { clock, did, faults: new Faults(clock, hooks) }
  }

  t.test('refuse exactly the ordered share of requests, evenly spread', async (t) => {
    const { faults } = faultsOf()
    await faults.obey({ do: 'fail', status: 502, ratio: 0.25, scope: 'chat' })
    const answers = Array.from({ length: 12 }, () => faults.refusal('chat'))
    t.same(answers.map((answer, i) => (answer === undefined ? '' : i)).filter(String), [3, 7, 11])
    t.equal(answers[3], 502)
    t.equal(faults.refusal('health'), undefined, 'outside its scope nothing fails')
    faults.refusal('chat')
    await faults.obey({ do: 'fail', status: 500, ratio: 0.5, scope: 'chat' })
    t.same([faults.refusal('chat'), faults.refusal('chat')], [undefined, 500], 'a new order counts anew')
  })

  t.test('flap between well and failing at half the period, until recovery', async (t) => {
    const { clock, faults } = faultsOf()
    await faults.obey({ do: 'flap', periodMs: 100, how: 'fail', queued: 0 })
    const seen: (number | undefined)[] = []
    for (let i = 0; i < 4; i++) {
      seen.push(faults.refusal('chat'))
      clock.advance(50)
    }
    t.same(seen, [undefined, 503, undefined, 503])
    await faults.obey({ do: 'recover' })
    t.same([clock.pending(), faults.state.flap, faults.refusal('chat')], [0, null, undefined])
  })

  t.test('flap the door and the queue too', async (t) => {
    const { clock, did, faults } = faultsOf()
    await faults.obey({ do: 'flap', periodMs: 100, how: 'refuse', queued: 0 })
    clock.advance(100)
    t.same(did, ['open', 'shut', 'open'])
    await faults.obey({ do: 'flap', periodMs: 100, how: 'fill', queued: 7 })
    clock.advance(50)
    t.same(did.slice(3), ['fill 0 0', 'fill 7 0'])
    t.equal(clock.pending(), 1, 'a second order replaces the first')
  })

  t.test('hold what hangs until it does no longer, and forget what was given up', async (t) => {
    const { faults } = faultsOf()
    t.equal(
      faults.hold('chat', () => {}),
      undefined,
      'nothing hangs in a site that is well',
    )
    await faults.obey({ do: 'hang', scope: 'chat' })
    const resumed: string[] = []
    const go = () => void (faults.hold('chat', go) ?? resumed.push('a'))
    go()
    const release = faults.hold('chat', () => void resumed.push('b'))!
    t.equal(
      faults.hold('health', () => {}),
      undefined,
    )
    await faults.obey({ do: 'slow', factor: 2 })
    t.same(resumed, ['b'], 'only who does not hold again goes on')
    release()
    await faults.obey({ do: 'recover' })
    t.same(resumed, ['b', 'a'])
  })

  t.test('tell the work under way how its pace changes', async (t) => {
    const { did, faults } = faultsOf()
    await faults.obey({ do: 'slow', factor: 4 })
    await faults.obey({ do: 'slow', factor: 2 })
    await faults.obey({ do: 'recover' })
    t.same(
      did.filter((what) => what.startsWith('repace')),
      ['repace 4', 'repace 0.5', 'repace 0.5'],
    )
  })

  t.test('stay in force when the port of a dead site can not be had again', async (t) => {
    const faults = new Faults(manualClock(), {
      door: async (open) => {
        if (open) throw new Error('EADDRINUSE')
      },
      fill: () => {},
      freeze: () => {},
      repace: () => {},
      exit: () => {},
    })
    await faults.obey({ do: 'die', mode: 'refuse' })
    await t.rejects(faults.obey({ do: 'recover' }), /EADDRINUSE/)
    t.equal(faults.state.dead, true)
  })
})

t.test('orders', async (t) => {
  t.test('are read with the defaults of their absent fields', async (t) => {
    t.same(readCommand({ do: 'fail', ratio: 0.5 }), { do: 'fail', status: 500, ratio: 0.5, scope: 'chat' })
    t.same(readCommand({ do: 'fill', queued: 3 }), { do: 'fill', queued: 3, slots: 0 })
    t.same(readCommand({ do: 'recover' }), { do: 'recover' })
  })

  for (const [order, problem] of [
    [[], /JSON object/],
    [null, /JSON object/],
    [{ do: 'toString' }, /"do" must be one of slow, fill/],
    [{ do: 'slow' }, /slow.factor must be a number from/],
    [{ do: 'slow', factor: 'NaN' }, /slow.factor/],
    [{ do: 'slow', factor: Number.NaN }, /slow.factor/],
    [{ do: 'fill', queued: 1.5 }, /fill.queued must be a whole number/],
    [{ do: 'fail', status: 200 }, /fail.status/],
    [{ do: 'hang', scope: 'everything' }, /hang.scope must be one of all, chat/],
    [{ do: 'lie' }, /lie.metrics must be one of stale/],
    [{ do: 'recover', factor: 1 }, /recover has no field "factor"/],
    [{ do: 'die', __proto__: null, constructor: 1 }, /die has no field "constructor"/],
  ] as const) {
    t.test(`are refused with what is wrong: ${JSON.stringify(order)}`, async (t) =>
      t.match(readCommand(order), problem),
    )
  }

  t.test('are all told of by the help', async (t) => {
    const help = controlHelp()
    for (const [name, { fields, says }] of Object.entries(COMMANDS)) {
      for (const word of [name, says, ...Object.keys(fields)]) t.ok(help.includes(word), word)
    }
  })
})

t.test('what is asked of a model', async (t) => {
  const models = servedModels(['big:100', 'small'], ['old-big=big'])
  const read = (fields: unknown) =>
    readAsk('chat', typeof fields === 'string' ? fields : JSON.stringify(fields), models, 24, () => {})
  const messages = [{ role: 'user', content: 'hello' }]

  t.test('may name a model by its alias, and gets its real one', async (t) => {
    t.equal((read({ model: 'old-big', messages }) as Ask).model.name, 'big')
  })

  t.test('ends by itself at the usual length, or is cut by its own limit', async (t) => {
    const lengths = (extra: object) => {
      const ask = read({ model: 'small', messages, ...extra }) as Ask
      return [ask.answerTokens, ask.ends]
    }
    t.same(lengths({}), [24, 'stop'])
    t.same(lengths({ max_tokens: 5 }), [5, 'length'])
    t.same(lengths({ max_completion_tokens: 6, max_tokens: 5 }), [6, 'length'])
    t.same(lengths({ max_tokens: 100 }), [24, 'stop'])
    t.same(lengths({ max_tokens: 100, min_tokens: 50 }), [50, 'stop'])
    t.same(lengths({ max_tokens: 100, ignore_eos: true }), [100, 'length'])
  })

  t.test('reads text parts and leaves others out', async (t) => {
    const content = [{ type: 'text', text: 'abcd' }, { type: 'image_url', image_url: {} }, null, 'x']
    const ask = read({
      model: 'small',
      messages: [
        { role: 'system', content: 'be kind' },
        { role: 'user', content },
      ],
    }) as Ask
    t.match(ask.prompt, /^system: be kind\nuser: abcd/)
    t.equal(ask.conversation, 'system: be kind')
  })

  for (const [fields, status, message] of [
    ['{', 400, /JSON decode error/],
    ['[]', 400, /JSON object/],
    [{ messages }, 400, /model must be a string/],
    [{ model: 'none', messages }, 404, /The model `none` does not exist/],
    [{ model: 'big' }, 400, /messages must be a list/],
    [{ model: 'big', messages: [] }, 400, /at least one message/],
    [{ model: 'big', messages: [null] }, 400, /needs a role/],
    [{ model: 'big', messages, max_tokens: 0 }, 400, /max_tokens/],
    [{ model: 'big', messages, max_tokens: 99 }, 400, /maximum context length is 100 tokens/],
    [{ model: 'big', messages: [{ role: 'user', content: 'x'.repeat(500) }] }, 400, /maximum context length/],
  ] as const) {
    t.test(`is refused with ${status} for ${JSON.stringify(fields).slice(0, 60)}`, async (t) => {
      const answer = read(fields)
      t.match(answer, { status, message })
    })
  }
})

t.test(
  'the prefix cache hits a prompt and a conversation seen before in whole blocks, and forgets the oldest',
  async (t) => {
    const cache = new PrefixCache()
    const [prompt, next] = ['a'.repeat(100), 'b'.repeat(40)]
    t.equal(cache.lookup(prompt, ''), 0)
    t.equal(cache.lookup(prompt, ''), 16)
    t.equal(cache.lookup(`${prompt}\n${next}`, prompt), 16)
    for (let i = 0; i < 300; i++) cache.lookup(`other ${i}`, '')
    t.equal(cache.lookup(prompt, ''), 0)
    t.same([tokensIn(''), tokensIn('abcde')], [1, 2])
    t.equal(Array.from({ length: 7 }, (_, i) => tokenAt(i, 'ams', 'm')).join(''), 'Served by ams with m. the')
  },
)

t.test('the ledger keeps the last 200 requests, and bounded counts whatever the network sends', async (t) => {
  const ledger = new Ledger()
  const request = (path: string, headers: Record<string, string>) =>
    ledger.arrived({ headers } as never, path, `id ${path}`, 0, 'x-residency')
  for (let i = 0; i < 5_000; i++) {
    const headers = { 'x-residency': `r${i}`, 'x-hubward-reason': 'y'.repeat(10_000), other: 'z' }
    ledger.asked(request(`/v1/${i}${'x'.repeat(1_000)}`, headers), `m${i}`)
  }
  request('/health', {})
  const report = ledger.report()
  t.equal(report.total, 5_001)
  t.equal(report.last.length, 200)
  t.equal(report.last.at(-1)?.residency, 'r4999')
  t.strictSame(report.last.at(-1)?.hubward, { 'x-hubward-reason': 'y'.repeat(128) })
  for (const counts of [report.byPath, report.byModel, report.byResidency]) {
    t.equal(Object.keys(counts).length, 101)
    t.ok(counts.other! > 4_000)
  }
  t.ok(JSON.stringify(report).length < 250_000)
  ledger.forget()
  t.strictSame(ledger.report(), { total: 0, byPath: {}, byModel: {}, byResidency: {}, last: [] })
})

t.test('metrics text', async (t) => {
  t.test('sorts labels, escapes them, and writes numbers as Python does', async (t) => {
    const text = metricsText([
      {
        name: 'a:b',
        help: 'h',
        type: 'gauge',
        series: [
          [{ z: 'q"\\\n', b: '1' }, 2],
          [{}, 0.5],
          [{ n: '' }, Number.NaN],
        ],
      },
    ])
    t.equal(text, '# HELP a:b h\n# TYPE a:b gauge\na:b{b="1",z="q\\"\\\\\\n"} 2.0\na:b 0.5\na:b{n=""} NaN\n')
  })

  t.test('adds buckets up, the bound itself inside, and scales bounds and sum alone', async (t) => {
    const histogram = new Histogram([0.1, 1])
    for (const value of [0.1, 0.5, 7]) histogram.observe(value)
    const text = metricsText([{ name: 'h_ms', help: 'h', type: 'histogram', scale: 1_000, series: [[{}, histogram]] }])
    t.same(text.split('\n').slice(2, -1), [
      'h_ms_bucket{le="100.0"} 1.0',
      'h_ms_bucket{le="1000.0"} 2.0',
      'h_ms_bucket{le="+Inf"} 3.0',
      'h_ms_count 3.0',
      'h_ms_sum 7600.0',
    ])
  })
})

t.test('the command line', async (t) => {
  t.test('gives the defaults where nothing is said', async (t) => t.strictSame(optionsOf([]), SITE_DEFAULTS))

  t.test('reads models with a context, models with a colon in their name, and aliases', async (t) => {
    const options = optionsOf([
      '--models',
      'a:8192',
      '--models',
      'llama3:8b',
      '--alias',
      'big=a',
      '--decode-tokens-per-s',
      'Infinity',
    ])
    t.match(options, {
      models: [
        { name: 'a', contextTokens: 8_192, aliases: ['big'] },
        { name: 'llama3:8b', contextTokens: 32_768 },
      ],
      decodeTokensPerS: Infinity,
    })
  })

  for (const [args, problem] of [
    [['--port', '70000'], /--port takes a whole number from 0 to 65535/],
    [['--slots', '0'], /--slots/],
    [['--slots', ''], /--slots/],
    [['--engine', 'vlm'], /--engine takes vllm, vllm-old/],
    [['--alias', 'x=nobody'], /served: llama-3.1-70b/],
    [['--queue-full-status', '500'], /429 or 503/],
    [['--name', 'a b'], /--name takes letters/],
    [['--prot', '1'], /Unknown option/],
  ] as const) {
    t.test(`refuses ${args.join(' ')}`, async (t) => void t.throws(() => optionsOf(args), problem))
  }
})

t.test('every order in the table is carried out', async (t) => {
  const faults = new Faults(manualClock(), {
    door: async () => {},
    fill: () => {},
    freeze: () => {},
    repace: () => {},
    exit: () => {},
  })
  const orders: Record<Command['do'], unknown> = {
    slow: { factor: 3 },
    fill: { queued: 1 },
    fail: {},
    flap: { periodMs: 100 },
    hang: {},
    lie: { metrics: 'nan' },
    die: {},
    'delay-headers': { ms: 5 },
    recover: {},
  }
  const well = faults.state
  for (const [name, fields] of Object.entries(orders)) {
    await faults.obey(readCommand({ do: name, ...(fields as object) }) as Command)
    if (name === 'recover') t.strictSame(faults.state, well)
    else t.notSame(faults.state, well, name)
  }
})

plantLaws(t)
