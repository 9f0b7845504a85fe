import type { DocumentSet, Pool, ResidencyClass } from '../../model/documents.ts'
import { aggregateName, type ClusterName, residencyDefaultName } from '../../model/names.ts'
import { type EnvoyObject, typed } from './envoy-object.ts'
import type { EnvoyOptions } from './options.ts'
import { clusterPairs, sharesModel } from './pairs.ts'

/** A cluster that tries others in their order. */
export const aggregate = (name: ClusterName, clusters: readonly ClusterName[]): EnvoyObject => ({
  name,
  connect_timeout: '1s',
  lb_policy: 'CLUSTER_PROVIDED',
  cluster_type: {
    name: 'envoy.clusters.aggregate',
    typed_config: typed('extensions.clusters.aggregate.v3.ClusterConfig', { clusters }),
  },
})

/** The aggregates that decisions may name, `ams-h100+fra-h100`. */
export const pairAggregates = (set: DocumentSet, options: EnvoyOptions): EnvoyObject[] =>
  clusterPairs(set, options.aggregatesMax).pairs.map(({ first, second }) =>
    aggregate(aggregateName(first, second), [first, second]),
  )

/** The aggregates that serve each residency class while hubward does not answer. */
export const residencyDefaults = (set: DocumentSet): EnvoyObject[] =>
  set.residencies
    .filter((one) => one.default !== undefined)
    .map((one) => aggregate(residencyDefaultName(one.metadata.name), defaultClusters(set, one)))

/**
 * The clusters of a residency class's default, site by site in written order. Only pools that serve a model of the
 * first: to fall over to another model would turn a dead site into a 404.
 */
export function defaultClusters(set: DocumentSet, residency: ResidencyClass): ClusterName[] {
  const pools: Pool[] = (residency.default?.sites ?? []).flatMap(
    (name) => set.sites.find((site) => site.metadata.name === name)?.pools ?? [],
  )
  const first = pools[0]
  if (first === undefined) return []
  return [...new Set(pools.filter((pool) => sharesModel(first, pool)).map((pool) => pool.cluster))]
}
