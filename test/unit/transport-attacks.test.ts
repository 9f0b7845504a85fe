import t from 'tap'
import { handlersOf } from '../../src/envoy/serving.ts'
import { FLAG, FRAME } from '../../src/envoy/transport/codes.ts'
import { FLOOD_COSTS, LIMITS } from '../../src/envoy/transport/limits.ts'
import { Memory } from '../../src/envoy/transport/memory.ts'
import { callHeaders, frame, HpackWriter, message, PREFACE, settings, u32 } from '../helpers/h2-frames.ts'
import { Fuzzer } from '../helpers/h2-fuzz.ts'
import { echoHandlers, Peer } from '../helpers/h2-peer.ts'
import { scriptedJudge } from '../helpers/scripted-judge.ts'
import { PROCESS } from '../helpers/wire-messages.ts'

const HELLO = Buffer.from('hello')

/** Sends the same again and again; gives how often it was borne, and what was said at the end. */
const flood = (peer: Peer, next: (turn: number) => Buffer, atMost = 15_000): { borne: number; last: string } => {
  for (let turn = 0; turn < atMost; turn++) {
    peer.send(next(turn))
    if (!peer.connection.isOpen) return { borne: turn, last: peer.words().at(-1) ?? '' }
    if (turn % 100 === 99) peer.bytes()
  }
  return { borne: atMost, last: '' }
}
const tokens = LIMITS.floodTokens.is
const calm = /^goaway 11 after \d+: too many frames that bring no work$/

t.test('floods of frames that bring no work end the connection after what each may cost', async (t) => {
  const id = 1
  const open = (): Peer => {
    const peer = new Peer().greet()
    peer.call()
    peer.words()
    return peer
  }
  const idle = Buffer.concat([u32(0), Buffer.from([1])])
  const floods: readonly (readonly [string, number, Buffer])[] = [
    ['PING', FLOOD_COSTS.ping, frame(FRAME.ping, 0, 0, Buffer.alloc(8))],
    ['PING that is acknowledged unasked', FLOOD_COSTS.ping, frame(FRAME.ping, FLAG.ack, 0, Buffer.alloc(8))],
    ['SETTINGS', FLOOD_COSTS.settings, settings([4, 1])],
    ['empty SETTINGS', FLOOD_COSTS.settings, settings()],
    ['SETTINGS that are acknowledged unasked', FLOOD_COSTS.late, frame(FRAME.settings, FLAG.ack, 0)],
    ['PRIORITY', FLOOD_COSTS.priority, frame(FRAME.priority, 0, 99, idle)],
    ['DATA of length zero', FLOOD_COSTS.emptyData, frame(FRAME.data, 0, id)],
    ['DATA of padding alone', FLOOD_COSTS.emptyData, frame(FRAME.data, FLAG.padded, id, Buffer.from([3, 0, 0, 0]))],
    ['WINDOW_UPDATE of one byte', FLOOD_COSTS.windowUpdate, frame(FRAME.windowUpdate, 0, 0, u32(1))],
    ['GOAWAY', FLOOD_COSTS.goaway, frame(FRAME.goaway, 0, 0, Buffer.alloc(8))],
    ['frames of no known type', FLOOD_COSTS.unknown, frame(0x77, 0, 0, Buffer.alloc(10))],
  ]
  for (const [what, cost, bytes] of floods) {
    const peer = open()
    const { borne, last } = flood(peer, () => bytes)
    t.ok(borne <= tokens / cost && borne > tokens / cost - 20, `${what}: ${borne} were borne`)
    t.match(last, calm, what)
    t.equal(peer.active.count, 0)
  }
  const late = open()
  late.send(frame(FRAME.reset, 0, id, u32(8)))
  const { borne } = flood(late, () => frame(FRAME.data, 0, id, HELLO))
  t.ok(borne <= tokens, 'DATA on a stream that is over')
})

