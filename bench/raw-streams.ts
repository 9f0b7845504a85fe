import { connect } from 'node:net'
import { processingRequest, requestHeaders } from './messages.ts'

/*
 * Many ext_proc streams over few connections, as Envoy has them, at as little cost to the machine as a client in Node can
 * have: requests are made once, answers are counted by the ends of their streams and not read.
 */

/** What a load of streams came to. */
export interface StreamsResult {
  readonly answered: number
  /** Streams that ended without an answer. */
  readonly failed: number
  readonly wallMs: number
}

/** A load under way. */
export interface Streams {
  /** Forgets what was counted so far. */
  readonly reset: () => void
  readonly result: () => StreamsResult
  readonly stop: () => void
}

const [DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE] = [0, 1, 3, 4, 6, 7, 8]
const END_STREAM = 1
const ACK = 1
const END_HEADERS = 4

const frame = (type: number, flags: number, stream: number, payload: Buffer): Buffer => {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}
const literal = (name: string, value: string): Buffer =>
  Buffer.concat([Buffer.of(0, name.length), Buffer.from(name), Buffer.of(value.length), Buffer.from(value)])
const named = (index: number, value: string): Buffer =>
  Buffer.concat([Buffer.of(index, value.length), Buffer.from(value)])

// :method POST and :scheme http are entries of the static table; the path and the authority are literals by its names.
const HEAD = Buffer.concat([
  Buffer.of(0x83, 0x86),
  named(4, '/envoy.service.ext_proc.v3.ExternalProcessor/Process'),
  named(1, 'hubward'),
  literal('te', 'trailers'),
  literal('content-type', 'application/grpc'),
])

/** Requests that take turns, as the two frames of their streams; the number of the stream is written in when they go. */
const requestsOf = (path: string): Buffer[] =>
  Array.from({ length: 64 }, (_, number) => {
    const headers = requestHeaders(number).map(([name, value]) => [name, name === ':path' ? path : value] as const)
    const message = processingRequest(headers)
    const size = Buffer.alloc(5)
    size.writeUInt32BE(message.length, 1)
    return Buffer.concat([
      frame(HEADERS!, END_HEADERS, 0, HEAD),
      frame(DATA!, END_STREAM, 0, Buffer.concat([size, message])),
    ])
  })
const SECOND_AT = 9 + HEAD.length + 5

/** Keeps so many streams open on each of so many connections to each socket, until it is stopped. */
export function openStreams(
  sockets: readonly string[],
  { path, connections, open }: { readonly path: string; readonly connections: number; readonly open: number },
): Streams {
  const requests = requestsOf(path)
  let answered = 0
  let failed = 0
  let from = performance.now()
  let isOver = false
  const one = (socketPath: string): (() => void) => {
    const socket = connect(socketPath)
    let stream = -1
    const send = (count: number): void => {
      if (isOver) return
      const all: Buffer[] = []
      for (let i = 0; i < count; i++) {
        stream += 2
        const request = Buffer.from(requests[(stream >> 1) % requests.length]!)
        request.writeUInt32BE(stream, 5)
        request.writeUInt32BE(stream, SECOND_AT)
        all.push(request)
      }
      socket.write(Buffer.concat(all))
    }
    const wide = Buffer.alloc(4)
    wide.writeUInt32BE(0x7fff0000 - 65_535)
    socket.write(
      Buffer.concat([
        Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
        frame(SETTINGS!, 0, 0, Buffer.alloc(0)),
        frame(WINDOW_UPDATE!, 0, 0, wide),
      ]),
    )
    send(open)
    let rest: Buffer = Buffer.alloc(0)
    let received = 0
    socket.on('data', (piece: Buffer) => {
      const bytes = rest.length === 0 ? piece : Buffer.concat([rest, piece])
      let at = 0
      let ended = 0
      while (bytes.length - at >= 9) {
        const length = bytes.readUIntBE(at, 3)
        if (bytes.length - at < 9 + length) break
        const [type, flags] = [bytes[at + 3]!, bytes[at + 4]!]
        if (type === DATA) received += length
        if (type === HEADERS && (flags & END_STREAM) !== 0) ended += 1
        else if (type === RST_STREAM || type === GOAWAY) {
          ended += 1
          failed += 1

          console.log(
            type,
            bytes.readUInt32BE(at + 5),
            bytes.subarray(at, at + 9 + length).toString('hex'),
            bytes.subarray(at + 9, at + 9 + length).toString(),
          )
        } else if (type === SETTINGS && (flags & ACK) === 0) socket.write(frame(SETTINGS!, ACK, 0, Buffer.alloc(0)))
        else if (type === PING && (flags & ACK) === 0)
          socket.write(frame(PING!, ACK, 0, bytes.subarray(at + 9, at + 17)))
        at += 9 + length
      }
      rest = bytes.subarray(at)
      answered += ended
      if (received > 0x3fff0000) {
        const more = Buffer.alloc(4)
        more.writeUInt32BE(received)
        received = 0
        socket.write(frame(WINDOW_UPDATE!, 0, 0, more))
      }
      if (ended > 0) send(ended)
    })
    socket.on('error', () => {})
    return () => socket.destroy()
  }
  const stops = sockets.flatMap((socket) => Array.from({ length: connections }, () => one(socket)))
  return {
    reset: () => {
      answered = 0
      failed = 0
      from = performance.now()
    },
    result: () => ({ answered, failed, wallMs: performance.now() - from }),
    stop: () => {
      isOver = true
      for (const stop of stops) stop()
    },
  }
}
