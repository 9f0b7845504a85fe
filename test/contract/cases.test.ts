import t from 'tap'
import { CASE_ENGINE } from '../../src/cli/case-engine.ts'
import { unmet } from '../../src/documents/case-then.ts'
import { decide } from '../../src/engine/decide.ts'
import { startEnvoyServer } from '../../src/envoy/grpc-server.ts'
import { handlersOf } from '../../src/envoy/serving.ts'
import type { Facts } from '../../src/model/facts.ts'
import { HEADERS } from '../../src/model/headers.ts'
import { askedCases, caseFolders } from '../helpers/asked-cases.ts'
import { type Received, unmetByAnswer } from '../helpers/case-answer.ts'
import { caseJudge, headersOf } from '../helpers/case-judge.ts'
import { envoyLike } from '../helpers/case-wire.ts'

// Two of the three depths that every case runs at: the engine, and hubward's request path over gRPC. test/e2e has the
// third, a real Envoy. To add a case, write it into test/cases: nothing here names one.

const failed: string[] = []
const cases = caseJudge()
const server = await startEnvoyServer(
  [{ host: '127.0.0.1', port: 0 }],
  handlersOf({ judge: cases.judge, failed: (error, where) => failed.push(`${where}: ${error}`) }),
)
t.teardown(() => server.close())
const envoy = envoyLike(server.addresses[0]!)
t.teardown(() => envoy.close())

/** Facts as they can be compared: what is not there is left out, and lists of jurisdictions have no order. */
const comparable = ({ method: _method, path: _path, residency, ...facts }: Facts): unknown =>
  JSON.parse(JSON.stringify({ ...facts, residency: residency?.toSorted() }))

for (const folder of caseFolders()) {
  t.test(`the cases of ${folder.name}`, async (t) => {
    for (const { name, questions } of askedCases(folder)) {
      t.test(name, async (t) => {
        for (const question of questions) {
          const { facts, snapshot, tally, now, id, then, step } = question
          const at = step === 0 ? '' : `, step ${step}`
          const readinessOf = (target: string) => CASE_ENGINE.readiness(snapshot, target, facts.class, now)
          t.strictSame(unmet(then, decide(facts, snapshot, tally, now, id), readinessOf), [], `the engine${at}`)

          const headers = {
            ':method': facts.method ?? 'POST',
            ':path': facts.path ?? '/v1/chat',
            ...headersOf(question),
          }
          for (const protocol of ['process', 'check'] as const) {
            cases.ask(question)
            const received: Received = await envoy[protocol](headers)
            t.strictSame(unmetByAnswer(question, received), [], `${protocol}${at}`)
            const seen = cases.seen()
            t.equal(seen.length, 1, 'it is decided once')
            t.strictSame(
              comparable(seen[0]!.facts),
              comparable(facts),
              `${protocol}${at}: the facts went there as headers`,
            )
            const { decision } = seen[0]!
            if (then.session !== undefined) t.equal(decision.session, then.session, `${protocol}${at}: the session`)
            const begins = decision.action === 'route' && ['new', 'moved'].includes(decision.session)
            t.equal(
              received.headers[HEADERS.session] !== undefined,
              begins,
              `${protocol}${at}: a token begins a session`,
            )
          }
        }
      })
    }
  })
}

t.test('nothing failed on the way', async (t) => {
  t.strictSame(failed, [])
})
