/** The parts of Envoy's admin answers that the checks read, as its JSON has them. Every field may be absent. */

/** A string matcher. */
export interface StringMatch {
  readonly exact?: string
  readonly prefix?: string
  readonly suffix?: string
  readonly contains?: string
  readonly safe_regex?: { readonly regex?: string }
  readonly ignore_case?: boolean
}

/** A condition on one header. */
export interface HeaderMatch {
  readonly name?: string
  readonly string_match?: StringMatch
  readonly exact_match?: string
  readonly prefix_match?: string
  readonly safe_regex_match?: { readonly regex?: string }
  readonly present_match?: boolean
  readonly invert_match?: boolean
  readonly treat_missing_header_as_empty?: boolean
}

/** One route. */
export interface RouteForm {
  readonly name?: string
  readonly match?: {
    readonly prefix?: string
    readonly path?: string
    readonly path_separated_prefix?: string
    readonly safe_regex?: { readonly regex?: string }
    readonly case_sensitive?: boolean
    readonly headers?: readonly HeaderMatch[]
    readonly [other: string]: unknown
  }
  readonly route?: {
    readonly cluster?: string
    readonly cluster_header?: string
    readonly retry_policy?: { readonly retry_priority?: { readonly name?: string } }
  }
  readonly direct_response?: { readonly status?: number }
  readonly redirect?: unknown
  readonly typed_per_filter_config?: Readonly<
    Record<string, { readonly overrides?: { readonly failure_mode_allow?: boolean } }>
  >
}

/** One virtual host. */
export interface VirtualHostForm {
  readonly name?: string
  readonly domains?: readonly string[]
  readonly metadata?: { readonly filter_metadata?: Readonly<Record<string, { readonly residency?: string }>> }
  readonly routes?: readonly RouteForm[]
  readonly typed_per_filter_config?: Readonly<Record<string, unknown>>
}

/** A route table. */
export interface RouteTableForm {
  readonly name?: string
  readonly virtual_hosts?: readonly VirtualHostForm[]
}

/** One mutation of headers before routing. */
export interface EarlyMutation {
  readonly remove?: string
  readonly remove_on_match?: { readonly key_matcher?: StringMatch }
  readonly append?: {
    readonly header?: { readonly key?: string; readonly value?: string }
    readonly append_action?: string
  }
}

/** An HTTP filter, ext_proc's and ext_authz's fields together. */
export interface FilterForm {
  readonly name?: string
  /** Only hosts and routes with settings of their own for it use it. */
  readonly disabled?: boolean
  readonly typed_config?: {
    readonly '@type'?: string
    readonly grpc_service?: { readonly envoy_grpc?: { readonly cluster_name?: string }; readonly timeout?: string }
    readonly stat_prefix?: string
    readonly failure_mode_allow?: boolean
    readonly message_timeout?: string
    readonly max_message_timeout?: string
    readonly route_cache_action?: string
    readonly clear_route_cache?: boolean
    readonly mutation_rules?: MutationRules
    readonly decoder_header_mutation_rules?: MutationRules
    readonly request_rules?: readonly { readonly header?: string; readonly remove?: boolean }[]
  }
}

/** What a processor may alter. */
export interface MutationRules {
  readonly disallow_all?: boolean | { readonly value?: boolean }
  readonly allow_expression?: { readonly regex?: string }
  readonly disallow_expression?: { readonly regex?: string }
}

/** An access log; only those that go to a gRPC service have a cluster. */
export interface AccessLogForm {
  readonly typed_config?: {
    readonly '@type'?: string
    readonly common_config?: {
      readonly grpc_service?: { readonly envoy_grpc?: { readonly cluster_name?: string } }
    }
    readonly additional_request_headers_to_log?: readonly string[]
  }
}

/** A connection manager. */
export interface ManagerForm {
  readonly stat_prefix?: string
  readonly normalize_path?: boolean
  readonly merge_slashes?: boolean
  readonly path_with_escaped_slashes_action?: string
  readonly early_header_mutation_extensions?: readonly {
    readonly typed_config?: { readonly mutations?: readonly EarlyMutation[] }
  }[]
  readonly http_filters?: readonly FilterForm[]
  readonly access_log?: readonly AccessLogForm[]
  readonly route_config?: RouteTableForm
  readonly rds?: { readonly route_config_name?: string }
}

/** A cluster. */
export interface ClusterForm {
  readonly name?: string
  readonly cluster_type?: { readonly typed_config?: { readonly clusters?: readonly string[] } }
  readonly health_checks?: readonly { readonly grpc_health_check?: unknown }[]
  readonly common_lb_config?: { readonly healthy_panic_threshold?: { readonly value?: number } }
  readonly max_requests_per_connection?: number
  readonly http2_protocol_options?: unknown
  readonly typed_extension_protocol_options?: Readonly<
    Record<
      string,
      {
        readonly common_http_protocol_options?: { readonly max_requests_per_connection?: number }
        readonly explicit_http_config?: { readonly http2_protocol_options?: unknown }
      }
    >
  >
}
