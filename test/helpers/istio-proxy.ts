import type { EnvoyObject } from '../../src/envoy/config/envoy-object.ts'

// biome-ignore lint/suspicious/noExplicitAny: pieces of configuration of any shape.
type Loose = any

/** Two protobuf messages as Istio merges them: lists grow, messages merge, and a oneof keeps what was set last. */
function merge(into: Loose, from: Loose): Loose {
  if (Array.isArray(into) && Array.isArray(from)) return [...into, ...from]
  if (typeof into !== 'object' || typeof from !== 'object' || into === null || from === null) return from
  const result = { ...into }
  for (const [key, value] of Object.entries(from)) result[key] = key in into ? merge(into[key], value) : value
  if ('cluster_header' in from) delete result.cluster
  return result
}

/**
 * What a proxy of Istio's might look like, with the patches of an EnvoyFilter applied in the order that Istio applies
 * them (pilot/pkg/networking/core/envoyfilter): listeners, clusters, then hosts; routes are merged before any is put in
 * front. Only what `hubward envoy` writes is understood; everything else throws.
 */
export function istioProxy(filter: EnvoyObject, hosts: readonly string[], admin: EnvoyObject): EnvoyObject {
  const patches: Loose[] = (filter as Loose).spec.configPatches
  const of = (applyTo: string) => patches.filter((one) => one.applyTo === applyTo)
  let manager: Loose = {
    '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    stat_prefix: 'outbound_0.0.0.0_8080',
    use_remote_address: true,
    normalize_path: true,
    http_filters: [
      {
        name: 'envoy.filters.http.router',
        typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
      },
    ],
    route_config: {
      name: 'http.8080',
      virtual_hosts: hosts.map((name) => ({
        name,
        domains: [name.replace(/:\d+$/, '')],
        routes: [{ name: 'default', match: { prefix: '/' }, route: { cluster: 'outbound|80||x', timeout: '0s' } }],
      })),
    },
  }
  for (const { patch } of of('NETWORK_FILTER')) manager = merge(manager, patch.value.typed_config)
  for (const { patch } of of('HTTP_FILTER')) {
    if (patch.operation !== 'INSERT_BEFORE') throw new Error(patch.operation)
    manager.http_filters.splice(manager.http_filters.length - 1, 0, patch.value)
  }
  for (const host of manager.route_config.virtual_hosts) {
    const here = (one: Loose) => one.match.routeConfiguration.vhost.name === host.name
    for (const { patch } of of('VIRTUAL_HOST').filter(here)) Object.assign(host, merge(host, patch.value))
    const routes = of('HTTP_ROUTE').filter(here)
    for (const { patch } of routes.filter((one) => one.patch.operation === 'MERGE')) {
      host.routes = host.routes.map((route: Loose) => merge(route, patch.value))
    }
    for (const { patch } of routes.filter((one) => one.patch.operation === 'INSERT_FIRST'))
      host.routes.unshift(patch.value)
  }
  const listener = {
    name: 'ingress',
    address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
    filter_chains: [{ filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] }],
  }
  return {
    admin,
    layered_runtime: {
      layers: [{ name: 'x', static_layer: { 'envoy.reloadable_features.ext_proc_graceful_grpc_close': true } }],
    },
    static_resources: {
      listeners: [listener],
      clusters: [...of('CLUSTER').map((one) => one.patch.value), { name: 'outbound|80||x', type: 'STATIC' }],
    },
  }
}
