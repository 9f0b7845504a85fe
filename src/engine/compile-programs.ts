import { policyRef } from '../model/documents.ts'
import type { CompileFlag } from '../model/flag.ts'
import { aggregateName, type ClusterName } from '../model/names.ts'
import type { OverrideSet } from '../model/override.ts'
import type { CompileCondition, SnapshotData } from '../model/snapshot.ts'
import { policyCompiler } from './compile-policy.ts'
import { withFlags } from './flag-programs.ts'
import { mergeSets, type Programs, type TargetProgram, targetsOf } from './programs.ts'
import { redLimitsOf } from './readiness-rules.ts'

/** Programs from data. Pure and complete: nothing of an earlier snapshot is needed beside the two compilers. */
export const compilePrograms = (data: SnapshotData, compile: CompileCondition, compileFlag: CompileFlag): Programs => {
  const set = mergeSets(data.sets)
  const targets = targetsOf(set)
  const indexOf = new Map(targets.map((target) => [target.name, target.index]))
  const bySite = new Map<string, number[]>()
  for (const target of targets) bySite.set(target.site, [...(bySite.get(target.site) ?? []), target.index])
  const ground = { set, targets, indexOf, bySite, compile }
  const { compiler, readiness, specs } = policyCompiler(ground)
  // What documents no longer have and a flag still names comes last: a document of that name and version goes before it.
  const policies = new Map(
    [...data.retained, ...set.policies].map((doc) => [policyRef(doc), compiler.policy(doc)] as const),
  )
  const shared = readiness.of()
  const redLimits = new Map(shared.map((program) => [program, redLimitsOf(program)]))
  const programs: Programs = {
    compile,
    compileFlag,
    compiler: () => policyCompiler(ground),
    ofDocuments: specs,
    ...specs,
    targets,
    indexOf,
    bySite,
    sites: new Map(set.sites.map((site) => [site.metadata.name, site])),
    siteIndex: new Map(set.sites.map((site, index) => [site.metadata.name, index])),
    readiness: shared,
    redLimits: shared.map((program) => redLimits.get(program)!),
    classes: new Map(set.classes.map((doc) => [doc.metadata.name, { doc, policies: [], steering: [] }])),
    policies,
    residencies: new Map(set.residencies.map((one) => [one.metadata.name, one])),
    cohorts: new Map(set.cohorts.map((one) => [one.metadata.name, compile(one.when)])),
    rollouts: new Map(set.rollouts.map((one) => [one.metadata.name, one])),
    flags: new Map(),
    ...compileOverrides(data.overrideSets),
    ...compileClusters(data.clusters, targets),
  }
  return withFlags(programs, data)
}

/** The part of the programs that overrides make. */
export const compileOverrides = (
  sets: Readonly<Record<string, OverrideSet>>,
): Pick<Programs, 'overrides' | 'maintenance' | 'routing'> => {
  const all = Object.keys(sets)
    .sort()
    .map((name) => sets[name]!)
  return {
    overrides: all.flatMap((set) => set.overrides),
    maintenance: all.flatMap((set) => set.maintenance),
    // Of several sources the one that switches off wins: an emergency order must not be undone by a second file.
    routing: all.find((set) => set.routing?.enabled === false)?.routing ?? all.find((set) => set.routing)?.routing,
  }
}

/** The part of the programs that Envoy's clusters make. */
export const compileClusters = (
  clusters: readonly ClusterName[] | null,
  targets: readonly TargetProgram[],
): Pick<Programs, 'clusters' | 'aggregates'> => {
  const known = clusters === null ? null : new Set(clusters)
  const aggregates = new Map<number, ClusterName>()
  if (known !== null) {
    const byCluster = new Map(targets.map((target) => [target.cluster, target.index]))
    for (const name of known) {
      const plus = name.indexOf('+')
      if (plus < 0) continue
      const first = byCluster.get(name.slice(0, plus))
      const second = byCluster.get(name.slice(plus + 1))
      if (first === undefined || second === undefined) continue
      aggregates.set(first * targets.length + second, aggregateName(name.slice(0, plus), name.slice(plus + 1)))
    }
  }
  return { clusters: known, aggregates }
}
