import type { ClassName, TargetName } from './names.ts'

/** The only thing beside the snapshot that a decision reads: counters that never go back. */
export interface Tally {
  /** Requests this hubward has sent to each target since its start. */
  readonly dispatched: Readonly<Record<TargetName, number>>
  /** Requests held right now, by class. */
  readonly held: Readonly<Record<ClassName, number>>
  /** How many hubwards share the sites; own dispatches are multiplied by it. */
  readonly sidecars: number
}
