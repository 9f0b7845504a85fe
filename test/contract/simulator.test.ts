import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { Agent, type ClientRequest, get, type IncomingMessage, request } from 'node:http'
import { createInterface } from 'node:readline'
import { text as textOf } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { manualClock } from '../../src/simulator/clock.ts'
import { ENGINES, type SiteOptions, servedModels } from '../../src/simulator/options.ts'
import { type Site, type SiteParts, startSite } from '../../src/simulator/server.ts'

/** A site that needs no time: whatever waits in a test waits for a condition. */
const INSTANT: Partial<SiteOptions> = {
  name: 'ams',
  prefillTokensPerS: Infinity,
  decodeTokensPerS: Infinity,
  ttftFloorMs: 0,
}
const CHAT = '/v1/chat/completions'
const HELLO = { model: 'llama-3.1-70b', messages: [{ role: 'user', content: 'hello' }] }

const siteFor = async (t: Test, options: Partial<SiteOptions> = {}, parts: SiteParts = {}): Promise<Site> => {
  const site = await startSite({ ...INSTANT, ...options }, parts)
  t.teardown(() => site.close())
  return site
}

interface Sent {
  readonly req: ClientRequest
  /** Settles when the headers have come. */
  readonly head: Promise<IncomingMessage>
}

/** A request on a connection of its own; a string is sent as it is, anything else as JSON. */
const send = (
  url: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
  method?: string,
): Sent => {
  const req = request(url + path, { method: method ?? (body === undefined ? 'GET' : 'POST'), headers, agent: false })
  const head = once(req, 'response').then(([res]) => res as IncomingMessage)
  head.catch(() => {})
  req.end(body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body))
  return { req, head }
}

const ask = async (url: string, path: string, body?: unknown, headers?: Record<string, string>, method?: string) => {
  const res = await send(url, path, body, headers, method).head
  return { status: res.statusCode, headers: res.headers, body: await textOf(res) }
}

const order = async (site: Site, command: object) => {
  const answer = await ask(site.controlUrl, '/control', command)
  if (answer.status !== 200) throw new Error(answer.body)
  return JSON.parse(answer.body)
}

/** The data of a stream's events. */
const events = (body: string): string[] =>
  body
    .split('\n\n')
    .filter(Boolean)
    .map((event) => event.replace(/^data: /, ''))

/** Samples by series from Prometheus text, read by the format's rules; throws at what breaks them. */
const readMetrics = (text: string): Map<string, number> => {
  const samples = new Map<string, number>()
  const seen = new Set<string>()
  let family = { name: '', type: '' }
  if (!text.endsWith('\n')) throw new Error('the last line must end')
  for (const line of text.slice(0, -1).split('\n')) {
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line)
    if (comment !== null) {
      const [, kind, name, rest] = comment as unknown as [string, string, string, string]
      if (kind === 'HELP' && seen.has(name)) throw new Error(`${name} comes twice`)
      if (kind === 'TYPE') family = { name, type: rest }
      seen.add(name)
      continue
    }
    const sample =
      /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (NaN|[+-]?Inf|-?[\d.]+(?:e[+-]?\d+)?)$/.exec(
        line,
      )
    if (sample === null) throw new Error(`not a line of the format: ${line}`)
    const name = sample[1]!
    const allowed =
      family.type === 'histogram' ? ['_bucket', '_sum', '_count'].map((end) => family.name + end) : [family.name]
    if (!allowed.includes(name)) throw new Error(`${name} stands under ${family.name}`)
    const key = `${name}{${sample[2] ?? ''}}`
    if (samples.has(key)) throw new Error(`${key} comes twice`)
    samples.set(key, Number(sample[3]!.replace('Inf', 'Infinity')))
  }
  return samples
}

const metricsOf = async (site: Site) => readMetrics((await ask(site.url, '/metrics')).body)

/** The sum of a metric over the series whose labels contain the text. */
const sumOf = (samples: Map<string, number>, name: string, labels = ''): number =>
  [...samples].reduce(
    (sum, [key, value]) => (key.startsWith(`${name}{`) && key.includes(labels) ? sum + value : sum),
    0,
  )

