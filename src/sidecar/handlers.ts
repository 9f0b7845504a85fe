import type { Handlers } from '../envoy/handlers.ts'
import { type Asked, handlersOf, type Judged } from '../envoy/serving.ts'
import { WireError } from '../envoy/wire/reader.ts'
import type { Metrics } from '../metrics.ts'
import type { RequestView } from '../model/request-view.ts'
import { NotReady } from './judge.ts'

/** The request path between bytes and bytes, counted: messages, the time that each took, and what went wrong. */
export function countingHandlers(
  judge: (view: RequestView, asked: Asked) => Judged,
  metrics: Metrics,
  bug: (error: unknown, where: string) => void,
): Handlers {
  const { process, check } = handlersOf({ judge, failed: () => {} })
  return {
    process: (message, stream) => {
      const begun = performance.now()
      const answer = process(message, stream)
      metrics.observeMs('hubward_request_seconds', performance.now() - begun)
      metrics.add('hubward_messages_total', 1, 'ext_proc')
      return answer
    },
    check: (message) => {
      const begun = performance.now()
      const answer = check(message)
      metrics.observeMs('hubward_request_seconds', performance.now() - begun)
      metrics.add('hubward_messages_total', 1, 'ext_authz')
      return answer
    },
    failed: (error, where) => {
      // What is no message is Envoy's doing, or somebody's who is not Envoy; everything else is ours.
      if (error instanceof NotReady) metrics.add('hubward_unready_requests_total', 1, where)
      else if (error instanceof WireError) metrics.add('hubward_malformed_messages_total', 1, where)
      else {
        metrics.add('hubward_handler_errors_total', 1, where)
        bug(error, where)
      }
    },
  }
}
