import http2 from 'node:http2'
import type { Socket } from 'node:net'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import {
  ACCESS_LOG_SERVICE,
  accessLogService,
  EXT_AUTHZ_SERVICE,
  EXT_PROC_SERVICE,
  extAuthzService,
  extProcService,
} from './grpc-services.ts'
import { HEALTH_SERVICE } from './health-service.ts'
import type { Listen } from './listener.ts'
import { bearResets } from './rapid-reset.ts'
import { reloadedTls, type TlsPems } from './tls-reload.ts'
import type { GrpcTransport, Served } from './transports.ts'

/** The largest message in bytes that is taken: a body of the largest limit, and its headers. */
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024
/** Streams of one connection at once. Envoy keeps to 1,024 by itself, and is never to be refused one. */
const STREAMS_MAX = 2_048
/** Connections that are silent this long are asked, and closed if they do not answer in the time after it. */
const KEEPALIVE_MS = 60_000
const KEEPALIVE_TIMEOUT_MS = 20_000

/** gRPC by @grpc/grpc-js. */
export const grpcJsTransport = ({ handlers, health, logs, active, trouble }: Served): GrpcTransport => {
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
  server.addService(ACCESS_LOG_SERVICE, accessLogService(logs))
  return {
    taker: (listen) => grpcJsTaker(server, listen, trouble),
    shutdown: () => new Promise<void>((resolve) => server.tryShutdown(() => resolve())),
    destroy: () => server.forceShutdown(),
  }
}

/** Gives each connection to grpc-js, with the TLS files of the moment. */
export const grpcJsTaker = (
  server: Server,
  listen: Listen,
  trouble: (error: Error) => void,
): ((socket: Socket) => void) => {
  if ('unix' in listen || listen.tls === undefined) {
    const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
    return (socket) => injector.injectConnection(socket)
  }
  const tls = reloadedTls(listen.tls, trouble)
  let pems = tls.current()
  let injector = server.createConnectionInjector(credentialsOf(pems))
  return (socket) => {
    const now = tls.current()
    // Connections under older files go on with them until they end.
    if (now !== pems) {
      pems = now
      injector = server.createConnectionInjector(credentialsOf(now))
    }
    injector.injectConnection(socket)
  }
}

const credentialsOf = ({ cert, key, ca }: TlsPems): ServerCredentials =>
  ServerCredentials.createSsl(ca ?? null, [{ private_key: key, cert_chain: cert }], ca !== undefined)
