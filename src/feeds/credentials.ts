import { readFile, stat } from 'node:fs/promises'
import { errorDetail, failure } from './failure.ts'

/** How a source is asked by HTTP: secrets are read from files at each attempt, so that rotating them needs no restart. */
export interface HttpAccess {
  readonly auth?: { readonly bearerFile: string } | { readonly username: string; readonly passwordFile: string }
  /** Further headers; a value that is secret comes from a file. */
  readonly headers?: readonly ({ readonly name: string } & ({ readonly value: string } | { readonly file: string }))[]
  readonly tls?: TlsFiles
}

/** Files with PEM texts, and the name that the server's certificate must carry where the address's own does not do. */
export interface TlsFiles {
  readonly caFile?: string
  readonly certFile?: string
  readonly keyFile?: string
  readonly serverName?: string
}

/** The PEM texts of TlsFiles, as node:tls takes them. */
export interface TlsTexts {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly servername?: string
}

/** A file with a secret or a certificate is not larger. */
const SECRET_BYTES_MAX = 256 * 1024

/** The request headers that an access gives. Rejects with `feed/credentials`, naming the file and never what is in it. */
export async function accessHeaders(access: HttpAccess): Promise<Record<string, string>> {
  const headers: Record<string, string> = {}
  for (const header of access.headers ?? []) {
    headers[header.name.toLowerCase()] = 'file' in header ? await secretLine(header.file) : header.value
  }
  const { auth } = access
  if (auth === undefined) return headers
  if ('bearerFile' in auth) headers.authorization = `Bearer ${await secretLine(auth.bearerFile)}`
  else {
    const pair = `${auth.username}:${await secretLine(auth.passwordFile)}`
    headers.authorization = `Basic ${Buffer.from(pair).toString('base64')}`
  }
  return headers
}

/** The certificates and key of an access, read anew; undefined where it has none. Rejects with `feed/credentials`. */
export async function accessTls(access: HttpAccess): Promise<TlsTexts | undefined> {
  const { tls } = access
  if (tls === undefined) return undefined
  return {
    ...(tls.caFile === undefined ? {} : { ca: await secretText(tls.caFile) }),
    ...(tls.certFile === undefined ? {} : { cert: await secretText(tls.certFile) }),
    ...(tls.keyFile === undefined ? {} : { key: await secretText(tls.keyFile) }),
    ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
  }
}

/** The one line of a file that holds a secret. Rejects with `feed/credentials`, naming the file and never what is in it. */
export const secretLine = async (file: string): Promise<string> => {
  const text = (await secretText(file)).trim()
  // Anything else would be refused by the HTTP client with a message that may quote it.
  if (text === '' || !/^[\x20-\x7e]*$/.test(text)) {
    throw failure('feed/credentials', `${file} must hold one line of printable characters`, {
      path: file,
      remedy: 'write the secret alone into the file, without quotes or line breaks',
    })
  }
  return text
}

const secretText = async (file: string): Promise<string> => {
  try {
    const { size } = await stat(file)
    if (size > SECRET_BYTES_MAX) throw new Error(`larger than ${SECRET_BYTES_MAX} bytes`)
    return await readFile(file, 'utf8')
  } catch (error) {
    throw failure('feed/credentials', `${file} can't be read: ${errorDetail(error)}`, {
      path: file,
      remedy: 'mount the secret, and let the user that hubward runs as read it',
    })
  }
}
