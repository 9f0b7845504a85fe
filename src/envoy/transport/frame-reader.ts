import { ConnectionError, ERROR } from './codes.ts'

/** Length of the head of a frame. */
const HEAD = 9

/** What hears of frames. */
export interface FrameSink {
  /** A whole frame; its payload is `bytes` from `start` to `end`, which may be kept. False: nothing more is to be read. */
  readonly frame: (type: number, flags: number, id: number, bytes: Buffer, start: number, end: number) => boolean
}

/**
 * Cuts chunks into frames. A frame that lies in one chunk is handed on where it lies; one that comes in pieces is put
 * together once, in a buffer of its size. Throws ConnectionError at the head of a frame that is too large.
 */
export class FrameReader {
  readonly #sink: FrameSink
  readonly #bytesMax: number
  /** The head of a frame of which fewer than nine bytes have come. */
  readonly #head = Buffer.alloc(HEAD)
  #whole: Buffer | undefined
  #have = 0

  constructor(sink: FrameSink, bytesMax: number) {
    this.#sink = sink
    this.#bytesMax = bytesMax
  }

  /** Reads one chunk to its end, or until the sink has enough. */
  read(chunk: Buffer, from = 0): void {
    let at = from
    if (this.#have > 0) {
      at = this.#goOn(chunk, at)
      if (at < 0) return
    }
    const length = chunk.length
    while (length - at >= HEAD) {
      const end = at + HEAD + this.#lengthOf(chunk, at)
      if (end > length) break
      if (!this.#hand(chunk, at, end)) return
      at = end
    }
    if (at < length) this.#keep(chunk, at)
  }

  #hand(bytes: Buffer, at: number, end: number): boolean {
    // The highest bit of the id is reserved and not looked at.
    const id = ((bytes[at + 5]! & 0x7f) << 24) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 8) | bytes[at + 8]!
    return this.#sink.frame(bytes[at + 3]!, bytes[at + 4]!, id, bytes, at + HEAD, end)
  }

  #lengthOf(bytes: Buffer, at: number): number {
    const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!
    if (length > this.#bytesMax) throw new ConnectionError(ERROR.frameSize, `a frame of ${length} bytes`)
    return length
  }

  #keep(chunk: Buffer, at: number): void {
    const rest = chunk.length - at
    if (rest < HEAD) {
      chunk.copy(this.#head, 0, at)
    } else {
      this.#whole = Buffer.allocUnsafe(HEAD + this.#lengthOf(chunk, at))
      chunk.copy(this.#whole, 0, at)
    }
    this.#have = rest
  }

  /** Completes the frame that was begun; gives where the next one begins, or -1 where there is none. */
  #goOn(chunk: Buffer, from: number): number {
    let at = from
    if (this.#whole === undefined) {
      const part = Math.min(HEAD - this.#have, chunk.length - at)
      chunk.copy(this.#head, this.#have, at, at + part)
      this.#have += part
      at += part
      if (this.#have < HEAD) return -1
      this.#whole = Buffer.allocUnsafe(HEAD + this.#lengthOf(this.#head, 0))
      this.#head.copy(this.#whole)
    }
    const whole = this.#whole
    const part = Math.min(whole.length - this.#have, chunk.length - at)
    chunk.copy(whole, this.#have, at, at + part)
    this.#have += part
    at += part
    if (this.#have < whole.length) return -1
    this.#whole = undefined
    this.#have = 0
    return this.#hand(whole, 0, whole.length) ? at : -1
  }
}
