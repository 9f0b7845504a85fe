import t from 'tap'
import { explain } from '../../src/engine/explain.ts'
import { TIMERS_DEFAULT } from '../../src/model/documents.ts'
import { followUpCases } from '../helpers/follow-up-cases.ts'
import { gravityCases } from '../helpers/gravity-cases.ts'
import { keptRoomCases } from '../helpers/kept-room-cases.ts'
import { max, min, order, policy, pool, site, T0, World, workload } from '../helpers/world.ts'

const trio = [site('ams'), site('fra'), site('lon', { jurisdictions: ['UK'] })]
const ladder = [['ams'], ['fra'], ['lon']]
const quick = { stableForMs: 10_000, dwellMs: 60_000, failBackMs: 300_000, cooldownMs: 0 }

t.test('residency', async (t) => {
  const bound = new World({ sites: trio, policies: [policy(ladder, { residency: 'required' })] })
  t.equal(bound.where({ residency: ['UK'] }), 'lon/default', 'a site fits if its jurisdictions intersect the set')
  t.equal(bound.where({ residency: ['EU', 'UK'] }), 'ams/default', 'any of the set will do')
  const refused = bound.decide()
  t.match(
    refused,
    { action: 'deny', status: 403, reason: 'residency-unknown' },
    'without residency a policy that demands it refuses',
  )
  t.match(
    bound.decide({ residency: ['US'] }),
    { action: 'deny', status: 403, reason: 'residency-unservable' },
    'no configured site could ever serve it',
  )
  t.match(bound.decide({ residency: [] }), { action: 'deny', status: 403 }, 'an empty set fits nothing')
  bound.probe(['lon'], 'refused', 2, 'passive')
  t.match(
    bound.decide({ residency: ['UK'] }),
    { action: 'deny', status: 503, reason: 'no-target' },
    'an allowed site that is down makes it 503',
  )
  t.equal(
    new World({ sites: trio, policies: [policy(ladder)] }).where(),
    'ams/default',
    'an unrestricted policy needs none',
  )
})

t.test('no policy, and which policy', async (t) => {
  const world = new World({
    sites: trio,
    policies: [
      policy([['fra']], { name: 'emea', when: 'region == EMEA', priority: 10 }),
      policy([['lon']], { name: 'vip', when: 'tier == gold', priority: 20 }),
      policy([['ams']], { name: 'rest' }),
      policy([['lon']], { name: 'rest', version: 2 }),
    ],
  })
  t.match(
    world.decide({ class: 'unheard-of' }),
    { action: 'route', target: undefined, reason: 'no-policy', policy: null },
    'a class nobody adopted goes where Envoy sends it',
  )
  t.equal(world.where({ region: 'EMEA' }), 'fra/default', 'the matching one')
  t.equal(world.where({ region: 'EMEA', tier: 'gold' }), 'lon/default', 'the highest priority among matches')
  t.equal(world.decide().policy, 'rest@2', 'the newest version of the one without a condition')
})

t.test(
  'a threshold keeps a target out after stableFor, and lets it back after dwell, by a growing share',
  async (t) => {
    const world = new World({
      sites: trio,
      policies: [policy(ladder, { signals: { 'queue.depth': max(40, 32) }, timers: quick })],
    })
    const queue = (ams: number) => () =>
      world.samples({ ams: { 'queue.depth': ams }, fra: { 'queue.depth': 1 }, lon: { 'queue.depth': 1 } })
    world.pass(2_000, queue(3))
    t.equal(world.where(), 'ams/default')
    world.pass(9_000, queue(41))
    t.equal(world.where(), 'ams/default', 'not before the limit has been crossed for stableFor')
    world.pass(3_000, queue(41))
    const left = world.decide()
    t.match(left, { action: 'route', target: 'fra/default', reason: 'fallback' })
    t.match(
      left.because,
      [{ target: 'ams/default', constraint: 'queue.depth', measured: 41, op: '<=', limit: 40, unit: 'requests' }],
      'with the number and the limit',
    )
    world.pass(30_000, queue(35))
    t.match(
      world.decide().because[0],
      { measured: 35, limit: 32 },
      'a target that was left is held to its resume value',
    )
    world.pass(59_000, queue(20))
    t.equal(world.where(), 'fra/default', 'not before the resume value has held for dwell')
    world.pass(2_000, queue(20))
    const share = () =>
      Array.from({ length: 2_000 }, () => world.where()).filter((where) => where === 'ams/default').length / 2_000
    t.ok(share() < 0.05, 'the ramp begins at nothing')
    world.pass(150_000, queue(20))
    const half = share()
    t.ok(half > 0.42 && half < 0.6, `half way through the ramp about half comes back: ${half}`)
    world.pass(150_000, queue(20))
    t.equal(share(), 1, 'and at its end all')
    t.equal(
      world.events.filter((event) => event.kind === 'gate-changed').length,
      2,
      'one departure and one return, each an event',
    )
  },
)

