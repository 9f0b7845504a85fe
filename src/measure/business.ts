import type { Decided, ReportedOutcome } from '../model/outcome.ts'
import { type ArmRing, NAMES_MAX } from './arm-ring.ts'

/** Numbers that were reported: how many, their sum and the sum of their squares. */
export interface ReportedSums {
  readonly n: number
  readonly sum: number
  readonly sumOfSquares: number
}

/** Sums by place, `rollout`, `arm`, `name` and for reports of a day `day`, as they are kept on disk. */
export interface BusinessState {
  readonly names: readonly string[]
  readonly decisions: readonly (readonly [place: readonly string[], sums: ReportedSums])[]
  readonly days: readonly (readonly [place: readonly string[], sums: ReportedSums])[]
}

/** Why a reported outcome can't be used. */
export interface Refused {
  readonly name: string
  readonly message: string
  readonly remedy: string
}

/** What became of a report. `again`: this outcome of this decision had been counted. `no-arm`: its request was of no rollout. */
export type Reported = 'counted' | 'replaced' | 'again' | 'no-arm' | 'unknown'

/** Rollouts by arm and name that are told apart, and days of them. A day has at most some hundred. */
const PLACES_MAX = 8_192
const DAYS_MAX = 65_536

/**
 * What came of requests as a business sees it: sums by rollout, arm and name. Each outcome of a decision counts once,
 * however often it is sent; what is reported of a whole day replaces what was reported of it before.
 */
export class BusinessOutcomes {
  readonly #arms: ArmRing
  readonly #names: string[] = []
  #decisions = new Map<string, ReportedSums>()
  #days = new Map<string, ReportedSums>()

  constructor(arms: ArmRing) {
    this.#arms = arms
  }

  /** The first name for which there is no room beside those in use and those before it. */
  refusalOf(names: Iterable<string>): Refused | undefined {
    const known = new Set(this.#names)
    for (const name of names) {
      known.add(name)
      if (known.size <= NAMES_MAX) continue
      const message = `${NAMES_MAX} names are in use, and "${name.slice(0, 64)}" is none of them`
      return { name, message, remedy: `write one of ${this.#names.slice(0, 8).join(', ')}, …` }
    }
    return undefined
  }

  /** Counts a report. Its name must not be refused. */
  report(reported: ReportedOutcome, decided: Decided | undefined): Reported {
    const { name } = reported
    const number = this.#numberOf(name)
    if (!('decision' in reported)) {
      const key = [reported.rollout, reported.arm, name, reported.day].join('\n')
      const isKnown = this.#days.has(key)
      // Put behind all others, so that the oldest reports go first.
      this.#days.delete(key)
      const { count, sum, sumOfSquares = (sum * sum) / Math.max(1, count) } = reported
      this.#days.set(key, { n: count, sum, sumOfSquares })
      if (this.#days.size > DAYS_MAX) this.#days.delete(this.#days.keys().next().value!)
      return isKnown ? 'replaced' : 'counted'
    }
    if (decided === undefined) return 'unknown'
    if (decided.arm === null || decided.rollout === null || decided.forced) return 'no-arm'
    if (!this.#arms.report(reported.decision, number)) return 'again'
    const key = [decided.rollout, decided.arm, name].join('\n')
    const { n, sum, sumOfSquares } = this.#decisions.get(key) ?? NOTHING
    const { value } = reported
    if (!this.#decisions.has(key) && this.#decisions.size >= PLACES_MAX)
      this.#decisions.delete(this.#decisions.keys().next().value!)
    this.#decisions.set(key, { n: n + 1, sum: sum + value, sumOfSquares: sumOfSquares + value * value })
    return 'counted'
  }

  /** All sums, reports of days included. */
  sums(): { rollout: string; arm: string; name: string; n: number; sum: number; sumOfSquares: number }[] {
    const all = new Map(this.#decisions)
    for (const [place, of] of this.#days) {
      const key = place.slice(0, place.lastIndexOf('\n'))
      const before = all.get(key) ?? NOTHING
      all.set(key, {
        n: before.n + of.n,
        sum: before.sum + of.sum,
        sumOfSquares: before.sumOfSquares + of.sumOfSquares,
      })
    }
    return [...all].map(([key, sums]) => {
      const [rollout = '', arm = '', name = ''] = key.split('\n')
      return { rollout, arm, name, ...sums }
    })
  }

  state(): BusinessState {
    const rows = (map: ReadonlyMap<string, ReportedSums>) =>
      [...map].map(([key, sums]) => [key.split('\n'), sums] as const)
    return { names: this.#names, decisions: rows(this.#decisions), days: rows(this.#days) }
  }

  restore({ names, decisions, days }: BusinessState): void {
    this.#names.splice(0, this.#names.length, ...names.slice(0, NAMES_MAX))
    const map = (rows: BusinessState['days']) => new Map(rows.map(([place, sums]) => [place.join('\n'), sums]))
    this.#decisions = map(decisions)
    this.#days = map(days)
  }

  #numberOf(name: string): number {
    const known = this.#names.indexOf(name)
    if (known >= 0) return known
    this.#names.push(name)
    return this.#names.length - 1
  }
}

const NOTHING: ReportedSums = { n: 0, sum: 0, sumOfSquares: 0 }
