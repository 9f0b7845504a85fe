import { readFileSync } from 'node:fs'
import http2 from 'node:http2'
import type { ServerDuplexStream, ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js'
import { Server, ServerCredentials, status } from '@grpc/grpc-js'
import type { Handlers, StreamState } from './handlers.ts'
import { HEALTH_SERVICE, HealthService } from './health-service.ts'
import { bearResets } from './rapid-reset.ts'
import { freeSocket, ownSocket } from './unix-socket.ts'

/** Where the server listens. A unix socket is for Envoy in the same pod; TCP carries TLS where it leaves the host. */
export type Listen =
  | { readonly unix: string; readonly mode?: number; readonly uid?: number; readonly gid?: number }
  | {
      readonly host: string
      readonly port: number
      readonly tls?: { readonly certFile: string; readonly keyFile: string; readonly clientCaFile?: string }
    }

/** A running server for ext_proc and ext_authz. */
export interface EnvoyServer {
  /** What it listens on, `unix:/path` or `host:port`. */
  readonly addresses: readonly string[]
  setServing(serving: boolean): void
  /** Streams and calls that are being answered right now. */
  active(): number
  /** Takes no new connections and waits until nothing is under way, so long at most; then closes what is left. */
  drain(ms: number): Promise<void>
  close(): void
}

/** The largest message in bytes that is taken: a body of the largest limit, and its headers. */
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024

const same = (bytes: Buffer): Buffer => bytes
const method = (path: string, stream: boolean) => ({
  path,
  requestStream: stream,
  responseStream: stream,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
})
const EXT_PROC = { Process: method('/envoy.service.ext_proc.v3.ExternalProcessor/Process', true) }
const EXT_AUTHZ = { Check: method('/envoy.service.auth.v3.Authorization/Check', false) }

/** Starts the server on @grpc/grpc-js. It answers health checks with NOT_SERVING until told otherwise. */
export const startEnvoyServer = async (listen: readonly Listen[], handlers: Handlers): Promise<EnvoyServer> => {
  const health = new HealthService()
  let active = 0
  bearResets(http2)
  const server = new Server({
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    'grpc.max_send_message_length': -1,
  })
  server.addService(HEALTH_SERVICE, health.handlers())
  server.addService(EXT_PROC, {
    Process(call: ServerDuplexStream<Buffer, Buffer>) {
      const state: StreamState = {}
      let open = true
      active += 1
      const ended = (): void => {
        if (!open) return
        open = false
        active -= 1
      }
      // Envoy ends every stream by a reset, also after a good answer: `cancelled` is the normal end and no error.
      call.on('cancelled', ended).on('close', ended)
      call.on('error', ended)
      call.on('end', () => {
        call.end()
        ended()
      })
      call.on('data', (message: Buffer) => {
        try {
          const answer = handlers.process(message, state)
          if (answer !== undefined) call.write(answer)
        } catch (error) {
          handlers.failed(error, 'ext_proc')
          // An error lets Envoy apply the failure mode of the route: chat goes on to its default, jobs are refused. An
          // empty answer would count as a decision, and a stream that ends well fails open everywhere.
          call.emit('error', Object.assign(new Error('hubward could not answer'), { code: status.INTERNAL }))
        }
      })
    },
  })
  server.addService(EXT_AUTHZ, {
    Check(call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) {
      try {
        done(null, handlers.check(call.request))
      } catch (error) {
        handlers.failed(error, 'ext_authz')
        done({ code: status.INTERNAL, details: 'hubward could not answer' })
      }
    },
  })

  const addresses: string[] = []
  try {
    for (const one of listen) addresses.push(await bind(server, one))
  } catch (error) {
    server.forceShutdown()
    throw error
  }
  return {
    addresses,
    setServing: (serving) => health.set(serving),
    active: () => active,
    drain: async (ms) => {
      health.set(false)
      const closed = new Promise<void>((resolve) => server.tryShutdown(() => resolve()))
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, ms)
      })
      await Promise.race([closed, late])
      clearTimeout(timer)
      server.forceShutdown()
    },
    close: () => server.forceShutdown(),
  }
}

const bind = async (server: Server, listen: Listen): Promise<string> => {
  if ('unix' in listen) {
    await freeSocket(listen.unix)
    await bound(server, `unix:${listen.unix}`, ServerCredentials.createInsecure())
    ownSocket(listen.unix, listen.mode ?? 0o660, listen.uid, listen.gid)
    return `unix:${listen.unix}`
  }
  const { tls } = listen
  const credentials =
    tls === undefined
      ? ServerCredentials.createInsecure()
      : ServerCredentials.createSsl(
          tls.clientCaFile === undefined ? null : readFileSync(tls.clientCaFile),
          [{ private_key: readFileSync(tls.keyFile), cert_chain: readFileSync(tls.certFile) }],
          tls.clientCaFile !== undefined,
        )
  const port = await bound(
    server,
    `${listen.host.includes(':') ? `[${listen.host}]` : listen.host}:${listen.port}`,
    credentials,
  )
  return `${listen.host}:${port}`
}

const bound = (server: Server, address: string, credentials: ServerCredentials): Promise<number> =>
  new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, port) =>
      error === null ? resolve(port) : reject(new Error(`${address}: ${error.message}`)),
    )
  })
