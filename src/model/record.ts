import type { Decision } from './decision.ts'
import type { Facts } from './facts.ts'
import type { EpochMs, FlagKey } from './names.ts'

/** One decision as the journal keeps it: all that a replay needs. */
export interface DecisionRecord {
  readonly kind: 'decision'
  readonly decision: Decision
  readonly facts: Facts
  readonly now: EpochMs
  readonly engineVersion: string
  /** sha256 of the snapshot data's documents and overrides, `sha256:…`. */
  readonly snapshotHash: string
  readonly sourceVersions: Readonly<Record<string, string>>
  /** The counters the spread step compared, by target; empty where it compared none. */
  readonly tally: Readonly<Record<string, number>>
  /** The gate states and values that were read, by target and signal. */
  readonly inputs: readonly DecisionInput[]
  /** By key: the hashes of the flags that had a say, as their rollouts had rendered them; absent: none had. */
  readonly flags?: Readonly<Record<FlagKey, string>>
  /** The shares in force in the rollout that the request takes part in. */
  readonly exposure?: { readonly shareBp: number; readonly tenantsBp: number; readonly cohort?: string }
  /** How long the request was held before, in ms. */
  readonly heldMs?: number
  /** False where something above is missing. */
  readonly replayable: boolean
  /** Why it was kept: `job`, `not-first-choice`, `share`. */
  readonly sampledBy: 'job' | 'not-first-choice' | 'share'
}

/** One value that a decision read. */
export interface DecisionInput {
  readonly target: string
  readonly signal: string
  readonly value: number | null
  readonly at: EpochMs
  readonly failed: boolean
  /** The share of the target's return ramp, 0 to 1. */
  readonly share: number
}