t.test('a session key stays on its side of the ramp while the share grows', async (t) => {
  const world = new World({
    sites: trio,
    policies: [policy(ladder, { signals: { 'queue.depth': max(40, 32) }, timers: quick })],
  })
  world.pass(1_000, () => world.samples({ ams: { 'queue.depth': 50 }, fra: { 'queue.depth': 1 } }))
  const good = () => world.samples({ ams: { 'queue.depth': 1 }, fra: { 'queue.depth': 1 } })
  world.pass(62_000, good)
  const back = new Set<string>()
  for (let step = 0; step < 10; step++) {
    world.pass(30_000, good)
    for (let user = 0; user < 100; user++) {
      const at = world.where({ sessionKey: `user-${user}` })
      if (at === 'ams/default') back.add(`user-${user}`)
      else t.notOk(back.has(`user-${user}`), 'nobody who came back leaves again')
    }
  }
  t.equal(back.size, 100)
})

t.test('hard loss acts at once and returns by dwell and ramp', async (t) => {
  const world = new World({
    sites: trio,
    policies: [policy(ladder, { timers: { ...quick, dwellMs: 30_000, failBackMs: 0 } })],
  })
  world.probe(['ams', 'fra', 'lon'], 'ok')
  world.probe(['ams'], 'refused')
  t.equal(world.where(), 'fra/default', 'after one refused connection no new work while another target can take it')
  world.probe(['ams'], 'refused')
  t.match(world.decide().because[0], { constraint: 'health.state' }, 'after two it is down')
  world.probe(['ams'], 'ok')
  t.equal(world.where(), 'fra/default', 'back, and not yet trusted')
  world.pass(29_000)
  t.equal(world.where(), 'fra/default')
  world.pass(2_000)
  t.equal(world.where(), 'ams/default')
})

t.test('silence makes a target suspect, then down', async (t) => {
  const world = new World({ sites: trio, policies: [policy(ladder)] })
  world.pass(20_000, () => world.probe(['ams', 'fra', 'lon'], 'ok'))
  world.pass(3_000, () => world.probe(['fra', 'lon'], 'ok'))
  t.equal(world.snapshot.data.health[0]!.state, 'degraded')
  world.pass(2_000, () => world.probe(['fra', 'lon'], 'ok'))
  t.match(world.snapshot.data.health[0], { state: 'down', evidence: 'heartbeat' })
  t.match(world.events.at(-1), { kind: 'health-changed', target: 'ams/default', to: 'down' })
})

t.test("red by a safety signal acts at once, and only the class's critical sessions stay", async (t) => {
  const sticky = policy(ladder, { session: 'sticky', timers: { ...quick, dwellMs: 10_000, failBackMs: 0 } })
  const session = { sessionKey: 'k', session: { verdict: 'valid', target: 'ams/default' } } as const
  for (const critical of [false, true]) {
    const world = new World({ sites: trio, classes: [workload('chat', { critical })], policies: [sticky] })
    t.equal(world.where(session), 'ams/default')
    world.samples({ ams: { 'leak.detected': 1 } })
    t.equal(world.where(), 'fra/default', 'new work leaves')
    t.equal(world.where(session), critical ? 'ams/default' : 'fra/default')
    world.samples({ ams: { 'leak.detected': 0 } })
    world.pass(49_000)
    t.equal(world.where(), 'fra/default', 'after red the dwell is five times as long')
    world.pass(2_000)
    t.equal(world.where(), 'ams/default')
  }
})

t.test('sessions stay through amber and move on hard loss', async (t) => {
  const world = new World({
    sites: trio,
    policies: [policy(ladder, { session: 'sticky', signals: { 'queue.depth': max(40) } })],
  })
  world.samples({ ams: { 'queue.depth': 99 }, fra: { 'queue.depth': 1 }, lon: { 'queue.depth': 1 } })
  const session = { sessionKey: 'k', session: { verdict: 'valid', target: 'ams/default' } } as const
  t.match(
    world.decide({ sessionKey: 'k' }),
    { target: 'fra/default', session: 'new' },
    'a new request leaves the full queue',
  )
  t.match(
    world.decide(session),
    { target: 'ams/default', reason: 'session', session: 'kept' },
    'a running session does not',
  )
  world.probe(['ams'], 'refused', 2)
  t.match(world.decide(session), { target: 'fra/default', session: 'moved' })
  t.match(world.decide({ sessionKey: 'k', session: { verdict: 'expired' } }), { session: 'expired' })
  t.match(world.decide({ session: { verdict: 'none' } }), { session: 'none' }, 'without a key no pin')
})

t.test('stale and missing signals', async (t) => {
  const world = new World({ sites: trio, policies: [policy(ladder, { signals: { 'queue.depth': max(40) } })] })
  world.samples({ ams: { 'queue.depth': 1 }, fra: { 'queue.depth': 0 } })
  world.pass(4_000, () => world.samples({ fra: { 'queue.depth': 0 } }))
  t.equal(world.where(), 'ams/default', 'fresh up to the hard age')
  world.pass(2_000, () => world.samples({ fra: { 'queue.depth': 0 } }))
  const decision = world.decide()
  t.match(decision, { target: 'fra/default', stale: ['ams/default queue.depth'] }, 'a stale pool drops out first')
  t.match(decision.because[0], { constraint: 'freshness' })
  world.pass(10_000)
  t.match(
    world.decide(),
    { target: 'fra/default', reason: 'lowest-risk' },
    'all stale: inference goes to the lowest risk, which is not where somebody was last seen waiting',
  )
  world.documents({
    sites: trio,
    classes: [
      workload('chat', {
        whenStale: { action: 'delay', alert: true, spec: { action: 'delay', retryAfterMs: 60_000 } },
      }),
    ],
    policies: [policy(ladder, { signals: { 'queue.depth': max(40) } })],
  })
  t.match(
    world.decide(),
    { action: 'delay', status: 503, retryAfterMs: 60_000, reason: 'stale' },
    'a class that says so waits instead',
  )
  t.match(
    new World({ sites: trio, policies: [policy(ladder, { signals: { 'queue.depth': max(40) } })] }).decide()
      .because[0] ?? { measured: 'missing' },
    { measured: 'missing' },
  )
})

