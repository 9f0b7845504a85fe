import type { DocumentSet, Policy } from './documents.ts'
import type { HealthState } from './event.ts'
import type { Facts } from './facts.ts'
import type { FlagSourceState } from './flag.ts'
import type { ClusterName, EpochMs, RolloutName, SiteName, SourceName, TargetName } from './names.ts'
import type { OverrideSet } from './override.ts'
import type { Problem } from './problem.ts'
import type { Reservation } from './reservation.ts'
import type { RolloutState } from './rollout.ts'
import type { Series } from './sample.ts'

/** The newest values of one signal, by the index of the target. `at` 0 means: never measured. */
export interface Column {
  readonly value: readonly number[]
  readonly at: readonly EpochMs[]
  /** Events behind the value; -1 where the source gives none. */
  readonly count: readonly number[]
  /** The target's dispatch counter when the sample was asked for; -1 where unknown. */
  readonly dispatchedBefore: readonly number[]
  readonly source: readonly SourceName[]
  /** Until when the value holds whatever its age; 0: its age decides. */
  readonly until: readonly EpochMs[]
  /** How far a sample lies from the one before, on average: what the gap between a limit and its resume value must cover. */
  readonly noise: readonly number[]
}

/** What one place (a site as a whole, one of its coolant loops, a pool) last said of a signal of which the tightest counts. */
export interface Spoken {
  readonly value: number
  readonly at: EpochMs
  readonly source: SourceName
  readonly until?: EpochMs
}

/** The sums of a least-squares line through one signal's past at one target; time in seconds before the newest sample. */
export interface TrendCell {
  readonly from: EpochMs
  readonly at: EpochMs
  readonly samples: number
  readonly w: number
  readonly x: number
  readonly y: number
  readonly xx: number
  readonly xy: number
  readonly yy: number
}

/** A threshold with its damping, interned: all policies that write the same share its states. */
export interface GateSpec {
  readonly signal: string
  /** Only for samples of this model. */
  readonly model?: string
  readonly op: 'max' | 'min'
  readonly limit: number
  readonly resume: number
  readonly stableForMs: number
  readonly dwellMs: number
  readonly failBackMs: number
  readonly cooldownMs: number
  /** Only readiness is shown by it: its changes are told as readiness-changed, and nobody is moved by it. */
  readonly quiet?: true
}

/** The states of one gate, by the index of the target. Times are epoch milliseconds, 0 for never. */
export interface GateRow {
  readonly spec: GateSpec
  /** How many targets have failed or are on the way to it: a row without any has nothing to do when time passes. */
  readonly active: number
  /** 1: the target is kept out. */
  readonly failed: readonly (0 | 1)[]
  /** Since when the limit has been crossed on fresh samples, while not yet failed. */
  readonly crossedAt: readonly EpochMs[]
  /** When the newest sample beyond the resume value arrived, while failed. */
  readonly badAt: readonly EpochMs[]
  readonly failedAt: readonly EpochMs[]
  /** When it came back: the start of its ramp. */
  readonly returnedAt: readonly EpochMs[]
}

/** A ranked signal as ranking sees it: moves only when the raw value has left the tolerance for stableFor. */
export interface HeldColumn {
  readonly signal: string
  readonly within: number
  readonly withinPct: number
  readonly stableForMs: number
  readonly value: readonly (number | null)[]
  readonly leftAt: readonly EpochMs[]
}