t.test('the rapid reset: streams that are opened and reset before any answer', async (t) => {
  const peer = new Peer().greet()
  const writer = new HpackWriter()
  let seen = 0
  const attack = (turn: number): Buffer => {
    seen = Math.max(seen, peer.connection.streams)
    const id = 1 + turn * 2
    return Buffer.concat([
      frame(FRAME.headers, FLAG.endHeaders, id, writer.block(callHeaders(), { isKept: true })),
      frame(FRAME.reset, 0, id, u32(8)),
    ])
  }
  const { borne, last } = flood(peer, attack)
  t.ok(borne <= tokens / FLOOD_COSTS.unanswered && borne > 900, `${borne} were borne`)
  t.match(last, calm)
  t.same([seen, peer.active.count], [0, 0], 'no call of it lived on')
})

t.test("Envoy's own resets, each after its answer, are borne for ever", async (t) => {
  const peer = new Peer().greet()
  const writer = new HpackWriter()
  const { borne } = flood(peer, (turn) => {
    const id = 1 + turn * 2
    return Buffer.concat([
      frame(FRAME.headers, FLAG.endHeaders, id, writer.block(callHeaders(), { isKept: true })),
      frame(FRAME.data, 0, id, message(HELLO)),
      frame(FRAME.reset, 0, id, u32(8)),
      frame(FRAME.windowUpdate, 0, 0, u32(10)),
      frame(FRAME.ping, 0, 0, Buffer.alloc(8)),
    ])
  })
  t.equal(borne, 15_000)
  t.same([peer.active.count, peer.memory.held], [0, 0])
})

t.test('patience comes back with time, no faster than it says', async (t) => {
  const peer = new Peer().greet()
  const ping = frame(FRAME.ping, 0, 0, Buffer.alloc(8))
  const many = (count: number) => peer.send(...Array.from({ length: count }, () => ping)).connection.isOpen
  t.ok(many(tokens - 20))
  peer.now += 1_000
  t.ok(many(LIMITS.floodTokensPerSecond.is))
  t.notOk(many(40))
  const idle = new Peer().greet()
  idle.send(...Array.from({ length: tokens - 20 }, () => ping))
  idle.now += 1e9
  t.ok(idle.send(...Array.from({ length: tokens }, () => ping)).connection.isOpen, 'all of it')
  t.notOk(idle.send(...Array.from({ length: 100 }, () => ping)).connection.isOpen, 'and no more than that')
})

t.test(
  'resets that we are made to send cost their maker: windows of nothing, ids that depend on themselves',
  async (t) => {
    const faults: readonly (readonly [string, (id: number) => Buffer])[] = [
      ['a window update of nothing', (id) => frame(FRAME.windowUpdate, 0, id, u32(0))],
      ['a window that is too large', (id) => frame(FRAME.windowUpdate, 0, id, u32(0x7fffffff))],
      [
        'a stream that depends on itself',
        (id) => frame(FRAME.priority, 0, id, Buffer.concat([u32(id), Buffer.from([0])])),
      ],
      ['a PRIORITY of four bytes', (id) => frame(FRAME.priority, 0, id, u32(0))],
      ['HEADERS twice', (id) => frame(FRAME.headers, FLAG.endHeaders, id, Buffer.from([0x83]))],
    ]
    for (const [what, fault] of faults) {
      const peer = new Peer().greet()
      const writer = new HpackWriter()
      const { borne, last } = flood(peer, (turn) => {
        const id = 1 + turn * 2
        return Buffer.concat([
          frame(FRAME.headers, FLAG.endHeaders, id, writer.block(callHeaders(), { isKept: true })),
          fault(id),
        ])
      })
      t.ok(borne <= tokens / FLOOD_COSTS.fault, `${what}: ${borne} were borne`)
      t.match(last, calm, what)
    }
  },
)

t.test('requests that are none are answered, and after some thousands no more', async (t) => {
  const peer = new Peer().greet()
  const writer = new HpackWriter()
  const fields = [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', '/'],
  ] as const
  const { borne, last } = flood(peer, (turn) =>
    frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1 + turn * 2, writer.block(fields)),
  )
  t.ok(borne <= tokens / FLOOD_COSTS.refusal && borne > 2_000, `${borne} were borne`)
  t.match(last, calm)
})

