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
  /** These decisions are known by now: gives on what waits for them. */
  readonly decided: (ids: readonly string[]) => void
  /** Time has passed: gives on those that wait no longer. */
  readonly look: (now: EpochMs) => void
}

/**
 * Holds entries back whose decision is not known here. They may have come before it; those that name none of ours go on
 * after a second as what they are.
 */
export function createEarlyEntries(
  isKnown: (decision: string) => boolean,
  give: (entries: readonly AccessEntry[]) => void,
): EarlyEntries {
  /** By decision: a retry of Envoy's makes no second entry, but whoever writes entries may write what it likes. */
  const waiting = new Map<string, { readonly entries: AccessEntry[]; readonly until: EpochMs }>()
  let count = 0
  const end = (id: string, ready: AccessEntry[]): void => {
    const one = waiting.get(id)
    if (one === undefined) return
    waiting.delete(id)
    count -= one.entries.length
    ready.push(...one.entries)
  }
  const giveAll = (ready: readonly AccessEntry[]): void => {
    if (ready.length > 0) give(ready)
  }
  return {
    take: (entries, now) => {
      const ready: AccessEntry[] = []
      for (const entry of entries) {
        const id = entry.decision
        if (count >= WAITING_MAX || id === '' || isKnown(id)) {
          ready.push(entry)
          continue
        }
        count += 1
        const one = waiting.get(id)
        if (one === undefined) waiting.set(id, { entries: [entry], until: now + WAIT_MS })
        else one.entries.push(entry)
      }
      giveAll(ready)
    },
    decided: (ids) => {
      if (count === 0) return
      const ready: AccessEntry[] = []
      for (const id of ids) end(id, ready)
      giveAll(ready)
    },
    look: (now) => {
      const ready: AccessEntry[] = []
      for (const [id, { until }] of waiting) {
        // A clock that was set back must not keep them.
        if (until <= now || until > now + WAIT_MS) end(id, ready)
      }
      giveAll(ready)
    },
  }
}