/** What is known of one target's life. Times are epoch milliseconds, 0 for never. */
export interface HealthRow {
  /** What operators see: maintenance before draining before down before degraded before ready. */
  readonly state: HealthState
  readonly since: EpochMs
  readonly cause: string
  /** Nothing answers there. */
  readonly down: boolean
  /** Failures or silence that are not yet death: no new work while another target can take it. */
  readonly suspect: boolean
  /** On what evidence it is down or suspect. */
  readonly evidence: 'none' | 'probe' | 'heartbeat' | 'passive'
  /** Safety signals that are beyond their red limit. */
  readonly red: readonly string[]
  readonly lastOkAt: EpochMs
  /** Mean and mean deviation of the time between signs of life, in milliseconds; 0 until known. */
  readonly intervalMs: number
  readonly intervalDevMs: number
  /** Failures in a row of our own probes, and of real connections through Envoy. Each kind is cleared by its own. */
  readonly probeFailures: number
  readonly passiveFailures: number
  /** When a real connection last failed. */
  readonly passiveAt: EpochMs
  /** 0: heard in time; 1: silent long enough to be suspect; 2: to be down. */
  readonly silence: 0 | 1 | 2
  /** When a hard loss (down, drained, maintenance, red) last began and ended; every policy's dwell counts from the end. */
  readonly lostAt: EpochMs
  readonly backAt: EpochMs
  /** The last hard loss was for safety, after which a target waits longer. */
  readonly lostForSafety: boolean
  /** The safety signals of the last hard loss; and whether nothing else was lost, so that classes which they let in never left. */
  readonly lostReds: readonly string[]
  readonly lostOnlyRed: boolean
  /** The beginnings of the last hard losses, newest last, at most 8: flap damping reads them. */
  readonly departures: readonly EpochMs[]
}

/** What a source of documents or overrides last gave. */
export interface SourceState {
  readonly name: SourceName
  readonly kind: 'documents' | 'overrides' | 'flags'
  readonly version: string
  readonly nonce: string
  readonly hash: string
  readonly acceptedAt: EpochMs
  readonly refusedAt: EpochMs
  readonly refusedVersion: string
  readonly problems: readonly Problem[]
  readonly fromDisk: boolean
}

/** Everything that a decision reads, as plain JSON. */
export interface SnapshotData {
  /** Counts changes. */
  readonly revision: number
  /** Counts accepted document sets. */
  readonly documentsVersion: number
  /** The time of the newest change; never goes back. */
  readonly at: EpochMs
  readonly sources: Readonly<Record<SourceName, SourceState>>
  readonly sets: Readonly<Record<SourceName, DocumentSet>>
  readonly overrideSets: Readonly<Record<SourceName, OverrideSet>>
  /** By source. */
  readonly flagSets: Readonly<Record<SourceName, FlagSourceState>>
  /** Every rollout that has begun, those whose document has gone included. */
  readonly rollouts: Readonly<Record<RolloutName, RolloutState>>
  /** Policies that no document has any more, kept because a flag names them. */
  readonly retained: readonly Policy[]
  /** Up to when policies that were kept over a restart wait for flags to name them; absent: they no longer do. */
  readonly retainedUntil?: EpochMs
  /** Ids of the overrides and maintenance windows in force when time last passed: their ends become events. */
  readonly inForce: readonly string[]
  /** All targets; every array of columns, gates and health follows this order. */
  readonly targets: readonly TargetName[]
  readonly columns: Readonly<Record<string, Column>>
  readonly gates: Readonly<Record<string, GateRow>>
  readonly held: Readonly<Record<string, HeldColumn>>
  /** All sites, in the order of `spoken`. */
  readonly sites: readonly SiteName[]
  /** By site, signal and place (`''` the site, `loop:cdu-1`, `pool:h100`): what the columns of such signals are made of. */
  readonly spoken: readonly Readonly<Record<string, Readonly<Record<string, Spoken>>>>[]
  /** Values ahead of time, by `signal|site|pool`. */
  readonly series: Readonly<Record<string, Series>>
  /** The way of power and cooling, by signal and target. */
  readonly trends: Readonly<Record<string, readonly (TrendCell | null)[]>>
  /** What admitted jobs hold, by id. */
  readonly reservations: Readonly<Record<string, Reservation>>
  readonly health: readonly HealthRow[]
  /** By target: a letter for each of DIMENSIONS and one for all of them, g, a, r or u, as all classes alike see them. */
  readonly readiness: readonly string[]
  readonly clusters: readonly ClusterName[] | null
}

/** A compiled condition: does it hold for these facts? A missing fact makes it false. */
export type Condition = (facts: Facts) => boolean

/** How the text of a condition becomes a program; throws for text that validation would have refused. */
export type CompileCondition = (source: string) => Condition

/** The immutable state of everything: data, and programs worked out from it. */
export interface Snapshot<Programs = unknown> {
  readonly data: SnapshotData
  readonly programs: Programs
}
