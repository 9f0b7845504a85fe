import { HEADERS, MARKER_UNSET } from '../../model/headers.ts'
import { type EnvoyObject, setHeader, typed } from './envoy-object.ts'
import type { EnvoyOptions } from './options.ts'

/** The name of the early header mutation: `hubward doctor` looks for it. */
export const EARLY_MUTATION = 'hubward.early-headers'

// The session token is the client's to bring back, a hop comes from another hubward and a force header from a tester:
// all are signed, and the signature is what is believed. A job's needs only ever tighten. Everything else of x-hubward-* is gone before a route
// is chosen.
const letIn = (options: EnvoyOptions): readonly string[] => [
  HEADERS.session,
  HEADERS.needs,
  ...(options.hops ? [HEADERS.hop] : []),
  ...(options.force ? [HEADERS.force] : []),
]

/**
 * What happens to the headers before any route is chosen: an HTTP filter would be too late, because Envoy picks and
 * caches the route first. Envoy's remove_on_match knows no exceptions, so what is let in is carried past it under
 * another name. Underscores are matched as well, because many servers read `x_hubward_site` as the same header.
 */
export function earlyHeaderMutation(options: EnvoyOptions): EnvoyObject {
  const carried = letIn(options).map((name) => ({ name, aside: `carried-${name}` }))
  const mutations = [
    ...carried.flatMap(({ name, aside }) => [{ remove: aside }, { append: setHeader(aside, `%REQ(${name})%`) }]),
    { remove_on_match: { key_matcher: { safe_regex: { regex: 'x[-_]hubward[-_].*' } } } },
    ...carried.flatMap(({ name, aside }) => [{ append: setHeader(name, `%REQ(${aside})%`) }, { remove: aside }]),
    { append: setHeader(HEADERS.cluster, MARKER_UNSET) },
    ...(options.residency.by === 'listener' ? [{ append: setHeader(HEADERS.residency, options.residency.class) }] : []),
  ]
  return {
    name: EARLY_MUTATION,
    typed_config: typed('extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation', { mutations }),
  }
}

/** The names of the mutations' target headers that only hubward may set afterwards, for the filter's allow-list. */
export const DECISION_HEADERS: readonly string[] = [
  HEADERS.cluster,
  HEADERS.site,
  HEADERS.action,
  HEADERS.reason,
  HEADERS.policy,
  HEADERS.decision,
  HEADERS.arm,
  HEADERS.model,
  HEADERS.reservation,
  HEADERS.session,
  HEADERS.movedFrom,
  HEADERS.hop,
]
