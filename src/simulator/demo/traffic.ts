import { realClock, type SiteClock } from '../clock.ts'
import type { Chat, ChatSeen } from './client.ts'

/** Traffic under way. */
export interface Traffic {
  /** Begins nothing new, and resolves with everything once the last answer is in. */
  stop(): Promise<Harvest>
}

/** What traffic brought. */
export interface Harvest {
  /** The newest calls, in the order of their ends; `dropped` older ones are forgotten. */
  readonly seen: readonly ChatSeen[]
  readonly dropped: number
  /** Calls that an open loop did not make, because too many were under way. */
  readonly skipped: number
}

/** How many results are kept. */
const SEEN_MAX = 10_000

/** Keeps the newest results. */
const keeper = () => {
  const seen: ChatSeen[] = []
  let dropped = 0
  return {
    add: (one: ChatSeen) => {
      seen.push(one)
      // Cut in halves, so that a long run does not move the whole list for every call.
      if (seen.length > SEEN_MAX * 2) dropped += seen.splice(0, SEEN_MAX).length
    },
    harvest: (skipped: number): Harvest => ({
      seen: seen.slice(-SEEN_MAX),
      dropped: dropped + Math.max(0, seen.length - SEEN_MAX),
      skipped,
    }),
  }
}

/**
 * A closed loop: so many clients, each with its next call as soon as it has its answer, so that slow answers slow the
 * traffic. Ends by itself after `total` calls where given. `make` gets the number of the call.
 */
export const closedLoop = (
  clients: number,
  make: (index: number) => Chat,
  total = Infinity,
): Traffic & { readonly ended: Promise<Harvest> } => {
  const kept = keeper()
  let begun = 0
  let stopped = false
  const client = async () => {
    while (!stopped && begun < total) {
      begun += 1
      kept.add(await make(begun - 1).done)
    }
  }
  const ended = Promise.all(Array.from({ length: clients }, client)).then(() => kept.harvest(0))
  return {
    ended,
    stop: () => {
      stopped = true
      return ended
    },
  }
}

/**
 * An open loop: so many calls a second whatever becomes of them, as the world's users do. With `inFlightMax` under way
 * a call is skipped and counted, never put off.
 */
export const openLoop = (
  perSecond: number,
  inFlightMax: number,
  make: (index: number) => Chat,
  clock: SiteClock = realClock,
): Traffic => {
  const kept = keeper()
  const under = new Set<Promise<void>>()
  let due = clock.now()
  let index = 0
  let skipped = 0
  let cancel = () => {}
  const tick = () => {
    for (; due <= clock.now(); due += 1_000 / perSecond) {
      if (under.size >= inFlightMax) {
        skipped += 1
        continue
      }
      const one: Promise<void> = make(index++).done.then((seen) => {
        kept.add(seen)
        under.delete(one)
      })
      under.add(one)
    }
    cancel = clock.after(Math.max(0, due - clock.now()), tick)
  }
  tick()
  return {
    stop: async () => {
      cancel()
      await Promise.all(under)
      return kept.harvest(skipped)
    },
  }
}
