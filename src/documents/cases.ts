import type { Change } from '../model/change.ts'
import type { Decision } from '../model/decision.ts'
import type { DocumentSet, PolicyCase } from '../model/documents.ts'
import type { Facts } from '../model/facts.ts'
import type { CompileFlag, FlagSet } from '../model/flag.ts'
import type { ClassName, EpochMs, TargetName } from '../model/names.ts'
import type { TargetReadiness } from '../model/readiness.ts'
import type { CompileCondition } from '../model/snapshot.ts'
import type { Tally } from '../model/tally.ts'
import { caseDocuments, checkPlaces } from './case-documents.ts'
import { caseFlags, type ReadFlags } from './case-flags.ts'
import { addGiven, type Given, type GivenReservation, NOTHING, NOTHING_GIVEN, type Place } from './case-given.ts'
import { caseOverrides, caseReservation } from './case-orders.ts'
import { caseSamples } from './case-samples.ts'
import { caseSeries } from './case-series.ts'
import { unmet } from './case-then.ts'
import { caseFacts } from './case-when.ts'
import { compileCondition } from './conditions.ts'
import { parseDuration } from './duration.ts'

/** The functions of the engine that cases are run with; this folder does not know it. */
export interface CaseEngine<Snapshot> {
  readonly emptySnapshot: (compile: CompileCondition, compileFlag?: CompileFlag) => Snapshot
  readonly fold: (snapshot: Snapshot, change: Change) => { readonly snapshot: Snapshot }
  readonly decide: (facts: Facts, snapshot: Snapshot, tally: Tally, now: EpochMs, id: string) => Decision
  /** How flags become programs, and how a flagd definition is read. Absent: cases can't give flags. */
  readonly compileFlag?: CompileFlag
  readonly readFlags?: ReadFlags
  /** The readiness of a target for a class; undefined for an unknown target. Absent: cases can't ask for it. */
  readonly readiness?: (
    snapshot: Snapshot,
    target: TargetName,
    className: ClassName,
    now: EpochMs,
  ) => TargetReadiness | undefined
}

/** What building the world of a case takes. */
type Builder<Snapshot> = Pick<CaseEngine<Snapshot>, 'emptySnapshot' | 'fold' | 'compileFlag' | 'readFlags'>

/** What came of one case. */
export interface CaseResult {
  /** The name of the PolicyTest. */
  readonly test: string
  readonly title: string
  readonly ok: boolean
  /** What was not as it should be, a sentence each. */
  readonly failures: readonly string[]
  /** The decisions that were made, one for each `when`. */
  readonly decisions: readonly Decision[]
}

/** Every case of the set's PolicyTests, run on its documents. `filter` picks cases by `test: title`. */
export function runCases<Snapshot>(
  set: DocumentSet,
  engine: CaseEngine<Snapshot>,
  filter: (name: string) => boolean = () => true,
): CaseResult[] {
  return set.tests.flatMap(({ metadata, cases }) =>
    cases
      .filter(({ title }) => filter(`${metadata.name}: ${title}`))
      .map((one) => ({ test: metadata.name, title: one.title, ...runCase(set, engine, one) })),
  )
}

/** One request of a case, and the world that it is asked in. */
export interface Question<Snapshot> {
  /** Whatever a decision is made of. */
  readonly facts: Facts
  readonly snapshot: Snapshot
  readonly tally: Tally
  readonly now: EpochMs
  readonly id: string
  /** What is expected of the decision, as it is written. */
  readonly then: Readonly<Record<string, unknown>>
  /** 0: the case's own `when`; else the number of the step. */
  readonly step: number
}

