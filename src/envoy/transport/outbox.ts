import { FLAG, FRAME, WINDOW_MAX } from './codes.ts'

/** Where bytes go. */
export interface Wire {
  /** Takes these buffers, in order. They are not written to again until `queued` has been 0. */
  readonly write: (chunks: readonly Buffer[]) => void
  /** Bytes that were taken and have not left the process. */
  readonly queued: () => number
  /** Ends the connection after what was written. */
  readonly end: () => void
  readonly destroy: () => void
}

const SLAB_BYTES = 16_384
/** Up to here a message is copied beside its frame; a larger one is handed on as it is. */
const COPIED_BYTES_MAX = 4_096
const FRAME_HEAD = 9
/** One byte for compression, four for the length (gRPC over HTTP/2, Length-Prefixed-Message). */
const MESSAGE_HEAD = 5
/** Dynamic table size update to 0. */
const NO_TABLE = 0x20

/**
 * Frames on their way out. They gather in one buffer and leave together when `flush` is called, which is once for each
 * chunk that was read and once for each turn of the event loop in which something else had an answer.
 */
export class Outbox {
  readonly #wire: Wire
  #slab = Buffer.allocUnsafe(SLAB_BYTES)
  /** Where what was not handed over yet begins, and where the next byte goes. */
  #from = 0
  #at = 0
  #chunks: Buffer[] = []
  #bytes = 0
  #owesTableUpdate = false

  constructor(wire: Wire) {
    this.#wire = wire
  }

  /** Bytes that are waiting for `flush`. */
  get waiting(): number {
    return this.#bytes + this.#at - this.#from
  }

  /** Hands everything over. */
  flush(): void {
    this.#seal()
    if (this.#chunks.length === 0) return
    const chunks = this.#chunks
    this.#chunks = []
    this.#bytes = 0
    this.#wire.write(chunks)
    // What the kernel has taken may be written over.
    if (this.#wire.queued() === 0) {
      this.#from = 0
      this.#at = 0
    }
  }

  /** SETTINGS as pairs of identifier and value. */
  settings(pairs: readonly (readonly [number, number])[]): void {
    this.#head(pairs.length * 6, FRAME.settings, 0, 0)
    for (const [id, value] of pairs) {
      this.#slab[this.#at++] = id >> 8
      this.#slab[this.#at++] = id & 0xff
      this.#number(value)
    }
  }

  settingsAck(): void {
    this.#head(0, FRAME.settings, FLAG.ack, 0)
  }

  /** PING, or the answer to one; eight bytes of `data` from `start`. */
  ping(isAck: boolean, data: Uint8Array, start = 0): void {
    this.#head(8, FRAME.ping, isAck ? FLAG.ack : 0, 0)
    for (let i = 0; i < 8; i++) this.#slab[this.#at++] = data[start + i]!
  }

  goaway(lastId: number, code: number, message = ''): void {
    const text = Buffer.from(message).subarray(0, 256)
    this.#head(8 + text.length, FRAME.goaway, 0, 0)
    this.#number(lastId)
    this.#number(code)
    this.#at += text.copy(this.#slab, this.#at)
  }

  reset(id: number, code: number): void {
    this.#head(4, FRAME.reset, 0, id)
    this.#number(code)
  }

  windowUpdate(id: number, increment: number): void {
    this.#head(4, FRAME.windowUpdate, 0, id)
    this.#number(increment & WINDOW_MAX)
  }

  /** The peer made its table smaller: the next block has to say that it uses none (RFC 7541, section 4.2). */
  oweTableUpdate(): void {
    this.#owesTableUpdate = true
  }

  /** HEADERS with one whole block; blocks are far shorter than the smallest frame limit. */
  headers(id: number, block: Buffer, isEnd: boolean): void {
    const extra = this.#owesTableUpdate ? 1 : 0
    this.#head(block.length + extra, FRAME.headers, FLAG.endHeaders | (isEnd ? FLAG.endStream : 0), id)
    if (extra === 1) {
      this.#slab[this.#at++] = NO_TABLE
      this.#owesTableUpdate = false
    }
    this.#at += block.copy(this.#slab, this.#at)
  }

  /** A whole message in one DATA frame. */
  message(id: number, message: Buffer): void {
    const { length } = message
    this.#head(MESSAGE_HEAD + length, FRAME.data, 0, id, length <= COPIED_BYTES_MAX ? undefined : MESSAGE_HEAD)
    this.#slab[this.#at++] = 0
    this.#number(length)
    this.#payload(message)
  }

  /** A DATA frame of raw bytes. */
  data(id: number, bytes: Buffer, isEnd: boolean): void {
    this.#head(
      bytes.length,
      FRAME.data,
      isEnd ? FLAG.endStream : 0,
      id,
      bytes.length <= COPIED_BYTES_MAX ? undefined : 0,
    )
    this.#payload(bytes)
  }

  #payload(bytes: Buffer): void {
    if (bytes.length <= COPIED_BYTES_MAX) {
      this.#slab.set(bytes, this.#at)
      this.#at += bytes.length
      return
    }
    this.#seal()
    this.#chunks.push(bytes)
    this.#bytes += bytes.length
  }

  /** The head of a frame, with room behind it for the payload, or for `room` bytes of it. */
  #head(length: number, type: number, flags: number, id: number, room = length): void {
    const need = FRAME_HEAD + room
    if (this.#at + need > this.#slab.length) {
      this.#seal()
      this.#slab = Buffer.allocUnsafe(Math.max(SLAB_BYTES, need))
      this.#from = 0
      this.#at = 0
    }
    const slab = this.#slab
    let at = this.#at
    slab[at++] = length >> 16
    slab[at++] = (length >> 8) & 0xff
    slab[at++] = length & 0xff
    slab[at++] = type
    slab[at++] = flags
    this.#at = at
    this.#number(id)
  }

  #number(value: number): void {
    const slab = this.#slab
    slab[this.#at++] = value >>> 24
    slab[this.#at++] = (value >> 16) & 0xff
    slab[this.#at++] = (value >> 8) & 0xff
    slab[this.#at++] = value & 0xff
  }

  #seal(): void {
    if (this.#at === this.#from) return
    this.#chunks.push(this.#slab.subarray(this.#from, this.#at))
    this.#bytes += this.#at - this.#from
    this.#from = this.#at
  }
}

/** The five bytes before a message of this length. */
export const messageHead = (length: number): Buffer => {
  const head = Buffer.alloc(MESSAGE_HEAD)
  head.writeUInt32BE(length, 1)
  return head
}
