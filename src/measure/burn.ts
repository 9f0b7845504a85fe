import type { Slo } from '../model/documents.ts'
import { type ClassName, type EpochMs, type SiteName, siteOf } from '../model/names.ts'
import type { Outcome } from '../model/outcome.ts'
import type { Sample } from '../model/sample.ts'
import { signalFor } from '../model/signal.ts'
import { CountRing } from './count-ring.ts'
import { PASSIVE_SOURCE } from './passive.ts'
import { isServed, ttftOf } from './verdict.ts'

const MINUTE = 60_000
const HOUR = 3_600_000

/**
 * Pairs of windows, both of which have to burn too fast: the long one for significance, the short one so that it ends
 * with the trouble. From the SRE workbook, chapter 5, with `limit` for a budget of 30 days: 14.4 uses two percent of it in
 * an hour.
 */
export const BURN_WINDOWS = [
  { signal: 'slo.burn_1h_ratio', longMs: HOUR, shortMs: 5 * MINUTE, limit: 14.4 },
  { signal: 'slo.burn_6h_ratio', longMs: 6 * HOUR, shortMs: 30 * MINUTE, limit: 6 },
  { signal: 'slo.burn_1d_ratio', longMs: 24 * HOUR, shortMs: 2 * HOUR, limit: 3 },
  { signal: 'slo.burn_3d_ratio', longMs: 72 * HOUR, shortMs: 6 * HOUR, limit: 1 },
] as const

/** The signal of the share that the first choice serves in time. */
export const LOCALITY_SIGNAL = 'slo.locality_ratio'

/** Everything that it can tell, of each class. */
export const BURN_SIGNALS: readonly string[] = [...BURN_WINDOWS.map(({ signal }) => signal), LOCALITY_SIGNAL]

/** Pairs of class and site that are counted; beyond it new ones are not, which is told. */
const PAIRS_MAX = 2_048
const [GOOD, BAD, NEAR, FAR] = [0, 1, 2, 3] as const

interface Pair {
  readonly class: ClassName
  readonly site: SiteName
  /** Six minutes, two hours in fives of minutes, three days in hours. */
  readonly minutes: CountRing
  readonly fives: CountRing
  readonly hours: CountRing
}

/** Counts of all pairs as they are kept on disk. */
export interface BurnState {
  readonly pairs: readonly {
    readonly class: ClassName
    readonly site: SiteName
    readonly fives: readonly (readonly number[])[]
    readonly hours: readonly (readonly number[])[]
  }[]
}

/** A burn rate as it is shown. */
export interface BurnReading {
  readonly class: ClassName
  readonly site: SiteName
  readonly signal: string
  readonly value: number
  /** Events in the short window. */
  readonly count: number
}

/** What is asked of documents. */
export interface BurnNeeds {
  readonly sloOf: (className: ClassName) => Slo | undefined
  /** Classes that promise something, and the sites there are. */
  readonly classes: () => readonly ClassName[]
  readonly sites: () => readonly SiteName[]
  /** Does some policy look at this signal of a class? */
  readonly isAsked: (signal: string) => boolean
}

/**
 * How fast each class spends its error budget at each site. A burn rate of 1 uses up exactly the budget in its window; a
 * request is bad if it failed, or came later than promised. Worked example: with 99.5 % promised, 7.2 % of bad requests
 * burn 14.4 times too fast.
 */
export class BurnRates {
  readonly #needs: BurnNeeds
  readonly #pairs = new Map<string, Pair>()
  /** Outcomes of pairs that there was no room for. */
  left = 0

  constructor(needs: BurnNeeds) {
    this.#needs = needs
  }

  /** Counts one outcome, now. */
  add(outcome: Outcome, now: EpochMs): void {
    const { class: className, target, verdict, entry, withinSlo, decided } = outcome
    const slo = this.#needs.sloOf(className)
    if (slo === undefined) return
    const isBad = verdict === 'error' || verdict === 'timeout' || withinSlo === false
    if (target !== null && (isBad || withinSlo === true))
      this.#count(className, siteOf(target), isBad ? BAD : GOOD, now)
    const first = decided?.firstChoice
    if (slo.locality === undefined || first == null || verdict === 'left' || verdict === 'refused') return
    const site = siteOf(first)
    const isNear =
      target !== null && siteOf(target) === site && isServed(verdict, entry) && ttftOf(entry) <= slo.locality.budgetMs
    this.#count(className, site, isNear ? NEAR : FAR, now)
  }

