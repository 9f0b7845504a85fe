import { readFileSync } from 'node:fs'

let found: string | undefined

/** The version of the package that this file is part of: of its sources or of what was built from them. */
export function packageVersion(): string {
  if (found === undefined) {
    // Sources lie in src/cli, what is built from them in dist/cli: the package is two folders up from either.
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string
    }
    found = version
  }
  return found
}
