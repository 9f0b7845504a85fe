import { mkdtempSync, rmSync } from 'node:fs'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { defaultClusters } from '../../src/envoy/config/aggregates.ts'
import { startEnvoyServer } from '../../src/envoy/grpc-server.ts'
import { handlersOf } from '../../src/envoy/serving.ts'
import { HEADERS } from '../../src/model/headers.ts'
import { askedCases, caseFolders } from '../helpers/asked-cases.ts'
import { type Received, unmetByAnswer } from '../helpers/case-answer.ts'
import { caseEnvoy, VERIFIED_CLASS } from '../helpers/case-envoy.ts'
import { type Asked, caseJudge, headersOf } from '../helpers/case-judge.ts'
import { type Answer, ask, until } from '../helpers/running-envoy.ts'

// The third depth that every case runs at: the request goes through a real Envoy with the configuration that hubward
// generates, and what counts is where it arrives, or what the client is told. test/contract has the other two.

const folder = mkdtempSync(join(tmpdir(), 'hubward-cases-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))
const agent = new Agent({ keepAlive: true })
t.teardown(() => agent.destroy())

/** Envoy's own words for what the decision calls its cluster are not told to clients: the place of arrival is seen instead. */
const received = ({ status, headers, body }: Answer): Received => {
  const told = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]))
  if (status !== 200) return { headers: told, refused: { status, body } }
  // A decision without a target leaves the request to Envoy: where that sends it is looked at apart.
  return told[HEADERS.site] === undefined ? { headers: told } : { headers: told, cluster: body }
}

/** The same headers, the residency attribute said by the filter that may: what clients send of it is stripped. */
const throughEnvoy = (asked: Asked): Record<string, string> => {
  const { [HEADERS.residency]: residency, ...headers } = headersOf(asked)
  return residency === undefined ? headers : { ...headers, [VERIFIED_CLASS]: residency }
}

for (const [index, one] of caseFolders().entries()) {
  t.test(`the cases of ${one.name} through Envoy`, async (t) => {
    const failed: string[] = []
    const judge = caseJudge()
    const socket = join(folder, `${index}.sock`)
    const server = await startEnvoyServer(
      [{ unix: socket }],
      handlersOf({ judge: judge.judge, failed: (error, where) => failed.push(`${where}: ${error}`) }),
    )
    t.teardown(() => server.close())
    server.setServing(true)
    const cases = askedCases(one)
    const { envoy, port, stop } = await caseEnvoy(one.set, cases, socket)
    t.teardown(stop)
    await until('Envoy to see hubward', async () => {
      const gauges = await envoy.stats('cluster\\.hubward-sidecar\\.membership_healthy')
      return Object.values(gauges)[0] === 1
    })
    for (const { name, questions } of cases) {
      t.test(name, async (t) => {
        for (const question of questions) {
          const { facts, snapshot, step } = question
          judge.ask(question)
          const { method = 'POST', path = '/v1/chat/completions' } = facts
          const answer = await ask(port, path, { method, headers: throughEnvoy(question), agent })
          const at = step === 0 ? 'Envoy' : `Envoy, step ${step}`
          const seen = judge.seen()
          t.equal(seen.length, 1, `${at} asks hubward once`)
          t.strictSame(unmetByAnswer(question, received(answer), ['cluster', 'arm']), [], at)
          const decision = seen[0]?.decision
          if (decision?.action !== 'route') continue
          if (decision.target === undefined) {
            const residency = one.set.residencies.find(({ metadata }) => metadata.name === facts.residencyClass)
            t.ok(
              residency !== undefined && defaultClusters(one.set, residency).includes(answer.body),
              `${at}: the default`,
            )
          } else {
            const cluster = snapshot.programs.targets.find(({ name }) => name === decision.target)?.cluster
            t.equal(answer.body, cluster, `${at}: it arrives at ${decision.target}`)
          }
        }
      })
    }
    t.test('nothing failed on the way, and Envoy went its own way never', async (t) => {
      t.strictSame(failed, [])
      const counters = await envoy.stats(
        'failure_mode_allowed|message_timeouts|streams_failed|rejected_header_mutations',
      )
      t.ok(Object.keys(counters).length > 0)
      t.ok(
        Object.values(counters).every((count) => count === 0),
        JSON.stringify(counters),
      )
    })
  })
}
