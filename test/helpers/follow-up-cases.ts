import type { Test } from 'tap'
import { createMetrics } from '../../src/metrics.ts'
import type { FactSources } from '../../src/model/documents.ts'
import type { Facts } from '../../src/model/facts.ts'
import { compileFacts } from '../../src/request/facts.ts'
import { issueSession } from '../../src/request/session-token.ts'
import { signingKeys } from '../../src/request/signing-keys.ts'
import { createFactsJudge } from '../../src/sidecar/judge.ts'
import { createTally } from '../../src/sidecar/tally.ts'
import { codesOf, factsOf, NOW, read, type Written } from './requests.ts'
import { max, order, policy, site, World, workload } from './world.ts'

const KEYS = signingKeys([['k1', new Uint8Array(32).fill(1)]])
const JOBS: Partial<FactSources> = {
  jobs: [{ prefix: '/v1/batches' }, { prefix: '/v1/jobs/' }],
  trustedPeers: ['10.0.0.0/8'],
  facts: {
    class: [
      { from: 'path', prefix: '/v1/batches', value: 'batch' },
      { from: 'body', name: 'workload', trusted: true, allow: ['training', 'batch'] },
      { from: 'path', prefix: '/v1/jobs', value: 'batch' },
    ],
    sessionKey: [{ from: 'header', name: 'x-job-id' }],
  },
}
const CLASSES = ['batch', 'training'].map((name) => workload(name, { whenHubwardIsDown: 'refuse' }))
const OPTIONS = { classes: CLASSES, sessionKeys: KEYS }
const GATEWAY = { 'source.address': '10.1.1.1:9' }

/** What is read of requests about jobs. */
export function jobFactCases(t: Test): void {
  t.test('a path below one under which work is sent is about work that was sent before', async (t) => {
    const of = (method: string, path: string) => factsOf(JOBS, { method, path }).followUp
    t.same(
      [
        of('POST', '/v1/batches'),
        of('GET', '/v1/batches'),
        of('POST', '/v1/batches/'),
        of('POST', '/v1/batches?after=x'),
        of('GET', '/v1/batcheses/b-1'),
        of('POST', '/v1/chat/completions'),
      ],
      Array(6).fill(undefined),
    )
    t.same(
      [
        of('GET', '/v1/batches/b-1'),
        of('POST', '/v1/jobs/j-1/cancel'),
        of('DELETE', '/v1//jobs/./j-1'),
        of('HEAD', '/v1/jobs/j'),
      ],
      Array(4).fill('ask'),
    )
    t.same(
      [of('POST', '/v1/jobs/j-1'), of('POST', '/v1/jobs/j-1/resume'), of('PUT', '/v1/jobs/j-1')],
      Array(3).fill('work'),
    )
  })

  t.test("a job's class may stand in its body, among those that are listed, from peers that are trusted", async (t) => {
    const of = (body: string, attributes: Written['attributes'] = GATEWAY) =>
      read(JOBS, { path: '/v1/jobs', body, attributes }, OPTIONS)
    t.equal(of('{"workload":"training"}').facts.class, 'training')
    t.equal(of('{"workload":"interactive"}').facts.class, 'batch', 'not one of those')
    t.equal(of('{"workload":{"a":1}}').facts.class, 'batch')
    t.equal(of('').facts.class, 'batch')
    const stranger = of('{"workload":"training"}', { 'source.address': '192.0.2.1:9' })
    t.equal(stranger.facts.class, 'batch')
    t.same(codesOf(stranger), ['request/untrusted-peer'])
  })

  t.test('who asks about work need not say its class again: the session token says it', async (t) => {
    const token = issueSession(KEYS, { sessionKey: 'run-7', class: 'training', target: 'fra/h100' }, NOW)!
    const ask = (path: string, headers: Record<string, string> = {}) =>
      factsOf(
        JOBS,
        { method: 'GET', path, headers: { 'x-job-id': 'run-7', 'x-hubward-session': token, ...headers } },
        OPTIONS,
      )
    t.match(ask('/v1/jobs/j-1'), { class: 'training', session: { verdict: 'valid', target: 'fra/h100' } })
    t.match(ask('/v1/jobs'), { class: 'batch', session: { verdict: 'mismatch' } }, 'new work has to')
    t.match(ask('/v1/jobs/j-1', { 'x-job-id': 'run-8' }), { class: 'batch', session: { verdict: 'mismatch' } })
  })
}

const worldOf = (over: Parameters<typeof policy>[1] = {}): World =>
  new World({
    sites: [site('ams'), site('fra'), site('lon', { jurisdictions: ['UK'] })],
    classes: [workload('job', { whenHubwardIsDown: 'refuse' })],
    policies: [
      policy([['ams', 'fra'], ['lon']], {
        class: 'job',
        session: 'sticky',
        signals: { 'queue.depth': max(5) },
        ...over,
      }),
    ],
  })

