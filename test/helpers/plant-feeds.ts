import type { Test } from 'tap'
import { openFeeds } from '../../src/feeds/feeds.ts'
import type { FeedConfig } from '../../src/feeds/table.ts'
import type { Sample, Series } from '../../src/model/sample.ts'
import { startFacility } from '../../src/simulator/facility/server.ts'
import { startPrometheus } from './prometheus.ts'
import { until } from './running-envoy.ts'

/** The feeds against the simulated devices of a plant, and a real Prometheus that scrapes them. */
export const plantFeeds = (t: Test): void => {
  t.test('every reader of facilities understands the devices of a simulated plant', async (t) => {
    const plant = await startFacility({ site: 'ams' }, { running: () => 3, noiseRatio: 0 })
    t.teardown(() => plant.close())
    plant.order({ do: 'gpus', xid: 2, throttled: 4 })
    plant.order({ do: 'grid', limitMw: 7, emergency: true, forMs: 60_000 })
    const prometheus = await startPrometheus({ jobs: { bms: new URL(plant.url).host } })
    t.teardown(() => prometheus.stop())
    await until(
      'Prometheus to have the plant',
      async () => (await prometheus.value('facility_power_draw_megawatts')) !== undefined,
    )
    const every = { owner: 'facility@example.com', intervalMs: 200, timeoutMs: 2_000 }
    const feeds: readonly FeedConfig[] = [
      { kind: 'dcgm', name: 'gpus', ...every, targets: [{ target: 'ams/h100', url: `${plant.url}/dcgm/metrics` }] },
      {
        ...{ kind: 'redfish', name: 'cdu', ...every, url: plant.url, site: 'ams' },
        units: [{ path: '/redfish/v1/ThermalEquipment/CDUs/cdu-1', loop: 'cdu-1' }],
        power: [{ path: '/redfish/v1/Chassis/site/EnvironmentMetrics' }],
      },
      { kind: 'openadr', name: 'grid', ...every, url: plant.url, site: 'ams' },
      {
        ...{ kind: 'http-json', name: 'bms', ...every, url: `${plant.url}/facility.json` },
        values: [{ signal: 'pue.ratio', pointer: '/pue', site: 'ams', timePointer: '/at' }],
      },
      {
        ...{ kind: 'promql', name: 'prometheus', ...every, url: prometheus.url },
        queries: [
          { signal: 'ambient.temperature_c', query: 'facility_ambient_celsius', labels: { site: 'site' } },
          { signal: 'cooling.return_c', query: 'coolant_return_celsius', labels: { site: 'site', loop: 'loop' } },
        ],
      },
    ]
    const samples = new Map<string, Sample>()
    const series = new Map<string, Series>()
    const opened = openFeeds(feeds, undefined, {
      clock: { now: () => Date.now() },
      dispatched: () => 0,
      targetOf: () => undefined,
      apply: (change) => {
        if (change.kind !== 'samples-arrived') return
        for (const one of change.samples) samples.set(`${one.source} ${one.loop ?? ''} ${one.signal}`, one)
        for (const one of change.series ?? []) series.set(one.signal, one)
      },
    })
    t.teardown(() => opened.stop())
    opened.start()
    const wanted: readonly (readonly [key: string, value: number])[] = [
      ['gpus  gpu.healthy_ratio', 62 / 64],
      ['gpus  gpu.throttled_ratio', 4 / 64],
      ['cdu cdu-1 cooling.flow_lpm', 9_000],
      ['cdu cdu-1 leak.detected', 0],
      ['cdu  power.draw_mw', (2 + 3 * 0.01) * 1.15],
      ['grid  grid.import_limit_mw', 7],
      ['grid  grid.emergency', 1],
      ['bms  pue.ratio', 1.15],
      ['prometheus  ambient.temperature_c', 20],
    ]
    await until(
      'all of them to have spoken',
      () => wanted.every(([key]) => samples.has(key)) && series.has('price.per_mwh'),
    )
    for (const [key, value] of wanted)
      t.ok(Math.abs(samples.get(key)!.value - value) < 1e-3, `${key}: ${samples.get(key)!.value}`)
    t.ok(samples.has('prometheus cdu-1 cooling.return_c'), 'a series of each loop')
    t.ok(samples.get('grid  grid.import_limit_mw')!.validUntil! > Date.now(), 'until the order of the grid ends')
    t.ok(series.get('price.per_mwh')!.intervals.length >= 24)
    plant.order({ do: 'leak' })
    plant.order({ do: 'meter', name: 'cdu-1/flow_lpm', fault: 'null' })
    await until('the leak', () => samples.get('cdu cdu-1 leak.detected')!.value === 1)
    const before = samples.get('cdu cdu-1 cooling.flow_lpm')!.at
    await until('one reading more', () => samples.get('cdu cdu-1 cooling.supply_c')!.at > before + 400)
    t.ok(
      samples.get('cdu cdu-1 cooling.flow_lpm')!.at < samples.get('cdu cdu-1 cooling.supply_c')!.at,
      '"Null" is no reading',
    )
  })
}
