import type { ActionSpec } from '../model/action.ts'
import type { Because } from '../model/decision.ts'
import { coversTarget } from './orders.ts'
import type { TargetProgram } from './programs.ts'
import type { Scene } from './scene.ts'

/**
 * Step 6: why a target that may serve should not do so now. `held`: only a timer keeps it back, so it is better than a
 * refusal; `stale`: nobody knows; `limit`: a threshold; `band`: a band asks for another action; `need`: the job's own;
 * `readiness`: the class is not let in while the target is amber; `near`: what it needs near is out of reach; `room`: the
 * room that is left is kept for others.
 */
export interface Block {
  readonly kind: 'held' | 'stale' | 'limit' | 'band' | 'need' | 'readiness' | 'near' | 'room'
  readonly because: Because
  readonly action?: ActionSpec
}

/** What fitness notes beside its verdict. */
export interface Notes {
  readonly stale: string[]
  readonly insufficient: string[]
  /** The override that waived a threshold. */
  waivedBy: string | null
}

/** Does an `admit` override waive this threshold here? It is noted that it did. */
export const isWaived = (scene: Scene, target: TargetProgram, signal: string, notes: Notes): boolean => {
  for (const order of scene.admits) {
    if (!isOf(signal, order.constraint) || !coversTarget(order.scope, target)) continue
    notes.waivedBy = order.id
    return true
  }
  return false
}

/** Is this the signal that the constraint names, or one class's own of it? */
const isOf = (signal: string, constraint: string | undefined): boolean =>
  signal === constraint || (signal.includes('@') && signal.slice(0, signal.indexOf('@')) === constraint)
