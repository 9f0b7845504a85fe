import type { Test } from 'tap'
import { isServed, verdictOf, withinSlo } from '../../src/measure/verdict.ts'
import type { AccessEntry, Verdict } from '../../src/model/outcome.ts'
import { decision, entry, facts, idAt, measuring, SLO } from './measure-world.ts'
import { T0 } from './world.ts'

const VERDICT_CASES: readonly (readonly [string, Partial<AccessEntry>, Verdict])[] = [
  ['an answer', {}, 'ok'],
  ['a bad request of the client', { status: 400 }, 'ok'],
  ['a model that is not there', { status: 404 }, 'ok'],
  ['a prompt that is too long', { status: 413 }, 'ok'],
  ['a prompt that makes no sense', { status: 422 }, 'ok'],
  ['a site that turns work away', { status: 429 }, 'error'],
  ['an error of the server', { status: 500 }, 'error'],
  ['a refused connection', { status: 503, flags: ['UF'] }, 'error'],
  ['an answer that breaks off', { status: 200, flags: ['UC'] }, 'error'],
  ['a stream that the site resets', { status: 200, flags: ['UR'] }, 'error'],
  ['no healthy host', { status: 503, flags: ['UH'] }, 'error'],
  ['no cluster', { status: 503, flags: ['NC'], cluster: '' }, 'error'],
  ['a time-out of the route', { status: 504, flags: ['UT'] }, 'timeout'],
  ['a time-out of the site', { status: 504 }, 'timeout'],
  ['a stream that stands still', { status: 200, flags: ['SI'] }, 'timeout'],
  ['an answer that does not begin', { status: 504, flags: ['SI'] }, 'timeout'],
  ['a client that does not send its request to the end', { status: 408, flags: ['SI'] }, 'ok'],
  ['a client that sends it for longer than any request may take', { status: 408, flags: ['DT'] }, 'ok'],
  ["a client that Envoy's own limit of rates turns away", { status: 429, flags: ['RL'] }, 'ok'],
  ['a client that leaves', { status: 0, flags: ['DC'] }, 'left'],
  ['a client that leaves in the middle', { status: 200, flags: ['DC'] }, 'left'],
  ['a client that resets', { status: 200, details: 'downstream_remote_disconnect' }, 'left'],
  ['nothing at all', { status: 0 }, 'error'],
]

