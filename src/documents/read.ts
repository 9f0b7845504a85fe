import type { DocumentSet } from '../model/documents.ts'
import type { Problem } from '../model/problem.ts'
import type { SourceStatus } from '../model/source.ts'
import { checkCohorts } from './check-cohorts.ts'
import { checkCondition } from './check-condition.ts'
import { checkFreshness, checkSignals } from './check-feeds.ts'
import { checkLadders } from './check-ladder.ts'
import { checkMinimum } from './check-minimum.ts'
import { checkOverlap } from './check-overlap.ts'
import { checkPolicies } from './check-policies.ts'
import { checkReadiness } from './check-readiness.ts'
import { checkRollouts } from './check-rollouts.ts'
import { checkResidencies, checkSites } from './check-sites.ts'
import { canonicalJson, contentHash, sha256 } from './hash.ts'
import { type Located, placeOf } from './place.ts'
import { type Envelope, identityOf, joinSets, READERS } from './read-kinds.ts'
import type { Kind } from './schema/kinds.ts'
import { kindOf, shapeProblems } from './shape.ts'
import { readText, type SourceFile } from './text.ts'
import { noiseProblems } from './thresholds.ts'
import { type ReadContext, type Report, reporter, type View } from './view.ts'

/** What came of reading a source's files. */
export interface ReadResult {
  /** Null if any problem is an error: a source's set is taken whole or not at all. */
  readonly set: DocumentSet | null
  /** All that was found, in the order of the files. */
  readonly problems: readonly Problem[]
  /** `sha256:…` over the set's normal form; over the files where there is no set. */
  readonly hash: string
  /** Names the content of the files: twelve hex digits. */
  readonly version: string
}

/**
 * The documents in these files, checked by themselves, against one another and against what other sources have in force.
 * Pure: the same files and context give the same result.
 */
export function readDocuments(files: readonly SourceFile[], context: ReadContext = {}): ReadResult {
  const sorted = files.toSorted((a, b) => (a.path < b.path ? -1 : 1))
  const reading = new Reading(context)
  for (const file of sorted) reading.add(file)
  const { set, problems } = reading.finish()
  const filesHash = sha256(canonicalJson(sorted.map(({ path, text }) => [path, text])))
  const isGood = problems.every(({ severity }) => severity !== 'error')
  const version = filesHash.slice('sha256:'.length, 'sha256:'.length + 12)
  return { set: isGood ? set : null, problems, hash: isGood ? contentHash(set) : filesHash, version }
}

/** What documents are held against one another for, in this order. */
const CHECKS: readonly ((view: View) => void)[] = [
  checkSites,
  checkResidencies,
  checkPolicies,
  checkOverlap,
  checkLadders,
  checkReadiness,
  checkCohorts,
  checkRollouts,
]

/** How many problems are told. */
const PROBLEMS_MAX = 1_000

