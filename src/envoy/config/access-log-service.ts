import { HEADERS } from '../../model/headers.ts'
import { LOG_TAGS } from '../wire/access-log-tags.ts'
import { logCluster } from './clusters.ts'
import { type EnvoyObject, seconds, typed } from './envoy-object.ts'
import type { EnvoyOptions } from './options.ts'

/** The name of hubward's log among those that a service may get. */
const LOG_NAME = 'hubward'

/** The dynamic metadata that holds the counts of tokens until the line is written. */
export const USAGE_METADATA = 'hubward.usage'

// What a request carried upstream. The session token is none of these: it is off the request by then, and a secret.
const REQUEST_HEADERS = [
  HEADERS.decision,
  HEADERS.cluster,
  HEADERS.site,
  HEADERS.action,
  HEADERS.reason,
  HEADERS.policy,
  HEADERS.arm,
  HEADERS.model,
  HEADERS.residency,
]

// A refusal's decision stands on the response alone.
const RESPONSE_HEADERS = [HEADERS.decision, HEADERS.action, HEADERS.reason, HEADERS.policy, HEADERS.arm]

/**
 * A batch goes when the buffer is full or the interval over. Larger ones cost hubward less by the line, and are lost as a
 * whole when it dies.
 */
const BUFFER_BYTES = 65_536

/**
 * Envoy's log to hubward: one line for each request when it has ended, local replies included. Nothing here makes a
 * request wait: lines are batched by each worker, and while hubward can't take them Envoy throws them away and counts
 * them (`access_logs.grpc_access_log.logs_dropped`).
 */
export const accessLogService = (options: EnvoyOptions): EnvoyObject => ({
  name: 'envoy.access_loggers.http_grpc',
  typed_config: typed('extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig', {
    common_config: {
      log_name: LOG_NAME,
      transport_api_version: 'V3',
      grpc_service: { envoy_grpc: { cluster_name: logCluster(options), skip_envoy_headers: true } },
      buffer_flush_interval: seconds(options.logFlushMs),
      buffer_size_bytes: BUFFER_BYTES,
      // A stream that can't be opened is tried again by itself; without it, only the next batch would try.
      grpc_stream_retry_policy: {
        num_retries: 3,
        retry_back_off: { base_interval: '0.1s', max_interval: '1s' },
      },
      custom_tags: [
        // Servers flush headers before prefill, so their time says nothing; the first byte of the body is the first token.
        tag(LOG_TAGS.firstBodyUs, '%COMMON_DURATION(DS_RX_BEG:US_RX_BODY_BEG:us)%'),
        ...(options.tokenUsage
          ? [
              tag(LOG_TAGS.promptTokens, `%DYNAMIC_METADATA(${USAGE_METADATA}:prompt)%`),
              tag(LOG_TAGS.completionTokens, `%DYNAMIC_METADATA(${USAGE_METADATA}:completion)%`),
            ]
          : []),
      ],
    },
    additional_request_headers_to_log: REQUEST_HEADERS,
    additional_response_headers_to_log: RESPONSE_HEADERS,
  }),
})

const tag = (name: string, value: string): EnvoyObject => ({ tag: name, value })

const usageRule = (field: string, key: string): EnvoyObject => ({
  rule: {
    selectors: [{ key: 'usage' }, { key: field }],
    on_present: { metadata_namespace: USAGE_METADATA, key, type: 'NUMBER' },
  },
})

/**
 * The filter, where it is wanted, in front of the router. It lifts the counts of tokens out of a stream's last chunk
 * (`stream_options.include_usage`) while that passes, so that nothing is held back. Answers that are no streams are left alone: reading them would mean to hold all of their body.
 */
export const usageFilters = (options: EnvoyOptions): EnvoyObject[] => (options.tokenUsage ? [USAGE_FILTER] : [])

const USAGE_FILTER: EnvoyObject = {
  name: 'envoy.filters.http.sse_to_metadata',
  typed_config: typed('extensions.filters.http.sse_to_metadata.v3.SseToMetadata', {
    response_rules: {
      content_parser: {
        name: 'envoy.content_parsers.json',
        typed_config: typed('extensions.content_parsers.json.v3.JsonContentParser', {
          rules: [usageRule('prompt_tokens', 'prompt'), usageRule('completion_tokens', 'completion')],
        }),
      },
      // An event beyond it is passed on unread.
      max_event_size: 65_536,
    },
  }),
}
