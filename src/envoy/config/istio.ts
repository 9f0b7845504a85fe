import type { DocumentSet } from '../../model/documents.ts'
import type { ResidencyName } from '../../model/names.ts'
import { usageFilters } from './access-log-service.ts'
import { allClusters } from './bootstrap.ts'
import { decisionFilter } from './decision-filter.ts'
import { earlyHeaderMutation } from './early-headers.ts'
import { type EnvoyObject, typed } from './envoy-object.ts'
import { accessLogsOf, failClosedReply } from './listener.ts'
import type { EnvoyOptions } from './options.ts'
import { residencyHeaderFilter, residencyOfHost } from './residency-header.ts'
import { decidedRoute, markerRoutes } from './routes.ts'
import { sessionFilter } from './session-header.ts'

/** Where in a mesh hubward decides. */
export interface IstioPlace {
  /** `GATEWAY`: requests that come in; `SIDECAR_OUTBOUND`: those that the workload sends. */
  readonly context: 'GATEWAY' | 'SIDECAR_OUTBOUND'
  readonly name: string
  readonly namespace: string
  /** The pods whose Envoy is meant. */
  readonly labels: Readonly<Record<string, string>>
  /** The virtual hosts that hubward decides for, as Istio names them: `llm.example.com:443`; and their residency class. */
  readonly hosts: readonly { readonly name: string; readonly class?: ResidencyName }[]
}

const MANAGER = 'envoy.filters.network.http_connection_manager'
const ROUTER = 'envoy.filters.http.router'

/**
 * The same configuration as patches on what Istio generates. An EnvoyFilter whose match finds nothing does nothing and
 * says nothing: look at the result with `istioctl proxy-config routes -o json`, and with `hubward doctor`.
 */
export function istioEnvoyFilter(set: DocumentSet, options: EnvoyOptions, place: IstioPlace): EnvoyObject {
  const { context } = place
  const listener = { filterChain: { filter: { name: MANAGER } } }
  const before = { filterChain: { filter: { name: MANAGER, subFilter: { name: ROUTER } } } }
  const manager = typed('extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
    early_header_mutation_extensions: [earlyHeaderMutation(options)],
    local_reply_config: failClosedReply(options),
    // Beside the mesh's own: lists are joined when they are merged.
    ...accessLogsOf(options, undefined),
  })
  const byHost = place.hosts.some((host) => host.class !== undefined)
  // Each goes right in front of the router, so they run in the order in which they stand here.
  const filters = [
    ...options.filtersBefore,
    ...(byHost ? [residencyHeaderFilter()] : []),
    // One Envoy serves many hosts; only those that are named ask hubward.
    { ...decisionFilter(set, options), disabled: true },
    sessionFilter(options),
    ...usageFilters(options),
  ]
  return {
    apiVersion: 'networking.istio.io/v1alpha3',
    kind: 'EnvoyFilter',
    metadata: { name: place.name, namespace: place.namespace },
    spec: {
      workloadSelector: { labels: place.labels },
      configPatches: [
        patch('NETWORK_FILTER', { context, listener }, 'MERGE', { name: MANAGER, typed_config: manager }),
        ...filters.map((filter) => patch('HTTP_FILTER', { context, listener: before }, 'INSERT_BEFORE', filter)),
        ...allClusters(set, options).map((cluster) => patch('CLUSTER', { context }, 'ADD', cluster)),
        ...place.hosts.flatMap((host) => hostPatches(set, options, context, host)),
      ],
    },
  }
}

function hostPatches(
  set: DocumentSet,
  options: EnvoyOptions,
  context: IstioPlace['context'],
  host: IstioPlace['hosts'][number],
): EnvoyObject[] {
  const match = { context, routeConfiguration: { vhost: { name: host.name } } }
  const { name: _name, match: _match, ...decided } = decidedRoute(options)
  const filter = decisionFilter(set, options).name as string
  const residency = host.class === undefined ? {} : residencyOfHost(host.class)
  const perFilter = {
    ...((residency as EnvoyObject).typed_per_filter_config as EnvoyObject | undefined),
    [filter]: { '@type': 'type.googleapis.com/envoy.config.route.v3.FilterConfig', config: {} },
  }
  return [
    patch('VIRTUAL_HOST', match, 'MERGE', { ...residency, typed_per_filter_config: perFilter }),
    // What Istio routes to stays its own match; only where it leads is hubward's to say.
    patch('HTTP_ROUTE', match, 'MERGE', decided),
    // Every one is put first, so the last of the list has to come first here.
    ...markerRoutes(set, options, host.class)
      .toReversed()
      .map((route) => patch('HTTP_ROUTE', match, 'INSERT_FIRST', route)),
  ]
}

const patch = (applyTo: string, match: EnvoyObject, operation: string, value: EnvoyObject): EnvoyObject => ({
  applyTo,
  match,
  patch: { operation, value },
})
