import type { DocumentSet, FactSource } from '../../model/documents.ts'
import { HEADERS } from '../../model/headers.ts'
import { SIDECAR_CLUSTER } from './clusters.ts'
import { DECISION_HEADERS } from './early-headers.ts'
import { type EnvoyObject, seconds, typed } from './envoy-object.ts'
import type { EnvoyOptions } from './options.ts'

/** The prefix of the filter's own counters: `http.ingress.ext_proc.hubward.failure_mode_allowed`. */
const DECISION_STATS = 'hubward'

/** The filter that asks hubward. */
export const decisionFilter = (set: DocumentSet, options: EnvoyOptions): EnvoyObject =>
  options.mode === 'ext_proc' ? extProc(set, options) : extAuthz(set, options)

const JWT_METADATA = 'envoy.filters.http.jwt_authn'

function extProc(set: DocumentSet, options: EnvoyOptions): EnvoyObject {
  const attributes = sourcesOf(set).flatMap((source) => (source.from === 'attribute' ? [source.name ?? ''] : []))
  const secret = SECRET_HEADERS.filter((name) => !headersRead(set).has(name))
  return {
    name: 'envoy.filters.http.ext_proc',
    typed_config: typed('extensions.filters.http.ext_proc.v3.ExternalProcessor', {
      grpc_service: {
        envoy_grpc: { cluster_name: SIDECAR_CLUSTER, skip_envoy_headers: true },
        retry_policy: retryPolicy(options),
      },
      stat_prefix: DECISION_STATS,
      // Chat goes on to the default of its residency class; the routes of the job classes say otherwise.
      failure_mode_allow: true,
      status_on_error: { code: 'ServiceUnavailable' },
      message_timeout: seconds(options.messageTimeoutMs),
      ...(options.holdMsMax > 0 ? { max_message_timeout: seconds(options.holdMsMax) } : {}),
      // The route has to be chosen again once the header is set, also if an answer forgot to ask for it.
      route_cache_action: 'CLEAR',
      processing_mode: {
        request_header_mode: 'SEND',
        response_header_mode: 'SKIP',
        request_body_mode: 'NONE',
        response_body_mode: 'NONE',
        request_trailer_mode: 'SKIP',
        response_trailer_mode: 'SKIP',
      },
      request_attributes: [...new Set(['source.address', ...attributes])],
      forward_rules: { disallowed_headers: { patterns: secret.map((exact) => ({ exact })) } },
      mutation_rules: mutationRules(set, options),
      metadata_options: { forwarding_namespaces: { untyped: [JWT_METADATA] } },
    }),
  }
}

const retryPolicy = ({ processes }: EnvoyOptions): EnvoyObject => ({
  num_retries: processes === 1 ? 1 : 3,
  retry_on: 'reset,connect-failure,refused-stream,unavailable',
  retry_back_off: { base_interval: '0.001s', max_interval: '0.005s' },
  ...(processes === 1 ? {} : ANOTHER_PROCESS),
})

/**
 * A process that has just died is asked only once: the next try is another's. By least requests the dead one, which has
 * none, comes up again and again; so Envoy looks ten times for one that was not asked.
 */
const ANOTHER_PROCESS: EnvoyObject = {
  retry_host_predicate: [
    {
      name: 'envoy.retry_host_predicates.previous_hosts',
      typed_config: typed('extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate'),
    },
  ],
  host_selection_retry_max_attempts: 10,
}

function extAuthz(set: DocumentSet, options: EnvoyOptions): EnvoyObject {
  return {
    name: 'envoy.filters.http.ext_authz',
    typed_config: typed('extensions.filters.http.ext_authz.v3.ExtAuthz', {
      transport_api_version: 'V3',
      grpc_service: {
        envoy_grpc: { cluster_name: SIDECAR_CLUSTER, skip_envoy_headers: true },
        timeout: seconds(options.messageTimeoutMs),
        // Routes of jobs ask the main process without a second try, which could reserve twice.
        ...(options.processes === 1 ? {} : { retry_policy: retryPolicy(options) }),
      },
      stat_prefix: DECISION_STATS,
      failure_mode_allow: true,
      status_on_error: { code: 'ServiceUnavailable' },
      clear_route_cache: true,
      validate_mutations: true,
      disallowed_headers: {
        patterns: SECRET_HEADERS.filter((name) => !headersRead(set).has(name)).map((exact) => ({ exact })),
      },
      metadata_context_namespaces: [JWT_METADATA],
      decoder_header_mutation_rules: mutationRules(set, options),
    }),
  }
}

// Without rules a processor may rewrite the path and drop the request id. Envoy holds refusals against the same rules:
// one whose content-type is not let in arrives as text/plain, and without its Retry-After. The names are not all written
// out, because Envoy refuses a regex of more than 100 steps.
const mutationRules = (set: DocumentSet, { force }: EnvoyOptions): EnvoyObject => {
  const content = rewritesBodies(set) ? 'content-(type|length)' : 'content-type'
  // A tester's header that is not let in is not there to be changed.
  const kept = Object.values(HEADERS).filter(
    (name) => !DECISION_HEADERS.includes(name) && (force || name !== HEADERS.force),
  )
  return {
    disallow_all: true,
    allow_expression: { regex: `x-hubward-[a-z-]+|${content}|retry-after|x-should-retry` },
    disallow_expression: { regex: kept.join('|') },
  }
}

// What identifies a person is not sent to hubward unless a document reads it.
const SECRET_HEADERS = ['authorization', 'proxy-authorization', 'cookie', 'x-api-key', 'api-key']

const rewritesBodies = (set: DocumentSet): boolean => set.policies.some((policy) => policy.degraded?.rewriteBody)

const sourcesOf = (set: DocumentSet): FactSource[] =>
  set.factSources.flatMap((one) => [...Object.values(one.facts).flat(), ...one.residency])

const headersRead = (set: DocumentSet): Set<string> =>
  new Set(sourcesOf(set).flatMap((source) => (source.from === 'header' ? [(source.name ?? '').toLowerCase()] : [])))
