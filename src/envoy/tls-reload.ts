import { readFileSync, statSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import type { TlsFiles } from './listener.ts'

/** The contents of the files. */
export interface TlsPems {
  readonly cert: Buffer
  readonly key: Buffer
  /** Who signs the certificates of clients, which must then have one. */
  readonly ca?: Buffer
}

/** TLS that follows its files. */
export interface ReloadedTls {
  /** What is in force. Looks at the files, and gives the same object until they change. */
  readonly current: () => TlsPems
}

/**
 * TLS from files that somebody renews, as cert-manager does: a look at each new connection, which an Envoy makes about
 * once in 800 requests, instead of a watcher. Files that can't be used leave the last good ones in force and are told
 * once; at the start they throw.
 */
export const reloadedTls = (files: TlsFiles, failed: (error: Error) => void): ReloadedTls => {
  const paths = [files.certFile, files.keyFile, ...(files.clientCaFile === undefined ? [] : [files.clientCaFile])]
  let seen = stamp(paths)
  let pems = read(files)
  return {
    current: () => {
      const now = stamp(paths)
      if (now === seen) return pems
      seen = now
      try {
        pems = read(files)
      } catch (error) {
        failed(new Error(`new TLS files are not used: ${(error as Error).message}`, { cause: error }))
      }
      return pems
    },
  }
}

const stamp = (paths: readonly string[]): string =>
  paths
    .map((path) => {
      const found = statSync(path, { throwIfNoEntry: false })
      return found === undefined ? 'none' : `${found.ino} ${found.mtimeMs} ${found.size}`
    })
    .join(' ')

const read = ({ certFile, keyFile, clientCaFile }: TlsFiles): TlsPems => {
  const load = (path: string): Buffer => {
    try {
      return readFileSync(path)
    } catch (error) {
      throw new Error(`${path}: ${(error as Error).message}`, { cause: error })
    }
  }
  const [cert, key] = [load(certFile), load(keyFile)]
  const pems = { cert, key, ...(clientCaFile === undefined ? {} : { ca: load(clientCaFile) }) }
  try {
    // A key that is not the certificate's must be found here, and not at the first handshake.
    createSecureContext(pems)
  } catch (error) {
    throw new Error(`${certFile} and ${keyFile} do not make a TLS server: ${(error as Error).message}`, {
      cause: error,
    })
  }
  return pems
}
