import t from 'tap'
import { createMetrics } from '../../src/metrics.ts'
import type { Decision } from '../../src/model/decision.ts'
import type { FactSources } from '../../src/model/documents.ts'
import { HEADERS } from '../../src/model/headers.ts'
import type { RequestView } from '../../src/model/request-view.ts'
import { compileFacts } from '../../src/request/facts.ts'
import { signingKeys } from '../../src/request/signing-keys.ts'
import { createJudge } from '../../src/sidecar/judge.ts'
import { createTally } from '../../src/sidecar/tally.ts'
import { max, min, policy, site, World, workload } from '../helpers/world.ts'

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
