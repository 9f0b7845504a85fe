import type { Decision } from '../model/decision.ts'
import type { RequestView } from '../model/request-view.ts'
import { type AnswerExtras, checkAnswer, passOn, processingAnswer } from './answer.ts'
import { END, type Handlers, type Protocol, type StreamState } from './handlers.ts'
import { checkView, processingView } from './view.ts'
import { decodeCheckRequest } from './wire/ext-authz-request.ts'
import { BODY_MODE, decodeProcessingRequest, type ProcessingRequest } from './wire/ext-proc-request.ts'
import { WireError } from './wire/reader.ts'

/** A decision and what goes with it to the client or the next hubward. */
export interface Judged {
  readonly decision: Decision
  readonly extras?: AnswerExtras
}

/** What the request path is made of: the judge, and who hears of failures. */
export interface Serving {
  /** Decides one request, once. */
  readonly judge: (view: RequestView, protocol: Protocol) => Judged
  readonly failed: Handlers['failed']
}

/**
 * The request path between bytes and bytes. A request is judged on its headers, or on its body where the route asks
 * Envoy for one; never twice. Knows nothing of the transport under it.
 */
export const handlersOf = ({ judge, failed }: Serving): Handlers => {
  const judged = (view: RequestView, phase: 'request_headers' | 'request_body', stream: StreamState): Buffer => {
    const { decision, extras } = judge(view, 'ext_proc')
    stream.waiting = undefined
    stream.decided = true
    const { body } = view
    return processingAnswer(decision, phase, body === undefined ? extras : { ...extras, body })
  }
  return {
    failed,
    process: (bytes, stream) => {
      const message = decodeProcessingRequest(bytes)
      // Envoy does not wait for an answer in this mode, and none may be given.
      if (message.observabilityMode) return undefined
      switch (message.kind) {
        case 'request_headers':
          if (stream.decided) return passOn('request_headers')
          if (message.requestBodyMode === BODY_MODE.buffered && !message.endOfStream) {
            stream.waiting = message
            return passOn('request_headers')
          }
          return judged(processingView(message), 'request_headers', stream)
        case 'request_body': {
          const headers = stream.waiting as ProcessingRequest | undefined
          // Streamed bodies pass by: they were decided on their headers. A buffered one comes whole in one message, which
          // is not the end of the stream where trailers follow.
          return headers === undefined
            ? passOn('request_body')
            : judged(processingView(headers, message.body ?? NO_BODY), 'request_body', stream)
        }
        case 'request_trailers': {
          // A buffered request whose body never came: nothing but trailers. They can't change the route any more.
          if (stream.waiting !== undefined) throw new WireError('a request without a body ended in trailers')
          return passOn('request_trailers')
        }
        case 'response_headers':
        case 'response_body':
        case 'response_trailers':
          return passOn(message.kind)
        case 'other':
          // A later Envoy may speak of things we do not know. Once decided that is no reason to harm the request; before,
          // the failure mode of the route must have its say.
          if (stream.decided) return END
          throw new WireError('a first message that hubward does not know')
        default:
          return message.kind satisfies never
      }
    },
    check: (bytes) => {
      const { decision, extras } = judge(checkView(decodeCheckRequest(bytes)), 'ext_authz')
      return checkAnswer(decision, extras)
    },
  }
}

const NO_BODY = Buffer.alloc(0)
