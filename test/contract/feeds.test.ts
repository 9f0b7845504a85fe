import { once } from 'node:events'
import { mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { envoyAdmin } from '../../src/feeds/envoy-admin.ts'
import { FeedFailure, failure } from '../../src/feeds/failure.ts'
import { type Feeds, openFeeds } from '../../src/feeds/feeds.ts'
import { fileFeed } from '../../src/feeds/file.ts'
import { type HttpPlace, HttpReader } from '../../src/feeds/http.ts'
import { modelServer } from '../../src/feeds/model-server.ts'
import { Poller, type Reading, type Source } from '../../src/feeds/poller.ts'
import { probe } from '../../src/feeds/probe.ts'
import { SampleCheck } from '../../src/feeds/samples.ts'
import { FEED_DEFAULTS } from '../../src/feeds/schemas.ts'
import type { Change } from '../../src/model/change.ts'
import type { Heartbeat, Sample } from '../../src/model/sample.ts'
import { SIGNALS } from '../../src/model/signal.ts'
import { dcgmFeedTests } from '../helpers/dcgm-feed.ts'
import { START, settled, Time } from '../helpers/feed-time.ts'
import { httpJsonFeedTests } from '../helpers/http-json-feed.ts'
import { openadrCases, plantCases } from '../helpers/openadr-cases.ts'
import { promqlFeedTests } from '../helpers/promql-feed.ts'
import { redfishCases } from '../helpers/redfish-cases.ts'
import { ask as askEnvoy, startEnvoy, until } from '../helpers/running-envoy.ts'
import { seriesCases } from '../helpers/series-cases.ts'
import { ask, CHAT, HELLO, order, siteFor } from '../helpers/simulated-site.ts'

const CERT = join(import.meta.dirname, '../fixtures/localhost.pem')
const KEY = join(import.meta.dirname, '../fixtures/localhost.key')

const folderFor = (t: Test): string => {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-feeds-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

const listening = async (t: Test, server: Server, where: number | string = 0) => {
  if (typeof where === 'string') server.listen(where)
  else server.listen(where, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return typeof where === 'string' ? where : (server.address() as AddressInfo).port
}

const serve = async (t: Test, listener: RequestListener) =>
  `http://127.0.0.1:${await listening(t, createServer(listener))}`

/** A port that nobody listens on. */
const deadPort = async (): Promise<number> => {
  const server = createTcpServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

const never = new AbortController().signal

const readerFor = (t: Test, place: HttpPlace, bytesMax?: number) => {
  const reader = new HttpReader(place, { now: () => START }, bytesMax)
  t.teardown(() => reader.close())
  return reader
}

const readAll = async (reader: HttpReader, signal = never) => {
  let body = ''
  const answer = await reader.read(signal, (part) => {
    body += part
  })
  return { ...answer, body }
}

/** The problem that an attempt is refused with. */
const problemOf = async (attempt: Promise<unknown>) => {
  try {
    await attempt
  } catch (error) {
    if (error instanceof FeedFailure) return error.problems[0]!
    throw error
  }
  throw new Error('nothing was refused')
}

t.test('a text over HTTP', async (t) => {
  const words = 'vllm:num_requests_waiting 3 — größer\n'.repeat(5_000)

  t.test('is the same however it is packed', async (t) => {
    const packed = {
      gzip: gzipSync(words),
      deflate: deflateSync(words),
      br: brotliCompressSync(words),
      identity: words,
    }
    const url = await serve(t, (req, res) => {
      const encoding = req.url!.slice(1) as keyof typeof packed
      res.writeHead(200, { 'content-encoding': encoding, 'content-type': 'text/plain' }).end(packed[encoding])
    })
    const hashes = new Set<string>()
    for (const encoding of Object.keys(packed)) {
      const { body, hash, dateMs, contentType } = await readAll(readerFor(t, { url: `${url}/${encoding}` }))
      t.equal(body, words, encoding)
      hashes.add(hash)
      t.match([Number.isInteger(dateMs), contentType, hash], [true, 'text/plain', /^sha256:[0-9a-f]{32}$/])
    }
    t.equal(hashes.size, 1)
  })

  t.test('is read up to its limit, packed or not, and its connection let go', async (t) => {
    const bomb = gzipSync(Buffer.alloc(50_000_000))
    const closed: string[] = []
    const url = await serve(t, (req, res) => {
      req.socket.on('close', () => closed.push(req.url!))
      if (req.url === '/busy') res.writeHead(503)
      if (req.url === '/bomb') res.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb)
      else {
        const more = () => {
          while (res.write('x'.repeat(65_536)));
          res.once('drain', more)
        }
        more()
      }
    })
    for (const path of ['/bomb', '/endless']) {
      const reader = readerFor(t, { url: url + path }, 1_000_000)
      let taken = 0
      const attempt = reader.read(never, (part) => {
        taken += part.length
      })
      t.match(await problemOf(attempt), { code: 'feed/too-large', message: /more than 1000000 bytes/ })
      t.ok(taken <= 1_000_000, `${path}: ${taken}`)
      await until(`${path} to be closed`, () => closed.includes(path))
    }
    t.match(await problemOf(readAll(readerFor(t, { url: `${url}/busy` }))), { code: 'feed/status' })
    await until('what nobody reads to be closed', () => closed.includes('/busy'))
  })

  t.test('that is not what it says, or ends early, is refused with the reason', async (t) => {
    const url = await serve(t, (req, res) => {
      if (req.url === '/moved') res.writeHead(302, { location: '/secret' }).end()
      else if (req.url === '/secret') t.fail('the redirect was followed')
      else if (req.url === '/denied') res.writeHead(401).end()
      else if (req.url === '/broken') res.writeHead(503).end('no')
      else if (req.url === '/cut') {
        res.writeHead(200, { 'content-length': 100 }).write('half')
        setImmediate(() => req.socket.destroy())
      } else if (req.url === '/zstd') res.writeHead(200, { 'content-encoding': 'zstd' }).end('x')
      else if (req.url === '/lie') res.writeHead(200, { 'content-encoding': 'gzip' }).end('not gzip at all')
      else res.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(words).subarray(0, 60))
    })
    const expected = {
      moved: 'feed/redirect',
      denied: 'feed/status',
      broken: 'feed/status',
      cut: 'feed/unreachable',
      zstd: 'feed/encoding',
      lie: 'feed/encoding',
      short: 'feed/encoding',
    }
    for (const [path, code] of Object.entries(expected)) {
      const problem = await problemOf(readAll(readerFor(t, { url: `${url}/${path}` })))
      t.equal(problem.code, code, `${path}: ${problem.message}`)
    }
    const dead = await problemOf(readAll(readerFor(t, { url: `http://127.0.0.1:${await deadPort()}/` })))
    t.match(dead, { code: 'feed/unreachable', message: /ECONNREFUSED/ })
  })

  t.test('that never comes ends with the attempt', async (t) => {
    const asked = Promise.withResolvers<void>()
    const url = await serve(t, (req, res) => {
      if (req.url === '/slow') res.writeHead(200).write('a')
      asked.resolve()
    })
    for (const path of ['/', '/slow']) {
      const controller = new AbortController()
      const begun = Promise.withResolvers<void>()
      const reader = readerFor(t, { url: url + path })
      const attempt = problemOf(reader.read(controller.signal, () => begun.resolve()))
      await (path === '/' ? asked.promise : begun.promise)
      controller.abort(failure('feed/timeout', 'late'))
      t.match(await attempt, { code: 'feed/timeout' })
    }
  })

  t.test('is asked for with credentials from files, which nobody gets to see', async (t) => {
    const folder = folderFor(t)
    const file = join(folder, 'token')
    const seen: unknown[] = []
    const url = await serve(t, (req, res) => {
      seen.push([req.headers.authorization, req.headers['x-api-key']])
      res.writeHead(403).end()
    })
    writeFileSync(file, 's3cret-token\n')
    const place = { url: `${url}/metrics?key=hidden`, headers: [{ name: 'X-Api-Key', file }] }
    const bearer = readerFor(t, { ...place, auth: { bearerFile: file } })
    const basic = readerFor(t, { ...place, auth: { username: 'prom', passwordFile: file } })
    const problems = [await problemOf(readAll(bearer)), await problemOf(readAll(basic))]
    writeFileSync(file, 'rotated')
    problems.push(await problemOf(readAll(bearer)))
    t.same(seen, [
      ['Bearer s3cret-token', 's3cret-token'],
      [`Basic ${btoa('prom:s3cret-token')}`, 's3cret-token'],
      ['Bearer rotated', 'rotated'],
    ])
    writeFileSync(file, 'two\nlines')
    problems.push(await problemOf(readAll(bearer)))
    unlinkSync(file)
    problems.push(await problemOf(readAll(bearer)))
    t.same(
      problems.map(({ code }) => code),
      ['feed/status', 'feed/status', 'feed/status', 'feed/credentials', 'feed/credentials'],
    )
    t.equal(seen.length, 3)
    t.notMatch(JSON.stringify([problems, bearer.where]), /s3cret|rotated|lines"|hidden/)
  })

  t.test('comes over a unix socket too, and over TLS from whom is trusted', async (t) => {
    const socket = join(folderFor(t), 'site.sock')
    await listening(
      t,
      createServer((_, res) => res.end('by socket')),
      socket,
    )
    const bySocket = readerFor(t, { url: 'http://envoy/clusters', socketPath: socket })
    t.same([(await readAll(bySocket)).body, bySocket.where], ['by socket', `unix:${socket}`])

    const options = { cert: readFileSync(CERT), key: readFileSync(KEY), ca: readFileSync(CERT) }
    const mutual = { ...options, requestCert: true, rejectUnauthorized: true }
    const port = await listening(t, createTlsServer(mutual, (_, res) => res.end('by TLS')) as unknown as Server)
    const url = `https://127.0.0.1:${port}/metrics`
    const tls = { caFile: CERT, certFile: CERT, keyFile: KEY }
    t.equal((await readAll(readerFor(t, { url, tls }))).body, 'by TLS')
    for (const wrong of [{}, { tls: { caFile: CERT } }]) {
      t.equal((await problemOf(readAll(readerFor(t, { url, ...wrong })))).code, 'feed/unreachable')
    }
    const bad = await problemOf(readAll(readerFor(t, { url, tls: { ...tls, keyFile: join(CERT, 'missing') } })))
    t.match(bad, { code: 'feed/credentials' })
  })
})

const attemptOf = (source: Source, signal = never): Promise<Reading> => source.read({ signal, nonce: 'n' })

const sampleOf = (reading: Reading, signal: string, model?: string): Sample | undefined =>
  reading.samples.find((sample) => sample.signal === signal && sample.model === model)

const probeOf = (url: string, more: Partial<Parameters<typeof probe>[0]> = {}, clock = new Time().clock) =>
  probe(
    { ...FEED_DEFAULTS.probe, name: 'probe', target: 'ams/h100', url, expect: [], isSiteWide: true, ...more },
    clock,
  )

t.test('a probe', async (t) => {
  t.test('measures round trip and first byte over a connection of its own each time', async (t) => {
    const sockets = new Set<unknown>()
    const paths: string[] = []
    const url = await serve(t, (req, res) => {
      sockets.add(req.socket)
      paths.push(req.url!)
      res.end('ok')
    })
    // Each look at this clock is a millisecond later: the order of events gives the times.
    let ticks = 0
    const source = probeOf(url, {}, { now: () => START, monotonicMs: () => ticks++ } as Time['clock'])
    const [first, second] = [await attemptOf(source), await attemptOf(source)]
    t.same(first.heartbeats, [
      { site: 'ams', pool: 'h100', kind: 'probe', outcome: 'ok', at: START, source: 'probe', detail: '200' },
    ])
    t.equal(sockets.size, 2)
    t.same(paths, ['/health', '/health'])
    t.match(sampleOf(first, 'network.rtt_ms'), { site: 'ams', pool: undefined, value: 1, at: START })
    t.match(sampleOf(first, 'network.ttfb_ms'), { site: 'ams', pool: 'h100', value: 1 })
    t.match(sampleOf(second, 'network.rtt_p95_ms'), { count: 2 })
    t.ok(Math.abs(sampleOf(second, 'network.rtt_p95_ms')!.value - 1) <= 0.01)
    t.equal(sampleOf(first, 'network.tls_ms'), undefined)
    t.match([second.hurry, typeof second.clockSkewMs], [false, 'number'])
    t.notOk(source.delivers().includes('network.tls_ms'))
  })

  t.test('tells refused from hung, wrong status, cut and unknown name, and wants to look again', async (t) => {
    const hung = Promise.withResolvers<void>()
    const url = await serve(t, (req, res) => {
      if (req.url === '/busy') res.writeHead(503).end()
      else if (req.url === '/moved') res.writeHead(302, { location: '/' }).end()
      else if (req.url === '/cut') req.socket.destroy()
      else if (req.url === '/hang') hung.resolve()
      else res.writeHead(204).end()
    })
    const endOf = async (source: Source, signal?: AbortSignal) => {
      const { heartbeats, hurry, samples } = await attemptOf(source, signal)
      t.equal(hurry, heartbeats[0]!.outcome !== 'ok')
      t.ok(heartbeats[0]!.outcome === 'ok' || samples.every(({ signal }) => signal !== 'network.ttfb_ms'))
      return `${heartbeats[0]!.outcome}: ${heartbeats[0]!.detail}`
    }
    t.equal(await endOf(probeOf(`${url}/fine`)), 'ok: 204')
    t.equal(await endOf(probeOf(`${url}/fine`, { expect: [200] })), 'error: 204')
    t.equal(await endOf(probeOf(`${url}/busy`, { expect: [503] })), 'ok: 503')
    t.equal(await endOf(probeOf(`${url}/busy`)), 'error: 503')
    t.equal(await endOf(probeOf(`${url}/moved`)), 'error: 302')
    t.match(await endOf(probeOf(`${url}/cut`)), /^error: .*ECONNRESET/)
    t.equal(await endOf(probeOf(`http://127.0.0.1:${await deadPort()}`)), 'refused: connect ECONNREFUSED')
    t.match(await endOf(probeOf(url.replace('http:', 'https:'))), /^error: /)
    const controller = new AbortController()
    const end = endOf(probeOf(`${url}/hang`), controller.signal)
    await hung.promise
    controller.abort()
    t.equal(await end, 'timeout: no answer in 1000 ms')
  })

  t.test('measures the TLS handshake apart, and for one of several pools only the pool', async (t) => {
    const options = { cert: readFileSync(CERT), key: readFileSync(KEY) }
    const port = await listening(t, createTlsServer(options, (_, res) => res.end()) as unknown as Server)
    const source = probeOf(`https://127.0.0.1:${port}`, { tls: { caFile: CERT }, isSiteWide: false })
    const reading = await attemptOf(source)
    t.match(reading.heartbeats, [{ outcome: 'ok' }])
    t.ok(sampleOf(reading, 'network.tls_ms')!.value > 0)
    t.ok(reading.samples.every(({ pool }) => pool === 'h100'))
    t.ok(source.delivers().includes('network.tls_ms'))
    t.same(new SampleCheck().pass(reading.samples, START), reading.samples)
  })

  t.test('tells jitter and loss of the last minute: a refusal is an answer, silence is none', async (t) => {
    const url = await serve(t, (req, res) => (req.url === '/busy' ? res.writeHead(503).end() : res.end('ok')))
    const time = new Time()
    // The ends of the steps of each probe: begin, attempt, connect, first byte.
    const trips = [5, 9, 6]
    let looks = 0
    const monotonicMs = () => {
      const trip = trips[Math.floor(looks / 4) % trips.length]!
      const at = looks++ % 4 < 2 ? 0 : trip
      return at
    }
    const source = probeOf(url, {}, { now: () => time.ms, monotonicMs } as Time['clock'])
    const look = async (signal?: AbortSignal) => {
      time.ms += 2_000
      const reading = await attemptOf(source, signal)
      return ['network.rtt_ms', 'network.jitter_ms', 'network.loss_ratio'].map((name) => sampleOf(reading, name)?.value)
    }
    t.same(await look(), [5, undefined, 0], 'one trip does not vary')
    t.same(await look(), [9, 4, 0])
    t.same(await look(), [6, 3.5, 0])
    looks = 0
    t.match(await look(AbortSignal.abort()), [undefined, undefined, 0.25])
    const gone = probeOf(`http://127.0.0.1:${await deadPort()}`, {}, time.clock)
    t.match(sampleOf(await attemptOf(gone), 'network.loss_ratio'), { value: 0, count: 1 }, 'somebody said no')
    const busy = probeOf(`${url}/busy`, {}, time.clock)
    t.match(sampleOf(await attemptOf(busy), 'network.loss_ratio'), { value: 0, count: 1 })
    time.ms += 120_000
    looks = 0
    t.same(await look(), [5, undefined, 0], 'a minute later it is forgotten')
  })

  t.test('is not kept busy by an answer that never ends', async (t) => {
    const url = await serve(t, (_, res) => {
      const more = () => {
        while (res.write('x'.repeat(65_536)));
        res.once('drain', more)
      }
      more()
    })
    t.match((await attemptOf(probeOf(url))).heartbeats, [{ outcome: 'ok' }])
  })

  t.test('that hangs is a timeout to the poller, not a failure of the source', async (t) => {
    const asked = Promise.withResolvers<void>()
    const url = await serve(t, () => asked.resolve())
    const time = new Time()
    const told = Promise.withResolvers<Reading>()
    const poller = new Poller(probeOf(url, {}, time.clock), {
      clock: time.clock,
      timer: time.timer,
      accept: (reading) => told.resolve(reading),
    })
    poller.start()
    await time.next()
    await asked.promise
    await time.advance(1_000)
    t.match((await told.promise).heartbeats, [{ outcome: 'timeout', detail: 'no answer in 1000 ms' }])
    t.match(poller.status(), { failuresInARow: 0, version: 'timeout no answer in 1000 ms' })
    await poller.stop()
  })
})

/** A model-server source over these addresses, and the clock it lives by. */
const vllmOf = (t: Test, urls: readonly string[], more: Partial<Parameters<typeof modelServer>[0]> = {}) => {
  const time = new Time()
  const sent = { count: 0 }
  const options = { ...FEED_DEFAULTS['model-server'], name: 'vllm', target: 'ams/h100', urls, ...more }
  const source = modelServer(options, { clock: time.clock, dispatched: () => sent.count })
  t.teardown(() => source.close?.())
  const scrape = async (afterMs = 2_000) => {
    time.ms += afterMs
    return attemptOf(source)
  }
  return { time, sent, source, scrape }
}

t.test("a model server's metrics", async (t) => {
  for (const [engine, without] of [
    ['vllm', []],
    ['vllm-old', []],
    ['sglang', ['errors.ratio', 'preemptions.per_s', 'queue.wait_p95_ms']],
    ['trtllm', ['preemptions.per_s']],
    ['triton', ['itl.p95_ms', 'response.p95_ms', 'queue.wait_p95_ms', 'preemptions.per_s', 'cache.hit_ratio']],
  ] as const) {
    t.test(`of ${engine} become samples of the table`, async (t) => {
      const site = await siteFor(t, { engine, slots: 4, dataParallel: 2 })
      // The simulated trtllm-serve has its page where the others have theirs.
      const { scrape, sent, source, time } = vllmOf(t, [`${site.url}/metrics`])
      const first = await scrape()
      t.equal(sampleOf(first, 'ttft.p95_ms'), undefined, 'one look gives no percentile')
      sent.count = 12
      for (let i = 0; i < 10; i++) await ask(site.url, CHAT, HELLO)
      await order(site, { do: 'fill', queued: 7, slots: 8 })
      const second = await scrape()
      t.same(second.warnings, [])
      t.match(sampleOf(second, 'queue.depth'), { value: 7, at: time.ms, site: 'ams', pool: 'h100', source: 'vllm' })
      t.equal(sampleOf(second, 'queue.depth')!.dispatchedBefore, 12)
      t.match(sampleOf(second, 'queue.running'), { value: 8 })
      t.ok(sampleOf(second, 'kv.used_ratio')!.value > 0)
      t.match(sampleOf(second, 'replica.warm'), { value: 1 })
      t.match(sampleOf(second, 'ttft.p95_ms'), { count: 10 })
      t.match(sampleOf(second, 'ttft.p95_ms', 'llama-3.1-70b'), { count: 10 })
      const warmth = [first, second].map((reading) => sampleOf(reading, 'cache.warm')?.value)
      const tells = engine.startsWith('vllm') ? [0, 1] : engine === 'triton' ? [undefined, undefined] : undefined
      if (tells !== undefined) t.same(warmth, tells, 'the cache is cold until a prompt has gone through it')
      if (engine !== 'sglang') t.match(sampleOf(second, 'errors.ratio'), { value: 0, count: 10 })
      const delivered = new Set(second.samples.map(({ signal }) => signal))
      for (const signal of delivered) t.ok(source.delivers().includes(signal), signal)
      const missing = ['ttft.p95_ms', 'itl.p95_ms', 'response.p95_ms', 'queue.wait_p95_ms', 'errors.ratio']
        .concat(['kv.used_ratio', 'preemptions.per_s', 'cache.hit_ratio'])
        .filter((signal) => !delivered.has(signal))
      t.same(new Set(missing), new Set(without))
      t.same(new SampleCheck().pass(second.samples, time.ms), second.samples)
      t.not(first.version, second.version)
    })
  }

  t.test('of two replicas are one pool: queues and buckets added up, the cache as a mean', async (t) => {
    const [a, b] = [await siteFor(t), await siteFor(t)]
    const { scrape } = vllmOf(t, [a.url, b.url])
    await scrape()
    await order(a, { do: 'fill', queued: 5, slots: 8 })
    await order(b, { do: 'fill', queued: 2, slots: 0 })
    for (let i = 0; i < 3; i++) await ask(b.url, CHAT, HELLO)
    const reading = await scrape()
    t.match(sampleOf(reading, 'queue.depth'), { value: 7 })
    t.match(sampleOf(reading, 'ttft.p50_ms'), { count: 3 })
    t.equal(sampleOf(reading, 'kv.used_ratio')!.value, (8 * 1_024) / (8 * 256 * 16) / 2)

    await order(a, { do: 'die', mode: 'refuse' })
    const half = await scrape()
    t.match(sampleOf(half, 'queue.depth'), { value: 2 })
    t.match(half.warnings, [
      { code: 'feed/unreachable', severity: 'warning' },
      { code: 'feed/partial', message: '1 of 2 replicas gave no metrics' },
    ])
    await order(b, { do: 'die', mode: 'refuse' })
    t.match(await problemOf(scrape()), { code: 'feed/unreachable' })
  })

  t.test('give errors by how requests ended, those that clients gave up left out', async (t) => {
    const ended = { stop: 0, error: 0, abort: 0 }
    const url = await serve(t, (_, res) => {
      const lines = Object.entries(ended).map(
        ([reason, n]) => `vllm:request_success_total{model_name="m",finished_reason="${reason}"} ${n}.0\n`,
      )
      res.end(`vllm:num_requests_waiting{model_name="m"} 0\n${lines.join('')}`)
    })
    const { scrape } = vllmOf(t, [url])
    await scrape()
    Object.assign(ended, { stop: 30, error: 10, abort: 500 })
    t.match(sampleOf(await scrape(), 'errors.ratio', 'm'), { value: 0.25, count: 40 })
    Object.assign(ended, { stop: 8, error: 0, abort: 0 })
    t.match(sampleOf(await scrape(), 'errors.ratio'), { value: 10 / 48, count: 48 }, 'after a restart')
  })

  t.test('that lie become no decision: each lie is refused or ages, and the truth after it is taken', async (t) => {
    const site = await siteFor(t, { slots: 4 })
    const { scrape, sent, time } = vllmOf(t, [site.url], { frozenAfter: 3 })
    const check = new SampleCheck()
    await scrape()
    const work = async () => {
      for (let i = 0; i < 5; i++) await ask(site.url, CHAT, HELLO)
      sent.count += 5
    }
    await work()
    const truth = await scrape()
    const ttft = sampleOf(truth, 'ttft.p95_ms')!.value
    const load = ['queue.depth', 'queue.running', 'kv.used_ratio']
    for (const metrics of ['nan', 'absurd', 'negative'] as const) {
      await order(site, { do: 'lie', metrics })
      const reading = await scrape()
      const passed = check.pass(reading.samples, time.ms)
      t.notOk(
        passed.some(({ signal }) => load.includes(signal)),
        `${metrics}: no load that could be believed`,
      )
      t.equal(sampleOf(reading, 'ttft.p95_ms')!.value, ttft, `${metrics}: percentiles stay what they were`)
      t.match(reading.warnings, [{ code: 'feed/bad-histogram' }])
    }
    t.ok(check.refusals().reduce((sum, { count }) => sum + count, 0) >= 9)
    for (const [metrics, code] of [
      ['empty', 'feed/unknown-engine'],
      ['garbage', 'feed/bad-text'],
    ] as const) {
      await order(site, { do: 'lie', metrics })
      t.match(await problemOf(scrape()), { code }, metrics)
    }
    await order(site, { do: 'recover' })
    await work()
    t.match(sampleOf(await scrape(), 'ttft.p95_ms'), { count: 10 })

    await order(site, { do: 'lie', metrics: 'stale' })
    const seen: string[] = []
    for (let i = 0; i < 4; i++) {
      await work()
      seen.push(
        await scrape().then(
          () => 'taken',
          (error: FeedFailure) => error.problems[0]!.code,
        ),
      )
    }
    t.same(seen, ['taken', 'taken', 'feed/frozen', 'feed/frozen'])
    await order(site, { do: 'recover' })
    await scrape()
    await work()
    const after = sampleOf(await scrape(), 'ttft.p95_ms')!
    t.equal(after.count, 15, 'what came while it lied is not made up for')
  })

  t.test('that stand still while nothing is sent are an idle server, not a lie', async (t) => {
    const url = await serve(t, (_, res) => res.end('vllm:num_requests_waiting 0\nvllm:num_requests_running 0\n'))
    const { scrape, sent } = vllmOf(t, [url], { frozenAfter: 3 })
    for (let i = 0; i < 6; i++) t.match(await scrape(), { samples: { length: 3 } })
    sent.count += 1
    t.match(await problemOf(scrape()), { code: 'feed/frozen' })
  })

  t.test('that fail are no sign of death, and a sleeping engine is not warm', async (t) => {
    let awake = 1
    const url = await serve(t, (_, res) =>
      res.end(`vllm:num_requests_waiting 0\nvllm:engine_sleep_state{sleep_state="awake"} ${awake}\n`),
    )
    const { scrape } = vllmOf(t, [url])
    const reading = await scrape()
    t.same([reading.heartbeats, sampleOf(reading, 'replica.warm')!.value], [[], 1])
    awake = 0
    t.equal(sampleOf(await scrape(), 'replica.warm')!.value, 0)
  })

  t.test('with times of their own are as old as they say, by our clock', async (t) => {
    const time = { ageMs: 0, aheadMs: 0 }
    const clock = { ms: 0 }
    const url = await serve(t, (_, res) => {
      const theirs = clock.ms + time.aheadMs
      res.writeHead(200, { date: new Date(theirs).toUTCString() })
      res.end(`vllm:num_requests_waiting 3 ${theirs - time.ageMs}\n`)
    })
    const made = vllmOf(t, [url])
    const look = async () => {
      clock.ms = made.time.ms + 2_130
      return made.scrape(2_130)
    }
    time.ageMs = 30_000
    const reading = await look()
    t.equal(sampleOf(reading, 'queue.depth')!.at, made.time.ms - 30_000)
    time.aheadMs = 10_000
    for (let i = 0; i < 20; i++) await look()
    const corrected = await look()
    t.ok(Math.abs(corrected.clockSkewMs! - 10_000) < 600, String(corrected.clockSkewMs))
    t.ok(Math.abs(sampleOf(corrected, 'queue.depth')!.at - (made.time.ms - 30_000)) < 600)
  })

  t.test('come with the dispatches counted as the scrape was sent, not as it came back', async (t) => {
    const { source, sent } = vllmOf(t, [
      await serve(t, (_, res) => {
        sent.count += 100
        res.end('vllm:num_requests_waiting 0\n')
      }),
    ])
    sent.count = 5
    t.equal(sampleOf(await attemptOf(source), 'queue.depth')!.dispatchedBefore, 5)
  })
})

t.test('a file of samples', async (t) => {
  const line = (value: number) => `{"site":"ams","signal":"power.headroom_pct","value":${value}}\n`
  const watched = async (t: Test, path: string) => {
    const readings: Reading[] = []
    const source = fileFeed({ ...FEED_DEFAULTS.file, name: 'bms', path, intervalMs: 3_600_000 })
    const poller = new Poller(source, { clock: { now: Date.now }, accept: (reading) => readings.push(reading) })
    t.teardown(() => poller.stop())
    poller.start()
    poller.poke()
    const shows = (value: number) => until(`the value ${value}`, () => readings.at(-1)?.samples.at(0)?.value === value)
    return { poller, shows, source, readings }
  }

  t.test('is read again when it is replaced, and its last good set stays while it is bad', async (t) => {
    const folder = folderFor(t)
    const path = join(folder, 'bms.jsonl')
    const replace = (text: string) => {
      writeFileSync(`${path}.new`, text)
      renameSync(`${path}.new`, path)
    }
    const { poller, shows, source, readings } = await watched(t, path)
    await until('the missing file to be told', () => poller.status().refusal[0]?.code === 'feed/unreachable')
    t.same(source.delivers(), Object.keys(SIGNALS))
    replace(line(40))
    await shows(40)
    t.same([source.delivers(), source.covers], [['power.headroom_pct'], ['ams']])
    replace(`${line(30)}{"site":"ams","signal":"power.headroom"}\n`)
    await until('the refusal', () => poller.status().refusal[0]?.code === 'feed/unknown-signal')
    t.match(poller.status().refusal, [{ line: 2, path, remedy: /power\.headroom_pct/ }])
    t.equal(readings.at(-1)!.samples[0]!.value, 40)
    t.equal(poller.status().version, readings.at(-1)!.version)
    replace(line(20))
    await shows(20)
  })

  t.test("is read again when a ConfigMap's link moves", async (t) => {
    const folder = folderFor(t)
    const put = (name: string, value: number) => writeFileSync(join(folder, name), line(value))
    put('..one', 1)
    put('..two', 2)
    symlinkSync('..one', join(folder, '..data'))
    symlinkSync('..data', join(folder, 'bms.jsonl'))
    const { shows } = await watched(t, join(folder, 'bms.jsonl'))
    await shows(1)
    symlinkSync('..two', join(folder, '..next'))
    renameSync(join(folder, '..next'), join(folder, '..data'))
    await shows(2)
  })

  t.test('beyond its size is not read into memory', async (t) => {
    const path = join(folderFor(t), 'bms.jsonl')
    writeFileSync(path, line(1).repeat(100))
    const source = fileFeed({ ...FEED_DEFAULTS.file, name: 'bms', path, bytesMax: 1_024 })
    t.match(await problemOf(attemptOf(source)), { code: 'feed/too-large' })
  })
})

t.test("Envoy's own view", async (t) => {
  const deadAt = await deadPort()
  const upstream = Number(new URL(await serve(t, (_, res) => res.end('ok'))).port)
  const cluster = (name: string, ports: readonly number[], more: object = {}) => ({
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    load_assignment: {
      cluster_name: name,
      endpoints: [
        {
          lb_endpoints: ports.map((port_value) => ({
            endpoint: { address: { socket_address: { address: '127.0.0.1', port_value } } },
          })),
        },
      ],
    },
    ...more,
  })
  const check = { timeout: '1s', interval: '0.1s', unhealthy_threshold: 1, healthy_threshold: 1, tcp_health_check: {} }
  const route = (name: string) => ({ match: { prefix: `/${name}` }, route: { cluster: name } })
  const names = ['ams-h100', 'fra-h100', 'lon-h100', 'dxb-h100']
  const envoy = await startEnvoy({
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: 0 } } },
    static_resources: {
      clusters: [
        cluster('ams-h100', [upstream]),
        cluster('fra-h100', [deadAt]),
        cluster('lon-h100', [deadAt], { health_checks: [check] }),
        cluster('dxb-h100', []),
      ],
      listeners: [
        {
          name: 'ingress',
          address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
          filter_chains: [
            {
              filters: [
                {
                  name: 'hcm',
                  typed_config: {
                    '@type':
                      'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
                    stat_prefix: 'ingress',
                    http_filters: [
                      {
                        name: 'router',
                        typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
                      },
                    ],
                    route_config: {
                      virtual_hosts: [{ name: 'all', domains: ['*'], routes: names.map(route) }],
                    },
                  },
                },
              ],
            },
          ],
        },
      ],
    },
  })
  t.teardown(() => envoy.stop())
  const port = await envoy.port()
  const options = { ...FEED_DEFAULTS['envoy-admin'], name: 'envoy' }
  const targetOf = (name: string) => (names.includes(name) ? name.replace('-', '/') : undefined)
  const source = envoyAdmin(
    { ...options, address: `127.0.0.1:${envoy.adminPort}` },
    { clock: { now: () => START }, targetOf },
  )
  t.teardown(() => source.close?.())
  const beatsOf = (reading: Reading, site: string) =>
    reading.heartbeats.filter((beat) => beat.site === site).map(({ outcome, detail }) => `${outcome}: ${detail}`)

  t.test('names its clusters once, and again only when they change', async (t) => {
    const first = await attemptOf(source)
    t.same(first.clusters, [...names].sort())
    t.same(first.heartbeats, [], 'counts from before the first look say nothing')
    t.equal((await attemptOf(source)).clusters, undefined)
  })

  t.test('tells how connections of real traffic went', async (t) => {
    await attemptOf(source)
    t.equal((await askEnvoy(port, '/ams-h100')).status, 200)
    t.equal((await askEnvoy(port, '/fra-h100')).status, 503)
    const reading = await until('the counts', async () => {
      const seen = await attemptOf(source)
      return beatsOf(seen, 'fra').length > 0 && seen
    })
    t.same(beatsOf(reading, 'fra'), ['refused: 1 connections failed'])
    t.match(
      reading.heartbeats.find(({ site }) => site === 'fra'),
      { site: 'fra', pool: 'h100', kind: 'passive', at: START },
    )
    for (let i = 0; i < 4; i++) await askEnvoy(port, '/fra-h100')
    const many = await until('four more', async () => {
      const { 'cluster.fra-h100.upstream_cx_connect_fail': failed } = await envoy.stats('fra-h100.upstream_cx_connect')
      return failed === 5 && (await attemptOf(source))
    })
    t.same(
      beatsOf(many, 'fra'),
      Array.from({ length: 2 }, () => 'refused: 4 connections failed'),
    )
    t.same(beatsOf(await attemptOf(source), 'fra'), [])
  })

  t.test('counts a request that was answered as a sign of life', async (t) => {
    await attemptOf(source)
    await askEnvoy(port, '/ams-h100')
    const reading = await until('the success', async () => {
      const seen = await attemptOf(source)
      return beatsOf(seen, 'ams').length > 0 && seen
    })
    t.same(beatsOf(reading, 'ams'), ['ok: 1 requests answered'])
  })

  t.test('shows clusters without a host that lives as in error', async (t) => {
    await until('the health check', async () =>
      beatsOf(await attemptOf(source), 'lon').includes('error: all hosts fail the health check of Envoy'),
    )
    t.same(beatsOf(await attemptOf(source), 'dxb'), ['error: Envoy has no host for it'])
  })

  t.test(
    'counts a host from its second look on, from 0 after a restart, and tells once that an outage is over',
    async (t) => {
      let hosts: { port: number; failed: number; answered: number; failing?: boolean }[] = []
      const url = await serve(t, (_, res) => {
        const statuses = hosts.map(({ port, failed, answered, failing }) => ({
          address: { socket_address: { address: '10.0.0.1', port_value: port } },
          stats: [
            { name: 'cx_connect_fail', value: String(failed) },
            { name: 'rq_success', value: String(answered) },
          ],
          health_status: { failed_active_health_check: failing },
        }))
        res.end(
          JSON.stringify({ cluster_statuses: [{ name: 'ams-h100', host_statuses: statuses }, { name: 'other' }] }),
        )
      })
      const scripted = envoyAdmin(
        { ...options, address: url.slice('http://'.length) },
        { clock: { now: () => START }, targetOf },
      )
      t.teardown(() => scripted.close?.())
      const look = async (...now: typeof hosts) => {
        hosts = now
        return beatsOf(await attemptOf(scripted), 'ams')
      }
      const one = { port: 1, failed: 10, answered: 50 }
      t.same(await look(one), [])
      t.same(await look(one, { port: 2, failed: 99, answered: 99 }), [], 'a new host')
      t.same(await look({ ...one, failed: 11 }, { port: 2, failed: 99, answered: 102 }), ['ok: 3 requests answered'])
      t.same(await look({ ...one, failed: 1, answered: 0 }), ['refused: 1 connections failed'], 'a restart')
      const still = { ...one, failed: 1, answered: 0 }
      t.same(await look({ ...still, failing: true }), ['error: all hosts fail the health check of Envoy'])
      t.same(await look({ ...still, failing: true }, { port: 3, failed: 0, answered: 0 }), [
        'ok: Envoy has healthy hosts again',
      ])
      t.same(await look(still), [])
    },
  )

  t.test('is refused where it is none, and missing where nobody answers', async (t) => {
    const html = await serve(t, (_, res) => res.end('<html>'))
    const at = (address: string) => envoyAdmin({ ...options, address }, { clock: { now: () => START }, targetOf })
    t.match(await problemOf(attemptOf(at(html.slice('http://'.length)))), { code: 'feed/bad-text' })
    t.match(await problemOf(attemptOf(at(`127.0.0.1:${deadAt}`))), { code: 'feed/unreachable' })
  })
})

