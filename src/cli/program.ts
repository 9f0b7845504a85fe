import { Command, CommanderError } from 'commander'
import { COMMANDS } from './commands.ts'
import { EXIT_CODES } from './exit-codes.ts'
import { complain, table } from './output.ts'
import { packageVersion } from './version.ts'

/** The whole command line: `hubward` with all its commands. */
export function hubwardProgram(): Command {
  const program = new Command('hubward')
    .description('An Envoy sidecar that decides where AI work runs.')
    .version(packageVersion(), '-V, --version')
    .configureHelp({ sortSubcommands: false, showGlobalOptions: false })
    .showSuggestionAfterError()
    .showHelpAfterError('hubward --help tells what there is')
    .exitOverride()
  const codes = Object.values(EXIT_CODES).map(({ code, says }) => [`  ${code}`, says])
  program.addHelpText('after', `\nExit codes:\n${table(codes).join('\n')}`)
  for (const add of Object.values(COMMANDS)) add(program)
  return program
}

/** Runs a command line; the process's exit code says how it ended. Never rejects. */
export async function runProgram(args: readonly string[]): Promise<void> {
  // A reader that has seen enough, such as head, is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
  try {
    await hubwardProgram().parseAsync([...args], { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) {
      const isUsage = error.exitCode === 1 && error.code.startsWith('commander.')
      process.exitCode = isUsage ? EXIT_CODES.usage.code : error.exitCode
      return
    }
    complain(`hubward: ${error instanceof Error ? error.message : String(error)}`)
    if (process.env.HUBWARD_DEBUG !== undefined && error instanceof Error) complain(error.stack ?? '')
    process.exitCode = EXIT_CODES.failure.code
  }
}
