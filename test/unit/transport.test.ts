import * as fc from 'fast-check'
import t from 'tap'
import { FLAG, FRAME } from '../../src/envoy/transport/codes.ts'
import { HpackDecoder } from '../../src/envoy/transport/hpack-decoder.ts'
import { LIMITS } from '../../src/envoy/transport/limits.ts'
import { Memory } from '../../src/envoy/transport/memory.ts'
import { MessageReader } from '../../src/envoy/transport/message-reader.ts'
import type { Call, Method } from '../../src/envoy/transport/methods.ts'
import { Outbox } from '../../src/envoy/transport/outbox.ts'
import { encodeStatusMessage } from '../../src/envoy/transport/status.ts'
import { parseTimeout } from '../../src/envoy/transport/timeout.ts'
import {
  callHeaders,
  cut,
  frame,
  HpackWriter,
  message,
  PREFACE,
  PROCESS_PATH,
  settings,
  u32,
} from '../helpers/h2-frames.ts'
import { echoHandlers, Peer } from '../helpers/h2-peer.ts'

const hex = (text: string): Buffer => Buffer.from(text, 'hex')
const CHECK = '/envoy.service.auth.v3.Authorization/Check'
const HEALTH = '/grpc.health.v1.Health/Check'
const HELLO = Buffer.from('hello')

const read = (decoder: HpackDecoder, block: Buffer): string[] => {
  const fields: string[] = []
  decoder.decode(block, 0, block.length, { field: ({ name, value }) => fields.push(`${name}: ${value}`) })
  return fields
}

t.test('HPACK: the examples of RFC 7541, appendix C, are read as it says', async (t) => {
  const first = [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com']
  const third = [':method: GET', ':scheme: https', ':path: /index.html', ':authority: www.example.com']
  const requests = [
    [
      'C.3',
      '828684410f7777772e6578616d706c652e636f6d',
      '828684be58086e6f2d6361636865',
      '828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565',
    ],
    [
      'C.4',
      '828684418cf1e3c2e5f23a6ba0ab90f4ff',
      '828684be5886a8eb10649cbf',
      '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf',
    ],
  ] as const
  for (const [name, ...blocks] of requests) {
    const decoder = new HpackDecoder(4_096, true)
    t.same(
      blocks.map((block) => read(decoder, hex(block))),
      [first, [...first, 'cache-control: no-cache'], [...third, 'custom-key: custom-value']],
      name,
    )
    t.equal(decoder.size, 164)
  }
  const small = new HpackDecoder(256, true)
  const date = (second: number) => `date: Mon, 21 Oct 2013 20:13:2${second} GMT`
  const location = 'location: https://www.example.com'
  const blocks = [
    '488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3',
    '4883640effc1c0bf',
    '88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007',
  ]
  t.same(
    blocks.map((block) => read(small, hex(block))),
    [
      [':status: 302', 'cache-control: private', date(1), location],
      [':status: 307', 'cache-control: private', date(1), location],
      [
        ':status: 200',
        'cache-control: private',
        date(2),
        location,
        'content-encoding: gzip',
        'set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1',
      ],
    ],
  )
  t.equal(small.size, 215, 'fields were evicted')
})

t.test('HPACK: whatever a writer with a table of its own says is read back', async (t) => {
  const text = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString('latin1'))
  const field = fc.record({
    name: fc.constantFrom(':path', 'te', 'x-a', 'x-b', 'content-type', 'grpc-timeout'),
    value: text,
    isKept: fc.boolean(),
    isHuffman: fc.boolean(),
    isPlain: fc.boolean(),
  })
  const block = fc.record({
    size: fc.option(fc.constantFrom(0, 50, 200, 4_096)),
    fields: fc.array(field, { maxLength: 8 }),
  })
  fc.assert(
    fc.property(fc.array(block, { maxLength: 6 }), (blocks) => {
      const writer = new HpackWriter()
      const decoder = new HpackDecoder(4_096, true)
      for (const { size, fields } of blocks) {
        const update = size === null ? Buffer.alloc(0) : writer.resize(size)
        const bytes = Buffer.concat([update, ...fields.map((one) => writer.field(one.name, one.value, one))])
        const back = read(decoder, bytes)
        if (back.join('\n') !== fields.map(({ name, value }) => `${name}: ${value}`).join('\n')) return false
      }
      return true
    }),
    { numRuns: 300 },
  )
  t.pass('300 conversations')
})

