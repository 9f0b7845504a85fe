import { createServer, type Socket } from 'node:net'
import { freeSocket, ownSocket } from './unix-socket.ts'

/** Files of TLS. With `clientCaFile` a client without a certificate of that authority is not let in. */
export interface TlsFiles {
  readonly certFile: string
  readonly keyFile: string
  readonly clientCaFile?: string
}

/** Where to listen. A unix socket is for Envoy in the same pod; TCP carries TLS where it leaves the host. */
export type Listen =
  | { readonly unix: string; readonly mode?: number; readonly uid?: number; readonly gid?: number }
  | { readonly host: string; readonly port: number; readonly tls?: TlsFiles }

/** An open listener. */
export interface Listener {
  /** `unix:/path` or `host:port`, with the port that the system chose where 0 was asked for. */
  readonly address: string
  readonly connections: () => number
  /** Takes no new connections; those that are open stay. */
  readonly stop: () => void
  /** Ends the open connections as well. */
  readonly destroy: () => void
}

/** Connections that are held at once: an Envoy needs one for each worker and 1,024 streams, and one for its health check. */
const CONNECTIONS_MAX = 1_024

/** Owner and group may use the socket, others not. */
const SOCKET_MODE = 0o660

/**
 * Listens, and hands each connection to `take`. The sockets are ours and not those of grpc-js, because its listeners
 * have nobody who hears an error once they are open (out of file descriptors, for one), and such an error ends the process.
 */
export const openListener = async (
  listen: Listen,
  take: (socket: Socket) => void,
  changed: () => void,
): Promise<Listener> => {
  const open = new Set<Socket>()
  const server = createServer({ noDelay: true }, (socket) => {
    open.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => {
      open.delete(socket)
      changed()
    })
    take(socket)
    changed()
  })
  server.maxConnections = CONNECTIONS_MAX
  if ('unix' in listen) await freeSocket(listen.unix)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    const listening = (): void => {
      server.off('error', reject)
      server.on('error', () => {})
      resolve()
    }
    if (!('unix' in listen)) server.listen({ host: listen.host, port: listen.port }, listening)
    else {
      // The socket is made inside this call. It must never stand open wider than its mode, not even for a moment.
      const before = process.umask(0o777 & ~(listen.mode ?? SOCKET_MODE))
      try {
        server.listen({ path: listen.unix }, listening)
      } finally {
        process.umask(before)
      }
    }
  }).catch((error: Error) => {
    const where = 'unix' in listen ? listen.unix : `${listen.host}:${listen.port}`
    throw new Error(`${where}: can't listen: ${error.message}`, { cause: error })
  })
  if ('unix' in listen) {
    try {
      ownSocket(listen.unix, listen.mode ?? SOCKET_MODE, listen.uid, listen.gid)
    } catch (error) {
      server.close()
      throw new Error(`${listen.unix}: can't be given its owner: ${(error as Error).message}`, { cause: error })
    }
  }
  const bound = server.address()
  return {
    address: typeof bound === 'object' && bound !== null ? `${hostOf(bound.address)}:${bound.port}` : `unix:${bound}`,
    connections: () => open.size,
    stop: () => void server.close(),
    destroy: () => {
      server.close()
      for (const socket of open) socket.destroy()
    },
  }
}

const hostOf = (address: string): string => (address.includes(':') ? `[${address}]` : address)
