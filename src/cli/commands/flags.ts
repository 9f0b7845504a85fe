import { type Command, Option } from 'commander'
import type { FlagRow } from '../../admin/flags-view.ts'
import { type AdminFlags, askAdmin, withAdminFlags } from '../admin-client.ts'
import { EXIT_CODES } from '../exit-codes.ts'
import { ageText, complain, paint, say, table } from '../output.ts'

interface Flags extends AdminFlags {
  readonly json?: true
}

interface EvaluateFlags extends Flags {
  readonly context?: string
}

/** `hubward flags`: the flags in force, and what one of them gives. */
export function flagsCommand(program: Command): void {
  const command = program
    .command('flags')
    .summary('tell the flags in force, or evaluate one')
    .description(
      'Asks a running hubward for the flags in force: their layer and class, where they come from, their variants, the rollout that drives them, and whether their source has been silent for too long.',
    )
    .option('--json', 'write the answer as JSON')
  withAdminFlags(command).action(async (flags: Flags) => {
    const { json } = await askAdmin(flags, '/v1/flags')
    const answer = json as { readonly now: number; readonly flags: readonly FlagRow[] }
    if (flags.json) say(JSON.stringify(answer, null, 2))
    else for (const line of flagLines(answer.flags, answer.now)) say(line)
  })
  const show = command
    .command('show')
    .argument('<key>', 'the flag')
    .summary('show the definition of one flag')
    .description(
      'Shows one flag with its definition as it was written and, where a rollout drives it, as it is served, in JSON.',
    )
  withAdminFlags(show).action(async (key: string) => {
    // The options of `hubward flags` are read wherever they stand.
    const flags: Flags = show.optsWithGlobals()
    const { status, json } = await askAdmin(flags, `/v1/flags/${encodeURIComponent(key)}`)
    if (status === 200) say(JSON.stringify(json, null, 2))
    else complain(`error: ${(json as { readonly detail?: string }).detail ?? status}`)
    process.exitCode = status === 200 ? EXIT_CODES.ok.code : EXIT_CODES.failure.code
  })
  const evaluate = command
    .command('eval')
    .argument('<key>', 'the flag; `route.<class>` is the routing decision of a class')
    .summary('evaluate one flag for a context')
    .description(
      'Evaluates one flag by OFREP, as an OpenFeature SDK would: value, variant and reason. Exit code 1 where it can not be evaluated.',
    )
    .addOption(new Option('-c, --context <json>', 'the evaluation context as a JSON object').default('{}'))
    .option('--json', 'write the answer as JSON')
    .addHelpText(
      'after',
      `
Examples:
  hubward flags eval route.interactive-inference --context '{"targetingKey":"s-1","tenant":"acme","country":"NL"}'`,
    )
  withAdminFlags(evaluate).action(async (key: string) => {
    const flags: EvaluateFlags = evaluate.optsWithGlobals()
    const context = contextOf(evaluate, flags.context ?? '{}')
    const { status, json } = await askAdmin(flags, `/ofrep/v1/evaluate/flags/${encodeURIComponent(key)}`, { context })
    const answer = json as Answer
    if (flags.json) say(JSON.stringify(answer, null, 2))
    else if (status === 200) for (const line of answerLines(answer)) say(line)
    else complain(`error: ${answer.errorCode ?? status}: ${answer.errorDetails ?? ''}`)
    process.exitCode = status === 200 ? EXIT_CODES.ok.code : EXIT_CODES.failure.code
  })
}

/** What OFREP says of one flag. */
interface Answer {
  readonly value?: unknown
  readonly variant?: string
  readonly reason?: string
  readonly metadata?: Readonly<Record<string, unknown>>
  readonly errorCode?: string
  readonly errorDetails?: string
}

function contextOf(command: Command, text: string): object {
  try {
    const context: unknown = JSON.parse(text)
    if (typeof context === 'object' && context !== null && !Array.isArray(context)) return context
  } catch {
    // Told below, with what is wanted.
  }
  return command.error('error: --context is no JSON object; write one such as {"targetingKey":"s-1"}', {
    exitCode: EXIT_CODES.usage.code,
  })
}

function answerLines({ value, variant, reason, metadata = {} }: Answer): string[] {
  const told = Object.entries(metadata).map(([name, one]) => `${name}=${String(one)}`)
  return [
    value === undefined ? 'no value: the default of whoever asks counts' : JSON.stringify(value, null, 2),
    `${variant === undefined ? '' : `variant ${paint('bold', variant)}, `}${reason}${told.length === 0 ? '' : `, ${told.join(', ')}`}`,
  ]
}

/** The flags as people read them. */
function flagLines(rows: readonly FlagRow[], now: number): string[] {
  if (rows.length === 0) return ['no flags are in force']
  const head = ['FLAG', 'LAYER', 'CLASS', 'STATE', 'VARIANTS', 'ROLLOUT', 'SOURCE', 'OWNER', 'EXPIRES']
  return table([
    head.map((title) => paint('bold', title)),
    ...rows.map((row) => [
      row.key,
      row.layer ?? '-',
      row.class ?? '-',
      stateText(row),
      row.variants.map((name) => (name === row.defaultVariant ? `${name}*` : name)).join(' '),
      rolloutText(row),
      row.source,
      row.owner ?? '-',
      expiryText(row.expires, now),
    ]),
  ])
}

const stateText = ({ state, stale }: FlagRow): string => {
  if (stale === 'off') return paint('red', 'stale, off')
  if (stale === 'keep') return paint('yellow', `${state.toLowerCase()}, stale`)
  return state === 'ENABLED' ? 'enabled' : 'disabled'
}

const rolloutText = ({ rollout }: FlagRow): string =>
  rollout === undefined
    ? '-'
    : [rollout.name, rollout.status, rollout.shareBp === undefined ? undefined : `${rollout.shareBp / 100} %`]
        .filter((part) => part !== undefined)
        .join(' ')

const expiryText = (expires: number | undefined, now: number): string => {
  if (expires === undefined) return '-'
  return expires > now ? `in ${ageText(expires - now)}` : paint('yellow', `${ageText(now - expires)} ago`)
}