t.test('HPACK: what is no header block is refused', async (t) => {
  const refused: readonly (readonly [string, string])[] = [
    ['index 0', '80'],
    ['an index of nothing', 'be'],
    ['a number without an end', 'ffffff'],
    ['a number larger than any', 'ffffffffffffff7f'],
    ['a string longer than the block', '400f78'],
    ['a name without a value', '400161'],
    ['a Huffman string that ends in zeros', '4081000161'],
    ['a Huffman string with eight bits of padding', '408207ff0161'],
    ['a Huffman string with the mark of the end', '4084ffffffff0161'],
    ['a table larger than allowed', '3fe21f'],
    ['a table size after a field', '8220'],
    ['three table sizes', '202020'],
  ]
  for (const [what, block] of refused)
    t.throws(() => read(new HpackDecoder(4_096), hex(block)), { name: 'ConnectionError', code: 9 }, what)
})

t.test('gRPC messages are the same, wherever their bytes are cut', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 6 }), fc.array(fc.nat(40)), (list, cuts) => {
      const bytes = Buffer.concat(list.map((one) => message(Buffer.from(one))))
      const memory = new Memory(10_000)
      const reader = new MessageReader(300, memory)
      const seen: Buffer[] = []
      const sink = { message: (one: Buffer) => seen.push(one) > 0, fault: () => {} }
      let at = 0
      for (const size of [...cuts, bytes.length]) {
        const end = Math.min(bytes.length, at + size)
        at = reader.read(bytes, at, end, sink)
      }
      return memory.held === 0 && seen.length === list.length && seen.every((one, index) => one.equals(list[index]!))
    }),
  )
  const memory = new Memory(10_000)
  const reader = new MessageReader(16_000_000, memory)
  reader.read(message(Buffer.alloc(16_000_000)).subarray(0, 20), 0, 20, { message: () => true, fault: () => {} })
  t.ok(memory.held <= 1_024, 'what a length promises is not believed ahead of time')
})

t.test('timeouts and status messages are read and written as gRPC has them', async (t) => {
  t.same(['1H', '2M', '3S', '400m', '5000u', '1000000n'].map(parseTimeout), [3_600_000, 120_000, 3_000, 400, 5, 1])
  for (const none of ['', '1', 'S', '123456789S', '-1S', '1s', '1.5S'])
    t.equal(parseTimeout(none), Number.POSITIVE_INFINITY)
  t.same(['not here', '100%', 'käse', ' a '].map(encodeStatusMessage), ['not here', '100%25', 'k%C3%A4se', '%20a%20'])
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (text) => {
      const sent = encodeStatusMessage(text)
      return /^[\x20-\x7e]*$/.test(sent) && sent.trim() === sent && decodeURIComponent(sent) === text.toWellFormed()
    }),
  )
})

t.test('a call gets its answers in one write, then is ended by whoever ends it', async (t) => {
  const peer = new Peer().greet()
  const { id, bytes } = peer.headers()
  peer.send(bytes, frame(FRAME.data, 0, id, message(HELLO)))
  t.same(peer.words(), ['headers 1 200', 'data 1 10'])
  t.equal(peer.active.count, 1)
  peer.send(frame(FRAME.reset, 0, id, u32(8)))
  t.same([peer.words(), peer.active.count, peer.connection.streams], [[], 0, 0], "Envoy's reset is the normal end")
  const second = peer.call()
  peer.say(second, HELLO, FLAG.endStream)
  t.same(peer.words(), ['headers 3 200', 'data 3 10', 'headers 3 grpc 0 end'], 'a half-closed stream is ended well')
  const third = peer.call()
  peer.say(third, Buffer.from([0xe1]))
  t.same(peer.words(), ['headers 5 200 grpc 0 end', 'reset 5 0'], 'a method that ends the call need not hear the rest')
  const fourth = peer.call()
  peer.say(fourth, Buffer.from([0xe0])).say(fourth, HELLO)
  t.same(peer.words(), ['headers 7 200 grpc 13 end', 'reset 7 0'], 'an exception is INTERNAL')
  t.equal(peer.active.count, 0)
})

