import { accessLogs } from './access-log-service.ts'
import { grpcJsTransport } from './grpc-js-transport.ts'
import type { Handlers } from './handlers.ts'
import { HealthService } from './health-service.ts'
import { type Listen, type Listener, openListener } from './listener.ts'
import { ownTransport } from './transport/own-transport.ts'
import { type Active, type Served, TRANSPORT_DEFAULT, type TransportName } from './transports.ts'

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

/** What is under way when the drain ends has this long to end, in ms. */
const LAST_WORDS_MS = 1_000

/**
 * Starts the server. It answers health checks with NOT_SERVING until told otherwise, and requests from the start.
 * `trouble` hears of TLS files that can't be used. Which transport carries gRPC makes no difference to anybody but the
 * CPU (docs/decisions/0060).
 */
export const startEnvoyServer = async (
  listen: readonly Listen[],
  handlers: Handlers,
  trouble: (error: Error) => void = () => {},
  transport: TransportName = TRANSPORT_DEFAULT,
): Promise<EnvoyServer> => {
  const health = new HealthService()
  const active: Active = { count: 0 }
  const logs = accessLogs(handlers)
  const served: Served = { handlers, health, logs, active, trouble }
  const grpc = transport === 'own' ? ownTransport(served) : grpcJsTransport(served)

  const listeners: Listener[] = []
  let changed = (): void => {}
  const connections = (): number => listeners.reduce((sum, one) => sum + one.connections(), 0)
  const close = (): void => {
    grpc.destroy()
    for (const one of listeners) one.destroy()
  }
  try {
    for (const one of listen) listeners.push(await openListener(one, grpc.taker(one), () => changed()))
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
      await atMost(LAST_WORDS_MS, grpc.shutdown())
      changed = () => {}
      close()
      return how
    },
    close,
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
