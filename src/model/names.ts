/**
 * A string or number that knows what it names. A plain literal fits, a name of another kind does not, and nothing is
 * left of it at run time.
 */
export type Flavour<T, Name extends string> = T & { readonly __names?: Name }

/** A site's name, as its document's metadata.name has it: `ams`. */
export type SiteName = Flavour<string, 'site'>
/** A pool's name inside its site: `h100`; `default` for a site without pools. */
export type PoolName = Flavour<string, 'pool'>
/** The candidate of every decision, `site/pool`: `ams/h100`. */
export type TargetName = Flavour<string, 'target'>
/** The name of an Envoy cluster: `ams-h100`. */
export type ClusterName = Flavour<string, 'cluster'>
/** A workload class: `interactive-inference`. */
export type ClassName = Flavour<string, 'class'>
/** A residency class, the value of Envoy's residency attribute: `eu`. */
export type ResidencyName = Flavour<string, 'residency'>
/** A policy and its version, `name@version`: `emea-interactive@4`. */
export type PolicyRef = Flavour<string, 'policy'>
/** The key of a flag: `prefer-nearest-replica-emea`. */
export type FlagKey = Flavour<string, 'flag'>
/** The name of a Rollout document. */
export type RolloutName = Flavour<string, 'rollout'>
/** One place that changes come from, by its configured name: `policies`, `overrides`, `ams-vllm`. */
export type SourceName = Flavour<string, 'source'>
/** Milliseconds since the Unix epoch, UTC. */
export type EpochMs = Flavour<number, 'epoch-ms'>

/** The target that a site and a pool name make. */
export const targetName = (site: SiteName, pool: PoolName): TargetName => `${site}/${pool}`

/** The site's part of a target's name. */
export const siteOf = (target: TargetName): SiteName => {
  const slash = target.indexOf('/')
  return (slash < 0 ? target : target.slice(0, slash)) as string
}

/** The pool's part of a target's name; `default` where it has none. */
export const poolOf = (target: TargetName): PoolName => {
  const slash = target.indexOf('/')
  return (slash < 0 ? 'default' : target.slice(slash + 1)) as string
}

/**
 * The name of the generated Envoy aggregate that tries the first cluster and, if no connection to it can be had, the
 * second in the same request. `hubward envoy` writes them, and a decision names one only if both members survived.
 */
export const aggregateName = (first: ClusterName, second: ClusterName): ClusterName => `${first}+${second}`

/** The name of the generated aggregate that serves a residency class when hubward itself does not answer. */
export const residencyDefaultName = (residency: ResidencyName): ClusterName => `residency-default-${residency}`