t.test(
  'whatever comes in one chunk is answered in one write, and what is said later in one for each turn',
  async (t) => {
    const held: ((bytes: Buffer) => void)[] = []
    const peer = new Peer({
      handlers: {
        ...echoHandlers,
        process: (bytes, stream) => {
          if (bytes[0] === 9) held.push((answer) => stream.send?.(answer))
          return bytes[0] === 9 ? undefined : bytes
        },
      },
    }).greet()
    const before = peer.writes
    const calls = Array.from({ length: 40 }, () => peer.headers())
    peer.send(...calls.flatMap(({ id, bytes }) => [bytes, frame(FRAME.data, 0, id, message(HELLO))]))
    t.equal(peer.words().length, 80)
    t.equal(peer.writes, before + 1)
    peer.send(...calls.map(({ id }) => frame(FRAME.data, 0, id, message(Buffer.from([9])))))
    t.same([peer.words(), peer.writes], [[], before + 1])
    for (const send of held) send(HELLO)
    t.equal(peer.writes, before + 1, 'not at once')
    await Promise.resolve()
    t.equal(peer.words().length, 40)
    t.equal(peer.writes, before + 2)
  },
)

t.test('a method that pauses hears messages, and their end, only when it goes on', async (t) => {
  const heard: string[] = []
  let call: Call | undefined
  const method: Method = (begun) => {
    call = begun
    return {
      message: (bytes) => {
        heard.push(bytes.toString())
        begun.pause()
      },
      halfClosed: () => {
        heard.push('end')
        begun.end(0)
      },
      gone: () => heard.push('gone'),
    }
  }
  const peer = new Peer({ methods: new Map([['/a/B', method]]) }).greet()
  const id = peer.call('/a/B')
  peer.say(id, Buffer.from('one')).say(id, Buffer.from('two')).say(id, Buffer.from('three'), FLAG.endStream)
  t.same(heard, ['one'])
  call?.resume()
  call?.resume()
  t.same(heard, ['one', 'two', 'three'])
  t.equal(peer.memory.held, 0)
  call?.resume()
  await Promise.resolve()
  t.same(heard, ['one', 'two', 'three', 'end', 'gone'])
  t.same(peer.words(), ['headers 1 200 grpc 0 end'])
  heard.length = 0
  const short = peer.call('/a/B')
  peer.say(short, Buffer.from('only'), FLAG.endStream)
  t.same(heard, ['only'], 'an end with nothing before it waits as well')
  call?.resume()
  t.same(heard, ['only', 'end', 'gone'])
})

t.test('a request is as long as it says', async (t) => {
  const peer = new Peer().greet()
  const call = (length: number) => peer.call(PROCESS_PATH, { more: [['content-length', String(length)]] })
  const right = call(10)
  peer.say(right, HELLO, FLAG.endStream)
  t.equal(peer.words().at(-1), `headers ${right} grpc 0 end`)
  const long = call(9)
  peer.say(long, HELLO)
  t.same(peer.words(), [`reset ${long} 1`])
  const short = call(11)
  peer.say(short, HELLO, FLAG.endStream)
  t.equal(peer.words().at(-1), `reset ${short} 1`)
  const both = peer.call(PROCESS_PATH, {
    more: [
      ['content-length', '1'],
      ['content-length', '2'],
    ],
  })
  t.same(peer.words(), [`reset ${both} 1`])
  t.equal(peer.active.count, 0)
})