t.test('a stream', async (t) => {
  t.test(
    'has its headers before the prefill, its tokens one by one as their time comes, then usage and the end',
    async (t) => {
      const clock = manualClock(1_000_000)
      const site = await siteFor(t, { prefillTokensPerS: 1, decodeTokensPerS: 10 }, { clock })
      const res = await send(site.url, CHAT, {
        ...HELLO,
        stream: true,
        max_tokens: 3,
        stream_options: { include_usage: true },
      }).head
      t.match([res.statusCode, res.headers['content-type'], res.headers['x-site']], [200, /^text\/event-stream/, 'ams'])
      // The clock has stood still since before the request: no token can have been made.
      t.equal(sumOf(readMetrics(site.metrics()), 'vllm:generation_tokens_total'), 0)
      let body = ''
      const parts = res[Symbol.asyncIterator]()
      const contents = () => body.match(/"content":"[^"]/g)?.length
      for (const [ms, token] of [
        [3_000, 'Served'],
        [100, ' by'],
        [100, ' ams'],
      ] as const) {
        clock.advance(ms)
        while (!body.includes(`"content":"${token}"`)) body += String((await parts.next()).value)
        t.equal(sumOf(readMetrics(site.metrics()), 'vllm:generation_tokens_total'), contents())
      }
      for (let part = await parts.next(); !part.done; part = await parts.next()) body += String(part.value)
      const seen = events(body)
      t.equal(seen.length, 6)
      t.equal(seen.at(-1), '[DONE]')
      t.match(JSON.parse(seen[0]!), {
        object: 'chat.completion.chunk',
        model: 'llama-3.1-70b',
        system_fingerprint: 'site-ams',
        choices: [{ delta: { role: 'assistant', content: 'Served' }, finish_reason: null }],
      })
      t.match(JSON.parse(seen[3]!), { choices: [{ delta: { content: '' }, finish_reason: 'length' }] })
      t.match(JSON.parse(seen[4]!), { choices: [], usage: { prompt_tokens: 3, completion_tokens: 3, total_tokens: 6 } })
    },
  )

  t.test('keeps its rate when a beat comes late', async (t) => {
    const clock = manualClock()
    const site = await siteFor(t, { decodeTokensPerS: 10, answerTokens: 11 }, { clock })
    const res = await send(site.url, CHAT, { ...HELLO, stream: true }).head
    clock.advance(1_000)
    t.equal((await textOf(res)).match(/"content":"[^"]/g)?.length, 11)
  })

  t.test('stands still for a client that does not read, and goes on when it does', async (t) => {
    const site = await siteFor(t)
    const tokens = 100_000
    const { req, head } = send(site.url, CHAT, { ...HELLO, stream: true, max_tokens: tokens, ignore_eos: true })
    const res = await head
    t.ok(sumOf(readMetrics(site.metrics()), 'vllm:generation_tokens_total') < tokens)
    t.equal(site.control.state().running, 1)
    let bytes = 0
    res.on('data', (part: Buffer) => {
      bytes += part.length
    })
    await once(res, 'end')
    t.ok(bytes > tokens * 100)
    t.equal(sumOf(readMetrics(site.metrics()), 'vllm:generation_tokens_total'), tokens)
    req.destroy()
  })

  t.test('of 200 clients at once is complete for each, and leaves nothing behind', async (t) => {
    const site = await siteFor(t, { slots: 16, decodeTokensPerS: 2_000, dataParallel: 2, queueMax: 200 })
    const bodies = await Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        ask(site.url, CHAT, { ...HELLO, stream: true }, { 'x-request-id': `r${i}` }),
      ),
    )
    t.ok(bodies.every(({ body }) => events(body).length === 26 && body.endsWith('data: [DONE]\n\n')))
    t.equal(new Set(bodies.map(({ headers }) => headers['x-request-id'])).size, 200)
    await site.when(({ running, waiting }) => running + waiting === 0)
    const samples = await metricsOf(site)
    t.equal(sumOf(samples, 'vllm:request_success_total', 'finished_reason="stop"'), 200)
    t.equal(sumOf(samples, 'vllm:e2e_request_latency_seconds_count'), 200)
    t.equal(sumOf(samples, 'vllm:inter_token_latency_seconds_count'), 200 * 23)
    t.equal(sumOf(samples, 'vllm:kv_cache_usage_perc'), 0)
    t.ok(sumOf(samples, 'vllm:request_success_total', 'engine="1"') > 0, 'both engines have served')
  })
})

