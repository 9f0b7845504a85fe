import type { Journal } from '../../journal/journal.ts'
import type { Log } from '../../log.ts'
import type { Metrics } from '../../metrics.ts'
import type { Decision } from '../../model/decision.ts'
import type { Facts } from '../../model/facts.ts'
import type { AccessEntry } from '../../model/outcome.ts'
import { type Asking, SENT } from '../judge.ts'
import type { LiveTally } from '../tally.ts'
import { readBatch } from './decided-batch.ts'
import type { FrameName } from './frames.ts'
import { addCounted } from './handed-metrics.ts'
import type { Told, TurnedAway } from './messages.ts'

/** Who hears of what other processes have decided: the same that hear of decisions made here. */
export interface Takers {
  readonly measured: (facts: Facts, decision: Decision, asking: Asking) => void
  readonly turnedAway: (facts: Facts, decision: Decision, now: number) => void
  readonly moved: (decision: Decision) => void
  readonly onPanic: (className: string) => void
  readonly onStale: (className: string) => void
  readonly journal: Pick<Journal<never>, 'takeIn' | 'leaveOut'>
  readonly accessLog: (entries: readonly AccessEntry[]) => void
}

/** What deciders hand over, taken in. */
export interface Taking {
  /** Takes a frame in. Gives the number up to which a process's own dispatches are counted now, where it says one. */
  readonly took: (index: number, name: FrameName, payload: Buffer) => number | undefined
  /** What each process said last of itself, by its index. */
  readonly told: () => ReadonlyMap<number, Told>
  readonly end: (index: number) => void
}

/** How a request behind Envoy is asked about, whichever process is asked. */
const NOT_LOGGED: Asking = { ...SENT, reserve: 'never' }

/** Takes in what is handed over; `came` hears the ids of new decisions. */
export function createTaking(
  parts: Takers & { readonly tally: LiveTally; readonly metrics: Metrics; readonly log: Log },
  came: (ids: readonly string[]) => void,
): Taking {
  const { tally, metrics, journal, log } = parts
  const last = new Map<number, Told>()
  /** CPU of processes that are gone, by index: a counter must not go back. */
  const spent = new Map<number, number>()
  const decided = (index: number, payload: Buffer): number => {
    const { number, sent, decided: all } = readBatch(payload)
    for (const [target, count] of sent) tally.dispatch(target, count)
    for (const { facts, decision, heldMs, isLogged } of all) {
      const asking = isLogged ? SENT : NOT_LOGGED
      parts.measured(facts, decision, heldMs === undefined ? asking : { ...asking, heldMs })
      if (decision.movedFrom !== undefined) parts.moved(decision)
    }
    metrics.add('hubward_process_decisions_total', all.length, `${index}`)
    came(all.map(({ decision }) => decision.id))
    return number
  }
  const counts = (index: number, payload: Buffer): void => {
    const told = JSON.parse(payload.toString()) as Told
    last.set(index, { ...told, cpuSeconds: told.cpuSeconds + (spent.get(index) ?? 0) })
    addCounted(metrics, told.counted)
    for (const [count, labels] of told.leftOut)
      journal.leaveOut(count, labels[0] ?? '', labels[1] ?? '', labels[2] ?? '')
    const { records, ...dropped } = told.dropped
    journal.takeIn([], records)
    for (const [what, count] of Object.entries(dropped))
      if (count > 0) metrics.add('hubward_handover_dropped_total', count, what)
    for (const name of told.panicked) parts.onPanic(name)
    for (const name of told.stale) parts.onStale(name)
  }
  return {
    took: (index, name, payload) => {
      if (name === 'decided') return decided(index, payload)
      if (name === 'counts') counts(index, payload)
      else if (name === 'records') journal.takeIn(payload.toString().split('\n'), 0)
      else if (name === 'entries') parts.accessLog(JSON.parse(payload.toString()) as AccessEntry[])
      else if (name === 'turnedAway') {
        for (const { decision, needs, now } of JSON.parse(payload.toString()) as TurnedAway[])
          parts.turnedAway((needs === undefined ? {} : { needs }) as Facts, decision as Decision, now)
      } else log.warn({ process: index, frame: name }, 'a word that only the main process says')
      return undefined
    },
    told: () => last,
    end: (index) => {
      spent.set(index, last.get(index)?.cpuSeconds ?? spent.get(index) ?? 0)
      last.delete(index)
    },
  }
}
