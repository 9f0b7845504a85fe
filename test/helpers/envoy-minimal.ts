import type { EnvoyObject } from '../../src/envoy/config/envoy-object.ts'

const type = (name: string) => `type.googleapis.com/envoy.${name}`
const http2 = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    '@type': type('extensions.upstreams.http.v3.HttpProtocolOptions'),
    explicit_http_config: { http2_protocol_options: {} },
  },
}

/** What the smallest Envoy around hubward is told. */
export interface Minimal {
  readonly sidecar: { readonly path: string } | { readonly host: string; readonly port: number }
  readonly mode?: 'ext_proc' | 'ext_authz'
  readonly failOpen?: boolean
  /** Path prefixes whose body is buffered and sent to hubward. */
  readonly bodyPath?: string
  readonly timeout?: string
  readonly sidecarTls?: EnvoyObject
}

const echo = (name: string): EnvoyObject => ({
  name,
  address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
  filter_chains: [
    {
      filters: [
        {
          name: 'envoy.filters.network.http_connection_manager',
          typed_config: {
            '@type': type('extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
            stat_prefix: name,
            http_filters: [
              { name: 'router', typed_config: { '@type': type('extensions.filters.http.router.v3.Router') } },
            ],
            route_config: {
              virtual_hosts: [
                {
                  name: 'all',
                  domains: ['*'],
                  routes: [{ match: { prefix: '/' }, direct_response: { status: 200, body: { inline_string: name } } }],
                },
              ],
            },
          },
        },
      ],
    },
  ],
})

/**
 * The smallest Envoy around hubward, without the guards that the generated configuration adds: three sites a, b and
 * default that are listeners of the same Envoy on internal unix sockets, and one route that follows the routing header.
 */
export const minimalEnvoy = (folder: string, told: Minimal): EnvoyObject => {
  const site = (name: string): EnvoyObject => ({
    name,
    type: 'STATIC',
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: `${folder}/${name}.sock` } } } }] }],
    },
  })
  const siteListener = (name: string): EnvoyObject => ({
    ...echo(name),
    address: { pipe: { path: `${folder}/${name}.sock` } },
  })
  const address =
    'path' in told.sidecar
      ? { pipe: { path: told.sidecar.path } }
      : { socket_address: { address: told.sidecar.host, port_value: told.sidecar.port } }
  const grpc = { envoy_grpc: { cluster_name: 'hubward' } }
  const skip = {
    request_header_mode: 'SEND',
    response_header_mode: 'SKIP',
    request_body_mode: 'NONE',
    response_body_mode: 'NONE',
  }
  const filter =
    told.mode === 'ext_authz'
      ? {
          name: 'envoy.filters.http.ext_authz',
          typed_config: {
            '@type': type('extensions.filters.http.ext_authz.v3.ExtAuthz'),
            transport_api_version: 'V3',
            grpc_service: { ...grpc, timeout: told.timeout ?? '5s' },
            clear_route_cache: true,
            failure_mode_allow: told.failOpen === true,
            status_on_error: { code: 'ServiceUnavailable' },
          },
        }
      : {
          name: 'envoy.filters.http.ext_proc',
          typed_config: {
            '@type': type('extensions.filters.http.ext_proc.v3.ExternalProcessor'),
            grpc_service: grpc,
            failure_mode_allow: told.failOpen === true,
            message_timeout: told.timeout ?? '5s',
            processing_mode: skip,
            request_attributes: ['source.address'],
          },
        }
  const perBody =
    told.bodyPath === undefined
      ? []
      : [
          {
            match: { prefix: told.bodyPath },
            route: { cluster_header: 'x-hubward-cluster' },
            typed_per_filter_config: {
              'envoy.filters.http.ext_proc': {
                '@type': type('extensions.filters.http.ext_proc.v3.ExtProcPerRoute'),
                overrides: { processing_mode: { ...skip, request_body_mode: 'BUFFERED' } },
              },
            },
          },
        ]
  return {
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: 0 } } },
    static_resources: {
      listeners: [
        {
          name: 'ingress',
          address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
          filter_chains: [
            {
              filters: [
                {
                  name: 'envoy.filters.network.http_connection_manager',
                  typed_config: {
                    '@type': type('extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
                    stat_prefix: 'ingress',
                    early_header_mutation_extensions: [
                      {
                        name: 'marker',
                        typed_config: {
                          '@type': type('extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation'),
                          mutations: [
                            {
                              append: {
                                header: { key: 'x-hubward-cluster', value: 'default' },
                                append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
                              },
                            },
                          ],
                        },
                      },
                    ],
                    http_filters: [
                      filter,
                      { name: 'router', typed_config: { '@type': type('extensions.filters.http.router.v3.Router') } },
                    ],
                    route_config: {
                      virtual_hosts: [
                        {
                          name: 'all',
                          domains: ['*'],
                          routes: [
                            ...perBody,
                            { match: { prefix: '/' }, route: { cluster_header: 'x-hubward-cluster' } },
                          ],
                        },
                      ],
                    },
                  },
                },
              ],
            },
          ],
        },
        ...['a', 'b', 'default'].map(siteListener),
      ],
      clusters: [
        ...['a', 'b', 'default'].map(site),
        {
          name: 'hubward',
          type: 'STATIC',
          connect_timeout: '1s',
          typed_extension_protocol_options: http2,
          circuit_breakers: {
            thresholds: [{ max_connections: 1024, max_pending_requests: 10_000, max_requests: 10_000 }],
          },
          ...(told.sidecarTls === undefined ? {} : { transport_socket: told.sidecarTls }),
          load_assignment: { cluster_name: 'hubward', endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
        },
      ],
    },
  }
}