t.test("the freshness limit is the class's entry, else the signal's own, else the class's default", async (t) => {
  const at = (over: Parameters<typeof workload>[1], signal: string, after: number) => {
    const world = new World({
      sites: trio,
      classes: [workload('chat', over)],
      policies: [policy([['ams'], ['fra']], { signals: { [signal]: min(0) } })],
    })
    world.samples({ ams: { [signal]: 1 } })
    world.pass(after - 500, () => world.samples({ fra: { [signal]: 1 } }))
    return world.where()
  }
  t.equal(at({ freshness: { 'queue.depth': 60_000 } }, 'queue.depth', 59_000), 'ams/default')
  t.equal(
    at({ freshness: {}, freshnessDefaultMs: 60_000 }, 'queue.depth', 8_000),
    'fra/default',
    'a default does not touch a signal with its own age',
  )
  t.equal(at({ freshness: {}, freshnessDefaultMs: 60_000 }, 'price.per_mwh', 59_000), 'ams/default')
  t.equal(at({ freshness: {}, freshnessDefaultMs: 60_000 }, 'price.per_mwh', 63_000), 'fra/default')
})

t.test('an insufficient sample satisfies the requirement, and the decision names it', async (t) => {
  const world = new World({ sites: trio, policies: [policy(ladder, { signals: { 'ttft.p95_ms': max(150, 120) } })] })
  world.samples({ ams: { 'ttft.p95_ms': [900, 12] }, fra: { 'ttft.p95_ms': [90, 5_000] } })
  t.match(world.decide(), { target: 'ams/default', insufficient: ['ams/default ttft.p95_ms'] })
  world.pass(1_000)
  world.samples({ lon: { 'ttft.p95_ms': [900, 5_000] } })
  world.probe(['ams', 'fra'], 'refused', 2)
  t.not(world.where(), 'lon/default', 'enough events count')
})

t.test('a signal measured by model is judged for the requested model', async (t) => {
  const both = { models: [{ name: 'llama' }, { name: 'qwen' }] }
  const world = new World({
    sites: [site('ams', { pool: both }), site('fra', { pool: both })],
    policies: [policy([['ams'], ['fra']], { signals: { 'itl.p95_ms': max(50, 40) } })],
  })
  world.samples({ ams: { 'itl.p95_ms': [20, 500] }, fra: { 'itl.p95_ms': [20, 500] } })
  world.samples({ ams: { 'itl.p95_ms': [80, 500] } }, { model: 'qwen' })
  t.equal(world.where({ model: 'llama' }), 'ams/default')
  t.match(world.decide({ model: 'qwen' }), {
    target: 'fra/default',
    because: [{ constraint: 'itl.p95_ms', measured: 80 }],
  })
})

t.test('bands', async (t) => {
  const bands = [
    {
      signal: 'power.headroom_pct',
      steps: [
        { threshold: min(15, 16), action: { action: 'route' } },
        { threshold: min(5, 6), action: { action: 'delay', until: 'off-peak' } },
        { action: { action: 'deny' } },
      ],
    },
  ] as const
  const world = new World({
    sites: trio,
    policies: [policy({ all: true }, { bands, timers: { ...quick, stableForMs: 0, dwellMs: 0, failBackMs: 0 } })],
  })
  const power = (ams: number, fra: number, lon: number) => {
    world.pass(1_000)
    return world
      .samples({
        ams: { 'power.headroom_pct': ams },
        fra: { 'power.headroom_pct': fra },
        lon: { 'power.headroom_pct': lon },
      })
      .pass(1_000)
  }
  power(60, 4, 10)
  t.match(
    world.decide(),
    {
      target: 'ams/default',
      reason: 'first-choice',
      because: [{ target: 'fra/default', constraint: 'power.headroom_pct', measured: 4 }, { target: 'lon/default' }],
    },
    'if any says route, only those compete, and who is kept out today is named',
  )
  power(10, 4, 4)
  t.match(
    world.decide(),
    {
      action: 'delay',
      until: 'off-peak',
      reason: 'band',
      because: [{ target: 'ams/default', constraint: 'power.headroom_pct', measured: 10, limit: 15 }, {}, {}],
    },
    'else the mildest',
  )
  power(4, 4, 4)
  t.match(world.decide(), { action: 'deny', status: 503, reason: 'band' })
  power(70, 70, 70)
  t.equal(world.decide().action, 'route')
})

t.test('tiers: active-active inside, active-passive between', async (t) => {
  const world = new World({ sites: trio, policies: [policy([['ams', 'fra'], ['lon']])] })
  const seen = new Map<string, number>()
  for (let i = 0; i < 1_000; i++) {
    const where = world.where()
    seen.set(where, (seen.get(where) ?? 0) + 1)
  }
  t.notOk(seen.has('lon/default'))
  t.ok(Math.abs(seen.get('ams/default')! - 500) < 60, 'own dispatches keep two equals even')
  world.probe(['ams', 'fra'], 'refused', 2)
  t.equal(world.where(), 'lon/default')
})

