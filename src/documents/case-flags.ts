import type { FlagSet } from '../model/flag.ts'
import type { Problem } from '../model/problem.ts'

/** Reads the text of a flagd definition; the path is for the places of problems. */
export type ReadFlags = (
  text: string,
  path: string,
) => { readonly set: FlagSet | null; readonly problems: readonly Problem[] }

type Words = Readonly<Record<string, unknown>>

/** The flags that a case gives, or null, and told, where they can't be used. */
export function caseFlags(given: unknown, read: ReadFlags | undefined, wrong: (what: string) => void): FlagSet | null {
  if (read === undefined) wrong('given.flags: flags cannot be read here')
  else if (typeof given !== 'object' || given === null || Array.isArray(given))
    wrong('given.flags has to be a flagd definition, or its flags by key')
  else {
    const { set, problems } = read(JSON.stringify(definitionOf(given as Words)), 'given.flags')
    for (const { message, severity } of problems) if (severity === 'error') wrong(`given.flags: ${message}`)
    return set
  }
  return null
}

/** A whole definition as it is; flags by key as one, enabled where they don't say otherwise. */
function definitionOf(given: Words): Words {
  if (isMap(given.flags) && !('variants' in given.flags)) return given
  const flags = Object.entries(given).map(([key, flag]) => [key, isMap(flag) ? { state: 'ENABLED', ...flag } : flag])
  return { flags: Object.fromEntries(flags) }
}

const isMap = (value: unknown): value is Words => typeof value === 'object' && value !== null && !Array.isArray(value)
