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
      let abandon = (): Promise<void> => Promise.resolve()
      const leave = (code: number): void => log.flush(() => process.exit(code))
      const end = (error: unknown): void => {
        // The process is not to be trusted after this; whoever runs it starts it again, and Envoy's defaults hold meanwhile.
        setTimeout(() => process.exit(EXIT_CODES.failure.code), 1_000)
        log.fatal({ err: error }, 'a mistake of ours: ending')
        const failed = (): void => leave(EXIT_CODES.failure.code)
        abandon().then(failed, failed)
      }
      process.on('uncaughtException', end).on('unhandledRejection', end)
      const asked = new AbortController()
      const drain = (running: Sidecar): void => void running.stop().then(() => leave(EXIT_CODES.ok.code))
      const stop = (): void => {
        if (asked.signal.aborted) process.exit(EXIT_CODES.failure.code)
        asked.abort()
        // The start, which may be under way, hears of it as well.
        if (sidecar !== undefined) drain(sidecar)
      }
      process.on('SIGTERM', stop).on('SIGINT', stop)
      // Loaded here: gRPC and the HTTP framework are half of the time that any other command takes to start.
      const { startSidecar } = await import('../../sidecar.ts')
      try {
        sidecar = await startSidecar(config, log, packageVersion(), {
          signal: asked.signal,
          opened: (write) => {
            abandon = write
          },
        })
      } catch (error) {
        if (error !== asked.signal.reason) throw error
        log.info('stopped before it served')
        leave(EXIT_CODES.ok.code)
        return
      }
      if (asked.signal.aborted) {
        drain(sidecar)
        return
      }
      process.stdout.write(
        `${JSON.stringify({ listeners: sidecar.addresses, admin: sidecar.adminUrl, pid: process.pid })}\n`,
      )
    })
}
