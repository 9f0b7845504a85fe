import type { Policy, Timers, WorkloadClass } from '../model/documents.ts'
import { type Admits, READINESS_DEFAULT, type ReadinessDocument, SAFETY_DIMENSIONS } from '../model/readiness.ts'
import { DIMENSIONS, type Dimension } from '../model/signal-row.ts'
import type { Threshold } from '../model/threshold.ts'
import type { GateRef } from './gates.ts'

/** One signal of a dimension as it counts for one class at some sites. */
export interface ReadinessRule {
  readonly dimension: Dimension
  readonly signal: string
  readonly amber: GateRef | undefined
  readonly red: GateRef | undefined
  readonly estimated: boolean
  /** The document that says so. */
  readonly by: string
}

/** A limit that keeps a class out softly: the target is amber, or red in a dimension that is not one of safety. */
export interface AdmissionCheck {
  readonly dimension: Dimension
  readonly state: 'amber' | 'red'
  readonly gate: GateRef
}

/** What the readiness documents say of one class at the sites that they say the same of. */
export interface ReadinessProgram {
  readonly rules: readonly ReadinessRule[]
  /** Safety signals whose red does not keep the class out. */
  readonly redAdmitted: ReadonlySet<string>
  /** Safety signals for which this class has a red limit of its own; the site's does not count for it. */
  readonly ownRed: ReadonlyMap<string, GateRef>
  /** Dimensions in which unknown keeps the class out, with their signals. */
  readonly unknownOut: readonly { readonly dimension: Dimension; readonly signals: readonly string[] }[]
  /** The red limits on errors: what is past one of them answers fast and serves nobody. */
  readonly failing: readonly GateRef[]
  readonly gameDayMaxMs: number
}

/** Readiness is shown as the two limits alone say; the timers of policies damp what follows from it. */
export const NO_TIMERS: Timers = { stableForMs: 0, dwellMs: 0, failBackMs: 0, cooldownMs: 0 }

type Gate = (signal: string, threshold: Threshold, timers: Timers, quiet?: boolean) => GateRef

/** How particular a document is: for one class at one site before a site, before a class, before all. */
const particularity = (doc: ReadinessDocument): number =>
  (doc.sites === undefined ? 0 : 2) + (doc.classes === undefined ? 0 : 1)

const applies = (doc: ReadinessDocument, site: string, className: string | undefined): boolean =>
  (doc.sites === undefined || doc.sites.includes(site)) &&
  (doc.classes === undefined || (className !== undefined && doc.classes.includes(className)))

/** Does this let the class in? */
const lets = (admits: Admits, className: string | undefined, workload: WorkloadClass | undefined): boolean =>
  admits === 'all' ||
  admits.flexibility.includes(workload?.flexibility ?? 'inflexible') ||
  (admits.critical && workload?.critical === true) ||
  (className !== undefined && admits.classes.includes(className))

/** What the most particular document that speaks of it says of a dimension's state; nobody: all may come. */
const admitsOf = (
  docs: readonly ReadinessDocument[],
  dimension: Dimension,
  state: 'amber' | 'red' | 'unknown',
): Admits => docs.findLast((doc) => doc.admits[dimension]?.[state] !== undefined)?.admits[dimension]?.[state] ?? 'all'

/** The documents that speak of one class at some sites, and what they come to. */
interface Common {
  readonly docs: readonly ReadinessDocument[]
  readonly program: ReadinessProgram
}

/**
 * Works out what holds for each class at each site, once for each combination of documents: with 1,000 sites and 200
 * policies that is all of the time that documents take to be accepted, and requests wait for it.
 */
export class ReadinessCompiler {
  readonly #docs: readonly ReadinessDocument[]
  /** By target, its site. */
  readonly #sites: readonly string[]
  readonly #gate: Gate
  readonly #commons = new Map<string | undefined, readonly Common[]>()
  readonly #programs = new Map<string | undefined, readonly ReadinessProgram[]>()

  constructor(docs: readonly ReadinessDocument[], sites: readonly string[], gate: Gate) {
    this.#docs = [READINESS_DEFAULT, ...docs.toSorted((a, b) => particularity(a) - particularity(b))]
    this.#sites = sites
    this.#gate = gate
  }

  /** By target, the program of a class; without a class what holds for all of them. One list for all policies of a class. */
  of(className?: string, workload?: WorkloadClass): readonly ReadinessProgram[] {
    let programs = this.#programs.get(className)
    if (programs === undefined) {
      programs = this.#commonsOf(className, workload).map(({ program }) => program)
      this.#programs.set(className, programs)
    }
    return programs
  }

