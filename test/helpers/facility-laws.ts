import type { Test } from 'tap'
import { noiseProblems } from '../../src/documents/thresholds.ts'
import { noiseOf } from '../../src/engine/noise.ts'
import { mergeSets } from '../../src/engine/programs.ts'
import { readinessOf, stateIn } from '../../src/engine/readiness.ts'
import type { Site, WorkloadClass } from '../../src/model/documents.ts'
import { READINESS_DEFAULT, type ReadinessDocument } from '../../src/model/readiness.ts'
import type { Reservation } from '../../src/model/reservation.ts'
import type { Sample, Series } from '../../src/model/sample.ts'
import { max, min, policy, pool, site, T0, World, workload } from './world.ts'

const LOOPS: NonNullable<Site['loops']> = [
  {
    name: 'cdu-1',
    pools: ['h100'],
    capacityKw: 1_000,
    ratedFlowLpm: 1_000,
    minFlowLpm: 500,
    supplyLimitC: 40,
    designSupplyC: 30,
  },
  { name: 'cdu-2', pools: ['l40s'], supplyLimitC: 40 },
]

const campus = (over: Partial<Site> = {}): Site =>
  site('ams', {
    pools: [pool('h100', { cooling: 'liquid', gpu: 'H100' }), pool('l40s', { cooling: 'air' })],
    powerBudgetMw: 10,
    loops: LOOPS,
    ...over,
  })

const JOBS: Partial<WorkloadClass> = { flexibility: 'pausable', whenHubwardIsDown: 'refuse' }
const QUICK = { stableForMs: 0, dwellMs: 10_000, failBackMs: 0, cooldownMs: 0 }
const training = policy([['ams']], { name: 'training', class: 'training', timers: QUICK })
const chat = policy([['ams']], { name: 'chat', timers: QUICK })

/** A value of a signal at one place of ams: the site, `loop:cdu-1` or `pool:h100`. */
const say = (world: World, values: Record<string, number>, over: Partial<Sample> = {}): World =>
  world.apply({
    kind: 'samples-arrived',
    at: world.now,
    heartbeats: [],
    samples: Object.entries(values).map(([signal, value]) => ({
      signal,
      site: 'ams',
      value,
      at: world.now,
      source: 'meter',
      ...over,
    })),
  })

const seen = (world: World, signal: string, target = 'ams/h100'): number | undefined => {
  const { columns, targets } = world.snapshot.data
  const index = targets.indexOf(target)
  const column = columns[signal]
  return column === undefined || column.at[index] === 0 ? undefined : Math.round(column.value[index]! * 1000) / 1000
}

const reservation = (over: Partial<Reservation> = {}): Reservation => ({
  id: 'job-1',
  class: 'training',
  target: 'ams/h100',
  mw: 2,
  coolingKw: 2_000,
  gpus: 0,
  drawMw: 0,
  madeAt: T0,
  expiresAt: T0 + 3_600_000,
  ...over,
})

