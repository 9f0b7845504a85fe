import type { Memory } from './memory.ts'
import { STATUS } from './status.ts'

const HEAD = 5
/** The first piece of room for a message that comes in parts: what it says of its length is not believed ahead of time. */
const ROOM_MIN = 1_024

/** What hears of messages. */
export interface MessageSink {
  /** A whole message, which may be kept. False: the rest of the bytes is to wait. */
  readonly message: (bytes: Buffer) => boolean
  /** The bytes are no messages; nothing more is read. */
  readonly fault: (status: number, what: string) => void
}

/**
 * Cuts the bytes of one stream into gRPC messages, wherever they were split. A message that lies in one piece is handed
 * on where it lies. One that comes in parts is gathered in a buffer that grows with what has come, never with what its
 * length promises.
 */
export class MessageReader {
  readonly #bytesMax: number
  readonly #memory: Memory
  /** Bytes of the head that have come, and what they say. */
  #head = 0
  #length = 0
  #isCompressed = false
  #parts: Buffer | undefined
  #have = 0

  constructor(bytesMax: number, memory: Memory) {
    this.#bytesMax = bytesMax
    this.#memory = memory
  }

  /** Whether a message has begun and not ended. */
  get isInside(): boolean {
    return this.#head > 0
  }

  /** Reads from `start` to `end`, or until the sink wants no more; gives where it stopped. */
  read(bytes: Buffer, start: number, end: number, sink: MessageSink): number {
    let at = start
    while (at < end) {
      while (this.#head < HEAD) {
        if (at === end) return at
        const byte = bytes[at++]!
        if (this.#head === 0) {
          if (byte > 1) return this.#fault(sink, end, STATUS.internal, 'the bytes are no gRPC messages')
          this.#isCompressed = byte === 1
          this.#length = 0
        } else this.#length = this.#length * 256 + byte
        this.#head += 1
      }
      if (this.#parts === undefined) {
        if (this.#isCompressed)
          return this.#fault(sink, end, STATUS.unimplemented, 'compressed messages are not understood here')
        if (this.#length > this.#bytesMax) {
          const what = `a message of ${this.#length} bytes, at most ${this.#bytesMax}`
          return this.#fault(sink, end, STATUS.resourceExhausted, what)
        }
        if (end - at >= this.#length) {
          const from = at
          at += this.#length
          this.#head = 0
          if (!sink.message(bytes.subarray(from, at))) return at
          continue
        }
        if (at === end) return at
      }
      const part = Math.min(this.#length - this.#have, end - at)
      if (!this.#room(this.#have + part))
        return this.#fault(sink, end, STATUS.resourceExhausted, 'too much is held for this connection')
      at += bytes.copy(this.#parts!, this.#have, at, at + part)
      this.#have += part
      if (this.#have < this.#length) return at
      const whole = this.#parts!.subarray(0, this.#length)
      this.forget()
      if (!sink.message(whole)) return at
    }
    return at
  }

  /** Gives up what was begun, and the memory for it. */
  forget(): void {
    if (this.#parts !== undefined) this.#memory.give(this.#parts.length)
    this.#parts = undefined
    this.#have = 0
    this.#head = 0
  }

  #room(needed: number): boolean {
    const has = this.#parts?.length ?? 0
    if (this.#parts !== undefined && needed <= has) return true
    const larger = Math.min(this.#length, Math.max(ROOM_MIN, needed, has * 2))
    if (!this.#memory.take(larger - has)) return false
    const parts = Buffer.allocUnsafeSlow(larger)
    this.#parts?.copy(parts, 0, 0, this.#have)
    this.#parts = parts
    return true
  }

  #fault(sink: MessageSink, end: number, status: number, what: string): number {
    this.forget()
    sink.fault(status, what)
    return end
  }
}
