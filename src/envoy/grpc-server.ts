import http2 from 'node:http2'
import type { Socket } from 'node:net'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import { ACCESS_LOG_SERVICE, accessLogs } from './access-log-service.ts'
import { type Active, EXT_AUTHZ_SERVICE, EXT_PROC_SERVICE, extAuthzService, extProcService } from './grpc-services.ts'
import type { Handlers } from './handlers.ts'
import { HEALTH_SERVICE, HealthService } from './health-service.ts'
import { type Listen, type Listener, openListener } from './listener.ts'
import { bearResets } from './rapid-reset.ts'
import { reloadedTls } from './tls-reload.ts'

/** How to leave. */
export interface Drain {
  /** How long Envoy may take, at most. */
  readonly forMs: number
  /**
   * Says NOT_SERVING from the start. Right where Envoy sees several hubwards as hosts of their own and is to ask the
   * others; wrong beside a single Envoy, which would have nobody left to ask while it serves its last requests.
   */
  readonly announce?: boolean
  /** How long there must have been no connection before Envoy counts as gone: it renews its connections now and then. */
  readonly quietMs?: number
}

/** A running server for ext_proc, ext_authz and access logs. */
export interface EnvoyServer {
  /** What it listens on, `unix:/path` or `host:port`. */
  readonly addresses: readonly string[]
  readonly setServing: (serving: boolean) => void
  /** Streams and calls that are being answered right now. */
  readonly active: () => number
  readonly connections: () => number
  /** Goes on answering until Envoy has closed its connections, or the time is over; then closes. Says which it was. */
  readonly drain: (drain: Drain) => Promise<'left' | 'late'>
  /** Closes at once; what is under way is cut off. */
  readonly close: () => void
}

/** The largest message in bytes that is taken: a body of the largest limit, and its headers. */
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024
/** Streams of one connection at once. Envoy keeps to 1,024 by itself, and is never to be refused one. */
const STREAMS_MAX = 2_048
/** What is under way when the drain ends has this long to end, in ms. */
const LAST_WORDS_MS = 1_000
/** Connections that are silent this long are asked, and closed if they do not answer in the time after it. */
const KEEPALIVE_MS = 60_000
const KEEPALIVE_TIMEOUT_MS = 20_000

/**
 * Starts the server on @grpc/grpc-js. It answers health checks with NOT_SERVING until told otherwise, and requests from
 * the start. `trouble` hears of TLS files that can't be used.
 */
export const startEnvoyServer = async (
  listen: readonly Listen[],
  handlers: Handlers,
  trouble: (error: Error) => void = () => {},
): Promise<EnvoyServer> => {
  const health = new HealthService()
  const active: Active = { count: 0 }
  bearResets(http2)
  const server = new Server({
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': STREAMS_MAX,
    'grpc.keepalive_time_ms': KEEPALIVE_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    'grpc.enable_channelz': 0,
  })
  server.addService(HEALTH_SERVICE, health.handlers())
  server.addService(EXT_PROC_SERVICE, extProcService(handlers, active))
  server.addService(EXT_AUTHZ_SERVICE, extAuthzService(handlers, active))
  const logs = accessLogs(handlers)
  server.addService(ACCESS_LOG_SERVICE, logs.service)

  const listeners: Listener[] = []
  let changed = (): void => {}
  const connections = (): number => listeners.reduce((sum, one) => sum + one.connections(), 0)
  const close = (): void => {
    server.forceShutdown()
    for (const one of listeners) one.destroy()
  }
  try {
    for (const one of listen) listeners.push(await openListener(one, takerOf(server, one, trouble), () => changed()))
  } catch (error) {
    close()
    throw error
  }
  const left = (quietMs: number): Promise<void> =>
    new Promise((resolve) => {
      let timer: NodeJS.Timeout | undefined
      changed = () => {
        clearTimeout(timer)
        timer = connections() === 0 ? setTimeout(resolve, quietMs).unref() : undefined
      }
      changed()
    })
  return {
    addresses: listeners.map(({ address }) => address),
    setServing: (serving) => health.set(serving),
    active: () => active.count,
    connections,
    drain: async ({ forMs, announce = false, quietMs = 1_000 }) => {
      if (announce) {
        health.set(false)
        logs.endAll()
      }
      const how = await atMost(forMs, left(quietMs))
      for (const one of listeners) one.stop()
      logs.endAll()
      await atMost(LAST_WORDS_MS, new Promise<void>((resolve) => server.tryShutdown(() => resolve())))
      changed = () => {}
      close()
      return how
    },
    close,
  }
}

/** Gives each connection to grpc-js, with the TLS files of the moment. */
const takerOf = (server: Server, listen: Listen, trouble: (error: Error) => void): ((socket: Socket) => void) => {
  if ('unix' in listen || listen.tls === undefined) {
    const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
    return (socket) => injector.injectConnection(socket)
  }
  const tls = reloadedTls(listen.tls, trouble)
  let credentials = tls.current()
  let injector = server.createConnectionInjector(credentials)
  return (socket) => {
    const now = tls.current()
    // Connections under older files go on with them until they end.
    if (now !== credentials) {
      credentials = now
      injector = server.createConnectionInjector(now)
    }
    injector.injectConnection(socket)
  }
}

const atMost = async (ms: number, done: Promise<void>): Promise<'left' | 'late'> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), ms)
  })
  const how = await Promise.race([done.then(() => 'left' as const), late])
  clearTimeout(timer)
  return how
}
