import { connect, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { type Metadata, Server, ServerCredentials, type ServerWritableStream, status } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import type { Test } from 'tap'

const PROTO = fileURLToPath(new URL('../../proto/flagd/sync/v1/sync.proto', import.meta.url))

/** The service of proto/flagd/sync/v1/sync.proto, read by proto-loader: a codec that is not ours. */
export const loadedService = () =>
  loadSync(PROTO, { keepCase: true, defaults: true })['flagd.sync.v1.FlagSyncService'] as unknown as Readonly<
    Record<'SyncFlags' | 'FetchAllFlags' | 'GetMetadata', import('@grpc/grpc-js').MethodDefinition<object, object>>
  >

type Stream = ServerWritableStream<{ provider_id: string; selector: string }, object>

/** A stream that a client has opened, with what it asked for. */
export interface Followed {
  readonly request: { readonly provider_id: string; readonly selector: string }
  readonly metadata: Metadata
  readonly stream: Stream
}

/** A service of flagd.sync.v1 that does what it is told. */
export const syncService = async (
  t: Test,
  credentials = ServerCredentials.createInsecure(),
  answersMetadata = true,
): Promise<{
  readonly port: number
  readonly streams: readonly Followed[]
  /** What the next streams are sent first; null: nothing. */
  first: string | null
  readonly opened: (count: number) => Promise<void>
  readonly send: (definition: string) => void
}> => {
  const streams: Followed[] = []
  const waiting: { count: number; done: () => void }[] = []
  const server = new Server()
  server.addService(loadedService(), {
    SyncFlags: (stream: Stream) => {
      streams.push({ request: stream.request, metadata: stream.metadata, stream })
      if (made.first !== null) stream.write({ flag_configuration: made.first })
      for (const { count, done } of waiting) if (streams.length >= count) done()
    },
    FetchAllFlags: (_call: unknown, done: (error: null, value: object) => void) =>
      done(null, { flag_configuration: made.first ?? '' }),
    GetMetadata: (_call: unknown, done: (error: object | null, value?: object) => void) =>
      answersMetadata
        ? done(null, { metadata: { fields: {} } })
        : done({ code: status.UNIMPLEMENTED, details: 'gone' }),
  })
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error === null ? resolve(bound) : reject(error))),
  )
  t.teardown(() => server.forceShutdown())
  const made = {
    port,
    streams,
    first: null as string | null,
    opened: (count: number) =>
      new Promise<void>((done) => {
        if (streams.length >= count) done()
        else waiting.push({ count, done })
      }),
    send: (definition: string) => {
      streams.at(-1)?.stream.write({ flag_configuration: definition })
    },
  }
  return made
}

/** A wire to a port that can be cut without a word: what comes then is taken and goes nowhere. */
export const cuttableWire = async (t: Test, to: number) => {
  const open: { cut: () => void }[] = []
  const server = createServer((socket) => {
    const other = connect(to, '127.0.0.1')
    socket.on('error', () => {}).pipe(other)
    other.on('error', () => {}).pipe(socket)
    open.push({
      cut: () => {
        socket.unpipe(other)
        other.unpipe(socket)
        socket.resume()
        other.resume()
      },
    })
    t.teardown(() => {
      socket.destroy()
      other.destroy()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => new Promise((resolve) => server.close(resolve)))
  return {
    port: (server.address() as { port: number }).port,
    /** Cuts the connections that are open now; later ones go through. */
    cut: () => {
      for (const one of open.splice(0)) one.cut()
    },
  }
}
