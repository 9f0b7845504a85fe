import { type Command, Option } from 'commander'
import { SIDECAR_CLUSTER } from '../../envoy/config/clusters.ts'
import type { Address } from '../../envoy/config/envoy-object.ts'
import { ENVOY_OPTIONS_DEFAULT } from '../../envoy/config/options.ts'
import { diagnose, lookAt } from '../../envoy/doctor/doctor.ts'
import type { EnvoyView } from '../../envoy/doctor/view.ts'
import type { DocumentSet } from '../../model/documents.ts'
import type { Problem } from '../../model/problem.ts'
import { documentsIn } from '../documents-in.ts'
import { parseAddress } from '../envoy-flags.ts'
import { EXIT_CODES } from '../exit-codes.ts'
import { complain, problemLines, say } from '../output.ts'

interface Flags {
  readonly admin: Address
  readonly documents?: string
  readonly cluster: string
  readonly json?: true
}

/**
 * `hubward doctor`: what a running Envoy lacks. Ends with `ok` for nothing or warnings only, `problems` for errors, and
 * `failure` where Envoy or the documents can't be read.
 */
export function doctorCommand(program: Command): void {
  program
    .command('doctor')
    .summary('look at a running Envoy and name what is missing')
    .description("Reads a running Envoy's admin port and names what is missing or wrong, with a remedy for each.")
    .addOption(
      new Option('-a, --admin <address>', "Envoy's admin: host:port or unix:/path")
        .argParser(parseAddress)
        .default(ENVOY_OPTIONS_DEFAULT.admin, '127.0.0.1:9901'),
    )
    .option('-d, --documents <folder>', 'compare with these documents; without, only what needs none is looked at')
    .option('--cluster <name>', "hubward's cluster in this Envoy", SIDECAR_CLUSTER)
    .option('--json', 'write the findings as JSON')
    .action(async (flags: Flags) => {
      process.exitCode = await run(flags)
    })
}

async function run(flags: Flags): Promise<number> {
  let set: DocumentSet | undefined
  if (flags.documents !== undefined) {
    const read = documentsIn(flags.documents)
    if (read.set === null) {
      for (const problem of read.problems) complain(problemLines(problem))
      return EXIT_CODES.failure.code
    }
    set = read.set
  }
  let view: EnvoyView
  try {
    view = await lookAt(flags.admin, flags.cluster)
  } catch (error) {
    complain(`${(error as Error).message}\n  start Envoy, or name its admin port with --admin`)
    return EXIT_CODES.failure.code
  }
  const found = diagnose(view, set)
  const notes = notesOf(set)
  say(flags.json ? JSON.stringify(reportOf(view, found, notes), null, 2) : textOf(view, found, notes))
  return found.some((one) => one.severity === 'error') ? EXIT_CODES.problems.code : EXIT_CODES.ok.code
}

/** What nobody can see in an Envoy, and has to be known all the same. */
const notesOf = (set: DocumentSet | undefined): readonly string[] => {
  const jobs = (set?.classes ?? [])
    .filter((one) => one.whenHubwardIsDown === 'refuse')
    .map(({ metadata }) => metadata.name)
  if (jobs.length === 0) return []
  return [
    `jobs (${jobs.join(', ')}) hold the power and cooling that they declare in the hubward that admitted them, and in no other: several hubwards can give away the same headroom once each until they share a store. Let one hubward admit the jobs of a site`,
  ]
}

const reportOf = (view: EnvoyView, found: readonly Problem[], notes: readonly string[]) => ({
  envoy: view.version,
  listeners: view.managers.map((one) => one.listener),
  clusters: view.clusters.size,
  findings: found,
  notes,
})

function textOf(view: EnvoyView, found: readonly Problem[], notes: readonly string[]): string {
  const errors = found.filter((one) => one.severity === 'error').length
  const seen = `Envoy ${view.version}, ${view.managers.length} connection managers, ${view.clusters.size} clusters`
  const sum = found.length === 0 ? 'nothing is missing' : `${errors} errors, ${found.length - errors} warnings`
  return [...found.map(problemLines), ...notes.map((note) => `note: ${note}`), `${seen}: ${sum}`].join('\n')
}
