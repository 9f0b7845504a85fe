import type { Command } from 'commander'
import type { Decision } from '../../model/decision.ts'
import { type AdminFlags, withAdminFlags } from '../admin-client.ts'
import { EXIT_CODES, exitCodeOf } from '../exit-codes.ts'
import { type Asked, askPatiently } from '../gate-ask.ts'
import { factsOf, type GateFacts, needsFlag, waitFlag } from '../gate-question.ts'
import { endReservation, runGated } from '../gate-run.ts'
import { complain } from '../output.ts'
import { decisionLines } from './decide.ts'

interface Flags extends AdminFlags, GateFacts {
  readonly wait: number
  readonly site?: string
  readonly key?: string
  readonly reserveFor?: string
  readonly acceptDegraded?: true
  readonly acceptStale?: true
  readonly detach?: true
  readonly json?: true
}

/** Decisions that were made without knowing how the target is. */
const BLIND: ReadonlySet<Decision['reason']> = new Set(['lowest-risk', 'panic', 'stale'])

/** `hubward gate`: runs a command only where a running hubward routes its work. */
export function gateCommand(program: Command): void {
  const command = program
    .command('gate')
    .summary('run a command only where hubward routes its work')
    .description(
      'Asks a running hubward whether and where work may run, and runs the command only then, with the decision in its environment. What a job declares is held until the command ends. Whatever else is answered, and where nobody answers, the command is not run; the exit code says which it was. What the gate has to say is on the standard error: the standard output is the command’s.',
    )
    .argument('[command...]', 'what to run, after --; without one it is only asked')
    .requiredOption('--class <name>', 'the workload class')
    .option('--needs <text>', 'what it needs: "power.headroom_mw=2, gpu=H100"; repeatable', needsFlag)
    .option('--need <part>', 'one more need', needsFlag)
    .option('--model <name>', 'the model')
    .option('--tenant <name>', 'the tenant')
    .option('--tier <name>', "the tenant's tier")
    .option('--region <name>', 'the region that it works for')
    .option('--residency <list>', 'jurisdictions, any of which will do, separated by commas')
    .option('--residency-class <name>', 'the residency class')
    .option('--deadline <time>', 'when it is of no use any more: 2026-11-22T10:00:00Z, or 4h from now')
    .option('--site <name>', 'the only site where this command runs it: elsewhere is no route')
    .option('--key <name>', 'a name of your own: asked again under it, the same answer is given')
    .option('--reserve-for <duration>', 'how long it is held without a word, such as 30m')
    .option('--wait <duration>', 'how long a queue or a delay is waited for', waitFlag, 0)
    .option('--accept-degraded', 'run it for the smaller model too')
    .option('--accept-stale', 'run it though nobody knows how the target is')
    .option(
      '--detach',
      'the work goes on after the command: its reservation is not ended, it ages out or is ended by id',
    )
    .option('--json', 'tell the outcome as one line of JSON')
    .addHelpText(
      'after',
      `
The command finds in its environment: HUBWARD_TARGET, HUBWARD_SITE, HUBWARD_CLUSTER, HUBWARD_MODEL (where degraded),
HUBWARD_ACTION, HUBWARD_REASON, HUBWARD_DECISION, HUBWARD_RESERVATION.
A hubward whose certificate is signed by an authority of your own: NODE_EXTRA_CA_CERTS=ca.pem.
Examples:
  hubward gate --class training --needs power.headroom_mw=2 --wait 10m --detach -- kubectl apply -f job.yaml
  hubward gate --class interactive-inference --site ams -- ./deploy.sh   # stale telemetry: 14, the prior version stays`,
    )
  withAdminFlags(command).action(async (args: string[], flags: Flags) => {
    process.exitCode = await gate(args, flags)
  })
}

async function gate(command: readonly string[], flags: Flags): Promise<number> {
  const { key, site, reserveFor } = flags
  const question = (hold: 'offered' | 'ended' | undefined): object => ({
    facts: { ...factsOf(flags), ...(hold === undefined ? {} : { hold }) },
    reserve: command.length > 0,
    ...{ key, site, reserveFor },
  })
  const { asked, waitedMs } = await askPatiently(flags, question, flags.wait, (now, ms) => {
    if (!flags.json) complain(`hubward gate: ${shortText(now)}; asking again in ${Math.ceil(ms / 1_000)} s`)
  })
  if ('wrong' in asked) {
    for (const line of asked.wrong) complain(`error: ${line}`)
    return EXIT_CODES.usage.code
  }
  const verdict = verdictOf(asked, flags)
  const ranCommand = verdict.code === EXIT_CODES.ok.code && command.length > 0
  if (!flags.json) {
    if ('decision' in asked) for (const line of decisionLines(asked.decision)) complain(line)
    if (verdict.says !== '') complain(`hubward gate: ${verdict.says}`)
  }
  const decision = 'decision' in asked ? asked.decision : undefined
  const id = decision?.reservation
  if (!ranCommand && id !== undefined) await endReservation(flags, id, 'the gate stayed shut')
  const code = ranCommand ? await runGated(command, decision!, flags) : verdict.code
  if (flags.json) {
    const outcome = { code, ranCommand, waitedMs: Math.round(waitedMs), ...verdictJson(asked, verdict.says) }
    complain(JSON.stringify(outcome))
  }
  return code
}

/** Whether the gate opens (`ok`), and what is to be said of it. */
function verdictOf(asked: Exclude<Asked, { wrong: unknown }>, flags: Flags): { code: number; says: string } {
  if ('unreachable' in asked) return { code: EXIT_CODES.unreachable.code, says: `${asked.unreachable}; nothing is run` }
  const { decision } = asked
  if (BLIND.has(decision.reason) && !(flags.acceptStale && decision.action === 'route'))
    return { code: EXIT_CODES.stale.code, says: 'telemetry is stale: nothing is run, what was there before stays' }
  const isOpen = decision.action === 'route' || (decision.action === 'degrade' && flags.acceptDegraded === true)
  if (!isOpen) return { code: exitCodeOf(decision.action), says: 'nothing is run' }
  if (!('target' in decision) || decision.target === undefined)
    return {
      code: EXIT_CODES.ok.code,
      says: `no policy covers the class ${decision.class}: it goes as without hubward`,
    }
  if (flags.site !== undefined && !decision.target.startsWith(`${flags.site}/`))
    return {
      code: EXIT_CODES.deny.code,
      says: `it goes to ${decision.target}, not to ${flags.site}: nothing is run here`,
    }
  return { code: EXIT_CODES.ok.code, says: '' }
}

const shortText = (asked: Asked): string =>
  'decision' in asked
    ? `${asked.decision.action}, ${asked.decision.reason}`
    : 'unreachable' in asked
      ? asked.unreachable
      : asked.wrong.join(', ')

const verdictJson = (asked: Asked, says: string): object => ({
  ...('decision' in asked
    ? { action: asked.decision.action, reason: asked.decision.reason, decision: asked.decision }
    : {}),
  ...('unreachable' in asked ? { unreachable: asked.unreachable } : {}),
  ...(says === '' ? {} : { says }),
})
