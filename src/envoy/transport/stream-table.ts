import { ERROR } from './codes.ts'
import type { FloodGuard } from './flood-guard.ts'
import { FLOOD_COSTS, type Limits } from './limits.ts'
import type { Memory } from './memory.ts'
import type { Outbox } from './outbox.ts'
import type { Outflow } from './outflow.ts'
import { STATUS } from './status.ts'
import { Stream, type StreamHost } from './stream.ts'

/** Streams that we reset: what was on its way to them is not held against the peer. */
const RESETS_REMEMBERED = 1_024
/** The longest that a timer of Node's can be set. */
const TIMER_MS_MAX = 0x7fffffff

/** What the streams of a connection share. */
export interface StreamShared {
  readonly outbox: Outbox
  readonly outflow: Outflow
  readonly memory: Memory
  readonly limits: Limits
  readonly flood: FloodGuard
  readonly now: () => number
  readonly soon: () => void
}

/** The streams of one connection that are open, and what is remembered of those that are not. */
export class StreamTable implements StreamHost {
  readonly outbox: Outbox
  readonly outflow: Outflow
  readonly memory: Memory
  readonly limits: Limits
  readonly soon: () => void
  readonly #flood: FloodGuard
  readonly #now: () => number
  readonly #streams = new Map<number, Stream>()
  readonly #resets = new Set<number>()
  /** Streams that were answered and whose client has not ended its request. */
  readonly #lingering = new Map<Stream, number>()
  /** Streams of which nothing has left, by when that was noticed. */
  readonly #stalled = new Map<Stream, number>()
  #timer: NodeJS.Timeout | undefined
  #timerAt = Number.POSITIVE_INFINITY

  constructor({ outbox, outflow, memory, limits, flood, now, soon }: StreamShared) {
    this.outbox = outbox
    this.outflow = outflow
    this.memory = memory
    this.limits = limits
    this.soon = soon
    this.#flood = flood
    this.#now = now
  }

  get size(): number {
    return this.#streams.size
  }

  get(id: number): Stream | undefined {
    return this.#streams.get(id)
  }

  all(): Iterable<Stream> {
    return this.#streams.values()
  }

  wasReset(id: number): boolean {
    return this.#resets.has(id)
  }

  /** Opens a stream; a timeout in ms that is not infinite ends it in time. */
  open(id: number, timeoutMs: number): Stream {
    const stream = new Stream(id, this)
    this.#streams.set(id, stream)
    if (timeoutMs !== Number.POSITIVE_INFINITY) {
      stream.deadlineAt = this.#now() + timeoutMs
      this.#wakeAt(stream.deadlineAt)
    }
    return stream
  }

  /** Refuses a stream that was never opened, or ends one that the peer spoils. */
  resetId(id: number, code: number): void {
    this.outbox.reset(id, code)
    this.#resets.add(id)
    // The oldest is forgotten: a Set keeps the order in which things came.
    if (this.#resets.size > RESETS_REMEMBERED) this.#resets.delete(this.#resets.values().next().value!)
    this.soon()
  }

  finished(stream: Stream): void {
    stream.isLocalEnded = true
    if (stream.isRemoteEnded) this.remove(stream)
    else if (stream.lingers) this.#lingering.set(stream, this.#now())
    else this.reset(stream, ERROR.none)
  }

  fault(stream: Stream, code: number): void {
    this.reset(stream, code)
    this.#flood.spend(FLOOD_COSTS.fault)
  }

  reset(stream: Stream, code: number): void {
    if (this.#streams.get(stream.id) !== stream) return
    this.resetId(stream.id, code)
    this.remove(stream)
  }

  earned(): void {
    this.#flood.earn()
  }

  remove(stream: Stream): void {
    if (!this.#streams.delete(stream.id)) return
    if (stream.lingers) this.#lingering.delete(stream)
    this.#stalled.delete(stream)
    stream.over()
  }

  /** The connection is gone. */
  drop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const stream of [...this.#streams.values()]) this.remove(stream)
  }

  /** Ends what has waited too long, about once a second. */
  sweep(now: number): void {
    for (const [stream, since] of this.#lingering)
      if (now - since >= this.limits.lingerMs) this.reset(stream, ERROR.none)
    for (const stream of this.#stalled.keys()) if (!stream.isStalled) this.#stalled.delete(stream)
    for (const { id } of [...this.outflow.waiting]) {
      const stream = this.#streams.get(id)
      if (stream === undefined) continue
      const since = this.#stalled.get(stream)
      if (since === undefined) {
        stream.isStalled = true
        this.#stalled.set(stream, now)
      } else if (now - since >= this.limits.streamStallMs) this.reset(stream, ERROR.cancel)
    }
  }

  /** One timer for all deadlines. It is set when one comes that is earlier, and most calls have ended before it fires. */
  #wakeAt(at: number): void {
    if (at >= this.#timerAt) return
    clearTimeout(this.#timer)
    this.#timerAt = at
    const ms = Math.min(TIMER_MS_MAX, Math.max(0, Math.ceil(at - this.#now())))
    this.#timer = setTimeout(() => this.#expire(), ms)
    this.#timer.unref()
  }

  #expire(): void {
    this.#timerAt = Number.POSITIVE_INFINITY
    const now = this.#now()
    let next = Number.POSITIVE_INFINITY
    for (const stream of [...this.#streams.values()]) {
      if (stream.deadlineAt <= now) stream.end(STATUS.deadlineExceeded, 'the deadline has passed')
      else if (stream.deadlineAt < next) next = stream.deadlineAt
    }
    if (next !== Number.POSITIVE_INFINITY) this.#wakeAt(next)
    this.soon()
  }
}
