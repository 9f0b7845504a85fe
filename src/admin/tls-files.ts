import { readFileSync, statSync } from 'node:fs'
import type { Server } from 'node:https'
import { createSecureContext } from 'node:tls'
import type { Problem } from '../model/problem.ts'

/** The PEM files of a server. */
export interface TlsFiles {
  readonly certFile: string
  readonly keyFile: string
}

/** The certificate and key of the files. Throws an Error that names them where they make no server. */
export function readTls({ certFile, keyFile }: TlsFiles): { readonly cert: Buffer; readonly key: Buffer } {
  const [cert, key] = [readFileSync(certFile), readFileSync(keyFile)]
  try {
    // A key that is not the certificate's must be found here, not at the first handshake.
    createSecureContext({ cert, key })
  } catch (error) {
    throw new Error(`${certFile} and ${keyFile} do not make a TLS server: ${(error as Error).message}`, {
      cause: error,
    })
  }
  return { cert, key }
}

/**
 * Has a server follow its files, as cert-manager renews them: a look at each new connection, before its handshake. Files
 * that can't be used leave the last good ones in force, and are told once.
 */
export function followTls(server: Server, files: TlsFiles, onProblem: (problem: Problem) => void): void {
  let seen = stamp(files)
  server.prependListener('connection', () => {
    const now = stamp(files)
    if (now === seen) return
    seen = now
    try {
      server.setSecureContext(readTls(files))
    } catch (error) {
      const message = `new TLS files are not used: ${(error as Error).message}`
      const remedy = 'write the certificate and the key that belong together'
      onProblem({ code: 'admin/tls', severity: 'error', message, path: files.certFile, remedy })
    }
  })
}

const stamp = ({ certFile, keyFile }: TlsFiles): string =>
  [certFile, keyFile]
    .map((path) => {
      const found = statSync(path, { throwIfNoEntry: false })
      return found === undefined ? 'none' : `${found.ino} ${found.mtimeMs} ${found.size}`
    })
    .join(' ')