t.test('streams: no more than may be open at once, and who insists is let go', async (t) => {
  const peer = new Peer({ limits: { streamsMax: 50 } }).greet()
  const writer = new HpackWriter()
  const { borne, last } = flood(peer, (turn) =>
    frame(FRAME.headers, FLAG.endHeaders, 1 + turn * 2, writer.block(callHeaders(), { isKept: true })),
  )
  t.ok(borne <= 50 + tokens / FLOOD_COSTS.fault && borne > 900, `${borne} were borne`)
  t.match(last, calm)
  const other = new Peer({ limits: { streamsMax: 1 } }).greet()
  other.call()
  other.call()
  t.same(other.words(), ['reset 3 7'], 'REFUSED_STREAM, which may be tried again')
})

t.test('the CONTINUATION flood: a header block has an end, in frames and in bytes', async (t) => {
  const begun = (): Peer => new Peer().greet().send(frame(FRAME.headers, 0, 1, Buffer.from([0x83])))
  const empty = begun()
  const { borne, last } = flood(empty, () => frame(FRAME.continuation, 0, 1))
  t.equal(borne, LIMITS.continuationsMax.is)
  t.match(last, /^goaway 11 after 0: a header block in too many frames$/)
  const large = begun()
  const big = flood(large, () => frame(FRAME.continuation, 0, 1, Buffer.alloc(16_384)))
  t.equal(big.borne, LIMITS.headerBlockBytesMax.is / 16_384 - 1)
  t.match(big.last, /a header block that is too large/)
  const other = begun().send(frame(FRAME.ping, 0, 0, Buffer.alloc(8)))
  t.match(other.words(), [/^goaway 1 after 0: a header block was not ended$/], 'nothing may come between')
})

t.test('the HPACK bomb: a small block that stands for a large list is counted and not kept', async (t) => {
  const peer = new Peer().greet()
  const value = 'v'.repeat(3_900)
  const block = peer.hpack.block([...callHeaders(), ['x-bomb', value]], { isKept: true })
  peer.send(frame(FRAME.headers, FLAG.endHeaders, 1, block))
  const before = process.memoryUsage().heapUsed
  // One byte each: the field that the table has.
  peer.send(
    frame(
      FRAME.headers,
      FLAG.endHeaders | FLAG.endStream,
      3,
      Buffer.concat([peer.hpack.block(callHeaders()), Buffer.alloc(16_000, 0xbe)]),
    ),
  )
  t.same(peer.words(), ['headers 3 431', 'data 3 65', 'data 3 0 end'])
  t.ok(process.memoryUsage().heapUsed - before < 16_000_000, '62 MB of values were not made')
  t.equal(peer.connection.isOpen, true, 'the table is still the same on both sides')
  peer.send(frame(FRAME.headers, FLAG.endHeaders, 5, peer.hpack.block(callHeaders())))
  peer.send(frame(FRAME.data, 0, 5, message(HELLO)))
  t.same(peer.words(), ['headers 5 200', 'data 5 10'])
})

t.test('games with the size of the header table leave it as small as it has to be', async (t) => {
  const peer = new Peer().greet()
  const writer = new HpackWriter()
  let largest = 0
  for (let turn = 0; turn < 600; turn++) {
    const id = 1 + turn * 2
    const resize = [writer.resize(turn % 3 === 0 ? 0 : (turn * 37) % 4_097)]
    const block = Buffer.concat([
      ...resize,
      writer.block([...callHeaders(), [`x-${turn}`, 'y'.repeat(turn % 900)]], { isKept: true }),
    ])
    peer.send(frame(FRAME.headers, FLAG.endHeaders, id, block), frame(FRAME.data, FLAG.endStream, id, message(HELLO)))
    largest = Math.max(largest, peer.connection.tableBytes)
    peer.bytes()
  }
  t.ok(peer.connection.isOpen, 'it is allowed')
  t.ok(largest > 1_000 && largest <= LIMITS.headerTableBytesMax.is, `${largest} bytes at most`)
})

