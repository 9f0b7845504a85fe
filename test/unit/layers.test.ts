import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { compileCondition } from '../../src/documents/conditions.ts'
import { decide } from '../../src/engine/decide.ts'
import { evaluateFlag } from '../../src/engine/evaluate-flag.ts'
import { explain } from '../../src/engine/explain.ts'
import { recompile } from '../../src/engine/fold.ts'
import { rolloutHash, treatmentOf } from '../../src/engine/rollout-begin.ts'
import { renderFlag } from '../../src/engine/rollout-targeting.ts'
import { readFlags } from '../../src/flags/read-flags.ts'
import type { Policy } from '../../src/model/documents.ts'
import type { Facts } from '../../src/model/facts.ts'
import type { Rollout, RolloutState } from '../../src/model/rollout.ts'
import { recorder } from '../../src/sidecar/record.ts'
import { rolloutsOf } from '../helpers/rollout-world.ts'
import { max, policy, site, T0, World, workload } from '../helpers/world.ts'

const OPEN = { experiments: { cohorts: ['*'] } } as const
const SITES = ['ams', 'fra', 'lon'].map((name) => site(name, { place: { metro: `metro-${name}`, region: 'EMEA' } }))
const documents = (...policies: Policy[]) => ({ sites: SITES, policies })
const plain = (over: Parameters<typeof policy>[1] = {}) => policy([['lon'], ['ams'], ['fra']], { ...OPEN, ...over })

/** A flag of a layer whose default variant is the one given, unless it has targeting. */
const flag = (layer: string, variants: Record<string, unknown>, over: object = {}) => ({
  state: 'ENABLED',
  variants,
  defaultVariant: Object.keys(variants)[0],
  metadata: { layer, class: 'chat' },
  ...over,
})

const rollout = (over: Partial<Rollout> = {}): Rollout => ({
  metadata: { name: 'nearer' },
  flag: 'chat-nearer-site',
  class: 'chat',
  variants: { control: 'control', treatment: 'treatment' },
  unit: 'request',
  stages: [{ name: 'all', tenantsBp: 10_000, shareBp: 5_000, bakeMs: 0 }],
  success: [],
  guardrails: [],
  siteLimits: [],
  freezeWindows: [],
  alpha: 0.05,
  unitsMin: 1,
  promotion: 'judge',
  differingArtifacts: false,
  rollback: { plan: 'go back', owner: 'platform@example.com' },
  escalation: ['oncall@example.com'],
  dashboard: 'https://dashboards.example.com/nearer',
  ...over,
})

const state = (over: Partial<RolloutState> = {}): RolloutState => ({
  name: 'nearer',
  flag: 'chat-nearer-site',
  hash: rolloutHash(rollout()),
  policy: null,
  status: 'running',
  stage: 0,
  stageSince: T0,
  startedAt: T0,
  shareBp: 5_000,
  tenantsBp: 10_000,
  says: '',
  tests: {},
  totals: { control: { units: 0, bad: {} }, treatment: { units: 0, bad: {} } },
  stageUnits: { control: 0, treatment: 0 },
  criteria: [],
  artifacts: { control: [], treatment: [] },
  needed: null,
  ...over,
})

const driven = (state_: RolloutState, treatment: unknown, doc: Partial<Rollout> = {}, over: Partial<Policy> = {}) => {
  const world = new World({ ...documents(plain(over)), rollouts: [rollout(doc)] }).flags({
    'chat-nearer-site': flag('rollout', { control: {}, treatment }),
  })
  const meaning = treatmentOf(world.snapshot.programs, rollout(doc))?.meaning
  const known = { ...state_, ...(meaning === undefined ? {} : { meaning }) }
  return world.apply({ kind: 'rollouts-restored', at: T0, rollouts: [known], retained: [] })
}

t.test('a stronger layer wins, and what it shadows is told', (t) => {
  const world = new World(documents(plain())).flags({
    'chat-prefers-ams': flag('preference', { on: { preferred_region: 'ams' } }),
    'chat-incident-fra': flag('incident', { on: { preferred_region: 'fra' } }),
  })
  const decision = world.decide()
  t.match(decision, { target: 'fra/default', policy: 'p@1', arm: null })
  t.strictSame(decision.layers, [
    { layer: 'incident', flag: 'chat-incident-fra', variant: 'on' },
    { layer: 'preference', flag: 'chat-prefers-ams', variant: 'on', shadowed: true },
  ])
  world.flags({
    'chat-prefers-ams': flag('preference', { on: { preferred_region: 'ams' } }),
    'chat-incident-fra': flag('incident', { off: {}, on: { preferred_region: 'fra' } }),
  })
  t.match(
    world.decide(),
    { target: 'ams/default', layers: [{ flag: 'chat-prefers-ams' }] },
    'a variant that means nothing leaves the word',
  )
  t.match(world.flags({}).decide(), { target: 'lon/default', layers: [] }, 'a flag that is not reported is off')
  t.end()
})

