import { type EnvoyObject, setHeader } from './envoy-object.ts'
import type { EnvoyOptions } from './options.ts'

/** Why Envoy itself says no. */
export interface Refusal {
  readonly reason: string
  readonly title: string
  readonly detail: string
}

/** problem+json with the `error` object that OpenAI clients read, in the form that hubward's own refusals have. */
export const refusalBody = (refusal: Refusal): EnvoyObject => ({
  type: `https://hubward.dev/reasons/${refusal.reason}`,
  title: refusal.title,
  status: 503,
  detail: refusal.detail,
  action: 'deny',
  reason: refusal.reason,
  error: { message: refusal.detail, type: 'service_unavailable_error', code: refusal.reason },
})

/** The part of a route that answers 503 with Retry-After by itself. */
export const refusalResponse = (refusal: Refusal, options: EnvoyOptions): EnvoyObject => ({
  direct_response: { status: 503, body: { inline_string: JSON.stringify(refusalBody(refusal)) } },
  response_headers_to_add: [
    setHeader('content-type', 'application/problem+json'),
    setHeader('retry-after', String(options.retryAfterS)),
    setHeader('x-hubward-reason', refusal.reason),
  ],
})
