import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import type { Test } from 'tap'
import { FeedFailure } from '../../src/feeds/failure.ts'
import { later, readDuration, readMoment } from '../../src/feeds/iso-time.ts'
import { type OpenadrConfig, openadrFeed } from '../../src/feeds/openadr.ts'
import { redfishFeed } from '../../src/feeds/redfish.ts'
import { SampleCheck } from '../../src/feeds/samples.ts'
import { FEED_DEFAULTS } from '../../src/feeds/schemas.ts'
import { SeriesCheck } from '../../src/feeds/series-check.ts'
import { startFacility } from '../../src/simulator/facility/server.ts'
import { closing, folderOf, json, readOnce, refusalOf, serverOf } from './feed-servers.ts'
import { site, World } from './world.ts'

const NOON = Date.parse('2026-11-23T12:00:00Z')
const HOUR = 3_600_000

interface Event {
  readonly id: string
  readonly [name: string]: unknown
}

/** An event of one interval that began an hour before noon, or as told. */
const event = (id: string, type: string, values: unknown[], over: Record<string, unknown> = {}): Event => ({
  id,
  objectType: 'EVENT',
  createdDateTime: '2026-11-23T11:00:00Z',
  programID: 'p1',
  eventName: id,
  intervalPeriod: { start: '2026-11-23T11:00:00Z', duration: 'PT4H' },
  intervals: [{ id: 0, payloads: [{ type, values }] }],
  ...over,
})
const from = (start: string, duration: string, more: object = {}) => ({ intervalPeriod: { start, duration, ...more } })

/** A VTN with a list of events that a test changes, paging as the standard has it, which gives tokens that it may take back. */
const vtnOf = async (t: Test, over: Partial<OpenadrConfig> = {}) => {
  const state = {
    now: NOON,
    events: [] as Event[],
    programs: [{ id: 'p1', programName: 'relief' }] as object[],
    tokens: 0,
  }
  const clientSecretFile = join(folderOf(t), 'secret')
  writeFileSync(clientSecretFile, 's3cret\n')
  const { url, asked } = await serverOf(t, ({ path, query, headers, body }, response) => {
    if (path === '/adr/auth/server') return json(response, { tokenURL: `${url}/adr/oauth` })
    if (path === '/adr/oauth') {
      const form = new URLSearchParams(body)
      const isGood = form.get('client_id') === 'hubward' && form.get('client_secret') === 's3cret'
      if (!isGood || form.get('grant_type') !== 'client_credentials') return json(response, { error: 'invalid' }, 401)
      state.tokens += 1
      return json(response, { access_token: `token-${state.tokens}`, token_type: 'Bearer', expires_in: 3_600 })
    }
    if (headers.authorization !== `Bearer token-${state.tokens}`) return json(response, { status: 401 }, 401)
    const [skip, limit] = [Number(query.get('skip')), Number(query.get('limit'))]
    const all = path === '/adr/events' ? state.events : path === '/adr/programs' ? state.programs : undefined
    return all === undefined ? json(response, {}, 404) : json(response, all.slice(skip, skip + limit))
  })
  const auth = { clientId: 'hubward', clientSecretFile }
  const config = { ...FEED_DEFAULTS.openadr, kind: 'openadr', name: 'grid', site: 'ams', auth, ...over } as const
  const source = closing(t, openadrFeed({ ...config, url: `${url}/adr/` }, { now: () => state.now }))
  return { state, source, asked, clientSecretFile }
}
type Vtn = Awaited<ReturnType<typeof vtnOf>>

/** What an attempt says, in short: `signal value until`, and of series `from to value`, in minutes from noon. */
const saidBy = async ({ source }: Vtn) => {
  const { samples, series = [], warnings = [] } = await readOnce(source)
  const minutes = (at: number) => (at > NOON + 1_000 * 24 * HOUR ? Number.POSITIVE_INFINITY : (at - NOON) / 60_000)
  return {
    now: Object.fromEntries(
      samples.map(({ signal, value, validUntil }) => [
        signal,
        validUntil === undefined ? [value] : [value, minutes(validUntil)],
      ]),
    ),
    ahead: Object.fromEntries(
      series.map(({ signal, intervals }) => [
        signal,
        intervals.map(({ from, to, value }) => [minutes(from), minutes(to), value]),
      ]),
    ),
    warnings: warnings.map(({ message }) => message),
  }
}
const GRACE = (2 * FEED_DEFAULTS.openadr.intervalMs + FEED_DEFAULTS.openadr.timeoutMs) / 60_000

