import type { Decision } from '../model/decision.ts'
import type { RequestView } from '../model/request-view.ts'
import { type AnswerExtras, checkAnswer, passOn, processingAnswer } from './answer.ts'
import type { Handlers } from './handlers.ts'
import { checkView, processingView } from './view.ts'
import { decodeCheckRequest } from './wire/ext-authz-request.ts'
import { decodeProcessingRequest, type ProcessingRequest } from './wire/ext-proc-request.ts'
import { WireError } from './wire/reader.ts'

/** A decision and what goes with it to the client or the next hubward. */
export interface Judged {
  readonly decision: Decision
  readonly extras?: AnswerExtras
}

/** What the request path is made of: the judge, and who hears of failures. */
export interface Serving {
  /** Decides one request, once. */
  readonly judge: (view: RequestView, protocol: 'ext_proc' | 'ext_authz') => Judged
  readonly failed: Handlers['failed']
}

/** Envoy's value of request_body_mode for BUFFERED: the whole body comes in one message. */
const BUFFERED = 2

/**
 * The request path between bytes and bytes. A request is judged on its headers, or on its body where the route asks
 * Envoy for one; never twice. Knows nothing of the transport under it.
 */
export const handlersOf = ({ judge, failed }: Serving): Handlers => ({
  failed,
  process: (bytes, stream) => {
    const message = decodeProcessingRequest(bytes)
    // Envoy does not wait for an answer in this mode, and none may be given.
    if (message.observabilityMode) return undefined
    switch (message.kind) {
      case 'request_headers': {
        if (message.requestBodyMode === BUFFERED && !message.endOfStream) {
          stream.waiting = message
          return passOn('request_headers')
        }
        const { decision, extras } = judge(processingView(message), 'ext_proc')
        return processingAnswer(decision, 'request_headers', extras)
      }
      case 'request_body': {
        const headers = stream.waiting as ProcessingRequest | undefined
        if (headers === undefined || !message.endOfStream) return passOn('request_body')
        stream.waiting = undefined
        const body = message.body ?? Buffer.alloc(0)
        const { decision, extras } = judge(processingView(headers, body), 'ext_proc')
        return processingAnswer(decision, 'request_body', { ...extras, body })
      }
      case 'response_headers':
        return passOn('response_headers')
      default:
        throw new WireError(`a message that hubward does not answer: ${message.kind}`)
    }
  },
  check: (bytes) => {
    const { decision, extras } = judge(checkView(decodeCheckRequest(bytes)), 'ext_authz')
    return checkAnswer(decision, extras)
  },
})
