import type { Test } from 'tap'
import { createArms } from '../../src/measure/arms.ts'
import type { Decided, Outcome, Verdict } from '../../src/model/outcome.ts'
import type { Arm, Rollout, RolloutState } from '../../src/model/rollout.ts'
import { RolloutWorld, rollout } from './rollout-world.ts'
import { T0 } from './world.ts'

/** What came of a request of an arm, a moment after the rollout began, and whatever else is said. */
export const outcomeOf = (
  arm: Arm | null,
  over: Partial<Omit<Outcome, 'entry' | 'decided'>> & {
    decided?: Partial<Decided>
    durationMs?: number
    firstBodyMs?: number
  } = {},
): Outcome => {
  const { decided, durationMs = 100, firstBodyMs = 50, ...rest } = over
  return {
    at: T0 + 1_000,
    entry: {
      decision: 'd',
      requestId: 'r',
      startedAt: T0,
      durationMs,
      firstBodyMs,
      firstHeaderMs: 10,
      upstreamBeginMs: 5,
      status: 200,
      flags: [],
      details: '',
      cluster: 'ams',
      attempts: 1,
      requestBytes: 0,
      responseBytes: 0,
      headers: {},
    },
    decided: {
      id: 'd',
      at: T0 + 1,
      class: 'chat',
      action: 'route',
      reason: 'first-choice',
      target: 'ams/default',
      firstChoice: 'ams',
      policy: 'p@2',
      arm,
      flag: arm === null ? null : 'prefer-ams-for-chat',
      rollout: arm === null ? null : 'amsterdam-first',
      forced: false,
      ...decided,
    },
    class: 'chat',
    target: 'ams/default',
    verdict: 'ok',
    withinSlo: null,
    parts: {},
    ...rest,
  }
}

const following = (doc: Rollout = rollout()) => {
  const arms = createArms()
  const { state } = new RolloutWorld(doc)
  arms.follow([{ rollout: doc, state }])
  arms.read(T0)
  return { arms, state, follow: (next: RolloutState) => arms.follow([{ rollout: doc, state: next }]) }
}

