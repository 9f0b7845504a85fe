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
import type { CompileFlag, EvaluateFlag, Flag, Layer } from '../model/flag.ts'
import {
  type ClassName,
  type ClusterName,
  type FlagKey,
  type PolicyRef,
  type RolloutName,
  type SourceName,
  type TargetName,
  targetName,
} from '../model/names.ts'
import type { MaintenanceOrder, Override, RoutingSwitch } from '../model/override.ts'
import type { Arm, Rollout } from '../model/rollout.ts'
import type { CompileCondition, Condition, GateSpec, HeldColumn, Snapshot } from '../model/snapshot.ts'
import type { Threshold } from '../model/threshold.ts'
import { loopsOf } from './facility.ts'
import type { GateRef } from './gates.ts'
import type { AdmissionCheck, ReadinessProgram } from './readiness-rules.ts'

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
  /** How many of the nearest sites make the ladder, after the tiers that are written; 0: the ladder is written. */
  readonly nearest: number
  /** The only targets that the nearest sites may give; absent: all. */
  readonly only?: ReadonlySet<number>
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

/** What a variant of a flag does to the policy that would be in force without it. */
export type Effect =
  | { readonly kind: 'nothing' }
  /** Another version; undefined: no document has it. */
  | { readonly kind: 'policy'; readonly ref: PolicyRef; readonly policy: PolicyProgram | undefined }
  | { readonly kind: 'action'; readonly spec: ActionSpec }
  /** The policy derived from the one in force; `unknown`: the places that it names, where no document has any of them. */
  | {
      readonly kind: 'overlay'
      readonly over: (base: PolicyProgram) => PolicyProgram
      readonly unknown: string | undefined
    }

/** A flag in force, as its rollout renders it. */
export interface FlagProgram {
  readonly flag: Flag
  readonly source: SourceName
  readonly evaluate: EvaluateFlag
  /** The rollout that drives it. */
  readonly rollout: RolloutName | undefined
  /** By variant, where a rollout drives it and has not ended. */
  readonly arms: Readonly<Record<string, Arm>> | undefined
}

/** A flag that steers a class. */
export interface Steering extends FlagProgram {
  readonly layer: Layer
  readonly effects: ReadonlyMap<string, Effect>
}

/** A workload class with its policies in the order in which they are asked, and the flags that steer it, strongest layer first. */
export interface ClassProgram {
  readonly doc: WorkloadClass | undefined
  readonly policies: readonly PolicyProgram[]
  readonly steering: readonly Steering[]
}

/** Compiles thresholds and policies; kept, so that flags can derive policies later. */
export interface Compiler {
  readonly policy: (doc: Policy) => PolicyProgram
  readonly gate: (signal: string, threshold: Threshold, timers: Timers) => GateRef
  readonly held: (signal: string, within: number, withinPct: number, stableForMs: number) => string
  /** A ladder's entry; the name of a region, metro or country stands for its sites. */
  readonly entries: (name: string) => readonly EntryProgram[]
  /** An entry for each site that has pools. */
  readonly sites: () => readonly EntryProgram[]
}

/** What documents and flags need measured. */
export interface Specs {
  /** The gates that the policies need, by key. */
  readonly gateSpecs: ReadonlyMap<string, GateSpec>
  /** The ranked columns that the policies need, by key. */
  readonly heldSpecs: ReadonlyMap<string, Pick<HeldColumn, 'signal' | 'within' | 'withinPct' | 'stableForMs'>>
}

/** Everything worked out of the documents, overrides and clusters of a snapshot. */
export interface Programs extends Specs {
  readonly compile: CompileCondition
  readonly compileFlag: CompileFlag
  /** A compiler over these documents that notes what it needs measured in new books. */
  readonly compiler: () => { readonly compiler: Compiler; readonly specs: Specs }
  /** What the documents alone need measured. */
  readonly ofDocuments: Specs
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
  readonly cohorts: ReadonlyMap<string, Condition>
  readonly rollouts: ReadonlyMap<RolloutName, Rollout>
  /** Every flag in force, by key. */
  readonly flags: ReadonlyMap<FlagKey, FlagProgram>
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
