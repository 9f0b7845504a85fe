import { join, relative } from 'node:path'
import type { Command } from 'commander'
import { estimatedThresholds, thresholdText } from '../../documents/thresholds.ts'
import { feedStatuses } from '../../feeds/check.ts'
import type { Problem } from '../../model/problem.ts'
import { configFile, configIn } from '../config-in.ts'
import { EXIT_CODES } from '../exit-codes.ts'
import { type FolderRead, foldersIn } from '../folders-in.ts'
import { paint, problemLines, say } from '../output.ts'

interface Flags {
  readonly config?: string
  readonly strict?: true
  readonly json?: true
}

/** `hubward validate`: everything that is wrong with documents, at once. */
export function validateCommand(program: Command): void {
  const command = program
    .command('validate')
    .summary('check documents, and name every problem at once')
    .description(
      'Checks folders of documents as `hubward serve` would, each as a source of its own beside the others. With a ' +
        'configuration it also names each policy and site whose required signal no feed delivers, freshness limits ' +
        'that no feed can meet, and what each site lacks of the minimum: power headroom, cooling margin, latency to ' +
        'major origins, GPU health and queue. Thresholds that are marked as a guess are listed.',
    )
    .argument('[folders...]', 'folders of documents; absent: those of the configuration')
    .option('-c, --config <file>', 'the configuration, for its feeds and folders ($HUBWARD_CONFIG)')
    .option('--strict', 'warnings count as errors')
    .option('--json', 'write the problems as JSON')
  command.action((folders: string[], flags: Flags) => {
    process.exitCode = run(command, folders, flags)
  })
}

function run(command: Command, folders: readonly string[], flags: Flags): number {
  const file = configFile(flags.config)
  const config = file === undefined ? undefined : configIn(command, file)
  const dirs = folders.length > 0 ? folders : (config?.documents.map(({ dir }) => dir) ?? [])
  if (dirs.length === 0) command.error('error: name a folder, or a configuration with --config', { exitCode: 2 })
  const feeds = config === undefined ? undefined : feedStatuses(config.feeds)
  const reads = foldersIn(dirs, Date.now(), feeds)
  const problems = reads.flatMap(({ folder, problems: found }) => found.map((problem) => placed(problem, folder)))
  const errors = problems.filter(({ severity }) => severity === 'error').length
  const isBad = errors > 0 || (flags.strict === true && problems.length > 0)
  const guesses = reads.flatMap(({ set }) => (set === null ? [] : estimatedThresholds(set)))
  if (flags.json) {
    const estimated = guesses.map(({ document, signal, use, threshold: { op, limit, resume } }) => {
      return { document, signal, use, op, limit, resume }
    })
    say(JSON.stringify({ ok: !isBad, errors, warnings: problems.length - errors, problems, estimated }, null, 2))
  } else {
    for (const problem of problems) say(problemLines(problem))
    for (const guess of guesses) say(`estimated  ${thresholdText(guess)}`)
    say(summary(reads, errors, problems.length - errors))
  }
  return isBad ? EXIT_CODES.problems.code : EXIT_CODES.ok.code
}

/** The problem with a path that can be opened from here. */
function placed(problem: Problem, folder: string): Problem {
  if (problem.path === undefined) return problem
  const path = relative(process.cwd(), join(folder, problem.path))
  return { ...problem, path: path.startsWith('..') ? join(folder, problem.path) : path }
}

function summary(reads: readonly FolderRead[], errors: number, warnings: number): string {
  const counts = new Map<string, number>()
  for (const { set } of reads) {
    for (const [kind, documents] of Object.entries(set ?? {})) {
      counts.set(kind, (counts.get(kind) ?? 0) + (documents as readonly unknown[]).length)
    }
  }
  const known = [...counts].filter(([, count]) => count > 0).map(([kind, count]) => `${count} ${KINDS[kind] ?? kind}`)
  const found = errors + warnings === 0 ? 'no problems' : `${errors} errors, ${warnings} warnings`
  const style = errors > 0 ? 'red' : warnings > 0 ? 'yellow' : 'green'
  return `${known.length === 0 ? '' : `${known.join(', ')}: `}${paint(style, found)}`
}

const KINDS: Readonly<Record<string, string>> = {
  sites: 'sites',
  residencies: 'residency classes',
  classes: 'workload classes',
  policies: 'policies',
  factSources: 'fact sources',
  tests: 'policy tests',
}