/** The devices of a simulated plant, read by the feeds that a site has. */
export const plantCases = async (t: Test): Promise<void> => {
  const facility = await startFacility()
  t.teardown(() => facility.close())
  const { url } = facility
  const { site: name, loops } = facility.plant.options
  const clock = { now: () => Date.now() }
  const about = { site: name, url }
  const cooling = { ...FEED_DEFAULTS.redfish, ...about, kind: 'redfish', name: 'cooling' } as const
  const power = [{ path: '/redfish/v1/Chassis/site' }]
  const redfish = closing(t, redfishFeed({ ...cooling, discover: { loop: '{Id}' }, power }, clock))
  const openadr = closing(t, openadrFeed({ ...FEED_DEFAULTS.openadr, ...about, kind: 'openadr', name: 'grid' }, clock))
  const { samples, warnings } = await readOnce(redfish)
  t.same(new Set(samples.map(({ signal }) => signal)), new Set(redfish.delivers()))
  t.same(new Set(samples.flatMap(({ loop }) => loop ?? [])), new Set(loops.map((loop) => loop.name)))
  t.same(warnings, [])
  facility.order({ do: 'leak', on: true })
  const wet = await readOnce(redfish)
  t.match(
    wet.samples.find(({ signal }) => signal === 'leak.detected'),
    { value: 1 },
  )
  const calm = await readOnce(openadr)
  t.match(calm.samples, [{ signal: 'grid.emergency', value: 0 }])
  t.match(calm.series, [{ signal: 'price.per_mwh' }, { signal: 'carbon.g_per_kwh' }])
  facility.order({ do: 'grid', limitMw: 1.5, emergency: true })
  t.match((await readOnce(openadr)).samples, [
    { signal: 'grid.import_limit_mw', value: 1.5 },
    { signal: 'grid.emergency', value: 1 },
  ])
}

