import type { Command } from 'commander'
import { readConfig } from '../../config.ts'
import { createLog } from '../../log.ts'
import type { Sidecar } from '../../sidecar.ts'
import { EXIT_CODES } from '../exit-codes.ts'
import { complain, problemLines } from '../output.ts'
import { packageVersion } from '../version.ts'

/** `hubward serve`: the sidecar itself. */
export const serveCommand = (program: Command): void => {
  program
    .command('serve')
    .description('Run beside Envoy: decide its requests, poll the sites, answer operators.')
    .option('-c, --config <file>', 'the configuration; see `hubward schema config`')
    .option('--set <path=value...>', 'one setting over the file, such as journal.share=0.1')
    .addHelpText(
      'after',
      '\nSIGTERM and SIGINT: answers until Envoy has gone or `drain` is over, then ends; a second one ends at once.\nExample:\n  hubward serve --config /etc/hubward/hubward.yaml --set log.level=debug',
    )
    .action(async (options: { config?: string; set?: string[] }) => {
      const { config, problems } = readConfig({
        ...(options.config === undefined ? {} : { file: options.config }),
        environment: process.env,
        settings: options.set ?? [],
      })
      for (const problem of problems) complain(problemLines(problem))
      if (config === null) {
        process.exitCode = EXIT_CODES.problems.code
        return
      }
      const log = createLog(config.logLevel, undefined, { instance: config.instance })
      let sidecar: Sidecar | undefined
      const end = (error: unknown): void => {
        // The process is not to be trusted after this; whoever runs it starts it again, and Envoy's defaults hold meanwhile.
        setTimeout(() => process.exit(EXIT_CODES.failure.code), 1_000)
        log.fatal({ err: error }, 'a mistake of ours: ending')
        const written = sidecar?.abandon() ?? Promise.resolve()
        const leave = (): void => log.flush(() => process.exit(EXIT_CODES.failure.code))
        written.then(leave, leave)
      }
      process.on('uncaughtException', end).on('unhandledRejection', end)
      // Loaded here: gRPC and the HTTP framework are half of the time that any other command takes to start.
      const { startSidecar } = await import('../../sidecar.ts')
      const running = await startSidecar(config, log, packageVersion())
      sidecar = running
      process.stdout.write(
        `${JSON.stringify({ listeners: running.addresses, admin: running.adminUrl, pid: process.pid })}\n`,
      )
      let asked = false
      const stop = (): void => {
        if (asked) process.exit(EXIT_CODES.failure.code)
        asked = true
        void running.stop().then(() => log.flush(() => process.exit(EXIT_CODES.ok.code)))
      }
      process.on('SIGTERM', stop).on('SIGINT', stop)
    })
}
