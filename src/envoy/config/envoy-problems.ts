import type { DocumentSet, ResidencyClass } from '../../model/documents.ts'
import { MARKER_DEFAULT, MARKER_UNSET } from '../../model/headers.ts'
import type { Problem } from '../../model/problem.ts'
import { defaultClusters } from './aggregates.ts'
import { classRules } from './class-rules.ts'
import { MAIN_CLUSTER, SIDECAR_CLUSTER } from './clusters.ts'
import type { EnvoyOptions } from './options.ts'
import { clusterPairs } from './pairs.ts'
import { isWithin } from './path-match.ts'

/** What keeps these documents from becoming an Envoy configuration (errors), or makes it weaker than it looks. */
export const envoyProblems = (set: DocumentSet, options: EnvoyOptions): Problem[] => [
  ...clusterProblems(set, options),
  ...set.residencies.flatMap((one) => defaultProblems(set, one)),
  ...optionProblems(set, options),
  ...classRules(set).problems,
  ...jobProblems(set),
]

const problem = (severity: Problem['severity'], code: string, message: string, remedy: string): Problem => ({
  code: `envoy/${code}`,
  severity,
  message,
  remedy,
})

/** Names of clusters that the routing header may not mean. */
const RESERVED: readonly string[] = [MARKER_UNSET, MARKER_DEFAULT, SIDECAR_CLUSTER, MAIN_CLUSTER]

function clusterProblems(set: DocumentSet, options: EnvoyOptions): Problem[] {
  const pools = set.sites.flatMap((site) =>
    site.pools.map((pool) => ({ name: `${site.metadata.name}/${pool.name}`, pool })),
  )
  const owner = new Map<string, string>()
  const found: Problem[] = []
  for (const { name, pool } of pools) {
    const other = owner.get(pool.cluster)
    if (other !== undefined) {
      const text = `${other} and ${name} both name the cluster ${pool.cluster}`
      found.push(problem('error', 'cluster-twice', text, 'give each pool a cluster of its own'))
    }
    owner.set(pool.cluster, name)
    if (RESERVED.includes(pool.cluster) || pool.cluster.includes('+')) {
      const text = `${name} names the cluster ${pool.cluster}, which means something else here`
      found.push(problem('error', 'cluster-name-reserved', text, 'rename the cluster; a plus joins two of them'))
    }
    if (pool.endpoints === undefined || pool.endpoints.length === 0) {
      const text = `${name} has no endpoints, so Envoy must get the cluster ${pool.cluster} from elsewhere`
      found.push(
        problem('warning', 'cluster-not-ours', text, 'add endpoints: [host:port], or leave it to your own CDS'),
      )
    }
  }
  const { cut } = clusterPairs(set, options.aggregatesMax)
  if (cut > 0) {
    const text = `${cut} pairs of clusters get no aggregate, the most being ${options.aggregatesMax}`
    found.push(problem('warning', 'aggregates-cut', text, 'raise --aggregates-max, or shorten the ladders'))
  }
  return found
}

function defaultProblems(set: DocumentSet, residency: ResidencyClass): Problem[] {
  const name = residency.metadata.name
  if (residency.default === undefined) {
    const text = `residency class ${name} has no default: its requests get 503 while hubward does not answer`
    return [problem('warning', 'no-default', text, 'add default: { sites: [...] } from inside the class')]
  }
  const found: Problem[] = []
  for (const wanted of residency.default.sites) {
    const site = set.sites.find((one) => one.metadata.name === wanted)
    if (site === undefined) {
      const text = `the default of residency class ${name} names ${wanted}, which is no site`
      found.push(problem('error', 'default-unknown-site', text, 'correct the name, or add the site'))
    } else if (!site.jurisdictions.some((one) => residency.allows.includes(one))) {
      const text = `the default of residency class ${name} names ${wanted}, which lies outside ${residency.allows.join(', ')}`
      found.push(problem('error', 'default-outside-class', text, 'name sites inside the class only'))
    }
  }
  if (found.length === 0 && defaultClusters(set, residency).length < 2) {
    const text = `the default of residency class ${name} is one cluster: when it is down, nothing takes over`
    found.push(problem('warning', 'default-alone', text, 'name a second site that serves the same model'))
  }
  return found
}

/** Paths under which work is sent that Envoy would send on blindly while hubward is down. */
function jobProblems(set: DocumentSet): Problem[] {
  const { rules } = classRules(set)
  return set.factSources
    .flatMap((one) => one.jobs ?? [])
    .flatMap(({ prefix }) => {
      const rule = rules.find((one) => Object.keys(one.match).length === 0 && isWithin(prefix, one.prefix))
      if (rule?.whenDown === 'refuse') return []
      const text = `work is sent under ${prefix}, and Envoy refuses none of it by itself while hubward is down`
      const remedy = 'give the path a class of its own (from: path) whose whenHubwardIsDown is refuse'
      return [problem('warning', 'jobs-fail-open', text, remedy)]
    })
}

function optionProblems(set: DocumentSet, options: EnvoyOptions): Problem[] {
  const named = [
    ...(options.residency.by === 'listener' ? [options.residency.class] : []),
    ...(options.residency.by === 'vhost' ? options.residency.hosts.map((host) => host.class) : []),
    ...(options.unrestrictedDefault === undefined ? [] : [options.unrestrictedDefault]),
  ]
  const known = set.residencies.map((one) => one.metadata.name)
  const found = named
    .filter((name) => !known.includes(name))
    .map((name) =>
      problem(
        'error',
        'unknown-residency',
        `no residency class is called ${name}`,
        `known: ${known.join(', ') || 'none'}`,
      ),
    )
  if (options.messageTimeoutMs > 200 || options.messageTimeoutMs < 25) {
    const text = `a message timeout of ${options.messageTimeoutMs} ms is ${options.messageTimeoutMs > 200 ? 'felt by every request while hubward hangs' : 'shorter than a pause of garbage collection'}`
    found.push(problem('warning', 'message-timeout', text, 'choose 25 to 200 ms'))
  }
  return found
}
