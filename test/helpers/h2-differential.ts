import type http2 from 'node:http2'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { FLAG, FRAME } from '../../src/envoy/transport/codes.ts'
import { HpackDecoder } from '../../src/envoy/transport/hpack-decoder.ts'
import { cut, frame, message, PREFACE } from './h2-frames.ts'
import { Chance } from './h2-fuzz.ts'
import { until } from './running-envoy.ts'

/** What a client asks for in one call. */
export interface Ask {
  readonly headers: Readonly<Record<string, string>>
  /** Pieces of the body, each written by itself. */
  readonly pieces: readonly Buffer[]
}

/** What it got. */
export interface Got {
  readonly status: string
  readonly grpcStatus: string
  readonly messages: readonly string[]
  /** The end of the stream: 0, or a code of HTTP/2. */
  readonly code: number
}

/** Calls as a client might make them, well and badly made; the same for the same seed. */
export const generated = (seed: number, count: number): Ask[] => {
  const chance = new Chance(seed)
  const paths = [
    '/envoy.service.ext_proc.v3.ExternalProcessor/Process',
    '/envoy.service.ext_proc.v3.ExternalProcessor/Process',
    '/envoy.service.auth.v3.Authorization/Check',
    '/grpc.health.v1.Health/Check',
    '/envoy.service.ext_proc.v3.ExternalProcessor/Other',
    '/no.Such/Method',
    '/',
  ]
  return Array.from({ length: count }, () => {
    const headers: Record<string, string> = {
      ':method': 'POST',
      ':path': chance.of(paths),
      'content-type': chance.once(15)
        ? chance.of(['text/plain', 'application/grpc+proto', 'application/json'])
        : 'application/grpc',
      te: 'trailers',
    }
    if (chance.once(6)) headers['grpc-timeout'] = chance.of(['30S', '1M', '20000m'])
    if (chance.once(6)) headers['x-more'] = 'm'.repeat(chance.below(2_000))
    const unary = headers[':path']!.endsWith('Check')
    const messages = Array.from({ length: unary ? 1 : chance.below(5) }, () => {
      const bytes = chance.bytes(chance.of([0, 1, 5, 300, chance.once(5) ? 90_000 : 9]))
      // The handlers' own words: 0xe0 fails, 0xe1 ends, 0xe2 is silent.
      if (bytes.length > 0) bytes[0] = chance.once(8) ? 0xe0 + chance.below(unary ? 1 : 3) : 7
      return message(bytes)
    })
    const whole = Buffer.concat(messages)
    const pieces: Buffer[] = []
    for (let at = 0; at < whole.length; ) {
      const size = chance.once(2) ? whole.length : 1 + chance.below(chance.of([3, 12, 40_000]))
      pieces.push(whole.subarray(at, at + size))
      at += size
    }
    return { headers, pieces }
  })
}

/** Makes a call on a session of Node's own HTTP/2, ends its request, and waits for the end of the answer. */
export const call = (session: http2.ClientHttp2Session, { headers, pieces }: Ask): Promise<Got> =>
  new Promise((resolve) => {
    const stream = session.request(headers)
    let status = ''
    let grpcStatus = ''
    const body: Buffer[] = []
    const look = (got: http2.IncomingHttpHeaders): void => {
      if (got[':status'] !== undefined) status = String(got[':status'])
      if (got['grpc-status'] !== undefined) grpcStatus = String(got['grpc-status'])
    }
    stream.on('response', look)
    stream.on('trailers', look)
    stream.on('data', (part: Buffer) => body.push(part))
    stream.on('error', () => {})
    stream.on('close', () =>
      resolve({
        status,
        grpcStatus,
        messages: status === '200' ? messagesIn(Buffer.concat(body)) : [],
        code: stream.rstCode,
      }),
    )
    for (const piece of pieces) if (!stream.destroyed && stream.writable) stream.write(piece)
    if (stream.writable) stream.end()
  })

const messagesIn = (bytes: Buffer): string[] => {
  const messages: string[] = []
  for (let at = 0; at + 5 <= bytes.length; ) {
    const end = at + 5 + bytes.readUInt32BE(at + 1)
    messages.push(bytes.subarray(at + 5, end).toString('hex'))
    at = end
  }
  return messages
}

/** A proxy that notes what the first client says to it. */
export const recorder = async (to: {
  readonly port: number
}): Promise<{ readonly server: Server; readonly port: number; readonly said: () => Buffer }> => {
  const parts: Buffer[] = []
  let first: Socket | undefined
  const server = createServer((client) => {
    first ??= client
    const upstream = connect(to.port, '127.0.0.1')
    for (const one of [client, upstream]) one.on('error', () => {})
    if (client === first) client.on('data', (part) => parts.push(part))
    client.pipe(upstream).pipe(client)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { server, port: (server.address() as { port: number }).port, said: () => Buffer.concat(parts) }
}

/** The requests of a recording, each whole: what Envoy said, without its resets, which would race with the answers. */
export const withoutResets = (said: Buffer): { readonly bytes: Buffer; readonly streams: readonly number[] } => {
  const { frames } = cut(said.subarray(PREFACE.length))
  const kept = frames.filter(({ type }) => type !== FRAME.reset && type !== FRAME.goaway)
  return {
    bytes: Buffer.concat([PREFACE, ...kept.map(({ type, flags, id, payload }) => frame(type, flags, id, payload))]),
    streams: kept.filter(({ type }) => type === FRAME.headers).map(({ id }) => id),
  }
}

/** Says a recording to a server again; gives by stream what came: head, message, status. */
export const replay = async (
  port: number,
  { bytes, streams }: ReturnType<typeof withoutResets>,
): Promise<Record<number, string[]>> => {
  const socket = connect(port, '127.0.0.1')
  let heard: Buffer = Buffer.alloc(0)
  socket.on('data', (part) => {
    heard = Buffer.concat([heard, part])
  })
  socket.on('error', () => {})
  socket.write(bytes)
  const bodies = new Map<number, Buffer>()
  const told: Record<number, string[]> = {}
  const decoder = new HpackDecoder(4_096, true)
  let read = 0
  await until('every stream to have its answer', () => {
    const { frames } = cut(heard)
    for (const { type, flags, id, payload } of frames.slice(read)) {
      read += 1
      if (type === FRAME.data) bodies.set(id, Buffer.concat([bodies.get(id) ?? Buffer.alloc(0), payload]))
      if (type !== FRAME.headers || (flags & FLAG.endHeaders) === 0) continue
      const list: string[] = []
      decoder.decode(payload, 0, payload.length, { field: ({ name, value }) => list.push(`${name}: ${value}`) })
      told[id] = [...(told[id] ?? []), ...list.filter((line) => /^(:status|grpc-status): /.test(line))]
    }
    return streams.every((id) => messagesIn(bodies.get(id) ?? Buffer.alloc(0)).length > 0)
  })
  socket.destroy()
  for (const id of streams) told[id] = [...(told[id] ?? []), ...messagesIn(bodies.get(id)!)]
  return told
}