t.test('a unary call is answered when its request has ended, and has one message', async (t) => {
  const peer = new Peer().greet()
  const one = peer.call(CHECK)
  peer.say(one, HELLO)
  t.same(peer.words(), [])
  peer.send(frame(FRAME.data, FLAG.endStream, one))
  t.same(peer.words(), ['headers 1 200', 'data 1 10', 'headers 1 grpc 0 end'])
  const none = peer.call(CHECK, { flags: FLAG.endStream })
  t.same(peer.words(), [`headers ${none} 200 grpc 12 end`])
  const two = peer.call(CHECK)
  peer.say(two, HELLO).say(two, HELLO, FLAG.endStream)
  t.same(peer.words(), [`headers ${two} 200 grpc 12 end`, `reset ${two} 0`])
  const bug = peer.call(CHECK)
  peer.say(bug, Buffer.from([0xe0]), FLAG.endStream)
  t.same(peer.words(), [`headers ${bug} 200 grpc 13 end`])
  const half = peer.call(CHECK)
  peer.send(frame(FRAME.data, FLAG.endStream, half, message(HELLO).subarray(0, 7)))
  t.same(peer.words(), [`headers ${half} 200 grpc 13 end`], 'the request ended in the middle of a message')
})

t.test('who has ended a request and goes on is told that the stream is closed', async (t) => {
  // The window is shut, so that the answers, and with them the streams, are still there.
  const peer = new Peer().greet([4, 0])
  for (const [what, more] of [
    ['DATA', (id: number) => frame(FRAME.data, 0, id, HELLO)],
    ['HEADERS', (id: number) => frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, id, Buffer.alloc(0))],
  ] as const) {
    const id = peer.call(CHECK)
    peer.say(id, HELLO, FLAG.endStream)
    t.same(peer.words(), [`headers ${id} 200`])
    peer.send(more(id))
    t.same(peer.words(), [`reset ${id} 5`], what)
  }
  t.equal(peer.memory.held, 0)
})

t.test('what is no call of ours is refused: method, type, path, compression, size', async (t) => {
  const peer = new Peer({ limits: { messageBytesMax: 100 } }).greet()
  const ask = (fields: (readonly [string, string])[], id: number, flags = 0) =>
    peer.send(frame(FRAME.headers, FLAG.endHeaders | flags, id, peer.hpack.block(fields))).words()
  const but = (name: string, value: string) =>
    callHeaders().map(([one, was]) => [one, one === name ? value : was] as const)
  t.same(ask(but(':method', 'GET'), 1, FLAG.endStream), ['headers 1 405', 'data 1 36', 'data 1 0 end'])
  t.same(ask(but('content-type', 'text/plain'), 3), ['headers 3 415', 'data 3 61', 'data 3 0 end'])
  t.same(ask(but('content-type', 'application/grpcx'), 5, FLAG.endStream).slice(0, 1), ['headers 5 415'])
  t.same(ask(but('content-type', 'application/grpc+proto'), 7), [], 'a codec may be named')
  t.same(ask(but(':path', '/none/Such'), 9), ['headers 9 200 grpc 12 end', 'reset 9 0'])
  peer.send(frame(FRAME.headers, FLAG.endHeaders, 11, peer.hpack.block(callHeaders())))
  peer.send(frame(FRAME.data, 0, 11, message(HELLO, true)))
  const [refused] = peer.heard()
  t.match(refused!.payload.toString('latin1'), /grpc-status.*12.*compressed.*grpc-accept-encoding.*identity/s)
  peer.send(frame(FRAME.headers, FLAG.endHeaders, 13, peer.hpack.block(callHeaders())))
  peer.heard()
  peer.send(frame(FRAME.data, 0, 13, Buffer.concat([Buffer.from([0]), u32(101)])))
  t.same(peer.words(), ['headers 13 200 grpc 8 end', 'reset 13 0'], 'RESOURCE_EXHAUSTED before it has come')
})

