import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import type { Test } from 'tap'
import { FeedFailure } from '../../src/feeds/failure.ts'
import { Poller } from '../../src/feeds/poller.ts'
import { type RedfishConfig, redfishFaults, redfishFeed } from '../../src/feeds/redfish.ts'
import { FEED_DEFAULTS } from '../../src/feeds/schemas.ts'
import { signalOf } from '../../src/model/signal.ts'
import { CERT, closing, folderOf, json, readOnce, refusalOf, serverOf } from './feed-servers.ts'
import { START, Time } from './feed-time.ts'
import { until } from './running-envoy.ts'

type Pages = Record<string, unknown>

const ROOT = '/redfish/v1/ThermalEquipment'
const CDU = `${ROOT}/CDUs/1`
const link = (path: string) => ({ '@odata.id': path })
const reading = (value: unknown) => ({ Reading: value, DataSourceUri: '/redfish/v1/Chassis/CDU/Sensors/x' })

/** A connector in working order, or as told. */
const connector = (over: Pages = {}): Pages => ({
  '@odata.type': '#CoolantConnector.v1_1_0.CoolantConnector',
  Id: '1',
  Status: { State: 'Enabled', Health: 'OK' },
  RatedFlowLitersPerMinute: 900,
  FlowLitersPerMinute: reading(600),
  SupplyTemperatureCelsius: reading(31.2),
  ReturnTemperatureCelsius: reading(41.4),
  HeatRemovedkW: reading(412.5),
  ...over,
})

/** A unit of two connectors and a detector of leaks, or as told. */
const unit = (pages: Pages = {}, over: Pages = {}): Pages => ({
  [CDU]: {
    '@odata.type': '#CoolingUnit.v1_3_0.CoolingUnit',
    Id: '1',
    CoolingCapacityWatts: 1_200_000,
    Status: { State: 'Enabled', Health: 'OK' },
    PrimaryCoolantConnectors: link(`${CDU}/PrimaryCoolantConnectors`),
    SecondaryCoolantConnectors: link(`${CDU}/SecondaryCoolantConnectors`),
    LeakDetection: link(`${CDU}/LeakDetection`),
    ...over,
  },
  [`${CDU}/SecondaryCoolantConnectors`]: { Members: [link(`${CDU}/s/1`), link(`${CDU}/s/2`)] },
  [`${CDU}/s/1`]: connector(),
  [`${CDU}/s/2`]: connector({ SupplyTemperatureCelsius: reading(32), HeatRemovedkW: reading(100) }),
  [`${CDU}/PrimaryCoolantConnectors`]: { Members: [link(`${CDU}/p/1`)] },
  [`${CDU}/p/1`]: connector({ SupplyTemperatureCelsius: reading(18) }),
  [`${CDU}/LeakDetection`]: { LeakDetectorGroups: [{ GroupName: 'tray', Detectors: [{ DetectorState: 'OK' }] }] },
  ...pages,
})

const HTTP: Partial<RedfishConfig> = { units: [{ path: CDU, loop: 'cdu-1' }] }

/** The source of a service with these pages. */
const feedOf = async (t: Test, pages: Pages, over: Partial<RedfishConfig> = HTTP) => {
  const server = await serverOf(t, ({ path }, response) =>
    json(response, pages[path] ?? {}, Object.hasOwn(pages, path) ? 200 : 404),
  )
  return { ...server, source: sourceOf(t, server.url, over) }
}

const sourceOf = (t: Test, url: string, over: Partial<RedfishConfig> = HTTP) => {
  const config = { ...FEED_DEFAULTS.redfish, kind: 'redfish', name: 'cdu', site: 'ams', url, ...over } as const
  return closing(t, redfishFeed(config, { now: () => START }))
}

const valuesOf = async (source: ReturnType<typeof redfishFeed>) => {
  const { samples, warnings = [] } = await readOnce(source)
  return { values: Object.fromEntries(samples.map(({ signal, value }) => [signal, value])), samples, warnings }
}

