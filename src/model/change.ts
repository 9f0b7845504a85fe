import type { DocumentSet, Policy } from './documents.ts'
import type { FlagSet } from './flag.ts'
import type { ClusterName, EpochMs, RolloutName, SourceName } from './names.ts'
import type { OverrideSet } from './override.ts'
import type { Problem } from './problem.ts'
import type { Reservation } from './reservation.ts'
import type { ArmsReading, RolloutOrder, RolloutState } from './rollout.ts'
import type { Heartbeat, Sample, Series } from './sample.ts'

/** Everything that can alter the snapshot. Plain JSON; `at` is when it reached us. */
export type Change =
  /** A source's whole set, read and checked; it replaces what that source said before. */
  | {
      readonly kind: 'documents-accepted'
      readonly at: EpochMs
      readonly source: SourceName
      readonly version: string
      readonly nonce: string
      readonly hash: string
      readonly set: DocumentSet
      readonly problems: readonly Problem[]
      readonly by?: string
      readonly fromDisk?: boolean
    }
  /** A source's set that can't be used: its last good one stays. */
  | {
      readonly kind: 'documents-refused'
      readonly at: EpochMs
      readonly source: SourceName
      readonly version: string
      readonly nonce: string
      readonly problems: readonly Problem[]
    }
  | {
      readonly kind: 'overrides-accepted'
      readonly at: EpochMs
      readonly source: SourceName
      readonly version: string
      readonly nonce: string
      readonly set: OverrideSet
    }
  | {
      readonly kind: 'overrides-refused'
      readonly at: EpochMs
      readonly source: SourceName
      readonly version: string
      readonly nonce: string
      readonly problems: readonly Problem[]
    }
  /** A source's flags, read and checked; they replace what that source said before. */
  | {
      readonly kind: 'flags-accepted'
      readonly at: EpochMs
      readonly source: SourceName
      readonly version: string
      readonly nonce: string
      readonly set: FlagSet
      readonly problems: readonly Problem[]
      /** How long they are fresh after each sign of life, in ms; 0: for ever. */
      readonly ttlMs: number
      readonly whenStale: 'keep' | 'off'
      readonly fromDisk?: boolean
      /** When the source was last heard; absent: now. What was kept on disk is not made fresh by a restart. */
      readonly heardAt?: EpochMs
    }
  /** A source's flags can't be used: its last good ones stay. */
  | {
      readonly kind: 'flags-refused'
      readonly at: EpochMs
      readonly source: SourceName
      readonly version: string
      readonly nonce: string
      readonly problems: readonly Problem[]
    }
  /** A source lives and has nothing new: its flags are fresh for another while. */
  | { readonly kind: 'flags-heard'; readonly at: EpochMs; readonly source: SourceName }
  /** What rollouts were at, and the policies that only flags still name, before a restart. */
  | {
      readonly kind: 'rollouts-restored'
      readonly at: EpochMs
      readonly rollouts: readonly RolloutState[]
      readonly retained: readonly Policy[]
    }
  /** A person's word on a rollout. */
  | {
      readonly kind: 'rollout-ordered'
      readonly at: EpochMs
      readonly rollout: RolloutName
      readonly order: RolloutOrder
    }
  /** What was measured of the arms of rollouts. */
  | { readonly kind: 'arms-measured'; readonly at: EpochMs; readonly readings: readonly ArmsReading[] }
  | {
      readonly kind: 'samples-arrived'
      readonly at: EpochMs
      readonly samples: readonly Sample[]
      readonly heartbeats: readonly Heartbeat[]
      readonly series?: readonly Series[]
    }
  /** An admitted job takes its power and cooling into account before its draw can be measured. */
  | { readonly kind: 'reservation-made'; readonly at: EpochMs; readonly reservation: Reservation }
  /** Those that were held before a restart. */
  | { readonly kind: 'reservations-restored'; readonly at: EpochMs; readonly reservations: readonly Reservation[] }
  /** It says how much of it is drawn by now, so that measured and reserved power are not counted twice. */
  | { readonly kind: 'reservation-drawn'; readonly at: EpochMs; readonly id: string; readonly drawMw: number }
  | { readonly kind: 'reservation-ended'; readonly at: EpochMs; readonly id: string; readonly cause: string }
  /** The clusters Envoy is known to have; null: nobody asks Envoy, all are taken to exist. */
  | { readonly kind: 'clusters-known'; readonly at: EpochMs; readonly clusters: readonly ClusterName[] | null }
  | { readonly kind: 'time-passed'; readonly at: EpochMs }
