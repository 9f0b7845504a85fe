import type { EnvoyObject } from '../../src/envoy/config/envoy-object.ts'
import { type RunningEnvoy, startEnvoy } from './running-envoy.ts'

const TYPE = 'type.googleapis.com/envoy.extensions.filters'

const listener = (name: string): EnvoyObject => ({
  name,
  address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
  filter_chains: [
    {
      filters: [
        {
          name: 'envoy.filters.network.http_connection_manager',
          typed_config: {
            '@type': `${TYPE}.network.http_connection_manager.v3.HttpConnectionManager`,
            stat_prefix: name,
            http_filters: [
              { name: 'envoy.filters.http.router', typed_config: { '@type': `${TYPE}.http.router.v3.Router` } },
            ],
            route_config: {
              virtual_hosts: [
                {
                  name,
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

/** Sites that answer everything at once with their name: an Envoy of their own, the cheapest upstream there is. */
export async function instantSites<Name extends string>(
  names: readonly Name[],
): Promise<{ readonly ports: Readonly<Record<Name, number>>; readonly envoy: RunningEnvoy }> {
  const envoy = await startEnvoy({
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: 0 } } },
    static_resources: { listeners: names.map(listener) },
  })
  const ports = await Promise.all(names.map(async (name) => [name, await envoy.port(name)] as const))
  return { ports: Object.fromEntries(ports) as Record<Name, number>, envoy }
}
