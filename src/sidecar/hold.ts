import { HoldOrder, type Waiting } from '../engine/hold-order.ts'
import type { Judged } from '../envoy/serving.ts'
import type { EpochMs } from '../model/names.ts'

/** How much may wait here at once, and how long. */
export interface HoldLimits {
  /** The longest that one request is held, whatever its policy says. */
  readonly msMax: number
  readonly countMax: number
  readonly bytesMax: number
}

/** How the wait of a request ended. */
export type HoldOutcome = 'released' | 'timed-out' | 'cancelled' | 'stopped' | 'failed'

/** One request that waits. */
export interface Held extends Waiting {
  readonly class: string
  readonly bytes: number
  readonly since: EpochMs
  readonly until: EpochMs
  /** Judges it again: the answer if there is room for it now, undefined while it has to go on waiting. */
  readonly again: () => Judged | undefined
  /** Its answer without any more waiting: what comes after the hold. */
  readonly last: () => Judged
  /** Gives the answer; undefined: none can be made, and Envoy's failure mode has its say. */
  readonly done: (judged: Judged | undefined) => void
}

/** What a waiting room is handed. */
export interface HoldEdges {
  readonly now: () => EpochMs
  /** Runs something later, once; the function it gives takes that back. */
  readonly timer: (ms: number, run: () => void) => () => void
  /** Runs something at the next turn of the event loop. */
  readonly soon: (run: () => void) => void
  readonly began: (held: Held) => void
  readonly ended: (held: Held, outcome: HoldOutcome, heldMs: number) => void
  readonly bug: (error: unknown) => void
}

/** How many waiting requests are judged again in one turn of the event loop: a third of a millisecond's worth. */
const JUDGED_PER_TURN = 128

/**
 * The waiting room of requests that their policy holds. Bounded by count, bytes and time; let go in fair order when the
 * snapshot changes and a target has room; nothing in it is lost: every request gets exactly one answer, or has left.
 */
export class HoldingRoom {
  readonly limits: HoldLimits
  readonly #edges: HoldEdges
  readonly #order = new HoldOrder<Held>()
  #bytes = 0
  #awake = false
  /** Something has changed since the round began. */
  #changed = false
  /** Who has been asked in this round. */
  readonly #asked = new Set<Held>()
  #stopped = false
  #cancelTimer: (() => void) | undefined
  #timerAt = Number.POSITIVE_INFINITY

  constructor(limits: HoldLimits, edges: HoldEdges) {
    this.limits = limits
    this.#edges = edges
  }

  get size(): number {
    return this.#order.size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Is there room for one more of this size? */
  hasRoom(bytes: number): boolean {
    const { countMax, bytesMax } = this.limits
    return !this.#stopped && this.#order.size < countMax && this.#bytes + bytes <= bytesMax
  }

  /** Takes a request in. The function it gives takes it out again, because its client has left. */
  add(held: Held): () => void {
    this.#order.add(held)
    this.#bytes += held.bytes
    this.#edges.began(held)
    this.#watch(held.until)
    return () => {
      if (this.#order.remove(held)) this.#leave(held, 'cancelled')
    }
  }

  /** Something has changed: those for whom there is room are let go, soon. Many calls are one. */
  wake(): void {
    if (this.#order.size === 0) return
    this.#changed = true
    this.#goOn()
  }

  #goOn(): void {
    if (this.#awake) return
    this.#awake = true
    this.#edges.soon(() => {
      this.#awake = false
      this.#letGo()
    })
  }

  /** Answers all that wait with what comes after their wait, and takes no more. */
  stop(): void {
    this.#stopped = true
    this.#cancelTimer?.()
    for (const held of this.#order.all()) this.#end(held, 'stopped')
  }

  /** One part of a round: everybody is asked once for each change, so many in a turn of the event loop. */
  #letGo(): void {
    if (this.#asked.size === 0) this.#changed = false
    let judged = 0
    let more = false
    const answers = new Map<Held, Judged>()
    const gone = this.#order.release((held) => {
      if (this.#asked.has(held)) return 'stay'
      if (judged === JUDGED_PER_TURN) {
        more = true
        return 'stop'
      }
      judged += 1
      this.#asked.add(held)
      try {
        const answer = held.again()
        if (answer === undefined) return 'stay'
        answers.set(held, answer)
      } catch (error) {
        this.#edges.bug(error)
      }
      // One that can't be judged any more must not wait for its end: it gets no answer, and Envoy does what its route says.
      return 'go'
    })
    for (const held of gone) {
      const answer = answers.get(held)
      this.#leave(held, answer === undefined ? 'failed' : 'released')
      this.#give(held, answer)
    }
    // The rest of a long line comes in the next turn, so that nobody waits for it, and nobody in it is forgotten.
    if (!more) this.#asked.clear()
    if (more || this.#changed) this.#goOn()
  }

  #watch(until: EpochMs): void {
    if (until >= this.#timerAt) return
    this.#cancelTimer?.()
    this.#timerAt = until
    this.#cancelTimer = this.#edges.timer(Math.max(0, until - this.#edges.now()), () => {
      this.#timerAt = Number.POSITIVE_INFINITY
      const now = this.#edges.now()
      let next = Number.POSITIVE_INFINITY
      for (const held of this.#order.all()) {
        if (held.until <= now) this.#end(held, 'timed-out')
        else next = Math.min(next, held.until)
      }
      if (Number.isFinite(next)) this.#watch(next)
    })
  }

  #end(held: Held, outcome: HoldOutcome): void {
    if (!this.#order.remove(held)) return
    this.#leave(held, outcome)
    let answer: Judged | undefined
    try {
      answer = held.last()
    } catch (error) {
      this.#edges.bug(error)
    }
    this.#give(held, answer)
  }

  #leave(held: Held, outcome: HoldOutcome): void {
    this.#bytes -= held.bytes
    this.#edges.ended(held, outcome, Math.max(0, this.#edges.now() - held.since))
  }

  #give(held: Held, answer: Judged | undefined): void {
    try {
      held.done(answer)
    } catch (error) {
      this.#edges.bug(error)
    }
  }
}
