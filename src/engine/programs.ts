import type { ActionSpec } from '../model/action.ts'
import {
  type DocumentSet,
  type MaintenanceWindow,
  type Model,
  type Policy,
  policyRef,
  type ResidencyClass,
  type Site,
  type Timers,
  type WorkloadClass,
} from '../model/documents.ts'
import {
  aggregateName,
  type ClassName,
  type ClusterName,
  type PolicyRef,
  type TargetName,
  targetName,
} from '../model/names.ts'
import type { MaintenanceOrder, Override, OverrideSet, RoutingSwitch } from '../model/override.ts'
import { signalOf } from '../model/signal.ts'
import type { CompileCondition, Condition, GateSpec, HeldColumn, Snapshot, SnapshotData } from '../model/snapshot.ts'
import type { Threshold } from '../model/threshold.ts'
import { freshnessLimit } from './columns.ts'
import { loopsOf } from './facility.ts'
import { type GateRef, gateKey } from './gates.ts'
import { type AdmissionCheck, ReadinessCompiler, type ReadinessProgram, redLimitsOf } from './readiness-rules.ts'

/** One candidate as decisions see it. */
export interface TargetProgram {
  readonly index: number
  readonly name: TargetName
  readonly site: string
  readonly pool: string
  readonly cluster: ClusterName
  readonly role: string
  readonly capacity: number
  readonly gpu: string | undefined
  readonly cooling: string | undefined
  readonly jurisdictions: ReadonlySet<string>
  /** By the model's name and each of its aliases. */
  readonly models: ReadonlyMap<string, Model>
  readonly maintenance: readonly MaintenanceWindow[]
  readonly doc: Site
  /** The names of the coolant loops it is on. */
  readonly loops: readonly string[]
}

/** One signal whose steps of a policy each name an action. */
export interface BandProgram {
  readonly signal: string
  readonly steps: readonly { readonly gate: GateRef | undefined; readonly action: ActionSpec }[]
}

/** A ladder entry: the pools of one site in written order, or one pool. */
export interface EntryProgram {
  readonly name: string
  readonly targets: readonly number[]
}

/** A policy, ready to decide. */
export interface PolicyProgram {
  readonly doc: Policy
  readonly ref: PolicyRef
  readonly when: Condition | undefined
  readonly timers: Timers
  readonly tiers: readonly (readonly EntryProgram[])[]
  /** How many of the nearest sites make the ladder; 0: the ladder is written. */
  readonly nearest: number
  readonly ladderNames: readonly (readonly string[])[]
  /** By tier: what comes after it, for the decision's `next`. */
  readonly nextAfter: readonly (readonly string[])[]
  readonly gates: readonly GateRef[]
  /** The longest way, in milliseconds, that it lets a request go; it is worked out for each, so no gate holds it. */
  readonly pathCostMax: number | undefined
  readonly bands: readonly BandProgram[]
  /** Required signals and the age in milliseconds past which each is stale; 0: never. */
  readonly freshness: readonly { readonly signal: string; readonly limitMs: number }[]
  readonly rank: readonly {
    readonly signal: string
    readonly heldKey: string
    readonly prefer: 'lower' | 'higher'
    readonly within: number
    readonly withinPct: number
  }[]
  readonly degraded: EntryProgram | undefined
  /** By target: what the readiness documents say of the class there, and what of it keeps requests out softly. */
  readonly readiness: readonly ReadinessProgram[]
  readonly admission: readonly (readonly AdmissionCheck[])[]
}

/** A workload class with its policies in the order in which they are asked. */
export interface ClassProgram {
  readonly doc: WorkloadClass | undefined
  readonly policies: readonly PolicyProgram[]
}

/** Everything worked out of the documents, overrides and clusters of a snapshot. */
export interface Programs {
  readonly compile: CompileCondition
  readonly targets: readonly TargetProgram[]
  readonly indexOf: ReadonlyMap<TargetName, number>
  readonly bySite: ReadonlyMap<string, readonly number[]>
  readonly classes: ReadonlyMap<ClassName, ClassProgram>
  readonly policies: ReadonlyMap<PolicyRef, PolicyProgram>
  readonly residencies: ReadonlyMap<string, ResidencyClass>
  readonly sites: ReadonlyMap<string, Site>
  /** A site's place in `data.sites` and `data.spoken`. */
  readonly siteIndex: ReadonlyMap<string, number>
  /** By target: what the readiness documents say of all classes alike. */
  readonly readiness: readonly ReadinessProgram[]
  /** By target: the limits past which a safety signal makes it red, whatever the class. */
  readonly redLimits: readonly ReadonlyMap<string, Threshold>[]
  readonly overrides: readonly Override[]
  readonly maintenance: readonly MaintenanceOrder[]
  readonly routing: RoutingSwitch | undefined
  readonly clusters: ReadonlySet<ClusterName> | null
  /** Known aggregates by `first * targets + second`. */
  readonly aggregates: ReadonlyMap<number, ClusterName>
  /** The gates that the policies need, by key. */
  readonly gateSpecs: ReadonlyMap<string, GateSpec>
  /** The ranked columns that the policies need, by key. */
  readonly heldSpecs: ReadonlyMap<string, Pick<HeldColumn, 'signal' | 'within' | 'withinPct' | 'stableForMs'>>
}

