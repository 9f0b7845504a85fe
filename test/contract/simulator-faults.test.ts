import { once } from 'node:events'
import { text as textOf } from 'node:stream/consumers'
import t from 'tap'
import { manualClock } from '../../src/simulator/clock.ts'
import { plantFeeds } from '../helpers/plant-feeds.ts'
import { ask, CHAT, HELLO, metricsOf, order, readMetrics, send, siteFor, sumOf } from '../helpers/simulated-site.ts'

t.test('a site does as it is told over HTTP:', async (t) => {
  t.test('slow stretches what is under way, and recover lets it go on at its old pace', async (t) => {
    const clock = manualClock()
    const site = await siteFor(t, { ttftFloorMs: 100, decodeTokensPerS: 10, answerTokens: 2 }, { clock })
    const res = await send(site.url, CHAT, { ...HELLO, stream: true }).head
    await order(site, { do: 'slow', factor: 100 })
    clock.advance(9_999)
    t.equal(sumOf(readMetrics(site.metrics()), 'vllm:generation_tokens_total'), 0)
    clock.advance(1)
    t.equal(sumOf(readMetrics(site.metrics()), 'vllm:generation_tokens_total'), 1)
    await order(site, { do: 'recover' })
    clock.advance(100)
    t.ok((await textOf(res)).endsWith('[DONE]\n\n'))
  })

  t.test('fill shows in the metrics and in the state, and refuses when the queue is full', async (t) => {
    const site = await siteFor(t, { queueMax: 50 })
    t.match(await order(site, { do: 'fill', queued: 50, slots: 8 }), { running: 8, waiting: 50 })
    t.equal(sumOf(await metricsOf(site), 'vllm:num_requests_waiting'), 50)
    t.equal((await ask(site.url, CHAT, HELLO)).status, 503)
    t.match(await order(site, { do: 'recover' }), { running: 0, waiting: 0 })
    t.equal((await ask(site.url, CHAT, HELLO)).status, 200)
  })

  t.test('fill holds real requests in the line until it is released', async (t) => {
    const site = await siteFor(t, { slots: 2 })
    await order(site, { do: 'fill', queued: 0, slots: 2 })
    const res = await send(site.url, CHAT, { ...HELLO, stream: true }).head
    t.match(site.control.state(), { running: 2, waiting: 1 })
    await order(site, { do: 'fill', queued: 0 })
    t.ok((await textOf(res)).endsWith('[DONE]\n\n'))
  })

  t.test('fail answers its share of requests with its status, and counts them as errors', async (t) => {
    const site = await siteFor(t)
    await order(site, { do: 'fail', status: 502, ratio: 0.5 })
    const statuses = []
    for (let i = 0; i < 6; i++) statuses.push((await ask(site.url, CHAT, HELLO)).status)
    t.same(statuses, [200, 502, 200, 502, 200, 502])
    t.equal(sumOf(await metricsOf(site), 'vllm:request_success_total', '"error"'), 3)
    t.equal((await ask(site.url, '/health')).status, 200)
    await order(site, { do: 'fail', status: 500, scope: 'all' })
    t.same([(await ask(site.url, '/health')).status, (await ask(site.url, '/metrics')).status], [500, 500])
  })

  t.test('flap changes between well and failing with its clock', async (t) => {
    const clock = manualClock()
    const site = await siteFor(t, {}, { clock })
    await order(site, { do: 'flap', periodMs: 1_000 })
    const seen = []
    for (let i = 0; i < 4; i++) {
      seen.push((await ask(site.url, '/health')).status)
      clock.advance(500)
    }
    t.same(seen, [200, 503, 200, 503])
  })

  t.test('hang answers nothing, stops streams, and lets all of it go on after recovery', async (t) => {
    const clock = manualClock()
    const site = await siteFor(t, { decodeTokensPerS: 10 }, { clock })
    const stream = await send(site.url, CHAT, { ...HELLO, stream: true }).head
    await order(site, { do: 'hang' })
    clock.advance(60_000)
    const held = [send(site.url, CHAT, HELLO), send(site.url, '/health'), send(site.url, '/metrics')]
    const gone = send(site.url, '/health')
    await site.when(() => site.control.requests().total === 5)
    await site.when((state) => state.held === 5)
    gone.req.destroy()
    await site.when((state) => state.held === 4)
    t.equal(
      sumOf(readMetrics(site.metrics()), 'vllm:generation_tokens_total'),
      1,
      'what came before the hang is all there is',
    )
    let answered = 0
    for (const { head } of held)
      void head.then(() => {
        answered += 1
      })
    t.match(JSON.parse((await ask(site.controlUrl, '/control')).body), { faults: { hang: 'all' } })
    t.equal(answered, 0)
    await order(site, { do: 'recover' })
    clock.advance(60_000)
    t.ok((await textOf(stream)).endsWith('[DONE]\n\n'))
    t.same(await Promise.all(held.map(async ({ head }) => (await head).statusCode)), [200, 200, 200])
    for (const { head } of held) (await head).resume()
  })

  t.test('hang can be limited to one part', async (t) => {
    const site = await siteFor(t)
    await order(site, { do: 'hang', scope: 'metrics' })
    const metrics = send(site.url, '/metrics')
    t.same([(await ask(site.url, '/health')).status, (await ask(site.url, CHAT, HELLO)).status], [200, 200])
    await order(site, { do: 'hang', scope: 'chat' })
    t.equal((await metrics.head).statusCode, 200, 'what the new order does not cover goes on')
  })

  t.test('lie shows frozen values, or values that no one should believe', async (t) => {
    const site = await siteFor(t)
    await ask(site.url, CHAT, HELLO)
    await order(site, { do: 'lie', metrics: 'stale' })
    await ask(site.url, CHAT, HELLO)
    await order(site, { do: 'fill', queued: 9 })
    const stale = await metricsOf(site)
    t.same([sumOf(stale, 'vllm:num_requests_waiting'), sumOf(stale, 'vllm:e2e_request_latency_seconds_count')], [0, 1])
    for (const [lie, expected] of [
      ['nan', Number.NaN],
      ['zero', 0],
      ['absurd', 1e18],
      ['negative', -10],
    ] as const) {
      await order(site, { do: 'lie', metrics: lie })
      const samples = await metricsOf(site)
      t.same(samples.get('vllm:num_requests_waiting{engine="0",model_name="llama-3.1-70b"}'), expected, lie)
    }
    await order(site, { do: 'lie', metrics: 'garbage' })
    t.throws(() => readMetrics(site.metrics()), /not a line/)
    await order(site, { do: 'lie', metrics: 'empty' })
    t.match(await ask(site.url, '/metrics'), { status: 200, body: '' })
    await order(site, { do: 'recover' })
    t.equal(sumOf(await metricsOf(site), 'vllm:e2e_request_latency_seconds_count'), 2, 'the truth went on meanwhile')
  })

  t.test('die cuts what is open, refuses connections, and frees slots; recover has the same port again', async (t) => {
    const site = await siteFor(t, {}, { clock: manualClock() })
    const slow = await siteFor(t, { decodeTokensPerS: 1 }, { clock: manualClock() })
    const res = await send(slow.url, CHAT, { ...HELLO, stream: true }).head
    const cut = once(res, 'error')
    res.resume()
    t.match(await order(slow, { do: 'die' }), { faults: { dead: true } })
    t.match((await cut)[0], { code: 'ECONNRESET' })
    await slow.when(({ running }) => running === 0)
    await t.rejects(ask(slow.url, '/health'), { code: 'ECONNREFUSED' })
    t.match(await order(slow, { do: 'recover' }), { url: slow.url, faults: { dead: false } })
    t.equal((await ask(slow.url, '/health')).status, 200)
    t.equal((await ask(site.url, '/health')).status, 200)
  })

  t.test('delay-headers takes a request up late, and forgets one whose client left', async (t) => {
    const clock = manualClock()
    const site = await siteFor(t, {}, { clock })
    await order(site, { do: 'delay-headers', ms: 500 })
    const [stays, leaves] = [send(site.url, CHAT, HELLO), send(site.url, CHAT, HELLO)]
    await site.when(() => Object.values(site.control.requests().byModel)[0] === 2)
    leaves!.req.destroy()
    await site.when(() => site.control.requests().last.some(({ outcome }) => outcome === 'aborted'))
    t.equal(clock.pending(), 1)
    clock.advance(500)
    const res = await stays!.head
    t.equal(res.statusCode, 200)
    res.resume()
  })

  t.test('an order that is wrong changes nothing, and hears why', async (t) => {
    const site = await siteFor(t)
    for (const [body, problem] of [
      ['{', /not JSON/],
      [{ do: 'explode' }, /must be one of slow/],
      ['[1]', /JSON object/],
    ] as const) {
      const answer = await ask(site.controlUrl, '/control', body)
      t.match([answer.status, JSON.parse(answer.body)], [400, { error: problem }])
    }
    t.equal((await ask(site.controlUrl, '/control', 'x'.repeat(20_000))).status, 413)
    t.equal((await ask(site.controlUrl, '/nothing')).status, 404)
    t.match(await ask(site.controlUrl, '/'), { status: 200, body: /POST \/control/ })
    t.equal((await ask(site.url, '/control', { do: 'recover' })).status, 404, 'the main port takes no orders')
  })
})

plantFeeds(t)
