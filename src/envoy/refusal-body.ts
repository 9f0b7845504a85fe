import type { Decision } from '../model/decision.ts'
import { REASONS } from '../model/reason.ts'

/** Above this the common OpenAI SDKs are told not to retry by themselves: they would wait the whole time in the call. */
const SHOULD_RETRY_MAX_S = 60

/** A refusal as HTTP: its status, its headers beside the decision's, and its body. */
export interface RefusalForm {
  readonly status: number
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: string
}

/**
 * A refused, delayed or held request as problem+json (RFC 9457) that carries the whole reason, with the `error` object
 * that OpenAI clients read beside it.
 */
export const refusalForm = (decision: Decision & { readonly action: 'delay' | 'deny' }): RefusalForm => {
  const retryAfterS =
    decision.retryAfterMs === undefined ? undefined : Math.max(1, Math.ceil(decision.retryAfterMs / 1000))
  const first = decision.because[0]
  const detail =
    first === undefined
      ? `${REASONS[decision.reason]}.`
      : `${REASONS[decision.reason]}: ${first.target} ${first.constraint} ${first.measured ?? 'unknown'}${first.limit === undefined ? '' : `, wanted ${first.op ?? '=='} ${first.limit}`}${first.unit === undefined || first.unit === '' ? '' : ` ${first.unit}`}.`
  const title =
    decision.action === 'delay' ? 'Come back later' : decision.status === 403 ? 'Not allowed' : 'Not available now'
  const body = {
    type: `https://hubward.dev/reasons/${decision.reason}`,
    title,
    status: decision.status,
    detail,
    instance: `/v1/decisions/${decision.id}`,
    action: decision.action,
    reason: decision.reason,
    because: decision.because,
    policy: decision.policy,
    decision: decision.id,
    ...(decision.action === 'delay' && decision.until !== undefined ? { until: decision.until } : {}),
    ...(retryAfterS === undefined ? {} : { retryAfterS }),
    error: {
      message: detail,
      type:
        decision.status === 403
          ? 'permission_error'
          : decision.status === 429
            ? 'rate_limit_error'
            : 'service_unavailable_error',
      code: decision.reason,
      param: null,
    },
  }
  const headers: [string, string][] = [['content-type', 'application/problem+json']]
  if (retryAfterS !== undefined) {
    headers.push(['retry-after', String(retryAfterS)])
    if (retryAfterS > SHOULD_RETRY_MAX_S) headers.push(['x-should-retry', 'false'])
  }
  return { status: decision.status, headers, body: JSON.stringify(body) }
}
