import type { Metrics } from '../metrics.ts'
import type { Decision } from '../model/decision.ts'
import type { Facts } from '../model/facts.ts'
import type { Measurements, MeasurementsAsked } from '../model/measurements.ts'
import type { EpochMs, TargetName } from '../model/names.ts'
import type { AccessEntry, Decided, Outcome, ReportedOutcome } from '../model/outcome.ts'
import type { Sample } from '../model/sample.ts'
import { ArmRing } from './arm-ring.ts'
import { type BurnNeeds, BurnRates } from './burn.ts'
import { BusinessOutcomes, type Refused, type Reported } from './business.ts'
import { Cells } from './cells.ts'
import { DecidedRing } from './decided-ring.ts'
import { Joiner, type Known } from './join.ts'
import { OTHER_NAME } from './labels.ts'
import { type PassiveNeeds, PassiveWindow } from './passive.ts'
import { measurementsOf } from './query.ts'
import type { MeasureState } from './state-file.ts'
import { isServed, ttftOf } from './verdict.ts'

/** What measuring is made of. */
export interface MeasureParts {
  readonly now: EpochMs
  readonly metrics: Metrics
  /** Decisions that are kept until their requests have ended. */
  readonly pending: number
  readonly cellsMax: number
  readonly bytesMax: number
  readonly known: Known
  readonly gpuOf: (target: TargetName) => string | undefined
  readonly passive: PassiveNeeds
  readonly burn: BurnNeeds
  /** Hears of every outcome, and of everything that is reported. */
  readonly arms: {
    readonly ended: (outcome: Outcome) => void
    readonly reported: (reported: ReportedOutcome, decided: Decided | undefined) => void
  }
}

/** How often samples are told: signals of the last minute are stale after three times as long. */
export const TOLD_EVERY_MS = 5_000
/** Places of a table that are added up between two requests: well under a millisecond. */
const SLOTS_AT_ONCE = 32_768
/** So many requests sent within so long, and none of them ended: the log is silent, and nothing is known. */
const SILENT_DECISIONS = 100
const SILENT_MS = 60_000

/**
 * What came of requests. Decisions go into a ring, entries of the access log are joined to them, and each outcome is
 * counted where somebody looks: cells for people, windows of a minute for gates, burn rates, arms of rollouts.
 */
export class Measure {
  readonly #ring: DecidedRing
  readonly #arms: ArmRing
  readonly #joiner: Joiner
  readonly #cells: Cells
  readonly #passive: PassiveWindow
  readonly #burn: BurnRates
  readonly #business: BusinessOutcomes
  readonly #parts: MeasureParts
  #toldAt = 0
  /** Requests sent since the last entry, and when the first of them was. */
  #sent = 0
  #sentSince = 0
  /** When the last entry came; null: none yet. */
  heardAt: EpochMs | null = null