t.test('the overlay of two regions and a latency works as it stands', (t) => {
  const world = new World(documents(plain({ signals: { 'ttft.p95_ms': max(500, 400) }, name: 'q' }))).flags({
    'chat-prefers-ams': flag('preference', {
      on: { preferred_region: 'ams', fallback_region: 'fra', max_p95_ms: 120 },
    }),
  })
  world.samples({
    ams: { 'ttft.p95_ms': [100, 1_000] },
    fra: { 'ttft.p95_ms': [100, 1_000] },
    lon: { 'ttft.p95_ms': [100, 1_000] },
  })
  t.match(world.decide(), { target: 'ams/default', ladder: [['ams'], ['fra'], ['lon']], reason: 'first-choice' })
  world.pass(20_000, () =>
    world.samples({
      ams: { 'ttft.p95_ms': [200, 1_000] },
      fra: { 'ttft.p95_ms': [90, 1_000] },
      lon: { 'ttft.p95_ms': [90, 1_000] },
    }),
  )
  t.match(world.decide(), {
    target: 'fra/default',
    because: [{ target: 'ams/default', constraint: 'ttft.p95_ms', measured: 200, limit: 120 }],
  })
  world.flags({})
  t.match(world.decide(), { target: 'lon/default' }, 'without the flag the policy is what it was')
  t.end()
})

t.test('further keys of overlays change the ladder as they say', (t) => {
  const ladder = (overlay: object, base = plain()) =>
    new World(documents(base)).flags({ 'chat-tries-ladder': flag('preference', { on: overlay }) }).decide().ladder
  t.strictSame(ladder({ ladder: [['fra', 'ams'], ['lon']] }), [['fra', 'ams'], ['lon']])
  t.strictSame(ladder({ fallback_tiers: [['fra']] }), [['lon'], ['fra']])
  t.strictSame(ladder({ eligible_sites: ['ams', 'fra'] }), [['ams'], ['fra']])
  t.strictSame(ladder({ locality: 'any' }), [['lon', 'ams', 'fra']])
  t.strictSame(ladder({ locality: { nearest: 2 } }), [['nearest 2']])
  t.strictSame(ladder({ preferred_region: 'metro-fra' }), [['fra'], ['lon'], ['ams']], 'a place stands for its sites')
  t.strictSame(ladder({ preferred_region: 'EMEA' }), [['ams', 'fra', 'lon']])
  t.strictSame(ladder({ preferred_region: 'fra' }, policy({ nearest: 2 }, OPEN)), [['fra'], ['nearest 2']])
  t.end()
})

t.test('nearest sites of an overlay are those that it leaves eligible, by round trip', (t) => {
  const world = new World(documents(plain())).flags({
    'chat-nearest-eligible-site': flag('preference', {
      on: { locality: { nearest: 1 }, eligible_sites: ['fra', 'lon'] },
    }),
  })
  world.samples({
    ams: { 'network.rtt_p95_ms': 1 },
    fra: { 'network.rtt_p95_ms': 9 },
    lon: { 'network.rtt_p95_ms': 30 },
  })
  t.equal(world.where(), 'fra/default')
  t.end()
})

t.test('a degraded overlay answers with the smaller model when nothing else does', (t) => {
  const edge = site('edge', { pool: { models: [{ name: 'small' }] } })
  const world = new World({ sites: [...SITES, edge], policies: [plain()] })
    .flags({ 'chat-may-degrade': flag('preference', { on: { degraded: { site: 'edge', model: 'small' } } }) })
    .probe(['ams', 'fra', 'lon'], 'refused', 3, 'passive')
  t.match(world.decide({ model: 'llama' }), { action: 'degrade', target: 'edge/default', model: 'small' })
  t.end()
})

t.test('no overlay reaches a hard constraint', (t) => {
  const world = new World({
    sites: [site('ams', { jurisdictions: ['UK'] }), site('fra')],
    policies: [policy([['fra']], OPEN)],
  }).flags({
    'chat-prefers-ams': flag('preference', { on: { preferred_region: 'ams' } }),
  })
  t.match(world.decide({ residency: ['EU'] }), {
    target: 'fra/default',
    because: [{ target: 'ams/default', constraint: 'residency' }],
  })
  t.end()
})

t.test('an action of the incident layer is what is done', (t) => {
  const world = new World(documents(plain())).flags({
    'chat-incident-delay': flag('incident', { on: { action: 'delay', retryAfter: '45s' } }),
  })
  t.match(world.decide(), { action: 'delay', retryAfterMs: 45_000, reason: 'flag', layers: [{ layer: 'incident' }] })
  t.match(
    world.decide({ hop: { verdict: 'loop' } }),
    { reason: 'hop-loop' },
    'what is no request of ours is still none',
  )
  const killed = new World(documents(plain())).flags({
    'chat-kill-traffic': flag('kill-switch', { on: { action: 'deny', status: 429, retryAfter: '5s' } }),
  })
  t.match(killed.decide(), { action: 'deny', status: 429, retryAfterMs: 5_000, reason: 'flag' })
  killed.apply({
    kind: 'overrides-accepted',
    at: killed.now,
    source: 'orders',
    version: '1',
    nonce: '1',
    set: { routing: { enabled: false, reason: 'r', author: 'a', at: killed.now }, overrides: [], maintenance: [] },
  })
  t.match(killed.decide(), { action: 'deny', reason: 'flag' }, 'also while routing is switched off')
  const bare = new World({ sites: SITES, policies: [] }).flags({
    'chat-kill-traffic': flag('kill-switch', { on: { action: 'degrade' } }),
  })
  t.match(bare.decide(), { action: 'deny', reason: 'flag' }, 'and where no policy covers the request')
  t.end()
})

