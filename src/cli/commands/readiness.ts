import type { Command } from 'commander'
import { type AdminFlags, withAdminFlags } from '../admin-client.ts'
import { EXIT_CODES } from '../exit-codes.ts'
import { complain, say } from '../output.ts'
import { askEstimates, askReadiness, estimateLines, readinessLines } from '../readiness-lines.ts'

interface Flags extends AdminFlags {
  readonly class?: string
  readonly site?: string
  readonly json?: true
}

/** `hubward readiness`: how ready each target is for each class. */
export function readinessCommand(program: Command): void {
  const command = program
    .command('readiness')
    .summary('tell how ready each target is for each class')
    .description(
      'Asks a running hubward how ready each target is for each class, by dimension, with the number behind each state, ' +
        'and lists thresholds that documents mark as estimated, with what was measured and what that suggests.',
    )
    .option('--class <name>', 'only for this class')
    .option('--site <name>', "only this site's targets")
    .option('--json', 'write the answers as JSON')
  withAdminFlags(command).action(async (flags: Flags) => {
    const { class: className, site } = flags
    const rows = await askReadiness(flags, {
      ...(className === undefined ? {} : { class: className }),
      ...(site === undefined ? {} : { site }),
    })
    if (rows === undefined) {
      complain('error: hubward knows no such site or class; `hubward readiness` without flags lists what there is')
      process.exitCode = EXIT_CODES.usage.code
      return
    }
    const judged = await askEstimates(flags)
    if (flags.json) {
      say(JSON.stringify({ rows, ...judged }, null, 2))
      return
    }
    for (const line of readinessLines(rows)) say(line)
    const guesses = estimateLines(judged)
    if (guesses.length > 0) say()
    for (const line of guesses) say(line)
  })
}
