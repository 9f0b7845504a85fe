import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { FeedFailure } from '../../src/feeds/failure.ts'
import { Poller, type Reading } from '../../src/feeds/poller.ts'
import { type PromqlConfig, promqlFaults, promqlFeed } from '../../src/feeds/promql.ts'
import type { PromqlQuery } from '../../src/feeds/promql-query.ts'
import { SampleCheck } from '../../src/feeds/samples.ts'
import { FEED_DEFAULTS } from '../../src/feeds/schemas.ts'
import { START, Time } from './feed-time.ts'
import { type RunningPrometheus, startPrometheus } from './prometheus.ts'
import { until } from './running-envoy.ts'

const TLS = join(import.meta.dirname, '../fixtures/tls')
/** `s3cret-pass` as Prometheus keeps passwords: bcrypt, of the least cost. */
const PASS_HASH = '$2b$05$abcdefghijklmnopqrstuuV7fpPozvyqJfnY19y0802WTlXUm6Rjy'

const serve = async (t: Test, listener: RequestListener): Promise<{ at: string; server: Server }> => {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { at: `127.0.0.1:${(server.address() as AddressInfo).port}`, server }
}

const feedOf = (
  t: Test,
  url: string,
  queries: readonly PromqlQuery[],
  more: Partial<PromqlConfig> = {},
  now = Date.now,
) => {
  const config = { kind: 'promql' as const, name: 'prom', owner: 'observability@example.com', url, queries }
  const source = promqlFeed({ ...FEED_DEFAULTS.promql, ...config, ...more }, { now })
  t.teardown(() => source.close?.())
  const read = (signal = new AbortController().signal): Promise<Reading> => source.read({ signal, nonce: 'n' })
  return { source, read }
}

const problemOf = async (attempt: Promise<unknown>) => {
  try {
    await attempt
  } catch (error) {
    if (error instanceof FeedFailure) return error.problems[0]!
    throw error
  }
  throw new Error('nothing was refused')
}

const valuesOf = (reading: Reading) =>
  reading.samples.map(({ site, pool, loop, from, signal, value }) =>
    [site, pool, loop, from, signal, Number(value.toPrecision(9))].filter((part) => part !== undefined).join(' '),
  )

const SUPPLY: PromqlQuery = {
  signal: 'cooling.supply_c',
  query: 'supply_celsius',
  labels: { site: 'site', loop: 'loop' },
}

