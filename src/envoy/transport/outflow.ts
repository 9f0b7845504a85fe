import { ConnectionError, ERROR, WINDOW_DEFAULT, WINDOW_MAX } from './codes.ts'
import type { Limits } from './limits.ts'
import type { Memory } from './memory.ts'
import { messageHead, type Outbox } from './outbox.ts'

/** What a queued piece costs beside its bytes. */
const PIECE_BYTES = 128

/** What a stream is to flow control. */
export interface Outgoing {
  readonly id: number
  /** What the peer lets it send; may be below zero. */
  sendWindow: number
  /** What waits for that, and how much of the first piece has left. */
  queue: Buffer[]
  queueAt: number
  /** Whether nothing has left since somebody looked. */
  isStalled: boolean
  /** The queue has become empty. */
  readonly drained: () => void
}

/**
 * Flow control towards the peer: what a stream has to say leaves as far as both windows allow, and the rest waits, in
 * memory that is counted. A stream whose answers wait gets no further messages.
 */
export class Outflow {
  readonly #outbox: Outbox
  readonly #memory: Memory
  /** Streams that have more to say than their windows, or the connection's, allow. */
  readonly #waiting = new Set<Outgoing>()
  #window = WINDOW_DEFAULT
  /** The window that new streams begin with. */
  initialWindow = WINDOW_DEFAULT
  frameBytesMax: number

  constructor(outbox: Outbox, memory: Memory, limits: Limits) {
    this.#outbox = outbox
    this.#memory = memory
    // 16,384 is also the smallest that a peer may ask for.
    this.frameBytesMax = Math.max(limits.frameBytesMax, 16_384)
  }

  get waiting(): ReadonlySet<Outgoing> {
    return this.#waiting
  }

  /** Sends a message or queues it; false where there is no memory for it. */
  message(stream: Outgoing, message: Buffer): boolean {
    const bytes = 5 + message.length
    if (
      stream.queue.length === 0 &&
      bytes <= this.#window &&
      bytes <= stream.sendWindow &&
      bytes <= this.frameBytesMax
    ) {
      this.#window -= bytes
      stream.sendWindow -= bytes
      this.#outbox.message(stream.id, message)
      return true
    }
    return this.#queue(stream, messageHead(message.length)) && this.bytes(stream, message)
  }

  /** Sends bytes as they are or queues them; false where there is no memory for them. */
  bytes(stream: Outgoing, bytes: Buffer): boolean {
    if (!this.#queue(stream, bytes)) return false
    this.#pump(stream)
    return true
  }

  /** WINDOW_UPDATE of the connection. */
  grow(increment: number): void {
    this.#window += increment
    if (this.#window > WINDOW_MAX) throw new ConnectionError(ERROR.flowControl, 'a window larger than 2^31-1')
    for (const stream of [...this.#waiting]) {
      if (this.#window <= 0) return
      this.#pump(stream)
      // Whoever had its share is behind the others the next time.
      if (this.#waiting.delete(stream)) this.#waiting.add(stream)
    }
  }

  /** WINDOW_UPDATE of a stream; false where its window is too large then. */
  growStream(stream: Outgoing, increment: number): boolean {
    stream.sendWindow += increment
    if (stream.sendWindow > WINDOW_MAX) return false
    if (stream.queue.length > 0) this.#pump(stream)
    return true
  }

  /** SETTINGS_INITIAL_WINDOW_SIZE: moves the windows of all streams, also below zero. */
  resize(initial: number, streams: Iterable<Outgoing>): void {
    const by = initial - this.initialWindow
    this.initialWindow = initial
    for (const stream of streams) {
      stream.sendWindow += by
      if (stream.sendWindow > WINDOW_MAX) throw new ConnectionError(ERROR.flowControl, 'a window larger than 2^31-1')
    }
    if (by > 0) for (const stream of [...this.#waiting]) this.#pump(stream)
  }

  /** The stream is over: what it had to say is dropped. */
  forget(stream: Outgoing): void {
    this.#waiting.delete(stream)
    for (const piece of stream.queue) this.#memory.give(piece.length + PIECE_BYTES)
    if (stream.queue.length > 0) this.#memory.give(-stream.queueAt)
    stream.queue = []
    stream.queueAt = 0
  }

  #queue(stream: Outgoing, piece: Buffer): boolean {
    if (!this.#memory.take(piece.length + PIECE_BYTES)) return false
    stream.queue.push(piece)
    this.#waiting.add(stream)
    return true
  }

  #pump(stream: Outgoing): void {
    while (stream.queue.length > 0) {
      const piece = stream.queue[0]!
      const left = piece.length - stream.queueAt
      const size = Math.min(left, this.#window, stream.sendWindow, this.frameBytesMax)
      if (size <= 0 && left > 0) return
      this.#outbox.data(stream.id, piece.subarray(stream.queueAt, stream.queueAt + size), false)
      this.#window -= size
      stream.sendWindow -= size
      stream.isStalled = false
      this.#memory.give(size)
      stream.queueAt += size
      if (stream.queueAt < piece.length) continue
      this.#memory.give(PIECE_BYTES)
      stream.queue.shift()
      stream.queueAt = 0
    }
    this.#waiting.delete(stream)
    stream.drained()
  }
}
