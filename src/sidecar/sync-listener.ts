import type { Server } from '@grpc/grpc-js'
import { ServerCredentials } from '@grpc/grpc-js'
import type { ListenerSettings } from '../config.ts'
import { openListener } from '../envoy/listener.ts'
import { reloadedTls } from '../envoy/tls-reload.ts'
import type { SyncListener } from '../openfeature/sync-server.ts'

/** Has a server of grpc-js listen as the listeners for Envoy do: sockets with owners, TLS that follows its files. */
export const syncListener =
  (settings: ListenerSettings, trouble: (error: Error) => void): ((server: Server) => Promise<SyncListener>) =>
  async (server) => {
    const tls = 'unix' in settings || settings.tls === undefined ? undefined : reloadedTls(settings.tls, trouble)
    let credentials = tls?.current() ?? ServerCredentials.createInsecure()
    let injector = server.createConnectionInjector(credentials)
    return openListener(
      settings,
      (socket) => {
        const now = tls?.current() ?? credentials
        // Connections under older files go on with them until they end.
        if (now !== credentials) {
          credentials = now
          injector = server.createConnectionInjector(now)
        }
        injector.injectConnection(socket)
      },
      () => {},
    )
  }
