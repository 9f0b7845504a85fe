import type { Metadata } from './metadata.ts'
import type { ClassName, EpochMs, FlagKey, PolicyRef, RolloutName } from './names.ts'

/** The two arms of a rollout, by what their requests are called in decisions, headers and measurements. */
export const ARMS = ['control', 'treatment'] as const

/** One of ARMS. */
export type Arm = (typeof ARMS)[number]

/** One step of exposure. Shares are basis points, 0 to 10,000. */
export interface Stage {
  readonly name: string
  /** Only requests of this cohort; absent: of all cohorts that the policy allows. */
  readonly cohort?: string
  /** The share of tenants that take part, by the tenant's hash. */
  readonly tenantsBp: number
  /** The treatment's share of those that take part, by the hash of the session's key, else of the request. */
  readonly shareBp: number
  /** How long it is at least looked at before the next stage. */
  readonly bakeMs: number
}

/** What is compared between the arms: a quantile of a time, a share of requests, or a mean of reported outcomes. */
export interface RolloutMetric {
  /** A name in ROLLOUT_METRICS, or `outcome.<name>` for what is reported to POST /v1/outcomes. */
  readonly metric: string
}

/** A claim on treatment less control. `by` is in the metric's unit, in the direction that is better. */
export interface SuccessCriterion extends RolloutMetric {
  /** At least so much better; 0: better at all. Absent: not asked. */
  readonly improveBy?: number
  /** At most so much worse. Absent: not asked. */
  readonly worseByAtMost?: number
}

/** A rate of bad events that the treatment may have at most so many times the control's. */
export interface Guardrail {
  /** One of BAD_EVENTS. */
  readonly event: BadEvent
  /** The ratio past which it is rolled back for certain, above 1. Promotion asks that it be refuted. */
  readonly ratioMax: number
}

/** An absolute limit on the state of sites while the rollout runs, whatever the arm. */
export interface SiteLimit {
  /** `site` or `site/pool`; absent: every target of the treatment's ladder. */
  readonly site?: string
  readonly signal: string
  readonly max?: number
  readonly min?: number
  /** What crossing it does. */
  readonly action: 'hold' | 'narrow' | 'rollback'
}

/** A staged exposure of a flag's treatment, with what it is judged by. */
export interface Rollout {
  readonly metadata: Metadata & { readonly description?: string }
  /** The flag that it drives, of the layer `rollout`. */
  readonly flag: FlagKey
  readonly class: ClassName
  /** The flag's variants for the two arms. */
  readonly variants: Readonly<Record<Arm, string>>
  readonly unit: 'request' | 'job'
  readonly stages: readonly Stage[]
  readonly success: readonly SuccessCriterion[]
  readonly guardrails: readonly Guardrail[]
  readonly siteLimits: readonly SiteLimit[]
  /** Times in which no stage begins. */
  readonly freezeWindows: readonly { readonly from: EpochMs; readonly to: EpochMs; readonly reason: string }[]
  /** The chance of a false rollback that is accepted over the whole rollout, 0 to 1. */
  readonly alpha: number
  /** The fewest units of each arm before a stage may pass. */
  readonly unitsMin: number
  /** A rollout that has shown neither success nor harm by then ends as `no-effect`; absent: it goes on. */
  readonly endAfterMs?: number
  /** `judge`: stages pass by themselves; `human`: each waits for a word. */
  readonly promotion: 'judge' | 'human'
  /** The arms may be served by different artifacts of a model. */
  readonly differingArtifacts: boolean
  readonly rollback: { readonly plan: string; readonly owner: string }
  readonly escalation: readonly string[]
  readonly dashboard: string
}

/** What counts against an arm. To add one, add it here and where outcomes are counted. */
export const BAD_EVENTS = [
  'error',
  'timeout',
  'slo-miss',
  'refused',
  'slower-than-p50',
  'slower-than-p95',
  'slower-than-p99',
  'job-failed',
] as const

/** One of BAD_EVENTS; the `slower-than` ones compare with the control's running quantile. */
export type BadEvent = (typeof BAD_EVENTS)[number]

/** Where a rollout stands. The last four are ends, from which only a new version of the document leads away. */
export type RolloutStatus = 'running' | 'held' | 'finished' | 'rolled-back' | 'aborted' | 'no-effect'

/** Requests and bad events of one arm, counted while its share was what it is now. */
export interface ArmCount {
  readonly units: number
  readonly bad: Readonly<Partial<Record<BadEvent, number>>>
}

/** Where a criterion stands: treatment less control, in the metric's unit, better being below 0 for what is worse when higher. */
export interface CriterionReading {
  readonly metric: string
  /** Null: nothing measured in one of the arms. */
  readonly control: number | null
  readonly treatment: number | null
  readonly difference: number | null
  /** Bounds that hold at every look with the rollout's confidence; null: open on that side. */
  readonly low: number | null
  readonly high: number | null
  readonly units: Readonly<Record<Arm, number>>
}

/** What was measured of a rollout's arms since the last such reading, and where its criteria stand now. */
export interface ArmsReading {
  readonly rollout: RolloutName
  /** Counts since the last reading. */
  readonly counts: Readonly<Record<Arm, ArmCount>>
  /** Since its beginning. */
  readonly criteria: readonly CriterionReading[]
  /** Model artifacts seen by arm, as `model@revision`, sorted. */
  readonly artifacts: Readonly<Record<Arm, readonly string[]>>
}

/** A rollout as it stands. Plain data: it survives restarts, and everything that the judge knows is in it. */
export interface RolloutState {
  readonly name: RolloutName
  readonly flag: FlagKey
  /** A hash of the document that it stands for: another document begins anew. */
  readonly hash: string
  /** The policy that the treatment names, which is not the class's default before the end; null: an overlay. */
  readonly policy: PolicyRef | null
  readonly status: RolloutStatus
  /** Index of the stage. */
  readonly stage: number
  readonly stageSince: EpochMs
  readonly startedAt: EpochMs
  /** Shares in force; less than the stage's after it was narrowed; 0 after its end, 10,000 once finished. */
  readonly shareBp: number
  readonly tenantsBp: number
  readonly cohort?: string
  /** Why it stands as it does, a sentence. */
  readonly says: string
  /** Logarithms of the e-processes' likelihood ratios, by name of the test: one number for each ratio of the grid. */
  readonly tests: Readonly<Record<string, readonly number[]>>
  /** Units and bad events since the beginning. */
  readonly totals: Readonly<Record<Arm, ArmCount>>
  /** Units of this stage. */
  readonly stageUnits: Readonly<Record<Arm, number>>
  readonly criteria: readonly CriterionReading[]
  readonly artifacts: Readonly<Record<Arm, readonly string[]>>
  /** The last human word; judges do not act against it. */
  readonly order?: RolloutOrder
  /** How many more units of the scarcer arm are expected to be needed; null: not foreseeable. */
  readonly needed: number | null
}

/** What a person says of a rollout. */
export interface RolloutOrder {
  readonly order: 'promote' | 'hold' | 'resume' | 'abort'
  readonly author: string
  readonly reason: string
  readonly at: EpochMs
}
