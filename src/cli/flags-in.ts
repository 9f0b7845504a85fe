import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { type Located, placeOf } from '../documents/place.ts'
import { readText, type SourceFile } from '../documents/text.ts'
import type { FlagFinding } from '../flags/findings.ts'
import { lintChange } from '../flags/lint-change.ts'
import { lintFlags } from '../flags/lint-flags.ts'
import { readFlagFiles } from '../flags/read-flags.ts'
import type { DocumentSet } from '../model/documents.ts'
import type { FlagSet } from '../model/flag.ts'
import type { EpochMs } from '../model/names.ts'
import type { Problem } from '../model/problem.ts'

/** The flags of a file or folder, read here and now as a source would have them; or why there are none. */
export interface FlagsRead {
  readonly set: FlagSet | null
  readonly problems: readonly Problem[]
  readonly files: readonly SourceFile[]
}

/** The flags of several files and folders as one set. A key that stands in two of them is a problem. */
export function flagsIn(paths: readonly string[]): FlagsRead {
  const files: SourceFile[] = []
  try {
    for (const path of paths)
      for (const file of filesAt(path)) files.push({ path: file, text: readFileSync(file, 'utf8') })
  } catch (error) {
    return { set: null, problems: [unreadable(paths.join(', '), (error as Error).message)], files }
  }
  if (files.length === 0) return { set: null, problems: [unreadable(paths.join(', '), 'no file of flags')], files }
  const { set, problems } = readFlagFiles(files)
  return { set, problems, files }
}

/** What is to be said of flags beside the documents, and beside the flags that are in force before them, with places. */
export function flagFindings(
  { set, files }: FlagsRead,
  context: { readonly now: EpochMs; readonly documents?: DocumentSet; readonly before?: FlagSet | undefined },
): Problem[] {
  if (set === null) return []
  const found = [...lintFlags(set, context), ...(context.before === undefined ? [] : lintChange(context.before, set))]
  const written = files.flatMap((file) => readText(file).written)
  return found.map((one) => placed(one, written))
}

const filesAt = (path: string): string[] =>
  statSync(path).isDirectory()
    ? readdirSync(path)
        .filter((name) => /^[^.].*\.(json|ya?ml)$/.test(name))
        .sort()
        .map((name) => join(path, name))
    : [path]

const unreadable = (path: string, why: string): Problem => ({
  code: 'documents/unreadable',
  severity: 'error',
  message: `the flags of ${path} cannot be read: ${why}`,
  remedy: 'name a flagd definition, or a folder with *.json, *.yaml or *.yml files',
})

/** The finding with the place of what it is about, in the file that has the flag. */
function placed(
  { at, ...problem }: FlagFinding,
  written: readonly { readonly located: Located; readonly value: unknown }[],
): Problem {
  const [, key, ...part] = at
  for (const { located, value } of written) {
    const flags = (value as { flags?: unknown } | null)?.flags
    const index = Array.isArray(flags)
      ? flags.findIndex((one) => (one as { key?: unknown } | null)?.key === key)
      : typeof flags === 'object' && flags !== null && Object.hasOwn(flags, key!)
        ? key!
        : -1
    if (index === -1) continue
    const place = placeOf(located, ['flags', index, ...part], part.length === 0 ? 'key' : 'value')
    return { ...problem, ...place, path: shown(place.path) }
  }
  return problem
}

const shown = (path: string): string => {
  const near = relative(process.cwd(), path)
  return near.startsWith('..') ? path : near
}