const configuredTests = async (t: Test): Promise<void> => {
  const faults = (...queries: PromqlQuery[]) =>
    promqlFaults({ kind: 'promql', name: 'x', url: 'http://x', queries }).map(String)
  const draw: PromqlQuery = { signal: 'power.draw_mw', query: 'watts', unit: 'W', site: 'ams' }
  const selectors = [
    'watts',
    ' a:b_c ',
    'watts{}',
    'watts { site = "a}m(s" , x!~`y"` }',
    `{__name__=~'a|b'}`,
    'w{a="\\""}',
  ]
  for (const query of selectors) t.same(faults({ ...draw, query }), [], query)
  for (const query of [
    'sum(watts)',
    'watts[5m]',
    'watts offset 1h',
    'watts + 1',
    'watts{',
    'a b',
    '',
    '1',
    'watts{a="b}',
  ]) {
    t.match(faults({ ...draw, query }), [/more than a selector.*timestampOf/], query)
    t.match(faults({ ...draw, timestampOf: query }), [/timestampOf is no selector/], query)
    t.same(faults({ ...draw, query, timestampOf: 'watts' }), [], query)
  }
  t.match(faults({ ...draw, site: undefined } as unknown as PromqlQuery), [/names no site/])
  t.match(faults({ ...draw, signal: 'client.rtt_p95_ms', unit: 's' }), [/does not say from where/])
  t.match(faults({ ...draw, unit: 'Cel' }), [/"Cel" can't be made into MW/])
  t.match(faults({ ...draw, signal: 'path.cost_ms', unit: 'ms' }), [/worked out for each request/, /./])
  t.match(faults(draw, draw), [/power\.draw_mw of ams is given twice/])
  t.same(faults({ ...SUPPLY, labels: { site: 'a', loop: 'b' } }, draw), [])
}

/** What a PromQL feed is held to, on a real Prometheus that scrapes simulated exporters. */
export const promqlFeedTests = async (t: Test): Promise<void> => {
  await t.test('what is configured wrongly is told before anything is asked', configuredTests)
  // One exporter that can be stopped, one whose samples carry their own times, one that stays.
  const page = { text: 'supply_celsius{site="AMS-01",loop="cdu-1"} 31.5\n' }
  const dying = await serve(t, (_, res) => res.end(page.text))
  const measuredAt = Date.now() - 90_000
  const stamped = await serve(t, (_, res) => res.end(`stamped_watts{site="ams"} 4200000 ${measuredAt}\n`))
  const lasting = await serve(t, (_, res) =>
    res.end(
      [
        'rack_watts{site="ams",rack="1"} 1500000',
        'rack_watts{site="ams",rack="2"} 500000',
        'rack_watts{site="fra",rack="1"} 900000',
        'odd_ratio{site="ams"} NaN',
        'odd_ratio{site="fra"} +Inf',
        'rtt_seconds{asn="1136"} 0.012',
        'rtt_seconds{asn="KPN"} 0.013',
        '',
      ].join('\n'),
    ),
  )
  const prometheus = await startPrometheus({ jobs: { dying: dying.at, stamped: stamped.at, lasting: lasting.at } })
  t.teardown(() => prometheus.stop())
  await until('all exporters to be scraped', async () => (await prometheus.value('count(up == 1)')) === 3)

  await t.test('samples have the time of their scrape, and the names of this side', async (t) => {
    const { read, source } = feedOf(t, prometheus.url, [{ ...SUPPLY, names: { 'AMS-01': 'ams' } }])
    const before = Date.now()
    const scrapedAt = (await prometheus.value('timestamp(supply_celsius)'))! * 1_000
    const reading = await read()
    t.same(valuesOf(reading), ['ams cdu-1 cooling.supply_c 31.5'])
    t.same([reading.warnings, source.delivers(), source.covers], [[], ['cooling.supply_c'], []])
    const { at } = reading.samples[0]!
    t.ok(at >= Math.floor(scrapedAt) && at <= Date.now(), `${at} is of a scrape`)
    t.ok(at < before + 10_000 && Number.isInteger(at))
    t.same(new SampleCheck().pass(reading.samples, Date.now()), reading.samples)
  })

  await t.test('a sample with a time of its own keeps it, however often it is read', async (t) => {
    const { read } = feedOf(t, `${prometheus.url}/`, [
      { signal: 'power.draw_mw', query: 'stamped_watts{site="ams"}', unit: 'W', site: 'ams' },
    ])
    for (let i = 0; i < 3; i++) {
      t.match((await read()).samples, [{ site: 'ams', value: 4.2, at: measuredAt, source: 'prom' }])
    }
    t.ok(Math.abs(Date.now() / 1_000 - (await prometheus.value('vector(time())'))!) < 60, 'evaluated now, not then')
  })

  await t.test('what is worked out is as old as the oldest sample behind it', async (t) => {
    const mixed = 'sum(stamped_watts) + sum(rack_watts{site="ams"})'
    const queries: PromqlQuery[] = [
      {
        signal: 'power.draw_mw',
        query: 'sum by (site) (rack_watts) / 1e6 # per site',
        timestampOf: 'rack_watts',
        labels: { site: 'site' },
      },
      {
        signal: 'power.headroom_mw',
        query: mixed,
        timestampOf: '{__name__=~"stamped_watts|rack_watts"}',
        unit: 'W',
        site: 'ams',
      },
    ]
    const reading = await feedOf(t, prometheus.url, queries).read()
    t.same(valuesOf(reading), ['ams power.draw_mw 2', 'fra power.draw_mw 0.9', 'ams power.headroom_mw 6.2'])
    t.equal(reading.samples[2]!.at, measuredAt)
    t.ok(reading.samples[0]!.at > measuredAt + 60_000)
    const odd = await feedOf(t, prometheus.url, [{ ...queries[0]!, timestampOf: 'no_such_metric' }]).read()
    t.match([odd.samples, odd.warnings], [[], [{ code: 'feed/no-time', remedy: /timestampOf/ }, {}]])
  })

  await t.test('several series for one place are told apart by nobody, so none is taken', async (t) => {
    const { read } = feedOf(t, prometheus.url, [
      { signal: 'power.draw_mw', query: 'rack_watts', unit: 'W', labels: { site: 'site' } },
    ])
    const { samples, warnings } = await read()
    t.same(
      samples.map(({ site }) => site),
      ['fra'],
    )
    t.match(warnings, [{ code: 'feed/ambiguous', severity: 'warning', remedy: /max by \(site\) \(rack_watts\)/ }])
    t.match(warnings![0]!.message, /rack="1".*rack="2"/)
  })

  await t.test('what is no number comes through to the check at the edge, which counts it', async (t) => {
    const { read } = feedOf(t, prometheus.url, [{ signal: 'pue.ratio', query: 'odd_ratio', labels: { site: 'site' } }])
    const { samples } = await read()
    t.equal(samples.length, 2)
    const check = new SampleCheck()
    t.same(check.pass(samples, Date.now()), [])
    t.match(check.refusals(), [{ source: 'prom', why: 'not-a-number', count: 2 }])
  })

  await t.test('a label that names no place is told, and the other series go on', async (t) => {
    const rtt: PromqlQuery = {
      signal: 'client.rtt_p95_ms',
      query: 'rtt_seconds',
      unit: 's',
      site: 'ams',
      labels: { from: 'asn' },
    }
    const { read } = feedOf(t, prometheus.url, [{ ...rtt, fromKind: 'asn' }])
    const { samples, warnings } = await read()
    t.match(samples, [{ site: 'ams', from: 'asn:1136', value: 12 }])
    t.equal(samples.length, 1)
    t.match(warnings, [{ code: 'feed/bad-target', message: /asn:KPN/ }])
  })

  await t.test('a wrong query is told in the words of Prometheus, and the others go on', async (t) => {
    const wrong: PromqlQuery = { signal: 'power.draw_mw', query: 'sum(', timestampOf: 'rack_watts', site: 'ams' }
    const range: PromqlQuery = {
      signal: 'power.draw_mw',
      query: 'rack_watts[1m]',
      timestampOf: 'rack_watts',
      site: 'ams',
    }
    const good = { ...SUPPLY, names: { 'AMS-01': 'ams' } }
    const { samples, warnings } = await feedOf(t, prometheus.url, [wrong, good, range]).read()
    t.equal(samples.length, 1)
    t.match(warnings, [
      { code: 'feed/status', message: /power\.draw_mw: bad_data: .*parse error/s, severity: 'warning' },
      { code: 'feed/status', message: /must contain only scalar and instant vector/ },
    ])
    t.match(await problemOf(feedOf(t, prometheus.url, [wrong]).read()), { code: 'feed/status', severity: 'error' })
    t.match(await problemOf(feedOf(t, `${prometheus.url}/wrong`, [good]).read()), {
      code: 'feed/status',
      message: /404/,
    })
    t.equal((await feedOf(t, prometheus.url, [good], { method: 'GET' }).read()).samples.length, 1)
  })

  await t.test(
    'an exporter that stops takes its series along; only what had its own time stays, and ages',
    async (t) => {
      const { read } = feedOf(t, prometheus.url, [{ ...SUPPLY, names: { 'AMS-01': 'ams' } }])
      const own = feedOf(t, prometheus.url, [
        { signal: 'power.draw_mw', query: 'stamped_watts', unit: 'W', site: 'ams' },
      ])
      t.equal((await read()).samples.length, 1)
      // A gap in the page ends the series: the scrape goes well, and Prometheus marks what is not there as stale.
      page.text = ''
      await until('the stale marker', async () => (await read()).samples.length === 0)
      t.ok((await prometheus.value('count_over_time(supply_celsius[5m])'))! > 0, 'a look back would still find it')
      page.text = 'supply_celsius{site="AMS-01",loop="cdu-1"} 32\n'
      await until('the series to be back', async () => (await read()).samples[0]?.value === 32)
      for (const { server } of [dying, stamped]) {
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
      }
      await until('the dead exporter to be missing', async () => (await read()).samples.length === 0)
      await until('the other to be down', async () => (await prometheus.value('up{job="stamped"}')) === 0)
      t.match((await own.read()).samples, [{ at: measuredAt, value: 4.2 }])
    },
  )

  await t.test('credentials come from files: basic and mutual TLS of Prometheus itself, bearer before it', (t) =>
    accessTests(t, prometheus),
  )
  await t.test('answers that are none, too large, partial or late are told, and end with the attempt', hostileTests)
}

const accessTests = async (t: Test, plain: RunningPrometheus): Promise<void> => {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-promql-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  const web = [
    'tls_server_config:',
    `  cert_file: ${TLS}/server.pem`,
    `  key_file: ${TLS}/server.key`,
    '  client_auth_type: RequireAndVerifyClientCert',
    `  client_ca_file: ${TLS}/ca.pem`,
    `basic_auth_users: { hubward: ${PASS_HASH} }`,
  ].join('\n')
  const locked = await startPrometheus({ web })
  t.teardown(() => locked.stop())
  const one: PromqlQuery = { signal: 'power.draw_mw', query: 'vector(3)', timestampOf: 'up', site: 'ams' }
  const tls = { caFile: `${TLS}/ca.pem`, serverName: 'hubward.test' }
  const mutual = { ...tls, certFile: `${TLS}/client.pem`, keyFile: `${TLS}/client.key` }
  const password = (text: string) => ({ auth: { username: 'hubward', passwordFile: file('password', text) } })
  const good = await feedOf(t, locked.url, [one], { ...password('s3cret-pass\n'), tls: mutual }).read()
  t.match(good.warnings, [{ code: 'feed/no-time' }], 'it answered, and has scraped nothing')
  const wrong = await problemOf(feedOf(t, locked.url, [one], { ...password('guess'), tls: mutual }).read())
  t.match(wrong, { code: 'feed/status', message: /401/, remedy: /auth/ })
  const bare = await problemOf(feedOf(t, locked.url, [one], { ...password('s3cret-pass'), tls }).read())
  t.equal(bare.code, 'feed/unreachable')

  const seen: string[] = []
  const door = await serve(t, (req, res) => {
    seen.push(String(req.headers.authorization))
    if (req.headers.authorization !== 'Bearer t0ken') res.writeHead(403).end()
    else {
      const parts: Buffer[] = []
      req.on('data', (part: Buffer) => parts.push(part))
      req.on('end', async () => {
        const headers = { 'content-type': String(req.headers['content-type']) }
        const answer = await fetch(`${plain.url}${req.url}`, { method: 'POST', headers, body: Buffer.concat(parts) })
        res.writeHead(answer.status).end(await answer.text())
      })
    }
  })
  const racks: PromqlQuery = {
    signal: 'power.draw_mw',
    query: 'sum(rack_watts)',
    timestampOf: 'rack_watts',
    unit: 'W',
    site: 'ams',
  }
  const bearer = feedOf(t, `http://${door.at}`, [racks], { auth: { bearerFile: file('token', 't0ken\n') } })
  t.same(valuesOf(await bearer.read()), ['ams power.draw_mw 2.9'])
  file('token', 'old')
  const refused = await problemOf(bearer.read())
  t.match([refused.code, seen.length], ['feed/status', 2])
  t.notMatch(JSON.stringify([refused, wrong, bare]), /t0ken|s3cret|guess|old"/)
}

const hostileTests = async (t: Test): Promise<void> => {
  let body = ''
  let hang = false
  const fake = await serve(t, (_, res) => {
    if (!hang) res.setHeader('date', new Date(START).toUTCString()).end(body)
  })
  const query: PromqlQuery = { signal: 'power.draw_mw', query: 'x', site: 'ams' }
  const sum: PromqlQuery = { ...query, query: 'sum(x)', timestampOf: 'x' }
  const ask = (text: unknown, one: PromqlQuery = query) => {
    body = typeof text === 'string' ? text : JSON.stringify(text)
    return feedOf(t, `http://${fake.at}`, [one], { bodyBytesMax: 10_000 }, () => START).read()
  }
  const vector = (result: unknown, more: object = {}) => ({
    status: 'success',
    data: { resultType: 'vector', result },
    ...more,
  })
  const time = { metric: { hubward_part: 'time' }, value: [1, '1700000000'] }
  const value = (text: unknown, metric: object = { __name__: 'x' }) => ({ metric, value: [1, text] })
  t.match((await ask(vector([time, value('3')]))).samples, [{ value: 3, at: START }])
  const codeOf = async (text: unknown) => (await problemOf(ask(text))).code
  t.equal(await codeOf('<html>'), 'feed/bad-text')
  t.equal(await codeOf('[]'), 'feed/status')
  t.equal(await codeOf('null'), 'feed/status')
  t.equal(await codeOf({ status: 'success' }), 'feed/bad-text')
  t.equal(await codeOf({ status: 'success', data: { resultType: 'matrix', result: [] } }), 'feed/bad-text')
  t.equal(await codeOf('['.repeat(9_000)), 'feed/bad-text')
  t.equal(await codeOf('x'.repeat(10_001)), 'feed/too-large')
  t.match(await problemOf(ask({ status: 'error', errorType: 'timeout', error: 'query timed out' })), {
    message: /timeout: query timed out/,
  })
  for (const odd of [
    5,
    null,
    {},
    { metric: 7, value: 8 },
    value(3),
    value('3', { a: 5 }),
    { metric: {}, histogram: [] },
  ]) {
    const { samples, warnings } = await ask(vector([time, odd]))
    t.same([samples, warnings!.length], [[], 1], JSON.stringify(odd))
  }
  const many = await ask(vector(Array.from({ length: 150 }, () => value('3', { site: 'x' }))))
  t.equal(many.warnings!.length, 11, 'as many problems as are read, and how many more')

  const partial = { warnings: ['store 10.0.0.7 did not answer'] }
  const plain = await ask(vector([time, value('3')], partial))
  t.match([plain.samples.length, plain.warnings], [1, [{ code: 'feed/partial', message: /10\.0\.0\.7/ }]])
  const summed = await ask(vector([time, value('3')], partial), sum)
  t.match([summed.samples, summed.warnings], [[], [{}, { code: 'feed/partial', message: /not taken/ }]])
  t.equal((await ask(vector([time, value('3')], { isPartial: true }), sum)).samples.length, 0)
  const note = await ask(vector([time, value('3')], { warnings: ['PromQL warning: bucket label'] }), sum)
  t.equal(note.samples.length, 1)

  hang = true
  const clock = new Time()
  const late = feedOf(t, `http://${fake.at}`, [query], {}, clock.clock.now)
  const poller = new Poller(late.source, { clock: clock.clock, timer: clock.timer, accept: () => t.fail('accepted') })
  poller.start()
  await clock.next()
  const done = until('the deadline', async () => {
    await clock.advance(50)
    return poller.counts.timeouts === 1 && poller.status().failuresInARow === 1
  })
  await done
  t.match(poller.status(), { owner: 'observability@example.com', refusal: [{ code: 'feed/timeout' }] })
  await poller.stop()
}
