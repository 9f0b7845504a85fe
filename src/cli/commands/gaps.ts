import { type Command, Option } from 'commander'
import { parseDuration } from '../../documents/duration.ts'
import type { GapsReport } from '../../model/gaps.ts'
import { type AdminFlags, askAdmin, withAdminFlags } from '../admin-client.ts'
import { EXIT_CODES } from '../exit-codes.ts'
import { gapsCsv, gapsLines } from '../gaps-lines.ts'
import { complain, say } from '../output.ts'

interface Flags extends AdminFlags {
  readonly from?: string
  readonly to?: string
  readonly site?: string
  readonly json?: true
  readonly csv?: true
}

/** `hubward gaps`: what the sites lacked, for whoever plans capacity. */
export function gapsCommand(program: Command): void {
  const command = program
    .command('gaps')
    .summary('tell what sites lacked: hours amber and red, and work that was turned away')
    .description(
      'Asks a running hubward which sites were amber or red, how long and in what, and which work was delayed or denied ' +
        'there by which constraint: answers, pieces of work, and the energy and accelerator time of those whose size is ' +
        'known. Sites with something chronic (not green for a tenth of the time) come first. 35 days are kept.',
    )
    .option('--from <time>', 'a day, an instant (2026-11-01T10:00Z), or so long ago (7d)', '7d')
    .option('--to <time>', 'likewise; now where it is not said')
    .option('--site <name>', 'only this site')
    .addOption(new Option('--json', 'write JSON').conflicts('csv'))
    .option('--csv', 'write lines for a spreadsheet')
    .addHelpText(
      'after',
      `
WORK counts pieces: a job that its asker names by a key counts once a day, however often it comes back; without a key
each answer is a piece. MWH and GPU-HOURS are of those that said how much they take and how long (needs hours=6, or the
class's usualHours). A piece that three sites turned away stands at each of them, and once under all sites.
Examples:
  hubward gaps --from 30d
  hubward gaps --from 2026-11-01 --to 2026-12-01 --csv > november.csv`,
    )
  withAdminFlags(command).action(async (flags: Flags) => {
    const query = new URLSearchParams()
    for (const name of ['from', 'to'] as const) {
      const text = flags[name]
      const agoMs = text === undefined ? undefined : parseDuration(text)
      if (text !== undefined) query.set(name, agoMs === undefined ? text : String(Math.max(0, Date.now() - agoMs)))
    }
    const { status, json } = await askAdmin(flags, `/v1/gaps?${query}`)
    if (status !== 200) {
      complain(`error: ${(json as { detail?: string }).detail ?? `hubward answers ${status}`}`)
      process.exitCode = EXIT_CODES.usage.code
      return
    }
    const whole = json as GapsReport & { readonly now: number }
    const report =
      flags.site === undefined
        ? whole
        : { ...whole, sites: whole.sites.filter(({ site }) => site === flags.site), total: [] }
    if (flags.json) say(JSON.stringify(report, null, 2))
    else for (const line of flags.csv ? gapsCsv(report) : gapsLines(report)) say(line)
  })
}
