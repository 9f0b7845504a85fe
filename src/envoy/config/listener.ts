import type { DocumentSet } from '../../model/documents.ts'
import { HEADERS } from '../../model/headers.ts'
import { accessLogService, usageFilters } from './access-log-service.ts'
import { decisionFilter } from './decision-filter.ts'
import { earlyHeaderMutation } from './early-headers.ts'
import { addressOf, type EnvoyObject, setHeader, typed } from './envoy-object.ts'
import type { EnvoyOptions } from './options.ts'
import { refusalBody } from './refusal.ts'
import { residencyHeaderFilter } from './residency-header.ts'
import { virtualHosts } from './routes.ts'
import { sessionFilter } from './session-header.ts'

/** The listener that clients talk to. */
export const ingressListener = (set: DocumentSet, options: EnvoyOptions): EnvoyObject => ({
  name: 'ingress',
  address: addressOf(options.listener),
  // Room for the bodies that hubward reads, and for those that a second try has to send again.
  per_connection_buffer_limit_bytes: Math.max(1_048_576, ...set.factSources.map((one) => one.bodyBytesMax)),
  filter_chains: [{ filters: [connectionManager(set, options)] }],
})

const connectionManager = (set: DocumentSet, options: EnvoyOptions): EnvoyObject => ({
  name: 'envoy.filters.network.http_connection_manager',
  typed_config: typed('extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
    stat_prefix: 'ingress',
    // hubward reads the client's address itself, by the hops that its documents trust; Envoy adds the peer's.
    use_remote_address: true,
    // Routes refuse jobs by their path, so a path must have one spelling.
    normalize_path: true,
    merge_slashes: true,
    path_with_escaped_slashes_action: 'UNESCAPE_AND_FORWARD',
    request_headers_timeout: '15s',
    common_http_protocol_options: { idle_timeout: '3600s' },
    early_header_mutation_extensions: [earlyHeaderMutation(options)],
    http_filters: [
      ...options.filtersBefore,
      ...(options.residency.by === 'vhost' ? [residencyHeaderFilter()] : []),
      decisionFilter(set, options),
      sessionFilter(options),
      ...usageFilters(options),
      { name: 'envoy.filters.http.router', typed_config: typed('extensions.filters.http.router.v3.Router') },
    ],
    local_reply_config: failClosedReply(options),
    route_config: { name: 'hubward', virtual_hosts: virtualHosts(set, options) },
    ...accessLogsOf(options, options.accessLog),
  }),
})

/**
 * What a job's client gets when hubward is dead or hung. By itself Envoy answers 503 to the one and 504 to the other,
 * neither with a Retry-After. hubward's own refusals have other response code details and pass unchanged.
 */
export const failClosedReply = (options: EnvoyOptions): EnvoyObject => ({
  mappers: [
    {
      filter: {
        extension_filter: {
          name: 'envoy.access_loggers.extension_filters.cel',
          typed_config: typed('extensions.access_loggers.filters.cel.v3.ExpressionFilter', {
            expression: "response.code_details.startsWith('ext_proc_error')",
          }),
        },
      },
      status_code: 503,
      headers_to_add: [
        setHeader('retry-after', String(options.retryAfterS)),
        setHeader(HEADERS.reason, 'hubward-down'),
      ],
      body_format_override: {
        content_type: 'application/problem+json',
        json_format: refusalBody({
          reason: 'hubward-down',
          title: 'No decision',
          detail: 'this class of work needs a decision, and hubward does not answer',
        }),
      },
    },
  ],
})

/** The manager's access logs: the file that operators read, where there is one, and the service that hubward is. */
export const accessLogsOf = (options: EnvoyOptions, file: string | undefined): EnvoyObject => {
  const logs = [
    ...(file === undefined ? [] : [accessLog(file)]),
    ...(options.accessLogService ? [accessLogService(options)] : []),
  ]
  return logs.length === 0 ? {} : { access_log: logs }
}

/** One JSON line for each request: what was decided, and where it really went. */
export const accessLog = (path: string): EnvoyObject =>
  // Opening /dev/stdout as a file fails where it is a socket, as it is under many supervisors.
  path === '/dev/stdout'
    ? {
        name: 'envoy.access_loggers.stdout',
        typed_config: typed('extensions.access_loggers.stream.v3.StdoutAccessLog', { log_format: LOG_FORMAT }),
      }
    : {
        name: 'envoy.access_loggers.file',
        typed_config: typed('extensions.access_loggers.file.v3.FileAccessLog', { path, log_format: LOG_FORMAT }),
      }

const LOG_FORMAT: EnvoyObject = {
  json_format: {
    at: '%START_TIME%',
    method: '%REQ(:METHOD)%',
    path: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
    status: '%RESPONSE_CODE%',
    flags: '%RESPONSE_FLAGS%',
    details: '%RESPONSE_CODE_DETAILS%',
    route: '%ROUTE_NAME%',
    upstreamCluster: '%UPSTREAM_CLUSTER_RAW%',
    upstreamHost: '%UPSTREAM_HOST%',
    attempts: '%UPSTREAM_REQUEST_ATTEMPT_COUNT%',
    durationMs: '%DURATION%',
    // Servers flush headers before prefill, so the first byte of the body is the first token.
    firstTokenMs: '%COMMON_DURATION(DS_RX_BEG:US_RX_BODY_BEG:ms)%',
    requestId: '%REQ(X-REQUEST-ID)%',
    cluster: `%REQ(${HEADERS.cluster})%`,
    site: `%REQ(${HEADERS.site})%`,
    action: `%REQ(${HEADERS.action})%`,
    reason: `%REQ(${HEADERS.reason})%`,
    policy: `%REQ(${HEADERS.policy})%`,
    decision: `%REQ(${HEADERS.decision})%`,
    residency: `%REQ(${HEADERS.residency})%`,
  },
}
