import type { DocumentSet, Policy, Pool, Site } from '../../model/documents.ts'
import type { ClusterName } from '../../model/names.ts'

/** Two clusters of which the second takes what the first can't be reached for. */
export interface Pair {
  readonly first: ClusterName
  readonly second: ClusterName
}

interface Candidate {
  readonly site: Site
  readonly pool: Pool
}

/**
 * Every ordered pair of clusters that one decision could name together: both stand in one policy's ladder, serve a
 * common model and could serve one request's residency. Closest in the ladder first, at most `max` of them, because
 * each is a cluster in Envoy's memory; without its aggregate a decision names the plain cluster.
 */
export function clusterPairs(set: DocumentSet, max: number): { readonly pairs: Pair[]; readonly cut: number } {
  const found = new Map<string, { pair: Pair; distance: number }>()
  for (const policy of set.policies) {
    for (const candidates of ladders(set, policy)) {
      for (const [i, a] of candidates.entries()) {
        for (const [j, b] of candidates.entries()) {
          if (a.pool.cluster === b.pool.cluster || !sharesModel(a.pool, b.pool)) continue
          if (policy.residency !== 'unrestricted' && !sharesResidency(set, a.site, b.site)) continue
          const key = `${a.pool.cluster}+${b.pool.cluster}`
          // One step forward is what mostly happens; a step back is a session that stayed behind.
          const distance = j > i ? 2 * (j - i) : 2 * (i - j) + 1
          const known = found.get(key)
          if (known !== undefined && known.distance <= distance) continue
          found.set(key, { pair: { first: a.pool.cluster, second: b.pool.cluster }, distance })
        }
      }
    }
  }
  const all = [...found.values()].sort((a, b) => a.distance - b.distance).map((one) => one.pair)
  return { pairs: all.slice(0, max), cut: Math.max(0, all.length - max) }
}

// The candidates in the order in which the ladder tries them, and the degraded ones, whose model is another, by
// themselves. A ladder by distance or over everything is compared over all sites.
function ladders(set: DocumentSet, policy: Policy): Candidate[][] {
  const all = set.sites.flatMap((site) => site.pools.map((pool) => ({ site, pool })))
  const ladder = policy.ladder
  const main = 'tiers' in ladder ? ladder.tiers.flat().flatMap((entry) => entryOf(all, entry)) : all
  return policy.degraded === undefined ? [main] : [main, entryOf(all, policy.degraded.site)]
}

const entryOf = (all: readonly Candidate[], entry: string): Candidate[] =>
  all.filter(({ site, pool }) => entry === site.metadata.name || entry === `${site.metadata.name}/${pool.name}`)

const namesOf = (pool: Pool): string[] => pool.models.flatMap((model) => [model.name, ...(model.aliases ?? [])])

/** Whether both pools serve one model, under any of its names; a pool that names none may serve any. */
export function sharesModel(a: Pool, b: Pool): boolean {
  if (a.models.length === 0 || b.models.length === 0) return true
  const names = new Set(namesOf(a))
  return namesOf(b).some((name) => names.has(name))
}

function sharesResidency(set: DocumentSet, a: Site, b: Site): boolean {
  const inside = (allows: readonly string[], site: Site) => site.jurisdictions.some((one) => allows.includes(one))
  return inside(a.jurisdictions, b) || set.residencies.some((one) => inside(one.allows, a) && inside(one.allows, b))
}