t.test("a ladder entry means the site's pools in written order", async (t) => {
  const two = site('ams', { pools: [pool('h100'), pool('l40s')] })
  const world = new World({ sites: [two, site('fra')], policies: [policy([['ams'], ['fra']])] })
  t.equal(world.where(), 'ams/h100')
  world.probe(['ams/h100'], 'refused', 2)
  t.equal(world.where(), 'ams/l40s')
  t.equal(new World({ sites: [two], policies: [policy([['ams/l40s']])] }).where(), 'ams/l40s')
})

t.test('ranking: within a tolerance the next preference decides', async (t) => {
  const rank = [
    { signal: 'network.rtt_p95_ms', prefer: 'lower', within: 10 },
    { signal: 'cost.per_gpu_hour', prefer: 'lower', withinPct: 10 },
  ] as const
  const world = new World({ sites: trio, policies: [policy([['ams', 'fra', 'lon']], { rank })] })
  world.samples({
    ams: { 'network.rtt_p95_ms': 12, 'cost.per_gpu_hour': 3 },
    fra: { 'network.rtt_p95_ms': 18, 'cost.per_gpu_hour': 2 },
    lon: { 'network.rtt_p95_ms': 31, 'cost.per_gpu_hour': 1 },
  })
  t.equal(world.where(), 'fra/default')
  world.pass(5_000, () => world.samples({ fra: { 'network.rtt_p95_ms': 40 } }))
  t.equal(world.where(), 'fra/default', 'a preference moves only after stableFor')
  world.pass(7_000, () => world.samples({ fra: { 'network.rtt_p95_ms': 40 } }))
  t.equal(world.where(), 'ams/default')
})

t.test('nearest: the nearest sites that may serve, by measured round trip', async (t) => {
  const world = new World({ sites: trio, policies: [policy({ nearest: 2 })] })
  world.samples({
    ams: { 'network.rtt_p95_ms': 30 },
    fra: { 'network.rtt_p95_ms': 5 },
    lon: { 'network.rtt_p95_ms': 10 },
  })
  t.equal(world.where(), 'fra/default')
  t.equal(world.where({ residency: ['UK'] }), 'lon/default')
  world.probe(['fra', 'lon'], 'refused', 2)
  t.equal(world.where(), 'ams/default')
})

t.test('the model, its context length and tools are eligibility, for the degraded target too', async (t) => {
  const small = site('edge', { pool: { models: [{ name: 'llama-3b', maxContextTokens: 8_000, tools: false }] } })
  const big = site('ams', {
    pool: { models: [{ name: 'llama', maxContextTokens: 100_000, aliases: ['default-model'] }] },
  })
  const degraded = { site: 'edge', model: 'llama-3b', rewriteBody: false }
  const world = new World({
    sites: [big, small],
    policies: [
      policy([['ams']], { degraded, otherwise: [{ action: 'degrade' }, { action: 'deny', retryAfterMs: 7_000 }] }),
    ],
  })
  t.equal(world.where({ model: 'default-model' }), 'ams/default', 'an alias is served')
  t.match(world.decide({ model: 'nobody-has-it', tools: true }), {
    action: 'deny',
    status: 403,
    reason: 'model-unknown',
  })
  t.match(world.decide({ model: 'llama', contextTokens: 200_000 }).action, 'deny')
  world.probe(['ams'], 'refused', 2)
  t.match(world.decide({ model: 'llama' }), {
    action: 'degrade',
    target: 'edge/default',
    cluster: 'edge',
    model: 'llama-3b',
    reason: 'degraded',
  })
  t.match(
    world.decide({ model: 'llama', contextTokens: 9_000 }),
    { action: 'route', target: 'ams/default', reason: 'panic' },
    'too long for the small model; the big one is down on our word alone',
  )
  world.probe(['ams'], 'refused', 1, 'passive')
  t.match(world.decide({ model: 'llama', tools: true }), { action: 'deny', status: 503, retryAfterMs: 7_000 })
})

t.test('attributes: GPU and cooling', async (t) => {
  const wet = site('wet', { pool: { cooling: 'liquid', gpu: 'H100' } })
  const dry = site('dry', { pool: { cooling: 'air', gpu: 'H100' } })
  const world = new World({
    sites: [dry, wet],
    policies: [policy({ all: true }, { require: { cooling: ['liquid'], gpu: ['H100', 'B200'], signals: [] } })],
  })
  t.equal(world.where(), 'wet/default')
  t.equal(world.where({ needs: { gpu: ['B200'] } }), 'deny', "a job's own needs tighten")
  t.match(
    new World({
      sites: [dry],
      policies: [policy({ all: true }, { require: { cooling: ['liquid'], signals: [] } })],
    }).decide(),
    { status: 403 },
    'nothing could ever serve it',
  )
})