/** A snapshot whose programs are the engine's. */
export type EngineSnapshot = Snapshot<Programs>

/** The ranked column that `nearest` and round-trip ties read: 95th percentile from this gateway, 5 ms being a tie. */
export const NEAREST = { signal: 'network.rtt_p95_ms', within: 5, withinPct: 0 } as const

/** The signal that is worked out for each request: the way from its client and to what it needs near. */
export const PATH_COST = 'path.cost_ms'

/** The key of a ranked column. */
export const heldKey = (signal: string, within: number, withinPct: number, stableForMs: number): string =>
  `${signal}|${within}|${withinPct}|${stableForMs}`

/** The documents of all sources as one set. Where two sources use a name, the source first by its own name has it. */
export const mergeSets = (sets: Readonly<Record<string, DocumentSet>>): DocumentSet => {
  const names = Object.keys(sets).sort()
  const pick = <T>(list: (set: DocumentSet) => readonly T[], key: (item: T) => string): T[] => {
    const byKey = new Map<string, T>()
    for (const name of names)
      for (const item of list(sets[name]!)) if (!byKey.has(key(item))) byKey.set(key(item), item)
    return [...byKey.values()]
  }
  return {
    sites: pick(
      (set) => set.sites,
      (site) => site.metadata.name,
    ),
    residencies: pick(
      (set) => set.residencies,
      (one) => one.metadata.name,
    ),
    classes: pick(
      (set) => set.classes,
      (one) => one.metadata.name,
    ),
    policies: pick((set) => set.policies, policyRef),
    factSources: pick(
      (set) => set.factSources,
      (one) => one.metadata.name,
    ),
    readiness: pick(
      (set) => set.readiness ?? [],
      (one) => one.metadata.name,
    ),
    cohorts: pick(
      (set) => set.cohorts ?? [],
      (one) => one.metadata.name,
    ),
    rollouts: pick(
      (set) => set.rollouts ?? [],
      (one) => one.metadata.name,
    ),
    tests: pick(
      (set) => set.tests,
      (one) => one.metadata.name,
    ),
  }
}

/** The candidates of a set of sites, in the order of the documents; their index is their place. */
export const targetsOf = (set: DocumentSet): TargetProgram[] => {
  const targets: TargetProgram[] = []
  for (const site of set.sites) {
    for (const pool of site.pools) {
      const loops = loopsOf(site, pool.name).map((loop) => loop.name)
      const models = new Map<string, Model>()
      for (const model of pool.models) {
        models.set(model.name, model)
        for (const alias of model.aliases ?? []) if (!models.has(alias)) models.set(alias, model)
      }
      targets.push({
        index: targets.length,
        name: targetName(site.metadata.name, pool.name),
        site: site.metadata.name,
        pool: pool.name,
        cluster: pool.cluster,
        role: site.role,
        capacity: Math.max(1, pool.capacity),
        gpu: pool.gpu,
        cooling: pool.cooling,
        jurisdictions: new Set(site.jurisdictions),
        models,
        maintenance: site.maintenance.filter(
          ({ pools: named, loops: cooled }) =>
            (named === undefined && cooled === undefined) ||
            named?.includes(pool.name) === true ||
            cooled?.some((loop) => loops.includes(loop)) === true,
        ),
        doc: site,
        loops,
      })
    }
  }
  return targets
}

