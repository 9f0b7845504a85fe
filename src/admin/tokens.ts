import { createHash, timingSafeEqual } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import type { Problem } from '../model/problem.ts'

/** Who may ask, by the hashes of their tokens. */
export interface Tokens {
  /** The name of whose token this Authorization header holds; undefined: nobody's. */
  readonly nameOf: (authorization: string | undefined) => string | undefined
}

/** Hashes out of a file's text: a name and the SHA-256 of a token in hex on a line; `#` begins a comment. */
export function parseTokens(text: string): {
  readonly hashes: ReadonlyMap<string, Buffer>
  readonly problems: Problem[]
} {
  const hashes = new Map<string, Buffer>()
  const problems: Problem[] = []
  for (const [index, written] of text.split('\n').entries()) {
    const line = written.replace(/#.*/, '').trim()
    if (line === '') continue
    const fields = /^(\S{1,64})\s+(?:sha256:)?([0-9a-fA-F]{64})$/.exec(line)
    // The line itself is never shown: somebody may have written the token instead of its hash.
    if (fields === null) {
      problems.push(
        tokenProblem(index + 1, 'is not a name and a hash', 'write `name` and what `printf %s TOKEN | sha256sum` says'),
      )
    } else if (hashes.has(fields[1]!))
      problems.push(tokenProblem(index + 1, 'has a name that stands before it', 'rename it'))
    else hashes.set(fields[1]!, Buffer.from(fields[2]!, 'hex'))
  }
  if (hashes.size === 0 && problems.length === 0)
    problems.push(tokenProblem(1, 'is missing', 'write at least one token'))
  return { hashes, problems }
}

const tokenProblem = (line: number, what: string, remedy: string): Problem => ({
  code: 'admin/tokens',
  severity: 'error',
  message: `the token in line ${line} ${what}`,
  line,
  column: 1,
  remedy,
})

/**
 * Tokens from a file, read anew when it has changed: whoever is taken out of it is out at once. A file that can't be
 * used any more lets in nobody new and keeps those of before; at the start it throws.
 */
export function openTokens(file: string, onProblem: (problem: Problem) => void): Tokens {
  let stamp = ''
  let hashes: ReadonlyMap<string, Buffer> = new Map()
  const look = (): readonly Problem[] => {
    try {
      const { mtimeMs, size, ino } = statSync(file)
      const now = `${mtimeMs} ${size} ${ino}`
      if (now === stamp) return []
      stamp = now
      const read = parseTokens(readFileSync(file, 'utf8'))
      if (read.problems.length === 0) hashes = read.hashes
      return read.problems
    } catch (error) {
      if (stamp === 'gone') return []
      stamp = 'gone'
      const remedy = 'write the file, or take admin.tokensFile out of the configuration'
      const message = `${file} cannot be read: ${(error as Error).message}`
      return [{ code: 'admin/tokens', severity: 'error', message, remedy }]
    }
  }
  const [first] = look()
  if (first !== undefined) throw new Error(`${file}: ${first.message}; ${first.remedy}`)
  return {
    nameOf: (authorization) => {
      for (const problem of look()) onProblem({ ...problem, path: file })
      const token = /^Bearer +(\S{1,512})$/i.exec(authorization ?? '')?.[1]
      if (token === undefined) return undefined
      const hash = createHash('sha256').update(token).digest()
      let name: string | undefined
      // All are compared, so that the time says nothing about which one fits.
      for (const [known, expected] of hashes) if (timingSafeEqual(hash, expected)) name = known
      return name
    },
  }
}
