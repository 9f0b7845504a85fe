import type { Decision, Forecast } from '../model/decision.ts'
import { REASONS } from '../model/reason.ts'

/** Above this the common OpenAI SDKs are told not to retry by themselves: they would wait the whole time in the call. */
const SHOULD_RETRY_MAX_S = 60

/** A refusal as HTTP: its status, its headers beside the decision's, and its body. */
export interface RefusalForm {
  readonly status: number
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: string
}

/** A decision that sends the request nowhere. */
export type Refused = Extract<Decision, { readonly action: 'queue' | 'delay' | 'deny' }>

/** Whether the client gets a refusal. A hold that nothing can hold is one: come back when it would have ended. */
export const isRefusal = (decision: Decision): decision is Refused =>
  decision.action === 'delay' || decision.action === 'deny' || decision.action === 'queue'

/**
 * A refused, delayed or held request as problem+json (RFC 9457) that carries the whole reason, with the `error` object
 * that OpenAI clients read beside it.
 */
export const refusalForm = (decision: Refused): RefusalForm => {
  const status = decision.action === 'queue' ? 503 : decision.status
  const waitMs = decision.action === 'queue' ? decision.holdMsMax : decision.retryAfterMs
  // Rounded up: a client that comes back a moment too early is refused again.
  const retryAfterS = waitMs === undefined ? undefined : Math.max(1, Math.ceil(waitMs / 1_000))
  const detail = detailOf(decision)
  const body = {
    type: `https://hubward.dev/reasons/${decision.reason}`,
    title: TITLES[decision.action === 'deny' && status !== 403 ? 'unavailable' : decision.action],
    status,
    detail,
    instance: `/v1/decisions/${decision.id}`,
    action: decision.action,
    reason: decision.reason,
    because: decision.because,
    policy: decision.policy,
    decision: decision.id,
    ...(decision.action === 'delay' && decision.until !== undefined ? { until: decision.until } : {}),
    ...(retryAfterS === undefined ? {} : { retryAfterS }),
    ...(decision.forecast === undefined ? {} : { forecast: forecastForm(decision.forecast) }),
    ...(decision.suggest === undefined ? {} : { suggest: decision.suggest }),
    error: {
      message: detail,
      type: ERROR_TYPES[status] ?? 'service_unavailable_error',
      code: decision.reason,
      param: null,
    },
  }
  const headers: [string, string][] = [['content-type', 'application/problem+json']]
  if (retryAfterS !== undefined) {
    headers.push(['retry-after', String(retryAfterS)])
    if (retryAfterS > SHOULD_RETRY_MAX_S) headers.push(['x-should-retry', 'false'])
  }
  return { status, headers, body: JSON.stringify(body) }
}

/** A forecast as people and queue consumers read it: a time, and how far off it may be. */
const forecastForm = ({ at, errorMs, waitsFor, target }: Forecast) => ({
  at: at === null ? null : new Date(at).toISOString(),
  errorS: errorMs === null ? null : Math.ceil(errorMs / 1_000),
  waitsFor,
  target,
})

const TITLES = {
  queue: 'Come back soon',
  delay: 'Come back later',
  deny: 'Not allowed',
  unavailable: 'Not available now',
} as const

const ERROR_TYPES: Readonly<Record<number, string>> = { 403: 'permission_error', 429: 'rate_limit_error' }

/** The reason in words, with the first thing that stood in the way: `...: ams/h100 queue.depth 41, wanted <= 40 requests.` */
const detailOf = ({ reason, because: [first] }: Refused): string => {
  if (first === undefined) return `${REASONS[reason]}.`
  const limit = first.limit === undefined ? '' : `, wanted ${first.op ?? '=='} ${first.limit}`
  const unit = first.unit === undefined || first.unit === '' ? '' : ` ${first.unit}`
  return `${REASONS[reason]}: ${first.target} ${first.constraint} ${first.measured ?? 'unknown'}${limit}${unit}.`
}
