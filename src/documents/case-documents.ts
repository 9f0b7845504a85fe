import { type DocumentSet, EMPTY_SET, type PolicyCase, type Site, type WorkloadClass } from '../model/documents.ts'
import { siteOf, targetName } from '../model/names.ts'
import type { Given } from './case-given.ts'
import { readDocuments } from './read.ts'
import { joinSets, READERS } from './read-kinds.ts'
import type { Kind } from './schema/kinds.ts'
import { knownNames } from './suggest.ts'

/**
 * The documents of a case: those under test, those that it brings itself, which replace others of their kind and name,
 * and something plain for each site and class that is only named: a site of one pool `default` in EU that serves every
 * model anybody names, and a class without peculiarities.
 */
export function caseDocuments(
  set: DocumentSet,
  given: Given,
  written: PolicyCase,
  wrong: (what: string) => void,
): DocumentSet {
  const base = without(set, given.documents as Named[])
  const own = (given.documents as Named[]).filter(({ kind }) => kind in READERS)
  const sites = new Set([...base.sites.map(nameOf), ...own.filter(isOf('Site')).map(nameOf)])
  const classes = new Set([...base.classes.map(nameOf), ...own.filter(isOf('WorkloadClass')).map(nameOf)])
  const models = modelsOf(set, written)
  const plain: DocumentSet = {
    ...EMPTY_SET,
    sites: [...new Set(Object.keys(given.places).map(siteOfPlace))]
      .filter((name) => !sites.has(name))
      .map(plainSite(models)),
    classes: [...new Set(own.flatMap(({ spec }) => spec?.class ?? []))]
      .filter((name) => !classes.has(name))
      .map(plainClass),
  }
  const rest = joinSets([base, plain])
  const text = given.documents.map((document) => JSON.stringify(document)).join('\n---\n')
  const { set: read, problems } = readDocuments([{ path: 'given.documents', text }], { otherSets: [rest] })
  for (const { message, severity } of problems) if (severity === 'error') wrong(`given.documents: ${message}`)
  return joinSets([rest, read ?? EMPTY_SET])
}

interface Named {
  readonly kind: Kind
  readonly metadata: { readonly name: string }
  readonly spec?: { readonly class?: string }
}

const nameOf = ({ metadata }: Pick<Named, 'metadata'>): string => metadata?.name

const isOf =
  (wanted: Kind) =>
  ({ kind }: Named): boolean =>
    kind === wanted

function without(set: DocumentSet, replaced: readonly Named[]): DocumentSet {
  const lists = Object.entries(READERS).map(([kind, { list }]) => {
    const names = replaced.filter(isOf(kind as Kind)).map(nameOf)
    return [
      list,
      ((set[list] ?? []) as readonly Pick<Named, 'metadata'>[]).filter((one) => !names.includes(nameOf(one))),
    ]
  })
  return Object.fromEntries(lists) as unknown as DocumentSet
}

function modelsOf(set: DocumentSet, { when, steps }: PolicyCase): string[] {
  const served = set.sites.flatMap(({ pools }) => pools.flatMap((pool) => pool.models.map(({ name }) => name)))
  const asked = [when, ...(steps ?? []).map((step) => step.when)].flatMap((one) => one?.model ?? [])
  return [...new Set([...served, ...asked.map(String)])]
}

const plainSite =
  (models: readonly string[]) =>
  (name: string): Site => ({
    metadata: { name },
    role: 'hub',
    jurisdictions: ['EU'],
    pools: [{ name: 'default', cluster: name, models: models.map((model) => ({ name: model })), capacity: 1 }],
    maintenance: [],
  })

const plainClass = (name: string): WorkloadClass => ({
  metadata: { name },
  critical: false,
  flexibility: 'inflexible',
  whenHubwardIsDown: 'default',
  freshness: {},
  whenStale: { action: 'lowest-risk', alert: false },
  panic: 'last-good',
  session: { lifeMs: 1_800_000 },
})

/** The site of `ams`, `ams/h100` or `ams@cdu-1`. */
const siteOfPlace = (name: string): string => siteOf(name.split('@')[0]!)

/** Tells of pools and coolant loops that a case speaks of and no site has: what is said of them would count for nothing. */
export function checkPlaces(set: DocumentSet, given: Given, wrong: (what: string) => void): void {
  for (const name of Object.keys(given.places)) {
    const site = set.sites.find(({ metadata }) => metadata.name === siteOfPlace(name))
    if (site === undefined) wrong(`given.sites.${name}: no site is called "${siteOfPlace(name)}"`)
    const loop = name.split('@')[1]
    const pools = site?.pools.map((pool) => targetName(site.metadata.name, pool.name)) ?? []
    if (site === undefined || name === site.metadata.name || pools.includes(name)) continue
    const loops = (site.loops ?? []).map((one) => one.name)
    const { down, refusing, drained, maintenance } = given.places[name]!
    if (loop !== undefined && (down || refusing || drained || maintenance))
      wrong(`given.sites.${name}: of a coolant loop only values can be said; maintenance.active: true is one`)
    if (loop === undefined) wrong(`given.sites.${name}: there is no such pool; ${knownNames(pools)}`)
    else if (!loops.includes(loop)) wrong(`given.sites.${name}: there is no such coolant loop; ${knownNames(loops)}`)
  }
  const targets = set.sites.flatMap(({ metadata, pools }) => pools.map(({ name }) => targetName(metadata.name, name)))
  for (const { target } of given.reservations)
    if (!targets.includes(target)) wrong(`given.reservations: no target is called "${target}"`)
}
