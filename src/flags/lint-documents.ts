import { nearestName } from '../math/nearest-name.ts'
import { type DocumentSet, policyRef } from '../model/documents.ts'
import type { Flag, Json, Overlay } from '../model/flag.ts'
import type { Metadata } from '../model/metadata.ts'
import { type ClassName, type FlagKey, type PolicyRef, targetName } from '../model/names.ts'
import { type FlagFinding, finding } from './findings.ts'
import { operation } from './outcomes.ts'

/** The names that documents have, looked up once for all flags of a set. */
export interface KnownNames {
  readonly classes: ReadonlySet<string>
  /** The class of each policy, by name and version. */
  readonly policies: ReadonlyMap<PolicyRef, ClassName>
  /** Sites, their pools, and the regions, metros and countries that they lie in: all that an overlay may name. */
  readonly places: ReadonlySet<string>
  readonly cohorts: ReadonlySet<string>
  /** By class, the cohorts that its policies let be experimented on. */
  readonly experiments: ReadonlyMap<ClassName, ReadonlySet<string>>
  /** By flag, the cohorts that the stages of its rollouts are shown to. */
  readonly stages: ReadonlyMap<FlagKey, readonly string[]>
}

/** What linting asks of documents. */
export function knownNames({ sites, classes, policies, cohorts, rollouts }: DocumentSet): KnownNames {
  const names = (documents: readonly { readonly metadata: Metadata }[] | undefined): ReadonlySet<string> =>
    new Set((documents ?? []).map(({ metadata }) => metadata.name))
  const experiments = Map.groupBy(policies, (policy) => policy.class)
  return {
    classes: names(classes),
    policies: new Map(policies.map((policy) => [policyRef(policy), policy.class])),
    places: new Set(
      sites.flatMap(({ metadata, place, pools }) => [
        metadata.name,
        ...pools.map((pool) => targetName(metadata.name, pool.name)),
        ...[place?.region, place?.metro, place?.country].filter((name) => name !== undefined),
      ]),
    ),
    cohorts: names(cohorts),
    experiments: new Map(
      [...experiments].map(([name, group]) => [name, new Set(group.flatMap((one) => one.experiments?.cohorts ?? []))]),
    ),
    stages: new Map((rollouts ?? []).map(({ flag, stages }) => [flag, stages.flatMap((stage) => stage.cohort ?? [])])),
  }
}

/** Names that a flag takes from documents: its class, policies, sites, cohorts, and whom it may experiment on. */
export function lintAgainst(flag: Flag, known: KnownNames): FlagFinding[] {
  const { key, class: className = '' } = flag
  if (!known.classes.has(className)) {
    const message = `no class is called "${className}"${meant(className, known.classes)}`
    const remedy = 'add a WorkloadClass document, or correct metadata.class'
    return [finding('flag/unknown-class', key, ['metadata', 'class'], message, remedy)]
  }
  const found = [...lintPolicies(flag, known), ...lintExperiments(flag, known)]
  for (const [variant, meaning] of Object.entries(flag.meanings)) {
    if (meaning.kind !== 'overlay') continue
    for (const name of namesIn(meaning.overlay)) {
      if (known.places.has(name)) continue
      const message = `the variant "${variant}" names "${name}", and no site, pool, region, metro or country is called so${meant(name, known.places)}`
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

function lintPolicies({ key, class: className, meanings }: Flag, { policies: known }: KnownNames): FlagFinding[] {
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
function lintExperiments(flag: Flag, { experiments, cohorts: known, stages }: KnownNames): FlagFinding[] {
  const { key, layer, class: className = '' } = flag
  const allowed = experiments.get(className) ?? new Set()
  const isRollout = layer === 'rollout'
  if (isRollout && allowed.size === 0) {
    const message = `no policy of ${className} names a cohort that may be experimented on`
    const remedy = 'write experiments: { cohorts: [internal, "*"] } in the policies that may be'
    return [finding('flag/no-experiments', key, ['metadata', 'layer'], message, remedy)]
  }
  const asked = [...new Set([...cohortsIn(flag.definition.targeting), ...(isRollout ? (stages.get(key) ?? []) : [])])]
  return asked.flatMap((name) => {
    if (!known.has(name)) {
      const message = `no cohort is called "${name}"${meant(name, known)}`
      return [finding('flag/unknown-cohort', key, ['targeting'], message, 'add a Cohort document, or correct the name')]
    }
    if (!isRollout || allowed.has('*') || allowed.has(name)) return []
    const message = `no policy of ${className} lets the cohort "${name}" be experimented on`
    const remedy = `add it under experiments of a policy, or ask for one of ${[...allowed].join(', ')}`
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