t.test('questions about work that was sent go where it is, whatever a kill switch says', (t) => {
  const world = new World(documents(plain({ session: 'sticky' }))).flags({
    'chat-kill-traffic': flag('kill-switch', { on: { action: 'deny' } }),
  })
  const sent = { sessionKey: 's', session: { verdict: 'valid', target: 'fra/default' } } as const
  t.match(world.decide({ ...sent, followUp: 'ask' }), { target: 'fra/default', reason: 'follow-up' })
  t.match(world.decide({ ...sent, followUp: 'work' }), { action: 'deny', reason: 'flag' })
  t.end()
})

t.test('a flag names a version, and old ones stay addressable while it does', (t) => {
  const old = plain({ ladder: { tiers: [['fra']] }, signals: { 'ttft.p95_ms': max(500, 400) } })
  const world = new World(documents(old, plain({ version: 2 })))
  t.match(world.decide(), { policy: 'p@2', target: 'lon/default' })
  world.flags({ 'chat-keeps-version': flag('preference', { on: { policy: 'p@1' } }) })
  t.match(world.decide(), { policy: 'p@1', target: 'fra/default' })
  world.documents(documents(plain({ version: 2 })))
  t.match(world.decide(), { policy: 'p@1', target: 'fra/default' }, 'though no document has it any more')
  t.equal(world.snapshot.data.retained.length, 1)
  world.flags({})
  t.match(world.decide(), { policy: 'p@2' })
  t.equal(world.snapshot.data.retained.length, 0, 'and then it is gone')
  const { data, programs } = world.snapshot
  const anew = recompile(data, programs.compile, programs.compileFlag).programs
  t.same([...programs.gateSpecs.keys()].sort(), [...anew.gateSpecs.keys()].sort(), 'as if it had never been')
  t.same([...programs.ofDocuments.gateSpecs.keys()].sort(), [...anew.ofDocuments.gateSpecs.keys()].sort())
  t.same(Object.keys(data.gates).sort(), [...anew.gateSpecs.keys()].sort(), 'with what only it had measured')
  world.flags({ 'chat-keeps-version': flag('preference', { on: { policy: 'p@1' } }) })
  t.match(
    world.decide(),
    { policy: 'p@2', layers: [{ error: 'no document has p@1 for this class' }] },
    'what is not there is off, and says so',
  )
  t.end()
})

t.test('a version whose condition does not hold is not given', (t) => {
  const world = new World(documents(plain(), plain({ name: 'q', when: 'region == EMEA', priority: -1 }))).flags({
    'chat-takes-version': flag('preference', { on: { policy: 'q@1' } }),
  })
  t.match(world.decide({ region: 'EMEA' }), { policy: 'q@1' })
  t.match(world.decide({ region: 'AMER' }), { policy: 'p@1', layers: [{ error: 'q@1 does not cover this request' }] })
  t.end()
})

t.test('a tenant with a policy of its own has it, and takes part in no rollout', (t) => {
  const own = plain({ name: 'own', priority: -1, when: 'nobody', ladder: { tiers: [['fra']] } })
  const treatment = { preferred_region: 'ams' }
  const world = driven(state({ shareBp: 10_000 }), treatment, {}, { tenantOverrides: { acme: 'own@1' } })
  world.documents({
    sites: SITES,
    policies: [plain({ tenantOverrides: { acme: 'own@1' } }), own],
    rollouts: [rollout()],
  })
  t.match(world.decide({ tenant: 'acme' }), { policy: 'own@1', target: 'fra/default', arm: null, layers: [] })
  t.match(world.decide({ tenant: 'other' }), {
    policy: 'p@1',
    target: 'ams/default',
    arm: 'treatment',
    rollout: 'nearer',
  })
  t.end()
})

t.test('only cohorts that the policy names are experimented on', (t) => {
  const world = driven(
    state({ shareBp: 10_000 }),
    { preferred_region: 'ams' },
    {},
    { experiments: { cohorts: ['internal'] } },
  )
  world.documents({
    sites: SITES,
    policies: [plain({ experiments: { cohorts: ['internal'] } })],
    rollouts: [rollout()],
    cohorts: [{ metadata: { name: 'internal' }, when: 'tenant == us' }],
  })
  t.match(world.decide({ tenant: 'us' }), { arm: 'treatment', target: 'ams/default' })
  t.match(world.decide({ tenant: 'them' }), { arm: null, target: 'lon/default', layers: [] })
  world.documents({ sites: SITES, policies: [policy([['lon']])], rollouts: [rollout()] })
  t.match(world.decide({ tenant: 'us' }), { arm: null }, 'a policy that says nothing takes part in nothing')
  t.end()
})

t.test('experiments end where routing is switched off', (t) => {
  const world = driven(state({ shareBp: 10_000 }), { preferred_region: 'ams' })
  t.match(world.decide(), { arm: 'treatment' })
  world.apply({
    kind: 'overrides-accepted',
    at: world.now,
    source: 'orders',
    version: '1',
    nonce: '1',
    set: { routing: { enabled: false, reason: 'r', author: 'a', at: world.now }, overrides: [], maintenance: [] },
  })
  t.match(world.decide(), { arm: null, reason: 'routing-disabled', layers: [] })
  t.end()
})

