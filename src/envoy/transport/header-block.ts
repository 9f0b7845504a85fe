import { ConnectionError, ERROR } from './codes.ts'
import type { Limits } from './limits.ts'

/** A header block that comes in several frames: HEADERS, then CONTINUATION until END_HEADERS. */
export class HeaderBlock {
  readonly id: number
  readonly endsStream: boolean
  /** Whether the stream was said to depend on itself. */
  readonly isSelfDependent: boolean
  readonly #limits: Limits
  #parts: Buffer[] = []
  #bytes = 0
  #frames = 0

  constructor(id: number, endsStream: boolean, isSelfDependent: boolean, limits: Limits) {
    this.id = id
    this.endsStream = endsStream
    this.isSelfDependent = isSelfDependent
    this.#limits = limits
  }

  /** Takes one fragment. They are few and bounded, so they are kept where they lie. */
  add(bytes: Buffer, start: number, end: number): void {
    this.#bytes += end - start
    if (this.#frames++ > this.#limits.continuationsMax)
      throw new ConnectionError(ERROR.enhanceYourCalm, 'a header block in too many frames')
    if (this.#bytes > this.#limits.headerBlockBytesMax)
      throw new ConnectionError(ERROR.enhanceYourCalm, 'a header block that is too large')
    if (end > start) this.#parts.push(bytes.subarray(start, end))
  }

  /** The whole block. */
  whole(): Buffer {
    return this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts, this.#bytes)
  }
}
