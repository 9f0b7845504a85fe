import type { DocumentSet } from '../../model/documents.ts'
import { pairAggregates, residencyDefaults } from './aggregates.ts'
import { poolClusters, sidecarClusters } from './clusters.ts'
import { addressOf, type EnvoyObject } from './envoy-object.ts'
import { ingressListener } from './listener.ts'
import type { EnvoyOptions } from './options.ts'

/** All clusters: hubward, the pools, the pairs, and the residency defaults. */
export const allClusters = (set: DocumentSet, options: EnvoyOptions): EnvoyObject[] => [
  ...sidecarClusters(options),
  ...poolClusters(set, options),
  ...pairAggregates(set, options),
  ...residencyDefaults(set),
]

/**
 * The switches of the runtime that hubward needs: Envoy half-closes an ext_proc stream instead of resetting it. The
 * admin layer keeps switches changeable in a running Envoy.
 */
export const RUNTIME_LAYERS: EnvoyObject = {
  layers: [
    { name: 'hubward', static_layer: { 'envoy.reloadable_features.ext_proc_graceful_grpc_close': true } },
    { name: 'admin', admin_layer: {} },
  ],
}

/** A whole Envoy bootstrap: the result of `hubward envoy` as a plain object, ready to be written as YAML or JSON. */
export const envoyConfig = (set: DocumentSet, options: EnvoyOptions): EnvoyObject => ({
  layered_runtime: RUNTIME_LAYERS,
  admin: { address: addressOf(options.admin) },
  static_resources: {
    listeners: [ingressListener(set, options)],
    clusters: allClusters(set, options),
  },
})