t.test('windows: more than was allowed ends the stream or the connection', async (t) => {
  const limits = { streamWindowBytes: 1_000, connectionWindowBytes: 65_535, messageBytesMax: 1_000_000 }
  const stream = new Peer({ limits }).greet()
  const id = stream.call()
  stream.send(frame(FRAME.data, 0, id, message(Buffer.alloc(2_000))))
  t.same(stream.words(), ['reset 1 3'], 'FLOW_CONTROL_ERROR')
  t.ok(stream.connection.isOpen)
  t.equal(stream.memory.held, 0)
  const all = new Peer({ limits: { ...limits, connectionWindowBytes: 200_000 } }).greet()
  // Of a stream that is over nothing is read, but the connection's window is used.
  const over = all.call()
  all.send(frame(FRAME.reset, 0, over, u32(8)))
  const { borne } = flood(all, () => frame(FRAME.data, 0, over, Buffer.alloc(16_384)), 100)
  t.equal(borne, 100, 'it is given back, or one stream that is over would stop all others')
  const grown = new Peer().greet()
  grown.send(frame(FRAME.windowUpdate, 0, 0, u32(0x7fffffff)))
  t.match(grown.words(), [/^goaway 3 /])
})

t.test('a window that all streams share moves once for each SETTINGS, however often it is named in it', async (t) => {
  const peer = new Peer({ limits: { streamsMax: 2_000 } }).greet()
  const writer = new HpackWriter()
  for (let turn = 0; turn < 2_000; turn++)
    peer.send(frame(FRAME.headers, FLAG.endHeaders, 1 + turn * 2, writer.block(callHeaders(), { isKept: true })))
  const turns = Array.from({ length: 2_700 }, (_, index) => [4, index % 2 === 0 ? 0x7fffffff : 0] as const)
  const { last } = flood(peer, () => settings(...turns), 2_000)
  t.match(last, calm, 'and is paid for')
})

t.test('a slow reader: what waits for it is bounded, by stream, by connection and in all', async (t) => {
  const limits = { messageBytesMax: 40_000, connectionBytesMax: 200_000, streamStallMs: 30_000 }
  const memory = new Memory(300_000)
  const peers = [1, 2].map(() => new Peer({ limits, memory }).greet([4, 0]))
  for (const peer of peers) {
    for (let calls = 0; calls < 20; calls++) {
      const id = peer.call()
      for (let at = 0; at < 10; at++) peer.say(id, Buffer.alloc(15_000))
    }
    t.ok(peer.connection.memory.held <= 200_000)
    t.ok(
      peer.words().some((word) => word.endsWith(' 11')),
      'who comes too late is reset with ENHANCE_YOUR_CALM',
    )
  }
  t.ok(memory.held > 150_000 && memory.held <= 300_000, `${memory.held} bytes in all`)
  peers[0]!.tick(1_000)
  const before = peers[0]!.connection.streams
  peers[0]!.send(settings([4, 1])).bytes()
  peers[0]!.tick(29_999)
  t.equal(peers[0]!.connection.streams, before, 'a byte each is progress')
  for (const peer of peers) peer.tick(31_000).tick(31_000)
  t.same(
    peers.map((peer) => peer.connection.streams),
    [0, 0],
    'after half a minute without any they are reset',
  )
  t.equal(memory.held, 0)
})

t.test('half messages: a length that is promised costs nothing, and what has come is bounded', async (t) => {
  const peer = new Peer({ limits: { connectionBytesMax: 100_000 } }).greet()
  const promise = Buffer.concat([Buffer.from([0]), u32(16_000_000)])
  for (let calls = 0; calls < 1_000; calls++) peer.send(frame(FRAME.data, 0, peer.call(), promise))
  t.ok(peer.memory.held <= 1_024, `${peer.memory.held} bytes for 1,000 promises of 16 MB`)
  for (let id = 1; id < 400; id += 2) peer.send(frame(FRAME.data, 0, id, Buffer.alloc(2_000)))
  t.ok(peer.memory.held <= 100_000)
  t.ok(peer.words().some((word) => word.endsWith('grpc 8 end')))
  peer.connection.lost()
  t.equal(peer.memory.held, 0)
})