/** How requests end, and how their ends find their decisions. */
export const outcomeCases = (t: Test): void => {
  t.test('a verdict names who is to blame', async (t) => {
    for (const [what, over, verdict] of VERDICT_CASES) t.equal(verdictOf(entry(over), 'route'), verdict, what)
    t.equal(verdictOf(entry({ status: 503 }), 'delay'), 'refused', 'our own refusal is no error of a site')
    t.equal(verdictOf(entry({ status: 503, headers: { 'x-hubward-action': 'deny' } }), undefined), 'refused')
    t.notOk(isServed('ok', entry({ status: 404 })))
  })

  t.test('the latency objective is met, missed or not to be told', async (t) => {
    const within = (verdict: Verdict, over: Partial<AccessEntry>) => withinSlo(SLO, verdict, entry(over))
    t.equal(within('ok', {}), true)
    t.equal(within('ok', { firstBodyMs: 301 }), false)
    t.equal(within('ok', { durationMs: 2_001 }), false)
    t.equal(within('ok', { status: 404, durationMs: 9_000 }), null)
    t.equal(within('ok', { firstBodyMs: -1, durationMs: 250 }), true, 'an answer without a body ends with its headers')
    t.equal(within('error', {}), null)
    t.equal(within('timeout', {}), false)
    t.equal(within('left', { firstBodyMs: -1, durationMs: 5_000 }), false, 'it waited in vain')
    t.equal(within('left', { firstBodyMs: 200, durationMs: 5_000 }), null, 'it had its first token in time')
    t.equal(within('left', { firstBodyMs: -1, durationMs: 100 }), null)
    t.equal(withinSlo(undefined, 'ok', entry()), null)
  })

  t.test(
    'an entry is joined once to the decision that sent it, and its time is split into parts that add up',
    async (t) => {
      const { measure, ended, metrics, signals } = measuring()
      signals.set('fra/default network.rtt_ms', 30).set('fra/default queue.wait_p50_ms', 50)
      const id = idAt(T0, 7)
      measure.decided(facts({ region: 'EMEA', extra: { promptType: 'rag' } }), decision(id), 120, true)
      const seen = entry({ decision: id, cluster: 'fra', upstreamBeginMs: 125, firstBodyMs: 400, durationMs: 1_000 })
      measure.accessLog([seen, seen, entry({ decision: idAt(T0, 8) }), entry()], T0 + 1_000)
      t.equal(ended.length, 1)
      t.match(ended[0], {
        class: 'chat',
        target: 'fra/default',
        verdict: 'ok',
        artifact: 'llama@2026-09',
        decided: {
          id,
          target: 'ams/default',
          firstChoice: 'ams/default',
          region: 'EMEA',
          promptType: 'rag',
          heldMs: 120,
        },
        parts: { heldMs: 120, networkMs: 30, queueMs: 50, prefillMs: 195, decodeMs: 600 },
      })
      const { parts } = ended[0]!
      t.equal(5 + parts.heldMs! + parts.networkMs! + parts.queueMs! + parts.prefillMs! + parts.decodeMs!, 1_000)
      const count = (result: string) => metrics.value('hubward_access_log_entries_total', result)
      t.same([count('joined'), count('again'), count('unknown'), count('late')], [1, 1, 2, 0])
      t.equal(
        metrics.value('hubward_outcomes_total', '', 'ams/default', 'ok'),
        2,
        'those are counted by their cluster only',
      )
      const [row] = (await measure.ask({ by: ['site'], where: {}, from: T0, to: T0 + 2_000 }, T0 + 1_000)).rows
      t.match(row, { by: { site: 'fra' }, requests: 1, fallbackRatio: 1 }, 'Envoy itself went on to Frankfurt')
    },
  )

  t.test('a part is never more than what is left of the time', async (t) => {
    const { measure, ended, signals } = measuring()
    signals.set('ams/default network.rtt_ms', 500).set('ams/default queue.wait_p50_ms', 500)
    measure.decided(facts(), decision(idAt(T0, 1)), undefined, true)
    measure.accessLog([entry({ decision: idAt(T0, 1) })], T0)
    t.same(ended[0]!.parts, { networkMs: 195, queueMs: 0, prefillMs: 0, decodeMs: 700 })
    measure.decided(facts(), decision(idAt(T0, 2)), undefined, true)
    measure.accessLog([entry({ decision: idAt(T0, 2), status: 500 })], T0)
    t.same(ended[1]!.parts, {}, 'an error has no prefill')
  })

  t.test('a decision that was overwritten is late, not unknown', async (t) => {
    const { measure, metrics } = measuring({ pending: 10 })
    for (let n = 0; n < 30; n++) measure.decided(facts(), decision(idAt(T0 + n, n), { at: T0 + n }), undefined, true)
    measure.accessLog([entry({ decision: idAt(T0 + 3, 3) }), entry({ decision: 'nonsense' })], T0 + 100)
    t.equal(metrics.value('hubward_access_log_entries_total', 'late'), 1)
    t.equal(metrics.value('hubward_access_log_entries_total', 'unknown'), 1)
  })

  t.test('requests that a tester forced into an arm have no arm in measurements', async (t) => {
    const { measure, requests } = measuring()
    const arm = { arm: 'treatment', rollout: 'nearer' } as const
    requests(3, T0, {}, arm)
    requests(2, T0, {}, { ...arm, forced: true })
    const { rows } = await measure.ask({ by: ['rollout', 'arm'], where: {}, from: T0, to: T0 + 9_000 }, T0 + 1_000)
    t.same(
      rows.map(({ by, requests: n }) => [by.rollout, by.arm, n]),
      [
        ['nearer', 'treatment', 3],
        ['', '', 2],
      ],
    )
  })

  t.test('measurements are told by any three dimensions, and quantiles with too few events are not told', async (t) => {
    const { measure, requests, signals } = measuring()
    signals.set('ams/default cache.hit_ratio', 0.4).set('ams/default tokens.per_s', 900)
    requests(150, T0, { completionTokens: 70 })
    requests(
      50,
      T0,
      { cluster: 'fra', firstBodyMs: 500, durationMs: 2_500 },
      { reason: 'fallback', target: 'fra/default' },
    )
    requests(20, T0, { status: 500, durationMs: 3 })
    requests(10, T0, { status: 429, cluster: '' }, { action: 'deny', status: 429, reason: 'no-target' } as never)
    const ask = async (by: string[], where = {}) =>
      (await measure.ask({ by: by as never, where, from: T0, to: T0 + 9_000 }, T0 + 1_000)).rows
    const [ams, fra, none] = await ask(['site', 'gpu', 'hour'])
    t.match(ams, {
      by: { site: 'ams', gpu: 'H100', hour: '08' },
      requests: 170,
      verdicts: { ok: 150, error: 20 },
      sloRatio: 1,
      fallbackRatio: 0,
      cacheHitRatio: 0.4,
      tokens: { completion: 10_500, perStreamS: 100, poolPerS: 900 },
      times: { ttft: { count: 150, p95: null, p99: null, insufficient: ['p95', 'p99'] }, response: { count: 150 } },
    })
    t.ok(Math.abs(ams!.times.ttft.p50! - 200) <= 2.1)
    t.ok(Math.abs(ams!.errorRatio! - 20 / 170) < 1e-9)
    t.match(fra, { by: { site: 'fra' }, fallbackRatio: 1, sloRatio: 0 })
    t.match(none, { by: { site: '' }, requests: 10, verdicts: { refused: 10 }, errorRatio: null })
    const [whole] = await ask([])
    t.equal(whole!.times.ttft.count, 200)
    t.ok(Math.abs(whole!.times.ttft.p95! - 500) <= 5.1, 'merged, not averaged')
    t.equal(
      (await ask(['policy', 'tier', 'revision'], { site: 'fra', class: 'chat' }))[0]!.by.revision,
      'llama@2026-09',
    )
    t.same(await ask(['region'], { site: 'dxb' }), [])
  })
}
