import type { Decision } from '../model/decision.ts'
import type { Event } from '../model/event.ts'
import type { EpochMs } from '../model/names.ts'

/** Gathers sessions that changed their target, so that a site that is drained makes one event a second and not thousands. */
export interface SessionMoves {
  /** Hears of each decision that moved a session. */
  readonly moved: (decision: Decision) => void
  /** Tells what has moved since the last time: an event for each class and pair of targets. */
  readonly tell: (now: EpochMs) => void
}

/** The most pairs that are told apart at once; what comes after is told as one. */
const PAIRS_MAX = 200
/** What stands for the targets of such a rest. */
const OTHERS = 'others'

/** An empty gathering; `told` hears of the events. */
export function createSessionMoves(told: (event: Event) => void): SessionMoves {
  let pairs = new Map<string, { class: string; from: string; to: string; count: number }>()
  return {
    moved: (decision) => {
      const { movedFrom } = decision
      if (movedFrom === undefined || !('target' in decision) || decision.target === undefined) return
      const known = `${decision.class}|${movedFrom}|${decision.target}`
      const isFull = pairs.size >= PAIRS_MAX && !pairs.has(known)
      const key = isFull ? OTHERS : known
      const pair = pairs.get(key)
      if (pair !== undefined) pair.count++
      else if (isFull) pairs.set(key, { class: OTHERS, from: OTHERS, to: OTHERS, count: 1 })
      else pairs.set(key, { class: decision.class, from: movedFrom, to: decision.target, count: 1 })
    },
    tell: (now) => {
      if (pairs.size === 0) return
      const all = pairs
      pairs = new Map()
      for (const pair of all.values()) told({ kind: 'session-moved', at: now, ...pair })
    },
  }
}