t.test('headers that wait for a body which never comes are counted, and given back with their streams', async (t) => {
  const failed: unknown[] = []
  const handlers = handlersOf({ judge: scriptedJudge, failed: (error) => failed.push(error) })
  const peer = new Peer({ limits: { connectionBytesMax: 100_000 }, handlers }).greet()
  const waiting = PROCESS.requestSerialize({
    request_headers: { headers: { headers: [{ key: 'x-pad', raw_value: Buffer.alloc(2_000, 'a') }] } },
    protocol_config: { request_body_mode: 'BUFFERED' },
  })
  // Each in one frame: what comes in pieces is counted while it is gathered, and would be refused by that.
  const ids = Array.from({ length: 80 }, () => {
    const id = peer.call()
    peer.send(frame(FRAME.data, 0, id, message(waiting)))
    return id
  })
  t.ok(peer.memory.held > 90_000 && peer.memory.held <= 100_000, `${peer.memory.held} bytes are held`)
  const refused = peer.words().filter((word) => word.includes('grpc 13'))
  t.equal(refused.length, failed.length)
  t.ok(failed.length >= 25 && failed.length < 40, `${failed.length} of 80 were refused`)
  t.match(failed[0], { name: 'WireError', message: 'too much is held for this connection' })
  const { held } = peer.memory
  peer.send(frame(FRAME.reset, 0, ids[0]!, u32(8)))
  t.equal(held - peer.memory.held, waiting.length, 'a stream gives back what was held for it')
  peer.connection.lost()
  t.same([peer.memory.held, peer.active.count], [0, 0])
})

t.test('bytes that are no HTTP/2, and frames that are too large, end their connection', async (t) => {
  const openings: readonly (readonly [Buffer, string | RegExp])[] = [
    [Buffer.from('GET / HTTP/1.1\r\nhost: h\r\n\r\n'), /^goaway 1 /],
    [Buffer.from([0x16, 3, 1, 0, 5]), /^goaway 1 /],
    [
      Buffer.concat([PREFACE, frame(FRAME.ping, 0, 0, Buffer.alloc(8))]),
      /^goaway 1 after 0: the first frame is not SETTINGS/,
    ],
    [
      Buffer.concat([PREFACE, settings(), Buffer.from([0xff, 0xff, 0xff, 1, 4, 0, 0, 0, 1])]),
      /^goaway 6 after 0: a frame of 16777215 bytes/,
    ],
    [Buffer.concat([PREFACE, settings([2, 2])]), /^goaway 1 /],
    [Buffer.concat([PREFACE, settings(), frame(FRAME.push, 0, 1, u32(2))]), /^goaway 1 after 0: clients may not push/],
  ]
  for (const [bytes, last] of openings) {
    const peer = new Peer().send(bytes)
    t.match(peer.words().at(-1), last)
    t.ok(peer.isEnded)
    peer.send(frame(FRAME.ping, 0, 0, Buffer.alloc(8)))
    t.same(peer.words(), [], 'and nothing after it is heard')
  }
})

t.test('a mistake of ours ends one connection, and is told', async (t) => {
  const methods = new Map([
    [
      '/a/B',
      () => {
        throw new Error('a bug')
      },
    ],
  ])
  const peer = new Peer({ methods, handlers: echoHandlers }).greet()
  peer.call('/a/B')
  t.match(peer.words(), [/^goaway 2 after 1:/])
  t.match(peer.bugs, [{ message: 'a bug' }])
})

t.test(
  'whatever bytes come, there is no crash, nothing is left behind, and answers keep to the rules: 50,000 inputs',
  async (t) => {
    const fuzzer = new Fuzzer(20_261_128)
    for (let input = 0; input < 50_000; input++) fuzzer.once()
    const { connections, blocks, streams, ways } = fuzzer.result
    t.equal(connections + blocks + streams, 50_000)
    t.ok(ways > 1_000, `${ways} ways to answer were seen`)
  },
)