  constructor(parts: MeasureParts) {
    this.#parts = parts
    this.#ring = new DecidedRing(parts.pending)
    this.#arms = new ArmRing(parts.pending * 4)
    this.#joiner = new Joiner(this.#ring, parts.known)
    this.#cells = new Cells(parts, parts.known.signalAt, parts.now)
    this.#passive = new PassiveWindow(parts.passive)
    this.#burn = new BurnRates(parts.burn)
    this.#business = new BusinessOutcomes(this.#arms)
    const { metrics } = parts
    metrics.read('hubward_measured_folded_total', () => [[[], this.#cells.store.folded]])
    metrics.read('hubward_measured_bytes', () => [[[], this.#cells.store.size.bytes]])
    metrics.read('hubward_decisions_unjoined_total', () => [[[], this.#ring.overwritten]])
    metrics.read('hubward_slo_burn_ratio', () =>
      this.#burn.readings(Math.max(parts.now, this.#toldAt)).map(({ class: name, site, signal, value }) => {
        return [[name, site, signal], value] as const
      }),
    )
  }

  /** To be called for every decision that stands; `isLogged`: the end of its request will be told by the access log. */
  decided(facts: Facts, decision: Decision, heldMs: number | undefined, isLogged: boolean): void {
    this.#ring.add(decision, facts, heldMs)
    if (decision.arm !== null) this.#arms.add(decision)
    if (!isLogged || (decision.action !== 'route' && decision.action !== 'degrade')) return
    if (this.#sent++ === 0) this.#sentSince = decision.at
  }

  /** Whether a decision is still kept. */
  isKnown(id: string): boolean {
    return this.#ring.find(id) >= 0
  }

  /** Requests that have ended, as Envoy's access log has them. */
  accessLog(entries: readonly AccessEntry[], now: EpochMs): void {
    const { metrics, arms, known } = this.#parts
    if (entries.length === 0) return
    this.heardAt = now
    this.#sent = 0
    for (const entry of entries) {
      const { outcome, joined } = this.#joiner.join(entry, now)
      metrics.add('hubward_access_log_entries_total', 1, joined)
      if (joined === 'again') continue
      const { target, verdict } = outcome
      // A class that no document has can be anything that a client wrote.
      const className = outcome.class === '' || known.isClass(outcome.class) ? outcome.class : OTHER_NAME
      metrics.add('hubward_outcomes_total', 1, className, target ?? '', verdict)
      this.#passive.add(outcome, now)
      if (outcome.decided === null) continue
      if (isServed(verdict, entry)) {
        metrics.observeMs('hubward_ttft_seconds', ttftOf(entry), className)
        metrics.observeMs('hubward_response_seconds', entry.durationMs, className)
      }
      this.#cells.add(outcome, now)
      this.#burn.add(outcome, now)
      arms.ended(outcome)
    }
  }

  /** What has to be told by now, to be called once a second. */
  pass(now: EpochMs): readonly Sample[] {
    this.#cells.store.roll(now)
    if (this.heardAt === null || (this.#sent >= SILENT_DECISIONS && now - this.#sentSince > SILENT_MS)) return []
    // A clock that was set back is not waited for.
    if (now >= this.#toldAt && now - this.#toldAt < TOLD_EVERY_MS) return []
    this.#toldAt = now
    return [...this.#passive.samples(now), ...this.#burn.samples(now)]
  }

  /** Goes on adding up what has ended, a part at a time; to be called ten times a second. */
  work(): void {
    if (!this.#cells.store.isIdle) this.#cells.store.work(SLOTS_AT_ONCE)
  }

  /** Answers a question. */
  ask(asked: MeasurementsAsked, now: EpochMs): Promise<Measurements> {
    return measurementsOf(this.#cells, asked, this.#parts.gpuOf, now)
  }

  /** Takes in what a business reports, all of it or nothing: what became of each, or the name that there is no room for. */
  report(all: readonly ReportedOutcome[]): readonly Reported[] | Refused {
    const refused = this.#business.refusalOf(all.map(({ name }) => name))
    if (refused !== undefined) return refused
    return all.map((reported) => {
      const decided = 'decision' in reported ? this.#decidedOf(reported.decision) : undefined
      const result = this.#business.report(reported, decided)
      if (result === 'counted' || result === 'replaced') this.#parts.arms.reported(reported, decided)
      this.#parts.metrics.add('hubward_reported_outcomes_total', 1, result)
      return result
    })
  }

  /** What was reported, by rollout, arm and name. */
  reports(): ReturnType<BusinessOutcomes['sums']> {
    return this.#business.sums()
  }

  state(): MeasureState {
    return { burn: this.#burn.state(), business: this.#business.state() }
  }

  /** Takes in what was kept; before the first outcome. */
  restore({ burn, business }: MeasureState): void {
    this.#burn.restore(burn)
    this.#business.restore(business)
  }

  #decidedOf(id: string): Decided | undefined {
    const place = this.#ring.find(id)
    return place >= 0 ? this.#ring.at(place) : this.#arms.find(id)
  }
}
