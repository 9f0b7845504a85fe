import type { Decision } from '../model/decision.ts'
import type { RequestView } from '../model/request-view.ts'
import { type AnswerExtras, checkAnswer, passOn, processingAnswer } from './answer.ts'
import { END, type Handlers, type Protocol, type StreamState } from './handlers.ts'
import { CheckView, ProcessingView } from './view.ts'
import { decodeCheckRequest } from './wire/ext-authz-request.ts'
import { BODY_MODE, decodeProcessingRequest, type ProcessingRequest } from './wire/ext-proc-request.ts'
import { encodeProcessingResponse } from './wire/ext-proc-response.ts'
import { WireError } from './wire/reader.ts'

/** A decision and what goes with it to the client or the next hubward. */
export interface Judged {
  readonly decision: Decision
  readonly extras?: AnswerExtras
  /** The decision is to wait: what begins the wait, and for how long Envoy is to be told to. */
  readonly wait?: Wait
}

/** A request that is held until there is room for it, or its time is over. */
export interface Wait {
  /** The longest it takes until `done` is called, in ms, with time to spare for the way. */
  readonly ms: number
  /** Begins; `done` is called once, without an answer where none can be made. The function it gives ends it, unanswered. */
  readonly begin: (done: (judged: Judged | undefined) => void) => () => void
}

/** How a request may be asked about: only one that can be answered later may be held. */
export interface Asked {
  readonly protocol: Protocol
  readonly canWait: boolean
  /** The bytes that are kept while it is held. */
  readonly bytes: number
}

/** What the request path is made of: the judge, and who hears of failures. */
export interface Serving {
  /** Decides one request, once. */
  readonly judge: (view: RequestView, asked: Asked) => Judged
  readonly failed: Handlers['failed']
}

type Phase = 'request_headers' | 'request_body'

const answerOf = (decision: Decision, extras: AnswerExtras | undefined, phase: Phase, { body }: RequestView): Buffer =>
  processingAnswer(decision, phase, body === undefined ? extras : { ...extras, body })

/**
 * The request path between bytes and bytes. A request is judged on its headers, or on its body where the route asks
 * Envoy for one; never twice. Knows nothing of the transport under it.
 */
export const handlersOf = ({ judge, failed }: Serving): Handlers => {
  const judged = (view: ProcessingView, phase: Phase, stream: StreamState, bytes: number): Buffer => {
    const canWait = stream.send !== undefined
    const { decision, extras, wait } = judge(view, { protocol: 'ext_proc', canWait, bytes })
    stream.waiting = undefined
    stream.decided = true
    if (wait === undefined || !canWait) return answerOf(decision, extras, phase, view)
    stream.gone = wait.begin((later) => {
      stream.gone = undefined
      if (later === undefined) stream.fail?.()
      else stream.send?.(answerOf(later.decision, later.extras, phase, view))
    })
    return encodeProcessingResponse({ kind: 'wait', ms: wait.ms })
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
            // The headers stay until the body is there, and a peer may have it never come.
            if (stream.keep?.(bytes.length) === false) throw new WireError('too much is held for this connection')
            // A copy: what they lie in may be a chunk of many times their size.
            stream.waiting = decodeProcessingRequest(Buffer.from(bytes))
            return passOn('request_headers')
          }
          return judged(new ProcessingView(message), 'request_headers', stream, bytes.length)
        case 'request_body': {
          const headers = stream.waiting as ProcessingRequest | undefined
          // Streamed bodies pass by: they were decided on their headers. A buffered one comes whole in one message, which
          // is not the end of the stream where trailers follow.
          return headers === undefined
            ? passOn('request_body')
            : judged(new ProcessingView(headers, message.body ?? NO_BODY), 'request_body', stream, bytes.length)
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
      const { decision, extras } = judge(new CheckView(decodeCheckRequest(bytes)), {
        protocol: 'ext_authz',
        canWait: false,
        bytes: bytes.length,
      })
      return checkAnswer(decision, extras)
    },
  }
}

const NO_BODY = Buffer.alloc(0)
