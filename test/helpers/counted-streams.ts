import { FLAG, FRAME } from '../../src/envoy/transport/codes.ts'
import { callHeaders, frame, HpackWriter, message, PREFACE, settings, u32 } from './h2-frames.ts'

/** What Envoy says first: its preface, and room for all answers that a count may bring. */
export const GREETING = Buffer.concat([
  PREFACE,
  settings(),
  frame(FRAME.windowUpdate, 0, 0, u32(0x7fff0000 - 65_535)),
  frame(FRAME.settings, FLAG.ack, 0),
])

/** ext_proc streams of one connection, as bytes: each with its headers, one message and its end. */
export class CountedStreams {
  readonly #messages: readonly Buffer[]
  readonly #hpack = new HpackWriter()
  #id = 1

  constructor(messages: readonly Buffer[]) {
    this.#messages = messages
  }

  /** The next so many streams in one piece. */
  next(count: number): Buffer {
    const parts: Buffer[] = []
    for (let i = 0; i < count; i++) {
      const id = this.#id
      this.#id += 2
      const block = this.#hpack.block(callHeaders(), { isKept: true, isHuffman: true })
      const bytes = message(this.#messages[(id >> 1) % this.#messages.length]!)
      parts.push(frame(FRAME.headers, FLAG.endHeaders, id, block), frame(FRAME.data, FLAG.endStream, id, bytes))
    }
    return Buffer.concat(parts)
  }
}
