import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

/* Formatting, lint, types, dead code and the tidy tests in one command; says which of them is not content. */

const ROOT = join(import.meta.dirname, '..')
const bin = (name: string, ...path: string[]): string => join(ROOT, 'node_modules', name, ...path)

const CHECKS: readonly (readonly [name: string, script: string, ...args: string[]])[] = [
  ['biome', bin('@biomejs/biome', 'bin', 'biome'), 'ci', '--error-on-warnings', '--colors=off'],
  ['types', bin('typescript', 'bin', 'tsc'), '-p', 'tsconfig.json'],
  ['dead code', bin('knip', 'bin', 'knip.js')],
  ['rules of the house', join(ROOT, 'test', 'run.ts'), 'test/tidy/'],
]

let failed = 0
for (const [name, script, ...args] of CHECKS) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], { cwd: ROOT, encoding: 'utf8' })
  if (status === 0) {
    console.log(`${name}: fine`)
    continue
  }
  failed += 1
  console.log(`${name}: not fine\n${stdout}${stderr}`)
}
process.exitCode = failed === 0 ? 0 : 1