t.test('an answer in one piece', async (t) => {
  const site = await siteFor(t, { models: servedModels(['llama-3.2-3b:8192'], ['llama-3.1-70b=llama-3.2-3b']) })

  t.test('names its site, and the model that served where another name was asked for', async (t) => {
    const { status, headers, body } = await ask(site.url, CHAT, HELLO, { 'x-request-id': 'abc' })
    t.match([status, headers], [200, { 'x-site': 'ams', 'x-request-id': 'abc' }])
    t.match(JSON.parse(body), {
      id: 'chatcmpl-abc',
      object: 'chat.completion',
      model: 'llama-3.2-3b',
      choices: [
        { message: { role: 'assistant', content: /^Served by ams with llama-3.2-3b\./ }, finish_reason: 'stop' },
      ],
      usage: { completion_tokens: 24 },
    })
  })

  t.test('is given for a plain completion too', async (t) => {
    const { body } = await ask(site.url, '/v1/completions', { model: 'llama-3.2-3b', prompt: 'x', max_tokens: 2 })
    t.match(JSON.parse(body), { object: 'text_completion', choices: [{ text: 'Served by', finish_reason: 'length' }] })
  })

  t.test('lists the models under every name they answer to', async (t) => {
    const { data } = JSON.parse((await ask(site.url, '/v1/models')).body)
    t.match(data, [
      { id: 'llama-3.2-3b', max_model_len: 8_192 },
      { id: 'llama-3.1-70b', root: 'llama-3.2-3b' },
    ])
  })

  for (const [title, path, body, method, status, error] of [
    [
      'an unknown model',
      CHAT,
      { ...HELLO, model: 'nobody' },
      'POST',
      404,
      { type: 'NotFoundError', message: /`nobody` does not exist/ },
    ],
    ['broken JSON', CHAT, '{"model"', 'POST', 400, { type: 'BadRequestError', message: /JSON/ }],
    ['a body without messages', CHAT, { model: 'llama-3.2-3b' }, 'POST', 400, { param: 'messages' }],
    ['an unknown path', '/v1/embeddings', {}, 'POST', 404, { message: /no \/v1\/embeddings here/ }],
    ['a path named like a property', '/constructor', undefined, 'GET', 404, {}],
    ['another method', CHAT, undefined, 'GET', 405, { message: /takes POST/ }],
  ] as const) {
    t.test(`is an error in OpenAI's form for ${title}`, async (t) => {
      const answer = await ask(site.url, path, body, {}, method)
      t.equal(answer.status, status)
      t.match(JSON.parse(answer.body), { error: { ...error, code: status } })
    })
  }

  t.test('is 413 for a body that never ends', async (t) => {
    const small = await siteFor(t, { bodyBytesMax: 1_000 })
    const req = request(small.url + CHAT, { method: 'POST', agent: false })
    req.on('error', () => {})
    req.write('x'.repeat(20_000))
    const [res] = (await once(req, 'response')) as [IncomingMessage]
    t.equal(res.statusCode, 413)
    req.destroy()
  })

  t.test('leaves its connection open for the next request, and names no time for it', async (t) => {
    const agent = new Agent({ keepAlive: true })
    t.teardown(() => agent.destroy())
    const res = await once(get(`${site.url}/health`, { agent }), 'response').then(([head]) => head as IncomingMessage)
    res.resume()
    t.match(res.headers, { connection: 'keep-alive', 'keep-alive': undefined })
  })

  t.test('is 413 for a body over the limit, said or unsaid', async (t) => {
    const small = await siteFor(t, { bodyBytesMax: 1_000 })
    const long = { ...HELLO, messages: [{ role: 'user', content: 'x'.repeat(10_000) }] }
    for (const headers of [
      { 'content-length': String(JSON.stringify(long).length) },
      { 'transfer-encoding': 'chunked' },
    ]) {
      const { status, body } = await ask(small.url, CHAT, long, headers as Record<string, string>)
      t.equal(status, 413)
      t.match(JSON.parse(body), { error: { message: /at most 1000 bytes/ } })
    }
  })
})

