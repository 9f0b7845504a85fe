import fc from 'fast-check'
import t from 'tap'
import { decide } from '../../src/engine/decide.ts'
import { fold, recompile } from '../../src/engine/fold.ts'
import { type GateCell, isGood, onSample, onTime } from '../../src/engine/gates.ts'
import { phi } from '../../src/engine/health.ts'
import type { Change } from '../../src/model/change.ts'
import type { Facts } from '../../src/model/facts.ts'
import type { GateSpec } from '../../src/model/snapshot.ts'
import { holdLaws } from '../helpers/hold-laws.ts'
import { needsLaws } from '../helpers/needs-laws.ts'
import { max, order, policy, site, T0, World, workload } from '../helpers/world.ts'

/** A small generator of numbers that depend on a seed alone (xorshift32), for runs of many thousand steps. */
const generator = (seed: number) => {
  let state = seed | 1
  return (below: number): number => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

t.test(
  'bounded departures: over 100,000 adversarial sequences of samples no window has more than ceil(window/dwell)+1',
  async (t) => {
    let departures = 0
    let worst = 0
    for (let sequence = 1; sequence <= 100_000; sequence++) {
      const next = generator(sequence * 2654435761)
      const dwellMs = 500 + next(5_000)
      const spec: GateSpec = {
        signal: 'queue.depth',
        op: 'max',
        limit: 40,
        resume: 10 + next(31),
        stableForMs: next(2_000),
        dwellMs,
        failBackMs: 0,
        cooldownMs: next(2) * next(8_000),
      }
      const cell: GateCell = { failed: 0, crossedAt: 0, badAt: 0, failedAt: 0, returnedAt: 0 }
      const left: number[] = []
      let now = T0
      let value = 0
      // An adversary that looks at the gate: it shows a good face until the target is back, and then the worst at once.
      const nasty = next(2) === 0
      for (let step = 0; step < 60; step++) {
        now += next(3) === 0 ? next(dwellMs + 100) : next(400)
        const before = cell.failed
        if (next(4) === 0) onTime(cell, spec, now, isGood(spec, value, false))
        else {
          value = nasty ? (cell.failed === 1 ? 0 : 1_000) : next(80)
          onSample(cell, spec, value, now, { first: step === 0, gap: next(20) === 0, insufficient: next(10) === 0 })
        }
        if (before === 0 && cell.failed === 1) left.push(now)
      }
      departures += left.length
      for (const [from, start] of left.entries()) {
        for (let to = from; to < left.length; to++) {
          const bound = Math.ceil((left[to]! - start) / dwellMs) + 1
          worst = Math.max(worst, (to - from + 1) / bound)
          if (to - from + 1 > bound)
            return t.fail(
              `sequence ${sequence}: ${to - from + 1} departures in ${left[to]! - start} ms with a dwell of ${dwellMs} ms`,
            )
        }
      }
    }
    t.ok(departures > 100_000, `the adversary did make targets leave: ${departures} times`)
    t.ok(worst <= 1, `at most ${worst} of the bound was used`)
  },
)

const NAMES = ['ams', 'fra', 'lon', 'dxb', 'edge'] as const
const jurisdictions = { ams: ['NL', 'EU'], fra: ['DE', 'EU'], lon: ['UK'], dxb: ['AE'], edge: ['NL', 'EU'] } as const
const documents = () => ({
  sites: NAMES.map((name) =>
    site(name, {
      jurisdictions: jurisdictions[name],
      pool: { models: [{ name: name === 'edge' ? 'small' : 'llama' }] },
    }),
  ),
  classes: [workload('chat'), workload('jobs', { whenStale: { action: 'delay', alert: true } })],
  residencies: [{ metadata: { name: 'eu' }, allows: ['EU'], default: { sites: ['fra', 'ams'] } }],
  policies: [
    policy([['ams', 'fra'], ['lon'], ['dxb']], {
      name: 'chat',
      session: 'sticky',
      signals: { 'queue.depth': max(40, 30) },
      degraded: { site: 'edge', model: 'small', rewriteBody: false },
      otherwise: [{ action: 'degrade' }, { action: 'deny' }],
    }),
    policy(
      { all: true },
      {
        name: 'jobs',
        class: 'jobs',
        residency: 'required',
        signals: { 'power.headroom_mw': { op: 'min', limit: 1, resume: 2 } },
        rank: [{ signal: 'cost.per_gpu_hour', prefer: 'lower', withinPct: 10 }],
        otherwise: [{ action: 'delay' }],
      },
    ),
  ],
})

/** One random thing that the world does to hubward; feeds lie, lag and vanish in it. */
const change = fc.oneof(
  fc.record({
    kind: fc.constant('samples' as const),
    site: fc.constantFrom(...NAMES),
    signal: fc.constantFrom(
      'queue.depth',
      'power.headroom_mw',
      'power.headroom_pct',
      'cost.per_gpu_hour',
      'leak.detected',
      'no.such',
    ),
    value: fc.oneof(fc.integer({ min: -5, max: 200 }), fc.constantFrom(Number.NaN, Infinity, 0.5, 1)),
    lagMs: fc.integer({ min: -5_000, max: 20_000 }),
  }),
  fc.record({
    kind: fc.constant('beat' as const),
    site: fc.constantFrom(...NAMES),
    outcome: fc.constantFrom(
      'ok' as const,
      'refused' as const,
      'refused' as const,
      'timeout' as const,
      'error' as const,
    ),
    by: fc.constantFrom('probe' as const, 'probe' as const, 'probe' as const, 'passive' as const),
  }),
  fc.record({ kind: fc.constant('time' as const), ms: fc.integer({ min: -10_000, max: 60_000 }) }),
  fc.record({ kind: fc.constant('drain' as const), site: fc.option(fc.constantFrom(...NAMES)) }),
  fc.record({
    kind: fc.constant('clusters' as const),
    clusters: fc.option(fc.subarray([...NAMES, 'ams+fra', 'fra+ams', 'ams+lon', 'lon+dxb'])),
  }),
  fc.record({ kind: fc.constant('reload' as const) }),
  fc.record({ kind: fc.constant('switch' as const), enabled: fc.boolean() }),
)

const apply = (world: World, step: typeof change extends fc.Arbitrary<infer T> ? T : never): void => {
  const at = world.now
  switch (step.kind) {
    case 'samples':
      world.apply({
        kind: 'samples-arrived',
        at,
        samples: [{ signal: step.signal, site: step.site, value: step.value, at: at - step.lagMs, source: 'test' }],
        heartbeats: [],
      })
      break
    case 'beat':
      world.probe([step.site], step.outcome, 1, step.by)
      break
    case 'time':
      world.now += Math.max(0, step.ms)
      world.apply({ kind: 'time-passed', at: at + step.ms })
      break
    case 'drain':
      world.overrides({
        overrides:
          step.site === null ? [] : [order('drain', { site: step.site }, { created: at, expires: at + 30_000 })],
      })
      break
    case 'clusters':
      world.apply({ kind: 'clusters-known', at, clusters: step.clusters })
      break
    case 'switch':
      world.overrides({ routing: { enabled: step.enabled, reason: 'r', author: 'a', at } })
      break
    case 'reload':
      world.documents(documents())
  }
}

const request = fc.record({
  class: fc.constantFrom('chat', 'jobs', 'nobody-adopted-it'),
  residencyClass: fc.constantFrom(undefined, 'eu'),
  residency: fc.constantFrom(undefined, ['EU'], ['UK'], ['AE'], ['EU', 'UK'], ['US'], []),
  seed: fc.nat().map((n) => n.toString(16).padStart(16, '0')),
  sessionAt: fc.option(fc.constantFrom(...NAMES)),
})

t.test(
  'a simulation: whatever the feeds do, residency holds, drains hold, and the same input gives the same answer',
  async (t) => {
    let decisions = 0
    const seen = new Set<string>()
    fc.assert(
      fc.property(
        fc.array(change, { minLength: 10, maxLength: 40, size: 'max' }),
        fc.array(request, { minLength: 1, maxLength: 5 }),
        (changes, requests) => {
          const world = new World(documents())
          for (const step of changes) {
            const before = world.snapshot
            const text = JSON.stringify(before.data)
            apply(world, step)
            if (JSON.stringify(before.data) !== text) throw new Error('fold altered the snapshot it was given')
            if (world.snapshot.data.revision !== before.data.revision + 1)
              throw new Error('the revision counts changes')
            if (world.snapshot.data.at < before.data.at) throw new Error('time went back')
            for (const { class: workloadClass, residency, residencyClass, seed, sessionAt } of requests) {
              const facts: Facts = {
                ...world.facts(),
                class: workloadClass,
                seed,
                // A class is never named without what it allows.
                ...(residency === undefined
                  ? {}
                  : { residency, ...(residencyClass === undefined ? {} : { residencyClass }) }),
                ...(sessionAt === null
                  ? {}
                  : { sessionKey: seed, session: { verdict: 'valid', target: `${sessionAt}/default` } }),
              }
              const { snapshot, tally, now } = world
              const decision = decide(facts, snapshot, tally, now, 'id')
              decisions += 1
              seen.add(`${decision.action} ${decision.reason}`)
              const copy = recompile(structuredClone(snapshot.data), snapshot.programs.compile)
              const again = decide(structuredClone(facts), copy, structuredClone(tally), now, 'id')
              if (JSON.stringify(again) !== JSON.stringify(decision))
                throw new Error('a clone of the data decides otherwise')
              if (decision.action === 'route' && decision.target === undefined) {
                // Envoy's own route: the default of the named class, fra and ams, or what it does with the unbound.
                const bound =
                  residency !== undefined &&
                  !['fra', 'ams'].every((name) =>
                    residency.some((one) => (jurisdictions[name as 'fra'] as readonly string[]).includes(one)),
                  )
                if (bound || (residency !== undefined && residencyClass === undefined))
                  throw new Error(`${residency} was left to Envoy`)
                if (
                  residency !== undefined &&
                  ['fra', 'ams'].some(
                    (name) =>
                      snapshot.data.health[NAMES.indexOf(name as 'fra')]!.state !== 'ready' &&
                      snapshot.data.health[NAMES.indexOf(name as 'fra')]!.state !== 'degraded',
                  )
                )
                  throw new Error('left to Envoy although a default is out')
              } else if (decision.action === 'route' || decision.action === 'degrade') {
                const name = decision.target!.split('/')[0] as (typeof NAMES)[number]
                if (
                  residency !== undefined &&
                  !residency.some((one) => (jurisdictions[name] as readonly string[]).includes(one))
                )
                  throw new Error(`${residency} was sent to ${name}`)
                if (workloadClass === 'jobs' && residency === undefined && decision.reason !== 'routing-disabled')
                  throw new Error('a job without residency was sent somewhere')
                for (const member of decision.cluster!.split('+')) {
                  const where = jurisdictions[member as (typeof NAMES)[number]] as readonly string[]
                  if (residency !== undefined && !residency.some((one) => where.includes(one)))
                    throw new Error(`the aggregate ${decision.cluster} leaves ${residency}`)
                  if (
                    snapshot.data.health.find((_, index) => snapshot.data.targets[index] === `${member}/default`)!
                      .state === 'draining'
                  )
                    throw new Error(`${member} is drained`)
                }
                if (snapshot.data.clusters !== null && !snapshot.data.clusters.includes(decision.cluster!))
                  throw new Error(`Envoy has no ${decision.cluster}`)
              } else if (decision.action === 'deny') {
                // Without a policy or with routing off only the defaults of the one residency class are there to serve.
                const byDefault = workloadClass === 'nobody-adopted-it' || snapshot.programs.routing?.enabled === false
                const places = byDefault ? ['EU', 'NL', 'DE'] : ['EU', 'UK', 'AE', 'NL', 'DE']
                const servable = residency?.some((one) => places.includes(one)) ?? workloadClass === 'chat'
                if ((decision.status === 403) === servable) throw new Error(`${decision.status} for ${residency}`)
              }
              if (
                decision.reason !== 'first-choice' &&
                decision.because.length === 0 &&
                ![
                  'session',
                  'residency-unknown',
                  'residency-unservable',
                  'hop',
                  'no-policy',
                  'routing-disabled',
                ].includes(decision.reason) &&
                // Asked of all residency classes, none is named for what none of them has.
                !(
                  residencyClass === undefined &&
                  (workloadClass === 'nobody-adopted-it' || snapshot.programs.routing?.enabled === false)
                )
              )
                throw new Error(`${decision.reason} without a because`)
              if (decision.because.length > 8) throw new Error('more than eight reasons')
            }
          }
        },
      ),
      { numRuns: 600, seed: 20261123 },
    )
    t.ok(decisions > 10_000, `${decisions} decisions`)
    for (const expected of [
      'route first-choice',
      'route fallback',
      'route session',
      'degrade degraded',
      'deny residency-unservable',
      'deny residency-unknown',
      'route panic',
      'delay stale',
    ])
      t.ok(seen.has(expected), `the simulation reached ${expected}`)
  },
)

t.test('changes are plain JSON: a log of them, written and read again, folds to the same data', async (t) => {
  const log: Change[] = []
  const world = new World(documents())
  const apply0 = world.apply.bind(world)
  world.apply = (one) => {
    log.push(one)
    return apply0(one)
  }
  const next = generator(7)
  for (let i = 0; i < 500; i++) {
    world.now += next(900)
    const name = NAMES[next(5)]!
    if (next(3) > 0) world.samples({ [name]: { 'queue.depth': next(80) } })
    else world.probe([name], next(4) === 0 ? 'refused' : 'ok')
    if (next(5) === 0) world.apply({ kind: 'time-passed', at: world.now })
  }
  let copy = new World(documents()).snapshot
  for (const one of JSON.parse(JSON.stringify(log)) as Change[]) copy = fold(copy, one).snapshot
  t.same(copy.data, world.snapshot.data)
})

t.test('a reload keeps what was measured, gate states and health by name, and forgets what has no place', async (t) => {
  const world = new World(documents())
  world
    .samples({ ams: { 'queue.depth': 99 }, fra: { 'queue.depth': 1 }, lon: { 'queue.depth': 1 } })
    .probe(['fra'], 'refused', 2)
  t.equal(world.where({ class: 'chat' }), 'lon/default')
  const before = world.decide({ class: 'chat' })
  const set = documents()
  world.documents({ ...set, sites: set.sites.toReversed() })
  t.same(world.decide({ class: 'chat' }).because, before.because, 'in another order the same')
  world.documents({ ...set, sites: set.sites.slice(1) })
  t.notOk(world.snapshot.data.targets.includes('ams/default'))
  world.documents(set)
  t.equal(world.snapshot.data.columns['queue.depth']!.at[0], 0, 'a site that was gone starts afresh')
})

t.test('two sources stand side by side, and one being refused leaves both in force', async (t) => {
  const { sites, ...rest } = documents()
  const world = new World({ sites, classes: [] }, 'sites')
  world.documents({ ...rest, sites: [] }, 'policies')
  t.equal(world.decide({ class: 'chat' }).action, 'route')
  world.apply({
    kind: 'documents-refused',
    at: world.now,
    source: 'policies',
    version: 'v2',
    nonce: 'n2',
    problems: [{ code: 'yaml/bad', severity: 'error', message: 'no' }],
  })
  t.equal(world.decide({ class: 'chat' }).policy, 'chat@1')
  t.match(world.snapshot.data.sources.policies, {
    version: 'v1',
    refusedVersion: 'v2',
    problems: [{ code: 'yaml/bad' }],
  })
  world.documents({ ...rest, sites: [] }, 'policies')
  t.match(world.snapshot.data.sources.policies, { version: 'v1', refusedVersion: '', problems: [] })
})

t.test("samples that can't be true are refused, counted and named", async (t) => {
  const world = new World(documents())
  const bad = (over: object) =>
    world
      .apply({
        kind: 'samples-arrived',
        at: world.now,
        samples: [{ signal: 'queue.depth', site: 'ams', value: 1, at: world.now, source: 'feed', ...over }],
        heartbeats: [],
      })
      .events.at(-1)
  t.match(bad({ value: Number.NaN }), { kind: 'samples-refused', why: 'not-a-number', source: 'feed', count: 1 })
  t.match(bad({ value: -1 }), { why: 'out-of-range' })
  t.match(bad({ at: world.now + 2_001 }), { why: 'in-the-future' })
  t.match(bad({ signal: 'queue.lenght' }), { why: 'unknown-signal' })
  t.match(bad({ site: 'nowhere' }), { why: 'unknown-site' })
  t.match(bad({ model: 'llama' }), { why: 'not-by-model' })
  bad({})
  t.match(bad({ at: world.now - 1 }), { why: 'out-of-order' })
  t.equal(world.snapshot.data.columns['queue.depth']!.at[0], T0)
})

t.test(
  'phi: the longer the silence, the surer; with a steady beat 4 after about 2.9 intervals and 8 after about 3.8',
  async (t) => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60_000 }),
        fc.integer({ min: 1, max: 60_000 }),
        (a, b) => phi(Math.max(a, b), 1_000, 100) >= phi(Math.min(a, b), 1_000, 100),
      ),
    )
    t.ok(phi(2_500, 1_000, 0) < 4 && phi(3_000, 1_000, 0) > 4)
    t.ok(phi(3_600, 1_000, 0) < 8 && phi(4_000, 1_000, 0) > 8)
    t.equal(phi(99_999, 0, 0), 0, 'without a rhythm silence says nothing')
  },
)

needsLaws(t)

holdLaws(t)
