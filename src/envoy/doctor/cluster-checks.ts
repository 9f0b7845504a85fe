import type { DocumentSet } from '../../model/documents.ts'
import { aggregateName, residencyDefaultName } from '../../model/names.ts'
import { clusterPairs } from '../config/pairs.ts'
import type { ClusterForm } from './admin-forms.ts'
import type { Check } from './check.ts'
import { type EnvoyView, isExtProc } from './view.ts'

const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions'

/** Envoy needs this much, and this switch, so that Node's guard against resets is never reached. */
const REQUESTS_MAX = 1_000
const GRACEFUL_CLOSE = 'envoy.reloadable_features.ext_proc_graceful_grpc_close'

const sidecar = (view: EnvoyView): ClusterForm[] => {
  const cluster = view.clusters.get(view.sidecarCluster)
  return cluster === undefined ? [] : [cluster]
}

const streams = (view: EnvoyView): boolean => view.managers.some((one) => isExtProc(one.filter))

const requestsPerConnection = (cluster: ClusterForm): number =>
  cluster.typed_extension_protocol_options?.[HTTP_OPTIONS]?.common_http_protocol_options?.max_requests_per_connection ??
  cluster.max_requests_per_connection ??
  0

const speaksHttp2 = (cluster: ClusterForm): boolean =>
  cluster.http2_protocol_options !== undefined ||
  cluster.typed_extension_protocol_options?.[HTTP_OPTIONS]?.explicit_http_config?.http2_protocol_options !== undefined

/** The sites whose pools a cluster reaches, an aggregate's members included. */
export const sitesBehind = (view: EnvoyView, set: DocumentSet, name: string): DocumentSet['sites'] => {
  const members = view.clusters.get(name)?.cluster_type?.typed_config?.clusters ?? [name]
  return set.sites.filter((site) => site.pools.some((pool) => members.includes(pool.cluster)))
}

const missing = (view: EnvoyView, names: readonly string[]): string[] =>
  [...new Set(names)].filter((name) => !view.clusters.has(name))

/** What can be wrong with the clusters: hubward's own, the pools', the aggregates. */
export const CLUSTER_CHECKS: readonly Check[] = [
  {
    code: 'doctor/no-sidecar-cluster',
    severity: 'error',
    remedy: 'add the cluster that `hubward envoy` writes; in Istio an EnvoyFilter with applyTo: CLUSTER',
    find: (view) => (sidecar(view).length > 0 ? [] : [`Envoy has no cluster ${view.sidecarCluster}`]),
  },
  {
    code: 'doctor/sidecar-without-http2',
    severity: 'error',
    remedy: 'set explicit_http_config: { http2_protocol_options: {} }, or name the Service port grpc-...',
    find: (view) =>
      sidecar(view)
        .filter((cluster) => !speaksHttp2(cluster))
        .map((cluster) => `cluster ${cluster.name} speaks HTTP/1.1, and gRPC needs HTTP/2`),
  },
  {
    code: 'doctor/no-health-check',
    severity: 'warning',
    remedy: 'add health_checks with grpc_health_check: a hung hubward then costs a millisecond instead of the timeout',
    find: (view) =>
      sidecar(view)
        .filter((cluster) => !cluster.health_checks?.some((one) => one.grpc_health_check !== undefined))
        .map((cluster) => `cluster ${cluster.name} has no grpc health check`),
  },
  {
    code: 'doctor/panic-not-zero',
    severity: 'warning',
    remedy: 'set common_lb_config: { healthy_panic_threshold: { value: 0 } }, else the health check changes nothing',
    find: (view) =>
      sidecar(view)
        .filter((cluster) => {
          const threshold = cluster.common_lb_config?.healthy_panic_threshold
          // Zero is given, and left out of the dump as every zero is.
          return threshold === undefined || (threshold.value ?? 0) > 0
        })
        .map((cluster) => `cluster ${cluster.name} is asked even when it is known to be dead`),
  },
  {
    code: 'doctor/requests-per-connection',
    severity: 'error',
    remedy: `set max_requests_per_connection: 800; Node ends a connection after about ${REQUESTS_MAX} reset streams`,
    find: (view) =>
      (streams(view) ? sidecar(view) : [])
        .map((cluster) => ({ name: cluster.name, most: requestsPerConnection(cluster) }))
        .filter(({ most }) => most === 0 || most >= REQUESTS_MAX)
        .map(
          ({ name, most }) => `cluster ${name} puts ${most === 0 ? 'any number of' : most} requests on a connection`,
        ),
  },
  {
    code: 'doctor/streams-are-reset',
    severity: 'warning',
    remedy: `set the runtime switch ${GRACEFUL_CLOSE}: true (in Istio: ProxyConfig runtimeValues)`,
    find: (view) =>
      streams(view) && view.runtime.get(GRACEFUL_CLOSE) !== 'true'
        ? ['Envoy resets every ext_proc stream instead of closing it']
        : [],
  },
  {
    code: 'doctor/cluster-missing',
    severity: 'error',
    remedy: 'generate the configuration again with `hubward envoy`, or correct the document',
    find: (view, set) => {
      const pools = (set?.sites ?? []).flatMap((site) =>
        site.pools.map((pool) => ({ cluster: pool.cluster, pool: `${site.metadata.name}/${pool.name}` })),
      )
      return pools
        .filter(({ cluster }) => !view.clusters.has(cluster))
        .map(({ cluster, pool }) => `Envoy has no cluster ${cluster}, so ${pool} is never chosen`)
    },
  },
  {
    code: 'doctor/aggregate-missing',
    severity: 'warning',
    remedy: 'generate the configuration again with `hubward envoy`',
    find: (view, set) => {
      if (set === undefined) return []
      const known = clusterPairs(set, Number.POSITIVE_INFINITY).pairs.filter(
        ({ first, second }) => view.clusters.has(first) && view.clusters.has(second),
      )
      const names = missing(
        view,
        known.map(({ first, second }) => aggregateName(first, second)),
      )
      if (names.length === 0) return []
      const shown = names.slice(0, 3).join(', ')
      return [
        `${names.length} aggregates are missing (${shown}${names.length > 3 ? ', …' : ''}): a refused connection there is not healed`,
      ]
    },
  },
  {
    code: 'doctor/default-missing',
    severity: 'error',
    remedy: 'generate the configuration again with `hubward envoy`',
    find: (view, set) => {
      const wanted = (set?.residencies ?? []).filter((one) => one.default !== undefined)
      return missing(
        view,
        wanted.map((one) => residencyDefaultName(one.metadata.name)),
      ).map((name) => `Envoy has no cluster ${name}: that residency class gets 503 while hubward is down`)
    },
  },
  {
    code: 'doctor/default-outside-class',
    severity: 'error',
    remedy: 'generate the configuration again with `hubward envoy`, which refuses such a default',
    find: (view, set) =>
      (set?.residencies ?? []).flatMap((one) => {
        const name = residencyDefaultName(one.metadata.name)
        if (set === undefined || !view.clusters.has(name)) return []
        return sitesBehind(view, set, name)
          .filter((site) => !site.jurisdictions.some((where) => one.allows.includes(where)))
          .map((site) => `${name} leads to ${site.metadata.name}, outside ${one.allows.join(', ')}`)
      }),
  },
]
