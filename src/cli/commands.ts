import type { Command } from 'commander'
import { completionsCommand } from './commands/completions.ts'
import { decideCommand } from './commands/decide.ts'
import { doctorCommand } from './commands/doctor.ts'
import { envoyCommand } from './commands/envoy.ts'
import { explainCommand } from './commands/explain.ts'
import { flagsCommand } from './commands/flags.ts'
import { forceCommand } from './commands/force.ts'
import { gapsCommand } from './commands/gaps.ts'
import { gateCommand } from './commands/gate.ts'
import { measurementsCommand } from './commands/measurements.ts'
import { overrideCommand } from './commands/override.ts'
import { readinessCommand } from './commands/readiness.ts'
import { rolloutCommand } from './commands/rollout.ts'
import { routingCommand } from './commands/routing.ts'
import { schemaCommand } from './commands/schema.ts'
import { serveCommand } from './commands/serve.ts'
import { statusCommand } from './commands/status.ts'
import { testCommand } from './commands/test.ts'
import { validateCommand } from './commands/validate.ts'
import { versionCommand } from './commands/version.ts'

/** Adds a command to the program. */
export type AddCommand = (program: Command) => void

/** Every command, in the order of `hubward --help`. To add one, add its file in commands/ and its row here. */
export const COMMANDS = {
  serve: serveCommand,
  status: statusCommand,
  readiness: readinessCommand,
  gaps: gapsCommand,
  measurements: measurementsCommand,
  flags: flagsCommand,
  validate: validateCommand,
  override: overrideCommand,
  routing: routingCommand,
  rollout: rolloutCommand,
  decide: decideCommand,
  gate: gateCommand,
  explain: explainCommand,
  test: testCommand,
  force: forceCommand,
  envoy: envoyCommand,
  doctor: doctorCommand,
  schema: schemaCommand,
  completions: completionsCommand,
  version: versionCommand,
} as const satisfies Record<string, AddCommand>
