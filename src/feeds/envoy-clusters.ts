/** What Envoy's admin port says of one cluster. */
export interface EnvoyCluster {
  readonly name: string
  /** Hosts it has now; an aggregate has none of its own. */
  readonly hosts: number
  /** Hosts that fail Envoy's own health check. */
  readonly hostsFailing: number
  /** By host address, counts since the host was added. */
  readonly counts: ReadonlyMap<string, HostCounts>
}

/** What Envoy counted of one host. */
export interface HostCounts {
  readonly connectFailures: number
  readonly successes: number
}

/** The clusters of `/clusters?format=json`. Throws where the text is not that. */
export function readClusters(text: string): EnvoyCluster[] {
  const all = field(JSON.parse(text), 'cluster_statuses')
  // Envoy leaves an empty list out.
  return (Array.isArray(all) ? all : []).flatMap((status): EnvoyCluster[] => {
    const name = field(status, 'name')
    if (typeof name !== 'string' || name === '') return []
    const hosts = field(status, 'host_statuses')
    const list = Array.isArray(hosts) ? hosts : []
    return [
      {
        name,
        hosts: list.length,
        hostsFailing: list.filter((host) => field(field(host, 'health_status'), 'failed_active_health_check') === true)
          .length,
        counts: new Map(list.map((host) => [JSON.stringify(field(host, 'address') ?? null), countsOf(host)])),
      },
    ]
  })
}

const countsOf = (host: unknown): HostCounts => {
  const stats = field(host, 'stats')
  let connectFailures = 0
  let successes = 0
  for (const stat of Array.isArray(stats) ? stats : []) {
    const name = field(stat, 'name')
    // A counter of 0 comes without its value, others as text.
    const value = Number(field(stat, 'value') ?? 0)
    if (!Number.isFinite(value)) continue
    if (name === 'cx_connect_fail') connectFailures = value
    else if (name === 'rq_success') successes = value
  }
  return { connectFailures, successes }
}

const field = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : undefined