  #commonsOf(className: string | undefined, workload: WorkloadClass | undefined): readonly Common[] {
    const known = this.#commons.get(className)
    if (known !== undefined) return known
    const bySite = new Map<string, Common>()
    const byDocs = new Map<string, Common>()
    const commons = this.#sites.map((site) => {
      const before = bySite.get(site)
      if (before !== undefined) return before
      const docs = this.#docs.filter((doc) => applies(doc, site, className))
      const key = docs.map((doc) => this.#docs.indexOf(doc)).join()
      const common = byDocs.get(key) ?? { docs, program: this.#compile(docs, className, workload) }
      byDocs.set(key, common)
      bySite.set(site, common)
      return common
    })
    this.#commons.set(className, commons)
    return commons
  }

  #compile(
    docs: readonly ReadinessDocument[],
    className: string | undefined,
    workload: WorkloadClass | undefined,
  ): ReadinessProgram {
    const rules: ReadinessRule[] = []
    const redAdmitted = new Set<string>()
    const ownRed = new Map<string, GateRef>()
    const unknownOut: { dimension: Dimension; signals: string[] }[] = []
    for (const dimension of DIMENSIONS) {
      const admitsIn = (state: 'amber' | 'red' | 'unknown'): boolean =>
        lets(admitsOf(docs, dimension, state), className, workload)
      const signals = new Set(docs.flatMap((doc) => (doc.limits[dimension] ?? []).map((one) => one.signal)))
      for (const signal of signals) {
        const doc = docs.findLast((one) => one.limits[dimension]?.some((limit) => limit.signal === signal))!
        const limit = doc.limits[dimension]!.find((one) => one.signal === signal)!
        const red = limit.red === undefined ? undefined : this.#gate(signal, limit.red, NO_TIMERS, true)
        rules.push({
          dimension,
          signal,
          amber: limit.amber === undefined ? undefined : this.#gate(signal, limit.amber, NO_TIMERS, true),
          red,
          estimated: limit.estimated,
          by: doc.metadata.name,
        })
        if (!SAFETY_DIMENSIONS.includes(dimension)) continue
        if (admitsIn('red')) redAdmitted.add(signal)
        else if (doc.classes !== undefined && limit.red !== undefined)
          // Traffic moves by it, so its changes are told.
          ownRed.set(signal, this.#gate(signal, limit.red, NO_TIMERS))
      }
      if (signals.size > 0 && !admitsIn('unknown')) unknownOut.push({ dimension, signals: [...signals] })
    }
    const gameDayMaxMs = docs.findLast((doc) => doc.gameDayMaxMs !== undefined)?.gameDayMaxMs ?? 0
    const failing = rules.flatMap(({ dimension, red }) => (dimension === 'errors' && red !== undefined ? [red] : []))
    return { rules, redAdmitted, ownRed, unknownOut, failing, gameDayMaxMs }
  }

  /**
   * By target, the limits that keep a policy's requests out of it softly, damped by the policy's timers: amber where the
   * class is not let in, red likewise outside of safety, and both where the policy wants it greener than that.
   */
  checks(policy: Policy, workload: WorkloadClass | undefined): readonly (readonly AdmissionCheck[])[] {
    const commons = this.#commonsOf(policy.class, workload)
    const known = new Map<Common, readonly AdmissionCheck[]>()
    // Where no document names sites, which is usual, one answer is that of all.
    if (commons.length > 0 && !this.#docs.some((doc) => doc.sites !== undefined))
      return new Array<readonly AdmissionCheck[]>(commons.length).fill(this.#checksOf(commons[0]!, policy, workload))
    return commons.map((common) => {
      let checks = known.get(common)
      if (checks === undefined) {
        checks = this.#checksOf(common, policy, workload)
        known.set(common, checks)
      }
      return checks
    })
  }

  #checksOf({ docs, program }: Common, policy: Policy, workload: WorkloadClass | undefined): AdmissionCheck[] {
    const wanted = policy.require.readiness
    const checks: AdmissionCheck[] = []
    for (const { dimension, signal, amber, red } of program.rules) {
      const admitsIn = (state: 'amber' | 'red'): boolean =>
        lets(admitsOf(docs, dimension, state), policy.class, workload)
      const isSafety = SAFETY_DIMENSIONS.includes(dimension)
      if (red !== undefined && (wanted !== undefined || (!isSafety && !admitsIn('red'))))
        checks.push({ dimension, state: 'red', gate: this.#gate(signal, red.threshold, policy.timers) })
      if (amber !== undefined && (wanted === 'green' || !admitsIn('amber')))
        checks.push({ dimension, state: 'amber', gate: this.#gate(signal, amber.threshold, policy.timers) })
    }
    return checks
  }
}

/** The red limits of safety at a site, for all classes alike. */
export const redLimitsOf = (program: ReadinessProgram): ReadonlyMap<string, Threshold> =>
  new Map(
    program.rules.flatMap(({ dimension, signal, red }) =>
      red !== undefined && SAFETY_DIMENSIONS.includes(dimension) ? [[signal, red.threshold] as const] : [],
    ),
  )
