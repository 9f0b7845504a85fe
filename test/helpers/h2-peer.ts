import type { Handlers } from '../../src/envoy/handlers.ts'
import { HealthService } from '../../src/envoy/health-service.ts'
import { FLAG, FRAME } from '../../src/envoy/transport/codes.ts'
import { Connection, type Shared } from '../../src/envoy/transport/connection.ts'
import { type Limits, limitsOf } from '../../src/envoy/transport/limits.ts'
import { Memory } from '../../src/envoy/transport/memory.ts'
import type { Method, Methods } from '../../src/envoy/transport/methods.ts'
import { methodsOf } from '../../src/envoy/transport/services.ts'
import { callHeaders, cut, frame, type Heard, HpackWriter, headersOf, message, PREFACE, settings } from './h2-frames.ts'

/** Answers each message of ext_proc with its bytes; the first of them may ask for something else. */
export const echoHandlers: Handlers = {
  process: (bytes) => {
    if (bytes[0] === 0xe0) throw new Error('asked to fail')
    if (bytes[0] === 0xe1) return 'end'
    return bytes[0] === 0xe2 ? undefined : bytes
  },
  check: (bytes) => {
    if (bytes[0] === 0xe0) throw new Error('asked to fail')
    return bytes
  },
  failed: () => {},
}

/** What a peer is told. */
export interface PeerOptions {
  readonly limits?: Partial<Limits>
  /** Instead of the real ones. */
  readonly methods?: Methods
  /** Beside the real ones. */
  readonly more?: readonly (readonly [string, Method])[]
  readonly handlers?: Handlers
  /** The memory of the whole server. */
  readonly memory?: Memory
}

/** A client made of bytes, on a connection without a socket and with a clock that it moves itself. */
export class Peer {
  readonly connection: Connection
  readonly active = { count: 0 }
  readonly health = new HealthService()
  readonly hpack = new HpackWriter()
  readonly bugs: unknown[] = []
  readonly memory: Memory
  now = 0
  /** How many bytes the socket says that it has not sent. */
  queued = 0
  /** How often something was handed to the socket. */
  writes = 0
  isEnded = false
  isDestroyed = false
  #out: Buffer[] = []
  #nextId = 1

  constructor({ limits, methods, more = [], handlers = echoHandlers, memory }: PeerOptions = {}) {
    const all = limits !== undefined && 'tickMs' in limits ? (limits as Limits) : limitsOf(limits)
    this.memory = memory ?? new Memory(all.serverBytesMax)
    const shared: Shared = {
      methods: methods ?? methodsOf(handlers, this.health, this.active, more),
      limits: all,
      now: () => this.now,
      memory: this.memory,
      bug: (error) => this.bugs.push(error),
    }
    this.connection = new Connection(shared, {
      write: (chunks) => {
        this.writes += 1
        for (const chunk of chunks) this.#out.push(Buffer.from(chunk))
      },
      queued: () => this.queued,
      end: () => {
        this.isEnded = true
      },
      destroy: () => {
        this.isDestroyed = true
      },
    })
  }

  /** Shakes hands, and forgets what was said to it. */
  greet(...pairs: readonly (readonly [number, number])[]): this {
    this.send(PREFACE, settings(...pairs), frame(FRAME.settings, FLAG.ack, 0))
    this.heard()
    return this
  }

  send(...parts: readonly Buffer[]): this {
    this.connection.read(Buffer.concat(parts))
    return this
  }

  /** Moves the clock, as the transport's timer does. */
  tick(ms: number): this {
    this.now += ms
    this.connection.life.tick(this.now)
    return this
  }

  /** All bytes since the last look. */
  bytes(): Buffer {
    const bytes = Buffer.concat(this.#out)
    this.#out = []
    return bytes
  }

  /** All frames since the last look. Throws where they are not whole. */
  heard(): readonly Heard[] {
    const { frames, rest } = cut(this.bytes())
    if (rest.length > 0) throw new Error(`${rest.length} bytes that are no frame`)
    return frames
  }

  /** The frames since the last look, a word each: `headers 1 200`, `data 1 5`, `reset 1 8`, `goaway 11 …`. */
  words(): string[] {
    return this.heard().map(wordOf)
  }

  /** HEADERS of a call; gives its id and the bytes. */
  headers(
    path?: string,
    { more = [], flags = 0 }: { more?: readonly (readonly [string, string])[]; flags?: number } = {},
  ): { id: number; bytes: Buffer } {
    const id = this.#nextId
    this.#nextId += 2
    const block = this.hpack.block(callHeaders(path, more), { isKept: true, isHuffman: true })
    return { id, bytes: frame(FRAME.headers, FLAG.endHeaders | flags, id, block) }
  }

  /** Begins a call; gives its id. */
  call(path?: string, told: { more?: readonly (readonly [string, string])[]; flags?: number } = {}): number {
    const { id, bytes } = this.headers(path, told)
    this.send(bytes)
    return id
  }

  /** Sends a message on a call. */
  say(id: number, bytes: Buffer, flags = 0): this {
    return this.send(frame(FRAME.data, flags, id, message(bytes)))
  }
}

const NAMES = Object.fromEntries(Object.entries(FRAME).map(([name, type]) => [type, name]))

/** A frame of ours in a word or three. */
export const wordOf = ({ type, flags, id, payload }: Heard): string => {
  const end = (flags & FLAG.endStream) !== 0 ? ' end' : ''
  if (type === FRAME.headers) {
    const headers = headersOf(payload)
    const status = headers['grpc-status']
    return `headers ${id}${headers[':status'] === undefined ? '' : ` ${headers[':status']}`}${status === undefined ? '' : ` grpc ${status}`}${end}`
  }
  if (type === FRAME.data) return `data ${id} ${payload.length}${end}`
  if (type === FRAME.reset) return `reset ${id} ${payload.readUInt32BE(0)}`
  if (type === FRAME.goaway)
    return `goaway ${payload.readUInt32BE(4)} after ${payload.readUInt32BE(0)}: ${payload.subarray(8)}`.trimEnd()
  if (type === FRAME.windowUpdate) return `window ${id} ${payload.readUInt32BE(0)}`
  return `${NAMES[type]}${(flags & FLAG.ack) !== 0 ? ' ack' : ''}`
}
