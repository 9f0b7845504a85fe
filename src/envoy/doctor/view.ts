import type { ClusterForm, FilterForm, ManagerForm, RouteTableForm } from './admin-forms.ts'

/** A connection manager that asks hubward, or one that might have. */
export interface ManagerView {
  /** The listener it belongs to. */
  readonly listener: string
  readonly manager: ManagerForm
  /** The filter that asks hubward. */
  readonly filter: FilterForm | undefined
  /** The routes it uses; undefined where Envoy has none for it yet. */
  readonly routes: RouteTableForm | undefined
}

/** What the checks know of a running Envoy. */
export interface EnvoyView {
  /** `1.40.0`. */
  readonly version: string
  /** The managers with hubward's filter; all of them where none has it. */
  readonly managers: readonly ManagerView[]
  readonly clusters: ReadonlyMap<string, ClusterForm>
  readonly stats: ReadonlyMap<string, number>
  /** Runtime switches that somebody has set. */
  readonly runtime: ReadonlyMap<string, string>
  /** How the cluster that hubward is is called here. */
  readonly sidecarCluster: string
}

/** The pages that a view is made of, as Envoy gave them, parsed. */
export interface AdminPages {
  readonly configDump: unknown
  readonly stats: unknown
  readonly serverInfo: unknown
  readonly runtime: unknown
}

const FILTERS = ['envoy.filters.http.ext_proc', 'envoy.filters.http.ext_authz']

/** The view of Envoy's own pages. Throws where a page is none of Envoy's. */
export function viewOf(pages: AdminPages, sidecarCluster: string): EnvoyView {
  const sections = (pages.configDump as { configs: readonly Section[] }).configs
  const tables = new Map(
    sections
      .flatMap((one) => [...(one.static_route_configs ?? []), ...(one.dynamic_route_configs ?? [])])
      .flatMap((one) => (one.route_config === undefined ? [] : [one.route_config]))
      .map((table) => [table.name ?? '', table]),
  )
  const managers = sections.flatMap(listenersOf).flatMap((listener) =>
    [...(listener.filter_chains ?? []), ...(listener.default_filter_chain ? [listener.default_filter_chain] : [])]
      .flatMap((chain) => chain.filters ?? [])
      .filter((filter) => filter.typed_config?.['@type']?.endsWith('HttpConnectionManager'))
      .map(({ typed_config: manager = {} }) => ({
        listener: listener.name ?? '',
        manager,
        filter: manager.http_filters?.find((one) => asksHubward(one, sidecarCluster)),
        routes: manager.route_config ?? tables.get(manager.rds?.route_config_name ?? ''),
      })),
  )
  const asking = managers.filter((one) => one.filter !== undefined)
  return {
    version: versionOf(pages.serverInfo),
    managers: asking.length > 0 ? asking : managers,
    clusters: new Map(
      sections
        .flatMap((one) => [...(one.static_clusters ?? []), ...(one.dynamic_active_clusters ?? [])])
        .flatMap((one) => (one.cluster === undefined ? [] : [[one.cluster.name ?? '', one.cluster]])),
    ),
    stats: new Map(
      (pages.stats as { stats: readonly { name?: string; value?: number }[] }).stats.flatMap((one) =>
        one.name === undefined || typeof one.value !== 'number' ? [] : [[one.name, one.value]],
      ),
    ),
    runtime: new Map(
      Object.entries((pages.runtime as { entries?: Record<string, { final_value: string }> }).entries ?? {}).map(
        ([name, entry]) => [name, entry.final_value],
      ),
    ),
    sidecarCluster,
  }
}

const asksHubward = (filter: FilterForm, cluster: string): boolean =>
  FILTERS.includes(filter.name ?? '') && filter.typed_config?.grpc_service?.envoy_grpc?.cluster_name === cluster

/** Whether the filter that asks is ext_proc; ext_authz has fewer ways to go wrong. */
export const isExtProc = (filter: FilterForm | undefined): boolean => filter?.name === FILTERS[0]

// `<commit>/1.40.0/Clean/RELEASE/BoringSSL`; istio's proxies put their own version elsewhere and Envoy's here.
const versionOf = (info: unknown): string =>
  /(\d+\.\d+\.\d+)/.exec((info as { version?: string }).version ?? '')?.[1] ?? 'unknown'

interface ListenerForm {
  readonly name?: string
  readonly filter_chains?: readonly ChainForm[]
  readonly default_filter_chain?: ChainForm
}

interface ChainForm {
  readonly filters?: readonly { readonly typed_config?: ManagerForm & { readonly '@type'?: string } }[]
}

interface Section {
  readonly static_listeners?: readonly { readonly listener?: ListenerForm }[]
  readonly dynamic_listeners?: readonly { readonly active_state?: { readonly listener?: ListenerForm } }[]
  readonly static_route_configs?: readonly { readonly route_config?: RouteTableForm }[]
  readonly dynamic_route_configs?: readonly { readonly route_config?: RouteTableForm }[]
  readonly static_clusters?: readonly { readonly cluster?: ClusterForm }[]
  readonly dynamic_active_clusters?: readonly { readonly cluster?: ClusterForm }[]
}

const listenersOf = (section: Section): ListenerForm[] =>
  [
    ...(section.static_listeners ?? []).map((one) => one.listener),
    ...(section.dynamic_listeners ?? []).map((one) => one.active_state?.listener),
  ].filter((one) => one !== undefined)
