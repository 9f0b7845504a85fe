import type { Decision } from '../model/decision.ts'
import { type AdminFlags, askAdmin, Unreachable } from './admin-client.ts'

/** How one question of a gate ended. */
export type Asked =
  | { readonly decision: Decision }
  /** The question can't be answered as it is: the problems with the facts. */
  | { readonly wrong: readonly string[] }
  /** Nobody answers, or not yet; again in so many milliseconds. */
  | { readonly unreachable: string; readonly retryAfterMs: number }

/** How soon a hubward that does not answer is asked again. */
const RETRY_MS = 2_000
/** How often a held question is asked again. */
const HELD_MS = 2_000

/** Asks for one decision. */
export async function askDecision(flags: AdminFlags, question: object): Promise<Asked> {
  try {
    const { status, json } = await askAdmin(flags, '/v1/decide', question)
    if (status === 200) return { decision: json as Decision }
    const { title = '', detail = '', problems = [] } = (json ?? {}) as Told
    if (status === 400)
      return {
        wrong: problems.length > 0 ? problems.map((one) => `${one.pointer} ${one.message}; ${one.remedy}`) : [detail],
      }
    return { unreachable: `${status} ${title}: ${detail}`, retryAfterMs: RETRY_MS }
  } catch (error) {
    if (error instanceof Unreachable) return { unreachable: error.message, retryAfterMs: RETRY_MS }
    throw error
  }
}

interface Told {
  readonly title?: string
  readonly detail?: string
  readonly problems?: readonly { readonly pointer: string; readonly message: string; readonly remedy: string }[]
}

/**
 * Asks until there is an answer that waiting does not change, or the time is over, or it would be before the time that
 * the answer names. A wait is up to a tenth longer than was said, so that many who wait do not come back as one.
 */
export async function askPatiently(
  flags: AdminFlags,
  question: (hold: 'offered' | 'ended' | undefined) => object,
  waitMs: number,
  waiting: (asked: Asked, ms: number) => void,
): Promise<{ readonly asked: Asked; readonly waitedMs: number }> {
  const begun = performance.now()
  let heldSince: number | undefined
  let hold: 'offered' | 'ended' | undefined = waitMs > 0 ? 'offered' : undefined
  for (;;) {
    const asked = await askDecision(flags, question(hold))
    const waitedMs = performance.now() - begun
    if ('wrong' in asked) return { asked, waitedMs }
    let ms: number | undefined
    if ('unreachable' in asked) ms = asked.retryAfterMs
    else if (asked.decision.action === 'queue') {
      heldSince ??= performance.now()
      const leftMs = asked.decision.holdMsMax - (performance.now() - heldSince)
      if (leftMs <= 0) hold = 'ended'
      ms = Math.max(1, Math.min(HELD_MS, leftMs))
    } else if (asked.decision.action === 'delay') ms = asked.decision.retryAfterMs
    if (ms === undefined || waitedMs + ms > waitMs) return { asked, waitedMs }
    const jittered = Math.min(ms * (1 + Math.random() / 10), waitMs - waitedMs)
    waiting(asked, jittered)
    await new Promise((resolve) => setTimeout(resolve, jittered))
  }
}
