import { nearestName } from '../math/nearest-name.ts'
import { type DocumentSet, policyRef } from '../model/documents.ts'
import type { Flag, Json, Overlay } from '../model/flag.ts'
import { targetName } from '../model/names.ts'
import { type FlagFinding, finding } from './findings.ts'
import { operation } from './outcomes.ts'

/** Names that a flag takes from documents: its class, policies, sites, cohorts, and whom it may experiment on. */
export function lintAgainst(flag: Flag, documents: DocumentSet): FlagFinding[] {
  const { key, class: className = '' } = flag
  const classes = documents.classes.map(({ metadata }) => metadata.name)
  if (!classes.includes(className)) {
    const message = `no class is called "${className}"${meant(className, classes)}`
    const remedy = 'add a WorkloadClass document, or correct metadata.class'
    return [finding('flag/unknown-class', key, ['metadata', 'class'], message, remedy)]
  }
  const found = [...lintPolicies(flag, documents), ...lintExperiments(flag, documents)]
  const places = placesOf(documents)
  for (const [variant, meaning] of Object.entries(flag.meanings)) {
    if (meaning.kind !== 'overlay') continue
    for (const name of namesIn(meaning.overlay)) {
      if (places.has(name)) continue
      const message = `the variant "${variant}" names "${name}", and no site, pool, region, metro or country is called so${meant(name, places)}`
      const remedy = 'add a Site document, or correct the name'
      found.push(finding('flag/unknown-site', key, ['variants', variant], message, remedy))
    }
  }
  return found
}

const meant = (written: string, known: Iterable<string>): string => {
  const name = nearestName(written, known)
  return name === undefined ? '' : `; did you mean "${name}"?`
}

function lintPolicies({ key, class: className, meanings }: Flag, { policies }: DocumentSet): FlagFinding[] {
  const known = new Map(policies.map((policy) => [policyRef(policy), policy.class]))
  return Object.entries(meanings).flatMap(([variant, meaning]) => {
    if (meaning.kind !== 'policy') return []
    const [at, of] = [['variants', variant], known.get(meaning.policy)]
    if (of === undefined) {
      const own = [...known].flatMap(([ref, owner]) => (owner === className ? [ref] : []))
      const message = `the variant "${variant}" names ${meaning.policy}, and no policy is called so${meant(meaning.policy, own)}`
      const remedy = 'add the policy, or correct its name and version'
      return [finding('flag/unknown-policy', key, at, message, remedy)]
    }
    if (of === className) return []
    const message = `the variant "${variant}" names ${meaning.policy}, a policy of ${of}, and the flag steers ${className}`
    return [finding('flag/other-class', key, at, message, `name a policy of ${className}`)]
  })
}

/** A rollout takes in only whom the policies of its class let be experimented on. */
function lintExperiments(flag: Flag, { policies, cohorts, rollouts }: DocumentSet): FlagFinding[] {
  const { key, layer, class: className } = flag
  const allowed = policies
    .filter((policy) => policy.class === className)
    .flatMap((one) => one.experiments?.cohorts ?? [])
  const known = (cohorts ?? []).map(({ metadata }) => metadata.name)
  const isRollout = layer === 'rollout'
  if (isRollout && allowed.length === 0) {
    const message = `no policy of ${className} names a cohort that may be experimented on`
    const remedy = 'write experiments: { cohorts: [internal, "*"] } in the policies that may be'
    return [finding('flag/no-experiments', key, ['metadata', 'layer'], message, remedy)]
  }
  const staged = (rollouts ?? [])
    .filter((one) => one.flag === key)
    .flatMap(({ stages }) => stages.flatMap((one) => one.cohort ?? []))
  const asked = [...new Set([...cohortsIn(flag.definition.targeting), ...(isRollout ? staged : [])])]
  return asked.flatMap((name) => {
    if (!known.includes(name)) {
      const message = `no cohort is called "${name}"${meant(name, known)}`
      return [finding('flag/unknown-cohort', key, ['targeting'], message, 'add a Cohort document, or correct the name')]
    }
    if (!isRollout || allowed.includes('*') || allowed.includes(name)) return []
    const message = `no policy of ${className} lets the cohort "${name}" be experimented on`
    const remedy = `add it under experiments of a policy, or ask for one of ${[...new Set(allowed)].join(', ')}`
    return [finding('flag/outside-experiments', key, ['targeting'], message, remedy)]
  })
}

/** The cohorts that targeting asks for by name: `{"in": ["internal", {"var": "cohorts"}]}`. */
function cohortsIn(expression: Json | undefined): string[] {
  if (typeof expression !== 'object' || expression === null) return []
  if (Array.isArray(expression)) return expression.flatMap((item) => cohortsIn(item as Json))
  const known = operation(expression)
  const [name, list] = known?.args ?? []
  const isCohort = known?.name === 'in' && typeof name === 'string' && operation(list)?.args[0] === 'cohorts'
  return isCohort ? [name] : (known?.args ?? []).flatMap(cohortsIn)
}

const namesIn = ({ first = [], ladder = [], fallbackTiers = [], eligibleSites = [], degraded }: Overlay): Set<string> =>
  new Set([...first, ...ladder.flat(), ...fallbackTiers.flat(), ...eligibleSites, ...(degraded ? [degraded.site] : [])])

/** Everything that an overlay may name: sites, their pools, and the regions, metros and countries that they lie in. */
const placesOf = ({ sites }: DocumentSet): ReadonlySet<string> =>
  new Set(
    sites.flatMap(({ metadata, place, pools }) => [
      metadata.name,
      ...pools.map((pool) => targetName(metadata.name, pool.name)),
      ...[place?.region, place?.metro, place?.country].filter((name) => name !== undefined),
    ]),
  )
