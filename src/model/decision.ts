import type { LayerTrace } from './flag.ts'
import type { ClassName, ClusterName, EpochMs, PolicyRef, RolloutName, SourceName, TargetName } from './names.ts'
import type { Constraint, Reason } from './reason.ts'
import type { Arm } from './rollout.ts'

/** One thing that kept a target from being chosen: the number, the limit in force, and how old the number was. */
export interface Because {
  readonly target: TargetName
  readonly constraint: Constraint
  /** What was seen; a word where the constraint has no number. */
  readonly measured?: number | string
  readonly op?: '<' | '<=' | '>=' | '==' | 'in'
  /** The limit in force: for a target that had been left, its resume value. */
  readonly limit?: number | string
  readonly unit?: string
  /** Age of the sample when the decision was made. */
  readonly ageMs?: number
  readonly source?: SourceName
}

/** The part of a decision that depends on its action. */
export type Outcome =
  | { readonly action: 'route'; readonly target: TargetName; readonly cluster: ClusterName }
  | {
      readonly action: 'degrade'
      readonly target: TargetName
      readonly cluster: ClusterName
      readonly model: string
      readonly rewriteBody: boolean
    }
  | { readonly action: 'queue'; readonly holdMsMax: number }
  | { readonly action: 'delay'; readonly status: number; readonly retryAfterMs: number; readonly until?: string }
  | { readonly action: 'deny'; readonly status: number; readonly retryAfterMs?: number }
  /** No header is touched: the route Envoy had chosen already stands (reasons `no-policy` and `routing-disabled`). */
  | { readonly action: 'route'; readonly target?: undefined; readonly cluster?: undefined }

/** When a class is expected to fit. */
export interface Forecast {
  /** The first time at which everything known ahead of time fits; null: not inside what is known. */
  readonly at: EpochMs | null
  /**
   * How far off it may be, in milliseconds either way: by how far samples lie from their line, and by how the last
   * forecasts of the class turned out; null: nothing to judge it by.
   */
  readonly errorMs: number | null
  /** What is waited for: a signal, `maintenance`. */
  readonly waitsFor: string
  readonly target: TargetName
}

/** What all decisions say, whatever the action. */
export interface DecisionCommon {
  readonly id: string
  readonly at: EpochMs
  readonly class: ClassName
  readonly reason: Reason
  /** At most BECAUSE_MAX entries, in ladder order; `becauseCounts` has the rest. */
  readonly because: readonly Because[]
  /** How often each constraint kept a target away, the listed ones included. Absent where nothing did. */
  readonly becauseCounts?: Readonly<Record<string, number>>
  /** The tiers as the policy has them. */
  readonly ladder: readonly (readonly string[])[]
  /** What would have been next: site or target names, then actions. */
  readonly next: readonly string[]
  readonly policy: PolicyRef | null
  readonly policyHash: string | null
  /** The snapshot's revision. */
  readonly revision: number
  /** Flags that had a say, the winner first, then those that it shadowed. */
  readonly layers: readonly LayerTrace[]
  /** The id of the override that had a say. */
  readonly override: string | null
  /** The arm of the rollout that the request takes part in. */
  readonly arm: Arm | null
  /** The rollout of the arm. */
  readonly rollout?: RolloutName
  /** A tester's signed word forced a cohort or an arm: no measurement counts it. */
  readonly forced?: true
  /** When the request's class is expected to fit, and how far off that may be. */
  readonly forecast?: Forecast
  /** What the caller could ask for instead, with better prospects: fewer accelerators. */
  readonly suggest?: { readonly gpus: number }
  /** The target that the session was on before, where it has moved: caches can follow. */
  readonly movedFrom?: TargetName
  /** The reservation that holds what an admitted job declared. */
  readonly reservation?: string
  readonly session: 'none' | 'kept' | 'new' | 'moved' | 'expired' | 'invalid' | 'mismatch'
  /** `target signal` pairs whose required signal was stale. */
  readonly stale: readonly string[]
  /** `target signal` pairs that passed because too few events stand behind the number. */
  readonly insufficient: readonly string[]
}

/** The answer to one request. */
export type Decision = DecisionCommon & Outcome

/** How many reasons a decision carries; the full list is explain's. */
export const BECAUSE_MAX = 8
