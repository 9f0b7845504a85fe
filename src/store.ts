import type { Folded } from './engine/fold.ts'
import type { EngineSnapshot } from './engine/programs.ts'
import type { Change } from './model/change.ts'
import type { Event } from './model/event.ts'
import type { EpochMs } from './model/names.ts'
import type { Heartbeat, Sample } from './model/sample.ts'

/** Hears of every change after it has been made. */
export type Listener = (snapshot: EngineSnapshot, events: readonly Event[], change: Change) => void

/** The one variable of a running hubward. */
export interface Store {
  /** What decisions read now. A new object after each change; never altered. */
  readonly current: EngineSnapshot
  /** Makes a change. One that is asked for by a listener is made when all listeners have heard of the present one. */
  readonly apply: (change: Change) => void
  /** Puts samples and signs of life into the inbox, for `drain` to make one change of. */
  readonly offer: (samples: readonly Sample[], heartbeats: readonly Heartbeat[]) => void
  /** Makes the change that the inbox holds, if it holds any. */
  readonly drain: (at: EpochMs) => void
  /** Samples that did not fit into the inbox since the start. */
  readonly overflowed: () => number
  /** Calls the listener after each change, until the returned function is called. */
  readonly subscribe: (listener: Listener) => () => void
}

/** What a store is made of. */
export interface StoreOptions {
  readonly fold: (snapshot: EngineSnapshot, change: Change) => Folded
  readonly initial: EngineSnapshot
  /** Hears of mistakes of ours: the snapshot stays as it was, or the other listeners are still called. */
  readonly onError?: (error: unknown, where: 'fold' | 'listener') => void
  /** The most samples, and as many signs of life, that wait for a drain. */
  readonly inboxMax?: number
}

/** 1,000 sites with 20 signals, five times over: more can't come in the 50 ms between two drains. */
const INBOX_MAX = 100_000

/** A store that holds the initial snapshot. */
export function createStore({ fold, initial, onError = () => {}, inboxMax = INBOX_MAX }: StoreOptions): Store {
  let current = initial
  let samples: Sample[] = []
  let heartbeats: Heartbeat[] = []
  let lost = 0
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

  const apply = (change: Change): void => {
    waiting.push(change)
    if (applying) return
    applying = true
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) step(next)
    applying = false
  }

  return {
    get current() {
      return current
    },
    apply,
    offer: (more, beats) => {
      const room = Math.max(0, inboxMax - samples.length)
      const beatRoom = Math.max(0, inboxMax - heartbeats.length)
      lost += Math.max(0, more.length - room) + Math.max(0, beats.length - beatRoom)
      for (const sample of room < more.length ? more.slice(0, room) : more) samples.push(sample)
      for (const beat of beatRoom < beats.length ? beats.slice(0, beatRoom) : beats) heartbeats.push(beat)
    },
    drain: (at) => {
      if (samples.length + heartbeats.length === 0) return
      const change: Change = { kind: 'samples-arrived', at, samples, heartbeats }
      samples = []
      heartbeats = []
      apply(change)
    },
    overflowed: () => lost,
    subscribe: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