/** What arms take in, and what they leave out. */
export const armsCases = async (t: Test): Promise<void> => {
  t.test('counts requests by arm, and those of the class that take no part', async (t) => {
    const { arms } = following()
    arms.ended(outcomeOf('control'))
    arms.ended(outcomeOf('treatment', { verdict: 'error' }))
    arms.ended(outcomeOf(null))
    arms.ended(outcomeOf('treatment', { decided: { class: 'training' } }))
    t.match(arms.read(T0 + 1_000), [
      {
        rollout: 'amsterdam-first',
        counts: { control: { units: 1, bad: {} }, treatment: { units: 1, bad: { error: 1 } } },
        classUnits: 3,
      },
    ])
    t.same(arms.read(T0 + 2_000), [], 'what was told is told once')
  })
  t.test("leaves out testers' requests, and those that were decided before the present shares", async (t) => {
    const { arms, state, follow } = following()
    arms.ended(outcomeOf('treatment', { decided: { forced: true } }))
    arms.ended({ ...outcomeOf('treatment'), decided: null })
    t.same(arms.read(T0 + 1_000), [])
    arms.ended(outcomeOf('treatment'))
    follow({ ...state, stage: 1, shareBp: 1_000, exposedAt: T0 + 5_000 })
    arms.ended(outcomeOf('treatment', { verdict: 'timeout' }))
    const [reading] = arms.read(T0 + 6_000)
    t.equal(reading?.counts.treatment.units, 0)
    t.equal(reading?.criteria.find(({ metric }) => metric === 'response.p95_ms')?.units.treatment, 0)
  })
  t.test('a session is assigned once', async (t) => {
    const { arms } = following()
    for (let at = 0; at < 10; at++) arms.ended(outcomeOf('treatment', { decided: { session: 7 } }))
    arms.ended(outcomeOf('treatment'))
    const [reading] = arms.read(T0 + 1_000)
    t.equal(reading?.assigned?.treatment, 2)
    t.equal(reading?.counts.treatment.units, 11)
  })
  t.test('delay, queue and deny count against an arm, and are not fast answers of it', async (t) => {
    const { arms } = following()
    for (let at = 0; at < 300; at++) arms.ended(outcomeOf('treatment', { durationMs: 500 }))
    for (let at = 0; at < 300; at++)
      arms.ended(outcomeOf('treatment', { verdict: 'refused', durationMs: 1, target: null }))
    const [reading] = arms.read(T0 + 1_000)
    t.equal(reading?.counts.treatment.bad.refused, 300)
    const response = reading?.criteria.find(({ metric }) => metric === 'response.p95_ms')
    t.ok(Math.abs(response!.treatment! - 500) < 5)
    t.equal(reading?.criteria.find(({ metric }) => metric === 'refused.ratio')?.treatment, 0.5)
  })
  t.test('clients that leave make no arm look fast, and who waited in vain has met a time-out', async (t) => {
    const { arms } = following(rollout({ success: [{ metric: 'ttft.p95_ms', improveBy: 10 }] }))
    for (let at = 0; at < 400; at++) arms.ended(outcomeOf('control', { durationMs: 400, firstBodyMs: 300 }))
    arms.read(T0 + 1_000)
    // A fifth never hear anything and go after a minute; the others are served faster than in the control.
    for (let at = 0; at < 320; at++) arms.ended(outcomeOf('treatment', { durationMs: 200, firstBodyMs: 100 }))
    for (let at = 0; at < 80; at++)
      arms.ended(outcomeOf('treatment', { verdict: 'left', durationMs: 60_000, firstBodyMs: -1 }))
    // Who goes while the answer comes, or before it could, has waited for nothing.
    arms.ended(outcomeOf('treatment', { verdict: 'left', durationMs: 9_000, firstBodyMs: 100 }))
    arms.ended(outcomeOf('treatment', { verdict: 'left', durationMs: 50, firstBodyMs: -1 }))
    const [reading] = arms.read(T0 + 9_000)
    const of = (name: string) => reading?.criteria.find(({ metric }) => metric === name)
    t.equal(reading?.counts.treatment.bad.timeout, 80)
    t.ok(Math.abs(of('errors.ratio')!.treatment! - 80 / 402) < 1e-9)
    t.ok(of('ttft.p95_ms')!.treatment! > 50_000, `${of('ttft.p95_ms')!.treatment}`)
    t.equal(of('ttft.p95_ms')!.units.treatment, 402)
  })
  t.test('a time-out without a byte has waited for it as long as it took', async (t) => {
    const { arms } = following(rollout({ success: [{ metric: 'ttft.p50_ms', improveBy: 10 }] }))
    for (let at = 0; at < 50; at++)
      arms.ended(outcomeOf('treatment', { verdict: 'timeout', durationMs: 30_000, firstBodyMs: -1 }))
    const ttft = arms.read(T0 + 9_000)[0]?.criteria.find(({ metric }) => metric === 'ttft.p50_ms')
    t.ok(ttft!.treatment! > 29_000)
  })
  t.test('an outcome that a criterion asks for has room, however many others are reported', async (t) => {
    const { arms } = following(rollout({ success: [{ metric: 'outcome.tickets', worseByAtMost: 1 }] }))
    const { decided } = outcomeOf('control')
    for (let at = 0; at < 20; at++) arms.reported({ name: `other-${at}`, decision: 'd', value: 1 }, decided!)
    arms.reported({ name: 'tickets', decision: 'd', value: 0 }, decided!)
    const { criteria = [] } = arms.read(T0 + 9_000)[0] ?? {}
    t.match(
      criteria.find(({ metric }) => metric === 'outcome.tickets'),
      { control: 0, units: { control: 1 } },
    )
    t.ok(criteria.length < 20, 'those that nobody asks for are not all told')
  })
  t.test('slower is what is beyond a quantile that the control had shown before', async (t) => {
    const { arms } = following()
    for (let ms = 1; ms <= 400; ms++) arms.ended(outcomeOf('control', { durationMs: ms }))
    arms.ended(outcomeOf('treatment', { durationMs: 9_999 }))
    t.same(arms.read(T0 + 1_000)[0]?.counts.treatment.bad, {}, 'nothing was known when it came')
    arms.ended(outcomeOf('treatment', { durationMs: 300 }))
    arms.ended(outcomeOf('treatment', { durationMs: 399 }))
    t.same(arms.read(T0 + 2_000)[0]?.counts.treatment.bad, { 'slower-than-p50': 2, 'slower-than-p95': 1 })
  })
  t.test('criteria have bounds that hold what was seen, and an arm without requests has none', async (t) => {
    const { arms } = following(rollout({ success: [{ metric: 'ttft.p50_ms', improveBy: 10 }] }))
    for (let at = 0; at < 500; at++) arms.ended(outcomeOf('control', { firstBodyMs: 100 + (at % 10) }))
    const of = (now: number) => arms.read(now)[0]?.criteria.find(({ metric }) => metric === 'ttft.p50_ms')
    t.match(of(T0 + 1_000), {
      treatment: null,
      difference: null,
      low: null,
      high: null,
      units: { control: 500, treatment: 0 },
    })
    for (let at = 0; at < 500; at++) arms.ended(outcomeOf('treatment', { firstBodyMs: 60 + (at % 10) }))
    const both = of(T0 + 9_000)!
    t.ok(both.low! < both.difference! && both.difference! < both.high!)
    t.ok(both.high! < -30)
  })
  t.test('served elsewhere than by the first choice is a fallback', async (t) => {
    const { arms } = following()
    arms.ended(outcomeOf('control', { target: 'fra/default' }))
    arms.ended(outcomeOf('control', { target: 'ams/default' }))
    const fallback = arms.read(T0 + 1_000)[0]?.criteria.find(({ metric }) => metric === 'fallback.ratio')
    t.equal(fallback?.control, 0.5)
  })
  t.test('what is reported of a decision counts once, and of a day replaces what was', async (t) => {
    const { arms } = following(rollout({ business: [{ outcome: 'tickets', improve: 'lower' }] }))
    const decided = outcomeOf('treatment').decided!
    for (const value of [1, 1]) arms.reported({ name: 'tickets', decision: 'd1', value }, decided)
    arms.reported({ name: 'tickets', decision: 'd2', value: 0 }, { ...decided, forced: true })
    const day = { name: 'tickets', rollout: 'amsterdam-first', arm: 'treatment', day: '2026-11-28' } as const
    arms.reported({ ...day, count: 10, sum: 5 }, undefined)
    arms.reported({ ...day, count: 3, sum: 0 }, undefined)
    const tickets = arms.read(T0 + 9_000)[0]?.criteria.find(({ metric }) => metric === 'outcome.tickets')
    t.match(tickets, { treatment: 0.25, units: { treatment: 4, control: 0 } })
  })
  t.test('numbers of days without their squares have a mean and no bounds', async (t) => {
    const { arms } = following()
    for (const arm of ['control', 'treatment'] as const)
      arms.reported(
        { name: 'minutes', rollout: 'amsterdam-first', arm, day: '2026-11-28', count: 500, sum: 1_234.5 },
        undefined,
      )
    const minutes = arms.read(T0 + 9_000)[0]?.criteria.find(({ metric }) => metric === 'outcome.minutes')
    t.match(minutes, { treatment: 2.469, difference: 0, low: null, high: null })
  })
  t.test('a job counts once its success is reported, and at once where it never ran', async (t) => {
    const { arms } = following(rollout({ unit: 'job', guardrails: [{ event: 'job-failed', ratioMax: 2 }] }))
    const end = (id: string, verdict: Verdict) => arms.ended(outcomeOf('treatment', { verdict, decided: { id } }))
    end('d', 'ok')
    end('e', 'refused')
    t.match(arms.read(T0 + 1_000)[0], {
      counts: { treatment: { units: 1, bad: { refused: 1 } } },
      ...{ classUnits: 2, took: 2 },
    })
    const { decided } = outcomeOf('treatment')
    arms.reported({ name: 'job-success', decision: 'd', value: 0 }, decided!)
    t.match(arms.read(T0 + 2_000)[0]?.counts.treatment, { units: 1, bad: { 'job-failed': 1 } })
  })
  t.test('a job counts once, though its client left or was not answered in time', async (t) => {
    const { arms } = following(rollout({ unit: 'job', guardrails: [{ event: 'job-failed', ratioMax: 2 }] }))
    const ends = [
      ['a', 'left'],
      ['b', 'timeout'],
    ] as const
    for (const [id, verdict] of ends) {
      const outcome = outcomeOf('treatment', { verdict, decided: { id } })
      arms.ended(outcome)
      arms.reported({ name: 'job-success', decision: id, value: 0 }, outcome.decided!)
    }
    t.match(arms.read(T0 + 1_000)[0]?.counts.treatment, { units: 2, bad: { timeout: 1, 'job-failed': 1 } })
  })
  t.test('what is kept over a restart goes on where the same document and shares are in force', async (t) => {
    const doc = rollout()
    const { arms, state } = following(doc)
    for (let ms = 1; ms <= 300; ms++) arms.ended(outcomeOf('control', { durationMs: ms, artifact: 'llama@1' }))
    arms.reported({ name: 'tickets', decision: 'd', value: 1 }, outcomeOf('control').decided!)
    arms.read(T0 + 1_000)
    const memory = JSON.parse(JSON.stringify(arms.save()))
    const again = createArms()
    again.restore(memory)
    again.follow([{ rollout: doc, state }])
    t.same(JSON.parse(JSON.stringify(again.save())), memory)
    again.ended(outcomeOf('treatment', { durationMs: 299 }))
    t.match(again.read(T0 + 2_000), [
      { counts: { treatment: { bad: { 'slower-than-p95': 1 } } }, artifacts: { control: ['llama@1'] } },
    ])
    const other = createArms()
    other.restore(memory)
    other.follow([{ rollout: doc, state: { ...state, hash: 'another' } }])
    t.match(other.save(), { 'amsterdam-first': { units: { control: 0 }, outcomes: {} } })
  })
}
