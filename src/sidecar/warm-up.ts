import { selfWarm } from '../envoy/self-warm.ts'
import { handlersOf } from '../envoy/serving.ts'
import type { TransportName } from '../envoy/transports.ts'
import { createMetrics } from '../metrics.ts'
import { createJudge, type JudgeParts } from './judge.ts'
import { createTally } from './tally.ts'

/**
 * Runs the request path on requests of our own before Envoy's: on the documents in force, from bytes to bytes and over
 * gRPC, with counters and a journal that nobody reads. `bug` hears of what went wrong; it is no reason not to serve.
 */
export function warmUp(
  parts: JudgeParts,
  bug: (error: unknown, where: string) => void,
  transport: TransportName,
): Promise<void> {
  const { admit: _admit, room: _room, onDecided: _decided, weigh: _weigh, ...judgeParts } = parts
  const judge = createJudge({
    ...judgeParts,
    tally: createTally(parts.tally.sidecars),
    metrics: createMetrics(),
    journal: { wants: () => undefined, keep: () => {} },
    onPanic: () => {},
    onStale: () => {},
  })
  return selfWarm(handlersOf({ judge, failed: (error) => bug(error, 'warm-up') }), { transport })
}
