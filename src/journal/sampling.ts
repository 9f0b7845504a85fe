import { type KnownValues, Slots } from '../metrics/slots.ts'
import type { Decision } from '../model/decision.ts'
import type { WorkloadClass } from '../model/documents.ts'
import type { EpochMs } from '../model/names.ts'
import type { Reason } from '../model/reason.ts'
import type { DecisionRecord } from '../model/record.ts'
import type { SampledOut } from './lines.ts'

/** Classes that are jobs by their name alone, where no document says what they bear. */
const JOB_CLASSES: ReadonlySet<string> = new Set([
  'training',
  'fine-tuning',
  'batch-inference',
  'preprocessing',
  'evaluation',
])

/** Whether every decision of a class is kept: a job is large, few, and somebody will ask why it ran where it did. */
export const isJobClass = (name: string, workload: WorkloadClass | undefined): boolean =>
  JOB_CLASSES.has(name) ||
  (workload !== undefined && (workload.flexibility !== 'inflexible' || workload.whenHubwardIsDown === 'refuse'))

/**
 * Reasons that are the usual course of things. A session that stays where it is, a decision taken over from another
 * hubward and a class that no policy covers yet move nothing, and each of them can be all of the traffic.
 */
const USUAL: ReadonlySet<Reason> = new Set(['first-choice', 'session', 'hop', 'no-policy'])

/** Why this decision is kept, or undefined: it is left to the share. */
function keptBy(decision: Decision, isJob: boolean): DecisionRecord['sampledBy'] | undefined {
  if (isJob) return 'job'
  return USUAL.has(decision.reason) ? undefined : 'not-first-choice'
}

/** Kinds of moved decisions that are told apart in a second; classes can be whatever requests say. */
const KINDS_MAX = 1_000

/**
 * How many decisions of one kind are kept in a second though they are not the usual course of things. While a site is
 * down all of its traffic is moved: written in full, at 5,000 requests a second it would fill the files with one reason
 * in minutes, push out what was written before, and cost more than all deciding. Refusals are always kept, because
 * their clients were told where to ask for the reason.
 */
class MovedLimit {
  readonly #perSecond: number
  #second = -1
  #seen = new Map<string, Map<Reason, number>>()
  #kinds = 0

  constructor(perSecond: number) {
    this.#perSecond = perSecond
  }

  /** Whether this decision is among the first of its class and reason in its second. */
  takes({ action, at, class: className, reason }: Decision): boolean {
    if (action !== 'route' && action !== 'degrade') return true
    const second = Math.floor(at / 1_000)
    if (second !== this.#second) {
      this.#second = second
      this.#seen = new Map()
      this.#kinds = 0
    }
    let reasons = this.#seen.get(className)
    const count = reasons?.get(reason)
    if (count === undefined && ++this.#kinds > KINDS_MAX) return false
    if (reasons === undefined) {
      reasons = new Map()
      this.#seen.set(className, reasons)
    }
    reasons.set(reason, (count ?? 0) + 1)
    return (count ?? 0) < this.#perSecond
  }
}

/** By what decisions are kept. */
export interface Sampling {
  /** The share, 0 to 1, of the decisions that nothing else keeps. */
  readonly share: number
  readonly movedPerSecond: number
  readonly isJob: (className: string) => boolean
  /** A number in [0, 1) that stands for a request's id. */
  readonly chance: (requestId: string) => number
  /** Hears of each that is not kept. */
  readonly leftOut: (decision: Decision) => void
}

/** Whether and why a decision is kept; one rule for every process that decides. */
export const sampler = ({ share, movedPerSecond, isJob, chance, leftOut }: Sampling) => {
  const moved = new MovedLimit(movedPerSecond)
  return (decision: Decision, requestId: string): DecisionRecord['sampledBy'] | undefined => {
    const by = keptBy(decision, isJob(decision.class))
    if (by === 'job' || (by === 'not-first-choice' && moved.takes(decision))) return by
    if (share > 0 && chance(requestId) < share) return 'share'
    leftOut(decision)
    return undefined
  }
}

/** Exact counts of the decisions that were left out. */
export class LeftOut {
  readonly #slots: Slots
  readonly #reported = new Map<object, number>()
  #from: EpochMs

  constructor(known: KnownValues, now: EpochMs) {
    this.#slots = new Slots(['class', 'action', 'reason'], known, 5_000)
    this.#from = now
  }

  add(decision: Decision): void {
    this.count(1, decision.class, decision.action, decision.reason)
  }

  count(count: number, className: string, action: string, reason: string): void {
    this.#slots.add(count, className, action, reason)
  }

  total(): number {
    return this.#slots.rows().reduce((sum, slot) => sum + slot.value, 0)
  }

  /** Tells `write` what was left out since it last took such a line; counts that it does not take are told again. */
  tell(now: EpochMs, write: (line: SampledOut) => boolean): void {
    const told = this.#slots.rows().map((slot) => [slot, slot.value - (this.#reported.get(slot) ?? 0)] as const)
    const counts = told
      .filter(([, count]) => count > 0)
      .map(([{ labels }, count]) => ({ class: labels[0]!, action: labels[1]!, reason: labels[2]!, count }))
    if (counts.length > 0 && !write({ kind: 'sampled-out', at: now, from: this.#from, counts })) return
    for (const [slot] of told) this.#reported.set(slot, slot.value)
    this.#from = now
  }
}