/** One case: its questions are asked in turn, and their answers held against what is expected. */
export function runCase<Snapshot>(
  set: DocumentSet,
  engine: CaseEngine<Snapshot>,
  written: PolicyCase,
): Pick<CaseResult, 'ok' | 'failures' | 'decisions'> {
  const failures: string[] = []
  const decisions: Decision[] = []
  for (const { facts, snapshot, tally, now, id, then, step } of questionsOf(set, engine, written, failures)) {
    const decision = engine.decide(facts, snapshot, tally, now, id)
    decisions.push(decision)
    const readinessOf =
      engine.readiness && ((target: TargetName) => engine.readiness?.(snapshot, target, facts.class, now))
    for (const failure of unmet(then, decision, readinessOf)) failures.push(placed(failure, step))
  }
  if (decisions.length === 0) failures.push('the case asks nothing: write when and then')
  return { ok: failures.length === 0, failures, decisions }
}

/**
 * The questions of a case: its world is built, and then each step is some time, a change to the world, a request and
 * what is expected. What can't be understood in the case goes to `failures`, a sentence each. Snapshots don't change, so
 * a question can be asked later and elsewhere too, over the wire for one.
 */
export function* questionsOf<Snapshot>(
  set: DocumentSet,
  engine: Builder<Snapshot>,
  written: PolicyCase,
  failures: string[],
): Generator<Question<Snapshot>> {
  const first = addGiven(NOTHING_GIVEN, written.given, (what) => failures.push(what))
  const documents = caseDocuments(set, first, written, (what) => failures.push(what))
  const run = new Run(engine, documents, first.now)
  // biome-ignore lint/suspicious/noThenProperty: the word of given, when, then
  const steps = [{ given: {}, when: written.when, then: written.then }, ...(written.steps ?? [])]
  let given = first
  let when: Readonly<Record<string, unknown>> = {}
  for (const [step, words] of steps.entries()) {
    const wrong = (what: string) => failures.push(placed(what, step))
    const after = 'after' in words ? words.after : undefined
    given = addGiven(given, words.given ?? {}, wrong)
    checkPlaces(documents, given, wrong)
    run.flag(given, wrong)
    when = { ...when, ...words.when }
    run.pass(withNear(documents, given, when), endsOf(when), parseDuration(after ?? '0s') ?? 0)
    const isAsked = Object.keys(words.when ?? {}).length > 0 || Object.keys(words.then ?? {}).length > 0
    if (!isAsked) continue
    // biome-ignore lint/suspicious/noThenProperty: the word of given, when, then
    yield { facts: caseFacts(when, documents, wrong), ...run.world(), id: `case-${step}`, then: words.then ?? {}, step }
  }
}

const placed = (what: string, step: number): string => (step === 0 ? what : `step ${step}: ${what}`)

/** `near: ams` is a round trip of 1 ms to ams and of 50 ms to the others, where the case gives none itself. */
function withNear(set: DocumentSet, given: Given, when: Readonly<Record<string, unknown>>): Given {
  if (typeof when.near !== 'string') return given
  const places = { ...given.places }
  for (const { metadata } of set.sites) {
    const rtt = metadata.name === when.near ? 1 : 50
    const before = places[metadata.name]
    const values = { 'network.rtt_ms': rtt, 'network.rtt_p95_ms': rtt, ...before?.values }
    places[metadata.name] = { ...NOTHING, ...before, values }
  }
  return { ...given, places }
}

/** Hours pass in larger steps, until the last five minutes: what dampers and silence look at lies in these. */
const tickOf = (ms: number, leftMs: number): number =>
  ms <= LONG_MS || leftMs <= LAST_MS
    ? Math.max(1, Math.min(1_000, Math.ceil(Math.min(ms, LONG_MS) / 240)))
    : Math.min(leftMs - LAST_MS, Math.ceil(ms / 240)) || 1
const LONG_MS = 600_000
const LAST_MS = 300_000

/** The ends of links that a request comes from. */
const endsOf = ({ region, asn }: Readonly<Record<string, unknown>>): string[] => [
  ...(region === undefined ? [] : [`region:${String(region)}`]),
  ...(asn === undefined ? [] : [`asn:${String(asn)}`]),
]

const SOURCE = { source: 'case', version: 'case', nonce: 'case' }