t.test('overrides', async (t) => {
  const world = new World({
    sites: trio,
    policies: [
      policy(ladder, { signals: { 'queue.depth': max(40) }, timers: { ...quick, dwellMs: 5_000, failBackMs: 0 } }),
    ],
  })
  const good = () => world.samples({ ams: { 'queue.depth': 1 }, fra: { 'queue.depth': 1 }, lon: { 'queue.depth': 1 } })
  good()
  world.overrides({ overrides: [order('drain', { site: 'ams' })] })
  t.match(world.decide(), { target: 'fra/default', because: [{ constraint: 'drain' }], override: 'drain-1' })
  world.pass(3_599_000, good)
  t.equal(world.where(), 'fra/default')
  world.now = T0 + 3_600_000
  t.not(world.decide().because[0]?.constraint, 'drain', 'the clock ends it when the decision is made, tick or no tick')
  world.pass(1_000, good)
  t.match(
    world.events.filter((event) => event.kind === 'override-ended'),
    [{ cause: 'expired', review: true }],
  )
  world.pass(6_000, good)
  t.equal(world.where(), 'ams/default')

  world.overrides({
    overrides: [order('drain', { site: 'ams', tenant: 'acme' }, { created: world.now, expires: world.now + 60_000 })],
  })
  t.equal(world.where({ tenant: 'acme' }), 'fra/default')
  t.equal(world.where({ tenant: 'other' }), 'ams/default', 'a scope is kept to')

  world.overrides({ overrides: [order('pin', { site: 'lon' }, { created: world.now, expires: world.now + 60_000 })] })
  t.match(world.decide(), { target: 'lon/default', reason: 'pinned', override: 'pin-1' })
  t.match(
    world.decide({ residency: ['EU'] }),
    { action: 'deny', override: 'pin-1' },
    'a pin narrows what survived and never widens it',
  )

  world.overrides({ overrides: [] })
  world.pass(1_000, good)
  world.pass(12_000, () =>
    world.samples({ ams: { 'queue.depth': 99 }, fra: { 'queue.depth': 99 }, lon: { 'queue.depth': 99 } }),
  )
  t.equal(world.where(), 'deny')
  world.overrides({
    overrides: [
      order('admit', { site: 'fra' }, { constraint: 'queue.depth', created: world.now, expires: world.now + 60_000 }),
    ],
  })
  t.match(world.decide(), { target: 'fra/default', override: 'admit-1' }, 'admit waives the named threshold')
  world.probe(['fra'], 'refused', 2, 'passive')
  t.equal(world.where(), 'deny', 'and never a hard constraint')
})

t.test('maintenance by document and by order', async (t) => {
  const window = { from: T0, to: T0 + 60_000, reason: 'valve' }
  const world = new World({
    sites: [site('ams', { maintenance: [window] }), site('fra')],
    policies: [policy([['ams'], ['fra']], { timers: { ...quick, dwellMs: 0, failBackMs: 0 } })],
  })
  t.match(world.decide(), {
    target: 'fra/default',
    because: [{ constraint: 'maintenance', measured: 'maintenance: valve' }],
  })
  world.pass(61_000)
  t.equal(world.where(), 'ams/default')
  world.overrides({
    maintenance: [
      { id: 'm1', site: 'ams', from: world.now, to: world.now + 1_000, reason: 'fan', author: 'ops@example.com' },
    ],
  })
  t.equal(world.where(), 'fra/default')
})

t.test('panic', async (t) => {
  const set = { sites: trio, policies: [policy(ladder, { residency: 'required' as const })] }
  const world = new World(set)
  world.probe(['ams', 'fra', 'lon'], 'refused', 2)
  t.match(
    world.decide({ residency: ['EU'] }),
    { target: 'ams/default', reason: 'panic' },
    'all down by probes alone: the last good order',
  )
  t.match(world.decide({ residency: ['UK'] }), { target: 'lon/default', reason: 'panic' }, 'inside residency')
  world.overrides({ overrides: [order('drain', { site: 'ams' })] })
  t.equal(world.where({ residency: ['EU'] }), 'fra/default', 'drains are obeyed')
  world.samples({ fra: { 'leak.detected': 1 } })
  t.match(world.decide({ residency: ['EU'] }), { action: 'deny', status: 503 }, 'red is obeyed')
  world.probe(['lon'], 'refused', 1, 'passive')
  t.match(world.decide({ residency: ['UK'] }), { action: 'deny', status: 503 }, 'failures of real connections end it')
  const strict = new World({ ...set, classes: [workload('chat', { panic: 'deny' })] })
  strict.probe(['ams', 'fra', 'lon'], 'refused', 2)
  t.match(strict.decide({ residency: ['EU'] }), { action: 'deny', status: 503 }, 'a class may say no')
})

t.test('clusters', async (t) => {
  const world = new World({ sites: trio, policies: [policy(ladder)] })
  world.clusters('fra', 'lon')
  t.match(
    world.decide(),
    { target: 'fra/default', because: [{ target: 'ams/default', constraint: 'cluster.known' }] },
    'only what Envoy has',
  )
  world.clusters('ams', 'fra', 'lon', 'ams+fra', 'ams+lon')
  t.equal((world.decide() as { cluster?: string }).cluster, 'ams+fra', 'the aggregate that heals')
  world.overrides({ overrides: [order('drain', { site: 'fra' })] })
  t.equal((world.decide() as { cluster?: string }).cluster, 'ams+lon', 'never one with a drained member')
  t.equal(
    (world.decide({ residency: ['EU'] }) as { cluster?: string }).cluster,
    'ams',
    'nor one that would leave the jurisdiction',
  )
})