/** VTNs as readers meet them. */
export const openadrCases = async (t: Test): Promise<void> => {
  t.test('say that nothing is on where nothing is', async (t) => {
    const vtn = await vtnOf(t)
    t.same(await saidBy(vtn), { now: { 'grid.emergency': [0, GRACE] }, ahead: {}, warnings: [] })
    t.match(
      vtn.asked.map(({ method, path }) => `${method} ${path}`),
      ['GET /adr/auth/server', 'POST /adr/oauth', 'GET /adr/programs', 'GET /adr/events'],
    )
  })

  t.test('limit what may be imported: the strictest that holds, the others when their time has come', async (t) => {
    const vtn = await vtnOf(t)
    vtn.state.events = [
      event('wide', 'IMPORT_CAPACITY_LIMIT', [3_000]),
      event('strict', 'IMPORT_CAPACITY_LIMIT', [2_000], { priority: 9, ...from('2026-11-23T11:45:00Z', 'PT30M') }),
      event('always', 'IMPORT_CAPACITY_LIMIT', [5], {
        ...from('0001-01-01', 'P9999Y'),
        payloadDescriptors: [{ payloadType: 'IMPORT_CAPACITY_LIMIT', units: 'MW' }],
      }),
      event('over', 'IMPORT_CAPACITY_LIMIT', [1], from('2026-11-23T10:00:00Z', 'PT1H')),
      event('reserved', 'IMPORT_CAPACITY_RESERVATION', [1]),
    ]
    t.match(await saidBy(vtn), {
      now: { 'grid.import_limit_mw': [2, 15], 'grid.emergency': [0, GRACE] },
      ahead: {
        'grid.import_limit_mw': [
          [15, 180, 3],
          [180, Number.POSITIVE_INFINITY, 5],
        ],
      },
      warnings: [],
    })
    vtn.state.events = []
    const after = await saidBy(vtn)
    t.same(after.now['grid.import_limit_mw'], [10_000, 0], 'what is deleted has ended, and is told to have')
    t.same(after.ahead['grid.import_limit_mw'], [])
    t.same(Object.keys((await saidBy(vtn)).now), ['grid.emergency'], 'once')
  })

  t.test('move the power that a site may take, as the engine counts it', async (t) => {
    const vtn = await vtnOf(t)
    const world = new World({ sites: [site('ams', { powerBudgetMw: 10 })] })
    vtn.state.now = world.now
    const check = new SampleCheck()
    const seriesCheck = new SeriesCheck((source, why) => t.fail(`${source} ${why}`))
    const iso = (ms: number) => new Date(world.now + ms).toISOString()
    const poll = async () => {
      vtn.state.now = world.now
      const { samples, series = [] } = await readOnce(vtn.source)
      const change = { samples: check.pass(samples, world.now), series: seriesCheck.pass(series), heartbeats: [] }
      world.apply({ kind: 'samples-arrived', at: world.now, ...change })
    }
    const draw = () => {
      const sample = { site: 'ams', signal: 'power.draw_mw', value: 2, at: world.now, source: 'meter' }
      world.apply({ kind: 'samples-arrived', at: world.now, samples: [sample], heartbeats: [] })
    }
    const headroom = () => {
      draw()
      return world.snapshot.data.columns['power.headroom_mw']!.value[0]
    }
    const emergency = () => world.snapshot.data.columns['grid.emergency']!.value[0]
    await poll()
    t.same([headroom(), emergency()], [8, 0])
    vtn.state.events = [
      event('a', 'IMPORT_CAPACITY_LIMIT', [7_000], from(iso(0), 'PT10M')),
      event('b', 'IMPORT_CAPACITY_LIMIT', [4_000], from(iso(60_000), 'PT1M')),
      event('c', 'ALERT_GRID_EMERGENCY', ['shed'], from(iso(60_000), 'PT1M')),
    ]
    await poll()
    t.same([headroom(), emergency()], [5, 0])
    world.pass(60_000)
    t.same([headroom(), emergency()], [2, 1], 'both begin by themselves, between two polls')
    world.pass(60_000)
    t.same([headroom(), emergency()], [5, 0], 'and end so')
    vtn.state.events = []
    await poll()
    world.pass(1_000)
    t.same([headroom(), emergency()], [8, 0])
  })

  t.test('call for load to be shed with the payloads that are declared to', async (t) => {
    const vtn = await vtnOf(t, { emergencyTypes: ['ALERT_GRID_EMERGENCY', 'OLS'] })
    const run = async (...events: Event[]) => {
      vtn.state.events = events
      const { now, ahead } = await saidBy(vtn)
      return [now['grid.emergency'], ahead['grid.emergency']]
    }
    t.same(await run(event('e', 'ALERT_GRID_EMERGENCY', ['Shed'])), [[1, 180], [[180, 180 + GRACE, 0]]])
    t.same(await run(event('e', 'OLS', [1], from('2026-11-23T13:00:00Z', 'PT1H'))), [
      [0, GRACE],
      [
        [60, 120, 1],
        [120, 120 + GRACE, 0],
      ],
    ])
    const soon = await run(event('e', 'OLS', [1], from('2026-11-23T12:00:30Z', 'PT1H')))
    t.same(soon[0], [0, 0.5], 'no longer than until it begins')
    t.same(await run(event('e', 'OLS', [0])), [[0, GRACE], []])
    t.same(await run(event('e', 'ALERT_FLEX_ALERT', ['x']), event('f', 'SIMPLE', [3])), [[0, GRACE], undefined])
    t.same(await run(event('e', 'ALERT_GRID_EMERGENCY', [], from('0001-01-01T00:00:00', 'P9999Y'))), [
      [1, Number.POSITIVE_INFINITY],
      undefined,
    ])
  })

  t.test('mean a time in many ways: now, by intervals, by months, at random, without an end', async (t) => {
    const vtn = await vtnOf(t, { signals: ['grid.import_limit_mw'] })
    const timeline = async (over: Record<string, unknown>) => {
      vtn.state.events = [event('e', 'IMPORT_CAPACITY_LIMIT', [1_000], over)]
      const { now, ahead, warnings } = await saidBy(vtn)
      return { now: now['grid.import_limit_mw'], ahead: ahead['grid.import_limit_mw'], warnings }
    }
    const steps = (...all: object[]) => all.map((one, id) => ({ id, ...one }))
    const limit = (kw: number) => ({ payloads: [{ type: 'IMPORT_CAPACITY_LIMIT', values: [kw] }] })
    t.match(await timeline(from('0001-01-01', 'PT2H')), { now: [1, 60] }, 'now is when it was made')
    t.match(await timeline({ ...from('0001-01-01', 'PT2H'), modificationDateTime: '2026-11-23T11:30:00Z' }), {
      now: [1, 90],
    })
    t.match(await timeline({ intervalPeriod: undefined }), { now: [1, Number.POSITIVE_INFINITY] })
    t.match(
      await timeline({
        ...from('2026-11-23T11:00:00Z', 'PT90M'),
        intervals: steps(limit(1_000), limit(2_000), { ...limit(3_000), intervalPeriod: { duration: 'P1D' } }),
      }),
      {
        now: [1, 30],
        ahead: [
          [30, 120, 2],
          [120, 120 + 1_440, 3],
        ],
      },
      'one after the other, each as long as the event says or by itself',
    )
    t.match(
      await timeline({
        intervals: steps({
          ...limit(2_000),
          intervalPeriod: { start: '2026-11-23T14:00:00+01:00', duration: 'PT15M' },
        }),
      }),
      { ahead: [[60, 75, 2]] },
    )
    const random = await timeline(from('2026-11-23T13:00:00Z', 'PT1H', { randomizeStart: 'PT10M' }))
    const [[start, end]] = random.ahead as [[number, number]]
    t.ok(start > 60 && start < 70 && end === 120, `begins at ${start}`)
    t.same(random, await timeline(from('2026-11-23T13:00:00Z', 'PT1H', { randomizeStart: 'PT10M' })), 'and stays so')
    t.match(await timeline(from('2026-11-23T11:00:00Z', 'two hours')), {
      now: [1, Number.POSITIVE_INFINITY],
      warnings: [/no duration/],
    })
    t.match(await timeline(from('tomorrow', 'PT1H')), { now: [10_000, 0], warnings: [/no time/] })
    for (const [text, to] of [
      ['P1M', '2026-02-28T00:00:00Z'],
      ['P1Y2M3DT4H5M6.5S', '2027-04-03T04:05:06.5Z'],
      ['P2W', '2026-02-14T00:00:00Z'],
      ['PT36H', '2026-02-01T12:00:00Z'],
    ] as const) {
      t.equal(later(Date.parse('2026-01-31T00:00:00Z'), readDuration(text)!), Date.parse(to), text)
    }
    for (const text of ['', 'P', 'PT', 'P1', '-PT1H', '1H', 'PT1H ', `PT${'9'.repeat(99)}S`, 5])
      t.notOk(readDuration(text))
    for (const text of ['', '12:00', '2026-13-45T00:00Z', 5, `2026-11-23T12:00:00${'Z'.repeat(99)}`])
      t.notOk(readMoment(text))
    t.equal(readMoment('2026-11-23 12:00:00'), NOON)
  })

  t.test('are heard for this site alone, and for the programs that are named', async (t) => {
    const vtn = await vtnOf(t, { names: ['ams-campus'], signals: ['grid.import_limit_mw'] })
    const limitOf = async (over: Record<string, unknown>, on = vtn) => {
      on.state.events = [event('e', 'IMPORT_CAPACITY_LIMIT', [1_000], over)]
      return (await saidBy(on)).now['grid.import_limit_mw']?.[0] ?? 10_000
    }
    t.equal(await limitOf({ targets: [] }), 1)
    t.equal(await limitOf({ targets: null }), 1)
    t.equal(await limitOf({ targets: ['fra', 'ams-campus'] }), 1)
    t.equal(await limitOf({ targets: ['SITE:ams'] }), 1)
    t.equal(await limitOf({ targets: ['fra'] }), 10_000)
    t.equal(await limitOf({ targets: [{ type: 'RESOURCE_NAME', values: ['ams'] }] }), 1, 'as 3.0 has them')
    t.equal(await limitOf({ targets: [{ type: 'VEN_NAME', values: ['fra'] }] }), 10_000)
    vtn.state.programs = [{ id: 'p1', programName: 'relief', targets: ['fra'] }]
    t.equal(await limitOf({}), 10_000, 'a program for others')
    const named = await vtnOf(t, { programs: ['relief'], signals: ['grid.import_limit_mw'] })
    t.equal(await limitOf({}, named), 1)
    t.equal(await limitOf({ programID: 'p2' }, named), 10_000)
    const missing = await vtnOf(t, { programs: ['peak'] })
    t.match(await refusalOf(missing.source), [{ code: 'feed/bad-event', message: /peak/ }])
  })

  t.test('tell prices and carbon ahead, in EUR and g, and the event that goes before counts', async (t) => {
    const signals = ['price.per_mwh', 'carbon.g_per_kwh'] as const
    const vtn = await vtnOf(t, { signals, rates: { USD: 0.9 } })
    const hours = (type: string, values: unknown[]) => ({
      ...from('2026-11-23T12:00:00Z', 'PT1H'),
      intervals: values.map((value, id) => ({ id, payloads: [{ type, values: [value] }] })),
    })
    const units = (payloadType: string, more: object) => ({ payloadDescriptors: [{ payloadType, ...more }] })
    vtn.state.events = [
      event('day', 'PRICE', [], { ...hours('PRICE', [0.1, 0.2, 0.3]), priority: 5 }),
      event('now', 'PRICE', [], {
        ...hours('PRICE', [50]),
        priority: 1,
        ...units('PRICE', { units: 'MWH', currency: 'USD' }),
      }),
      event('ghg', 'GHG', [], { ...hours('GHG', [900, 'x']), ...units('GHG', { units: 'lb/MWh' }) }),
    ]
    const { ahead, now, warnings } = await saidBy(vtn)
    t.same(now, {}, 'the running interval is that of the series')
    t.same(ahead['price.per_mwh'], [
      [0, 60, 45],
      [60, 120, 200],
      [120, 180, 300],
    ])
    t.same(
      ahead['carbon.g_per_kwh']!.map(([start, end, value]) => [start, end, Math.round(value!)]),
      [[0, 60, 408]],
    )
    t.match(warnings, [/"x", which is no number/])
    vtn.state.events = [
      event('day', 'PRICE', [0.1], units('PRICE', { currency: 'JPY' })),
      event('odd', 'PRICE', [0.1], units('PRICE', { units: 'BUSHEL' })),
    ]
    const odd = await saidBy(vtn)
    t.same(odd.ahead['price.per_mwh'], [], 'and what was said before is taken back')
    t.match(odd.warnings, [/in JPY/, /BUSHEL/])
  })

  t.test('page, and are refused where they never end; one that gives all at once is understood', async (t) => {
    const vtn = await vtnOf(t)
    const noise = Array.from({ length: 120 }, (_, n) => event(`n${n}`, 'SIMPLE', [1]))
    vtn.state.events = [...noise, event('last', 'IMPORT_CAPACITY_LIMIT', [2_000])]
    t.match((await saidBy(vtn)).now, { 'grid.import_limit_mw': [2, 180] })
    t.same(
      vtn.asked.filter(({ path }) => path === '/adr/events').map(({ query }) => query.get('skip')),
      ['0', '50', '100'],
    )
    vtn.state.events = Array.from({ length: 2_500 }, (_, n) => event(`n${n}`, 'SIMPLE', [1]))
    t.match(await refusalOf(vtn.source), [{ code: 'feed/too-large', message: /2000 entries/ }])
    const { url, asked } = await serverOf(t, ({ path }, response) => json(response, path === '/events' ? noise : []))
    const config = { ...FEED_DEFAULTS.openadr, kind: 'openadr', name: 'grid', site: 'ams', url } as const
    await readOnce(closing(t, openadrFeed(config, { now: () => NOON })))
    t.equal(asked.length, 2)
  })

  t.test('are asked with a token that is kept, and with a new one when it is taken back', async (t) => {
    const vtn = await vtnOf(t)
    await readOnce(vtn.source)
    await readOnce(vtn.source)
    t.equal(vtn.state.tokens, 1)
    vtn.state.tokens = 7
    await readOnce(vtn.source)
    t.equal(vtn.state.tokens, 8, 'it was not accepted')
    vtn.state.now += HOUR
    await readOnce(vtn.source)
    t.equal(vtn.state.tokens, 9, 'it was over')
    writeFileSync(vtn.clientSecretFile, 'wrong-one')
    vtn.state.now += HOUR
    const problems = await refusalOf(vtn.source)
    t.match(problems, [{ code: 'feed/status', message: /401/ }])
    t.notMatch(JSON.stringify(problems), /wrong-one/)
    const other = await serverOf(t, (_, response) => json(response, { access_token: 'x' }))
    const { url } = await serverOf(t, (_, response) => json(response, { tokenURL: `${other.url}/token` }))
    const auth = { clientId: 'hubward', clientSecretFile: vtn.clientSecretFile }
    const config = { ...FEED_DEFAULTS.openadr, kind: 'openadr', name: 'grid', site: 'ams', url, auth } as const
    const elsewhere = closing(t, openadrFeed(config, { now: () => NOON }))
    t.match(await refusalOf(elsewhere), [{ code: 'feed/credentials', remedy: /auth.tokenUrl/ }])
    t.equal(other.asked.length, 0, 'our secret goes nowhere that nobody named')
    const trusted = { ...config, auth: { ...auth, tokenUrl: `${other.url}/token` } }
    t.match(await refusalOf(closing(t, openadrFeed(trusted, { now: () => NOON }))), [{ code: 'feed/bad-text' }])
    t.equal(other.asked.length, 1)
  })

  t.test('may send anything at all: it is refused, or made into what the checks let pass', async (t) => {
    const vtn = await vtnOf(t)
    const anything = fc.jsonValue({ maxDepth: 3 })
    const odd = (...good: unknown[]) => fc.oneof(anything, ...good.map((one) => fc.constant(one)))
    const period = fc.record(
      {
        start: odd('0001-01-01', '2026-11-23T11:00:00Z', '9999-12-31T23:59:59Z', '0000-01-01T00:00:00Z'),
        duration: odd('P9999Y', 'PT1H', 'P999999Y999999M', 'PT0S'),
        randomizeStart: odd('PT10M', 'P9999Y'),
      },
      { requiredKeys: [] },
    )
    const types = odd('IMPORT_CAPACITY_LIMIT', 'PRICE', 'GHG', 'ALERT_GRID_EMERGENCY')
    const value = fc.oneof(anything, fc.double(), fc.constant(1e308), fc.constant(-5))
    const payload = fc.oneof(anything, fc.record({ type: types, values: fc.oneof(anything, fc.array(value)) }))
    const interval = fc.oneof(
      anything,
      fc.record(
        { intervalPeriod: fc.oneof(anything, period), payloads: fc.oneof(anything, fc.array(payload)) },
        { requiredKeys: [] },
      ),
    )
    const given = fc.record(
      {
        id: fc.oneof(fc.string(), anything),
        programID: odd('p1'),
        targets: anything,
        priority: anything,
        createdDateTime: odd('2026-11-23T11:00:00Z'),
        intervalPeriod: fc.oneof(anything, period),
        payloadDescriptors: fc.oneof(
          anything,
          fc.array(fc.record({ payloadType: types, units: anything, currency: anything })),
        ),
        intervals: fc.oneof(anything, fc.array(interval)),
      },
      { requiredKeys: [] },
    )
    let taken = 0
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(anything, given), { maxLength: 20 }), async (events) => {
        vtn.state.events = events as unknown as Event[]
        try {
          const { samples, series = [] } = await readOnce(vtn.source)
          const refused: string[] = []
          new SeriesCheck((_, why) => refused.push(why)).pass(series)
          if (refused.length > 0) throw new Error(refused.join())
          if (new SampleCheck().pass(samples, NOON).length !== samples.length) throw new Error(JSON.stringify(samples))
          taken += series.length
        } catch (error) {
          if (!(error instanceof FeedFailure)) throw error
        }
      }),
      { numRuns: 200 },
    )
    t.ok(taken > 0)
    vtn.state.events = [
      event('e', 'PRICE', [1], { intervals: Array.from({ length: 100_000 }, () => ({ payloads: [] })) }),
    ]
    t.match(await readOnce(vtn.source), { warnings: [{ message: /first 4096 intervals/ }] })
  })
}
