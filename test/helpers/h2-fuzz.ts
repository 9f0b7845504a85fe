import { ConnectionError, FLAG, FRAME, SETTING, WINDOW_DEFAULT } from '../../src/envoy/transport/codes.ts'
import { HpackDecoder } from '../../src/envoy/transport/hpack-decoder.ts'
import { limitsOf } from '../../src/envoy/transport/limits.ts'
import { Memory } from '../../src/envoy/transport/memory.ts'
import { MessageReader } from '../../src/envoy/transport/message-reader.ts'
import type { Call, Method } from '../../src/envoy/transport/methods.ts'
import { callHeaders, cut, frame, HpackWriter, message, PREFACE, settings, u32 } from './h2-frames.ts'
import { Peer, wordOf } from './h2-peer.ts'

/** A source of chance that gives the same in every run (mulberry32). */
export class Chance {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0
  }

  /** A whole number from 0, below this one. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % limit
  }

  /** True in one of so many cases. */
  once(inSoMany: number): boolean {
    return this.below(inSoMany) === 0
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length)
    for (let i = 0; i < length; i++) bytes[i] = this.below(256)
    return bytes
  }
}

/** How far a run of the fuzzer got. */
export interface Fuzzed {
  readonly connections: number
  readonly blocks: number
  readonly streams: number
  /** Different ways in which connections answered. */
  readonly ways: number
}

/** Inputs that behaved in a new way, kept to be changed further. */
const CORPUS_MAX = 4_000
const PATHS = [
  '/envoy.service.ext_proc.v3.ExternalProcessor/Process',
  '/envoy.service.auth.v3.Authorization/Check',
  '/grpc.health.v1.Health/Check',
  '/grpc.health.v1.Health/Watch',
  '/nobody.Knows/This',
  '/a.Slow/Reader',
]
/** Small limits, so that they are reached. */
const LIMITS = limitsOf({
  streamsMax: 6,
  frameBytesMax: 16_384,
  headerListBytesMax: 700,
  headerBlockBytesMax: 2_000,
  continuationsMax: 3,
  streamWindowBytes: 70_000,
  connectionWindowBytes: 90_000,
  messageBytesMax: 5_000,
  connectionBytesMax: 20_000,
  discardBytesMax: 200,
  floodTokens: 150,
})
/** Smaller ones: windows and memory that a message or two fill. */
const TIGHT = limitsOf({
  ...LIMITS,
  streamsMax: 2,
  headerListBytesMax: 300,
  streamWindowBytes: 400,
  connectionWindowBytes: 65_535,
  messageBytesMax: 2_000,
  connectionBytesMax: 1_500,
})

/**
 * Throws bytes at the transport: whole connections, header blocks and gRPC streams, well made ones that are then spoilt,
 * and earlier ones that behaved in a new way. What must hold is checked for each, and a violation throws with the input.
 * The transport is given no socket, so that tens of thousands of inputs take seconds.
 */
export class Fuzzer {
  readonly #chance: Chance
  readonly #ways = new Set<string>()
  readonly corpus: Buffer[] = []
  /** Values of fields, few of them, so that the dynamic table has what to give. */
  readonly #values: readonly string[]
  #counts = { connections: 0, blocks: 0, streams: 0 }

