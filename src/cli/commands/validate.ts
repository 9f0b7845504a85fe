import { join, relative } from 'node:path'
import type { Command } from 'commander'
import { estimatedThresholds, thresholdText } from '../../documents/thresholds.ts'
import { mergeSets } from '../../engine/programs.ts'
import { feedStatuses } from '../../feeds/check.ts'
import type { Problem } from '../../model/problem.ts'
import { configFile, configIn } from '../config-in.ts'
import { EXIT_CODES } from '../exit-codes.ts'
import { flagFindings, flagsIn } from '../flags-in.ts'
import { type FolderRead, foldersIn } from '../folders-in.ts'
import { paint, problemLines, say } from '../output.ts'

interface Flags {
  readonly config?: string
  readonly flags?: readonly string[]
  readonly flagsInForce?: string
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
        'major origins, GPU health and queue. Thresholds that are marked as a guess are listed. Flags are read and ' +
        'looked at beside the documents: names, owners, dates, rules that are never reached, names of policies, ' +
        'sites and cohorts, and, against the flags in force, weights that would move users for nothing.',
    )
    .argument('[folders...]', 'folders of documents; absent: those of the configuration')
    .option('-c, --config <file>', 'the configuration, for its feeds and folders ($HUBWARD_CONFIG)')
    .option(
      '--flags <path>',
      'a flagd definition, or a folder of them; repeatable',
      (path: string, before: readonly string[] = []) => [...before, path],
    )
    .option('--flags-in-force <path>', 'the definition that is in force now, to see whom a change of weights moves')
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
  const flagPaths = flags.flags ?? config?.flags.flatMap((one) => (one.kind === 'file' ? [one.file] : [])) ?? []
  if (dirs.length === 0 && flagPaths.length === 0)
    command.error('error: name a folder, flags with --flags, or a configuration with --config', { exitCode: 2 })
  const feeds = config === undefined ? undefined : feedStatuses(config.feeds)
  const reads = foldersIn(dirs, Date.now(), feeds)
  const ofFlags = flagProblems(flagPaths, flags.flagsInForce, reads)
  const problems = [
    ...reads.flatMap(({ folder, problems: found }) => found.map((problem) => placed(problem, folder))),
    ...ofFlags.problems,
  ]
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
    say(summary(reads, ofFlags.count, errors, problems.length - errors))
  }
  return isBad ? EXIT_CODES.problems.code : EXIT_CODES.ok.code
}

/** What is wrong with flags, read as one source beside the documents that could be read. */
function flagProblems(
  paths: readonly string[],
  inForce: string | undefined,
  reads: readonly FolderRead[],
): { readonly problems: readonly Problem[]; readonly count: number } {
  if (paths.length === 0) return { problems: [], count: 0 }
  const read = flagsIn(paths)
  const before = inForce === undefined ? undefined : flagsIn([inForce])
  const sets = Object.fromEntries(reads.flatMap(({ folder, set }) => (set === null ? [] : [[folder, set]])))
  const isWhole = reads.length > 0 && reads.every(({ set }) => set !== null)
  const findings = flagFindings(read, {
    now: Date.now(),
    ...(isWhole ? { documents: mergeSets(sets) } : {}),
    before: before?.set ?? undefined,
  })
  const unread = (before?.problems ?? []).filter(({ severity }) => severity === 'error')
  return { problems: [...read.problems, ...unread, ...findings], count: Object.keys(read.set?.flags ?? {}).length }
}

/** The problem with a path that can be opened from here. */
function placed(problem: Problem, folder: string): Problem {
  if (problem.path === undefined) return problem
  const path = relative(process.cwd(), join(folder, problem.path))
  return { ...problem, path: path.startsWith('..') ? join(folder, problem.path) : path }
}

function summary(reads: readonly FolderRead[], flags: number, errors: number, warnings: number): string {
  const counts = new Map<string, number>()
  for (const { set } of reads) {
    for (const [kind, documents] of Object.entries(set ?? {})) {
      counts.set(kind, (counts.get(kind) ?? 0) + (documents as readonly unknown[]).length)
    }
  }
  counts.set('flags', flags)
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
  readiness: 'readiness documents',
  cohorts: 'cohorts',
  rollouts: 'rollouts',
  tests: 'policy tests',
}