t.test('header fields that HTTP/2 does not allow end their stream, and no other', async (t) => {
  const bad: readonly (readonly [string, string])[] = [
    ['x-a', 'zero\0'],
    ['x-a', 'two\r\nlines'],
    ['x-a', ' blank before'],
    ['x-a', 'blank behind\t'],
    ['X-Capital', 'v'],
    ['x space', 'v'],
    ['', 'v'],
    [':status', '200'],
    ['connection', 'close'],
    ['transfer-encoding', 'chunked'],
    ['te', 'gzip'],
    [':path', '/again'],
  ]
  const peer = new Peer().greet()
  let id = -1
  for (const field of bad) {
    for (const isKept of [true, false]) {
      id += 2
      const written = { isKept, isPlain: true }
      const block = Buffer.concat([peer.hpack.block(callHeaders()), peer.hpack.field(...field, written)])
      peer.send(frame(FRAME.headers, FLAG.endHeaders, id, block))
      t.same(peer.words(), [`reset ${id} 1`], JSON.stringify(field))
    }
  }
  for (const missing of [':method', ':scheme', ':path']) {
    id += 2
    const block = peer.hpack.block(callHeaders().filter(([name]) => name !== missing))
    peer.send(frame(FRAME.headers, FLAG.endHeaders, id, block))
    t.same(peer.words(), [`reset ${id} 1`], `without ${missing}`)
  }
  id += 2
  peer.send(frame(FRAME.headers, FLAG.endHeaders, id, peer.hpack.block(callHeaders()))).say(id, HELLO)
  t.same(peer.words(), [`headers ${id} 200`, `data ${id} 10`])
})

t.test('bytes that the socket has not taken are not written over', async (t) => {
  const kept: Buffer[] = []
  let queued = 1
  const outbox = new Outbox({
    write: (chunks) => kept.push(...chunks),
    queued: () => queued,
    end: () => {},
    destroy: () => {},
  })
  const said = (): string => kept.map((chunk) => chunk.subarray(14).toString()).join(' ')
  for (const text of ['first', 'second']) {
    outbox.message(1, Buffer.from(text))
    outbox.flush()
  }
  t.equal(said(), 'first second')
  queued = 0
  outbox.message(1, Buffer.from('third'))
  outbox.flush()
  outbox.message(1, Buffer.from('other'))
  outbox.flush()
  t.equal(said(), 'other second third other', 'what it has taken is')
})

t.test('a request that was refused may go on for a while, and is then cut off', async (t) => {
  const peer = new Peer({ limits: { discardBytesMax: 100, lingerMs: 5_000 } }).greet()
  const refused = (id: number) =>
    peer.send(
      frame(
        FRAME.headers,
        FLAG.endHeaders,
        id,
        peer.hpack.block([
          [':method', 'GET'],
          [':scheme', 'http'],
          [':path', '/'],
        ]),
      ),
    )
  refused(1).send(frame(FRAME.data, FLAG.endStream, 1, Buffer.alloc(50)))
  t.equal(peer.words().at(-1), 'data 1 0 end')
  t.equal(peer.connection.streams, 0)
  refused(3).send(frame(FRAME.data, 0, 3, Buffer.alloc(101)))
  t.equal(peer.words().at(-1), 'reset 3 0', 'by bytes')
  refused(5)
  peer.words()
  peer.tick(1_000).tick(3_999)
  t.equal(peer.connection.streams, 1)
  peer.tick(1_001)
  t.equal(peer.connection.streams, 0, 'by time')
})

t.test('messages wait while the answers before them may not leave, and none is lost', async (t) => {
  const peer = new Peer().greet([4, 10])
  const id = peer.call()
  // In one frame and in several: both ways they wait.
  peer.send(
    frame(FRAME.data, 0, id, Buffer.concat(['a', 'b', 'c'].map((letter) => message(Buffer.from(letter.repeat(5)))))),
  )
  t.equal(peer.memory.held, 20 + 3 * 128, 'an answer in two pieces, and a message behind it')
  for (const letter of 'def') peer.say(id, Buffer.from(letter.repeat(5)))
  t.same(peer.words(), ['headers 1 200', 'data 1 10'], 'one answer fills the window')
  const sent: Buffer[] = []
  for (let i = 0; i < 30; i++) {
    peer.send(frame(FRAME.windowUpdate, 0, id, u32(3)))
    for (const { type, payload } of peer.heard()) if (type === FRAME.data) sent.push(payload)
  }
  t.equal(
    Buffer.concat(sent)
      .toString('latin1')
      .replace(/[^b-f]/g, ''),
    'bbbbbcccccdddddeeeeefffff',
  )
  t.equal(peer.memory.held, 0)
  peer.send(frame(FRAME.data, FLAG.endStream, id))
  t.same(peer.words(), ['headers 1 grpc 0 end'], 'the end needs no window')
})