  constructor(seed: number) {
    const chance = new Chance(seed)
    this.#chance = chance
    this.#values = Array.from({ length: 60 }, () =>
      chance
        .bytes(chance.of([0, 1, 3, 10, 40]))
        .toString('latin1')
        .repeat(chance.of([1, 1, 1, 1, 30])),
    )
  }

  get result(): Fuzzed {
    return { ...this.#counts, ways: this.#ways.size }
  }

  /** One input; gives the bytes of a connection, so that they can be tried again. */
  once(): Buffer | undefined {
    const kind = this.#chance.below(4)
    if (kind === 0) {
      this.#counts.blocks += 1
      this.#block()
      return undefined
    }
    if (kind === 1) {
      this.#counts.streams += 1
      this.#stream()
      return undefined
    }
    this.#counts.connections += 1
    const input = this.#input()
    this.try(input)
    return input
  }

  /** Keeps an input that is worth changing further. */
  keep(input: Buffer): void {
    if (this.corpus.length < CORPUS_MAX) this.corpus.push(input)
    else this.corpus[this.#chance.below(CORPUS_MAX)] = input
  }

  /** What a connection makes of these bytes, however they are cut, is checked. */
  try(input: Buffer): void {
    const whole = this.#told(input, [input])
    if (this.#chance.once(6)) {
      const pieces: Buffer[] = []
      for (let at = 0; at < input.length; ) {
        const size = 1 + this.#chance.below(this.#chance.of([2, 9, 30, 400]))
        pieces.push(input.subarray(at, at + size))
        at += size
      }
      if (!this.#told(input, pieces).equals(whole)) fail('the answer depends on how the bytes were cut', input)
    }
  }

  #told(input: Buffer, pieces: readonly Buffer[]): Buffer {
    const limits = input.length % 3 === 0 ? TIGHT : LIMITS
    const peer = new Peer({ limits, more: [['/a.Slow/Reader', slowReader()]] })
    const { connection } = peer
    for (const piece of pieces) connection.read(piece)
    if (peer.bugs.length > 0) fail(`a mistake of ours: ${(peer.bugs[0] as Error).stack}`, input)
    if (connection.streams > limits.streamsMax) fail('more streams than may be', input)
    if (connection.tableBytes > 4_096) fail('a table larger than may be', input)
    if (peer.memory.held > limits.connectionBytesMax) fail('more memory than may be', input)
    if (peer.memory.held < 0) fail('memory was given back twice', input)
    const out = peer.bytes()
    // Some are told to leave, and have more to say.
    if (input.length % 8 === 0) {
      connection.shutdown()
      connection.read(frame(FRAME.ping, FLAG.ack, 0, Buffer.from('draining')))
      connection.read(input.subarray(PREFACE.length))
    }
    if (out.length > 2_000 + input.length * 32) fail('an answer out of proportion', input)
    this.#judge(input, out)
    // The clock goes on: everything that waits ends at some time, and the peer leaves.
    for (let i = 0; i < 4; i++) peer.tick(30_000)
    connection.lost()
    if (connection.streams > 0 || peer.active.count !== 0) fail('calls are left behind', input)
    if (peer.memory.held !== 0) fail(`${peer.memory.held} bytes are left behind`, input)
    return out
  }

  /** Our frames must be whole, in order, and within the windows that the input granted. */
  #judge(input: Buffer, out: Buffer): void {
    const { frames, rest } = cut(out)
    if (rest.length > 0) fail('frames that are not whole', input)
    const asked = cut(input.subarray(PREFACE.length)).frames
    const grants = new Map<number, number>([[0, WINDOW_DEFAULT]])
    let initial = WINDOW_DEFAULT
    const opened = new Set<number>()
    for (const { type, flags, id, payload } of asked) {
      if (type === FRAME.headers) opened.add(id)
      if (type === FRAME.windowUpdate && payload.length === 4)
        grants.set(id, (grants.get(id) ?? 0) + (payload.readUInt32BE(0) & 0x7fffffff))
      if (type === FRAME.settings && (flags & FLAG.ack) === 0)
        for (let at = 0; at + 6 <= payload.length; at += 6)
          if (payload.readUInt16BE(at) === SETTING.initialWindowSize)
            initial = Math.max(initial, payload.readUInt32BE(at + 2))
    }
    const sent = new Map<number, number>()
    const over = new Set<number>()
    const began = new Set<number>()
    const words = new Set<string>()
    for (const heard of frames) {
      const { type, flags, id, payload } = heard
      if (type === FRAME.data || type === FRAME.headers) {
        if (!opened.has(id)) fail(`an answer to stream ${id}, which nobody opened`, input)
        if (over.has(id)) fail(`an answer on stream ${id} after its end`, input)
        if (type === FRAME.data && !began.has(id)) fail(`DATA before HEADERS on stream ${id}`, input)
        began.add(id)
        if ((flags & FLAG.endStream) !== 0) over.add(id)
      }
      if (type === FRAME.reset) over.add(id)
      if (type === FRAME.data) {
        for (const which of [0, id]) sent.set(which, (sent.get(which) ?? 0) + payload.length)
      }
      words.add(
        wordOf(heard)
          .replace(/ [0-9]+(?= end|$)/, '')
          .replace(/(?<=^\w+) [0-9]+/, ''),
      )
    }
    for (const [id, bytes] of sent)
      if (bytes > (grants.get(id) ?? 0) + (id === 0 ? 0 : initial)) fail(`more than the window of stream ${id}`, input)
    const way = [...words].sort().join(',')
    if (this.#ways.has(way) || this.#ways.size > 100_000) return
    this.#ways.add(way)
    this.keep(input)
  }

  #input(): Buffer {
    const chance = this.#chance
    // The more is known, the less is made up.
    let bytes = chance.below(this.corpus.length + 200) < 200 ? this.#talk() : chance.of(this.corpus)
    if (chance.once(6)) return bytes
    for (let times = chance.below(4); times >= 0; times--) bytes = this.#spoilt(bytes)
    return bytes.subarray(0, chance.once(100) ? 40_000 : 2_500)
  }

  /** A conversation that a client might have. */
  #talk(): Buffer {
    const chance = this.#chance
    const hpack = new HpackWriter()
    const parts: Buffer[] = [PREFACE, settings(...(chance.once(2) ? [] : [this.#setting()]))]
    if (!chance.once(5)) parts.push(frame(FRAME.settings, FLAG.ack, 0))
    let id = -1
    const open: number[] = []
    for (let steps = 1 + chance.below(14); steps > 0; steps--) {
      const stream = open.length === 0 ? 1 : chance.of(open)
      switch (chance.below(14)) {
        case 0:
        case 1:
        case 2:
        case 3: {
          id += 2
          open.push(id)
          parts.push(...this.#headers(hpack, id))
          break
        }
        case 4:
        case 5:
        case 6: {
          const sizes = [0, 1, 20, 300, this.#chance.once(8) ? 6_000 : 40]
          const bytes = message(
            Buffer.concat([Buffer.from([chance.of([0, 0xe0, 0xe1, 0xe2, 9])]), Buffer.alloc(chance.of(sizes), 7)]),
            chance.once(15),
          )
          const at = chance.once(2) ? bytes.length : chance.below(bytes.length)
          parts.push(
            this.#data(stream, bytes.subarray(0, at), false),
            this.#data(stream, bytes.subarray(at), chance.once(2)),
          )
          break
        }
        case 7:
          parts.push(frame(FRAME.reset, 0, stream, u32(8)))
          break
        case 8:
          parts.push(
            frame(FRAME.windowUpdate, 0, chance.of([0, stream]), u32(chance.of([0, 1, 100, 0x7fffffff, 70_000]))),
          )
          break
        case 9:
          parts.push(settings(this.#setting(), this.#setting()))
          break
        case 10:
          parts.push(frame(FRAME.ping, chance.below(2), 0, chance.bytes(8)))
          break
        case 11:
          parts.push(frame(FRAME.priority, 0, stream, Buffer.concat([u32(chance.below(8)), Buffer.from([1])])))
          break
        case 12:
          parts.push(
            frame(chance.of([FRAME.settings, FRAME.goaway, 77]), chance.below(2), 0, chance.bytes(chance.of([0, 8]))),
          )
          break
        default:
          parts.push(this.#data(stream, chance.bytes(chance.below(40)), chance.once(3)))
      }
    }
    return Buffer.concat(parts)
  }

  #setting(): readonly [number, number] {
    return [1 + this.#chance.below(7), this.#chance.of([0, 1, 100, 4_096, 16_384, 65_535, 70_000, 0x7fffffff])]
  }

  #headers(hpack: HpackWriter, id: number): Buffer[] {
    const chance = this.#chance
    const more: [string, string][] = []
    if (chance.once(3)) more.push(['grpc-timeout', chance.of(['1S', '5m', 'x', '99999999H', '0n'])])
    if (chance.once(6)) more.push(['content-length', String(chance.below(30))])
    if (chance.once(4))
      more.push([chance.of(['a', 'x-b', 'te', 'connection', 'A', '']), chance.of(['', 'v', ' v', 'w'.repeat(200)])])
    let fields = callHeaders(chance.of(PATHS), more)
    if (chance.once(8)) fields = fields.filter(() => !chance.once(4))
    if (chance.once(12)) fields = fields.map(([name, value]) => [name, name === ':method' ? 'GET' : value] as const)
    const update = chance.once(10) ? hpack.resize(chance.of([0, 64, 4_096])) : Buffer.alloc(0)
    const block = Buffer.concat([
      update,
      ...fields.map(([name, value]) =>
        hpack.field(name, value, { isKept: chance.once(2), isHuffman: chance.once(2), isPlain: chance.once(8) }),
      ),
    ])
    const flags = chance.once(4) ? FLAG.endStream : 0
    if (chance.once(4)) {
      const cuts = Array.from({ length: 1 + chance.below(4) }, () => chance.below(block.length + 1)).sort(
        (a, b) => a - b,
      )
      const pieces = [0, ...cuts].map((from, index) => block.subarray(from, cuts[index] ?? block.length))
      return pieces.map((piece, index) =>
        frame(
          index === 0 ? FRAME.headers : FRAME.continuation,
          (index === 0 ? flags : 0) | (index === pieces.length - 1 ? FLAG.endHeaders : 0),
          id,
          piece,
        ),
      )
    }
    const isPadded = chance.once(5)
    const hasPriority = chance.once(5)
    const padding = isPadded ? chance.below(20) : 0
    return [
      frame(
        FRAME.headers,
        flags | FLAG.endHeaders | (isPadded ? FLAG.padded : 0) | (hasPriority ? FLAG.priority : 0),
        id,
        Buffer.concat([
          isPadded ? Buffer.from([padding]) : Buffer.alloc(0),
          hasPriority ? Buffer.concat([u32(chance.below(6)), Buffer.from([7])]) : Buffer.alloc(0),
          block,
          Buffer.alloc(padding),
        ]),
      ),
    ]
  }

  #data(id: number, bytes: Buffer, isEnd: boolean): Buffer {
    const flags = isEnd ? FLAG.endStream : 0
    if (!this.#chance.once(6)) return frame(FRAME.data, flags, id, bytes)
    const padding = this.#chance.below(10)
    return frame(
      FRAME.data,
      flags | FLAG.padded,
      id,
      Buffer.concat([Buffer.from([padding]), bytes, Buffer.alloc(padding)]),
    )
  }

  /** One change: of bits and bytes anywhere, or of whole frames. */
  #spoilt(from: Buffer): Buffer {
    const chance = this.#chance
    if (from.length === 0) return chance.bytes(30)
    const at = chance.below(from.length)
    const how = chance.below(10)
    if (how < 6) {
      const bytes = Buffer.from(from)
      if (how === 0) bytes[at] = chance.below(256)
      else if (how === 1) bytes[at] = bytes[at]! ^ (1 << chance.below(8))
      else if (how === 2) bytes[at] = chance.of([0, 1, 0x7f, 0x80, 0xff])
      else if (how === 3) return bytes.subarray(0, at)
      else if (how === 4)
        return Buffer.concat([bytes.subarray(0, at), chance.bytes(1 + chance.below(9)), bytes.subarray(at)])
      else return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + chance.below(20)))])
      return bytes
    }
    const { frames, rest } = cut(from.subarray(PREFACE.length))
    if (frames.length === 0) return from
    const list = frames.map(({ type, flags, id, payload }) => frame(type, flags, id, payload))
    const which = chance.below(list.length)
    if (how === 6) list.splice(which, 1)
    else if (how === 7)
      list.splice(chance.below(list.length), 0, ...Array.from({ length: chance.of([1, 2, 40]) }, () => list[which]!))
    else if (how === 8) [list[which], list[0]] = [list[0]!, list[which]!]
    else {
      const one = Buffer.from(list[which]!)
      const part = chance.of([3, 4, 8])
      one[part] = part === 4 ? one[4]! ^ (1 << chance.below(6)) : chance.below(12)
      list[which] = one
    }
    return Buffer.concat([PREFACE, ...list, rest])
  }

  /** Header blocks: what was written is read back, and what is spoilt is refused or read, never more. */
  #block(): void {
    const chance = this.#chance
    const writer = new HpackWriter()
    const decoder = new HpackDecoder(4_096, true)
    for (let blocks = 1 + chance.below(4); blocks > 0; blocks--) {
      const fields = Array.from(
        { length: chance.below(6) },
        () =>
          [chance.of(['x-a', ':path', 'te', 'x-much-longer-name', 'content-type']), chance.of(this.#values)] as const,
      )
      const bytes = Buffer.concat([
        ...(chance.once(6) ? [writer.resize(chance.of([0, 100, 4_096]))] : []),
        ...fields.map(([name, value]) =>
          writer.field(name, value, { isKept: chance.once(2), isHuffman: chance.once(2), isPlain: chance.once(4) }),
        ),
      ])
      const isGood = !chance.once(2)
      const block = isGood ? bytes : this.#spoilt(bytes)
      const read: (readonly [string, string])[] = []
      try {
        decoder.decode(block, 0, block.length, { field: ({ name, value }) => read.push([name, value]) })
      } catch (error) {
        if (!(error instanceof ConnectionError)) fail(`a block threw ${error}`, block)
        if (isGood) fail(`a good block was refused: ${error}`, block)
        return
      }
      if (decoder.size > 4_096) fail('a table larger than may be', block)
      if (read.length > block.length) fail('more fields than bytes', block)
      // What was said and what was understood are then no longer the same.
      if (!isGood) return
      if (JSON.stringify(read) !== JSON.stringify(fields)) fail(`${JSON.stringify(read)} was read`, block)
    }
  }

  /** gRPC messages, cut anywhere: the same as from one piece. */
  #stream(): void {
    const chance = this.#chance
    const good = Buffer.concat(
      Array.from({ length: chance.below(5) }, () =>
        message(Buffer.alloc(chance.of([0, 1, 7, 200]), 1), chance.once(12)),
      ),
    )
    const bytes = chance.once(2) ? good : this.#spoilt(good).subarray(0, 2_000)
    const expected = messagesOf(bytes, 150)
    const memory = new Memory(100_000)
    const reader = new MessageReader(150, memory)
    const seen: string[] = []
    let isOver = false
    const sink = {
      message: (one: Buffer) => {
        seen.push(one.toString('hex'))
        return true
      },
      fault: (status: number) => {
        isOver = true
        seen.push(`fault ${status}`)
      },
    }
    for (let at = 0; at < bytes.length && !isOver; ) {
      const end = Math.min(bytes.length, at + 1 + chance.below(chance.of([2, 9, 300])))
      if (reader.read(bytes, at, end, sink) !== end) fail('bytes were left though nobody said so', bytes)
      at = end
    }
    if (JSON.stringify(seen) !== JSON.stringify(expected)) fail(`${seen} were read, not ${expected}`, bytes)
    reader.forget()
    if (memory.held !== 0) fail('memory is left behind', bytes)
  }
}

/** What gRPC says of these bytes, the simple way: all messages, and the fault that ends them. */
const messagesOf = (bytes: Buffer, bytesMax: number): string[] => {
  const messages: string[] = []
  for (let at = 0; at < bytes.length; ) {
    if (bytes[at]! > 1) return [...messages, 'fault 13']
    if (at + 5 > bytes.length) return messages
    const length = bytes.readUInt32BE(at + 1)
    if (bytes[at] === 1) return [...messages, 'fault 12']
    if (length > bytesMax) return [...messages, 'fault 8']
    if (at + 5 + length > bytes.length) return messages
    messages.push(bytes.subarray(at + 5, at + 5 + length).toString('hex'))
    at += 5 + length
  }
  return messages
}

/** A method that takes a message at a time: each one waits until another has come, on whatever stream. */
const slowReader = (): Method => {
  const waiting: Call[] = []
  return (call) => ({
    message: (bytes) => {
      waiting.shift()?.resume()
      call.pause()
      waiting.push(call)
      if (bytes.length % 2 === 1) call.send(bytes)
    },
    halfClosed: () => call.end(0),
    gone: () => {
      const at = waiting.indexOf(call)
      if (at >= 0) waiting.splice(at, 1)
    },
  })
}

const fail = (what: string, input: Buffer): never => {
  throw new Error(`${what}; input ${input.toString('hex')}`)
}
