import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import type { Test } from 'tap'
import { csvRows } from '../../src/feeds/csv.ts'
import { FeedFailure } from '../../src/feeds/failure.ts'
import { offPeakOf } from '../../src/feeds/off-peak.ts'
import { FEED_DEFAULTS } from '../../src/feeds/schemas.ts'
import { Running, SeriesCheck, tidyIntervals } from '../../src/feeds/series-check.ts'
import { type SeriesConfig, seriesFaults, seriesFeed } from '../../src/feeds/series-feed.ts'
import { childText, readXml } from '../../src/feeds/xml.ts'
import { type Interval, SERIES_INTERVALS_MAX, type Series } from '../../src/model/sample.ts'
import { closing, folderOf, json, readOnce, refusalOf, serverOf } from './feed-servers.ts'
import { until } from './running-envoy.ts'
import { site, World } from './world.ts'

const NOON = Date.parse('2026-11-23T12:00:00Z')
const HOUR = 3_600_000
const DAY = 24 * HOUR

/** Hours of noon: `[from, to, value]`. */
const hours = (intervals: readonly Interval[]) =>
  intervals.map(({ from, to, value }) => [(from - NOON) / HOUR, (to - NOON) / HOUR, value])
const interval = (from: number, to: number, value: number): Interval => ({
  from: NOON + from * HOUR,
  to: NOON + to * HOUR,
  value,
})
const iso = (hour: number) => new Date(NOON + hour * HOUR).toISOString()

const feedOf = (t: Test, over: Partial<SeriesConfig>, now = { at: NOON }) => {
  const config = { kind: 'series', name: 'prices', targets: ['ams'], signal: 'price.per_mwh', format: 'json', ...over }
  const source = seriesFeed({ ...FEED_DEFAULTS.series, ...(config as SeriesConfig) }, { now: () => now.at })
  return closing(t, source)
}

/** The intervals of each signal, and the rest of the reading. */
const saidBy = async (source: ReturnType<typeof feedOf>) => {
  const { series = [], warnings = [] } = await readOnce(source)
  return {
    said: Object.fromEntries(series.map(({ signal, intervals }) => [signal, hours(intervals)])),
    series,
    warnings: warnings.map(({ message }) => message),
  }
}

const a44 = (series: readonly string[], root = 'Publication_MarketDocument') =>
  `<?xml version="1.0" encoding="utf-8"?>\n<${root} xmlns="urn:iec62325.351:tc57wg16:451-3:publicationdocument:7:3">
  <mRID>1</mRID><createdDateTime>2026-11-22T11:58:00Z</createdDateTime>${series.join('\n')}</${root}>`
/** Prices of a period from midnight in Amsterdam, by position. */
const a44Series = (day: string, step: string, points: Record<number, number | string>, more = '', curve = 'A03') => {
  const start = Date.parse(`${day}T23:00:00Z`) - DAY
  const time = (at: number) => `${new Date(at).toISOString().slice(0, 16)}Z`
  return `<TimeSeries>${more}<currency_Unit.name>EUR</currency_Unit.name><price_Measure_Unit.name>MWH</price_Measure_Unit.name>
    <curveType>${curve}</curveType><Period><timeInterval><start>${time(start)}</start><end>${time(start + DAY)}</end></timeInterval>
    <resolution>${step}</resolution>${Object.entries(points)
      .map(([at, price]) => `<Point><position>${at}</position><price.amount>${price}</price.amount></Point>`)
      .join('')}</Period></TimeSeries>`
}

