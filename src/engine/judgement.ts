import { BECAUSE_MAX, type Because, type Decision, type Outcome } from '../model/decision.ts'
import type { Reason } from '../model/reason.ts'
import type { Block, Notes } from './block.ts'
import { drainFor, HARD, HARD_BY_DOCUMENTS, hardBecause } from './eligibility.ts'
import type { Choice } from './precedence.ts'
import type { TargetProgram } from './programs.ts'
import type { Scene } from './scene.ts'

const NO_BECAUSE: readonly Because[] = []
const NO_NAMES: readonly string[] = []
const NO_LADDER: readonly (readonly string[])[] = []

/** A candidate that only a timer keeps back, or that nobody has fresh numbers of. */
export interface Spare {
  readonly index: number
  readonly tier: number
  readonly block: Block
}

/** What one judgement gathers on its way, and how it becomes a decision. */
export class Judgement {
  readonly scene: Scene
  readonly id: string
  readonly choice: Choice
  because: Because[] | undefined
  counts: Record<string, number> | undefined
  readonly notes: Notes = { stale: [], insufficient: [], waivedBy: null }
  /** Held back by timers alone, in ladder order. */
  held: Spare[] | undefined
  /** Without fresh required signals, in ladder order. */
  stale: Spare[] | undefined
  /** Down on our own evidence alone, every other hard constraint passed, in ladder order. */
  unheard: number[] | undefined
  /** The mildest action that a band asked for. */
  band: Block['action']
  /** Candidates whose readiness alone keeps the class out. */
  unready = 0
  /** Did any candidate have fresh signals? */
  sawFresh = false
  /** Did any candidate pass the hard constraints? */
  sawEligible = false
  forecast: Decision['forecast']
  suggest: number | undefined
  session: Decision['session'] = 'none'
  override: string | null = null
  next: readonly string[] = NO_NAMES

  constructor(scene: Scene, id: string, choice: Choice) {
    this.scene = scene
    this.id = id
    this.choice = choice
    const policy = scene.policy
    if (policy !== undefined && policy.doc.session === 'sticky' && scene.facts.sessionKey !== undefined) {
      const verdict = scene.facts.session.verdict
      this.session = verdict === 'none' ? 'new' : verdict === 'valid' ? 'moved' : verdict
    }
    if (policy !== undefined) this.next = policy.nextAfter[0]!
  }

  /** Notes a hard constraint that kept a target away. */
  hard(target: TargetProgram, model: string | undefined, code: number): void {
    if (HARD[code] === 'drain') this.override ??= drainFor(this.scene, target)?.id ?? null
    if ((this.because?.length ?? 0) < BECAUSE_MAX) this.add(hardBecause(this.scene, target, model, code))
    else this.count(hardBecause(this.scene, target, model, code).constraint)
  }

  /** Notes a reason; the first eight in full, all of them by count. */
  add(because: Because): void {
    this.because ??= []
    if (this.because.length < BECAUSE_MAX) this.because.push(because)
    this.count(because.constraint)
  }

  private count(constraint: string): void {
    this.counts ??= {}
    this.counts[constraint] = (this.counts[constraint] ?? 0) + 1
  }

  /** The decision that an outcome makes, with all that was gathered. */
  decision(reason: Reason, outcome: Outcome): Decision {
    const { policy, data, facts, now } = this.scene
    // What could never serve is no news in a first choice; a neighbour in the same tier that is kept out today is.
    const because =
      this.because === undefined
        ? NO_BECAUSE
        : reason === 'first-choice'
          ? this.because.filter(isOfToday)
          : this.because
    // Assigned one by one: spreading the outcome into a literal costs a third of the whole decision.
    const decision = {
      id: this.id,
      at: now,
      action: outcome.action,
      class: facts.class,
      reason,
      because,
      ladder: policy?.ladderNames ?? NO_LADDER,
      next: this.next,
      policy: policy?.ref ?? null,
      policyHash: policy?.doc.hash ?? null,
      revision: data.revision,
      layers: this.choice.layers,
      override: this.override ?? this.notes.waivedBy,
      arm: this.choice.arm,
      session: this.session,
      stale: this.notes.stale.length === 0 ? NO_NAMES : unique(this.notes.stale),
      insufficient: this.notes.insufficient.length === 0 ? NO_NAMES : unique(this.notes.insufficient),
    } as Draft<Decision>
    if (this.choice.rollout !== undefined && this.choice.arm !== null) decision.rollout = this.choice.rollout
    if (this.choice.forced) decision.forced = true
    if (this.forecast !== undefined) decision.forecast = this.forecast
    if (this.suggest !== undefined) decision.suggest = { gpus: this.suggest }
    if (because.length > 0 && this.counts !== undefined) decision.becauseCounts = this.counts
    const from = this.session === 'moved' ? facts.session.target : undefined
    if (from !== undefined && 'target' in outcome && outcome.target !== undefined) {
      // By lowest risk, in panic or as one that returns, the same target may be what is left.
      if (outcome.target === from) decision.session = 'kept'
      else decision.movedFrom = from
    }
    if (outcome.action === 'route' && decision.action === 'route') {
      if (outcome.target === undefined) return decision as Decision
      decision.target = outcome.target
      decision.cluster = outcome.cluster
      return decision as Decision
    }
    return Object.assign(decision, outcome) as Decision
  }
}

type Draft<T> = T extends unknown ? { -readonly [K in keyof T]: T[K] } : never

const BY_DOCUMENTS: ReadonlySet<string> = new Set(HARD.slice(0, HARD_BY_DOCUMENTS))

const isOfToday = (because: Because): boolean => !BY_DOCUMENTS.has(because.constraint)

const unique = (names: readonly string[]): readonly string[] => (names.length < 2 ? names : [...new Set(names)])