t.test('routing switched off', async (t) => {
  const residencies = [{ metadata: { name: 'eu' }, allows: ['EU'], default: { sites: ['fra', 'ams'] } }]
  const world = new World({ sites: trio, residencies, policies: [policy(ladder)] })
  world.overrides({ routing: { enabled: false, reason: 'drill', author: 'ops@example.com', at: T0 } })
  const eu = { residency: ['EU'], residencyClass: 'eu' }
  t.match(world.decide(eu), { action: 'route', target: 'fra/default', cluster: 'fra', reason: 'routing-disabled' })
  world.clusters('ams', 'fra', 'lon', 'residency-default-eu')
  t.match(world.decide(eu), { cluster: 'residency-default-eu' })
  t.match(world.decide(), { action: 'route', target: undefined, reason: 'routing-disabled' })
  world.overrides({
    routing: { enabled: false, reason: 'drill', author: 'ops@example.com', at: T0 },
    overrides: [order('drain', { site: 'fra' })],
  })
  t.match(world.decide(eu), { target: 'ams/default', cluster: 'ams' }, 'drains still hold')
  t.ok(world.events.some((event) => event.kind === 'routing-switched'))
})

t.test("hops: another hubward's decision stands, a loop is refused", async (t) => {
  const world = new World({ sites: trio, policies: [policy(ladder)] })
  t.match(world.decide({ hop: { verdict: 'valid', target: 'lon/default' } }), { target: 'lon/default', reason: 'hop' })
  t.match(world.decide({ hop: { verdict: 'loop' } }), { action: 'deny', reason: 'hop-loop' })
  t.match(
    world.decide({ hop: { verdict: 'valid', target: 'lon/default' }, residency: ['EU'] }),
    { target: 'ams/default' },
    'not past a hard constraint',
  )
})

t.test('otherwise, in its order; a hold counts as its next entry', async (t) => {
  const down = (otherwise: Parameters<typeof policy>[1]) => {
    const world = new World({ sites: [site('ams')], policies: [policy([['ams']], otherwise)] })
    return world.probe(['ams'], 'refused', 2, 'passive').decide()
  }
  t.match(
    down({
      otherwise: [
        { action: 'queue', forMs: 5_000 },
        { action: 'deny', retryAfterMs: 5_000 },
      ],
    }),
    { action: 'deny', status: 503, retryAfterMs: 5_000 },
  )
  t.match(down({ otherwise: [{ action: 'queue', forMs: 8_000 }] }), {
    action: 'delay',
    status: 503,
    retryAfterMs: 8_000,
  })
  t.match(down({ otherwise: [{ action: 'delay', until: 'off-peak' }] }), { action: 'delay', until: 'off-peak' })
  t.match(down({ otherwise: [] }), { action: 'deny', status: 503 })
})

t.test('a target that only waits for its timer is better than a refusal', async (t) => {
  const world = new World({ sites: [site('ams')], policies: [policy([['ams']], { timers: TIMERS_DEFAULT })] })
  world.probe(['ams'], 'refused', 2, 'passive').probe(['ams'], 'ok')
  t.match(world.decide(), { action: 'route', target: 'ams/default', reason: 'returning' })
})

t.test('at most eight reasons are written out, all are counted', async (t) => {
  const names = Array.from({ length: 12 }, (_, i) => `s${i}`)
  const world = new World({ sites: names.map((name) => site(name)), policies: [policy(names.map((name) => [name]))] })
  world.probe(names.slice(0, 11), 'refused', 2)
  const decision = world.decide()
  t.equal(decision.because.length, 8)
  t.same(decision.becauseCounts, { 'health.state': 11 })
})

t.test('explain tells every reason and what would have changed the decision', async (t) => {
  const world = new World({
    sites: trio,
    policies: [policy(ladder, { signals: { 'queue.depth': max(40, 32), 'kv.used_ratio': max(0.9, 0.8) } })],
  })
  world.samples({
    ams: { 'queue.depth': 41, 'kv.used_ratio': 0.99 },
    fra: { 'queue.depth': 50, 'kv.used_ratio': 0.1 },
    lon: { 'queue.depth': 1, 'kv.used_ratio': 0.1 },
  })
  const told = explain(world.facts(), world.snapshot, world.tally, world.now)
  t.same(
    told.candidates[0]!.because.map((because) => because.constraint),
    ['queue.depth', 'kv.used_ratio'],
  )
  t.same(told.wouldHaveChanged, ['fra/default would have been a candidate with queue.depth <= 40 (it was 50)'])
  t.match(
    told.text.join('\n'),
    /goes to lon\/default.*fallback[\s\S]*ams\/default was not chosen: queue.depth 41 requests, wanted <= 40 requests/,
  )
})

t.test('cooldown delays the way back even after the dwell', async (t) => {
  const timers = { ...quick, stableForMs: 0, dwellMs: 5_000, failBackMs: 0, cooldownMs: 60_000 }
  const world = new World({
    sites: trio,
    policies: [policy(ladder, { signals: { 'queue.depth': max(40, 32) }, timers })],
  })
  const queue = (ams: number) => () => world.samples({ ams: { 'queue.depth': ams }, fra: { 'queue.depth': 1 } })
  world.pass(1_000, queue(99))
  world.pass(55_000, queue(1))
  t.equal(world.where(), 'fra/default', 'the dwell is long over')
  world.pass(8_000, queue(1))
  t.equal(world.where(), 'ams/default')
})