class Run<Snapshot> {
  readonly #engine: Builder<Snapshot>
  readonly #set: DocumentSet
  #snapshot: Snapshot
  #now: EpochMs
  readonly #beginning: EpochMs
  #places: Readonly<Record<string, Place>> | undefined
  #reservations: readonly GivenReservation[] = []
  #flags: unknown = null
  #flagSet: FlagSet | null = null
  #orders: { readonly given: Given['overrides']; readonly at: EpochMs } | undefined

  constructor(engine: Builder<Snapshot>, set: DocumentSet, now: EpochMs) {
    this.#engine = engine
    this.#set = set
    this.#now = now
    this.#beginning = now
    this.#snapshot = engine.emptySnapshot(compileCondition, engine.compileFlag)
    this.#apply({ kind: 'documents-accepted', at: now, ...SOURCE, hash: 'case', set, problems: [] })
  }

  #apply(change: Change): void {
    this.#snapshot = this.#engine.fold(this.#snapshot, change).snapshot
  }

  /** Lets time pass in a world like this: sites report several times a second, so that dampers see it all. */
  pass(given: Given, ends: readonly string[], ms: number): void {
    const end = this.#now + ms
    // An order's life begins when it is given, and not anew with each step.
    if (this.#orders?.given !== given.overrides) this.#orders = { given: given.overrides, at: this.#now }
    const orders = caseOverrides(given, this.#now, this.#orders.at)
    this.#apply({ kind: 'overrides-accepted', at: this.#now, ...SOURCE, set: orders })
    this.#apply({ kind: 'clusters-known', at: this.#now, clusters: given.clusters })
    this.#foresee(given)
    this.#reserve(given)
    for (;;) {
      const at = this.#now
      const { samples, heartbeats } = caseSamples(this.#set, given, ends, at, this.#flagSet)
      this.#apply({ kind: 'samples-arrived', at, samples, heartbeats })
      // A target that is down from the beginning takes more than one refusal to be believed dead.
      if (ms === 0)
        for (let more = 0; more < 2; more++) this.#apply({ kind: 'samples-arrived', at, samples: [], heartbeats })
      this.#apply({ kind: 'time-passed', at })
      if (at >= end) return
      this.#now = Math.min(end, at + tickOf(ms, end - at))
    }
  }

  /** What is known ahead of time is told once, and again when the case says something new. */
  #foresee({ places }: Given): void {
    if (places === this.#places) return
    this.#places = places
    const series = Object.entries(places).flatMap(([name, { series: written }]) => {
      const [site, pool] = name.split('/') as [string, string?]
      return caseSeries({ site, ...(pool === undefined ? {} : { pool }) }, written, this.#beginning)
    })
    if (series.length > 0) this.#apply({ kind: 'samples-arrived', at: this.#now, samples: [], heartbeats: [], series })
  }

  /** Puts a case's flags in force, once, and again when it gives others; what is wrong with them is told. */
  flag({ flags }: Given, wrong: (what: string) => void): void {
    if (flags === this.#flags) return
    this.#flags = flags
    const set = caseFlags(flags, this.#engine.readFlags, wrong)
    if (set === null) return
    this.#flagSet = set
    this.#apply({ kind: 'flags-accepted', at: this.#now, ...SOURCE, set, problems: [], ttlMs: 0, whenStale: 'keep' })
  }

  #reserve({ reservations }: Given): void {
    if (reservations === this.#reservations) return
    const at = this.#now
    for (const index of this.#reservations.keys())
      this.#apply({ kind: 'reservation-ended', at, id: `given-${index}`, cause: 'the case says so' })
    for (const [index, one] of reservations.entries())
      this.#apply({ kind: 'reservation-made', at, reservation: caseReservation(one, index, at) })
    this.#reservations = reservations
  }

  /** What a decision made now is made of, beside its facts. */
  world(): { readonly snapshot: Snapshot; readonly tally: Tally; readonly now: EpochMs } {
    return { snapshot: this.#snapshot, tally: { dispatched: {}, held: {}, sidecars: 1 }, now: this.#now }
  }
}
