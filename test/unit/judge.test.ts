import { appendFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { adviseJobs } from '../../src/engine/advice.ts'
import { decide } from '../../src/engine/decide.ts'
import { createMetrics } from '../../src/metrics.ts'
import type { Decision } from '../../src/model/decision.ts'
import type { FactSources, WorkloadClass } from '../../src/model/documents.ts'
import type { JobNeeds } from '../../src/model/facts.ts'
import { HEADERS } from '../../src/model/headers.ts'
import type { Job, JobEvent } from '../../src/model/job.ts'
import type { RequestView } from '../../src/model/request-view.ts'
import { RESERVATIONS_MAX } from '../../src/model/reservation.ts'
import { compileFacts } from '../../src/request/facts.ts'
import { signingKeys } from '../../src/request/signing-keys.ts'
import { createJudge } from '../../src/sidecar/judge.ts'
import { createTally } from '../../src/sidecar/tally.ts'
import { gapsLaws } from '../helpers/gaps-laws.ts'
import { jobsWorld } from '../helpers/jobs-world.ts'
import { plannerLaws } from '../helpers/planner-laws.ts'
import { max, min, order, policy, site, T0, World, workload } from '../helpers/world.ts'

const sources: FactSources = {
  metadata: { name: 'gateway' },
  trustedHops: 0,
  trustedPeers: [],
  facts: { class: [{ from: 'value', value: 'chat' }], sessionKey: [{ from: 'header', name: 'x-user' }] },
  residency: [],
  tenantResidency: {},
  bodyBytesMax: 0,
}
const keys = signingKeys([['k1', Buffer.alloc(32, 7)]])

const requestOf = (headers: Readonly<Record<string, string>> = {}): RequestView => ({
  method: 'POST',
  path: '/v1/chat/completions',
  authority: 'chat.test',
  header: (name) => headers[name],
  attribute: () => undefined,
  metadata: () => undefined,
})

const judgeOf = (world: World) => {
  const metrics = createMetrics()
  const kept: { decision: Decision; by: string }[] = []
  const said: string[] = []
  const judge = createJudge({
    clock: { now: () => world.now },
    current: () => world.snapshot,
    readFacts: () =>
      compileFacts([sources], [], { classes: [workload()], sessionKeys: keys, hops: { keys, instance: 'here' } }),
    tally: createTally(1),
    metrics,
    journal: {
      wants: (decision) => (decision.reason === 'first-choice' ? undefined : 'not-first-choice'),
      keep: (made, by) => kept.push({ decision: made.decision, by }),
    },
    sessionKeys: keys,
    hops: { keys, instance: 'here' },
    onPanic: (name) => said.push(`panic ${name}`),
    onStale: (name) => said.push(`stale ${name}`),
  })
  return { judge, metrics, kept, said }
}

t.test('a request is judged, counted and given its session token, which then keeps it where it is', async (t) => {
  const world = new World({
    sites: [site('ams'), site('fra')],
    policies: [policy([['ams'], ['fra']], { session: 'sticky', signals: { 'queue.depth': max(40) } })],
  })
  world.samples({ ams: { 'queue.depth': 1 }, fra: { 'queue.depth': 1 } })
  const { judge, metrics, kept } = judgeOf(world)
  const first = judge(requestOf({ 'x-user': 'u1' }))
  t.match(first, { decision: { target: 'ams/default', session: 'new' }, extras: { session: /^1\.k1\./ } })
  world.pass(11_000, () => world.samples({ ams: { 'queue.depth': 99 }, fra: { 'queue.depth': 1 } }))
  t.match(judge(requestOf({ 'x-user': 'u1', [HEADERS.session]: first.extras!.session! })), {
    decision: { target: 'ams/default', session: 'kept' },
    extras: { session: undefined },
  })
  t.match(
    judge(requestOf({ 'x-user': 'u2', [HEADERS.session]: first.extras!.session! })).decision,
    { target: 'fra/default', session: 'mismatch' },
    "somebody else's token is worth nothing",
  )
  t.equal(metrics.value('hubward_decisions_total', 'chat', 'route', 'session', 'ams/default'), 1)
  t.equal(metrics.value('hubward_sessions_total', 'mismatch'), 1)
  t.match(kept, [{ decision: { reason: 'session' } }, { decision: { reason: 'fallback' }, by: 'not-first-choice' }])
})

t.test('a hop tells the next hubward, and one that comes back is refused', async (t) => {
  const { judge } = judgeOf(new World({ sites: [site('ams')], policies: [policy([['ams']])] }))
  const first = judge(requestOf())
  t.type(first.extras!.hop, 'string')
  t.match(judge(requestOf({ [HEADERS.hop]: first.extras!.hop! })).decision, { action: 'deny', reason: 'hop-loop' })
})

t.test('the age of required signals is measured when a decision is made, and what is too old is counted', async (t) => {
  const world = new World({
    sites: [site('ams'), site('fra')],
    policies: [policy([['ams'], ['fra']], { signals: { 'power.headroom_mw': min(1), 'queue.depth': max(40) } })],
  })
  world.samples({ fra: { 'power.headroom_mw': 3, 'queue.depth': 1 }, ams: { 'queue.depth': 1 } })
  world.now += 4_000
  const { judge, metrics } = judgeOf(world)
  t.equal(judge(requestOf()).decision.action, 'route')
  const text = await metrics.text()
  t.match(text, 'hubward_decision_signal_age_seconds_sum{signal="power.headroom_mw"} 4\n', 'four seconds old')
  t.match(text, 'hubward_decision_signal_age_seconds_bucket{signal="power.headroom_mw",le="6.291456"} 1\n')
  t.match(text, 'hubward_decision_signal_age_seconds_bucket{signal="power.headroom_mw",le="3.145728"} 0\n')
  t.equal(metrics.value('hubward_freshness_violations_total', 'chat', 'power.headroom_mw'), 1, 'missing at ams')
  t.equal(metrics.value('hubward_freshness_violations_total', 'chat', 'queue.depth'), 0)
})

t.test('stale decisions are told only where the class asks for an alert; panic is told always', async (t) => {
  for (const alert of [false, true]) {
    const world = new World({
      sites: [site('ams')],
      classes: [workload('chat', { whenStale: { action: 'lowest-risk', alert } })],
      policies: [policy([['ams']], { signals: { 'queue.depth': max(40) } })],
    })
    const { judge, metrics, said } = judgeOf(world)
    t.equal(judge(requestOf()).decision.reason, 'lowest-risk')
    t.same(said, alert ? ['stale chat'] : [])
    t.equal(metrics.value('hubward_stale_alerts_total', 'chat'), alert ? 1 : 0)
    world.probe(['ams'], 'refused', 2)
    t.equal(judge(requestOf()).decision.reason, 'panic')
    t.equal(said.at(-1), 'panic chat')
  }
})

t.test('needs that nobody can read are refused with 400 and counted', async (t) => {
  const { judge, metrics } = judgeOf(new World({ sites: [site('ams')], policies: [policy([['ams']])] }))
  t.match(judge(requestOf({ [HEADERS.needs]: 'lots of power' })).decision, {
    action: 'deny',
    status: 400,
    reason: 'bad-request',
  })
  t.equal(metrics.value('hubward_facts_problems_total', 'request/bad-needs'), 1)
  t.match(judge(requestOf({ [HEADERS.needs]: 'power.headroom_mw>=2' })).decision, {
    action: 'deny',
    because: [{ constraint: 'job.need' }],
  })
})

const POWER = { signal: 'power.headroom_pct', amber: min(15, 20), red: min(5, 10), estimated: false }

/** Training at one campus, or two, with so much power to spare. */
const campus = (
  test: Test,
  over: Partial<WorkloadClass> = {},
  options: Parameters<typeof jobsWorld>[2] & { sites?: readonly string[] } = {},
) => {
  const names = options.sites ?? ['ams']
  const world = new World({
    sites: names.map((name) => site(name)),
    readiness: [{ metadata: { name: 'campus' }, limits: { power: [POWER] }, admits: {} }],
    classes: [workload('training', { whenHubwardIsDown: 'refuse', flexibility: 'pausable', ...over })],
    policies: [
      policy(
        names.map((name) => [name]),
        {
          class: 'training',
          signals: { 'power.headroom_mw': min(1, 1.5) },
          otherwise: [{ action: 'delay', retryAfterMs: 30_000 }],
        },
      ),
    ],
  })
  const measure = (mw: number, more: Record<string, number> = {}) =>
    world.samples(Object.fromEntries(names.map((name) => [name, { 'power.headroom_mw': mw, ...more }])))
  measure(5)
  const made = jobsWorld(test, world, options)
  const ask = (needs: JobNeeds = { mw: 2 }, how: object = {}, facts: object = {}) =>
    made.view.decide(
      { class: 'training', session: { verdict: 'none' }, extra: {}, needs, ...facts },
      { reserve: true, dispatch: false, dryRun: false, ...how },
    )!
  return { ...made, world, measure, ask }
}

t.test('ten jobs that ask in one moment do not all get the same two megawatts', async (t) => {
  const { ask, view, metrics, world } = campus(t)
  const decisions = Array.from({ length: 10 }, () => ask())
  t.same(
    decisions.map(({ action }) => action),
    ['route', 'route', ...Array<string>(8).fill('delay')],
  )
  t.match(decisions[0], { reservation: decisions[0]!.id })
  t.match(decisions[2], { because: [{ target: 'ams/default', measured: 1 }], reservation: undefined })
  t.equal(view.all().size, 2)
  t.equal(metrics.value('hubward_reservations_total', 'training', 'made'), 2)
  t.equal(metrics.value('hubward_dispatches_total', 'ams/default'), 0)
  view.ended(decisions[0]!.id, 'done')
  t.equal(ask().action, 'route', 'what one gives back another gets')
  t.same(Object.keys(world.snapshot.data.reservations).length, 2)
})

t.test('what a job draws by now is measured, so only the rest of what it declared is held', async (t) => {
  const { ask, view, measure } = campus(t)
  const first = ask({ mw: 4 })
  t.equal(ask().action, 'delay')
  measure(3)
  view.running(first.id, 2)
  t.match(ask({ mw: 2 }), { action: 'delay' }, 'three are left, of which it will draw two more')
  measure(3)
  view.running(first.id, 4)
  t.match(ask({ mw: 2 }), { action: 'route' })
  t.match(view.get(first.id), { state: 'running', drawMw: 4 })
})

t.test(
  'a reservation ages out, unless its job renews it; nobody may ask for longer than the configuration says',
  async (t) => {
    const { ask, view, world, metrics } = campus(t, {}, { reservationLifeMs: 60_000 })
    const [a, b] = [ask({ mw: 1 }), ask({ mw: 1 }, { lifeMs: 3_600_000 })]
    world.pass(50_000)
    view.renew(a!.id, undefined)
    world.pass(11_000)
    t.equal(view.get(b!.id), undefined)
    t.match(view.get(a!.id), { expiresAt: T0 + 110_000 })
    t.equal(metrics.value('hubward_reservations_total', 'training', 'aged-out'), 1)
    world.pass(60_000)
    t.equal(view.all().size, 0)
    t.same(world.snapshot.data.reservations, {})
  },
)

t.test('a class may hold for a shorter time than the configuration says, never for a longer one', async (t) => {
  const { ask, view } = campus(t, { reservationLifeMs: 10_000 }, { reservationLifeMs: 60_000 })
  const { id } = ask({ mw: 1 }, { lifeMs: 30_000 })
  t.equal(view.get(id)!.expiresAt, T0 + 10_000)
  t.equal(view.renew(id, 50_000)!.expiresAt, T0 + 10_000)
  const long = campus(t, { reservationLifeMs: 600_000 }, { reservationLifeMs: 60_000 })
  t.equal(long.view.get(long.ask({ mw: 1 }).id)!.expiresAt, T0 + 60_000)
})

t.test('no job is let in beyond those that can be kept account of', async (t) => {
  const { ask, jobs, world } = campus(t)
  const decided = ask({ mw: 0.0001 })
  t.equal(decided.action, 'route')
  const admit = (id: string) =>
    jobs.admit(world.facts({ class: 'training' }), { ...decided, id }, world.snapshot, T0, {
      reserve: 'always',
      dispatch: false,
      dryRun: false,
    })
  // The registry is filled by itself: each reservation copies those before it, which is not what is looked at here.
  world.apply = () => world
  for (let i = 1; i < RESERVATIONS_MAX; i++) admit(`job-${i}`)
  t.match(admit('one-more'), {
    action: 'deny',
    status: 503,
    reason: 'reservations-full',
    because: [{ constraint: 'reservations', measured: RESERVATIONS_MAX }],
  })
})

t.test('a job behind Envoy holds what it declares, one that declares nothing holds nothing', async (t) => {
  const { judge, world, view, jobs, tally } = campus(t)
  const reads = judge(() =>
    compileFacts([{ ...sources, facts: { class: [{ from: 'value', value: 'training' }] } }], []),
  )
  t.equal(reads(requestOf()).decision.reservation, undefined)
  const declared = { class: 'training', needs: { mw: 2 } }
  const how = { reserve: 'declared', dispatch: true, dryRun: false } as const
  for (const over of [{ followUp: 'ask' as const }, { hop: { verdict: 'valid' as const, target: 'ams/default' } }]) {
    const facts = world.facts({ ...declared, ...over })
    const decided = decide(facts, world.snapshot, tally, world.now, 'one')
    t.equal(decided.action, 'route')
    t.equal(jobs.admit(facts, decided, world.snapshot, world.now, how), decided, Object.keys(over)[0]!)
  }
  const { decision } = reads(requestOf({ [HEADERS.needs]: 'power.headroom_mw>=2' }))
  t.equal(decision.reservation, decision.id)
  t.match(world.snapshot.data.reservations, { [decision.id]: { mw: 2, coolingKw: 2_000, target: 'ams/default' } })
  t.equal(view.all().size, 1)
})

t.test(
  'a question neither counts nor holds; an answer that is asked for again under its name is the same',
  async (t) => {
    const { ask, view, metrics, kept, tally } = campus(t)
    t.match(ask({ mw: 2 }, { dryRun: true }), { action: 'route', reservation: undefined })
    t.equal(metrics.value('hubward_decisions_total', 'training', 'route', 'first-choice', 'ams/default'), 0)
    t.match(ask({ mw: 2 }, { reserve: false }), { action: 'route', reservation: undefined })
    t.equal(kept.length, 1)
    t.same(tally.dispatched, {})
    t.equal(view.all().size, 0)
    const first = ask({ mw: 2 }, { key: 'kueue/1' })
    t.equal(view.called('kueue/1')?.decision.id, first.id)
    t.same(tally.dispatched, { 'ams/default': 1 })
  },
)

t.test('reservations and what was told survive a restart; a line cut by a crash is left out', async (t) => {
  const { ask, view, jobs, folder, world } = campus(t)
  const [kept, ended] = [ask({ mw: 3 }, { key: 'mine' }), ask({ mw: 1 })]
  view.running(kept!.id, 1)
  view.ended(ended!.id, 'done')
  await jobs.close()
  appendFileSync(join(folder, 'jobs.jsonl'), '{"id":"half')
  t.notMatch(readFileSync(join(folder, 'jobs.jsonl'), 'utf8'), 'sessionKey')
  const after = campus(t, {}, { stateDir: folder })
  after.jobs.restore()
  t.match(after.view.get(kept!.id), { state: 'running', drawMw: 1, key: 'mine' })
  t.equal(after.view.called('mine')?.id, kept!.id)
  t.equal(after.view.all().size, 1)
  t.match(after.world.snapshot.data.reservations, { [kept!.id]: { mw: 3, drawMw: 1 } })
  t.equal(after.ask({ mw: 4 }).action, 'delay', 'the two that are not drawn yet are held')
  world.pass(7_200_000)
  const late = campus(t, {}, { stateDir: folder })
  late.world.now = T0 + 7_200_000
  late.jobs.restore()
  t.equal(late.view.all().size, 0, 'what had aged out meanwhile is not held again')
})

/** An admitted job, told what follows from the world as it is now, again and again. */
const advised = (made: ReturnType<typeof campus>, needs: JobNeeds = { mw: 2 }) => {
  let job = made.view.get(made.ask(needs).id)!
  return () => {
    const [advice] = adviseJobs(made.world.snapshot, made.tally, [job], made.world.now).advice
    job = { ...job, advice: advice! }
    return advice!
  }
}

t.test(
  'red: whoever can pause is paused at once, who can move is sent where it fits, and goes on after the dwell',
  async (t) => {
    for (const flexibility of ['pausable', 'delayable', 'movable'] as const) {
      const made = campus(t, { flexibility }, { sites: ['ams', 'fra'] })
      const { world } = made
      const tell = advised(made)
      t.match(tell(), { action: 'run', reason: 'fits' })
      world.samples({ ams: { 'power.state': 2 } })
      t.match(tell(), {
        action: flexibility === 'movable' ? 'move' : 'pause',
        reason: 'red',
        because: { target: 'ams/default', constraint: 'safety.red', measured: 'power.state 2' },
        deadline: T0,
        to: flexibility === 'movable' ? { target: 'fra/default', cluster: 'fra' } : undefined,
      })
      t.equal(tell(), tell(), 'what stands is the same object')
      const keep = () => {
        world.samples({ ams: { 'power.state': 0, 'power.headroom_mw': 5 }, fra: { 'power.headroom_mw': 5 } })
      }
      world.pass(60_000, keep)
      t.not(tell().action, 'resume', 'safety waits longer')
      world.pass(600_000, keep)
      t.match(tell(), { action: 'resume', reason: 'fits' })
    }
  },
)

t.test(
  'one that has to leave and fits nowhere else is paused; a drain lets what can only be delayed finish',
  async (t) => {
    const movable = campus(t, { flexibility: 'movable' })
    const tellMovable = advised(movable)
    movable.world.samples({ ams: { 'leak.detected': 1 } })
    t.match(tellMovable(), { action: 'pause', reason: 'red', to: undefined })
    for (const [flexibility, action] of [
      ['delayable', 'run'],
      ['inflexible', 'run'],
      ['pausable', 'pause'],
    ] as const) {
      const made = campus(t, { flexibility })
      const tell = advised(made)
      made.world.overrides({ overrides: [order('drain', { site: 'ams' })] })
      t.match(tell(), { action }, flexibility)
    }
  },
)

t.test(
  'its own draw is no reason to stop a job, what readiness does not admit is, with a deadline from the trend',
  async (t) => {
    const made = campus(t, {}, { sites: ['ams'] })
    const { world, measure } = made
    const tell = advised(made)
    measure(0.2)
    world.pass(30_000, () => measure(0.2))
    t.match(made.ask(), { action: 'delay' }, 'nobody else comes')
    t.match(tell(), { action: 'run' }, 'it stays')
    const short = () => measure(0.2, { 'power.headroom_pct': 10 })
    short()
    world.pass(30_000, short)
    const amber = { action: 'pause', reason: 'readiness', red: { signal: 'power.headroom_pct', op: 'min', limit: 5 } }
    t.match(tell(), {
      ...amber,
      because: { constraint: 'readiness', measured: 10, unit: '% of power.headroom_pct' },
      deadline: null,
    })
  },
)

t.test('a margin that falls gives the deadline, which is told anew only when it has come much nearer', async (t) => {
  const made = campus(t)
  const { world, measure } = made
  const tell = advised(made)
  let pct = 16
  const fall = (by: number) => () => {
    pct -= by
    measure(5, { 'power.headroom_pct': pct })
  }
  world.pass(80_000, fall(0.05))
  const { deadline, reason } = tell()
  t.equal(reason, 'readiness')
  t.ok(
    Math.abs(deadline! - (world.now + 140_000)) < 1_000,
    'twelve percent, five to the red limit, a twentieth a second',
  )
  world.pass(10_000, fall(0.05))
  t.equal(tell().deadline, deadline)
  world.pass(25_000, fall(0.25))
  t.ok(tell().deadline! < deadline! - 30_000, `${tell().deadline! - world.now} ms left`)
})

t.test('maintenance is told half an hour ahead, with its beginning as the deadline', async (t) => {
  const made = campus(t, { flexibility: 'delayable' })
  const { world, measure } = made
  const from = T0 + 3_600_000
  const window = { id: 'm', site: 'ams', from, to: from + 600_000, reason: 'valve', author: 'ops@example.com' }
  world.overrides({ maintenance: [window] })
  const tell = advised(made)
  t.match(tell(), { action: 'run' })
  world.pass(1_801_000, () => measure(5))
  t.match(tell(), { action: 'pause', reason: 'maintenance', deadline: from, because: { measured: /valve/ } })
})

t.test('without telemetry a class that waits then is paused and one that takes the lowest risk is not', async (t) => {
  for (const [whenStale, action] of [
    [{ action: 'queue', alert: true }, 'pause'],
    [{ action: 'lowest-risk', alert: true }, 'run'],
  ] as const) {
    const made = campus(t, { whenStale })
    const tell = advised(made)
    made.world.pass(300_000)
    t.match(tell(), { action, reason: action === 'run' ? 'fits' : 'stale' })
    made.world.pass(1_000, () => made.measure(5))
    t.match(tell(), { action: action === 'run' ? 'run' : 'resume' })
  }
})

t.test('a paused job comes back to what it holds itself, and not to what others hold', async (t) => {
  const made = campus(t)
  const { world, ask, view, measure } = made
  const first = ask({ mw: 3 })
  const tell = () => {
    const job = view.get(first.id)!
    const [advice] = adviseJobs(world.snapshot, made.tally, [job], world.now).advice
    return advice!
  }
  const paused = { action: 'pause', reason: 'readiness', deadline: null, since: T0 } as const
  const all = view.all() as Map<string, Job>
  all.set(first.id, { ...view.get(first.id)!, advice: paused })
  measure(3.5)
  world.clusters('another')
  t.equal(tell().action, 'pause', 'Envoy has no way there')
  world.clusters('ams')
  t.equal(tell().action, 'resume', 'three of the three and a half are its own')
  t.equal(ask({ mw: 1 }).action, 'delay')
  measure(4.5)
  t.equal(ask({ mw: 1 }).action, 'route')
  measure(3.5)
  t.equal(tell().action, 'pause', 'one is held by another now')
})

t.test('a running hubward tells its jobs soon after a change, journals, counts, and does so once', async (t) => {
  const { ask, view, world, told, metrics, bugs } = campus(t)
  const ids = Array.from({ length: 20 }, () => ask({ mw: 0.1 }).id)
  const heard: JobEvent[] = []
  const all = new Promise<void>((resolve) => {
    view.feed.subscribe((event) => {
      heard.push(event)
      if (heard.filter(({ kind }) => kind === 'advice').length === ids.length) resolve()
    })
  })
  const from = view.feed.last()
  world.samples({ ams: { 'leak.detected': 1 } })
  await all
  t.same(
    heard.map(({ number }) => number),
    ids.map((_, index) => from + 1 + index),
  )
  t.match(view.get(ids[0]!), { advice: { action: 'pause', reason: 'red' } })
  t.match([view.running(ids[0]!, 0), view.running(ids[1]!, 0.05)], [{ state: 'paused' }, { state: 'running' }])
  t.equal(told.filter(({ kind }) => kind === 'job-advised').length, 20)
  t.equal(metrics.value('hubward_job_advice_total', 'training', 'pause', 'red'), 20)
  t.same(
    view.feed.since(from + 18)?.map(({ number }) => number),
    [from + 19, from + 20, from + 21, from + 22],
  )
  t.equal(view.feed.since(from + 23), undefined, 'a number of another run')
  t.same(bugs, [])
})

t.test('what is held is the same whether it was carried over from change to change or summed up anew', async (t) => {
  const { ask, view, world, measure } = campus(t)
  measure(50)
  const ids: string[] = []
  const say = (): unknown => {
    const { because } = ask({ mw: 900 }, { dryRun: true })
    return because
  }
  for (let i = 0; i < 60; i++) {
    say()
    if (i % 3 === 2) view.ended(ids.shift()!, 'done')
    else ids.push(ask({ mw: 0.1 + i / 7, gpus: 0 }).id)
    if (i % 4 === 3) view.running(ids.at(-1)!, i / 11)
  }
  const carried = say()
  const { data, programs } = world.snapshot
  world.snapshot = { programs, data: { ...data, reservations: structuredClone(data.reservations) } }
  t.same(say(), carried)
  t.match(carried, [{ constraint: 'job.need', limit: 900 }])
})

gapsLaws(t)
plannerLaws(t)

t.test(
  'jobs that have to move are not all told the same room, and what one was told holds while it goes',
  async (t) => {
    const made = campus(t, { flexibility: 'movable' }, { sites: ['ams', 'fra', 'lon'] })
    const { world, view, ask, tally } = made
    world.samples({ ams: { 'power.headroom_mw': 30 } })
    const ids = Array.from({ length: 5 }, () => ask({ mw: 2 }).id)
    world.samples({ ams: { 'leak.detected': 1 }, fra: { 'power.headroom_mw': 5 }, lon: { 'power.headroom_mw': 5 } })
    const jobs = () => ids.map((id) => view.get(id)!)
    const { advice } = adviseJobs(world.snapshot, tally, jobs(), world.now)
    t.same(
      advice.map(({ action, to }) => to?.target ?? action),
      ['fra/default', 'fra/default', 'lon/default', 'lon/default', 'pause'],
    )
    const all = view.all() as Map<string, Job>
    for (const [index, job] of jobs().entries()) all.set(job.id, { ...job, advice: advice[index]! })
    t.equal(ask({ mw: 4 }).action, 'route', 'somebody takes the room')
    const again = adviseJobs(world.snapshot, tally, jobs(), world.now).advice
    for (const [index, one] of again.entries()) t.equal(one, advice[index])
  },
)
