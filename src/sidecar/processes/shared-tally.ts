import type { TargetName } from '../../model/names.ts'
import { createTally, type LiveTally } from '../tally.ts'

/** Dispatches by target. */
export type Counts = readonly (readonly [target: TargetName, count: number])[]

/** The counters of a decider: all that hubward has sent as far as it is known here, and its own at once. */
export interface SharedTally {
  readonly tally: LiveTally
  readonly isPending: () => boolean
  /** Own dispatches since the last call, and the number of that call, by which they are acknowledged. */
  readonly take: () => { readonly number: number; readonly sent: Counts }
  /** What all processes have sent; own ones of takes up to `upTo` are in it. */
  readonly told: (upTo: number, all: Counts) => void
}

/**
 * A sample carries what all of hubward had sent to its target when its scrape began, so a process that counted its own
 * alone would compare two different things. The main process adds up and tells; what it can't know yet is added here.
 */
export function createSharedTally(sidecars: number, from: Counts): SharedTally {
  const tally = createTally(sidecars)
  /** What the main process has told. */
  const known = new Map<TargetName, number>()
  let pending = new Map<TargetName, number>()
  let untold: { readonly number: number; readonly sent: ReadonlyMap<TargetName, number> }[] = []
  let number = 0
  const told = (upTo: number, all: Counts): void => {
    untold = untold.filter((one) => one.number > upTo)
    for (const [target, count] of all) {
      known.set(target, count)
      const own = untold.reduce((sum, { sent }) => sum + (sent.get(target) ?? 0), pending.get(target) ?? 0)
      const before = tally.dispatched[target] ?? 0
      // Counters never go back, whatever is told.
      if (count + own > before) tally.dispatch(target, count + own - before)
    }
  }
  told(0, from)
  return {
    tally: {
      ...tally,
      dispatch: (target, count = 1) => {
        tally.dispatch(target, count)
        pending.set(target, (pending.get(target) ?? 0) + count)
      },
    },
    isPending: () => pending.size > 0,
    take: () => {
      if (pending.size === 0) return { number, sent: [] }
      number += 1
      untold.push({ number, sent: pending })
      const sent = [...pending]
      pending = new Map()
      return { number, sent }
    },
    told,
  }
}

/** What the main process tells of its counters: those that have changed since it last did. */
export function createTold(dispatched: Readonly<Record<TargetName, number>>): () => Counts {
  const before = new Map<TargetName, number>()
  return () => {
    const changed: (readonly [TargetName, number])[] = []
    for (const target in dispatched) {
      const count = dispatched[target]!
      if (before.get(target) === count) continue
      before.set(target, count)
      changed.push([target, count])
    }
    return changed
  }
}