t.test('a target that leaves too often is held back until it has been steady', async (t) => {
  const timers = { ...quick, dwellMs: 10_000, failBackMs: 0 }
  const world = new World({ sites: trio, policies: [policy(ladder, { timers })] })
  const flap = () => world.probe(['ams'], 'refused', 2).pass(1_000).probe(['ams'], 'ok').pass(1_000)
  flap()
  flap()
  world.pass(9_000)
  t.equal(world.where(), 'ams/default', 'two losses are two losses')
  flap()
  world.pass(20_000)
  t.match(world.decide().because[0], { constraint: 'health.return', measured: 'left 3 times' })
  world.pass(80_000)
  t.equal(world.where(), 'ams/default', 'after some quiet half-lives it is trusted again')
})

t.test(
  'spread adds our own dispatches since the sample was asked for, by capacity and by the number of hubwards',
  async (t) => {
    const sites = [site('ams', { pool: { capacity: 1 } }), site('fra', { pool: { capacity: 4 } })]
    const world = new World({ sites, policies: [policy([['ams', 'fra']])] })
    const count = () => {
      const seen = { 'ams/default': 0, 'fra/default': 0 } as Record<string, number>
      for (let i = 0; i < 500; i++) seen[world.where()]! += 1
      return seen
    }
    const byCapacity = count()
    t.ok(
      Math.abs(byCapacity['fra/default']! - 400) < 5,
      `a pool four times as large takes four times as much: ${byCapacity['fra/default']}`,
    )
    world.samples({ ams: { 'queue.depth': 0 }, fra: { 'queue.depth': 0 } }, { dispatchedBefore: 100_000 })
    world.tally.sidecars = 10
    t.match(world.decide(), { action: 'route' })
    world.samples({ ams: { 'queue.depth': 50 }, fra: { 'queue.depth': 0 } })
    t.equal(world.where(), 'fra/default', 'the sample alone is compared where it does not say when it was asked for')
  },
)

t.test(
  'a class may be asked for nothing but what its documents say: unknown targets in a ladder are passed over',
  async (t) => {
    const world = new World({ sites: trio, policies: [policy([['gone'], ['fra/h100'], ['lon']])] })
    t.match(world.decide(), { target: 'lon/default', reason: 'fallback' })
    t.match(new World({ policies: [policy([['gone']])] }).decide(), {
      action: 'deny',
      status: 403,
      reason: 'no-target',
    })
  },
)

t.test('a request that says of itself what nobody understands is refused', async (t) => {
  const world = new World({ sites: trio, policies: [policy(ladder)] })
  t.match(world.decide({ malformed: 'needs' }), { action: 'deny', status: 400, reason: 'bad-request' })
})

t.test('a target that only real connections speak of is tried again, one that is probed is not', async (t) => {
  const timers = { ...quick, dwellMs: 1_000, failBackMs: 0 }
  const world = new World({ sites: trio, policies: [policy([['ams'], ['fra']], { timers })] })
  world.probe(['fra'], 'ok').pass(1_000).probe(['fra'], 'ok')
  world.probe(['ams', 'fra'], 'refused', 2, 'passive')
  t.equal(world.where(), 'deny')
  world.pass(31_000)
  t.match(world.decide(), { target: 'ams/default', reason: 'returning' })
  t.equal(world.snapshot.data.health[1]!.state, 'down')
  world.probe(['ams'], 'refused', 1, 'passive')
  t.equal(world.where(), 'deny', 'the next failure puts it down again')
  world.pass(31_000).probe(['ams'], 'ok', 1, 'passive').pass(2_000)
  t.match(world.decide(), { target: 'ams/default' })
})

t.test(
  'probes and real connections are heard apart, so that they do not make a target flap between them',
  async (t) => {
    const world = new World({ sites: trio, policies: [policy(ladder)] })
    const state = () => world.snapshot.data.health[0]!.state
    const moves = () =>
      world.events.filter((event) => event.kind === 'health-changed' && event.target === 'ams/default').length
    for (let i = 0; i < 5; i++) world.pass(1_000).probe(['ams', 'fra', 'lon'], 'ok')
    world.probe(['ams'], 'refused', 2).probe(['ams'], 'ok', 1, 'passive').probe(['ams'], 'refused')
    t.equal(state(), 'down', 'a request that still got through does not revive what refuses probes')
    t.equal(moves(), 2, 'degraded, then down, and no more')
    world.pass(1_000).probe(['ams'], 'ok')
    t.equal(state(), 'ready')
    const before = moves()
    for (let i = 0; i < 5; i++) world.probe(['ams'], 'error', 1, 'passive').pass(1_000).probe(['ams'], 'ok')
    t.equal(state(), 'down', 'we reach it and Envoy does not: that is no target')
    t.equal(moves() - before, 2, 'and it does not go up and down with each probe')
    for (let i = 0; i < 4; i++) world.pass(1_000).probe(['ams'], 'ok')
    t.equal(state(), 'ready', 'without a failure for three intervals the probes are believed')
  },
)

