import { HEADERS } from '../../model/headers.ts'
import { type EnvoyObject, setHeader, typed } from './envoy-object.ts'
import type { EnvoyOptions } from './options.ts'

/** The dynamic metadata that keeps the session token between request and response. */
export const SESSION_METADATA = 'hubward.session'

// Envoy knows no rule that only removes, so a tester's header is kept as well; nothing reads it there.
const FORCE_RULE: EnvoyObject = {
  header: HEADERS.force,
  on_header_present: { metadata_namespace: 'hubward.force', key: 'header' },
  remove: true,
}

/**
 * Takes the session token off the request, so that no site sees it, and keeps it for the response; a tester's header goes no further either. Stripping it at the
 * route (request_headers_to_remove) would also empty `%REQ(x-hubward-session)%` there.
 */
export const sessionFilter = (options: EnvoyOptions): EnvoyObject => ({
  name: 'envoy.filters.http.header_to_metadata',
  typed_config: typed('extensions.filters.http.header_to_metadata.v3.Config', {
    request_rules: [
      {
        header: HEADERS.session,
        on_header_present: { metadata_namespace: SESSION_METADATA, key: 'token' },
        remove: true,
      },
      ...(options.force ? [FORCE_RULE] : []),
    ],
  }),
})

/**
 * What a route adds to the response: the session token and the reservation of an admitted job always, for whoever got
 * them has to bring them back; the rest of the decision where clients may know it.
 */
export const decisionHeaders = (options: EnvoyOptions): EnvoyObject[] => [
  setHeader(HEADERS.session, `%DYNAMIC_METADATA(${SESSION_METADATA}:token)%`),
  setHeader(HEADERS.reservation, `%REQ(${HEADERS.reservation})%`),
  ...(options.tellClients
    ? [
        HEADERS.site,
        HEADERS.action,
        HEADERS.reason,
        HEADERS.policy,
        HEADERS.decision,
        HEADERS.model,
        HEADERS.movedFrom,
      ].map((name) => setHeader(name, `%REQ(${name})%`))
    : []),
]