t.test('a version that a rollout names is nobody’s default before its end', (t) => {
  const two = plain({ version: 2, ladder: { tiers: [['fra']] } })
  const world = new World({ ...documents(plain(), two), rollouts: [rollout({ policy: 'p@2' })] })
  t.match(world.decide(), { policy: 'p@1' }, 'not even before its flag has been read')
  world.flags({ 'chat-nearer-site': flag('rollout', { control: {}, treatment: { policy: 'p@2' } }) })
  const at = (over: Partial<RolloutState>) =>
    world.apply({
      kind: 'rollouts-restored',
      at: T0,
      rollouts: [state({ policy: 'p@2', hash: rolloutHash(rollout({ policy: 'p@2' })), ...over })],
      retained: [],
    })
  at({ status: 'rolled-back', shareBp: 0 })
  t.match(world.decide(), { policy: 'p@1', arm: null, layers: [] })
  world.documents(documents(plain(), two))
  t.match(world.decide(), { policy: 'p@1' }, 'nor after its document was deleted')
  world.documents({ ...documents(plain(), two), rollouts: [rollout({ policy: 'p@2' })] })
  at({ status: 'finished', shareBp: 10_000 })
  t.match(
    world.decide(),
    { policy: 'p@2', arm: null, layers: [] },
    'once it has finished it is everybody’s, and the flag is retired',
  )
  t.equal(world.snapshot.programs.flags.get('chat-nearer-site')?.flag.definition.state, 'DISABLED')
  t.end()
})

t.test('a growing share moves nobody out of the treatment, and a session stays in its arm', (t) => {
  const arms = [100, 1_000, 5_000, 10_000].map((shareBp) => {
    const world = driven(state({ shareBp }), { preferred_region: 'ams' })
    return Array.from({ length: 400 }, (_, i) => world.decide({ sessionKey: `session-${i}` }).arm)
  })
  for (let step = 1; step < arms.length; step++)
    t.ok(arms[step]!.every((arm, i) => arm === 'treatment' || arms[step - 1]![i] === 'control'))
  const share = arms[1]!.filter((arm) => arm === 'treatment').length
  t.ok(share > 15 && share < 75, `about a tenth: ${share} of 400`)
  t.ok(arms[3]!.every((arm) => arm === 'treatment'))
  t.end()
})

t.test('tenants are exposed by their hash, whatever the session', (t) => {
  const world = driven(state({ tenantsBp: 3_000, shareBp: 10_000 }), { preferred_region: 'ams' })
  const exposed = Array.from({ length: 100 }, (_, i) => {
    const arms = new Set([1, 2, 3].map((s) => world.decide({ tenant: `t${i}`, sessionKey: `s${i}-${s}` }).arm))
    t.equal(arms.size, 1)
    return arms.has('treatment')
  })
  const share = exposed.filter(Boolean).length
  t.ok(share > 15 && share < 45, `about three tenths: ${share} of 100`)
  const alone = Array.from({ length: 100 }, (_, i) => world.decide({ sessionKey: `s${i}` }).arm === 'treatment')
  const aloneShare = alone.filter(Boolean).length
  t.ok(aloneShare > 15 && aloneShare < 45, `who has no tenant is a tenant of its own: ${aloneShare} of 100`)
  t.end()
})

t.test('a stage for one cohort shows the treatment to nobody else', (t) => {
  const world = driven(state({ cohort: 'internal', shareBp: 10_000 }), { preferred_region: 'ams' })
  world.documents({
    ...documents(plain()),
    rollouts: [rollout()],
    cohorts: [{ metadata: { name: 'internal' }, when: 'tenant == us' }],
  })
  t.match(world.decide({ tenant: 'us' }), { arm: 'treatment' })
  t.match(world.decide({ tenant: 'them' }), { arm: null, target: 'lon/default' })
  t.match(
    world.decide({ tenant: 'them', forced: { cohort: 'internal' } }),
    { arm: 'treatment', forced: true },
    'but to testers who ask for it',
  )
  t.match(world.decide({ tenant: 'us', forced: { arm: 'control' } }), {
    arm: 'control',
    forced: true,
    target: 'lon/default',
  })
  t.end()
})

t.test("the flag's own targeting says who is eligible", (t) => {
  const world = new World({ ...documents(plain()), rollouts: [rollout()] })
    .flags({
      'chat-nearer-site': flag(
        'rollout',
        { control: {}, treatment: { preferred_region: 'ams' } },
        { targeting: { if: [{ '==': [{ var: 'region' }, 'EMEA'] }, 'treatment', null] } },
      ),
    })
    .apply({ kind: 'rollouts-restored', at: T0, rollouts: [state({ shareBp: 10_000 })], retained: [] })
  t.match(world.decide({ region: 'EMEA' }), { arm: 'treatment' })
  t.match(world.decide({ region: 'AMER' }), { arm: null })
  t.end()
})

