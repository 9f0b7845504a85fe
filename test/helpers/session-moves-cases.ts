import type { Test } from 'tap'
import { checkAnswer, decisionHeaders, processingAnswer } from '../../src/envoy/answer.ts'
import type { Decision } from '../../src/model/decision.ts'
import type { Event } from '../../src/model/event.ts'
import { createSessionMoves } from '../../src/sidecar/session-moves.ts'
import { toSite } from './scripted-judge.ts'

const movedTo = (site: string, movedFrom: string): Decision => ({
  ...toSite(site),
  session: 'moved',
  movedFrom,
})

/** What is told of sessions that change their target. */
export function sessionMovesCases(t: Test): void {
  t.test('a session that moved names where it was, beside where it is, in both protocols', async (t) => {
    const headers = Object.fromEntries(decisionHeaders(movedTo('fra', 'ams/h100')))
    t.match(headers, { 'x-hubward-moved-from': 'ams/h100', 'x-hubward-site': 'fra' })
    t.notOk(decisionHeaders(toSite('fra')).some(([name]) => name === 'x-hubward-moved-from'))
    t.ok(processingAnswer(movedTo('fra', 'ams/h100'), 'request_headers').includes('ams/h100'))
    t.ok(checkAnswer(movedTo('fra', 'ams/h100')).includes('ams/h100'))
  })

  t.test('sessions that leave a site together are one event a second, with their number', async (t) => {
    const events: Event[] = []
    const moves = createSessionMoves((event) => events.push(event))
    for (let count = 0; count < 1_000; count++) moves.moved(movedTo('fra', 'ams/h100'))
    moves.moved(movedTo('lon', 'ams/h100'))
    moves.moved(toSite('fra'))
    moves.tell(7)
    moves.tell(8)
    t.match(events, [
      { kind: 'session-moved', at: 7, from: 'ams/h100', to: /^fra/, count: 1_000 },
      { kind: 'session-moved', at: 7, from: 'ams/h100', to: /^lon/, count: 1 },
    ])
    t.equal(events.length, 2)
  })

  t.test('the number of pairs that are told apart is bounded, and none is lost', async (t) => {
    const events: Extract<Event, { kind: 'session-moved' }>[] = []
    const moves = createSessionMoves((event) => event.kind === 'session-moved' && events.push(event))
    for (let count = 0; count < 500; count++) moves.moved(movedTo('fra', `site-${count % 250}/h100`))
    moves.tell(1)
    t.equal(events.length, 201)
    t.equal(
      events.reduce((sum, { count }) => sum + count, 0),
      500,
    )
    t.match(events.at(-1), { from: 'others', to: 'others', count: 100 })
  })
}
