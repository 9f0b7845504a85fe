import { ConnectionError, ERROR, SETTING, WINDOW_DEFAULT, WINDOW_MAX } from './codes.ts'
import { FloodGuard } from './flood-guard.ts'
import { FrameHandler } from './frame-handler.ts'
import { FrameReader } from './frame-reader.ts'
import { Life } from './life.ts'
import type { Limits } from './limits.ts'
import { Memory } from './memory.ts'
import type { Methods } from './methods.ts'
import { Outbox, type Wire } from './outbox.ts'
import { Outflow } from './outflow.ts'
import { StreamTable } from './stream-table.ts'

/** What the connections of one server share. */
export interface Shared {
  readonly methods: Methods
  readonly limits: Limits
  /** Milliseconds that only go forward. */
  readonly now: () => number
  /** Bytes held for all connections. */
  readonly memory: Memory
  /** Hears of our own mistakes. */
  readonly bug: (error: unknown) => void
}

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const DRAIN_PING = Buffer.from('draining')
const ALIVE_PING = Buffer.from('alive?  ')

/**
 * The server's side of one HTTP/2 connection that carries gRPC: how it begins, goes on and ends. It is given chunks and
 * a wire, knows no socket, and never throws.
 */
export class Connection {
  readonly life: Life
  readonly memory: Memory
  readonly #shared: Shared
  readonly #wire: Wire
  readonly #outbox: Outbox
  readonly #frames: FrameReader
  readonly #handler: FrameHandler
  readonly #streams: StreamTable
  #isOpen = true
  #prefaceAt = 0
  #isDraining = false
  /** The second GOAWAY was sent: with the last stream it is over. */
  #isLeaving = false
  #isReading = false
  #isFlushAsked = false
  /** Bytes that were ever handed to the wire. */
  #handed = 0

  constructor(shared: Shared, wire: Wire) {
    const { limits, methods, now } = shared
    this.#shared = shared
    this.#wire = wire
    this.memory = new Memory(limits.connectionBytesMax, shared.memory)
    const memory = this.memory
    const outbox = new Outbox(wire)
    const outflow = new Outflow(outbox, memory, limits)
    const flood = new FloodGuard(limits, now)
    const streams = new StreamTable({ outbox, outflow, memory, limits, flood, now, soon: () => this.#soon() })
    this.#outbox = outbox
    this.#streams = streams
    this.life = new Life(this.#mortal(), limits, now())
    this.#handler = new FrameHandler({
      methods,
      limits,
      outbox,
      outflow,
      flood,
      streams,
      life: this.life,
      isOpen: () => this.#isOpen,
      pinged: (bytes, start, end) => {
        if (this.#isDraining && DRAIN_PING.compare(bytes, start, end) === 0) this.#lastWord()
      },
    })
    this.#frames = new FrameReader(this.#handler, limits.frameBytesMax)
  }

  get streams(): number {
    return this.#streams.size
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Bytes of header fields that are kept for the peer, as HPACK counts them. */
  get tableBytes(): number {
    return this.#handler.tableBytes
  }

  /** Reads what came, and answers it at once. */
  read(chunk: Buffer): void {
    if (!this.#isOpen || chunk.length === 0) return
    this.life.wasRead = true
    this.#isReading = true
    try {
      const at = this.#prefaceAt < PREFACE.length ? this.#preface(chunk) : 0
      if (at >= 0) this.#frames.read(chunk, at)
    } catch (error) {
      if (error instanceof ConnectionError) this.close(error.code, error.message)
      else {
        this.#shared.bug(error)
        this.close(ERROR.internal, '')
      }
    }
    this.#isReading = false
    this.#flush()
  }

  /** The peer is gone: every call on it is over. */
  lost(): void {
    this.#isOpen = false
    this.#streams.drop()
  }

  /** Ends the connection: GOAWAY, and nothing more. */
  close(code: number, message: string): void {
    if (!this.#isOpen) return
    this.lost()
    this.#outbox.goaway(this.#handler.lastId, code, message)
    this.#flush()
    this.#wire.end()
  }

  /**
   * Leaves in two steps. The first GOAWAY names no stream, so that requests that are on their way are still answered;
   * after a round trip the second says which the last one was, and the connection ends with its last stream.
   */
  shutdown(): void {
    if (!this.#isOpen || this.#isDraining) return
    this.#isDraining = true
    if (!this.#handler.hasSettings) {
      this.close(ERROR.none, '')
      return
    }
    this.life.draining(this.#shared.now())
    this.#outbox.goaway(WINDOW_MAX, ERROR.none)
    this.#outbox.ping(false, DRAIN_PING)
    this.#soon()
  }

  /** The second GOAWAY. */
  #lastWord(): void {
    if (!this.#isOpen || this.#isLeaving) return
    this.#isLeaving = true
    this.#handler.takeNoMore()
    this.#outbox.goaway(this.#handler.lastId, ERROR.none)
    this.#soon()
  }

  /** Compares the client's preface as it comes; gives where the first frame begins, or -1 where it has not come. */
  #preface(chunk: Buffer): number {
    if (this.#prefaceAt === 0) this.#greet()
    const part = Math.min(PREFACE.length - this.#prefaceAt, chunk.length)
    if (PREFACE.compare(chunk, 0, part, this.#prefaceAt, this.#prefaceAt + part) !== 0)
      throw new ConnectionError(ERROR.protocol, 'this is no HTTP/2 with prior knowledge')
    this.#prefaceAt += part
    return this.#prefaceAt === PREFACE.length ? part : -1
  }

  #greet(): void {
    const { limits } = this.#shared
    this.#outbox.settings([
      [SETTING.maxConcurrentStreams, limits.streamsMax],
      [SETTING.initialWindowSize, limits.streamWindowBytes],
      [SETTING.maxHeaderListSize, limits.headerListBytesMax],
      [SETTING.headerTableSize, limits.headerTableBytesMax],
      [SETTING.maxFrameSize, limits.frameBytesMax],
    ])
    const more = limits.connectionWindowBytes - WINDOW_DEFAULT
    if (more > 0) this.#outbox.windowUpdate(0, more)
  }

  #soon(): void {
    if (this.#isReading || this.#isFlushAsked) return
    this.#isFlushAsked = true
    queueMicrotask(() => {
      this.#isFlushAsked = false
      this.#flush()
    })
  }

  #flush(): void {
    this.#handed += this.#outbox.waiting
    this.#outbox.flush()
    if (!this.#isOpen || !this.#isLeaving || this.#streams.size > 0) return
    // The last stream of a drain has ended.
    this.lost()
    this.#wire.end()
  }

  #mortal(): ConstructorParameters<typeof Life>[0] {
    return {
      isOpen: () => this.#isOpen,
      hasPreface: () => this.#handler.hasSettings,
      streams: () => this.#streams.size,
      sent: () => this.#handed - this.#wire.queued(),
      queued: this.#wire.queued,
      ping: () => {
        this.#outbox.ping(false, ALIVE_PING)
        this.#soon()
      },
      settingsTimeout: () => this.close(ERROR.settingsTimeout, 'SETTINGS were not acknowledged'),
      shutdown: () => this.shutdown(),
      lastWord: () => this.#lastWord(),
      sweep: (now) => this.#streams.sweep(now),
      destroy: () => {
        this.lost()
        this.#wire.destroy()
      },
    }
  }
}
