import type { EpochMs } from '../../model/names.ts'
import type { AccessEntry } from '../../model/outcome.ts'

/** How long an entry waits for its decision: longer than a busy process takes to hand one over. */
const WAIT_MS = 1_000
/** Entries that wait at once; what comes after goes on as it is. */
const WAITING_MAX = 16_384

/** Entries of the access log whose decision may still be on its way from the process that made it. */
export interface EarlyEntries {
  /** Takes entries in; gives on at once those that have nothing to wait for. */
  readonly take: (entries: readonly AccessEntry[], now: EpochMs) => void
  /** Decisions have come, or time has passed: gives on those that wait no longer. */
  readonly look: (now: EpochMs) => void
  readonly waiting: () => number
}

/**
 * Holds entries back that came before their decision. Which those are is told by the ids: of a decision that is not
 * known here and was made just now.
 */
export function createEarlyEntries(
  isKnown: (decision: string) => boolean,
  give: (entries: readonly AccessEntry[]) => void,
): EarlyEntries {
  let waiting: { readonly entry: AccessEntry; readonly until: EpochMs }[] = []
  return {
    waiting: () => waiting.length,
    take: (entries, now) => {
      const ready: AccessEntry[] = []
      for (const entry of entries) {
        if (waiting.length >= WAITING_MAX || entry.decision === '' || isKnown(entry.decision)) ready.push(entry)
        else waiting.push({ entry, until: now + WAIT_MS })
      }
      if (ready.length > 0) give(ready)
    },
    look: (now) => {
      if (waiting.length === 0) return
      const ready: AccessEntry[] = []
      const still: typeof waiting = []
      for (const one of waiting) {
        // A clock that was set back must not keep them.
        if (isKnown(one.entry.decision) || one.until <= now || one.until > now + WAIT_MS) ready.push(one.entry)
        else still.push(one)
      }
      waiting = still
      if (ready.length > 0) give(ready)
    },
  }
}
