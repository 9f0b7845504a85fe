import { type Policy, policyRef, type Timers, type WorkloadClass } from '../model/documents.ts'
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

/** Works out what holds for each class at each site, once for each combination of documents. */
export class ReadinessCompiler {
  readonly #docs: readonly ReadinessDocument[]
  readonly #gate: Gate
  readonly #programs = new Map<string, ReadinessProgram>()
  readonly #checks = new Map<string, readonly AdmissionCheck[]>()

  constructor(docs: readonly ReadinessDocument[], gate: Gate) {
    this.#docs = [READINESS_DEFAULT, ...docs.toSorted((a, b) => particularity(a) - particularity(b))]
    this.#gate = gate
  }

  /** The program of a class at a site; without a class what holds for all of them. */
  of(site: string, className?: string, workload?: WorkloadClass): ReadinessProgram {
    const docs = this.#docs.filter((doc) => applies(doc, site, className))
    const key = `${docs.map((doc) => this.#docs.indexOf(doc)).join()}|${className ?? '*'}`
    let program = this.#programs.get(key)
    if (program === undefined) {
      program = this.#compile(docs, className, workload)
      this.#programs.set(key, program)
    }
    return program
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
   * The limits that keep a policy's requests out of a site softly, damped by the policy's timers: amber where the class
   * is not let in, red likewise outside of safety, and both where the policy wants it greener than that.
   */
  checks(site: string, policy: Policy, workload: WorkloadClass | undefined): readonly AdmissionCheck[] {
    const docs = this.#docs.filter((doc) => applies(doc, site, policy.class))
    const key = `${docs.map((doc) => this.#docs.indexOf(doc)).join()}|${policyRef(policy)}`
    const known = this.#checks.get(key)
    if (known !== undefined) return known
    const program = this.of(site, policy.class, workload)
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
    this.#checks.set(key, checks)
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