t.test('windows: the peer lets us send, by stream and in all, also below zero', async (t) => {
  const peer = new Peer({ limits: { messageBytesMax: 100_000 } }).greet()
  const id = peer.call()
  const bytes = message(Buffer.alloc(65_000))
  for (let at = 0; at < bytes.length; at += 16_000) peer.send(frame(FRAME.data, 0, id, bytes.subarray(at, at + 16_000)))
  const sizes = (words: string[]) =>
    words.filter((word) => word.startsWith('data')).map((word) => Number(word.split(' ')[2]))
  t.equal(
    sizes(peer.words()).reduce((sum, size) => sum + size, 0),
    65_005,
  )
  peer.say(id, Buffer.alloc(1_000))
  t.same(sizes(peer.words()), [5, 525], 'what is left of 65,535')
  peer.send(
    settings([4, 65_000]),
    frame(FRAME.windowUpdate, 0, 0, u32(1_000)),
    frame(FRAME.windowUpdate, 0, id, u32(535)),
  )
  t.same(sizes(peer.words()), [], 'the stream stands at nothing')
  peer.send(settings([4, 65_475]))
  t.same(sizes(peer.words()), [475])
  t.equal(peer.memory.held, 0)
})

t.test('the window of the connection is for all of its streams', async (t) => {
  const peer = new Peer().greet([4, 100_000])
  const sizes = () =>
    peer.heard().reduce((sum, { type, payload }) => sum + (type === FRAME.data ? payload.length : 0), 0)
  const ids = [peer.call(), peer.call(), peer.call()] as const
  for (let i = 0; i < 6; i++) peer.say(ids[0], Buffer.alloc(10_000))
  t.equal(sizes(), 60_030)
  peer.say(ids[1], Buffer.alloc(6_000)).say(ids[2], Buffer.alloc(6_000))
  t.equal(sizes(), 5_505, 'and no more, though the streams may')
  peer.send(frame(FRAME.windowUpdate, 0, 0, u32(100)))
  t.equal(sizes(), 100)
  peer.send(frame(FRAME.windowUpdate, 0, 0, u32(100_000)))
  t.equal(sizes(), 12_010 - 5_605)
})

t.test('what a peer may send is given back as it is read, in large steps', async (t) => {
  const peer = new Peer({ limits: { streamWindowBytes: 20_000, connectionWindowBytes: 65_535 } }).greet()
  const id = peer.call()
  peer.say(id, Buffer.concat([Buffer.from([0xe2]), Buffer.alloc(9_000)]))
  t.same(peer.words(), [])
  peer.say(id, Buffer.concat([Buffer.from([0xe2]), Buffer.alloc(2_000)]))
  t.same(peer.words(), ['window 1 11012'])
  for (let i = 0; i < 3; i++) peer.say(id, Buffer.concat([Buffer.from([0xe2]), Buffer.alloc(8_000)]))
  t.same(peer.words(), ['window 1 16012', 'window 0 35030'])
})

t.test('a padded and a split header block are the same call, and padding counts in windows', async (t) => {
  const peer = new Peer({ limits: { streamWindowBytes: 300 } }).greet()
  const block = peer.hpack.block(callHeaders())
  peer.send(
    frame(FRAME.headers, 0, 1, block.subarray(0, 3)),
    frame(FRAME.continuation, 0, 1, block.subarray(3, 3)),
    frame(FRAME.continuation, FLAG.endHeaders, 1, block.subarray(3)),
    frame(FRAME.data, FLAG.padded, 1, Buffer.concat([Buffer.from([120]), message(HELLO), Buffer.alloc(120)])),
  )
  t.same(peer.words(), ['headers 1 200', 'data 1 10'])
  peer.send(frame(FRAME.data, FLAG.padded, 1, Buffer.concat([Buffer.from([200]), Buffer.alloc(200)])))
  t.same(peer.words(), ['reset 1 3'], 'FLOW_CONTROL_ERROR')
})