/** Power and cooling of a site worked out from what its places say. */
export const facilityLaws = (t: Test): void => {
  t.test('power headroom is the budget, derated, less the draw, and never more than somebody says', async (t) => {
    const derating = { designPue: 1.2, designAmbientC: 30, ambientPctPerC: 1 }
    const world = new World({ sites: [campus({ derating })] })
    say(world, { 'power.draw_mw': 6 })
    t.equal(seen(world, 'power.headroom_mw'), 4, 'budget 10, draw 6')
    t.equal(seen(world, 'power.headroom_pct'), 40)
    say(world, { 'power.headroom_mw': 3 })
    t.equal(seen(world, 'power.headroom_mw'), 3, 'the tighter of two words counts')
    say(world, { 'pue.ratio': 1.5 })
    t.equal(seen(world, 'derating.ratio'), 0.8, 'design PUE 1.2 by measured 1.5')
    t.equal(seen(world, 'power.headroom_mw'), 2, '10 x 0.8 - 6')
    say(world, { 'ambient.temperature_c': 40 })
    t.equal(seen(world, 'derating.ratio'), 0.72, 'ten degrees above the design take another tenth')
    t.equal(seen(world, 'power.headroom_mw'), 1.2)
    say(world, { 'power.headroom_mw': 9 })
    t.equal(seen(world, 'power.headroom_mw'), 1.2, 'a rosier word does not help')
  })

  t.test('a limit of the grid counts until it ends, by itself', async (t) => {
    const world = new World({ sites: [campus()], policies: [chat] })
    say(world, { 'power.draw_mw': 6 })
    say(world, { 'grid.import_limit_mw': 6.05, 'grid.emergency': 1 }, { validUntil: T0 + 5_000 })
    t.equal(seen(world, 'power.headroom_mw'), 0.05)
    t.strictSame(world.snapshot.data.health[0]!.red.toSorted(), ['grid.emergency', 'power.headroom_pct'], 'red at once')
    t.equal(world.where(), 'deny', 'a class that is not critical is kept out')
    world.pass(6_000)
    t.equal(seen(world, 'power.headroom_mw'), 4, 'over')
    t.equal(seen(world, 'grid.emergency'), undefined)
    t.strictSame(world.snapshot.data.health[0]!.red, [])
  })

  t.test('cooling margin is the least of three ways, by the loop that a pool is on', async (t) => {
    const world = new World({ sites: [campus()] })
    const loop = (values: Record<string, number>, name = 'cdu-1') => say(world, values, { loop: name })
    loop({ 'cooling.supply_c': 34 })
    t.equal(seen(world, 'cooling.margin_c'), 6)
    t.equal(seen(world, 'cooling.margin_c', 'ams/l40s'), undefined, 'another loop')
    t.equal(seen(world, 'cooling.margin_pct'), 60, 'by temperature: 6 of 10 degrees')
    loop({ 'cooling.heat_kw': 700 })
    t.equal(seen(world, 'cooling.margin_pct'), 30, 'by heat: 300 of 1000 kW')
    t.equal(seen(world, 'cooling.headroom_kw'), 300)
    loop({ 'cooling.flow_lpm': 550 })
    t.equal(seen(world, 'cooling.margin_pct'), 10, 'by flow: 50 of 500 l/min')
    t.match(world.snapshot.data.columns['cooling.margin_pct']!.source[0], /by flow/)
    say(world, { 'cooling.margin_c': 2 })
    t.equal(seen(world, 'cooling.margin_c'), 2, 'the site as a whole speaks too')
    t.equal(seen(world, 'cooling.margin_c', 'ams/l40s'), 2)
    loop({ 'cooling.supply_c': 20 }, 'cdu-9')
    t.match(world.events.at(-1), { kind: 'samples-refused', why: 'unknown-loop' })
  })

  t.test('a loop that fell silent is not covered up by a site that goes on talking', async (t) => {
    const world = new World({
      sites: [campus()],
      policies: [{ ...chat, require: { signals: [{ signal: 'cooling.margin_c', threshold: min(1) }] } }],
    })
    say(world, { 'cooling.supply_c': 30 }, { loop: 'cdu-1' })
    say(world, { 'cooling.supply_c': 30 }, { loop: 'cdu-2' })
    world.pass(60_000, () => say(world, { 'cooling.margin_c': 9 }))
    t.match(world.decide(), {
      reason: 'lowest-risk',
      stale: ['ams/h100 cooling.margin_c', 'ams/l40s cooling.margin_c'],
    })
    say(world, { 'cooling.supply_c': 30 }, { loop: 'cdu-1' })
    t.match(world.decide(), { reason: 'first-choice', target: 'ams/h100' })
  })

  t.test(
    'smoothing and noise: a noisy meter is smoothed over its time constant, and its noise is measured',
    async (t) => {
      const world = new World({ sites: [campus()] })
      say(world, { 'power.draw_mw': 5 })
      world.pass(1_000)
      say(world, { 'power.draw_mw': 6 })
      t.equal(seen(world, 'power.draw_mw'), 5.632, '1 - 1/e of the way after one time constant')
      t.equal(seen(world, 'power.headroom_mw'), 4.368, 'and what is worked out of it follows')
      world.pass(40_000)
      say(world, { 'power.draw_mw': 9 })
      t.equal(seen(world, 'power.draw_mw'), 9, 'what has been away starts anew')
      t.ok(world.snapshot.data.columns['power.draw_mw']!.noise[0]! > 0)
    },
  )

  t.test('a gap that is narrower than the noise that is measured is found, one that is wider is not', async (t) => {
    const noisy = policy([['ams']], { signals: { 'cooling.margin_c': min(5, 6) } })
    const world = new World({ sites: [campus()], policies: [noisy] })
    const found = () => noiseProblems(mergeSets(world.snapshot.data.sets), noiseOf(world.snapshot.data))
    let high = false
    const by = (degrees: number) =>
      world.pass(120_000, () => {
        high = !high
        say(world, { 'cooling.margin_c': high ? 10 + degrees : 10 })
      })
    by(0.5)
    t.strictSame(found(), [])
    by(3)
    t.match(found(), [
      { code: 'threshold/noisy', severity: 'warning', message: /1 Cel lie between 5 and 6/, remedy: /write resume/ },
    ])
  })

  t.test('a series gives the value of its running interval, and goes on to the next by itself', async (t) => {
    const world = new World({
      sites: [campus()],
      policies: [
        policy([['ams']], {
          class: 'chat',
          timers: { ...QUICK, dwellMs: 0 },
          signals: { 'price.per_mwh': max(60), 'tariff.off_peak': min(0.5) },
        }),
      ],
    })
    const series = (signal: string, ...values: number[]): Series => ({
      signal,
      site: 'ams',
      source: 'market',
      issuedAt: T0,
      intervals: values.map((value, hour) => ({ from: T0 + hour * 10_000, to: T0 + (hour + 1) * 10_000, value })),
    })
    world.apply({
      kind: 'samples-arrived',
      at: T0,
      samples: [],
      heartbeats: [],
      series: [series('price.per_mwh', 90, 50, 40), series('tariff.off_peak', 0, 0, 1)],
    })
    t.equal(seen(world, 'price.per_mwh'), 90)
    t.equal(world.where(), 'deny')
    world.pass(11_000)
    t.equal(seen(world, 'price.per_mwh'), 50)
    t.match(world.decide(), {
      action: 'deny',
      because: [{ constraint: 'tariff.off_peak' }, { constraint: 'tariff.off_peak' }],
    })
    world.pass(10_000)
    t.equal(world.where(), 'ams/h100', 'cheap and off-peak together')
    world.pass(10_000)
    t.match(
      world.decide(),
      { stale: ['ams/h100 price.per_mwh', 'ams/l40s price.per_mwh'] },
      'what the series does not tell is stale',
    )
  })
}

