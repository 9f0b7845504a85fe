import type { TargetName } from '../model/names.ts'
import type { Tally } from '../model/tally.ts'

/** The counters that decisions read, and how they grow. They never go back. */
export interface LiveTally extends Tally {
  readonly dispatch: (target: TargetName) => void
}

/** Counters at zero, for so many hubwards that share the sites. */
export const createTally = (sidecars: number): LiveTally => {
  const dispatched: Record<TargetName, number> = Object.create(null) as Record<TargetName, number>
  return {
    dispatched,
    held: {},
    sidecars,
    dispatch: (target) => {
      dispatched[target] = (dispatched[target] ?? 0) + 1
    },
  }
}
