import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { problemText } from '../model/problem.ts'
import { parseSigningKeys, type SigningKeys } from '../request/signing-keys.ts'

/**
 * The signing keys of a file, or of one made in the state folder at the first start. Throws for a file that can't be
 * used. `made`: nobody else has these keys, so a session or hop of another hubward is not believed.
 */
export const openKeys = (
  file: string | undefined,
  stateDir: string,
  name: string,
): { readonly keys: SigningKeys; readonly made: boolean } => {
  const path = file ?? join(stateDir, `${name}.keys`)
  const made = file === undefined
  if (made && !existsSync(path)) {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, `own ${randomBytes(32).toString('base64url')}\n`, { mode: 0o600, flag: 'wx' })
  }
  const { keys, problems } = parseSigningKeys(readFileSync(path, 'utf8'))
  if (keys === undefined) throw new Error(problems.map((problem) => `${path}: ${problemText(problem)}`).join('\n'))
  return { keys, made }
}
