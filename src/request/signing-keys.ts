import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto'
import type { Problem } from '../model/problem.ts'

/** Keys that session tokens and hops are signed with. The first signs; all of them verify, so that keys can rotate. */
export interface SigningKeys {
  readonly current: string
  readonly secrets: ReadonlyMap<string, KeyObject>
}

/** The least bytes a secret has: as many as SHA-256 gives. */
const SECRET_BYTES_MIN = 32
/** Bits of a signature: 128, so that a token stays short and guessing stays out of reach. */
const MAC_BYTES = 16
/** 16 bytes in base64url. */
export const MAC_CHARS = 22

/** Keys by id, the one that signs first. Secrets become KeyObjects: raw bytes make every HMAC seven times as slow. */
export function signingKeys(entries: readonly (readonly [id: string, secret: Uint8Array])[]): SigningKeys {
  return {
    current: entries[0]?.[0] ?? '',
    secrets: new Map(entries.map(([id, secret]) => [id, createSecretKey(secret)])),
  }
}

/**
 * Keys out of a file's text: a line for each, an id and a secret of at least 32 bytes in base64url; `#` begins a
 * comment; the first line signs. A file with any problem gives no keys.
 */
export function parseSigningKeys(text: string): { readonly keys?: SigningKeys; readonly problems: readonly Problem[] } {
  const entries = new Map<string, Uint8Array>()
  const problems: Problem[] = []
  for (const [index, written] of text.split('\n').entries()) {
    const line = written.replace(/#.*/, '').trim()
    if (line === '') continue
    const fields = /^([A-Za-z0-9_-]{1,16})\s+([A-Za-z0-9_-]+)=*$/.exec(line)
    const secret = Buffer.from(fields?.[2] ?? '', 'base64url')
    // The line itself is never shown: it may be the secret.
    if (fields === null) problems.push(keyProblem(index, 'is not an id and a secret', 'write `id base64url`'))
    else if (entries.has(fields[1]!)) problems.push(keyProblem(index, 'has the id of another key', 'give it its own'))
    else if (secret.length < SECRET_BYTES_MIN) {
      problems.push(keyProblem(index, 'has a short secret', 'make one with `openssl rand -base64 32 | tr +/ -_`'))
    } else entries.set(fields[1]!, secret)
  }
  if (entries.size === 0 && problems.length === 0) problems.push(keyProblem(0, 'is missing', 'write one key a line'))
  return problems.length > 0 ? { problems } : { keys: signingKeys([...entries]), problems }
}

const keyProblem = (index: number, what: string, remedy: string): Problem => ({
  code: 'keys/unusable',
  severity: 'error',
  message: `the key in line ${index + 1} ${what}`,
  line: index + 1,
  column: 1,
  remedy,
})

/** HMAC-SHA256 of the text, truncated to 128 bits, in base64url. */
export const macOf = (key: KeyObject, text: string): string =>
  createHmac('sha256', key).update(text).digest().toString('base64url', 0, MAC_BYTES)

/** Whether two signatures are one, in a time that does not tell where they differ. */
export function isSameMac(a: string, b: string): boolean {
  const left = Buffer.from(a, 'latin1')
  const right = Buffer.from(b, 'latin1')
  return left.length === right.length && timingSafeEqual(left, right)
}
