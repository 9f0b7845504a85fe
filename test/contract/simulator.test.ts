import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { Agent, get, type IncomingMessage, request } from 'node:http'
import { createInterface } from 'node:readline'
import { text as textOf } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { manualClock } from '../../src/simulator/clock.ts'
import { ENGINES, servedModels } from '../../src/simulator/options.ts'
import { startSite } from '../../src/simulator/server.ts'
import {
  ask,
  CHAT,
  events,
  HELLO,
  INSTANT,
  metricsOf,
  readMetrics,
  send,
  siteFor,
  sumOf,
} from '../helpers/simulated-site.ts'

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
