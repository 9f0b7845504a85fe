import type { Test } from 'tap'
import { explain } from '../../src/engine/explain.ts'
import { follow, lineOf, reaches } from '../../src/engine/trend.ts'
import { refusalForm } from '../../src/envoy/refusal-body.ts'
import type { ActionSpec } from '../../src/model/action.ts'
import type { Decision } from '../../src/model/decision.ts'
import type { Policy, Site, WorkloadClass } from '../../src/model/documents.ts'
import type { Series } from '../../src/model/sample.ts'
import { max, min, policy, site, T0, World, workload } from './world.ts'

const HOUR = 3_600_000
const QUICK = { stableForMs: 0, dwellMs: 0, failBackMs: 0, cooldownMs: 0 }
const DELAY: readonly ActionSpec[] = [{ action: 'delay' }]

const jobs = (tiers: readonly (readonly string[])[], over: Parameters<typeof policy>[1] = {}): Policy =>
  policy(tiers, { class: 'training', timers: QUICK, otherwise: DELAY, ...over })

const worldOf = (
  policies: readonly Policy[],
  over: Partial<WorkloadClass> = {},
  sites: readonly Site[] = [site('ams')],
) =>
  new World({
    sites,
    policies,
    classes: [workload('training', { flexibility: 'delayable', whenHubwardIsDown: 'refuse', ...over })],
  })

/** Hourly values from T0 on. */
const hourly = (world: World, signal: string, values: readonly number[], at = 'ams'): void => {
  const series: Series = {
    signal,
    site: at,
    source: 'market',
    issuedAt: T0,
    intervals: values.map((value, hour) => ({ from: T0 + hour * HOUR, to: T0 + (hour + 1) * HOUR, value })),
  }
  world.apply({ kind: 'samples-arrived', at: world.now, samples: [], heartbeats: [], series: [series] })
}

const ask = (world: World, over = {}): Decision & { retryAfterMs?: number } =>
  world.decide({ class: 'training', ...over })

