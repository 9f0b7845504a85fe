import type { Because } from './decision.ts'
import type { AdviceAction, AdviceReason } from './job.ts'
import type { ClassName, EpochMs, FlagKey, RolloutName, SourceName, TargetName } from './names.ts'
import type { Problem } from './problem.ts'
import type { ReadinessState } from './readiness.ts'
import type { RolloutStatus } from './rollout.ts'
import type { Dimension } from './signal-row.ts'

/** A pool's health as operators name it. */
export type HealthState = 'ready' | 'degraded' | 'down' | 'draining' | 'maintenance'

/** What happened on the way from one snapshot to the next, with its cause. Audit, alerts and logs read these. */
export type Event =
  | {
      readonly kind: 'health-changed'
      readonly at: EpochMs
      readonly target: TargetName
      readonly from: HealthState
      readonly to: HealthState
      readonly cause: string
    }
  | {
      readonly kind: 'red-changed'
      readonly at: EpochMs
      readonly target: TargetName
      readonly signal: string
      readonly red: boolean
      readonly measured: number
      readonly limit: number
    }
  | {
      readonly kind: 'gate-changed'
      readonly at: EpochMs
      readonly target: TargetName
      readonly gate: string
      readonly signal: string
      readonly from: 'pass' | 'fail'
      readonly to: 'pass' | 'fail'
      readonly measured: number | null
      readonly limit: number
      readonly cause: string
    }
  | {
      readonly kind: 'documents-accepted'
      readonly at: EpochMs
      readonly source: SourceName
      readonly version: string
      readonly hash: string
      readonly added: readonly string[]
      readonly changed: readonly string[]
      readonly removed: readonly string[]
      readonly warnings: readonly Problem[]
      readonly by?: string
      readonly fromDisk?: boolean
    }
  | {
      readonly kind: 'documents-refused'
      readonly at: EpochMs
      readonly source: SourceName
      readonly version: string
      readonly problems: readonly Problem[]
    }
  | {
      readonly kind: 'flags-accepted'
      readonly at: EpochMs
      readonly source: SourceName
      readonly version: string
      readonly added: readonly FlagKey[]
      readonly changed: readonly FlagKey[]
      readonly removed: readonly FlagKey[]
      readonly warnings: readonly Problem[]
      readonly fromDisk?: boolean
    }
  | {
      readonly kind: 'flags-refused'
      readonly at: EpochMs
      readonly source: SourceName
      readonly version: string
      readonly problems: readonly Problem[]
    }
  /** A source's flags have not been confirmed for longer than they may be, or are again. */
  | {
      readonly kind: 'flags-stale'
      readonly at: EpochMs
      readonly source: SourceName
      readonly stale: boolean
      readonly consequence: 'keep' | 'off'
    }
  /** A rollout goes on, stands, or has ended, by whom or by which numbers. */
  | {
      readonly kind: 'rollout-changed'
      readonly at: EpochMs
      readonly rollout: RolloutName
      readonly flag: FlagKey
      readonly from: RolloutStatus | 'new'
      readonly to: RolloutStatus
      readonly stage: string
      readonly shareBp: number
      /** `judge`, or who said so. */
      readonly by: string
      readonly cause: string
      /** What the judge saw: e-values by test, units by arm, criteria with their bounds. */
      readonly numbers: Readonly<Record<string, number | null>>
    }
  | {
      readonly kind: 'overrides-refused'
      readonly at: EpochMs
      readonly source: SourceName
      readonly version: string
      readonly problems: readonly Problem[]
    }
  | {
      readonly kind: 'override-started' | 'override-ended'
      readonly at: EpochMs
      readonly id: string
      readonly what: string
      readonly reason: string
      readonly author: string
      readonly cause: string
      readonly review?: boolean
    }
  | {
      readonly kind: 'routing-switched'
      readonly at: EpochMs
      readonly enabled: boolean
      readonly reason: string
      readonly author: string
    }
  | {
      readonly kind: 'samples-refused'
      readonly at: EpochMs
      readonly source: SourceName
      readonly signal: string
      readonly why: SampleRefusal
      readonly count: number
    }
  | {
      readonly kind: 'reservation-made' | 'reservation-ended'
      readonly at: EpochMs
      readonly id: string
      readonly target: TargetName
      readonly mw: number
      readonly cause: string
    }
  /** What an admitted job is told has changed. */
  | {
      readonly kind: 'job-advised'
      readonly at: EpochMs
      readonly id: string
      readonly class: ClassName
      readonly target: TargetName
      readonly from: AdviceAction
      readonly to: AdviceAction
      readonly reason: AdviceReason
      readonly deadline: EpochMs | null
      /** Where to run instead. */
      readonly elsewhere?: TargetName
      readonly because?: Because
    }
  /** The readiness of a target for one class, overall and by the dimension that made it so. */
  | {
      readonly kind: 'readiness-changed'
      readonly at: EpochMs
      readonly target: TargetName
      readonly class: ClassName
      readonly from: ReadinessState
      readonly to: ReadinessState
      readonly dimension: Dimension | null
      readonly cause: string
    }
  /** So many sessions of a class run on another target since the last such event: what they have cached is on the first. */
  | {
      readonly kind: 'session-moved'
      readonly at: EpochMs
      readonly class: ClassName
      readonly from: TargetName
      readonly to: TargetName
      readonly count: number
    }
  | {
      readonly kind: 'clusters-changed'
      readonly at: EpochMs
      readonly added: readonly string[]
      readonly removed: readonly string[]
    }

/** Why a sample was not taken. */
export const SAMPLE_REFUSALS = [
  'unknown-signal',
  'unknown-site',
  'not-a-number',
  'out-of-range',
  'in-the-future',
  'out-of-order',
  'not-by-model',
  'unknown-loop',
  'not-a-link',
  'worked-out',
  'frozen',
  'absurd',
] as const

/** One of SAMPLE_REFUSALS. */
export type SampleRefusal = (typeof SAMPLE_REFUSALS)[number]