  /** Every burn rate and locality that is known. */
  readings(now: EpochMs): BurnReading[] {
    return [...this.#pairs.values()].flatMap((pair) => this.#readingsOf(pair, now))
  }

  /** The same as samples; of those that policies look at, also where nothing has been counted: too few, which is no fault. */
  samples(now: EpochMs): Sample[] {
    const readings = this.readings(now)
    const told = new Set(readings.map(({ class: name, site, signal }) => `${signal}@${name} ${site}`))
    const untold = this.#needs.classes().flatMap((name) =>
      BURN_SIGNALS.filter((signal) => this.#needs.isAsked(signalFor(signal, name))).flatMap((signal) =>
        this.#needs
          .sites()
          .filter((site) => !told.has(`${signal}@${name} ${site}`))
          .map((site): BurnReading => ({ class: name, site, signal, value: 0, count: 0 })),
      ),
    )
    return [...readings, ...untold].map(({ class: name, site, signal, value, count }) => ({
      ...{ signal: signalFor(signal, name), site, value, count },
      ...{ at: now, source: PASSIVE_SOURCE },
    }))
  }

  /** What survives a restart. */
  state(): BurnState {
    const pairs = [...this.#pairs.values()].map(({ class: name, site, fives, hours }) => {
      return { class: name, site, fives: fives.entries(), hours: hours.entries() }
    })
    return { pairs }
  }

  /** Puts back what was kept. */
  restore({ pairs }: BurnState): void {
    for (const { class: name, site, fives, hours } of pairs) {
      const pair = this.#pair(name, site)
      pair?.fives.restore(fives)
      pair?.hours.restore(hours)
    }
  }

  #readingsOf(pair: Pair, now: EpochMs): BurnReading[] {
    const slo = this.#needs.sloOf(pair.class)
    if (slo === undefined) return []
    const budget = Math.max(1e-6, 1 - slo.objectivePct / 100)
    const counted = (windowMs: number): { bad: number; all: number } => {
      const ring = windowMs <= 5 * MINUTE ? pair.minutes : windowMs <= 2 * HOUR ? pair.fives : pair.hours
      const bad = ring.sum(now, windowMs, BAD)
      return { bad, all: bad + ring.sum(now, windowMs, GOOD) }
    }
    const rate = ({ bad, all }: { bad: number; all: number }): number => (all === 0 ? 0 : bad / all / budget)
    const about = { class: pair.class, site: pair.site }
    const readings: BurnReading[] = BURN_WINDOWS.map(({ signal, longMs, shortMs }) => {
      const [long, short] = [counted(longMs), counted(shortMs)]
      return { ...about, signal, value: rounded(Math.min(rate(long), rate(short))), count: short.all }
    })
    if (slo.locality === undefined) return readings
    const [near, far] = [NEAR, FAR].map((number) => pair.fives.sum(now, HOUR, number)) as [number, number]
    const value = near + far === 0 ? 1 : rounded(near / (near + far))
    return [...readings, { ...about, signal: LOCALITY_SIGNAL, value, count: near + far }]
  }

  #count(className: ClassName, site: SiteName, number: number, now: EpochMs): void {
    const pair = this.#pair(className, site)
    if (pair === undefined) {
      this.left += 1
      return
    }
    pair.minutes.add(now, number, 1)
    pair.fives.add(now, number, 1)
    pair.hours.add(now, number, 1)
  }

  #pair(className: ClassName, site: SiteName): Pair | undefined {
    const key = `${className}\n${site}`
    let pair = this.#pairs.get(key)
    if (pair === undefined && this.#pairs.size < PAIRS_MAX) {
      pair = {
        class: className,
        site,
        minutes: new CountRing(6, MINUTE, 4),
        fives: new CountRing(25, 5 * MINUTE, 4),
        hours: new CountRing(73, HOUR, 4),
      }
      this.#pairs.set(key, pair)
    }
    return pair
  }
}

const rounded = (value: number): number => Math.round(value * 10_000) / 10_000
