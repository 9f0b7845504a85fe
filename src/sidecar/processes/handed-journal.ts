import { sampler } from '../../journal/sampling.ts'
import { Slots } from '../../metrics/slots.ts'
import type { Decision } from '../../model/decision.ts'
import type { DecisionRecord } from '../../model/record.ts'
import type { Made } from '../judge.ts'

/** What the journal of a decider is made of. */
export interface HandedJournalParts {
  readonly share: number
  /** This process's part of them. */
  readonly movedPerSecond: number
  readonly isJob: (className: string) => boolean
  readonly chance: (requestId: string) => number
  readonly record: (made: Made, sampledBy: DecisionRecord['sampledBy']) => DecisionRecord
  readonly classNames: () => ReadonlySet<string>
  readonly bug: (error: unknown) => void
}

/** What was left out, by class, action and reason. */
export type LeftOutCounts = readonly (readonly [count: number, labels: readonly string[]])[]

/** The journal of a process that writes none: records are built here, on the snapshot that the decision saw, and handed over. */
export interface HandedJournal {
  readonly wants: (decision: Decision, requestId: string) => DecisionRecord['sampledBy'] | undefined
  readonly keep: (made: Made, sampledBy: DecisionRecord['sampledBy']) => void
  /** How many wait to be built. */
  readonly waiting: () => number
  /** The next records as lines, as many as some two milliseconds give. */
  readonly take: () => readonly string[]
  readonly takeLeftOut: () => LeftOutCounts
  /** Records that found no room here since the last call. */
  readonly takeDropped: () => number
  /** Counts records that could not be handed over. */
  readonly drop: (count: number) => void
}

/** Decisions that wait for their record; what comes after is dropped and counted. */
const WAITING_MAX = 10_000
const SLICE_MS = 2

/** A journal without anything in it. */
export function createHandedJournal(parts: HandedJournalParts): HandedJournal {
  const { record, bug } = parts
  const known = (label: string) => (label === 'class' ? parts.classNames() : undefined)
  let leftOut = new Slots(['class', 'action', 'reason'], known, 5_000)
  let waiting: { readonly made: Made; readonly sampledBy: DecisionRecord['sampledBy'] }[] = []
  let dropped = 0
  return {
    wants: sampler({
      ...parts,
      leftOut: (decision) => leftOut.add(1, decision.class, decision.action, decision.reason),
    }),
    keep: (made, sampledBy) => {
      if (waiting.length < WAITING_MAX) waiting.push({ made, sampledBy })
      else dropped += 1
    },
    waiting: () => waiting.length,
    take: () => {
      const lines: string[] = []
      const deadline = performance.now() + SLICE_MS
      let done = 0
      while (done < waiting.length && (done === 0 || performance.now() < deadline)) {
        const { made, sampledBy } = waiting[done++]!
        try {
          lines.push(JSON.stringify(record(made, sampledBy)))
        } catch (error) {
          dropped += 1
          bug(error)
        }
      }
      waiting = done === waiting.length ? [] : waiting.slice(done)
      return lines
    },
    takeLeftOut: () => {
      const counts = leftOut.rows().map(({ value, labels }) => [value, labels] as const)
      if (counts.length > 0) leftOut = new Slots(['class', 'action', 'reason'], known, 5_000)
      return counts
    },
    takeDropped: () => {
      const count = dropped
      dropped = 0
      return count
    },
    drop: (count) => {
      dropped += count
    },
  }
}
