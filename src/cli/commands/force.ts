import { readFileSync } from 'node:fs'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { durationText } from '../../documents/duration.ts'
import { HEADERS } from '../../model/headers.ts'
import { problemText } from '../../model/problem.ts'
import { ARMS, type Arm } from '../../model/rollout.ts'
import { FORCE_LIFE_MAX_MS, issueForce } from '../../request/force.ts'
import { parseSigningKeys } from '../../request/signing-keys.ts'
import { EXIT_CODES } from '../exit-codes.ts'
import { durationFlag } from '../orders-file.ts'
import { complain, say } from '../output.ts'

interface Flags {
  readonly keys: string
  readonly cohort?: string
  readonly arm?: Arm
  readonly for: number
  readonly value?: true
}

/** `hubward force`: the signed header with which a tester counts as of a cohort, or is in an arm. */
export function forceCommand(program: Command): void {
  const command = program
    .command('force')
    .summary("sign a tester's header for a cohort or an arm")
    .description(
      'Prints the header that makes a request count as of a cohort, or puts it into an arm of a rollout. It is signed, ' +
        'ends by itself after a day at the latest, and what it forces is left out of every measurement. hubward ' +
        'believes it where its configuration names the same keys under keys.forceFile, and Envoy lets it in where ' +
        'its configuration was made with `hubward envoy --force`.',
    )
    .requiredOption('--keys <file>', 'the keys, `id secret` a line; the first one signs')
    .option('--cohort <name>', 'the cohort to count as of', cohortFlag)
    .addOption(new Option('--arm <name>', 'the arm to be in').choices(ARMS))
    .addOption(
      new Option('--for <duration>', 'how long it holds, a day at most')
        .argParser(durationFlag)
        .default(3_600_000, '1h'),
    )
    .option('--value', 'print the value alone, without the name of the header')
    .addHelpText(
      'after',
      `
Example:
  curl -H "$(hubward force --keys force.keys --cohort internal --arm treatment --for 1h)" http://127.0.0.1:8080/v1/models`,
    )
  command.action((flags: Flags) => {
    process.exitCode = run(command, flags)
  })
}

const cohortFlag = (text: string): string => {
  if (!/^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/.test(text))
    throw new InvalidArgumentError('write the name of a Cohort document')
  return text
}

function run(command: Command, { keys: file, cohort, arm, for: lifeMs, value }: Flags): number {
  if (cohort === undefined && arm === undefined)
    command.error('error: name what it forces: --cohort, --arm, or both', { exitCode: EXIT_CODES.usage.code })
  if (lifeMs < 1 || lifeMs > FORCE_LIFE_MAX_MS)
    command.error(`error: --for: write a duration up to ${durationText(FORCE_LIFE_MAX_MS)}`, {
      exitCode: EXIT_CODES.usage.code,
    })
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    complain(`error: ${(error as Error).message}`)
    return EXIT_CODES.failure.code
  }
  const { keys, problems } = parseSigningKeys(text)
  for (const problem of problems) complain(problemText({ ...problem, path: file }))
  if (keys === undefined) return EXIT_CODES.problems.code
  const forced = { ...(cohort === undefined ? {} : { cohort }), ...(arm === undefined ? {} : { arm }) }
  const header = issueForce(keys, forced, lifeMs, Date.now()) ?? ''
  say(value ? header : `${HEADERS.force}: ${header}`)
  return EXIT_CODES.ok.code
}