/** Programs from data. Pure and complete: nothing of an earlier snapshot is needed beside the condition compiler. */
export const compilePrograms = (data: SnapshotData, compile: CompileCondition): Programs => {
  const set = mergeSets(data.sets)
  const targets = targetsOf(set)
  const indexOf = new Map(targets.map((target) => [target.name, target.index]))
  const bySite = new Map<string, number[]>()
  for (const target of targets) bySite.set(target.site, [...(bySite.get(target.site) ?? []), target.index])
  const models = new Set(targets.flatMap((target) => [...target.models.keys()]))
  const gateSpecs = new Map<string, GateSpec>()
  const heldSpecs = new Map<string, Pick<HeldColumn, 'signal' | 'within' | 'withinPct' | 'stableForMs'>>()

  const entry = (name: string): EntryProgram => ({
    name,
    targets: name.includes('/') ? (indexOf.has(name) ? [indexOf.get(name)!] : []) : (bySite.get(name) ?? []),
  })
  const gate = (signal: string, threshold: Threshold, timers: Timers, quiet = false): GateRef => {
    const spec: GateSpec = { signal, op: threshold.op, limit: threshold.limit, resume: threshold.resume, ...timers }
    const key = gateKey(spec)
    // What a policy asks for is told, though readiness asks for the same.
    if (!quiet) gateSpecs.set(key, spec)
    else if (!gateSpecs.has(key)) gateSpecs.set(key, { ...spec, quiet: true })
    const byModel = new Map<string, string>()
    if (signalOf(signal)?.byModel) {
      for (const model of models) {
        byModel.set(model, gateKey({ ...spec, model }))
      }
    }
    return { signal, threshold, key, byModel: byModel.size > 0 ? byModel : undefined }
  }
  const held = (signal: string, within: number, withinPct: number, stableForMs: number): string => {
    const key = heldKey(signal, within, withinPct, stableForMs)
    heldSpecs.set(key, { signal, within, withinPct, stableForMs })
    return key
  }
  const readiness = new ReadinessCompiler(set.readiness, gate)
  const workloads = new Map(set.classes.map((one) => [one.metadata.name, one]))
  const policyProgram = (doc: Policy): PolicyProgram => {
    const workload = workloads.get(doc.class)
    const ladder = doc.ladder
    const tiers =
      'tiers' in ladder
        ? ladder.tiers.map((tier) => tier.map(entry))
        : 'all' in ladder
          ? [targets.map((target) => ({ name: target.name, targets: [target.index] }))]
          : []
    if ('nearest' in ladder) held(NEAREST.signal, NEAREST.within, NEAREST.withinPct, doc.timers.stableForMs)
    const ladderNames = 'tiers' in ladder ? ladder.tiers : 'all' in ladder ? [['*']] : [[`nearest ${ladder.nearest}`]]
    const actions = doc.otherwise.map((one) => (one.action === 'degrade' ? 'degraded' : one.action))
    const measured = doc.require.signals.filter((one) => one.signal !== PATH_COST)
    const required = [...measured.map((one) => one.signal), ...doc.bands.map((band) => band.signal)].filter(
      (signal, at, all) => all.indexOf(signal) === at,
    )
    return {
      doc,
      ref: policyRef(doc),
      when: doc.when === undefined ? undefined : compile(doc.when),
      timers: doc.timers,
      tiers,
      nearest: 'nearest' in ladder ? ladder.nearest : 0,
      ladderNames,
      nextAfter: [-1, ...tiers.keys()].map((tier) => [...ladderNames.slice(tier + 1).flat(), ...actions]),
      pathCostMax: doc.require.signals.find((one) => one.signal === PATH_COST)?.threshold.limit,
      gates: measured.map((one) => gate(one.signal, one.threshold, doc.timers)),
      bands: doc.bands.map((band) => ({
        signal: band.signal,
        steps: band.steps.map((step) => ({
          gate: step.threshold === undefined ? undefined : gate(band.signal, step.threshold, doc.timers),
          action: step.action,
        })),
      })),
      freshness: required.map((signal) => ({
        signal,
        limitMs: freshnessLimit(workload, signal),
      })),
      rank: doc.rank.map((one) => ({
        signal: one.signal,
        heldKey:
          one.signal === PATH_COST ? '' : held(one.signal, one.within ?? 0, one.withinPct ?? 0, doc.timers.stableForMs),
        prefer: one.prefer,
        within: one.within ?? 0,
        withinPct: one.withinPct ?? 0,
      })),
      degraded: doc.degraded === undefined ? undefined : entry(doc.degraded.site),
      readiness: targets.map((target) => readiness.of(target.site, doc.class, workload)),
      admission: targets.map((target) => readiness.checks(target.site, doc, workload)),
    }
  }

  const policies = new Map(set.policies.map((doc) => [policyRef(doc), policyProgram(doc)]))
  const newest = new Map<string, PolicyProgram>()
  for (const program of policies.values()) {
    const known = newest.get(program.doc.metadata.name)
    if (known === undefined || known.doc.metadata.version < program.doc.metadata.version) {
      newest.set(program.doc.metadata.name, program)
    }
  }
  const classes = new Map<ClassName, ClassProgram>(
    set.classes.map((doc) => [doc.metadata.name, { doc, policies: [] as PolicyProgram[] }]),
  )
  for (const program of newest.values()) {
    const known = classes.get(program.doc.class)
    classes.set(program.doc.class, { doc: known?.doc, policies: [...(known?.policies ?? []), program] })
  }
  for (const [name, known] of classes) {
    const order = (a: PolicyProgram, b: PolicyProgram) =>
      b.doc.priority - a.doc.priority ||
      Number(a.when === undefined) - Number(b.when === undefined) ||
      (a.ref < b.ref ? -1 : 1)
    classes.set(name, { doc: known.doc, policies: known.policies.toSorted(order) })
  }

  const shared = targets.map((target) => readiness.of(target.site))
  const redLimits = new Map(shared.map((program) => [program, redLimitsOf(program)]))

  return {
    compile,
    targets,
    indexOf,
    bySite,
    sites: new Map(set.sites.map((site) => [site.metadata.name, site])),
    siteIndex: new Map(set.sites.map((site, index) => [site.metadata.name, index])),
    readiness: shared,
    redLimits: shared.map((program) => redLimits.get(program)!),
    classes,
    policies,
    residencies: new Map(set.residencies.map((one) => [one.metadata.name, one])),
    ...compileOverrides(data.overrideSets),
    ...compileClusters(data.clusters, targets),
    gateSpecs,
    heldSpecs,
  }
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
