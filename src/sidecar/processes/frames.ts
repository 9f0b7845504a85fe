import type { Socket } from 'node:net'

/** What travels between the processes of one hubward, by the byte that says so. */
export const FRAMES = {
  // To a decider.
  begin: 1,
  feed: 2,
  check: 3,
  tally: 4,
  serve: 5,
  drain: 6,
  answer: 7,
  noAnswer: 8,
  // To the main process.
  ready: 32,
  decided: 33,
  turnedAway: 34,
  records: 35,
  counts: 36,
  entries: 37,
  differs: 38,
  relay: 39,
  relayGone: 40,
} as const

/** A key of FRAMES. */
export type FrameName = keyof typeof FRAMES

const NAMES = new Map<number, FrameName>(Object.entries(FRAMES).map(([name, byte]) => [byte, name as FrameName]))

/** Bytes that the main process has not taken yet, beyond which a decider hands over nothing that can be done without. */
export const WAITING_BYTES_MAX = 16 * 1_048_576

/** Four bytes of length, and the byte of the kind. */
const HEAD_BYTES = 5
/** The largest frame: a snapshot of some hundred thousand targets. */
const FRAME_BYTES_MAX = 512 * 1_048_576

/** One frame as bytes: what goes to several processes is written once. */
export function frameOf(name: FrameName, payload: string | Uint8Array | readonly Uint8Array[] = ''): Buffer {
  const parts = typeof payload === 'string' ? [Buffer.from(payload)] : Array.isArray(payload) ? payload : [payload]
  const length = parts.reduce((sum: number, part: Uint8Array) => sum + part.length, 0)
  const head = Buffer.allocUnsafe(HEAD_BYTES)
  head.writeUInt32BE(length, 0)
  head[4] = FRAMES[name]
  return Buffer.concat([head, ...(parts as Uint8Array[])], HEAD_BYTES + length)
}

/** Takes a stream of bytes apart into frames, whatever the pieces in which it comes. Throws at what is no frame. */
export class FrameReader {
  readonly #took: (name: FrameName, payload: Buffer) => void
  #pieces: Buffer[] = []
  #bytes = 0
  #wanted = HEAD_BYTES

  constructor(took: (name: FrameName, payload: Buffer) => void) {
    this.#took = took
  }

  push(piece: Buffer): void {
    this.#pieces.push(piece)
    this.#bytes += piece.length
    while (this.#bytes >= this.#wanted) {
      const all = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces, this.#bytes)
      const whole = HEAD_BYTES + all.readUInt32BE(0)
      const name = NAMES.get(all[4]!)
      if (name === undefined || whole > FRAME_BYTES_MAX) throw new Error('bytes between processes that are no frame')
      this.#wanted = whole
      this.#pieces = [all]
      if (this.#bytes < whole) return
      this.#bytes -= whole
      this.#pieces = this.#bytes === 0 ? [] : [all.subarray(whole)]
      this.#wanted = HEAD_BYTES
      this.#took(name, all.subarray(HEAD_BYTES, whole))
    }
  }
}

/** One end of the way between two processes. */
export interface Channel {
  /** Sends a frame that is written already. */
  readonly write: (frame: Buffer) => void
  /** Bytes that the other end has not taken yet. */
  readonly waiting: () => number
  readonly close: () => void
}

/** What an end hears. */
export interface ChannelEnds {
  readonly took: (name: FrameName, payload: Buffer) => void
  /** Taking a frame in has failed, and what comes after it is taken in all the same. Absent: the channel is closed. */
  readonly failed?: (error: unknown) => void
  /** Once: the other end has gone, or speaks nonsense. */
  readonly closed: (why: string) => void
}

/** The end of a channel on an open socket. */
export function openChannel(socket: Socket, { took, failed, closed }: ChannelEnds): Channel {
  const guarded = (name: FrameName, payload: Buffer): void => {
    try {
      took(name, payload)
    } catch (error) {
      if (failed === undefined) throw error
      failed(error)
    }
  }
  const reader = new FrameReader(guarded)
  let isOpen = true
  const end = (why: string): void => {
    if (!isOpen) return
    isOpen = false
    socket.destroy()
    closed(why)
  }
  socket.on('data', (piece: Buffer) => {
    try {
      reader.push(piece)
    } catch (error) {
      end((error as Error).message)
    }
  })
  socket.on('error', (error) => end(error.message))
  socket.on('end', () => end('the other end has gone'))
  socket.on('close', () => end('the other end has gone'))
  return {
    write: (frame) => {
      if (isOpen) socket.write(frame)
    },
    waiting: () => socket.writableLength,
    close: () => {
      isOpen = false
      socket.destroy()
    },
  }
}
