import { spawnSync } from 'node:child_process'
import { PAGES } from '../../src/cli/reference.ts'
import { ROOT, type Source } from './sources.ts'

/** A file that a program writes: where it lies, and the arguments of Node that print it. */
export interface Generated {
  readonly file: string
  readonly command: readonly string[]
}

/** Every generated reference. To add one, add its row: a file of docs/reference without a row is a failure. */
export const GENERATED: readonly Generated[] = Object.keys(PAGES).map((page) => ({
  file: `docs/reference/${page}.md`,
  command: ['test/docs.ts', page],
}))

/** References that differ from what their program prints now, and references that no program prints. */
export const staleReferences = (rows: readonly Generated[], sources: readonly Source[]): string[] => [
  ...rows.flatMap(({ file, command }) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, command, { cwd: ROOT, encoding: 'utf8' })
    if (status !== 0) return [`${file}: node ${command.join(' ')} failed: ${stderr.trim().slice(-300)}`]
    const found = sources.find(({ path }) => path === file)
    return found?.text === stdout ? [] : [`${file}: is not what node ${command.join(' ')} prints; write it again`]
  }),
  ...sources
    .filter(({ path }) => path.startsWith('docs/reference/') && !rows.some(({ file }) => file === path))
    .map(({ path }) => `${path}: no row of GENERATED says what prints it`),
]
