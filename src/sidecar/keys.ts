import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Log } from '../log.ts'
import { problemText } from '../model/problem.ts'
import { parseSigningKeys, type SigningKeys } from '../request/signing-keys.ts'

/** The signing keys of a file that the configuration names. Throws, naming the file, if it can't be used. */
export const keysIn = (file: string): SigningKeys => {
  const { keys, problems } = parseSigningKeys(readFileSync(file, 'utf8'))
  if (keys === undefined) throw new Error(problems.map((problem) => problemText({ ...problem, path: file })).join('\n'))
  return keys
}

/**
 * The keys of session tokens: of the configured file, else of one in the state folder, made at the first start. Where
 * the folder can't be written they live as long as the process, and so do the sessions: no reason not to serve.
 */
export const sessionKeys = (file: string | undefined, stateDir: string, log: Log): SigningKeys => {
  if (file !== undefined) return keysIn(file)
  const path = join(stateDir, 'session.keys')
  const made = `own ${randomBytes(32).toString('base64url')}\n`
  try {
    if (!existsSync(path)) {
      mkdirSync(dirname(path), { recursive: true, mode: 0o750 })
      writeFileSync(path, made, { mode: 0o600, flag: 'wx' })
      log.warn({ path }, 'keys of session tokens were made; several hubwards need the same: see keys.sessionFile')
    }
    return keysIn(path)
  } catch (error) {
    log.warn(
      { detail: (error as Error).message },
      'keys of session tokens can not be kept: sessions end with this process',
    )
    return parseSigningKeys(made).keys!
  }
}
