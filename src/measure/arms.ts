import { murmur3 } from '../math/murmur3.ts'
import type { EpochMs, RolloutName } from '../model/names.ts'
import type { Decided, Outcome, ReportedOutcome } from '../model/outcome.ts'
import {
  type ArmsReading,
  type CriterionReading,
  isEnded,
  JOB_SUCCESS,
  type Rollout,
  type RolloutState,
} from '../model/rollout.ts'
import { Book, type BookMemory } from './arms-book.ts'
import { readCriteria } from './arms-criteria.ts'

/** A rollout whose arms are measured: its document and where it stands. */
export interface Followed {
  readonly rollout: Rollout
  readonly state: RolloutState
}

/** Takes in what came of requests, by rollout and arm. Testers' requests and those without an arm change nothing. */
export interface Arms {
  /** One request has ended. */
  readonly ended: (outcome: Outcome) => void
  /** The business has reported an outcome; `decided` is what is known of its decision, where it names one. */
  readonly reported: (reported: ReportedOutcome, decided: Decided | undefined) => void
  /** The rollouts as they stand, after every change of one: what is measured is kept for those that have not ended. */
  readonly follow: (followed: readonly Followed[]) => void
  /** What was measured since the last reading, of every rollout of which something was. */
  readonly read: (now: EpochMs) => readonly ArmsReading[]
  readonly save: () => Readonly<Record<RolloutName, BookMemory>>
  /** Takes in what was saved; before the first `follow`. */
  readonly restore: (memory: Readonly<Record<RolloutName, BookMemory>>) => void
}

/** Bounds are worked out anew once so much more was measured, or so long after: they take a millisecond or so each time. */
const GROWN = 1.02
const CRITERIA_EVERY_MS = 5_000

interface Line extends Followed {
  readonly book: Book
  criteria: readonly CriterionReading[]
  criteriaUnits: number
  criteriaAt: EpochMs
  /** Something was reported that no unit was counted with. */
  isReported: boolean
}

/** Arms of which nothing has been measured. */
export function createArms(): Arms {
  let lines = new Map<RolloutName, Line>()
  let memory: Readonly<Record<RolloutName, BookMemory>> = {}
  return {
    ended: (outcome) => {
      const { decided } = outcome
      if (decided === null || decided.forced) return
      for (const { rollout, book } of lines.values()) {
        // What was decided under other shares is of neither of the arms that are compared now.
        if (rollout.class !== decided.class || decided.at < book.exposedAt) continue
        book.passed()
        if (decided.arm !== null && decided.rollout === rollout.metadata.name) book.ended(decided.arm, outcome)
      }
    },
    reported: (reported, decided) => {
      if ('decision' in reported) {
        if (decided === undefined || decided.forced || decided.arm === null || decided.rollout === null) return
        const line = lines.get(decided.rollout)
        if (line === undefined) return
        const { name, decision, value } = reported
        const mark = murmur3(`${name} ${decision}`)
        const job = name === JOB_SUCCESS ? murmur3(decision) : undefined
        line.book.reported(decided.arm, name, value, mark, job, decided.at >= line.book.exposedAt)
        line.isReported = true
        return
      }
      const line = lines.get(reported.rollout)
      if (line === undefined) return
      const { arm, name, day, count, sum, sumOfSquares } = reported
      // Without squares it can be a count of those for whom it was so; of other numbers nobody knows the spread.
      const isShare = sumOfSquares === undefined && Number.isInteger(sum) && sum >= 0 && sum <= count
      const sums = { n: count, sum, squares: isShare ? sum : (sumOfSquares ?? null), isShare }
      line.book.reportedDay(arm, name, day, sums)
      line.isReported = true
    },
    follow: (followed) => {
      const next = new Map<RolloutName, Line>()
      for (const one of followed) {
        const { rollout, state } = one
        if (isEnded(state.status)) continue
        const exposedAt = state.exposedAt ?? state.stageSince
        const exposure = `${state.stage} ${state.shareBp} ${exposedAt}`
        const known = lines.get(state.name)
        // The same document begins anew where its flag gives another treatment.
        const begin = `${state.hash} ${state.startedAt}`
        if (known?.book.hash === begin) {
          known.book.expose(exposure, exposedAt)
          next.set(state.name, Object.assign(known, one))
          continue
        }
        const book = new Book(begin, exposure, exposedAt, rollout.unit === 'job')
        const before = memory[state.name]
        if (before !== undefined) book.restore(before)
        next.set(state.name, { ...one, book, criteria: [], criteriaUnits: -1, criteriaAt: 0, isReported: false })
      }
      lines = next
    },
    read: (now) =>
      [...lines.values()].flatMap((line): ArmsReading[] => {
        const { rollout, state, book } = line
        const { counts, assigned, classUnits, took } = book.take()
        const units = book.units.control + book.units.treatment
        const isNew = counts.control.units + counts.treatment.units + classUnits > 0 || line.isReported
        const isDue =
          units < line.criteriaUnits ||
          units > line.criteriaUnits * GROWN ||
          ((units !== line.criteriaUnits || line.isReported) && now - line.criteriaAt >= CRITERIA_EVERY_MS)
        if (isDue) {
          line.criteria = readCriteria(rollout, book)
          line.criteriaUnits = units
          line.criteriaAt = now
          line.isReported = false
        }
        if (!isNew && !isDue) return []
        const artifacts = { control: book.artifacts('control'), treatment: book.artifacts('treatment') }
        return [{ rollout: state.name, counts, assigned, classUnits, took, criteria: line.criteria, artifacts }]
      }),
    save: () => Object.fromEntries([...lines].map(([name, { book }]) => [name, book.save()])),
    restore: (saved) => {
      memory = saved
    },
  }
}