t.test('any cut of the same bytes gives the same answer', async (t) => {
  const client = new HpackWriter()
  const bytes = Buffer.concat([
    PREFACE,
    settings([4, 100]),
    frame(FRAME.headers, FLAG.endHeaders, 1, client.block(callHeaders(), { isKept: true, isHuffman: true })),
    frame(FRAME.data, 0, 1, message(Buffer.alloc(90, 1))),
    frame(FRAME.headers, FLAG.endHeaders, 3, client.block(callHeaders(CHECK), { isKept: true })),
    frame(FRAME.data, FLAG.endStream, 3, message(HELLO)),
    frame(FRAME.windowUpdate, 0, 1, u32(1_000)),
    frame(FRAME.ping, 0, 0, Buffer.alloc(8)),
    frame(FRAME.data, FLAG.endStream, 1, message(Buffer.alloc(300, 2))),
  ])
  const answer = (sizes: readonly number[]) => {
    const peer = new Peer()
    let at = 0
    for (const size of [...sizes, bytes.length]) {
      peer.send(bytes.subarray(at, at + size))
      at += size
    }
    return peer.bytes()
  }
  const whole = answer([])
  t.equal(cut(whole).frames.length, 11)
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 40 }), (sizes) => answer(sizes).equals(whole)),
  )
  t.ok(answer(Array.from({ length: bytes.length }, () => 1)).equals(whole), 'byte by byte')
})

t.test('a drain takes two steps, and what is under way between them is answered', async (t) => {
  const peer = new Peer().greet()
  const first = peer.call()
  peer.say(first, HELLO)
  peer.words()
  peer.connection.shutdown()
  await Promise.resolve()
  t.same(peer.words(), ['goaway 0 after 2147483647:', 'ping'])
  const late = peer.call()
  peer.say(late, HELLO)
  t.same(peer.words(), ['headers 3 200', 'data 3 10'], 'it was on its way')
  peer.send(frame(FRAME.ping, FLAG.ack, 0, Buffer.from('draining')))
  t.same(peer.words(), ['goaway 0 after 3:'])
  const later = peer.call()
  peer.say(later, HELLO)
  t.same(peer.words(), [], 'it will be asked again elsewhere')
  for (const id of [first, late]) {
    t.notOk(peer.isEnded)
    peer.send(frame(FRAME.data, FLAG.endStream, id))
  }
  t.same(peer.words(), ['headers 1 grpc 0 end', 'headers 3 grpc 0 end'])
  t.ok(peer.isEnded, 'with its last stream')
})

t.test('a drain does not wait for a peer that answers no ping', async (t) => {
  const peer = new Peer().greet()
  peer.connection.shutdown()
  peer.tick(LIMITS.drainPingMs.is - 1)
  t.notOk(peer.isEnded)
  peer.tick(1)
  await Promise.resolve()
  t.ok(peer.isEnded)
  t.equal(peer.words().length, 3)
})

t.test('who says nothing is asked, and who does not answer is let go', async (t) => {
  const peer = new Peer().greet()
  const id = peer.call()
  peer.tick(1_000).words()
  peer.tick(LIMITS.keepaliveMs.is)
  await Promise.resolve()
  t.same(peer.words(), ['ping'])
  peer.send(frame(FRAME.ping, FLAG.ack, 0, Buffer.alloc(8))).tick(LIMITS.keepaliveTimeoutMs.is)
  t.notOk(peer.isDestroyed, 'it is there')
  peer.tick(LIMITS.keepaliveMs.is).tick(LIMITS.keepaliveTimeoutMs.is)
  t.ok(peer.isDestroyed)
  t.same([peer.connection.streams, peer.active.count, id], [0, 0, 1], 'and its calls with it')
})