/** Series from addresses and files. */
export const seriesCases = async (t: Test): Promise<void> => {
  t.test('are read from JSON by pointers, as items or as columns, in EUR', async (t) => {
    const items = [
      { start: iso(-1), price: 30 },
      { start: iso(0), price: 40 },
      { start: iso(1), price: -5 },
    ]
    const { url } = await serverOf(t, ({ path }, response) =>
      path === '/items'
        ? json(response, { made: '2026-11-23T11:00:00Z', data: { prices: items } })
        : json(response, { unix_seconds: items.map(({ start }) => Date.parse(start) / 1_000), price: [30, 40, -5] }),
    )
    const places = { items: '/data/prices', from: '/start', value: '/price', issuedAt: '/made' }
    const { said, series, warnings } = await saidBy(feedOf(t, { url: `${url}/items`, json: places }))
    t.same(
      said,
      {
        'price.per_mwh': [
          [0, 1, 40],
          [1, 2, -5],
        ],
      },
      'an hour that is over is not told',
    )
    t.match(series, [{ site: 'ams', source: 'prices', issuedAt: NOON - HOUR }])
    t.same(warnings, [])
    const columns = {
      url: `${url}/columns`,
      json: { from: '/unix_seconds', value: '/price' },
      targets: ['ams', 'fra/h100'],
    }
    const dollars = await saidBy(feedOf(t, { ...columns, unit: 'USD/kWh', rate: 0.5 }))
    t.same(dollars.said, {
      'price.per_mwh': [
        [0, 1, 20_000],
        [1, 2, -2_500],
      ],
    })
    t.match(dollars.series, [{ site: 'ams' }, { site: 'fra', pool: 'h100' }])
    t.match(await refusalOf(feedOf(t, { ...columns, json: { from: '/unix', value: '/price' } })), [
      { code: 'feed/bad-text', message: /nothing at \/unix: the whole is an object with unix_seconds, price/ },
    ])
  })

  t.test('are read from CSV by the names of columns', async (t) => {
    const text = [
      '\ufeffDatetime (UTC),Zone Id,"Carbon Intensity gCO2eq/kWh (LCA)",Data Estimated',
      '2026-11-23 11:00:00,NL,300,"an ""odd"" one, with\nmore"',
      '2026-11-23 12:00:00,NL,310,',
      '2026-11-23 12:00:00,DE,1,',
      '2026-11-23 13:00:00,NL,,true',
      '2026-11-23 14:00:00,NL,320,',
      '',
    ].join('\r\n')
    const { url } = await serverOf(t, (_, response) => response.end(text))
    const csv = { from: 'Datetime (UTC)', value: 'Carbon Intensity gCO2eq/kWh (LCA)', where: { 'Zone Id': 'NL' } }
    const feed = { url, format: 'csv', signal: 'carbon.g_per_kwh', csv } as const
    const { said, warnings } = await saidBy(feedOf(t, feed))
    t.same(said, {
      'carbon.g_per_kwh': [
        [0, 1, 310],
        [2, 3, 320],
      ],
    })
    t.match(warnings, [/1 values are no numbers/, /1 stretches of time/])
    t.match(await refusalOf(feedOf(t, { ...feed, csv: { ...csv, value: 'Carbon' } })), [
      { message: /no column "Carbon"/, remedy: /Zone Id/ },
    ])
    t.same([...csvRows('a;"b;""c"";"x;d\n\n;\n"e', ';')], [['a', 'b;"c";', 'd'], ['', ''], ['e']])
    fc.assert(
      fc.property(fc.array(fc.array(fc.string(), { minLength: 2 })), (rows) => {
        const quoted = rows.map((row) => row.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(',')).join('\n')
        return JSON.stringify([...csvRows(quoted)]) === JSON.stringify(rows)
      }),
    )
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (any) => [...csvRows(any)].length >= 0))
  })

  t.test('are read as WattTime has them, with a login whose token is kept', async (t) => {
    const passwordFile = join(folderOf(t), 'password')
    writeFileSync(passwordFile, 'pw\n')
    let tokens = 0
    const { url, asked } = await serverOf(t, ({ path, headers }, response) => {
      if (path === '/login') {
        if (headers.authorization !== `Basic ${btoa('me:pw')}`) return json(response, {}, 403)
        tokens += 1
        return json(response, { token: `t${tokens}` })
      }
      if (headers.authorization !== `Bearer t${tokens}`) return json(response, {}, 401)
      const meta = { region: 'NL', signal_type: 'co2_moer', units: 'lbs_co2_per_mwh', generated_at: iso(0) }
      const data = [0, 1, 2].map((n) => ({ point_time: iso(n / 12), value: 1_000 + n }))
      json(response, { meta: { ...meta, data_point_period_seconds: 300 }, data })
    })
    const auth = { loginUrl: `${url}/login`, username: 'me', passwordFile }
    const feed = feedOf(t, { url: `${url}/v3/forecast`, format: 'watttime', signal: 'carbon.g_per_kwh', auth })
    const { said } = await saidBy(feed)
    t.match(said['carbon.g_per_kwh']![0], [0, 1 / 12, 453.592_37])
    t.equal(said['carbon.g_per_kwh']!.length, 3)
    await saidBy(feed)
    t.equal(tokens, 1)
    tokens = 5
    await saidBy(feed)
    t.equal(tokens, 6)
    t.ok(asked.every(({ query }) => query.size === 0))
  })

  t.test('are read as ENTSO-E has them: what is not repeated holds on, and the finer one counts', async (t) => {
    const tokenFile = join(folderOf(t), 'token')
    writeFileSync(tokenFile, 'secret-token\n')
    let text = a44([
      a44Series('2026-11-23', 'PT60M', { 1: 50, 14: 60, 15: 'odd', 16: 70 }),
      a44Series('2026-11-24', 'PT15M', { 1: 10, 96: 20 }),
    ])
    const { url, asked } = await serverOf(t, (_, response) => response.end(text))
    const query = [
      { name: 'securityToken', file: tokenFile },
      { name: 'periodStart', value: '{from:compact}' },
      { name: 'periodEnd', value: '{to:compact}' },
    ]
    const feed = feedOf(t, { url: `${url}/api`, query, format: 'entsoe-a44' })
    const { said, warnings, series } = await saidBy(feed)
    t.same(said, {
      'price.per_mwh': [
        [0, 2, 60],
        [2, 11, 70],
        [11, 34.75, 10],
        [34.75, 35, 20],
      ],
    })
    t.match(warnings, [/1 values/])
    t.equal(series[0]!.issuedAt, Date.parse('2026-11-22T11:58:00Z'))
    t.same(Object.fromEntries(asked[0]!.query), {
      securityToken: 'secret-token',
      periodStart: '202611230000',
      periodEnd: '202611250000',
    })
    t.notMatch(JSON.stringify(feed.where), /secret/)
    const position = (n: number) =>
      `<classificationSequence_AttributeInstanceComponent.position>${n}</classificationSequence_AttributeInstanceComponent.position>`
    text = a44([
      a44Series('2026-11-23', 'PT15M', { 1: 1 }, position(2)),
      a44Series('2026-11-23', 'PT60M', { 1: 2 }, position(1)),
      a44Series('2026-11-23', 'PT15M', { 53: 3, 54: 4 }, position(1), 'A01'),
    ])
    t.same((await saidBy(feed)).said, {
      'price.per_mwh': [
        [0, 0.25, 3],
        [0.25, 0.5, 4],
        [0.5, 11, 2],
      ],
    })
    text = a44(
      ['<Reason><code>999</code><text>No matching data found</text></Reason>'],
      'Acknowledgement_MarketDocument',
    )
    t.match(await refusalOf(feed), [{ code: 'feed/bad-text', message: /No matching data found/ }])
    text = a44([a44Series('2026-11-23', 'PT60M', { 1: 50 }).replace('EUR', 'BGN')])
    t.match(await refusalOf(feed), [{ code: 'feed/unknown-unit', message: /BGN/, remedy: /rate/ }])
    text = a44([a44Series('2026-11-23', 'PT1S', { 1: 50 })])
    t.match(await refusalOf(feed), [{ code: 'feed/nothing-ahead' }])
  })

  t.test('come from files as well, which are looked at when they change', async (t) => {
    const path = join(folderOf(t), 'carbon.json')
    const write = (value: number) => writeFileSync(path, JSON.stringify([{ at: NOON, until: NOON + HOUR, value }]))
    const feed = feedOf(t, {
      path,
      signal: 'carbon.g_per_kwh',
      json: { items: '', from: '/at', to: '/until', value: '/value' },
    })
    t.match(await refusalOf(feed), [{ code: 'feed/unreachable', path }])
    write(300)
    t.same((await saidBy(feed)).said, { 'carbon.g_per_kwh': [[0, 1, 300]] })
    let changes = 0
    t.teardown(feed.watch!(() => (changes += 1)))
    write(310)
    await until('the change to be seen', () => changes > 0)
    t.same((await saidBy(feed)).said, { 'carbon.g_per_kwh': [[0, 1, 310]] })
  })

  t.test('that are all past are refused: the newest that was published is not what holds now', async (t) => {
    const { url } = await serverOf(t, (_, response) =>
      json(response, [
        { at: iso(-4), value: 300 },
        { at: iso(-3), value: 310 },
      ]),
    )
    const feed = feedOf(t, { url, json: { items: '', from: '/at', value: '/value' } })
    t.match(await refusalOf(feed), [
      { code: 'feed/nothing-ahead', message: /the last ended at 2026-11-23T10:00/, remedy: /forecast/ },
    ])
  })

  t.test('make hours off-peak: those below a price, or the cheapest of each day that is known whole', async (t) => {
    const at = (from: number, to: number, value: number) => interval(from, to, value)
    const off = (prices: Interval[], rule: Parameters<typeof offPeakOf>[1], now = NOON) =>
      hours(offPeakOf(prices, rule, now))
    t.same(off([at(-2, 1, 60), at(1, 3, 59.9), at(4, 5, 10)], { below: 60 }), [
      [-2, 1, 0],
      [1, 3, 1],
      [4, 5, 1],
    ])
    const day = [at(-13, -10, 5), at(-10, 5, 50), at(5, 9, 20), at(9, 11, 50)]
    const rule = { cheapestHours: 5, timeZone: 'Europe/Amsterdam' }
    t.same(
      off(day, rule),
      [
        [-10, 5, 0],
        [5, 7, 1],
        [7, 11, 0],
      ],
      'three at night, which are over, and two in the evening',
    )
    t.same(off(day.slice(1), rule), [], 'of a day that is known in part nothing can be said')
    const tomorrow = [at(11, 20, 9), at(20, 35, 8)]
    t.same(off([...day, ...tomorrow], rule).slice(-3), [
      [7, 20, 0],
      [20, 25, 1],
      [25, 35, 0],
    ])
    const spring = Date.parse('2026-03-29T12:00:00Z')
    const flat = [{ from: spring - 13 * HOUR, to: spring + 10 * HOUR, value: 1 }]
    t.match(offPeakOf(flat, { cheapestHours: 23, timeZone: 'Europe/Amsterdam' }, spring), [
      { to: spring + 10 * HOUR, value: 1 },
    ])
    const prices = day.map(({ from, to, value }) => ({ from, to, value }))
    const { url } = await serverOf(t, (_, response) => json(response, prices))
    const feed = feedOf(t, { url, json: { items: '', from: '/from', to: '/to', value: '/value' }, offPeak: rule })
    const { said } = await saidBy(feed)
    t.same(said['tariff.off_peak'], [
      [-10, 5, 0],
      [5, 7, 1],
      [7, 11, 0],
    ])
    t.same([...feed.delivers()], ['price.per_mwh', 'tariff.off_peak'])
  })

  t.test('are in order, without overlaps and within their range, whatever they were made from', async (t) => {
    const tidy = (...given: Interval[]) => hours(tidyIntervals(given, 'price.per_mwh', NOON).intervals)
    t.same(tidy(interval(0, 4, 5), interval(1, 2, 3)), [[0, 4, 5]])
    t.same(tidy(interval(1, 2, 3), interval(0, 4, 5)), [
      [0, 1, 5],
      [1, 2, 3],
      [2, 4, 5],
    ])
    t.same(tidy(interval(1, 2, 3), interval(0, 1, 3), interval(-5, -1, 3)), [[0, 2, 3]])
    t.same(tidy(interval(0, 2, 1), interval(1, 4, 2), interval(3, 6, 3)), [
      [0, 2, 1],
      [2, 4, 2],
      [4, 6, 3],
    ])
    const whole = fc.integer({ min: -20, max: 60 })
    const any = fc.record({ from: whole, to: whole, value: fc.oneof(whole, fc.double(), fc.constant(1e9)) })
    fc.assert(
      fc.property(fc.array(any, { maxLength: 40 }), (given) => {
        const all = given.map(({ from, to, value }) => interval(from, to, value))
        const { intervals } = tidyIntervals(all, 'price.per_mwh', NOON)
        const series = { signal: 'price.per_mwh', site: 'ams', source: 'x', issuedAt: NOON, intervals }
        if (new SeriesCheck(() => {}).pass([series]).length !== 1) return false
        // Every quarter of an hour has the value of the first in the list that speaks of it.
        for (let quarter = 0; quarter < 240; quarter++) {
          const at = NOON + (quarter * HOUR) / 4
          const speaks = (one: Interval) => one.from <= at && at < one.to
          const isGood = (one: Interval) => one.to > one.from && one.value >= -10_000 && one.value <= 100_000
          if (intervals.find(speaks)?.value !== all.find((one) => isGood(one) && speaks(one))?.value) return false
        }
        return true
      }),
    )
    const many = Array.from({ length: 2_000 }, (_, n) => interval(n, n + 1, n % 7))
    const cut = tidyIntervals(many, 'price.per_mwh', NOON)
    t.same([cut.intervals.length, cut.dropped], [SERIES_INTERVALS_MAX, 2_000 - SERIES_INTERVALS_MAX])
  })

  t.test('are refused whole at the edge where they can not be, and never go back behind a newer one', async (t) => {
    const refusals: string[] = []
    const check = new SeriesCheck((source, why) => refusals.push(`${source} ${why}`))
    const series = (over: Partial<Series>): Series => ({
      signal: 'price.per_mwh',
      site: 'ams',
      source: 'x',
      issuedAt: NOON,
      intervals: [interval(0, 1, 1)],
      ...over,
    })
    const passes = (over: Partial<Series>) => check.pass([series(over)]).length === 1
    t.ok(passes({}) && passes({}) && passes({ issuedAt: NOON + 1 }))
    t.ok(passes({ intervals: [], issuedAt: NOON + 2 }), 'no interval at all takes back what was said')
    const bad: [Partial<Series>, string][] = [
      [{}, 'out-of-order'],
      [{ signal: 'price.per_mw' }, 'unknown-signal'],
      [{ issuedAt: Number.NaN }, 'not-a-number'],
      [{ intervals: [interval(0, 1, Number.NaN)] }, 'not-a-number'],
      [{ intervals: [interval(0, 1, 1e9)] }, 'out-of-range'],
      [{ intervals: [interval(1, 1, 1)] }, 'out-of-order'],
      [{ intervals: [interval(0, 2, 1), interval(1, 3, 1)] }, 'out-of-order'],
      [{ intervals: Array.from({ length: 769 }, (_, n) => interval(n, n + 1, 1)) }, 'out-of-range'],
    ]
    for (const [over, why] of bad) t.notOk(passes(over), why)
    t.same(
      refusals,
      bad.map(([, why]) => `x ${why}`),
    )
  })

  t.test('run by themselves in the engine, and a revision in the middle of an interval counts at once', async (t) => {
    const now = { at: 0 }
    const world = new World({ sites: [site('ams')] })
    const start = world.now
    let values = [1, 2, 3]
    const { url } = await serverOf(t, (_, response) =>
      json(
        response,
        values.map((value, n) => ({ at: start + n * HOUR, value })),
      ),
    )
    const feed = feedOf(t, { url, json: { items: '', from: '/at', value: '/value' } }, now)
    const poll = async () => {
      now.at = world.now
      const { series = [] } = await readOnce(feed)
      world.apply({ kind: 'samples-arrived', at: world.now, samples: [], heartbeats: [], series })
    }
    const price = () => world.snapshot.data.columns['price.per_mwh']!.value[0]
    await poll()
    t.equal(price(), 1)
    world.pass(HOUR)
    t.equal(price(), 2)
    values = [7, 7, 3]
    await poll()
    t.equal(price(), 7, 'though what runs now began before what was known to run')
    const running = new Running()
    t.same(hours(running.steady([interval(-1, 2, 5)], NOON)), [[-1, 2, 5]])
    t.same(hours(running.steady([interval(-3, 2, 5)], NOON)), [[-1, 2, 5]])
    t.same(hours(running.steady([interval(-3, 2, 6)], NOON)), [[0, 2, 6]])
  })

  t.test('are configured so that they can be read', async (t) => {
    const faults = (over: Partial<SeriesConfig>) =>
      seriesFaults({
        kind: 'series',
        name: 'x',
        targets: ['ams'],
        signal: 'price.per_mwh',
        format: 'watttime',
        url: 'http://x',
        ...over,
      })
    t.same(faults({}), [])
    t.same(faults({ unit: 'USD/MWh', rate: 0.9, offPeak: { cheapestHours: 2, timeZone: 'Europe/Paris' } }), [])
    for (const [over, says] of [
      [{ format: 'json' }, /json is missing/],
      [{ format: 'csv' }, /csv is missing/],
      [{ json: { from: 'at', value: '/v' } }, /no JSON pointer/],
      [{ unit: 'USD/MWh' }, /not in EUR/],
      [{ unit: 'kW' }, /can't be made into EUR\/MWh/],
      [{ signal: 'client.rtt_p95_ms' }, /of a link/],
      [{ signal: 'carbon.g_per_kwh', offPeak: { below: 5 } }, /from prices/],
      [{ offPeak: { cheapestHours: 2, timeZone: 'Mars/Base' } }, /time zone/],
    ] as [Partial<SeriesConfig>, RegExp][]) {
      t.match(faults(over)[0]![0], says)
    }
  })

  t.test('of any text at all are refused or in order, in bounded time', async (t) => {
    const check = new SeriesCheck((_, why) => t.fail(why))
    let text = ''
    const { url } = await serverOf(t, (_, response) => response.end(text))
    const feeds = [
      feedOf(t, { url, json: { items: '/a', from: '/f', value: '/v' } }),
      feedOf(t, { url, format: 'watttime', signal: 'carbon.g_per_kwh' }),
      feedOf(t, { url, format: 'entsoe-a44' }),
      feedOf(t, { url, format: 'csv', csv: { from: 'f', value: 'v' } }),
    ]
    const time = fc.oneof(fc.constant(iso(1)), fc.constant(NOON), fc.string(), fc.double())
    const rows = fc.array(
      fc.record({ f: time, v: fc.oneof(fc.double(), fc.string()), point_time: time, value: fc.double() }),
    )
    const texts = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.json(),
      rows.map((a) => JSON.stringify({ a, data: a, meta: { units: 'lbs_co2_per_mwh' } })),
      rows.map((a) => `f,v\n${a.map(({ f, v }) => `${f},${v}`).join('\n')}`),
      fc
        .array(
          fc.constantFrom('<a>', '</a>', '<Period>', '<b c="d"/>', '&#x41;', '<!--', '-->', '<![CDATA[', ']]>', 'x'),
        )
        .map((all) => all.join('')),
    )
    await fc.assert(
      fc.asyncProperty(texts, async (any) => {
        text = any
        for (const feed of feeds) {
          try {
            check.pass((await readOnce(feed)).series ?? [])
          } catch (error) {
            if (!(error instanceof FeedFailure)) throw error
          }
        }
      }),
      { numRuns: 60 },
    )
    for (const hostile of [
      '<a>'.repeat(200_000),
      `<a ${'b="c" '.repeat(150_000)}`,
      '<!--'.repeat(250_000),
      '&'.repeat(900_000),
    ]) {
      text = hostile
      t.match(await refusalOf(feeds[2]!), [{ code: 'feed/bad-text' }])
    }
    text = 'x'.repeat(3_000_000)
    t.match(await refusalOf(feeds[0]!), [{ code: 'feed/too-large' }])
    const doc = readXml('<?xml version="1.0"?><!-- a --><p:a><b> 1 &lt; &#50; <![CDATA[<c>]]></b><b/></p:a>')
    t.same([doc.name, childText(doc, 'b'), doc.children.length], ['a', '1 < 2 <c>', 2])
    for (const bad of ['<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', '<a></b>', '<a/><a/>', 'x', '<a', '']) {
      t.throws(() => readXml(bad), SyntaxError, bad)
    }
  })
}
