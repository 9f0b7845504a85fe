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
export function keptBy(decision: Decision, isJob: boolean): DecisionRecord['sampledBy'] | undefined {
  if (isJob) return 'job'
  return USUAL.has(decision.reason) ? undefined : 'not-first-choice'
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