t.test(
  'each kind of silence has its time: no preface, no SETTINGS acknowledged, nothing read, no stream',
  async (t) => {
    const mute = new Peer()
    mute.tick(LIMITS.prefaceMs.is - 1)
    t.notOk(mute.isDestroyed)
    mute.tick(1)
    t.ok(mute.isDestroyed, 'a connection that is opened and left alone')
    const half = new Peer().send(PREFACE.subarray(0, 20)).tick(LIMITS.prefaceMs.is)
    t.ok(half.isDestroyed, 'a preface that is begun')

    const deaf = new Peer().send(PREFACE, settings())
    deaf.words()
    deaf.tick(LIMITS.settingsAckMs.is)
    t.same(deaf.words(), ['goaway 4 after 0: SETTINGS were not acknowledged'])
    t.ok(deaf.isEnded)
    deaf.tick(1_000).tick(LIMITS.lingerMs.is)
    t.ok(deaf.isDestroyed, 'who does not hang up is hung up on')

    const stuck = new Peer().greet()
    stuck.queued = 500
    stuck.tick(1_000).tick(LIMITS.writeStallMs.is - 1)
    t.notOk(stuck.isDestroyed)
    stuck.tick(1)
    t.ok(stuck.isDestroyed, 'a socket that takes nothing')

    const idle = new Peer({ limits: { keepaliveMs: 1e9 } }).greet()
    idle.tick(LIMITS.idleMs.is)
    await Promise.resolve()
    t.same(idle.words().slice(0, 1), ['goaway 0 after 2147483647:'], 'an hour without a stream')
  },
)

t.test('deadlines end calls that are not answered, and no others', async (t) => {
  const peer = new Peer().greet()
  const done = peer.call(CHECK, { more: [['grpc-timeout', '1m']] })
  peer.say(done, HELLO, FLAG.endStream)
  const open = peer.call(PROCESS_PATH, { more: [['grpc-timeout', '2m']] })
  const patient = peer.call(PROCESS_PATH, { more: [['grpc-timeout', '99H']] })
  peer.words()
  peer.now = 5
  const words: string[] = []
  // The timer is a real one, of two milliseconds.
  while (words.length === 0) {
    await new Promise((resolve) => setImmediate(resolve))
    words.push(...peer.words())
  }
  t.same(words, [`headers ${open} 200 grpc 4 end`, `reset ${open} 0`])
  t.equal(peer.connection.streams, 1)
  t.equal(peer.active.count, 1, `stream ${patient} waits on`)
  peer.connection.lost()
})

t.test('health is told when asked, and watchers hear of it until they leave', async (t) => {
  const peer = new Peer().greet()
  const once = peer.call(HEALTH)
  peer.say(once, Buffer.alloc(0), FLAG.endStream)
  t.same(
    peer
      .heard()
      .filter(({ type }) => type === FRAME.data)
      .map(({ payload }) => payload.at(-1)),
    [2],
  )
  const watch = peer.call('/grpc.health.v1.Health/Watch')
  peer.say(watch, Buffer.alloc(0), FLAG.endStream)
  t.same(peer.words(), ['headers 3 200', 'data 3 7'])
  peer.health.set(true)
  await Promise.resolve()
  t.same(peer.words(), ['data 3 7'])
  peer.send(frame(FRAME.reset, 0, watch, u32(8)))
  peer.health.set(false)
  await Promise.resolve()
  t.same(peer.words(), [])
})

t.test('a table that the peer makes smaller is answered with none at all', async (t) => {
  const peer = new Peer().greet([1, 0])
  const id = peer.call()
  peer.say(id, HELLO)
  t.equal(peer.heard()[0]!.payload[0], 0x20, 'RFC 7541, section 4.2: the next block says so')
  peer.say(id, HELLO, FLAG.endStream)
  t.not(peer.heard().at(-1)!.payload[0], 0x20, 'once')
})