t.test('the queue over HTTP', async (t) => {
  t.test('takes what the slots do not, in order, and refuses the rest', async (t) => {
    for (const queueFullStatus of [503, 429] as const) {
      const clock = manualClock()
      const site = await siteFor(t, { slots: 1, queueMax: 2, prefillTokensPerS: 3, queueFullStatus }, { clock })
      const [first, second, third] = [1, 2, 3].map((i) =>
        send(site.url, CHAT, { ...HELLO, stream: true }, { 'x-request-id': `${i}` }),
      )
      await Promise.all([first!.head, second!.head, third!.head])
      t.match(site.control.state(), { running: 1, waiting: 2 })
      const refused = await ask(site.url, CHAT, HELLO)
      t.match(
        [refused.status, refused.headers['retry-after'], JSON.parse(refused.body)],
        [queueFullStatus, '1', { error: { message: /queue is full/ } }],
      )
      clock.advance(1_000)
      await textOf(await first!.head)
      t.match(site.control.state(), { running: 1, waiting: 1 })
      clock.advance(2_000)
      await Promise.all([textOf(await second!.head), textOf(await third!.head)])
      t.match(site.control.state(), { running: 0, waiting: 0 })
      const samples = readMetrics(site.metrics())
      // One prefill after another: 1, 2 and 3 seconds to the first token, of which 0, 1 and 2 in the queue.
      t.equal(sumOf(samples, 'vllm:time_to_first_token_seconds_sum'), 6)
      t.equal(sumOf(samples, 'vllm:request_queue_time_seconds_sum'), 3)
    }
  })

  t.test('loses the place of a client that leaves, in the line and in a slot', async (t) => {
    const site = await siteFor(t, { slots: 1 }, { clock: manualClock() })
    await site.control.obey({ do: 'slow', factor: 10 })
    const stuck = await siteFor(t, { slots: 1, ttftFloorMs: 1_000 }, { clock: manualClock() })
    const [running, waiting, last] = [1, 2, 3].map(() => send(stuck.url, CHAT, { ...HELLO, stream: true }))
    await Promise.all([running!.head, waiting!.head, last!.head])
    waiting!.req.destroy()
    await stuck.when((state) => state.running === 1 && state.waiting === 1)
    running!.req.destroy()
    await stuck.when((state) => state.running === 1 && state.waiting === 0)
    last!.req.destroy()
    await stuck.when((state) => state.running === 0)
    const samples = readMetrics(stuck.metrics())
    t.equal(sumOf(samples, 'vllm:request_success_total', 'abort'), 3)
    t.equal(sumOf(samples, 'vllm:kv_cache_usage_perc'), 0)
    t.same(
      stuck.control.requests().last.map(({ outcome }) => outcome),
      ['aborted', 'aborted', 'aborted'],
    )
  })
})

