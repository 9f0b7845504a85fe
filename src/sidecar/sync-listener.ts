import { type Server, ServerCredentials } from '@grpc/grpc-js'
import type { ListenerSettings } from '../config.ts'
import { openListener } from '../envoy/listener.ts'
import { reloadedTls } from '../envoy/tls-reload.ts'
import type { SyncListener } from '../openfeature/sync-server.ts'

/** Has a server of grpc-js listen as the listeners for Envoy do: sockets with owners, TLS that follows its files. */
export const syncListener =
  (settings: ListenerSettings, trouble: (error: Error) => void): ((server: Server) => Promise<SyncListener>) =>
  async (server) => {
    const tls = 'unix' in settings || settings.tls === undefined ? undefined : reloadedTls(settings.tls, trouble)
    let files = tls?.current()
    const made = () => server.createConnectionInjector(credentialsOf(files))
    let injector = made()
    return openListener(
      settings,
      (socket) => {
        const now = tls?.current()
        // Connections under older files go on with them until they end.
        if (now !== files) {
          files = now
          injector = made()
        }
        injector.injectConnection(socket)
      },
      () => {},
    )
  }

const credentialsOf = (
  files: { readonly cert: Buffer; readonly key: Buffer; readonly ca?: Buffer } | undefined,
): ServerCredentials =>
  files === undefined
    ? ServerCredentials.createInsecure()
    : ServerCredentials.createSsl(
        files.ca ?? null,
        [{ private_key: files.key, cert_chain: files.cert }],
        files.ca !== undefined,
      )