/** Readiness by dimension, whom it lets in, and what jobs hold. */
export const readinessLaws = (t: Test): void => {
  const classes = [
    workload('chat', { critical: true }),
    workload('bulk', { flexibility: 'movable' }),
    workload('training', JOBS),
  ]
  const policies = [chat, training, policy([['ams']], { name: 'bulk', class: 'bulk', timers: QUICK })]
  const who = (world: World): string =>
    classes.map(({ metadata: { name } }) => (world.where({ class: name }) === 'deny' ? '-' : name)).join(' ')

  t.test('two limits with lower release points: flexible work is shed first, then all but critical work', async (t) => {
    const world = new World({ sites: [campus()], classes, policies })
    const at = (pct: number): string => {
      world.pass(20_000, () => say(world, { 'power.headroom_pct': pct }))
      return `${stateIn(world.snapshot.data.readiness[0], 'power')}: ${who(world)}`
    }
    t.equal(at(30), 'green: chat bulk training')
    t.equal(at(14), 'amber: chat bulk -')
    t.equal(at(18), 'amber: chat bulk -', 'not yet past the release point')
    t.equal(at(21), 'green: chat bulk training')
    t.equal(at(0.5), 'red: chat - -')
    t.equal(at(2), 'red: chat - -', 'not yet past the release point')
    t.match(world.decide({ class: 'training' }), {
      reason: 'no-target',
      because: [{ constraint: 'safety.red', limit: 3 }],
    })
    world.pass(120_000, () => say(world, { 'power.headroom_pct': 16 }))
    t.equal(who(world), 'chat bulk -', 'amber again')
    t.match(world.decide({ class: 'training' }), {
      reason: 'readiness',
      because: [{ constraint: 'readiness', measured: 16, limit: 20, unit: '% of power.headroom_pct: power is amber' }],
    })
    const told = world.events.flatMap((event) =>
      event.kind === 'readiness-changed' && event.dimension === 'power' && event.target === 'ams/h100'
        ? [event.to]
        : [],
    )
    t.strictSame(told, ['amber', 'green', 'red', 'amber'])
  })

  t.test('no cooling margin lets nobody in, critical or not', async (t) => {
    const world = new World({ sites: [campus()], classes, policies })
    say(world, { 'cooling.margin_c': -1 })
    t.equal(who(world), '- - -')
  })

  t.test('documents replace the defaults, for a class, for a site, and what a state lets in', async (t) => {
    const doc = (name: string, over: Partial<ReadinessDocument>): ReadinessDocument => ({
      metadata: { name },
      limits: {},
      admits: {},
      ...over,
    })
    const power = (amber: number, red: number) => ({
      power: [{ signal: 'power.headroom_pct', amber: min(amber, amber + 5), red: min(red, red + 5), estimated: true }],
    })
    const readiness = [
      doc('strict', { limits: power(20, 11) }),
      doc('for training', { classes: ['training'], limits: power(50, 40) }),
      doc('at ams', { sites: ['ams'], limits: power(30, 10), admits: { power: { amber: 'all' } } }),
    ]
    const world = new World({ sites: [campus(), site('fra')], classes, policies, readiness })
    say(world, { 'power.headroom_pct': 25 })
    world.samples({ fra: { 'power.headroom_pct': 25 } })
    world.pass(1_000)
    t.equal(who(world), 'chat bulk training', 'ams lets all in while amber, and a site goes before a class')
    t.equal(stateIn(world.snapshot.data.readiness[0], 'power'), 'amber', 'by its own limit')
    t.equal(stateIn(world.snapshot.data.readiness[2], 'power'), 'green', 'fra by the one for all')
    const here = readinessOf(world.snapshot, 2, 'training', world.now)
    t.match(here.dimensions.power, { state: 'red', measured: 25, limit: 45, says: /estimated, says for training/ })
    t.equal(here.overall, 'red')
    const there = new World({
      sites: [site('ams')],
      classes,
      policies,
      readiness: readiness.slice(0, 2),
    })
    say(there, { 'power.headroom_pct': 25 })
    t.match(
      there.decide({ class: 'training' }),
      { because: [{ constraint: 'safety.red', limit: 45 }] },
      'red for one class',
    )
    t.equal(there.where({ class: 'bulk' }), 'ams/default', 'and for no other')
  })

  t.test('a policy may want it greener, and unknown may keep out where a document says so', async (t) => {
    const green = policy([['ams']], { class: 'chat', timers: QUICK, require: { signals: [], readiness: 'green' } })
    const world = new World({ sites: [campus()], classes, policies: [green] })
    t.equal(world.where(), 'ams/h100', 'nothing is known against it')
    say(world, { 'queue.depth': 50 }, { pool: 'h100' })
    t.match(world.decide(), {
      target: 'ams/l40s',
      because: [{ constraint: 'readiness', unit: 'requests of queue.depth: queue is amber' }],
    })
    const careful: ReadinessDocument = {
      metadata: { name: 'careful' },
      limits: {},
      admits: { power: { unknown: { flexibility: ['inflexible'], critical: true, classes: [] } } },
    }
    const blind = new World({ sites: [campus()], classes, policies, readiness: [careful] })
    t.equal(who(blind), 'chat - -')
    say(blind, { 'power.headroom_pct': 50 })
    t.equal(who(blind), 'chat bulk training')
  })

  t.test('procedures: an owner, a runbook and a game day that is not too long ago', async (t) => {
    const state = (operations: Site['operations']): string => {
      const world = new World({ sites: [campus(operations === undefined ? {} : { operations })], classes, policies })
      world.pass(1_000)
      return stateIn(world.snapshot.data.readiness[0], 'procedures')
    }
    const good = { owner: 'dc-ops@example.com', runbook: 'runbooks/ams.md', lastGameDay: T0 - 86_400_000 }
    t.equal(state(undefined), 'unknown')
    t.equal(state(good), 'green')
    t.equal(state({ ...good, lastGameDay: T0 - READINESS_DEFAULT.gameDayMaxMs! - 86_400_000 }), 'amber')
    t.equal(state({ owner: 'dc-ops@example.com', runbook: 'runbooks/ams.md' }), 'amber')
  })

  t.test('ten jobs in one second do not all get the same two megawatts', async (t) => {
    const jobs = { ...training, require: { signals: [{ signal: 'power.headroom_mw', threshold: min(2) }] } }
    const world = new World({ sites: [campus()], classes, policies: [jobs, chat] })
    say(world, { 'power.draw_mw': 5 })
    const admitted: string[] = []
    for (let n = 0; n < 10; n++) {
      const decision = world.decide({
        class: 'training',
        needs: { mw: 2, signals: { 'power.headroom_mw': { min: 2 } } },
      })
      if (decision.action !== 'route') continue
      admitted.push(`job-${n}`)
      world.apply({ kind: 'reservation-made', at: world.now, reservation: reservation({ id: `job-${n}` }) })
    }
    t.strictSame(admitted, ['job-0', 'job-1'], '5 MW are free, each holds 2, and 1 is not enough for a third')
    t.match(world.decide({ class: 'training' }), {
      because: [{ constraint: 'power.headroom_mw', measured: 1, limit: 2, unit: 'MW (4 are reserved)' }],
    })
    t.equal(world.where(), 'ams/h100', 'interactive work is not kept out by what jobs hold')
    say(world, { 'power.draw_mw': 7 })
    world.apply({ kind: 'reservation-drawn', at: world.now, id: 'job-0', drawMw: 2 })
    t.match(
      world.decide({ class: 'training' }),
      { because: [{ measured: 1, unit: 'MW (2 are reserved)' }] },
      'what is drawn is measured, and not counted twice',
    )
    world.apply({ kind: 'reservation-ended', at: world.now, id: 'job-1', cause: 'done' })
    t.equal(world.where({ class: 'training' }), 'ams/h100')
    world.apply({
      kind: 'reservation-made',
      at: world.now,
      reservation: reservation({ id: 'late', mw: 3, expiresAt: world.now + 2_000 }),
    })
    t.equal(world.where({ class: 'training' }), 'deny')
    world.pass(3_000, () => say(world, { 'power.draw_mw': 7 }))
    t.equal(world.where({ class: 'training' }), 'ams/h100', 'its token aged out')
    t.match(
      world.events.findLast((event) => event.kind === 'reservation-ended'),
      { id: 'late', cause: 'aged out' },
    )
  })

  t.test('a facility that says it is being worked on is in maintenance, a loop takes its pools', async (t) => {
    const world = new World({ sites: [campus()], classes, policies })
    say(world, { 'maintenance.active': 1 }, { loop: 'cdu-1' })
    t.match(world.decide(), { target: 'ams/l40s', because: [{ constraint: 'maintenance' }] })
    t.equal(world.snapshot.data.health[0]!.state, 'maintenance')
    const window = { from: T0, to: T0 + 60_000, loops: ['cdu-2'] }
    const planned = new World({
      sites: [campus({ maintenance: [window] })],
      classes,
      policies: [policy([['ams/l40s']])],
    })
    t.equal(planned.where(), 'deny')
  })
}
