import type { EngineSnapshot } from '../engine/programs.ts'
import type { Decision } from '../model/decision.ts'
import type { ClassName, TargetName } from '../model/names.ts'
import type { Tally } from '../model/tally.ts'

/** The counters that decisions read, and how they grow. They never go back. */
export interface LiveTally extends Tally {
  /** One more request was sent there, or so many. */
  readonly dispatch: (target: TargetName, count?: number) => void
  /** One request of a class more or less is held. */
  readonly hold: (className: ClassName, by: 1 | -1) => void
  /** The counters of a decision's candidates as they stand; null where there are too many to copy on the way. */
  readonly copyFor: (decision: Decision, snapshot: EngineSnapshot) => Readonly<Record<string, number>> | null
}

/** The most candidates whose counters are copied for a record. */
const COPIED_MAX = 256

/** Counters at zero, for so many hubwards that share the sites. */
export const createTally = (sidecars: number): LiveTally => {
  const dispatched: Record<TargetName, number> = Object.create(null) as Record<TargetName, number>
  const held: Record<ClassName, number> = Object.create(null) as Record<ClassName, number>
  const copy = (names: readonly TargetName[]): Record<string, number> | null =>
    names.length > COPIED_MAX ? null : Object.fromEntries(names.map((name) => [name, dispatched[name] ?? 0]))
  return {
    dispatched,
    held,
    sidecars,
    dispatch: (target, count = 1) => {
      dispatched[target] = (dispatched[target] ?? 0) + count
    },
    hold: (className, by) => {
      held[className] = (held[className] ?? 0) + by
    },
    copyFor: ({ ladder }, { data, programs }) => {
      const names: TargetName[] = []
      for (const entry of ladder.flat()) {
        const indexes = programs.bySite.get(entry)
        // `*` and `nearest 3` are no sites: any target may have been a candidate.
        if (indexes === undefined && !entry.includes('/')) return copy(data.targets)
        if (indexes === undefined) names.push(entry)
        else for (const index of indexes) names.push(data.targets[index]!)
      }
      return copy(names)
    },
  }
}
