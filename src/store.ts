import type { Folded } from './engine/fold.ts'
import type { EngineSnapshot } from './engine/programs.ts'
import type { Change } from './model/change.ts'
import type { Event } from './model/event.ts'

/** Hears of every change after it has been made. */
export type Listener = (snapshot: EngineSnapshot, events: readonly Event[], change: Change) => void

/** The one variable of a running hubward. */
export interface Store {
  /** What decisions read now. A new object after each change; never altered. */
  readonly current: EngineSnapshot
  /** Makes a change. One that is asked for by a listener is made when all listeners have heard of the present one. */
  readonly apply: (change: Change) => void
  /** Calls the listener after each change, until the returned function is called. */
  readonly subscribe: (listener: Listener) => () => void
}

/** What a store is made of. */
export interface StoreOptions {
  readonly fold: (snapshot: EngineSnapshot, change: Change) => Folded
  readonly initial: EngineSnapshot
  /** Hears of mistakes of ours: the snapshot stays as it was, or the other listeners are still called. */
  readonly onError?: (error: unknown, where: 'fold' | 'listener') => void
}

/** A store that holds the initial snapshot. Time never goes back in it: `fold` clamps each change's. */
export function createStore({ fold, initial, onError = () => {} }: StoreOptions): Store {
  let current = initial
  let applying = false
  const waiting: Change[] = []
  const listeners = new Set<Listener>()

  const step = (change: Change): void => {
    let folded: Folded
    try {
      folded = fold(current, change)
    } catch (error) {
      onError(error, 'fold')
      return
    }
    current = folded.snapshot
    for (const listener of [...listeners]) {
      try {
        listener(current, folded.events, change)
      } catch (error) {
        // One listener's mistake must not keep the news from the others.
        onError(error, 'listener')
      }
    }
  }

  return {
    get current() {
      return current
    },
    apply: (change) => {
      waiting.push(change)
      if (applying) return
      applying = true
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) step(next)
      applying = false
    },
    subscribe: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