t.test('the control leaves the word to weaker layers', (t) => {
  const world = driven(state({ shareBp: 0 }), { preferred_region: 'ams' }).flags({
    'chat-nearer-site': flag('rollout', { control: {}, treatment: { preferred_region: 'ams' } }),
    'chat-prefers-fra': flag('preference', { on: { preferred_region: 'fra' } }),
  })
  t.match(world.decide(), {
    arm: 'control',
    target: 'fra/default',
    layers: [{ flag: 'chat-prefers-fra' }, { flag: 'chat-nearer-site', variant: 'control' }],
  })
  t.end()
})

t.test('stale flags stay or are off, as their source says', (t) => {
  const preferring = { 'chat-prefers-ams': flag('preference', { on: { preferred_region: 'ams' } }) }
  const keep = new World(documents(plain())).flags(preferring, { ttlMs: 5_000, whenStale: 'keep' }).pass(6_000)
  t.match(keep.decide(), { target: 'ams/default', layers: [{ stale: true }] })
  t.match(
    keep.events.filter(({ kind }) => kind === 'flags-stale'),
    [{ stale: true, consequence: 'keep' }],
  )
  t.match(evaluateFlag(keep.snapshot, 'chat-prefers-ams', {}, keep.now).result, { reason: 'STALE', variant: 'on' })
  keep.apply({ kind: 'flags-heard', at: keep.now, source: 'flags' })
  t.strictSame(
    keep.decide().layers,
    [{ layer: 'preference', flag: 'chat-prefers-ams', variant: 'on' }],
    'until it is heard again',
  )
  t.match(keep.events.filter(({ kind }) => kind === 'flags-stale').at(-1), { stale: false })
  const off = new World(documents(plain())).flags(preferring, { ttlMs: 5_000, whenStale: 'off' }).pass(6_000)
  t.match(off.decide(), { target: 'lon/default', layers: [{ stale: true, error: /off/ }] })
  t.match(evaluateFlag(off.snapshot, 'chat-prefers-ams', {}, off.now).result, { reason: 'DISABLED' })
  t.end()
})

t.test('a flag that fails is off, and the decision says so', (t) => {
  const world = new World(documents(plain())).flags({
    'chat-names-nothing': flag(
      'preference',
      { on: { preferred_region: 'ams' } },
      { targeting: { if: [true, 'nowhere'] } },
    ),
  })
  t.match(world.decide(), { target: 'lon/default', layers: [{ flag: 'chat-names-nothing', variant: '', error: /./ }] })
  t.end()
})

t.test('whoever evaluates the rendered flag from outside gets the same arm', (t) => {
  const world = driven(state({ shareBp: 3_000, tenantsBp: 6_000 }), { preferred_region: 'ams' })
  fc.assert(
    fc.property(fc.string(), fc.string(), (tenant, sessionKey) => {
      const { arm } = world.decide({ tenant, sessionKey })
      const { result } = evaluateFlag(
        world.snapshot,
        'chat-nearer-site',
        { tenant, targetingKey: sessionKey, class: 'chat' },
        world.now,
      )
      const told = result.reason === 'TARGETING_MATCH' ? result.variant : null
      return sessionKey === '' || told === arm
    }),
    { numRuns: 500 },
  )
  t.match(evaluateFlag(world.snapshot, 'nobody', {}, world.now).result, { errorCode: 'FLAG_NOT_FOUND' })
  t.end()
})

t.test('a snapshot made of its data alone decides as the one it came from', (t) => {
  const world = driven(state({ shareBp: 4_000 }), { preferred_region: 'ams', max_p95_ms: 200 })
  const copy = recompile(
    structuredClone(world.snapshot.data),
    world.snapshot.programs.compile,
    world.snapshot.programs.compileFlag,
  )
  for (let i = 0; i < 100; i++) {
    const facts = world.facts({ sessionKey: `s${i}`, tenant: `t${i}` })
    t.strictSame(
      decide(facts, copy, world.tally, world.now, 'id'),
      decide(facts, world.snapshot, world.tally, world.now, 'id'),
    )
  }
  t.end()
})

t.test('limits that only an overlay asks for are watched from the moment it is there', (t) => {
  const world = new World(documents(plain()))
  const before = Object.keys(world.snapshot.data.gates).length
  world.flags({ 'chat-limits-latency': flag('preference', { on: { max_p95_ms: 120 } }) })
  t.equal(Object.keys(world.snapshot.data.gates).length, before + 1)
  world.samples({ lon: { 'response.p95_ms': [500, 1_000] } })
  t.match(world.decide(), {
    target: 'ams/default',
    because: [{ target: 'lon/default', constraint: 'response.p95_ms' }],
  })
  world.flags({})
  t.equal(Object.keys(world.snapshot.data.gates).length, before, 'and no longer than that')
  t.end()
})

t.test('the explanation says which flag put which policy in force', (t) => {
  const world = new World(documents(plain())).flags({
    'chat-prefers-ams': flag('preference', { on: { preferred_region: 'ams' } }),
  })
  const { policies } = explain(world.facts(), world.snapshot, world.tally, world.now)
  t.match(policies[0], /an overlay on it/)
  t.end()
})