/** Where requests about jobs go, judged through decide. */
export function followUpCases(t: Test): void {
  const at = (target: string, over: Partial<Facts> = {}): Partial<Facts> => ({
    class: 'job',
    sessionKey: 'run-7',
    session: { verdict: 'valid', target },
    followUp: 'ask',
    ...over,
  })

  t.test('a question about a job goes where the job is, whatever keeps new work from there', async (t) => {
    const world = worldOf().samples({ fra: { 'queue.depth': 90, 'leak.detected': 1 } })
    world.overrides({ overrides: [order('drain', { site: 'fra' }), order('pin', { site: 'ams' })], maintenance: [] })
    t.match(world.decide(at('fra/default')), {
      target: 'fra/default',
      cluster: 'fra',
      reason: 'follow-up',
      session: 'kept',
    })
    t.match(world.decide(at('fra/default', { followUp: 'work' })), {
      action: 'deny',
      status: 503,
      because: [{ target: 'fra/default', constraint: 'drain' }],
    })
  })

  t.test('it goes nowhere else: not to a fallback, not by an aggregate, not out of its residency', async (t) => {
    const world = worldOf().clusters('ams', 'fra', 'lon', 'fra+ams')
    t.match(world.decide(at('fra/default')), { cluster: 'fra' })
    world.probe(['fra'], 'refused', 5)
    t.match(world.decide(at('fra/default')), {
      action: 'deny',
      status: 503,
      retryAfterMs: 5_000,
      because: [{ constraint: 'health.state' }],
    })
    t.match(world.decide(at('lon/default', { residency: ['EU'] })), {
      action: 'deny',
      because: [{ constraint: 'residency' }],
    })
    t.match(world.clusters('ams').decide(at('lon/default')), { because: [{ constraint: 'cluster.known' }] })
  })

  t.test('without a word of where the job is nobody guesses, unless there is only one place', async (t) => {
    const unknown = at('', { session: { verdict: 'none' } })
    t.match(worldOf().decide(unknown), { action: 'deny', status: 409, reason: 'job-unplaced' })
    t.match(worldOf().decide(at('', { session: { verdict: 'expired' } })), { status: 409, session: 'expired' })
    t.match(worldOf().decide({ ...unknown, residency: ['UK'] }), { target: 'lon/default', reason: 'follow-up' })
    t.equal(worldOf({ session: 'none' }).decide(unknown).action, 'route', 'a policy without sessions decides each anew')
  })

  t.test("more work of a job's session goes where the rest is, if what keeps work out lets it in there", async (t) => {
    const world = worldOf({ timers: { stableForMs: 0, dwellMs: 60_000, failBackMs: 0, cooldownMs: 0 } })
    world.samples({ ams: { 'queue.depth': 0 }, fra: { 'queue.depth': 0 }, lon: { 'queue.depth': 0 } })
    const { followUp: _, ...more } = at('fra/default')
    for (let count = 0; count < 8; count++) t.match(world.decide(more), { target: 'fra/default', session: 'kept' })
    world.samples({ fra: { 'queue.depth': 90 } })
    t.match(world.decide(more), { target: 'ams/default', session: 'moved', movedFrom: 'fra/default' })
    t.match(world.decide({ ...more, followUp: 'ask' }), { target: 'fra/default' })
  })

  t.test('a question reserves nothing: the job it asks about has its reservation already', async (t) => {
    const world = worldOf().samples({ ams: { 'queue.depth': 0 }, fra: { 'queue.depth': 0 }, lon: { 'queue.depth': 0 } })
    const admitted: string[] = []
    const judge = createFactsJudge({
      clock: { now: () => world.now },
      current: () => world.snapshot,
      readFacts: () => compileFacts([], []),
      tally: createTally(1),
      metrics: createMetrics(),
      journal: { wants: () => undefined, keep: () => {} },
      sessionKeys: KEYS,
      hops: undefined,
      onPanic: () => {},
      onStale: () => {},
      admit: (facts, decision) => {
        admitted.push(facts.followUp ?? 'sent')
        return decision
      },
    })
    const asking = { reserve: 'declared', dispatch: true, dryRun: false } as const
    const { followUp: _, ...sent } = at('fra/default')
    for (const facts of [at('fra/default'), sent, at('fra/default', { followUp: 'work' })])
      judge(world.facts({ ...facts, needs: { mw: 1 } }), world.now, 'id', asking)
    t.same(admitted, ['sent'])
  })

  t.test('switching routing off moves no job', async (t) => {
    const world = worldOf().overrides({
      routing: {
        enabled: false,
        reason: 'r',
        author: 'a@example.com',
        created: 0,
        expires: Number.MAX_SAFE_INTEGER,
      } as never,
    })
    t.match(world.decide(at('fra/default')), { target: 'fra/default', reason: 'follow-up' })
  })

  t.test('a job that may not be delayed is refused where others wait, and gets nothing that they do not', async (t) => {
    const later = [{ action: 'delay', retryAfterMs: 60_000 }, { action: 'degrade' }] as const
    const world = new World({
      sites: [site('ams'), site('edge', { pool: { models: [{ name: 'small' }] } })],
      classes: [workload('job', { whenHubwardIsDown: 'refuse' })],
      policies: [
        policy([['ams']], {
          class: 'job',
          signals: { 'queue.depth': max(5) },
          otherwise: later,
          timers: { stableForMs: 0, dwellMs: 0, failBackMs: 0, cooldownMs: 0 },
          degraded: { site: 'edge', model: 'small', rewriteBody: false },
        }),
      ],
    }).samples({ ams: { 'queue.depth': 90 } })
    t.match(world.decide({ class: 'job' }), { action: 'delay', retryAfterMs: 60_000 })
    t.match(world.decide({ class: 'job', needs: { mayDelay: true } }), { action: 'delay', retryAfterMs: 60_000 })
    t.match(world.decide({ class: 'job', needs: { mayDelay: false } }), {
      action: 'deny',
      status: 503,
      reason: 'may-not-delay',
      retryAfterMs: 60_000,
      because: [{ constraint: 'queue.depth', measured: 90 }],
    })
  })
}
