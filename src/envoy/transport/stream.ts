import { ERROR } from './codes.ts'
import { ANSWER_HEAD, type Refusal, statusBlock } from './header-blocks.ts'
import type { Limits } from './limits.ts'
import type { Memory } from './memory.ts'
import { MessageReader, type MessageSink } from './message-reader.ts'
import type { Call, Receiver } from './methods.ts'
import type { Outbox } from './outbox.ts'
import type { Outflow, Outgoing } from './outflow.ts'
import { STATUS } from './status.ts'

/** What a stream needs of its connection. */
export interface StreamHost {
  readonly outbox: Outbox
  readonly outflow: Outflow
  readonly memory: Memory
  readonly limits: Limits
  /** The stream has said its last word. */
  readonly finished: (stream: Stream) => void
  /** The peer broke a rule on this stream. */
  readonly fault: (stream: Stream, code: number) => void
  /** Ends the stream from our side, without blame. */
  readonly reset: (stream: Stream, code: number) => void
  /** A message came. */
  readonly earned: () => void
  /** There is something to flush. */
  readonly soon: () => void
}

/** What a piece that waits costs beside its bytes. */
const PIECE_BYTES = 128
const EMPTY = Buffer.alloc(0)

/** One stream: a call of gRPC, or a request that was refused. */
export class Stream implements Call, MessageSink, Outgoing {
  readonly id: number
  readonly #host: StreamHost
  readonly #reader: MessageReader
  receiver: Receiver | undefined
  sendWindow: number
  queue: Buffer[] = []
  queueAt = 0
  isStalled = false
  deadlineAt = Number.POSITIVE_INFINITY
  /** Bytes that are to come by `content-length`; below zero where it was not said. */
  contentLeft = -1
  isRemoteEnded = false
  isLocalEnded = false
  /** Whether an answer was given, or begun. */
  isAnswered = false
  /** A refused request may go on sending for a while: its client need not know gRPC, nor what RST_STREAM(NO_ERROR) means. */
  lingers = false
  #receiveLeft: number
  #owed = 0
  #discarded = 0
  #hasHead = false
  #isEnding = false
  #isReading = false
  #isPaused = false
  /** Bytes that the method holds for this call. */
  #kept = 0
  #trailers: Buffer | undefined
  /** Bytes of messages that wait until the answers before them have left. */
  #backlog: Buffer[] = []
  #halfClosedWaits = false

  constructor(id: number, host: StreamHost) {
    this.id = id
    this.#host = host
    this.sendWindow = host.outflow.initialWindow
    this.#receiveLeft = host.limits.streamWindowBytes
    this.#reader = new MessageReader(host.limits.messageBytesMax, host.memory)
  }