t.test('the rendering of a flag keeps what is not about exposure', (t) => {
  const world = driven(state(), { preferred_region: 'ams' })
  const written = world.snapshot.data.flagSets.flags!.set.flags['chat-nearer-site']!
  const rendered = renderFlag(written, rollout(), state())
  t.strictSame(rendered.definition.variants, written.definition.variants)
  t.strictSame(rendered.definition.metadata, written.definition.metadata)
  t.not(rendered.hash, written.hash, 'another program')
  t.match(
    renderFlag(written, rollout(), undefined).definition,
    { defaultVariant: 'control' },
    'before it has begun everybody is control',
  )
  t.end()
})

t.test('of two rollouts of a class, the second has no say in whom the first has taken in', (t) => {
  const second = rollout({ metadata: { name: 'quieter' }, flag: 'chat-quieter-site' })
  const world = new World({ ...documents(plain()), rollouts: [rollout(), second] })
    .flags({
      'chat-nearer-site': flag('rollout', { control: {}, treatment: { preferred_region: 'ams' } }),
      'chat-quieter-site': flag('rollout', { control: {}, treatment: { preferred_region: 'fra' } }),
    })
    .apply({
      kind: 'rollouts-restored',
      at: T0,
      rollouts: [
        state({ shareBp: 0 }),
        state({ name: 'quieter', flag: 'chat-quieter-site', hash: rolloutHash(second), shareBp: 10_000 }),
      ],
      retained: [],
    })
  t.match(world.decide(), {
    arm: 'control',
    rollout: 'nearer',
    target: 'lon/default',
    layers: [
      { flag: 'chat-nearer-site', variant: 'control' },
      { flag: 'chat-quieter-site', variant: 'treatment', shadowed: true },
    ],
  })
  t.end()
})

t.test('a flag whose default is its treatment gives it to nobody outside the exposure', (t) => {
  const world = new World({ ...documents(plain()), rollouts: [rollout()] })
    .flags({
      'chat-nearer-site': flag(
        'rollout',
        { treatment: { preferred_region: 'ams' }, control: {} },
        { targeting: { if: [{ '==': [{ var: 'region' }, 'EMEA'] }, 'treatment', 'control'] } },
      ),
    })
    .apply({ kind: 'rollouts-restored', at: T0, rollouts: [state({ tenantsBp: 0 })], retained: [] })
  t.match(world.decide({ region: 'EMEA' }), { arm: null, target: 'lon/default', layers: [] })
  t.match(evaluateFlag(world.snapshot, 'chat-nearer-site', { region: 'EMEA' }, world.now).result, {
    variant: 'control',
  })
  t.end()
})

t.test('of several rollouts of one version the one that began last says whether it is the default', (t) => {
  const two = plain({ version: 2, ladder: { tiers: [['fra']] } })
  const first = rollout({ policy: 'p@2' })
  const second = rollout({ metadata: { name: 'nearer-again' }, flag: 'chat-nearer-again', policy: 'p@2' })
  const world = new World({ ...documents(plain(), two), rollouts: [first, second] }).flags({
    'chat-nearer-site': flag('rollout', { control: {}, treatment: { policy: 'p@2' } }),
    'chat-nearer-again': flag('rollout', { control: {}, treatment: { policy: 'p@2' } }),
  })
  const lost = state({ policy: 'p@2', hash: rolloutHash(first), status: 'rolled-back', shareBp: 0 })
  const won = state({
    ...{ name: 'nearer-again', flag: 'chat-nearer-again', policy: 'p@2', hash: rolloutHash(second) },
    ...{ status: 'finished', shareBp: 10_000, startedAt: T0 + 1 },
  })
  const at = (...rollouts: RolloutState[]) =>
    world.apply({ kind: 'rollouts-restored', at: T0, rollouts, retained: [] }).decide()
  t.match(at(lost, won), { policy: 'p@2', arm: null }, 'it was taken back once, and has won since')
  t.match(at({ ...lost, startedAt: T0 + 2 }, won), { policy: 'p@1' }, 'it has won once, and was taken back since')
  t.end()
})

t.test('a document that names another version holds it back, though one of its name has finished', (t) => {
  const world = new World({ ...documents(plain()), rollouts: [rollout({ policy: 'p@1' })] })
  const finished = { status: 'finished', shareBp: 10_000, policy: 'p@1' } as const
  const hash = rolloutHash(rollout({ policy: 'p@1' }))
  world.apply({ kind: 'rollouts-restored', at: T0, rollouts: [state({ ...finished, hash })], retained: [] })
  t.match(world.decide(), { policy: 'p@1' })
  world.documents({ ...documents(plain(), plain({ version: 2 })), rollouts: [rollout({ policy: 'p@2' })] })
  t.match(world.decide(), { policy: 'p@1' }, 'before its flag has been read')
  t.end()
})

t.test('one tier of all that is left is that of nearest sites too, after what is preferred by name', (t) => {
  const over = (overlay: object, base: Policy) =>
    new World(documents(base)).flags({ 'chat-tries-ladder': flag('preference', { on: overlay }) }).decide()
  const nearest = policy({ nearest: 2 }, OPEN)
  t.match(over({ locality: 'any' }, nearest), { ladder: [['ams', 'fra', 'lon']], reason: 'first-choice' })
  t.strictSame(over({ locality: 'any', eligible_sites: ['fra', 'lon'] }, nearest).ladder, [['fra', 'lon']])
  t.strictSame(over({ locality: 'any', preferred_region: 'fra' }, plain()).ladder, [['fra'], ['lon', 'ams']])
  t.strictSame(over({ locality: 'any', preferred_region: 'fra' }, nearest).ladder, [['fra'], ['ams', 'lon']])
  t.end()
})

