import type { Pool, Site } from '../model/documents.ts'
import { poolOf, siteOf } from '../model/names.ts'
import type { View } from './view.ts'

/** One pool with its site. */
export interface Candidate {
  readonly site: Site
  readonly pool: Pool
}

/** The site of a name, if a source has it. */
export const siteNamed = (view: View, name: string): Site | undefined =>
  view.all.sites.find(({ metadata }) => metadata.name === name)

/** All names of sites that are known, of those too that could not be read. */
export const siteNames = (view: View): string[] => [
  ...view.all.sites.map(({ metadata }) => metadata.name),
  ...[...view.broken].filter((key) => key.startsWith('Site/')).map((key) => key.slice('Site/'.length)),
]

/** The pools that `ams` or `ams/h100` names; none for an unknown name. */
export function candidatesOf(view: View, entry: string): Candidate[] {
  const site = siteNamed(view, siteOf(entry))
  if (site === undefined) return []
  const pools = entry.includes('/') ? site.pools.filter(({ name }) => name === poolOf(entry)) : site.pools
  return pools.map((pool) => ({ site, pool }))
}

/** All pools of all sites. */
export const allCandidates = (view: View): Candidate[] =>
  view.all.sites.flatMap((site) => site.pools.map((pool) => ({ site, pool })))

/** Whether a pool answers to a model's name or to one of its aliases. */
export const serves = (pool: Pool, model: string): boolean =>
  pool.models.some(({ name, aliases }) => name === model || (aliases ?? []).includes(model))