t.test('what no policy covers stays inside its residency, and off what is drained', async (t) => {
  const residencies = [
    { metadata: { name: 'eu' }, allows: ['EU'], default: { sites: ['fra', 'ams'] } },
    { metadata: { name: 'uk' }, allows: ['UK'], default: { sites: ['lon'] } },
  ]
  const sites = [
    site('ams', { jurisdictions: ['NL', 'EU'] }),
    site('fra', { jurisdictions: ['DE', 'EU'] }),
    site('lon', { jurisdictions: ['UK'] }),
  ]
  const world = new World({ sites, residencies, policies: [] })
  for (const off of [false, true]) {
    if (off) world.overrides({ routing: { enabled: false, reason: 'drill', author: 'ops@example.com', at: T0 } })
    const reason = off ? 'routing-disabled' : 'no-policy'
    t.match(
      world.decide(),
      { action: 'route', target: undefined, reason },
      "bound to nothing: Envoy's routes have the say",
    )
    t.match(world.decide({ residency: ['EU'], residencyClass: 'eu' }), {
      action: 'route',
      reason,
      ...(off ? { target: 'fra/default' } : { target: undefined }),
    })
    t.match(
      world.decide({ residency: ['NL'], residencyClass: 'eu' }),
      { target: 'ams/default', reason },
      "narrowed by a claim: not the class's first site",
    )
    t.match(
      world.decide({ residency: ['UK'] }),
      { target: 'lon/default', reason },
      'bound without a class: the default of one that fits',
    )
    t.match(world.decide({ residency: ['US'] }), { action: 'deny', status: 403, reason: 'residency-unservable' })
    t.match(world.decide({ residency: [], residencyClass: 'nobody' }), { action: 'deny', status: 403 })
  }
  world.overrides({ overrides: [order('drain', { site: 'fra' })] })
  t.match(world.decide({ residency: ['EU'], residencyClass: 'eu' }), {
    target: 'ams/default',
    cluster: 'ams',
    reason: 'no-policy',
    override: 'drain-1',
  })
  world.overrides({ overrides: [order('drain', { site: 'lon' })] })
  t.match(world.decide({ residency: ['UK'], residencyClass: 'uk' }), {
    action: 'deny',
    status: 503,
    reason: 'no-target',
  })
})

t.test("a job's own needs are held against fresh numbers only", async (t) => {
  const world = new World({ sites: trio, policies: [policy(ladder, { otherwise: [{ action: 'delay' }] })] })
  const needs = { signals: { 'power.headroom_mw': { min: 2 } } }
  t.match(world.decide({ needs }), {
    action: 'delay',
    because: [{ constraint: 'job.need', measured: 'power.headroom_mw missing' }, {}, {}],
  })
  world.samples({ ams: { 'power.headroom_mw': 1 }, fra: { 'power.headroom_mw': 3 } })
  t.match(world.decide({ needs }), {
    target: 'fra/default',
    because: [{ target: 'ams/default', constraint: 'job.need', measured: 1, op: '>=', limit: 2 }],
  })
  t.match(world.decide({ needs: { signals: { 'power.headroom_mw': { max: 2 } } } }), { target: 'ams/default' })
  world.pass(31_000)
  t.match(world.decide({ needs }).because[1], { target: 'fra/default', measured: 'power.headroom_mw stale' })
})

t.test('ranking counts what is too old as nothing', async (t) => {
  const rank = [{ signal: 'price.per_mwh', prefer: 'lower' }] as const
  const world = new World({ sites: trio, policies: [policy([['ams', 'fra']], { rank })] })
  world.samples({ ams: { 'price.per_mwh': 1 }, fra: { 'price.per_mwh': 90 } })
  t.equal(world.where(), 'ams/default')
  world.now += 86_400_000
  world.samples({ fra: { 'price.per_mwh': 90 } })
  world.now += 1_000
  t.equal(world.where(), 'fra/default', "yesterday's price is no price")
})

t.test('panic keeps to a pin', async (t) => {
  const world = new World({ sites: trio, policies: [policy(ladder)] })
  world.probe(['ams', 'fra', 'lon'], 'refused', 2)
  world.overrides({ overrides: [order('pin', { site: 'fra' })] })
  t.match(world.decide(), { target: 'fra/default', reason: 'panic' })
})

t.test('in an active-active tier a target whose metrics stop is neither starved nor flooded', async (t) => {
  const world = new World({ sites: trio, policies: [policy([['ams', 'fra']])] })
  world.tally.dispatched = { 'ams/default': 500_000, 'fra/default': 500_000 }
  const fresh = () =>
    world.samples({ fra: { 'queue.depth': 3 } }, { dispatchedBefore: world.tally.dispatched['fra/default'] ?? 0 })
  fresh()
  let ams = 0
  for (let i = 0; i < 1_000; i++) if (world.where() === 'ams/default') ams += 1
  t.ok(ams > 400 && ams < 600, `${ams} of 1,000`)
})

t.test(
  'the smaller model stands in for one that is served somewhere, never for a name that nobody knows',
  async (t) => {
    const sites = [site('ams'), site('edge', { pool: { models: [{ name: 'small' }] } })]
    const degraded = { site: 'edge', model: 'small', rewriteBody: false }
    const world = new World({
      sites,
      policies: [policy([['ams']], { degraded, otherwise: [{ action: 'degrade' }, { action: 'deny' }] })],
    })
    t.match(world.decide({ model: 'lama' }), { action: 'deny', status: 403, reason: 'model-unknown' })
    t.match(
      world.decide({ model: 'small' }),
      { action: 'degrade', target: 'edge/default' },
      'asked for by its own name it is served',
    )
  },
)

gravityCases(t)
keptRoomCases(t)
followUpCases(t)
