import type { Command } from 'commander'
import { type Config, readConfig } from '../config.ts'
import { EXIT_CODES } from './exit-codes.ts'
import { complain, problemLines } from './output.ts'

/** Where the configuration is, as `--config` or the environment says; undefined where neither does. */
export const configFile = (flag: string | undefined): string | undefined => flag ?? process.env.HUBWARD_CONFIG

/** The configuration of a file. Where it can't be used the command ends, with all problems told. */
export function configIn(command: Command, file: string): Config {
  const { config, problems } = readConfig({ file, environment: process.env })
  if (config !== null) return config
  for (const problem of problems) complain(problemLines(problem))
  return command.error(`error: ${file} can't be used`, { exitCode: EXIT_CODES.problems.code })
}