t.test('an overlay whose places nobody knows is off, and says so, rather than leaving no site', (t) => {
  for (const overlay of [{ eligible_sites: ['amss'] }, { ladder: [['amss']] }, { fallback_tiers: [['amss']] }]) {
    const world = new World(documents(plain())).flags({ 'chat-tries-ladder': flag('incident', { on: overlay }) })
    t.match(world.decide(), { target: 'lon/default', layers: [{ variant: 'on', error: /amss/ }] })
    world.documents({ sites: [...SITES, site('amss')], policies: [plain()] })
    t.strictSame(world.decide().layers, [{ layer: 'incident', flag: 'chat-tries-ladder', variant: 'on' }])
  }
  t.end()
})

t.test('where only some sites are eligible, the smaller model of another one is none', (t) => {
  const edge = site('edge', { pool: { models: [{ name: 'small' }] } })
  const base = plain({
    degraded: { site: 'edge', model: 'small', rewriteBody: false },
    otherwise: [{ action: 'degrade' }, { action: 'deny' }],
  })
  const only = (...names: string[]) =>
    new World({ sites: [...SITES, edge], policies: [base] })
      .flags({ 'chat-avoids-edge': flag('incident', { on: { eligible_sites: names } }) })
      .probe(['ams', 'fra', 'lon'], 'refused', 3, 'passive')
      .where({ model: 'llama' })
  t.equal(only('ams', 'fra'), 'deny')
  t.equal(only('ams', 'fra', 'edge'), 'edge/default')
  t.end()
})

t.test('a rollout finds room around targeting that is as large, or as deep, as targeting may be', (t) => {
  let deep: unknown = { '==': [{ var: 'region' }, 'EMEA'] }
  for (let level = 0; level < 30; level++) deep = { and: [deep] }
  const large = { or: Array.from({ length: 166 }, (_, i) => ({ '==': [{ var: `f${i}` }, 1] })) }
  const everybody = { or: [large, { '!': [{ var: 'f0' }] }] }
  for (const condition of [deep, everybody]) {
    const world = new World({
      ...documents(plain()),
      cohorts: [{ metadata: { name: 'internal' }, when: 'tenant == us' }],
      rollouts: [rollout()],
    }).flags({
      'chat-nearer-site': flag(
        'rollout',
        { control: {}, treatment: { preferred_region: 'ams' } },
        { targeting: { if: [condition, 'treatment', null] } },
      ),
    })
    const shared = { shareBp: 10_000, tenantsBp: 9_999, cohort: 'internal' }
    world.apply({ kind: 'rollouts-restored', at: T0, rollouts: [state(shared)], retained: [] })
    t.match(world.decide({ region: 'EMEA', tenant: 'us' }), { arm: 'treatment', target: 'ams/default' })
  }
  t.end()
})

t.test('an overlay that has won goes on for whom the flag means, which is everybody where it does not say', (t) => {
  const won = state({ status: 'finished', shareBp: 10_000 })
  t.match(driven(won, { preferred_region: 'ams' }).decide(), { arm: null, target: 'ams/default' })
  const some = driven(won, { preferred_region: 'ams' }).flags({
    'chat-nearer-site': flag(
      'rollout',
      { control: {}, treatment: { preferred_region: 'ams' } },
      { targeting: { if: [{ '==': [{ var: 'region' }, 'EMEA'] }, 'treatment', null] } },
    ),
  })
  t.equal(some.where({ region: 'EMEA' }), 'ams/default')
  t.equal(some.where({ region: 'AMER' }), 'lon/default')
  t.end()
})

t.test('a treatment that nobody has any document of is no treatment to be promoted', (t) => {
  const none = new World({ ...documents(plain()), rollouts: [rollout()] }).flags({
    'chat-nearer-site': flag('rollout', { control: {}, treatment: { policy: 'p@9' } }),
  })
  t.strictSame(none.pass(2_000).snapshot.data.rollouts, {}, 'it does not begin')
  t.match(none.decide(), { arm: null, policy: 'p@1' })
  none.documents({ ...documents(plain(), plain({ version: 9 })), rollouts: [rollout()] })
  t.match(none.snapshot.data.rollouts.nearer, { status: 'running' }, 'before it is there')
  const world = driven(state({ policy: 'p@9', shareBp: 5_000 }), { policy: 'p@9' }).pass(2_000)
  t.match(world.snapshot.data.rollouts.nearer, { status: 'held', says: /no document has p@9/ })
  t.end()
})

