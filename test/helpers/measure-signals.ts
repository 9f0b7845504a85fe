import type { Test } from 'tap'
import type { Decision } from '../../src/model/decision.ts'
import type { Sample } from '../../src/model/sample.ts'
import { signalFor, signalOf } from '../../src/model/signal.ts'
import { facts, measuring } from './measure-world.ts'
import { max, policy, site, T0, World, workload } from './world.ts'

const targetOf = (decision: Decision): string | undefined => ('target' in decision ? decision.target : undefined)
const FAST = { stableForMs: 0, dwellMs: 10_000, failBackMs: 0, cooldownMs: 0 }
const told = (samples: readonly Sample[], signal: string, where: Partial<Sample> = {}) =>
  samples.find(
    (one) => one.signal === signal && Object.entries(where).every(([name, value]) => one[name as 'site'] === value),
  )

/** What is measured of ended requests, as signals: on their own, and in the engine. */
export const signalCases = (t: Test): void => {
  t.test('a target that fails at once does not look fast, and its share of failures is told', async (t) => {
    const { measure, requests } = measuring()
    requests(300, T0)
    requests(100, T0, { cluster: 'fra', status: 503, durationMs: 1, firstBodyMs: 1 }, { target: 'fra/default' })
    requests(100, T0, { cluster: 'fra', durationMs: 4_000, firstBodyMs: 700 }, { target: 'fra/default' })
    const samples = measure.pass(T0 + 5_000)
    t.match(told(samples, 'errors.passive_ratio', { site: 'fra' }), { value: 0.5, count: 200, pool: 'default' })
    t.match(told(samples, 'errors.ratio', { site: 'ams' }), { value: 0, count: 300 })
    const ttft = told(samples, 'ttft.passive_p95_ms', { site: 'fra' })!
    t.equal(ttft.count, 100)
    t.ok(Math.abs(ttft.value - 700) <= 7.1)
    t.match(told(samples, 'client.errors_ratio', { site: 'fra' }), { from: 'region:EMEA', value: 0.5, count: 200 })
    t.same(measure.pass(T0 + 6_000), [], 'every five seconds')
    const later = measure.pass(T0 + 130_000)
    t.match(
      told(later, 'errors.passive_ratio', { site: 'fra' }),
      { value: 0, count: 0 },
      'then too few, and still told',
    )
    for (const { signal, value } of samples) {
      const row = signalOf(signal)
      t.ok(row !== undefined && value >= row.range[0] && value <= row.range[1], `${signal} ${value}`)
    }
  })

  t.test('a clock that is set back leaves nothing of the time that was not, and nobody waits for it', async (t) => {
    const { measure, requests } = measuring()
    requests(50, T0 + 86_400_000, { status: 500 })
    t.ok(measure.pass(T0 + 86_400_000).length > 0)
    requests(10, T0)
    t.match(told(measure.pass(T0), 'errors.passive_ratio', { site: 'ams' }), { value: 0, count: 10 })
    requests(10, T0 + 120_000)
    t.match(told(measure.pass(T0 + 120_000), 'errors.passive_ratio', { site: 'ams' }), { value: 0, count: 10 })
  })

  t.test(
    'what a model server tells of itself is left to it; only what Envoy alone sees is told beside it',
    async (t) => {
      const { measure, requests } = measuring({
        passive: { targets: () => ['ams/default'], isAsked: () => true, isToldByOthers: () => true },
      })
      requests(300, T0)
      t.same(
        measure
          .pass(T0 + 5_000)
          .filter(({ from, signal }) => from === undefined && !signal.startsWith('slo.'))
          .map(({ signal }) => signal),
        ['ttft.passive_p95_ms', 'response.passive_p95_ms', 'errors.passive_ratio'],
      )
    },
  )

  t.test('nothing is told while the log is silent: no events is not the same as no log', async (t) => {
    const { measure, requests } = measuring()
    t.same(measure.pass(T0 + 5_000), [], 'before the first entry')
    requests(10, T0)
    t.ok(measure.pass(T0 + 10_000).length > 0)
    for (let n = 0; n < 500; n++) measure.decided(facts(), decisionAt(n) as never, undefined, false)
    t.ok(measure.pass(T0 + 35_000).length > 0, 'what is asked over HTTP is in no log')
    for (let n = 0; n < 100; n++) measure.decided(facts(), decisionAt(n) as never, undefined, true)
    t.ok(measure.pass(T0 + 40_000).length > 0, 'they may still be running')
    t.same(measure.pass(T0 + 100_000), [], 'a minute after the first of a hundred')
    requests(1, T0 + 100_000)
    t.ok(measure.pass(T0 + 101_000).length > 0)
  })

  t.test('a policy leaves a target by the errors that Envoy saw, and takes it back once they are over', async (t) => {
    const world = new World({
      sites: [site('ams'), site('fra')],
      policies: [policy([['ams'], ['fra']], { signals: { 'errors.ratio': max(0.1, 0.05) }, timers: FAST })],
    })
    const { measure, requests } = measuring()
    const tell = (now: number) =>
      world.apply({ kind: 'samples-arrived', at: now, samples: measure.pass(now), heartbeats: [] })
    requests(100, T0)
    requests(100, T0, { cluster: 'fra' }, { target: 'fra/default' })
    world.now = T0 + 5_000
    tell(world.now)
    t.equal(targetOf(world.decide()), 'ams/default')
    requests(60, world.now, { status: 500, durationMs: 1 })
    world.now += 5_000
    tell(world.now)
    const away = world.decide()
    t.equal(targetOf(away), 'fra/default')
    t.match(away.because[0], {
      target: 'ams/default',
      constraint: 'errors.ratio',
      measured: 0.375,
      source: 'envoy-access-log',
    })
    world.pass(100_000, () => tell(world.now))
    t.equal(targetOf(world.decide()), 'ams/default', 'no events any more, and the dwell is over')
  })

  t.test('among equals a target whose errors are red draws no load, however idle it looks', async (t) => {
    const world = new World({
      sites: [site('ams'), site('fra')],
      policies: [policy([['ams', 'fra']])],
    })
    const targets = () => new Set(Array.from({ length: 200 }, () => targetOf(world.decide())))
    world.samples({ ams: { 'queue.depth': 0 }, fra: { 'queue.depth': 30 } })
    t.ok(targets().has('ams/default'))
    world.samples({ ams: { 'errors.passive_ratio': [0.9, 50] }, fra: { 'errors.passive_ratio': [0, 50] } })
    t.same([...targets()], ['fra/default'])
    world.samples({ ams: { 'errors.passive_ratio': [0.9, 50] }, fra: { 'errors.passive_ratio': [0.9, 50] } })
    t.same([...targets()], ['ams/default'], 'where all of them fail, the load decides as ever')
    world.samples({ ams: { 'errors.passive_ratio': [0, 0] } })
    t.ok(targets().has('ams/default'))
  })

  t.test('a signal of one class counts for the policies of that class alone', async (t) => {
    const limits = { signals: { 'slo.burn_1h_ratio': max(14.4, 6) }, timers: FAST }
    const world = new World({
      sites: [site('ams'), site('fra')],
      classes: [workload('chat'), workload('search')],
      policies: [
        policy([['ams'], ['fra']], limits),
        policy([['ams'], ['fra']], { ...limits, name: 'q', class: 'search' }),
      ],
    })
    const signals = (chat: number, count = 500) => ({
      ams: { 'slo.burn_1h_ratio@chat': [chat, count], 'slo.burn_1h_ratio@search': [0, 500] } as const,
      fra: { 'slo.burn_1h_ratio@chat': [0, 0], 'slo.burn_1h_ratio@search': [0, 0] } as const,
    })
    world.samples(signals(20))
    const away = world.decide({ class: 'chat' })
    t.equal(targetOf(away), 'fra/default')
    t.match(away.because[0], { constraint: 'slo.burn_1h_ratio@chat', measured: 20, limit: 14.4 })
    t.equal(targetOf(world.decide({ class: 'search' })), 'ams/default')
    world.samples(signals(20, 40)).pass(11_000, () => world.samples(signals(20, 40)))
    t.equal(targetOf(world.decide({ class: 'chat' })), 'ams/default', 'too few events say nothing')
    t.equal(signalFor('slo.burn_1h_ratio', 'chat'), 'slo.burn_1h_ratio@chat')
    t.equal(signalFor('queue.depth', 'chat'), 'queue.depth')
    t.equal(signalOf('queue.depth@chat'), undefined)
    t.equal(signalOf('slo.burn_1h_ratio@'), undefined)
  })

  t.test('a class burns its budget where requests fail or come late, and both windows have to say so', async (t) => {
    const { measure, requests, asked } = measuring()
    const burn = (now: number, signal: string, name: string) =>
      told(measure.pass(now), `${signal}@chat`, { site: name }) ?? { value: -1, count: -1 }
    // An hour of well-being, then five minutes in which a third is bad: one percent is promised.
    for (let minute = 0; minute < 60; minute++) requests(20, T0 + minute * 60_000)
    const hour = T0 + 3_600_000
    for (let minute = 0; minute < 5; minute++) {
      const at = hour + minute * 60_000
      requests(40, at)
      requests(10, at, { status: 500 })
      requests(10, at, { firstBodyMs: 400 })
      requests(30, at, { flags: ['DC'], status: 0 })
      requests(30, at, { status: 400 })
    }
    const now = hour + 290_000
    const samples = measure.pass(now)
    const fast = told(samples, 'slo.burn_1h_ratio@chat', { site: 'ams' })!
    t.equal(fast.count, 300 + 20, 'those that left and those that were wrong are neither good nor bad')
    const hourly = 100 / (60 * 20 + 300) / 0.01
    t.ok(Math.abs(fast.value - hourly) < 0.5, `${fast.value}, by the hour ${hourly}: the lesser of both`)
    t.equal(fast.pool, undefined)
    t.match(told(samples, 'slo.burn_3d_ratio@chat', { site: 'ams' }), { count: 1_500 })
    const near = told(samples, 'slo.locality_ratio@chat', { site: 'ams' })!
    t.ok(near.value > 0.8 && near.value < 0.95)
    t.equal(told(samples, 'slo.burn_1h_ratio@chat', { site: 'fra' }), undefined, 'nobody looks at it there')
    asked.add('slo.burn_1h_ratio@chat')
    requests(1, now)
    t.match(burn(now + 10_000, 'slo.burn_1h_ratio', 'fra'), { value: 0, count: 0 }, 'now somebody does')
    requests(1, now + 600_000)
    t.equal(burn(now + 600_000, 'slo.burn_1h_ratio', 'ams').value, 0, 'the short window ends with the trouble')
  })

  t.test('burn rates and reports survive a restart', async (t) => {
    const one = measuring()
    for (let minute = 0; minute < 90; minute++) one.requests(10, T0 + minute * 60_000, { status: 500 })
    one.measure.report([
      { name: 'tickets', rollout: 'r', arm: 'control', day: '2027-01-01', count: 4, sum: 9, sumOfSquares: 30 },
    ])
    const state = JSON.parse(JSON.stringify(one.measure.state()))
    const two = measuring()
    two.measure.restore(state)
    const now = T0 + 90 * 60_000
    two.requests(1, now)
    const burn = told(two.measure.pass(now), 'slo.burn_6h_ratio@chat', { site: 'ams' })!
    t.ok(burn.value > 99 && burn.count! > 250, JSON.stringify(burn))
    t.same(two.measure.reports(), one.measure.reports())
  })
}

const decisionAt = (n: number) => ({
  id: `silent-${n}`,
  at: T0 + 10_000,
  class: 'chat',
  action: 'route',
  layers: [],
  ladder: [],
  because: [],
  arm: null,
})
