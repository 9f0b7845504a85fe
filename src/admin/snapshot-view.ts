import type { DocumentSet, Site } from '../model/documents.ts'
import { policyRef } from '../model/documents.ts'
import type { EpochMs, TargetName } from '../model/names.ts'
import type { SnapshotData } from '../model/snapshot.ts'

/** One target as operators see it. */
interface TargetView {
  readonly target: TargetName
  readonly state: string
  readonly since: EpochMs
  readonly cause: string
  readonly red: readonly string[]
  /** Newest values by signal; a signal for one model has the model in its name. */
  readonly signals: Readonly<Record<string, { readonly value: number; readonly at: EpochMs; readonly source: string }>>
  /** Thresholds that keep it out now, and since when. */
  readonly failing: readonly {
    readonly signal: string
    readonly op: string
    readonly limit: number
    readonly since: EpochMs
  }[]
}

/**
 * The snapshot as it may be shown: no addresses of endpoints, no tenants, nothing of where facts come from, no test
 * cases. Nothing in it grows old by itself, so equal snapshots give equal text.
 */
export function snapshotView(data: SnapshotData) {
  return {
    revision: data.revision,
    documentsVersion: data.documentsVersion,
    at: data.at,
    sources: Object.values(data.sources),
    documents: Object.fromEntries(Object.entries(data.sets).map(([source, set]) => [source, documentsView(set)])),
    overrides: Object.entries(data.overrideSets).flatMap(([source, set]) =>
      [...set.overrides, ...set.maintenance].map(({ id }) => ({ source, id, inForce: data.inForce.includes(id) })),
    ),
    routing: Object.values(data.overrideSets).some((set) => set.routing?.enabled === false) ? 'disabled' : 'enabled',
    targets: data.targets.map((target, index) => targetView(data, target, index)),
    clusters: data.clusters,
  }
}

function targetView(data: SnapshotData, target: TargetName, index: number): TargetView {
  const health = data.health[index]
  const signals: Record<string, TargetView['signals'][string]> = {}
  for (const [key, column] of Object.entries(data.columns)) {
    const at = column.at[index] ?? 0
    if (at > 0) signals[key] = { value: column.value[index]!, at, source: column.source[index] ?? '' }
  }
  const failing = Object.values(data.gates)
    .filter((row) => row.failed[index] === 1)
    .map(({ spec, failedAt }) => ({
      signal: spec.model === undefined ? spec.signal : `${spec.signal}|${spec.model}`,
      op: spec.op,
      limit: spec.limit,
      since: failedAt[index] ?? 0,
    }))
  return {
    target,
    state: health?.state ?? 'ready',
    since: health?.since ?? 0,
    cause: health?.cause ?? '',
    red: health?.red ?? [],
    signals,
    failing,
  }
}

const documentsView = (set: DocumentSet) => ({
  sites: set.sites.map(siteView),
  residencies: set.residencies.map(({ metadata, allows, default: fallback }) => ({
    name: metadata.name,
    allows,
    default: fallback?.sites ?? [],
  })),
  classes: set.classes.map(({ metadata, critical, flexibility, whenHubwardIsDown }) => ({
    name: metadata.name,
    critical,
    flexibility,
    whenHubwardIsDown,
  })),
  policies: set.policies.map((policy) => ({
    policy: policyRef(policy),
    class: policy.class,
    owner: policy.metadata.owner,
    priority: policy.priority,
    when: policy.when,
    hash: policy.hash,
  })),
})

const siteView = ({ metadata, role, place, jurisdictions, pools, maintenance }: Site) => ({
  name: metadata.name,
  owner: metadata.owner,
  role,
  place,
  jurisdictions,
  pools: pools.map(({ name, cluster, gpu, cooling, capacity, models }) => ({
    name,
    cluster,
    gpu,
    cooling,
    capacity,
    models: models.map((model) => model.name),
  })),
  maintenance,
})