t.test('a PromQL feed on a real Prometheus', promqlFeedTests)

t.test('a feed of JSON over HTTP', httpJsonFeedTests)

t.test('a feed of DCGM exporters', dcgmFeedTests)

t.test('all feeds together', async (t) => {
  const running = (t: Test, ...given: Parameters<typeof openFeeds>): Feeds => {
    const feeds = openFeeds(...given)
    t.teardown(() => feeds.stop())
    feeds.start()
    return feeds
  }

  t.test('tell of a site that works, dies and comes back', async (t) => {
    const site = await siteFor(t)
    const changes: Change[] = []
    const turns: string[] = []
    const feeds = running(
      t,
      [
        { kind: 'model-server', name: 'vllm', intervalMs: 100, targets: [{ target: 'ams/h100', url: site.url }] },
        { kind: 'probe', name: 'probe', intervalMs: 100, targets: [{ target: 'ams/h100', url: site.url }] },
      ],
      undefined,
      {
        clock: { now: Date.now },
        apply: (change) => changes.push(change),
        dispatched: () => 7,
        targetOf: () => undefined,
        turned: ({ name }, failing) => turns.push(`${name} ${failing ? 'fails' : 'succeeds'}`),
        bug: (error) => t.fail(String(error)),
      },
    )
    const arrived = () => changes.flatMap((change) => (change.kind === 'samples-arrived' ? [change] : []))
    const beat = (outcome: Heartbeat['outcome']) =>
      until(`a heartbeat ${outcome}`, () => arrived().some((one) => one.heartbeats.some((b) => b.outcome === outcome)))
    await beat('ok')
    await until('samples of both', () => {
      const all = arrived().flatMap(({ samples }) => samples)
      return ['vllm', 'probe'].every((source) => all.some((sample) => sample.source === source))
    })
    await order(site, { do: 'die', mode: 'refuse' })
    await beat('refused')
    await until('the scrape to fail', () => turns.includes('vllm fails'))
    t.notOk(turns.includes('probe fails'), 'a dead site is what a probe is there to tell')
    changes.length = 0
    await order(site, { do: 'recover' })
    await beat('ok')
    await until('the scrape to succeed', () => turns.includes('vllm succeeds'))
    await feeds.stop()
    const before = feeds.counts()
    t.match(
      feeds.statuses().map(({ name, kind }) => `${name} ${kind}`),
      ['vllm model-server', 'probe probe'],
    )
    t.ok(before.inbox.samples > 0 && before.inbox.samplesDropped === 0)
    t.same(before.refusals, [])
    await settled()
    t.same(feeds.counts(), before, 'nothing runs after the stop')
  })

  t.test('do not hold one another up: one that hangs leaves the others their pace', async (t) => {
    const [well, hung] = [await siteFor(t), await siteFor(t)]
    await order(hung, { do: 'hang', scope: 'metrics' })
    let seen = 0
    const feeds = running(
      t,
      [
        {
          kind: 'model-server',
          name: 'vllm',
          intervalMs: 100,
          timeoutMs: 60_000,
          targets: [
            { target: 'ams/h100', url: hung.url },
            { target: 'fra/h100', url: well.url },
          ],
        },
      ],
      undefined,
      {
        clock: { now: Date.now },
        apply: (change) => {
          if (change.kind === 'samples-arrived') seen += change.samples.filter(({ site }) => site === 'fra').length
        },
        dispatched: () => 0,
        targetOf: () => undefined,
      },
    )
    await until('five scrapes of the one that is well', () => seen >= 15)
    t.match(feeds.statuses(), [
      { name: 'vllm/ams/h100', lastAcceptedAt: null },
      { name: 'vllm/fra/h100', failuresInARow: 0 },
    ])
  })
})

t.test('Redfish services', redfishCases)
t.test('OpenADR VTNs', openadrCases)
t.test('Series', seriesCases)
t.test('the devices of a simulated plant are read by the feeds of a real one', plantCases)