  send(message: Buffer): void {
    if (this.#isEnding) return
    const { outbox, outflow } = this.#host
    if (!this.#hasHead) {
      this.#hasHead = true
      outbox.headers(this.id, ANSWER_HEAD, false)
    }
    this.isAnswered = true
    if (!outflow.message(this, message)) this.#exhausted()
    this.#host.soon()
  }

  end(status: number, message = ''): void {
    if (this.#isEnding) return
    this.#stopReading()
    this.isAnswered = true
    this.#trailers = statusBlock(status, message, !this.#hasHead)
    if (this.queue.length === 0) this.drained()
    this.#host.soon()
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    if (!this.#isReading && this.queue.length === 0) this.#catchUp()
  }

  keep(bytes: number): boolean {
    if (!this.#host.memory.take(bytes)) return false
    this.#kept += bytes
    return true
  }

  /** Answers what is no gRPC. */
  refuse({ head, body }: Refusal): void {
    this.#stopReading()
    this.lingers = true
    this.isAnswered = true
    this.#host.outbox.headers(this.id, head, false)
    // A body of some fifty bytes that finds no memory is left out.
    if (!this.#host.outflow.bytes(this, body)) this.drained()
  }

  /** Payload of DATA; `flow` is what the frame counts in windows. False: more than the window. */
  data(bytes: Buffer, start: number, end: number, flow: number): boolean {
    this.#receiveLeft -= flow
    if (this.#receiveLeft < 0) return false
    this.#owed += flow
    if (this.contentLeft >= 0) {
      this.contentLeft -= end - start
      if (this.contentLeft < 0) {
        this.#host.fault(this, ERROR.protocol)
        return true
      }
    }
    if (this.#isEnding) this.#discard(flow)
    else if (this.#mustWait || this.#backlog.length > 0) this.#keep(bytes, start, end)
    else this.#read(bytes, start, end)
    this.#credit()
    return true
  }

  /** END_STREAM of the client. */
  remoteEnd(): void {
    this.isRemoteEnded = true
    if (this.contentLeft > 0) this.#host.fault(this, ERROR.protocol)
    else if (this.isLocalEnded) this.#host.finished(this)
    else if (this.#isEnding) return
    // The end is heard after the messages before it.
    else if (this.#isPaused || this.#backlog.length > 0) this.#halfClosedWaits = true
    else this.#halfClosed()
  }

  /** The queue is empty: the last word can go out, or the next message come in. */
  drained(): void {
    if (this.#trailers !== undefined) {
      this.#host.outbox.headers(this.id, this.#trailers, true)
      this.#trailers = undefined
      this.#host.finished(this)
    } else if (this.lingers) {
      if (this.isLocalEnded) return
      this.#host.outbox.data(this.id, EMPTY, true)
      this.#host.finished(this)
    } else if (!this.#isReading && !this.#isPaused) this.#catchUp()
  }

  /** The connection has dropped the stream. */
  over(): void {
    this.#stopReading()
    this.#trailers = undefined
    this.#host.outflow.forget(this)
    this.#host.memory.give(this.#kept)
    this.#kept = 0
    const { receiver } = this
    this.receiver = undefined
    receiver?.gone()
  }

  message(bytes: Buffer): boolean {
    this.#host.earned()
    this.receiver?.message(bytes)
    return !this.#isEnding && !this.#mustWait
  }

  fault(status: number, what: string): void {
    this.end(status, what)
  }

  /** Whether messages wait: for the answers before them to leave, or because the method asked for it. */
  get #mustWait(): boolean {
    return this.#isPaused || this.queue.length > 0
  }

  #read(bytes: Buffer, start: number, end: number): void {
    this.#isReading = true
    const at = this.#reader.read(bytes, start, end, this)
    this.#isReading = false
    if (at < end && !this.#isEnding) this.#keep(bytes, at, end)
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    if (start === end) return
    if (this.#host.memory.take(end - start + PIECE_BYTES)) {
      // A copy: what it lies in may be a chunk of many times its size.
      this.#backlog.push(Buffer.from(bytes.subarray(start, end)))
    } else this.#exhausted()
  }

  /** There is no memory. A status would have to wait behind what waits; clients read this code as RESOURCE_EXHAUSTED. */
  #exhausted(): void {
    this.#host.reset(this, ERROR.enhanceYourCalm)
  }

  #catchUp(): void {
    const backlog = this.#backlog
    if (backlog.length === 0 && !this.#halfClosedWaits) return
    this.#backlog = []
    for (let i = 0; i < backlog.length; i++) {
      const piece = backlog[i]!
      this.#host.memory.give(piece.length + PIECE_BYTES)
      if (this.#isEnding) continue
      if (this.#mustWait || this.#backlog.length > 0) this.#keep(piece, 0, piece.length)
      else this.#read(piece, 0, piece.length)
    }
    this.#credit()
    if (this.#halfClosedWaits && this.#backlog.length === 0 && !this.#isPaused && !this.#isEnding) {
      this.#halfClosedWaits = false
      this.#halfClosed()
    }
  }

  #discard(flow: number): void {
    this.#discarded += flow
    if (this.#discarded > this.#host.limits.discardBytesMax && this.isLocalEnded) this.#host.reset(this, ERROR.none)
  }

  /** Lets the client send on, in large steps, once what it sent has been read. */
  #credit(): void {
    const { limits, outbox } = this.#host
    if (this.#owed * 2 < limits.streamWindowBytes || this.#backlog.length > 0 || this.isRemoteEnded) return
    if (this.isLocalEnded && !this.lingers) return
    outbox.windowUpdate(this.id, this.#owed)
    this.#receiveLeft += this.#owed
    this.#owed = 0
    this.#host.soon()
  }

  #halfClosed(): void {
    if (this.#reader.isInside) this.end(STATUS.internal, 'the request ended in the middle of a message')
    else this.receiver?.halfClosed()
  }

  #stopReading(): void {
    this.#isEnding = true
    this.#reader.forget()
    for (const piece of this.#backlog) this.#host.memory.give(piece.length + PIECE_BYTES)
    this.#backlog = []
    this.#halfClosedWaits = false
  }
}