class Reading {
  readonly #problems: Problem[] = []
  readonly #own: { -readonly [K in keyof DocumentSet]: DocumentSet[K][number][] } = {
    sites: [],
    residencies: [],
    classes: [],
    policies: [],
    factSources: [],
    readiness: [],
    cohorts: [],
    rollouts: [],
    tests: [],
  }
  readonly #reports = new Map<object, Report>()
  readonly #broken = new Set<string>()
  readonly #identities = new Map<string, Located>()
  readonly #context: ReadContext

  constructor(context: ReadContext) {
    this.#context = context
  }

  add(file: SourceFile): void {
    const { written, problems } = readText(file)
    this.#problems.push(...problems)
    for (const { located, value } of written) {
      const kind = kindOf(located, value)
      if (typeof kind !== 'string') this.#problems.push(kind)
      else this.#addDocument(located, kind, value)
    }
  }

  #addDocument(located: Located, kind: Kind, value: unknown): void {
    const wrong = shapeProblems(located, kind, value)
    this.#problems.push(...wrong)
    if (wrong.length > 0) {
      const name = (value as { metadata?: { name?: unknown } }).metadata?.name
      if (typeof name === 'string') this.#broken.add(`${kind}/${name}`)
      if (kind === 'Policy' || kind === 'Cohort') this.#checkWhenAnyway(located, kind, value)
      return
    }
    const envelope = value as Envelope
    const report = reporter(located, this.#problems)
    if (this.#isTwice(located, kind, envelope, report)) return
    const { list, read } = READERS[kind]
    const before = this.#problems.length
    const document = read(envelope, report)
    // A document with a wrong part is still looked at with the others: whatever else is wrong is told at once.
    if (this.#problems.slice(before).some(({ severity }) => severity === 'error')) {
      this.#broken.add(`${kind}/${envelope.metadata.name}`)
    }
    this.#reports.set(document, report)
    ;(this.#own[list] as object[]).push(document)
  }

  /** A condition can be checked whatever else is wrong with its document. */
  #checkWhenAnyway(located: Located, kind: 'Policy' | 'Cohort', value: unknown): void {
    const when = (value as { spec?: { when?: unknown } }).spec?.when
    if (typeof when !== 'string' || when.length > 4000) return
    checkCondition(when, kind === 'Policy' ? 'policy' : 'cohort', reporter(located, this.#problems))
  }

  #isTwice(located: Located, kind: Kind, envelope: Envelope, report: Report): boolean {
    const identity = identityOf(kind, envelope)
    const key = `${kind}/${identity}`
    const path = ['metadata', 'name']
    const first = this.#identities.get(key)
    if (first !== undefined) {
      const place = placeOf(first, path)
      const message = `there is a ${kind} "${identity}" already, at ${place.path}:${place.line}`
      report(path, { code: 'documents/duplicate-name', message, remedy: 'rename one of them' })
      return true
    }
    this.#identities.set(key, located)
    const { list } = READERS[kind]
    const elsewhere = (this.#context.otherSets ?? []).some((set) =>
      (set[list] ?? []).some((other) => identityOf(kind, other as unknown as Envelope) === identity),
    )
    if (elsewhere) {
      const message = `another source has a ${kind} "${identity}" in force`
      report(path, {
        code: 'documents/defined-elsewhere',
        message,
        remedy: 'rename one, or keep it in one source only',
      })
    }
    return false
  }

  finish(): { readonly set: DocumentSet; readonly problems: readonly Problem[] } {
    const own: DocumentSet = this.#own
    const all = joinSets([...(this.#context.otherSets ?? []), own])
    const about = (document: object): Report => this.#reports.get(document)!
    const view: View = { own, all, broken: this.#broken, context: this.#context, about }
    for (const check of CHECKS) check(view)
    this.#checkFeeds(view)
    return { set: own, problems: listed(this.#problems.toSorted(byPlace)) }
  }

  #checkFeeds(view: View): void {
    const { own, all, context, about } = view
    if (context.feeds === undefined) return
    const mine = { ...all, classes: own.classes, policies: own.policies }
    checkFreshness({ ...all, classes: own.classes }, context.feeds, about)
    checkSignals(mine, context.feeds, about)
    noiseProblems(own, declaredNoise(context.feeds), about)
    if (context.minimum === true) checkMinimum(view, context.feeds)
  }
}

/** The noise of each signal as feeds declare it, the widest of them. */
function declaredNoise(feeds: readonly SourceStatus[]): Record<string, number> {
  const noise: Record<string, number> = {}
  for (const feed of feeds)
    for (const [signal, wide] of Object.entries(feed.noise ?? {})) noise[signal] = Math.max(noise[signal] ?? 0, wide)
  return noise
}

/** The first thousand problems, and how many more there are: nobody reads on, and a status page has to hold them. */
function listed(problems: readonly Problem[]): readonly Problem[] {
  const more = problems.length - PROBLEMS_MAX
  if (more <= 0) return problems
  const message = `${more} more problems are not listed`
  const severity = problems.some((one) => one.severity === 'error') ? 'error' : 'warning'
  return [...problems.slice(0, PROBLEMS_MAX), { code: 'documents/more', severity, message }]
}

const byPlace = (a: Problem, b: Problem): number => {
  if (a.path !== b.path) return (a.path ?? '') < (b.path ?? '') ? -1 : 1
  return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0)
}