/** Redfish services as readers meet them. */
export const redfishCases = async (t: Test): Promise<void> => {
  t.test('give a loop its hottest supply, its flow and heat in all, its capacity, leaks and service', async (t) => {
    const { source, asked } = await feedOf(t, unit())
    const { values, samples, warnings } = await valuesOf(source)
    t.same(values, {
      'maintenance.active': 0,
      'cooling.capacity_kw': 1_200,
      'cooling.supply_c': 32,
      'cooling.return_c': 41.4,
      'cooling.flow_lpm': 1_200,
      'cooling.heat_kw': 512.5,
      'leak.detected': 0,
    })
    t.ok(samples.every(({ site, loop, at, source }) => `${site} ${loop} ${at} ${source}` === `ams cdu-1 ${START} cdu`))
    t.same([warnings, asked.length], [[], 5])
    t.same(
      samples.map(({ signal }) => signal).sort(),
      [...source.delivers()].sort(),
      'it delivers what it says and nothing else',
    )
    const primary = await feedOf(t, unit(), { units: [{ path: CDU, loop: 'cdu-1', connectors: 'primary' }] })
    t.match((await valuesOf(primary.source)).values, { 'cooling.supply_c': 18, 'cooling.flow_lpm': 600 })
  })

  t.test('are asked within one session over TLS, which is begun anew when it has run out and taken back', async (t) => {
    const passwordFile = join(folderOf(t), 'password')
    writeFileSync(passwordFile, 'first\n')
    const sessions = new Set<string>()
    let logins = 0
    const pages = unit()
    const { url, asked } = await serverOf(
      t,
      ({ method, path, headers, body }, response) => {
        if (method === 'POST' && path === '/redfish/v1/SessionService/Sessions') {
          const { UserName, Password } = JSON.parse(body)
          logins += 1
          if (UserName !== 'hubward' || Password !== (logins === 1 ? 'first' : 'second')) return json(response, {}, 401)
          sessions.add(`token-${logins}`)
          const Location = `/redfish/v1/SessionService/Sessions/${logins}`
          return json(response, link(Location), 201, { 'X-Auth-Token': `token-${logins}`, Location })
        }
        if (!sessions.has(String(headers['x-auth-token']))) return json(response, { error: {} }, 401)
        if (method === 'DELETE') return response.writeHead(204).end()
        return json(response, pages[path] ?? {}, Object.hasOwn(pages, path) ? 200 : 404)
      },
      {},
    )
    const auth = { username: 'hubward', passwordFile, session: true }
    const source = sourceOf(t, url, { ...HTTP, auth, tls: { caFile: CERT } })
    t.equal((await valuesOf(source)).values['cooling.flow_lpm'], 1_200)
    t.equal((await valuesOf(source)).values['cooling.flow_lpm'], 1_200)
    t.equal(logins, 1)
    writeFileSync(passwordFile, 'second\n')
    sessions.clear()
    t.equal((await valuesOf(source)).values['cooling.flow_lpm'], 1_200)
    t.equal(logins, 2)
    sessions.clear()
    writeFileSync(passwordFile, 'wrong-one\n')
    const [problem] = await refusalOf(source)
    t.match(problem, { code: 'feed/status', message: /answered 401/ })
    t.notMatch(JSON.stringify(problem), /wrong-one/, 'no secret is told')
    t.ok(asked.every(({ headers }) => headers.authorization === undefined))
    writeFileSync(passwordFile, 'second\n')
    logins = 1
    await readOnce(source)
    await source.close?.()
    t.match(asked.at(-1), { method: 'DELETE', path: '/redfish/v1/SessionService/Sessions/2' })
  })

  t.test('with certificates of both sides are asked with ours', async (t) => {
    const pages = unit()
    const { url } = await serverOf(t, ({ path }, response) => json(response, pages[path]), {
      requestCert: true,
      rejectUnauthorized: true,
      ca: [(await import('node:fs')).readFileSync(CERT)],
    })
    const keyFile = join(import.meta.dirname, '../fixtures/localhost.key')
    const mutual = sourceOf(t, url, { ...HTTP, tls: { caFile: CERT, certFile: CERT, keyFile } })
    t.equal((await valuesOf(mutual)).values['leak.detected'], 0)
    t.match(await refusalOf(sourceOf(t, url, { ...HTTP, tls: { caFile: CERT } })), [{ code: 'feed/unreachable' }])
    t.match(await refusalOf(sourceOf(t, url)), [{ code: 'feed/unreachable', message: /SELF_SIGNED|CERT/ }])
  })

  t.test('may send readings that can not be: each is missing, named, and spoils no other', async (t) => {
    const bad: [string, unknown, RegExp][] = [
      ['SupplyTemperatureCelsius', reading('Null'), /"Null"/],
      ['SupplyTemperatureCelsius', reading(null), /null/],
      ['SupplyTemperatureCelsius', {}, /nothing/],
      ['SupplyTemperatureCelsius', null, /null/],
      ['SupplyTemperatureCelsius', '31.2', /"31.2"/],
      ['SupplyTemperatureCelsius', reading([31]), /a list/],
      ['SupplyTemperatureCelsius', reading(304.3), /304.3.*-40 and 120/],
      ['ReturnTemperatureCelsius', reading(-273.15), /-273/],
      ['FlowLitersPerMinute', reading(-1), /-1/],
      ['HeatRemovedkW', reading(412_500), /10 times the capacity/],
    ]
    const signals: Record<string, string> = {
      SupplyTemperatureCelsius: 'cooling.supply_c',
      ReturnTemperatureCelsius: 'cooling.return_c',
      FlowLitersPerMinute: 'cooling.flow_lpm',
      HeatRemovedkW: 'cooling.heat_kw',
    }
    for (const [name, value, says] of bad) {
      const pages = unit({
        [`${CDU}/SecondaryCoolantConnectors`]: { Members: [link(`${CDU}/s/1`)] },
        [`${CDU}/s/1`]: connector({ [name]: value }),
      })
      const { source } = await feedOf(t, pages)
      const { values, warnings } = await valuesOf(source)
      const missing = Object.values(signals).filter((signal) => values[signal] === undefined)
      t.same(missing, [signals[name]], `${name} ${JSON.stringify(value)}`)
      t.match(warnings, [{ code: 'feed/bad-reading', severity: 'warning', message: says }])
      t.match(warnings[0]!.path, name === 'HeatRemovedkW' ? /SecondaryCoolantConnectors$/ : new RegExp(`s/1#/${name}`))
    }
    const uninstrumented = connector()
    delete uninstrumented.ReturnTemperatureCelsius
    const { source } = await feedOf(t, unit({ [`${CDU}/s/1`]: uninstrumented }))
    const { values, warnings } = await valuesOf(source)
    t.same([values['cooling.return_c'], warnings], [41.4, []], 'what a connector does not have is no complaint')
  })

  t.test('whose heat is not metered have it worked out, if the coolant can be what they say', async (t) => {
    const heatOf = async (coolant: Pages) => {
      const { HeatRemovedkW: _, ...unmetered } = connector()
      const pages = unit(
        {
          [`${CDU}/SecondaryCoolantConnectors`]: { Members: [link(`${CDU}/s/1`)] },
          [`${CDU}/s/1`]: unmetered,
        },
        { Coolant: coolant },
      )
      return await valuesOf((await feedOf(t, pages)).source)
    }
    const { values } = await heatOf({ SpecificHeatkJoulesPerKgK: 3.974, DensityKgPerCubicMeter: 1_020 })
    t.equal(values['cooling.heat_kw'], 413.455, '600 l/min of 1.02 kg, 10.2 K, 3.974 kJ')
    const wrong = await heatOf({ SpecificHeatkJoulesPerKgK: 3_900, DensityKgPerCubicMeter: 1_020 })
    t.equal(wrong.values['cooling.heat_kw'], undefined)
    t.match(wrong.warnings, [{ path: `${CDU}#/Coolant/SpecificHeatkJoulesPerKgK`, message: /3900/ }])
  })

  t.test('that can be read in part give no sum that is a part, and what else they have', async (t) => {
    const { [`${CDU}/s/2`]: _, ...lacking } = unit()
    const { source } = await feedOf(t, lacking)
    const { values, warnings } = await valuesOf(source)
    t.match(values, { 'cooling.supply_c': 31.2, 'leak.detected': 0 })
    t.notOk('cooling.flow_lpm' in values || 'cooling.heat_kw' in values)
    t.match(warnings, [{ code: 'feed/bad-reading', path: `${CDU}/s/2`, message: /404/ }])
    const off = await feedOf(t, unit({ [`${CDU}/s/2`]: connector({ Status: { State: 'Disabled' } }) }))
    t.equal((await valuesOf(off.source)).values['cooling.flow_lpm'], 600, 'a connector that is off has no part')
    const two = { units: [HTTP.units![0]!, { path: `${ROOT}/CDUs/2`, loop: 'cdu-2' }] }
    const second = await valuesOf((await feedOf(t, unit(), two)).source)
    t.equal(second.samples.length, 7)
    t.match(second.warnings, [{ code: 'feed/status', severity: 'warning', path: `${ROOT}/CDUs/2` }])
    t.match(await refusalOf((await feedOf(t, {})).source), [{ code: 'feed/status', path: CDU, message: /404/ }])
  })

  t.test('tell of leaks, of critical units and of those at work', async (t) => {
    const leak = async (detection: unknown, pages: Pages = {}) =>
      await valuesOf((await feedOf(t, unit({ [`${CDU}/LeakDetection`]: detection, ...pages }))).source)
    const states = (...all: unknown[]) => ({
      LeakDetectorGroups: [{ Detectors: all.map((DetectorState) => ({ DetectorState })) }],
    })
    t.equal((await leak(states('OK', 'Critical'))).values['leak.detected'], 1)
    t.equal((await leak(states('Warning'))).values['leak.detected'], 1)
    t.equal((await leak(states('Absent', 'OK'))).values['leak.detected'], 0)
    const blind = await leak(states('Unavailable', null))
    t.same([blind.values['leak.detected'], blind.warnings.length], [undefined, 2], 'blind detectors say nothing')
    const collected = { [`${CDU}/l`]: { Members: [link(`${CDU}/l/1`)] }, [`${CDU}/l/1`]: { DetectorState: 'Critical' } }
    t.equal((await leak({ LeakDetectors: link(`${CDU}/l`) }, collected)).values['leak.detected'], 1)
    const status = async (Status: unknown, over: Partial<RedfishConfig> = {}) =>
      await valuesOf((await feedOf(t, unit({}, { Status }), { ...HTTP, ...over })).source)
    const critical = await status({ State: 'Enabled', Health: 'Critical' })
    t.equal(critical.values['maintenance.active'], 1)
    t.match(critical.warnings, [{ path: `${CDU}#/Status`, message: /critical/ }])
    t.equal((await status({ Health: 'Critical' }, { critical: 'warning' })).values['maintenance.active'], 0)
    t.equal((await status({ State: 'Updating', Health: 'OK' })).values['maintenance.active'], 1)
    const below = await status({ Health: 'OK', HealthRollup: 'Critical' })
    t.same([below.values['maintenance.active'], below.warnings.length], [0, 1], 'a part that is critical is told')
  })

  t.test('are found by themselves, and power is the sum of its meters or nothing', async (t) => {
    const chassis = '/redfish/v1/Chassis'
    const pages = {
      ...unit(),
      [ROOT]: { CDUs: link(`${ROOT}/CDUs`) },
      [`${ROOT}/CDUs`]: { Members: [link(CDU)] },
      [`${chassis}/a`]: { EnvironmentMetrics: link(`${chassis}/a/EnvironmentMetrics`) },
      [`${chassis}/a/EnvironmentMetrics`]: { PowerWatts: reading(1_250_000) },
      [`${chassis}/b/EnvironmentMetrics`]: { PowerWatts: reading(250_000) },
    }
    const over = { discover: { loop: 'cdu-{Id}' }, power: [{ path: `${chassis}/a` }] }
    const power = [...over.power, { path: `${chassis}/b/EnvironmentMetrics` }]
    const { source } = await feedOf(t, pages, { ...over, power })
    const { samples, warnings } = await valuesOf(source)
    t.match(
      samples.find(({ signal }) => signal === 'power.draw_mw'),
      { value: 1.5, site: 'ams', loop: undefined },
    )
    t.equal(samples.filter(({ loop }) => loop === 'cdu-1').length, 7)
    t.same(warnings, [])
    const silent = { ...pages, [`${chassis}/b/EnvironmentMetrics`]: { PowerWatts: reading('Null') } }
    const part = await valuesOf((await feedOf(t, silent, { ...over, power })).source)
    t.notOk('power.draw_mw' in part.values)
    t.match(part.warnings, [{ message: /PowerWatts has no number/ }])
    t.same(redfishFaults({ kind: 'redfish', name: 'x', url: 'http://x', site: 'ams' }).length, 1)
    const twice = [
      { path: CDU, loop: 'a' },
      { path: `${CDU}0`, loop: 'a' },
    ]
    t.match(redfishFaults({ kind: 'redfish', name: 'x', url: 'http://x', site: 'ams', units: twice }), [[/two units/]])
  })

  t.test('lead nobody astray: not elsewhere, not round in circles, not without end', async (t) => {
    const other = await serverOf(t, (_, response) => json(response, connector()))
    const away = await feedOf(
      t,
      unit({
        [`${CDU}/SecondaryCoolantConnectors`]: {
          Members: [link(`${other.url}/x`), link('//127.0.0.1:1/x'), link('file:///etc/passwd'), link('http://u:p@[')],
        },
      }),
    )
    const { warnings, values } = await valuesOf(away.source)
    t.equal(other.asked.length, 0)
    t.match(
      warnings,
      [1, 2, 3, 4].map(() => ({ message: /elsewhere/ })),
    )
    t.notOk('cooling.flow_lpm' in values)
    const many = Array.from({ length: 10_000 }, () => link(`${CDU}/SecondaryCoolantConnectors`))
    const round = await feedOf(t, unit({ [`${CDU}/SecondaryCoolantConnectors`]: { Members: many } }))
    t.match((await valuesOf(round.source)).warnings, [{ message: /first 64 of 10000/ }])
    t.ok(round.asked.length < 80)
    const few = await feedOf(t, unit(), { ...HTTP, requestsMax: 2 })
    t.match((await valuesOf(few.source)).warnings, [{ message: /more than 2 requests/ }])
    t.equal(few.asked.length, 2)
  })

  t.test('may send anything at all: it is refused or made into samples that can be, in bounded time', async (t) => {
    let pages: Pages = {}
    const { url } = await serverOf(t, ({ path }, response) => json(response, pages[path] ?? null))
    const source = sourceOf(t, url, { ...HTTP, power: [{ path: '/p' }], discover: { loop: '{Id}' } })
    const anything = fc.jsonValue({ maxDepth: 3 })
    const shaped = fc.record(
      {
        Members: fc.array(fc.oneof(anything, fc.constant(link(`${CDU}/s/1`)), fc.constant(link(CDU))), {
          maxLength: 4,
        }),
        Status: anything,
        CoolingCapacityWatts: anything,
        SecondaryCoolantConnectors: fc.oneof(anything, fc.constant(link(`${CDU}/s`)), fc.constant(link(CDU))),
        LeakDetection: fc.oneof(anything, fc.constant(link(`${CDU}/s`))),
        LeakDetectors: fc.oneof(anything, fc.constant(link(CDU))),
        LeakDetectorGroups: anything,
        FlowLitersPerMinute: fc.oneof(anything, fc.record({ Reading: anything })),
        SupplyTemperatureCelsius: fc.oneof(anything, fc.record({ Reading: anything })),
        HeatRemovedkW: fc.oneof(anything, fc.record({ Reading: fc.double() })),
        PowerWatts: fc.oneof(anything, fc.record({ Reading: anything })),
        CDUs: fc.oneof(anything, fc.constant(link(`${CDU}/s`))),
        Id: anything,
      },
      { requiredKeys: [] },
    )
    const page = fc.oneof(anything, shaped)
    const set = fc.record({ [CDU]: page, [`${CDU}/s`]: page, [`${CDU}/s/1`]: page, '/p': page, [ROOT]: page })
    let taken = 0
    await fc.assert(
      fc.asyncProperty(set, async (given) => {
        pages = given
        try {
          const { samples } = await readOnce(source)
          taken += samples.length
          for (const { signal, value } of samples) {
            const [low, high] = signalOf(signal)!.range
            if (!(value >= low && value <= high)) throw new Error(`${signal} is ${value}`)
          }
        } catch (error) {
          if (!(error instanceof FeedFailure)) throw error
        }
      }),
      { numRuns: 150 },
    )
    t.ok(taken > 0)
    const huge = await serverOf(t, (_, response) => response.end(`{"a":"${'x'.repeat(3_000_000)}"}`))
    t.match(await refusalOf(sourceOf(t, huge.url)), [{ code: 'feed/too-large', message: /more than 1048576 bytes/ }])
    const deep = await serverOf(t, (_, response) => response.end('['.repeat(300_000) + ']'.repeat(300_000)))
    t.equal((await valuesOf(sourceOf(t, deep.url))).values['maintenance.active'], 0)
    const html = await serverOf(t, (_, response) => response.end('<html>login</html>'))
    t.match(await refusalOf(sourceOf(t, html.url)), [{ code: 'feed/bad-text', remedy: /address/ }])
  })

  t.test('that hang are left when the time of the attempt is over, however many requests it has made', async (t) => {
    const pages = unit()
    const { url, asked } = await serverOf(t, ({ path }, response) => {
      if (!path.includes('/s/')) json(response, pages[path])
    })
    const time = new Time()
    const source = sourceOf(t, url)
    const poller = new Poller(source, { clock: time.clock, timer: time.timer, accept: () => {} })
    poller.start()
    await time.next()
    await until('the connector to be asked', () => asked.some(({ path }) => path.includes('/s/')))
    await time.advance(FEED_DEFAULTS.redfish.timeoutMs + 200)
    await until('the refusal', () => poller.counts.refused === 1)
    t.match(poller.status().refusal, [{ code: 'feed/timeout' }])
    await poller.stop()
  })
}
