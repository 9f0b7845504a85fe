import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { startEnvoyServer } from '../../src/envoy/grpc-server.ts'
import { handlersOf } from '../../src/envoy/serving.ts'
import { askedBy, expectedHeaders, headersOf, judgeOfCases } from '../helpers/case-depths.ts'
import { minimalEnvoy } from '../helpers/envoy-minimal.ts'
import { ask, startEnvoy } from '../helpers/running-envoy.ts'

const folder = mkdtempSync(join(tmpdir(), 'hubward-cases-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

t.test('each case arrives through a real Envoy where the engine says, or is refused as it says', async (t) => {
  const asked = askedBy('rules.yaml')
  const clusters = asked.flatMap(({ decision }) =>
    (decision.action === 'route' || decision.action === 'degrade') && decision.cluster !== undefined
      ? [decision.cluster]
      : [],
  )
  const socket = join(folder, 's.sock')
  const server = await startEnvoyServer(
    [{ unix: socket }],
    handlersOf({ judge: judgeOfCases(asked), failed: (error) => t.fail(String(error)) }),
  )
  t.teardown(() => server.close())
  server.setServing(true)
  const envoy = await startEnvoy(
    minimalEnvoy(folder, { sidecar: { path: socket }, sites: ['default', ...new Set(clusters)] }),
  )
  t.teardown(() => envoy.stop())
  const port = await envoy.port()
  let arrived = 0
  for (const [index, one] of asked.entries()) {
    const { decision } = one
    const answer = await ask(port, '/v1/chat/completions', { method: 'POST', headers: headersOf(index, one) })
    if (decision.action === 'delay' || decision.action === 'deny') {
      t.equal(answer.status, decision.status, one.name)
      t.match(
        answer.headers,
        {
          ...expectedHeaders(decision),
          'content-type': 'application/problem+json',
          ...(decision.retryAfterMs === undefined
            ? {}
            : { 'retry-after': String(Math.ceil(decision.retryAfterMs / 1_000)) }),
        },
        one.name,
      )
    } else if (decision.action !== 'queue') {
      t.equal(answer.body, decision.cluster ?? 'default', one.name)
      arrived += 1
    }
  }
  t.ok(arrived > 20, `${arrived} arrived somewhere`)
})