t.test('a policy that only a flag still names is there after a restart too, whatever comes first', (t) => {
  const old = plain({ ladder: { tiers: [['fra']] } })
  const naming = { 'chat-keeps-version': flag('preference', { on: { policy: 'p@1' } }) }
  const before = new World(documents(old, plain({ version: 2 })))
    .flags({}, { source: 'a' })
    .flags(naming, { source: 'b' })
    .documents(documents(plain({ version: 2 })))
  const { retained } = before.snapshot.data
  const restarted = () =>
    new World({ classes: [] }, 'other').apply({ kind: 'rollouts-restored', at: T0, rollouts: [], retained })
  const rest = [
    (world: World) => world.documents(documents(plain({ version: 2 }))),
    (world: World) => world.flags({}, { source: 'a' }),
    (world: World) => world.flags(naming, { source: 'b' }),
  ]
  for (const order of [
    [0, 1, 2],
    [1, 2, 0],
    [1, 0, 2],
    [2, 1, 0],
  ]) {
    const world = restarted()
    for (const step of order) rest[step]!(world)
    t.match(world.decide(), { policy: 'p@1', target: 'fra/default' }, String(order))
    world.pass(120_000)
    t.match(world.decide(), { policy: 'p@1' }, 'and goes on being there')
    t.equal(world.flags({}, { source: 'b' }).snapshot.data.retained.length, 0, 'as long as it is named')
  }
  const unnamed = restarted()
  for (const step of [0, 1]) rest[step]!(unnamed)
  t.equal(unnamed.pass(120_000).snapshot.data.retained.length, 0, 'what nobody names is not kept for good')
  t.end()
})

t.test('policies that only a flag names are on disk when hubward ends, though there is no rollout', async (t) => {
  const world = new World(documents(plain(), plain({ version: 2 })))
    .flags({ 'chat-keeps-version': flag('preference', { on: { policy: 'p@1' } }) })
    .documents(documents(plain({ version: 2 })))
  const folder = t.testdir({})
  await rolloutsOf(world, folder).close()
  t.match(JSON.parse(readFileSync(join(folder, 'rollouts.json'), 'utf8')).retained, [{ metadata: { version: 1 } }])
})

t.test('a policy that was kept and that documents have again is in force by itself', (t) => {
  const world = new World(documents(plain({ version: 2 })))
  world.apply({ kind: 'rollouts-restored', at: T0, rollouts: [], retained: [plain({ version: 2 })] })
  t.match(world.decide(), { policy: 'p@2' })
  t.end()
})

t.test('contexts of any types are answered, cohorts of documents or not', (t) => {
  const world = new World({
    ...documents(plain()),
    cohorts: [{ metadata: { name: 'europe' }, when: 'EU' }],
  }).flags({ 'chat-prefers-ams': flag('preference', { on: { preferred_region: 'ams' } }) })
  const { programs } = world.snapshot
  const careful = {
    ...world.snapshot,
    programs: { ...programs, cohorts: new Map([['europe', compileCondition('"EU" in request.residency')]]) },
  }
  for (const residency of [5, null, 'EU', {}, [1], true, ['EU']])
    for (const more of [{}, { forced: 5 }, { forced: { cohort: 'internal' } }, { class: 5, tenant: [], session: null }])
      t.match(evaluateFlag(careful, 'chat-prefers-ams', { residency, ...more }, world.now).result, { variant: 'on' })
  t.end()
})

t.test('keys and variants that objects inherit are names like others', (t) => {
  const world = new World(documents(plain())).flags({ constructor: { state: 'ENABLED', variants: { on: true } } })
  t.match(
    world.events.find(({ kind }) => kind === 'flags-accepted'),
    { added: ['constructor'], changed: [] },
  )
  t.end()
})

t.test('flags that are stale when they come are told as such', (t) => {
  const world = new World(documents(plain()))
  const { set } = readFlags('{"flags":{}}', 'flags.json')
  const change = { at: world.now, source: 'kept', version: 'v', nonce: 'n', set: set!, problems: [] }
  world.apply({ kind: 'flags-accepted', ...change, ttlMs: 5_000, whenStale: 'keep', heardAt: world.now - 60_000 })
  t.match(
    world.events.filter(({ kind }) => kind === 'flags-stale'),
    [{ source: 'kept', stale: true }],
  )
  t.end()
})

t.test('a record whose flags may have read a hidden key does not say that it can be replayed', (t) => {
  const build = recorder([])
  const sampled = (world: World, over: Partial<Facts>) => {
    const facts = world.facts(over)
    const { snapshot, now } = world
    const made = { facts, decision: decide(facts, snapshot, world.tally, now, 'id'), snapshot, now, dispatched: {} }
    return build(made, 'share').replayable
  }
  const shared = { fractional: [{ var: 'targetingKey' }, ['off', 99], ['on', 1]] }
  const world = new World(documents(plain())).flags({
    'chat-prefers-ams': flag('preference', { off: {}, on: { preferred_region: 'ams' } }, { targeting: shared }),
  })
  t.strictSame(world.decide({ sessionKey: 's-1' }).layers, [])
  t.equal(sampled(world, { sessionKey: 's-1' }), false, 'though none had a say this time')
  t.equal(sampled(world, {}), true)
  t.equal(sampled(new World(documents(plain())), { sessionKey: 's-1' }), true)
  t.end()
})

t.test('classes without flags pay nothing for them', (t) => {
  const world = new World({ ...documents(plain()), classes: [workload(), workload('batch')] }).flags({
    'chat-prefers-ams': flag('preference', { on: { preferred_region: 'ams' } }),
  })
  t.equal(world.snapshot.programs.classes.get('batch')?.steering.length, 0)
  t.equal(world.snapshot.programs.classes.get('chat')?.steering.length, 1)
  t.end()
})
