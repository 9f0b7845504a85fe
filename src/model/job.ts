import type { Because, Decision } from './decision.ts'
import type { Facts } from './facts.ts'
import type { ClassName, ClusterName, EpochMs, TargetName } from './names.ts'

/** What an admitted job is told to do. hubward tells it; whoever runs the job does it. */
export type AdviceAction = 'run' | 'pause' | 'resume' | 'move'

/** Why an admitted job is told something, one word each. */
export const ADVICE_REASONS = {
  fits: 'it may run where it is',
  red: 'its target is red for its class by a safety signal',
  readiness: 'what the readiness of its target admits leaves its class out',
  drained: 'its target is drained',
  maintenance: 'its target goes into maintenance, or is in it',
  stale: 'required signals of its target are too old, and its class waits then',
  gone: 'its target is in no document any more',
  down: 'nothing answers at its target',
} as const satisfies Record<string, string>

/** A key of ADVICE_REASONS. */
export type AdviceReason = keyof typeof ADVICE_REASONS

/** What one admitted job is told, and why. */
export interface Advice {
  readonly action: AdviceAction
  readonly reason: AdviceReason
  /** The number behind it, where there is one. */
  readonly because?: Because
  /** By when it should be done; null: nothing says when it becomes worse. Absent for `run` and `resume`. */
  readonly deadline?: EpochMs | null
  /** The limit past which the target is red for it: the latest at which it must be out, where no time is known. */
  readonly red?: { readonly signal: string; readonly op: 'min' | 'max'; readonly limit: number }
  /** Where to run instead. */
  readonly to?: { readonly target: TargetName; readonly cluster: ClusterName }
  /** When it was first told. */
  readonly since: EpochMs
}

/** An admitted job, as long as its reservation holds. Plain data: it is kept over restarts. */
export interface Job {
  /** The id of its decision and of its reservation. */
  readonly id: string
  readonly class: ClassName
  readonly target: TargetName
  readonly cluster: ClusterName
  /** What it is judged by again. */
  readonly facts: Facts
  readonly decision: Decision
  readonly admittedAt: EpochMs
  readonly expiresAt: EpochMs
  readonly lifeMs: number
  /** `paused`: it was told to stop, and has said that it draws nothing. */
  readonly state: 'admitted' | 'running' | 'paused'
  /** What it said it draws; absent: nothing yet. */
  readonly drawMw?: number
  /** The asker's own name for it: asked again under the same one, it gets the same answer. */
  readonly key?: string
  readonly advice: Advice
}

/** One change of what a job is told. */
export interface JobEvent {
  /** Counts up from 1 since the start; with the start's name before it, it is the id of a server-sent event. */
  readonly number: number
  readonly kind: 'admitted' | 'running' | 'paused' | 'advice' | 'renewed' | 'ended'
  readonly at: EpochMs
  readonly job: Job
  /** Why it ended. */
  readonly cause?: string
}
