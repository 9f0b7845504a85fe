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
  /**
   * So much of a share (0.005: half a point) may it be more at most: promotion also believes bounds on the difference
   * that lie below, for events so rare that no ratio of them can be refuted. Absent: it asks for the ratio.
   */
  readonly differenceMax?: number
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

/** The pressure under which fewer requests take part: the share is halved, and comes back when it has gone. */
export interface NarrowWhen {
  /** `site` or `site/pool`; absent: every target of the treatment's ladder. */
  readonly site?: string
  readonly signal: string
  readonly max?: number
  readonly min?: number
}

/** What the business hopes for: a reported outcome, and which way is better. */
export interface BusinessOutcome {
  readonly outcome: string
  readonly improve: 'higher' | 'lower'
}

/** A staged exposure of a flag's treatment, with what it is judged by. */
export interface Rollout {
  readonly metadata: Metadata & { readonly description?: string }
  /** The flag that it drives, of the layer `rollout`. */
  readonly flag: FlagKey
  readonly class: ClassName
  /**
   * The policy version that the treatment names. It is held back from the moment that this document is there, whether
   * the flag has been read yet or not. Absent: the treatment is an overlay.
   */
  readonly policy?: PolicyRef
  /** The flag's variants for the two arms. */
  readonly variants: Readonly<Record<Arm, string>>
  readonly unit: 'request' | 'job'
  readonly stages: readonly Stage[]
  readonly success: readonly SuccessCriterion[]
  readonly guardrails: readonly Guardrail[]
  readonly siteLimits: readonly SiteLimit[]
  readonly narrowWhen?: NarrowWhen
  /** Judged like the rest; if none of them moves, the report says `operational only`. */
  readonly business?: readonly BusinessOutcome[]
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
  /** Counts since the last reading, of requests decided since the present shares are in force. */
  readonly counts: Readonly<Record<Arm, ArmCount>>
  /** What was assigned by the hash since then: a session counts once. Absent: every unit was assigned by itself. */
  readonly assigned?: Readonly<Record<Arm, number>>
  /** Requests of the class since the last reading, those that take no part included. */
  readonly classUnits?: number
  /** Those of them that were in either arm; absent: those of `counts`, which of jobs are only some. */
  readonly took?: number
  /** Since the present shares are in force: arms that were counted at different times must not be compared. */
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
  /** Since when the present shares are in force; absent: since the stage began. */
  readonly exposedAt?: EpochMs
  /** Counted, and not yet weighed: a comparison needs units of both arms. */
  readonly pending?: Readonly<Record<Arm, ArmCount>>
  /** Requests of the class since the beginning, those that take no part included. */
  readonly classUnits?: number
  /** Requests of the class in this stage, and those of them that were in either arm. */
  readonly reach?: { readonly took: number; readonly of: number }
  /** When it was last narrowed, or pressure was last seen while narrow. */
  readonly narrowedAt?: EpochMs
  /** Since when no document names it any more. */
  readonly goneAt?: EpochMs
  /** Units and bad events since the present shares are in force, the pending ones included. */
  readonly exposed?: Readonly<Record<Arm, ArmCount>>
  /** The stage that a person last decided on: no rollback goes past it until `resume` hands it back to the judge. */
  readonly decidedStage?: number
  /** Harm that was proven after a person had decided: it holds, whatever is shown afterwards, until somebody speaks. */
  readonly harm?: string
  /** A hash of what the flag's two variants mean: others begin anew. */
  readonly meaning?: string
}

/** What a person says of a rollout. */
export interface RolloutOrder {
  readonly order: 'promote' | 'hold' | 'resume' | 'abort'
  readonly author: string
  readonly reason: string
  readonly at: EpochMs
}

/** A metric that the arms of a rollout can be compared by. */
export interface RolloutMetricRow {
  readonly unit: string
  readonly worseWhen: 'higher' | 'lower'
  readonly says: string
}

/** What arms can be compared by, beside `outcome.<name>`. To add one, add a row here and where outcomes are taken in. */
export const ROLLOUT_METRICS = {
  'response.p50_ms': { unit: 'ms', worseWhen: 'higher', says: 'the whole answer, median' },
  'response.p95_ms': { unit: 'ms', worseWhen: 'higher', says: 'the whole answer, 95th percentile' },
  'response.p99_ms': { unit: 'ms', worseWhen: 'higher', says: 'the whole answer, 99th percentile' },
  'ttft.p50_ms': { unit: 'ms', worseWhen: 'higher', says: 'the first byte of the body, median' },
  'ttft.p95_ms': { unit: 'ms', worseWhen: 'higher', says: 'the first byte of the body, 95th percentile' },
  'ttft.p99_ms': { unit: 'ms', worseWhen: 'higher', says: 'the first byte of the body, 99th percentile' },
  'queue.p95_ms': { unit: 'ms', worseWhen: 'higher', says: 'time held here and queued at the site, 95th percentile' },
  'errors.ratio': { unit: 'ratio', worseWhen: 'higher', says: 'the share of errors and timeouts' },
  'refused.ratio': { unit: 'ratio', worseWhen: 'higher', says: 'the share that was delayed, queued out or denied' },
  'slo_miss.ratio': { unit: 'ratio', worseWhen: 'higher', says: "the share that missed its class's objective" },
  'fallback.ratio': { unit: 'ratio', worseWhen: 'higher', says: 'the share that its first choice did not take' },
} as const satisfies Record<string, RolloutMetricRow>

/** A key of ROLLOUT_METRICS. */
export type RolloutMetricName = keyof typeof ROLLOUT_METRICS

/** What a reported outcome is called among metrics: `outcome.session-completed`. */
export const OUTCOME_METRIC = 'outcome.'

/** The outcome by whose report a rollout of jobs counts: 1 and 0 for a job that has succeeded and one that has not. */
export const JOB_SUCCESS = 'job-success'

/** The unit of a metric, and which way is worse. Of reported outcomes the document says it, else lower is worse. */
export const metricRow = (metric: string, rollout?: Pick<Rollout, 'business'>): RolloutMetricRow => {
  const row = Object.hasOwn(ROLLOUT_METRICS, metric) ? ROLLOUT_METRICS[metric as RolloutMetricName] : undefined
  if (row !== undefined) return row
  const hoped = rollout?.business?.find(({ outcome }) => `${OUTCOME_METRIC}${outcome}` === metric)?.improve
  return { unit: '', worseWhen: hoped === 'lower' ? 'higher' : 'lower', says: 'what the business reports' }
}

/**
 * The chance of a false alarm that each test of a rollout may take, so that all of them together take its alpha: one for
 * each guardrail, and one for each criterion that can be broken.
 */
export const alphaEach = ({ alpha, guardrails, success }: Pick<Rollout, 'alpha' | 'guardrails' | 'success'>): number =>
  alpha / Math.max(1, guardrails.length + success.filter(({ worseByAtMost }) => worseByAtMost !== undefined).length)

/** The ends of a rollout: nothing changes it any more. */
export const isEnded = (status: RolloutStatus): boolean => status !== 'running' && status !== 'held'
