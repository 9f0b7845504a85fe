import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { readMeasureState, writeMeasureState } from '../../src/measure/state-file.ts'
import { decision, facts, idAt, measuring } from './measure-world.ts'
import { T0 } from './world.ts'

/** What a business reports of its requests, and how it is kept. */
export const businessCases = (t: Test): void => {
  t.test('an outcome of a decision counts once, for the arm that its request was in', async (t) => {
    const { measure, reported, metrics } = measuring({ pending: 4 })
    const arm = (name: 'control' | 'treatment') => ({ arm: name, rollout: 'nearer' }) as const
    measure.decided(facts(), decision(idAt(T0, 1), arm('treatment')), undefined, true)
    measure.decided(facts(), decision(idAt(T0, 2), arm('control')), undefined, true)
    measure.decided(facts(), decision(idAt(T0, 3)), undefined, true)
    measure.decided(facts(), decision(idAt(T0, 4), { ...arm('control'), forced: true }), undefined, true)
    // The ring of all decisions forgets the first two, the one of arms does not.
    for (let n = 5; n < 8; n++) measure.decided(facts(), decision(idAt(T0, n)), undefined, true)
    const of = (n: number, value = 1) => ({ name: 'session-completed', decision: idAt(T0, n), value })
    t.same(measure.report([of(1), of(1), of(2, 0), of(3), of(7), of(99)]), [
      ...['counted', 'again', 'counted', 'unknown', 'no-arm', 'unknown'],
    ])
    t.equal(reported.length, 2)
    t.match(reported[0]![1], { arm: 'treatment', rollout: 'nearer', forced: false })
    t.same(measure.reports(), [
      { rollout: 'nearer', arm: 'treatment', name: 'session-completed', n: 1, sum: 1, sumOfSquares: 1 },
      { rollout: 'nearer', arm: 'control', name: 'session-completed', n: 1, sum: 0, sumOfSquares: 0 },
    ])
    t.equal(metrics.value('hubward_reported_outcomes_total', 'again'), 1)
  })

  t.test('a day that is sent anew replaces what was sent of it before', async (t) => {
    const { measure, reported } = measuring()
    const of = (day: string, count: number, sum: number) =>
      ({ name: 'turns', rollout: 'nearer', arm: 'control', day, count, sum, sumOfSquares: sum * sum }) as const
    t.same(measure.report([of('2026-11-27', 3, 9), of('2026-11-28', 2, 4), of('2026-11-27', 5, 10)]), [
      ...['counted', 'counted', 'replaced'],
    ])
    t.match(measure.reports(), [{ n: 7, sum: 14, sumOfSquares: 116 }])
    t.equal(reported.length, 3, 'the arms replace it too')
  })

  t.test('there are at most 64 names, and a list with one too many counts for nothing', async (t) => {
    const { measure } = measuring()
    const of = (name: string) => ({ name, rollout: 'r', arm: 'control', day: '2026-11-28', count: 1, sum: 1 }) as const
    measure.report(Array.from({ length: 63 }, (_, n) => of(`name-${n}`)))
    const refused = measure.report([of('name-63'), of('one-more')])
    t.match(refused, { name: 'one-more', message: /64 names are in use/, remedy: /name-0/ })
    t.equal(measure.reports().length, 63)
    t.same(measure.report([of('name-63'), of('name-1')]), ['counted', 'replaced'])
  })

  t.test('what is kept on disk comes back, and what is not whole is put aside', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'hubward-measure-'))
    t.teardown(() => rmSync(folder, { recursive: true, force: true }))
    const path = join(folder, 'deep', 'measurements.json')
    t.same(readMeasureState(path), {})
    const { measure, requests } = measuring()
    requests(5, T0)
    await writeMeasureState(path, measure.state())
    t.same(readMeasureState(path).state, JSON.parse(JSON.stringify(measure.state())))
    const text = readFileSync(path, 'utf8')
    for (const damaged of [text.slice(0, -9), text.replace('ams', 'fra'), 'nonsense', '']) {
      writeFileSync(path, damaged)
      const { state, problem } = readMeasureState(path)
      t.equal(state, undefined)
      t.match(problem, { code: 'measure/damaged', remedy: /\.damaged/ })
      t.same(readMeasureState(path), {}, 'it is not there any more')
    }
  })
}
