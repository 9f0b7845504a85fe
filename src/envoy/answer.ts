import type { Decision } from '../model/decision.ts'
import { HEADERS, MARKER_DEFAULT } from '../model/headers.ts'
import { siteOf } from '../model/names.ts'
import { ReadyAnswers } from './ready-answers.ts'
import { isRefusal, refusalForm } from './refusal-body.ts'
import { rewriteModel } from './rewrite-model.ts'
import { encodeCheckResponse } from './wire/ext-authz-response.ts'
import type { ProcessingKind } from './wire/ext-proc-request.ts'
import { encodeProcessingResponse, type HeaderMutation } from './wire/ext-proc-response.ts'

/** What an answer carries beside the decision. */
export interface AnswerExtras {
  /** A new or renewed session token. */
  readonly session?: string | undefined
  /** The signed decision for the next hubward on the way. */
  readonly hop?: string | undefined
  /** The body that was read, where the answer is given in the body phase. */
  readonly body?: Uint8Array | undefined
}

type Pair = readonly [name: string, value: string]

/** The decision as headers; the reason, the policy and the id are in every answer. */
export const decisionHeaders = (decision: Decision, extras: AnswerExtras = {}): Pair[] => {
  const headers: Pair[] = []
  if (decision.action === 'route' || decision.action === 'degrade') {
    // Without a target Envoy's own choice stands; the marker says that hubward has answered, so jobs are not refused.
    headers.push([HEADERS.cluster, decision.cluster ?? MARKER_DEFAULT])
    if (decision.target !== undefined) headers.push([HEADERS.site, siteOf(decision.target)])
    if (decision.action === 'degrade') headers.push([HEADERS.model, decision.model])
  }
  headers.push([HEADERS.action, decision.action], [HEADERS.reason, decision.reason], [HEADERS.decision, decision.id])
  if (decision.policy !== null) headers.push([HEADERS.policy, decision.policy])
  if (decision.arm !== null) headers.push([HEADERS.arm, decision.arm])
  if (decision.reservation !== undefined) headers.push([HEADERS.reservation, decision.reservation])
  if (decision.movedFrom !== undefined) headers.push([HEADERS.movedFrom, decision.movedFrom])
  if (extras.session !== undefined) headers.push([HEADERS.session, extras.session])
  if (extras.hop !== undefined) headers.push([HEADERS.hop, extras.hop])
  return headers
}

const NO_EXTRAS: AnswerExtras = {}

const PROCESSING = new ReadyAnswers((decision) =>
  encodeProcessingResponse({
    kind: 'request_headers',
    mutation: { set: decisionHeaders(decision) },
    clearRouteCache: true,
  }),
)
const CHECK = new ReadyAnswers((decision) => encodeCheckResponse({ kind: 'ok', set: decisionHeaders(decision) }))

/** The bytes of the ext_proc answer to a decision, in the phase in which it was made. */
export const processingAnswer = (
  decision: Decision,
  phase: 'request_headers' | 'request_body',
  extras: AnswerExtras = NO_EXTRAS,
): Buffer => {
  if (extras.session === undefined && extras.hop === undefined && phase === 'request_headers') {
    const ready = PROCESSING.answer(decision)
    if (ready !== undefined) return ready
  }
  if (isRefusal(decision)) {
    const { status, headers, body } = refusalForm(decision)
    return encodeProcessingResponse({
      kind: 'immediate',
      status,
      headers: [...headers, ...decisionHeaders(decision)],
      body,
      // Envoy's access log shows it as RESPONSE_CODE_DETAILS.
      details: `hubward_${decision.action}_${decision.reason}`,
    })
  }
  const set = decisionHeaders(decision, extras)
  const body =
    phase === 'request_body' && decision.action === 'degrade' && decision.rewriteBody && extras.body !== undefined
      ? rewriteModel(extras.body, decision.model)
      : undefined
  if (body === undefined) return encodeProcessingResponse({ kind: phase, mutation: { set }, clearRouteCache: true })
  // Envoy refuses a body of another length than the header says.
  const mutation: HeaderMutation = { set: [...set, ['content-length', String(body.length)]] }
  return encodeProcessingResponse({ kind: 'request_body', mutation, clearRouteCache: true, body })
}

/** The bytes of the ext_authz answer to a decision. ext_authz can't rewrite a body. */
export const checkAnswer = (decision: Decision, extras: AnswerExtras = NO_EXTRAS): Buffer => {
  if (extras.session === undefined && extras.hop === undefined) {
    const ready = CHECK.answer(decision)
    if (ready !== undefined) return ready
  }
  if (!isRefusal(decision)) return encodeCheckResponse({ kind: 'ok', set: decisionHeaders(decision, extras) })
  const { status, headers, body } = refusalForm(decision)
  return encodeCheckResponse({ kind: 'denied', status, headers: [...headers, ...decisionHeaders(decision)], body })
}

type Passed = Exclude<ProcessingKind, 'other'>

const PASSED: Readonly<Record<Passed, Buffer>> = {
  request_headers: encodeProcessingResponse({ kind: 'request_headers' }),
  response_headers: encodeProcessingResponse({ kind: 'response_headers' }),
  request_body: encodeProcessingResponse({ kind: 'request_body' }),
  response_body: encodeProcessingResponse({ kind: 'response_body' }),
  request_trailers: encodeProcessingResponse({ kind: 'request_trailers' }),
  response_trailers: encodeProcessingResponse({ kind: 'response_trailers' }),
}

/** An answer that changes nothing: the phase is passed on as it came. */
export const passOn = (phase: Passed): Buffer => PASSED[phase]
