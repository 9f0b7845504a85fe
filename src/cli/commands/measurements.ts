import { type Command, Option } from 'commander'
import { MEASURED_DIMENSIONS, type Measurements } from '../../model/measurements.ts'
import { type AdminFlags, askAdmin, withAdminFlags } from '../admin-client.ts'
import { EXIT_CODES } from '../exit-codes.ts'
import { measurementCsv, measurementLines } from '../measurement-lines.ts'
import { complain, say } from '../output.ts'

interface Flags extends AdminFlags {
  readonly by?: string
  readonly window?: string
  readonly from?: string
  readonly to?: string
  readonly where?: readonly string[]
  readonly json?: true
  readonly csv?: true
}

/** `hubward measurements`: what came of requests, by whatever one wants to compare. */
export function measurementsCommand(program: Command): void {
  const command = program
    .command('measurements')
    .summary('tell what came of requests: errors, fallbacks, times by part, by site, class, arm and so on')
    .description(
      "Asks a running hubward what Envoy's access log said of the requests that it decided. A time is split into what " +
        'hubward held, the network, the queue, prefill and decode. Two days are kept: the last minute in tens of ' +
        'seconds, two hours in fives of minutes, the rest in hours.',
    )
    .option('--by <names>', `at most three of ${MEASURED_DIMENSIONS.join(', ')}, with commas`, 'class,site')
    .option('--window <time>', 'how far back: 1m, 1h, 2d', '1h')
    .option('--from <time>', 'instead of --window: a day, or an instant such as 2026-11-01T10:00Z')
    .option('--to <time>', 'up to here; now where it is not said')
    .option(
      '--where <name=value>',
      'only requests with this value; may be given for several',
      (value: string, all: string[] = []) => [...all, value],
    )
    .addOption(new Option('--json', 'write JSON').conflicts('csv'))
    .option('--csv', 'write lines for a spreadsheet')
    .addHelpText(
      'after',
      `
ERRORS are errors and time-outs of those that a site had to answer; FALLBACK those served elsewhere than at the first
choice; IN TIME those within the latency objective of their class. Requests whose arm a tester forced have no arm here.
Examples:
  hubward measurements --by site,arm --where class=interactive-inference
  hubward measurements --by hour,site --window 2d --csv > hours.csv`,
    )
  withAdminFlags(command).action(async (flags: Flags) => {
    const query = new URLSearchParams({ by: flags.by ?? '' })
    for (const name of ['window', 'from', 'to'] as const) if (flags[name] !== undefined) query.set(name, flags[name])
    for (const pair of flags.where ?? []) {
      const at = pair.indexOf('=')
      if (at < 1) {
        complain(`error: --where ${pair}: write a name and a value, such as class=interactive-inference`)
        process.exitCode = EXIT_CODES.usage.code
        return
      }
      query.set(pair.slice(0, at), pair.slice(at + 1))
    }
    const { status, json } = await askAdmin(flags, `/v1/measurements?${query}`)
    if (status !== 200) {
      complain(`error: ${(json as { detail?: string }).detail ?? `hubward answers ${status}`}`)
      process.exitCode = EXIT_CODES.usage.code
      return
    }
    const measurements = json as Measurements
    if (flags.json) say(JSON.stringify(measurements, null, 2))
    else for (const line of flags.csv ? measurementCsv(measurements) : measurementLines(measurements)) say(line)
  })
}
