import type { Socket } from 'node:net'
import type { AccessLogs } from './access-log-service.ts'
import type { Handlers } from './handlers.ts'
import type { HealthService } from './health-service.ts'
import type { Listen } from './listener.ts'

/** What may carry gRPC: @grpc/grpc-js, or the HTTP/2 server in transport/. */
export type TransportName = 'grpc-js' | 'own'

/** The one that has passed everything and costs less (docs/decisions/0060). */
export const TRANSPORT_DEFAULT: TransportName = 'own'

/** How many calls are being answered. */
export interface Active {
  count: number
}

/** What a transport serves. */
export interface Served {
  readonly handlers: Handlers
  readonly health: HealthService
  readonly logs: AccessLogs
  /** Calls that are being answered: the transport counts them. */
  readonly active: Active
  /** Hears of TLS files that can't be used, and of mistakes of our own. */
  readonly trouble: (error: Error) => void
}

/** A server of gRPC that is given its connections. */
export interface GrpcTransport {
  /** What takes the connections of one listener. Throws where its TLS files can't be used. */
  readonly taker: (listen: Listen) => (socket: Socket) => void
  /** Takes no more calls; resolves when those that are under way have ended. */
  readonly shutdown: () => Promise<void>
  /** Ends everything at once. */
  readonly destroy: () => void
}