/** When a class will fit, how that is told, and what could be asked for instead. */
export const forecastLaws = (t: Test): void => {
  t.test(
    'a line through a falling margin: its slope, when it reaches a value, and how far off that may be',
    async (t) => {
      const through = (values: readonly number[], stepMs = 10_000) =>
        lineOf(
          values.reduce<ReturnType<typeof follow> | undefined>(
            (cell, value, n) => follow(cell, value, n * stepMs),
            undefined,
          ),
        )
      t.equal(through([5, 4, 3]), undefined, 'three samples are too few')
      t.equal(through([5, 4, 3, 2], 1_000), undefined, 'three seconds are too short')
      const line = through([10, 9, 8, 7, 6])!
      t.ok(Math.abs(line.slope + 0.1) < 1e-9, 'a tenth of a degree by second')
      t.ok(Math.abs(line.value - 6) < 1e-9)
      t.ok(line.deviation < 1e-6)
      t.ok(Math.abs(reaches(line, 2, HOUR)!.at - line.at - 40_000) < 1e-3, 'four degrees more take 40 s')
      t.equal(reaches(line, 8, HOUR), undefined, 'it does not go back')
      t.equal(reaches(line, -1_000, HOUR), undefined, 'beyond the horizon a line says nothing')
      const noisy = through([10, 8.6, 8.3, 6.8, 6.2])!
      t.ok(noisy.deviation > 0.1 && reaches(noisy, 2, HOUR)!.errorMs > 1_000, 'noise makes it uncertain')
      const turned = through([0, 10, 20, 30, ...Array.from({ length: 200 }, (_, n) => 30 - n)])!
      t.ok(turned.slope < -0.099, 'what was long ago is forgotten')
    },
  )

  t.test('prices and off-peak hours together say when a class fits, and Retry-After names it', async (t) => {
    const world = worldOf([jobs([['ams']], { signals: { 'price.per_mwh': max(60), 'tariff.off_peak': min(1) } })])
    hourly(world, 'price.per_mwh', [90, 50, 80, 55, 40])
    hourly(world, 'tariff.off_peak', [0, 0, 1, 1, 1])
    const decision = ask(world)
    t.match(decision, {
      action: 'delay',
      retryAfterMs: 3 * HOUR,
      forecast: { at: T0 + 3 * HOUR, errorMs: null, target: 'ams/default' },
    })
    const { headers, body } = refusalForm(decision as Parameters<typeof refusalForm>[0])
    t.match(Object.fromEntries(headers), { 'retry-after': '10800', 'x-should-retry': 'false' })
    t.match(JSON.parse(body).forecast, {
      at: new Date(T0 + 3 * HOUR).toISOString(),
      errorS: null,
      target: 'ams/default',
    })
    world.pass(3 * HOUR)
    t.equal(world.where({ class: 'training' }), 'ams/default', 'and then it does fit')
  })

  t.test(
    'what is not inside the known hours is said so, and a class is not sent away for longer than it bears',
    async (t) => {
      const policies = [jobs([['ams']], { signals: { 'price.per_mwh': max(30) } })]
      const world = worldOf(policies)
      hourly(world, 'price.per_mwh', [90, 50])
      t.match(ask(world), { forecast: { at: null, waitsFor: 'price.per_mwh' }, retryAfterMs: 30_000 })
      t.match(
        explain(world.facts({ class: 'training' }), world.snapshot, world.tally, world.now).text.join(' '),
        /can't be foretold: it waits for price\.per_mwh at ams\/default/,
      )
      const patient = worldOf(policies, { delayToleranceMs: HOUR })
      hourly(patient, 'price.per_mwh', [90, 80, 70, 20])
      t.match(ask(patient), { forecast: { at: T0 + 3 * HOUR }, retryAfterMs: HOUR })
    },
  )

  t.test(
    'until off-peak is until the next off-peak window, and a quarter of an hour where nobody knows it',
    async (t) => {
      const spec: readonly ActionSpec[] = [{ action: 'delay', until: 'off-peak' }]
      const world = worldOf([jobs([['ams']], { otherwise: spec, signals: { 'queue.depth': max(10) } })])
      world.samples({ ams: { 'queue.depth': 50 } })
      t.match(ask(world), { retryAfterMs: 900_000, until: 'off-peak', forecast: { at: null, waitsFor: 'queue.depth' } })
      hourly(world, 'tariff.off_peak', [0, 0, 1])
      t.match(ask(world), { retryAfterMs: 2 * HOUR, until: 'off-peak' })
    },
  )

  t.test('maintenance ends when it is planned to, and the target where it fits first is named', async (t) => {
    const windows = (hours: number) => [{ from: T0 - 1_000, to: T0 + hours * HOUR }]
    const world = worldOf([jobs([['ams'], ['fra']])], {}, [
      site('ams', { maintenance: windows(4) }),
      site('fra', { maintenance: windows(2) }),
    ])
    world.pass(1_000)
    const decision = ask(world)
    t.match(decision, { forecast: { at: T0 + 2 * HOUR, waitsFor: 'maintenance', target: 'fra/default' } })
    t.equal(decision.retryAfterMs, 2 * HOUR - 1_000)
  })

  t.test(
    'a headroom that rises is followed to its resume value, with an error; one that falls is waited for without a time',
    async (t) => {
      const world = worldOf([jobs([['ams']], { signals: { 'power.headroom_mw': min(2, 3) } })])
      let headroom = 0
      world.pass(60_000, () => {
        headroom += 0.01
        world.samples({ ams: { 'power.headroom_mw': headroom } })
      })
      const { forecast, retryAfterMs } = ask(world)
      t.equal(forecast?.waitsFor, 'power.headroom_mw')
      t.ok(Math.abs(forecast!.at! - world.now - 240_000) < 2_000, 'from 0.6 to 3 MW at 0.01 a second')
      t.ok(forecast!.errorMs! < 5_000)
      t.equal(retryAfterMs, forecast!.at! - world.now)
      world.pass(120_000, () => {
        headroom -= 0.01
        world.samples({ ams: { 'power.headroom_mw': headroom } })
      })
      t.match(ask(world).forecast, { at: null, waitsFor: 'power.headroom_mw' })
    },
  )

  t.test('a job that wants more accelerators than are free is told how many it could have', async (t) => {
    const world = worldOf([jobs([['ams'], ['fra']])], {}, [site('ams'), site('fra')])
    world.samples({ ams: { 'gpu.free': 6 }, fra: { 'gpu.free': 12 } })
    const needs = (gpus: number, more = {}) => ({ needs: { gpus, signals: { 'gpu.free': { min: gpus } }, ...more } })
    t.match(ask(world, needs(16)), { action: 'delay', suggest: { gpus: 12 } })
    t.equal(ask(world, needs(16, { gpusMin: 14 })).suggest, undefined, 'fewer than it can do with is no offer')
    t.match(ask(world, needs(12)), { action: 'route', target: 'fra/default' }, 'what was offered is there')
    const hot = { gpus: 16, signals: { 'gpu.free': { min: 16 }, 'power.headroom_mw': { min: 1 } } }
    t.equal(ask(world, { needs: hot }).suggest, undefined, 'nothing is offered where something else is missing too')
  })
}
