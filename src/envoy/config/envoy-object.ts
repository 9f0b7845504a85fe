/** A piece of Envoy's configuration as JSON has it. */
export type EnvoyObject = { readonly [field: string]: unknown }

/** Where something listens: a TCP port, or a unix socket. */
export type Address = { readonly host: string; readonly port: number } | { readonly path: string }

/** An extension's configuration with its type: `typed('extensions.filters.http.router.v3.Router')`. */
export const typed = (type: string, fields: EnvoyObject = {}): EnvoyObject => ({
  '@type': `type.googleapis.com/envoy.${type}`,
  ...fields,
})

/** A duration as Envoy's JSON wants it: `0.2s`. */
export const seconds = (ms: number): string => `${ms / 1_000}s`

/** An address as Envoy wants it. */
export const addressOf = (address: Address): EnvoyObject =>
  'path' in address
    ? { pipe: { path: address.path } }
    : { socket_address: { address: address.host, port_value: address.port } }

/** A header to add, replacing one of that name. */
export const setHeader = (key: string, value: string): EnvoyObject => ({
  header: { key, value },
  append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
})

/** A cluster's only priority, with these hosts. */
export const loadAssignment = (cluster: string, addresses: readonly Address[]): EnvoyObject => ({
  cluster_name: cluster,
  endpoints: [{ lb_endpoints: addresses.map((address) => ({ endpoint: { address: addressOf(address) } })) }],
})

/** How a cluster finds these hosts: names are looked up, numbers and sockets are not. */
export const discoveryOf = (addresses: readonly Address[]): EnvoyObject =>
  addresses.every((address) => 'path' in address || /^[0-9.]+$|:/.test(address.host))
    ? { type: 'STATIC' }
    : { type: 'STRICT_DNS', dns_lookup_family: 'V4_PREFERRED' }

/** `host:port` or `[v6]:port` taken apart. */
export const endpointAddress = (endpoint: string): Address => {
  const at = endpoint.lastIndexOf(':')
  return { host: endpoint.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(endpoint.slice(at + 1)) }
}
