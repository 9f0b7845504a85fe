import type { Socket } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import { NOTHING } from '../access-log-service.ts'
import type { Listen } from '../listener.ts'
import { reloadedTls, type TlsPems } from '../tls-reload.ts'
import type { GrpcTransport, Served } from '../transports.ts'
import type { Connection, Shared } from './connection.ts'
import { type Limits, limitsOf } from './limits.ts'
import { Memory } from './memory.ts'
import type { Method } from './methods.ts'
import { methodsOf } from './services.ts'
import { connectionOn } from './socket-wire.ts'
import { STATUS } from './status.ts'

const ACCESS_LOG_PATH = '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs'

/**
 * gRPC by our own HTTP/2 server: prior knowledge on plain sockets, ALPN on TLS (docs/decisions/0060). Limits that are
 * given replace those of LIMITS, for tests that have to reach one.
 */
export const ownTransport = (served: Served, over: Partial<Limits> = {}): GrpcTransport => {
  const { handlers, health, logs, active, trouble } = served
  const limits = limitsOf(over)
  const accessLog: Method = (call) =>
    logs.open({
      pause: () => call.pause(),
      resume: () => call.resume(),
      end: (refusal) => {
        if (refusal === undefined) call.send(NOTHING)
        call.end(refusal?.code ?? STATUS.ok, refusal?.details)
      },
    })
  const shared: Shared = {
    methods: methodsOf(handlers, health, active, [[ACCESS_LOG_PATH, accessLog]]),
    limits,
    now: () => performance.now(),
    memory: new Memory(limits.serverBytesMax),
    bug: (error) => trouble(new Error(`a mistake of ours in the transport: ${error}`, { cause: error })),
  }
  const connections = new Set<Connection>()
  let isEmpty = (): void => {}
  const take = (socket: Socket): void => {
    const connection = connectionOn(socket, shared, (ended) => {
      connections.delete(ended)
      if (connections.size === 0) isEmpty()
    })
    connections.add(connection)
  }
  const clock = setInterval(() => {
    const now = shared.now()
    for (const connection of connections) connection.life.tick(now)
  }, limits.tickMs)
  clock.unref()
  return {
    taker: (listen) => takerOf(listen, take, limits, trouble),
    shutdown: () =>
      new Promise((resolve) => {
        isEmpty = resolve
        if (connections.size === 0) resolve()
        for (const connection of connections) connection.shutdown()
      }),
    destroy: () => {
      clearInterval(clock)
      for (const connection of connections) connection.life.end()
    },
  }
}

/** Gives each connection to the transport, behind TLS where the listener has it. */
const takerOf = (
  listen: Listen,
  take: (socket: Socket) => void,
  limits: Limits,
  trouble: (error: Error) => void,
): ((socket: Socket) => void) => {
  if ('unix' in listen || listen.tls === undefined) return take
  const tls = reloadedTls(listen.tls, trouble)
  let pems = tls.current()
  let server = tlsServer(pems, take, limits)
  return (socket) => {
    const now = tls.current()
    // Connections under older files go on with them until they end.
    if (now !== pems) {
      pems = now
      server = tlsServer(pems, take, limits)
    }
    server.emit('connection', socket)
  }
}

/** The TLS of one set of files. It never listens: it is given sockets, and lets in who speaks HTTP/2. */
const tlsServer = (pems: TlsPems, take: (socket: Socket) => void, limits: Limits): Server => {
  const isMutual = pems.ca !== undefined
  const server = createServer({
    ...pems,
    requestCert: isMutual,
    rejectUnauthorized: isMutual,
    ALPNProtocols: ['h2'],
    handshakeTimeout: limits.prefaceMs,
  })
  server.on('secureConnection', (socket: TLSSocket) => {
    if (socket.alpnProtocol === 'h2') take(socket)
    else socket.destroy()
  })
  // Who can't shake hands is let go by node:tls itself.
  server.on('tlsClientError', () => {})
  return server
}
