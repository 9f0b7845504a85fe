import type { ActionName } from '../model/action.ts'
import type { Slo } from '../model/documents.ts'
import { HEADERS } from '../model/headers.ts'
import type { AccessEntry, Verdict } from '../model/outcome.ts'

/** The client has gone: its own reset, or what Envoy says where it broke off. */
const LEFT_FLAGS: ReadonlySet<string> = new Set(['DC', 'DR'])
/** Too slow, by the route's time-out, a stream that stood still, or the most that a request may take. */
const TIMEOUT_FLAGS: ReadonlySet<string> = new Set(['UT', 'SI', 'DT', 'UMSDR'])
/** Nothing that answers, or that broke off. */
const ERROR_FLAGS: ReadonlySet<string> = new Set([
  'UF',
  'UC',
  'UR',
  'UO',
  'UH',
  'UPE',
  'URX',
  'NC',
  'NR',
  'LR',
  'LH',
  'OM',
])
/** Envoy's own limits of rates turn a client away, not the site that it was bound for. */
const LIMITED_FLAGS: ReadonlySet<string> = new Set(['RL', 'RLSE'])
const NOT_SENT: ReadonlySet<string> = new Set<ActionName>(['queue', 'delay', 'deny'])

/**
 * How a request ended. Hubward's own refusal comes first, for its status is no site's; then who broke off. What the
 * client did wrong (4xx) is no error of the site, except 429: a site that turns work away has not served it. 408 is
 * Envoy's word for a client that did not send its request to the end in time.
 */
export const verdictOf = (entry: AccessEntry, action: ActionName | undefined): Verdict => {
  const { status, flags, details } = entry
  if (NOT_SENT.has(action ?? entry.headers[HEADERS.action] ?? '')) return 'refused'
  if (flags.some((flag) => LEFT_FLAGS.has(flag)) || details.startsWith('downstream_remote_disconnect')) return 'left'
  if (status === 499) return 'left'
  if (status === 408 || (status === 429 && flags.some((flag) => LIMITED_FLAGS.has(flag)))) return 'ok'
  if (flags.some((flag) => TIMEOUT_FLAGS.has(flag)) || status === 504) return 'timeout'
  if (status >= 500 || status === 429 || status === 0) return 'error'
  return flags.some((flag) => ERROR_FLAGS.has(flag)) ? 'error' : 'ok'
}

/** Was it served: did a site give an answer whose time says something of the site? A refusal of its own does not. */
export const isServed = (verdict: Verdict, { status }: AccessEntry): boolean => verdict === 'ok' && status < 400

/** Time to the first token, as far as Envoy can tell: the first byte of the body, and of an answer without one its end. */
export const ttftOf = ({ firstBodyMs, durationMs }: AccessEntry): number =>
  firstBodyMs >= 0 ? firstBodyMs : durationMs

/**
 * Whether a request met the latency objective. An error met none and is counted as an error; whoever left before the
 * first token, later than it was due, waited in vain.
 */
export const withinSlo = (slo: Slo | undefined, verdict: Verdict, entry: AccessEntry): boolean | null => {
  if (slo === undefined) return null
  const { ttftMs = Number.POSITIVE_INFINITY, responseMs = Number.POSITIVE_INFINITY } = slo
  if (verdict === 'timeout') return false
  if (verdict === 'left') return entry.firstBodyMs < 0 && entry.durationMs > ttftMs ? false : null
  if (!isServed(verdict, entry)) return null
  return ttftOf(entry) <= ttftMs && entry.durationMs <= responseMs
}