t.test('metrics', async (t) => {
  const EXPECTED: Record<(typeof ENGINES)[number], readonly string[]> = {
    vllm: [
      'vllm:num_requests_waiting',
      'vllm:num_requests_running',
      'vllm:kv_cache_usage_perc',
      'vllm:time_to_first_token_seconds_bucket',
      'vllm:inter_token_latency_seconds_bucket',
      'vllm:e2e_request_latency_seconds_bucket',
      'vllm:request_queue_time_seconds_bucket',
      'vllm:request_success_total',
      'vllm:num_preemptions_total',
      'vllm:prefix_cache_queries_total',
      'vllm:prefix_cache_hits_total',
      'vllm:cache_config_info',
      'vllm:lora_requests_info',
    ],
    'vllm-old': [
      'vllm:gpu_cache_usage_perc',
      'vllm:time_per_output_token_seconds_bucket',
      'vllm:gpu_prefix_cache_hits_total',
    ],
    sglang: [
      'sglang:num_queue_reqs',
      'sglang:num_running_reqs',
      'sglang:token_usage',
      'sglang:cache_config_info',
      'sglang:time_to_first_token_seconds_bucket',
      'sglang:inter_token_latency_seconds_bucket',
      'sglang:e2e_request_latency_seconds_bucket',
    ],
    trtllm: [
      'trtllm_num_requests_waiting',
      'trtllm_num_requests_running',
      'trtllm_kv_cache_utilization',
      'trtllm_kv_cache_max_blocks',
      'trtllm_time_to_first_token_seconds_bucket',
      'trtllm_e2e_request_latency_seconds_bucket',
      'trtllm_request_queue_time_seconds_bucket',
    ],
    triton: [
      'nv_trt_llm_request_metrics',
      'nv_trt_llm_kv_cache_block_metrics',
      'nv_inference_pending_request_count',
      'nv_inference_exec_count',
    ],
  }
  for (const engine of ENGINES) {
    for (const dataParallel of [1, 2]) {
      t.test(`of ${engine} with ${dataParallel} engines keep the text format's rules and have its names`, async (t) => {
        const site = await siteFor(t, { engine, dataParallel, models: servedModels(['a', 'b"\\']) })
        await Promise.all([1, 2].map(() => ask(site.url, CHAT, { ...HELLO, model: 'a' })))
        const samples = await metricsOf(site)
        const names = new Set([...samples.keys()].map((key) => key.slice(0, key.indexOf('{'))))
        for (const name of EXPECTED[engine]) t.ok(names.has(name), name)
        const histograms = [...samples.keys()].filter((key) => /_bucket\{.*le="\+Inf"/.test(key))
        t.ok(histograms.length > 0)
        for (const last of histograms) {
          const [head, tail] = last.split('le="+Inf"') as [string, string]
          const buckets = [...samples].filter(([key]) => key.startsWith(`${head}le="`) && key.endsWith(tail))
          const labels = (head + tail).slice(head.indexOf('{')).replace(',,', ',').replace('{,', '{').replace(',}', '}')
          t.ok(buckets.length > 4)
          t.ok(
            buckets.every(([, value], i) => i === 0 || value >= buckets[i - 1]![1]),
            `${last} is the greatest`,
          )
          t.equal(samples.get(last), samples.get(`${head.slice(0, head.indexOf('_bucket{'))}_count${labels}`), last)
        }
      })
    }
  }

  t.test('tell what runs and waits by engine, and count what is cached', async (t) => {
    const site = await siteFor(t, { slots: 2, dataParallel: 2 })
    await site.control.obey({ do: 'fill', queued: 5, slots: 3 })
    const samples = await metricsOf(site)
    t.same(
      ['0', '1'].map((engine) => sumOf(samples, 'vllm:num_requests_waiting', `engine="${engine}"`)),
      [3, 2],
    )
    t.same(
      ['0', '1'].map((engine) => sumOf(samples, 'vllm:num_requests_running', `engine="${engine}"`)),
      [2, 1],
    )
    t.equal(sumOf(samples, 'vllm:kv_cache_usage_perc'), 3 * (1_024 / (2 * 256 * 16)))
    const long = { ...HELLO, messages: [{ role: 'user', content: 'x'.repeat(400) }] }
    await ask(site.url, CHAT, long)
    await ask(site.url, CHAT, long)
    const after = await metricsOf(site)
    t.same([sumOf(after, 'vllm:prefix_cache_queries_total'), sumOf(after, 'vllm:prefix_cache_hits_total')], [204, 96])
  })

  t.test('stand at a path of their own too with trtllm', async (t) => {
    const site = await siteFor(t, { engine: 'trtllm' })
    t.match(await ask(site.url, '/prometheus/metrics'), { status: 200, body: /^# HELP trtllm_/ })
    t.equal((await ask((await siteFor(t)).url, '/prometheus/metrics')).status, 404)
  })
})

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

t.test('a site tells what arrived: by path, model and residency, with request ids and outcomes', async (t) => {
  const site = await siteFor(t)
  await ask(site.url, CHAT, HELLO, {
    'x-request-id': 'one',
    'x-hubward-residency': 'eu',
    'x-hubward-reason': 'fallback',
  })
  await ask(site.url, CHAT, { ...HELLO, model: 'nobody' }, { 'x-request-id': 'two' })
  await ask(site.url, '/health')
  const report = JSON.parse((await ask(site.controlUrl, '/requests')).body)
  t.match(report, {
    total: 3,
    byPath: { [CHAT]: 2, '/health': 1 },
    byModel: { 'llama-3.1-70b': 1, nobody: 1 },
    byResidency: { eu: 1, none: 1 },
    last: [
      { id: 'one', outcome: 200, residency: 'eu', hubward: { 'x-hubward-reason': 'fallback' } },
      { id: 'two', outcome: 404, model: 'nobody' },
    ],
  })
  t.match(JSON.parse((await ask(site.controlUrl, '/requests', undefined, {}, 'DELETE')).body), {
    total: 0,
    last: { length: 0 },
  })
})

t.test('a site that closes', async (t) => {
  const closing = async (graceMs: number) => {
    const clock = manualClock()
    const site = await startSite({ ...INSTANT, decodeTokensPerS: 10 }, { clock })
    await site.control.obey({ do: 'flap', periodMs: 1_000_000, how: 'fill', queued: 0 })
    const res = await send(site.url, CHAT, { ...HELLO, stream: true }).head
    const closed = site.close(graceMs)
    const gone = async (url: string) => {
      await t.rejects(ask(url, '/health'), { code: 'ECONNREFUSED' })
    }
    await gone(site.url)
    return { clock, res, done: () => closed.then(() => gone(site.controlUrl)) }
  }

  t.test('lets an answer end within its grace', async (t) => {
    const { clock, res, done } = await closing(60_000)
    clock.advance(10_000)
    t.ok((await textOf(res)).endsWith('[DONE]\n\n'))
    await done()
  })

  t.test('cuts what is left after its grace, and at once without one', async (t) => {
    for (const graceMs of [1_000, 0]) {
      const { clock, res, done } = await closing(graceMs)
      clock.advance(graceMs)
      await t.rejects(textOf(res), { code: 'ECONNRESET' })
      await done()
      t.equal(clock.pending(), 0, 'nothing goes on by itself')
    }
  })
})

t.test('hubward-site in a process of its own', async (t) => {
  const run = async (t: Test, ...args: string[]) => {
    const env = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/^(NODE_OPTIONS|NODE_V8_COVERAGE|TAP)/.test(name)),
    )
    const file = new URL('../../src/simulator/hubward-site.ts', import.meta.url).pathname
    const child: ChildProcess = spawn(process.execPath, [file, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    t.teardown(() => void child.kill('SIGKILL'))
    const exit = once(child, 'exit').then(([code]) => code as number)
    const [line] = (await Promise.race([once(createInterface(child.stdout!), 'line'), exit.then(() => [''])])) as [
      string,
    ]
    return { child, exit, line, said: line === '' ? undefined : JSON.parse(line) }
  }

  t.test('says in one line where it listens, serves, and stops with 0 on SIGTERM and SIGINT', async (t) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      const { child, exit, said } = await run(
        t,
        '--name',
        'fra',
        '--models',
        'm:1000',
        '--decode-tokens-per-s',
        '0.01',
        '--grace-ms',
        '1',
      )
      t.match(said, { name: 'fra', models: ['m'], pid: child.pid, url: /^http:\/\/127/, control: /^http:\/\/127/ })
      const open = await send(said.url, CHAT, { ...HELLO, model: 'm', stream: true }).head
      open.on('error', () => {}).resume()
      child.kill(signal)
      t.equal(await exit, 0, signal)
    }
  })

  t.test('ends with 1 when told to die by its exit', async (t) => {
    const { exit, said } = await run(t, '--name', 'fra')
    t.equal((await ask(said.control, '/control', { do: 'die', mode: 'exit' })).status, 200)
    t.equal(await exit, 1)
  })

  t.test('ends with 2 for wrong usage and with 1 for a port it can not have', async (t) => {
    t.equal(await (await run(t, '--slots', 'many')).exit, 2)
    const site = await siteFor(t)
    t.equal(await (await run(t, '--port', new URL(site.url).port)).exit, 1)
  })
})
