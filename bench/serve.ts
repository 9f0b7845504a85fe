import { randomBytes } from 'node:crypto'
import { decide } from '../src/engine/decide.ts'
import { startEnvoyServer } from '../src/envoy/grpc-server.ts'
import { handlersOf } from '../src/envoy/serving.ts'
import { compileFacts } from '../src/request/facts.ts'
import { worldOf } from './engine.ts'

/*
 * hubward's request path as `hubward serve` wires it, on a snapshot of 50 sites and 20 policies, without feeds and
 * files: `node bench/serve.ts SOCKET [TRANSPORT]`. What is measured is bytes, facts, decision and answer.
 */

const snapshot = worldOf(50, 20, 'a')
const readFacts = compileFacts(
  [
    {
      metadata: { name: 'bench' },
      trustedHops: 0,
      trustedPeers: [],
      facts: {
        class: [{ from: 'value', value: 'chat' }],
        tenant: [{ from: 'header', name: 'x-tenant', trusted: true }],
        region: [{ from: 'header', name: 'x-region', trusted: true }],
      },
      residency: [{ from: 'value', value: 'EU' }],
      tenantResidency: {},
      bodyBytesMax: 0,
    },
  ],
  [{ metadata: { name: 'EU' }, allows: ['EU'] }],
)
const tally = { dispatched: {} as Record<string, number>, held: {}, sidecars: 1 }
let requests = 0

await startEnvoyServer(
  [{ unix: process.argv[2]! }],
  handlersOf({
    failed: (error) => console.error(error),
    judge: (view) => {
      requests += 1
      const seed = randomBytes(8).toString('hex')
      // The snapshot stands still, and so does its clock: otherwise everything would be stale after five seconds.
      const { facts } = readFacts(view, snapshot.data.at, { seed, requestId: `r${requests}` })
      const decision = decide(facts, snapshot, tally, snapshot.data.at, `d${requests}`)
      if (decision.action === 'route' && decision.target !== undefined)
        tally.dispatched[decision.target] = (tally.dispatched[decision.target] ?? 0) + 1
      return { decision }
    },
  }),
  (error) => console.error(error),
  process.argv[3] === 'own' ? 'own' : 'grpc-js',
).then((server) => server.setServing(true))
console.log('up')
process.on('SIGTERM', () => process.exit(0))
