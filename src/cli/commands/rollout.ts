import { Argument, type Command } from 'commander'
import type { RolloutView } from '../../admin/rollout-handlers.ts'
import { type AdminFlags, askAdmin, withAdminFlags } from '../admin-client.ts'
import { EXIT_CODES } from '../exit-codes.ts'
import { foldersIn } from '../folders-in.ts'
import { authorOf } from '../orders-file.ts'
import { complain, problemLines, say } from '../output.ts'
import { listLines, type RolloutBrief, statusLines } from '../rollout-lines.ts'
import { releaseNotes } from '../rollout-notes.ts'

interface Flags extends AdminFlags {
  readonly json?: true
}

interface OrderFlags extends AdminFlags {
  readonly reason: string
  readonly author?: string
}

interface NotesFlags extends AdminFlags {
  readonly documents?: string
}

const ORDERS = {
  promote: 'begin the next stage, whatever the arms show; after the last, finish',
  hold: 'stay at this stage: nothing goes on, and no rollback goes past it',
  resume: 'leave it to the judge again',
  abort: 'take everybody out of the treatment; it ends',
} as const

/** `hubward rollout`: staged exposure of a policy version, as it stands and by a person's word. */
export function rolloutCommand(program: Command): void {
  const group = program
    .command('rollout')
    .summary('see rollouts and their arms, promote, hold, resume and abort them')
    .description(
      'Rollouts of a running hubward. Its judge goes on by evidence and rolls back by itself; a word given here goes ' +
        'before it, and is in the journal with who and why.',
    )
  const list = group.command('list').description('all rollouts that have begun').option('--json', 'write JSON')
  withAdminFlags(list).action(async (flags: Flags) => {
    const { json } = await askAdmin(flags, '/v1/rollouts')
    const { now, rollouts } = json as { readonly now: number; readonly rollouts: readonly RolloutBrief[] }
    if (flags.json) say(JSON.stringify(json, null, 2))
    else for (const line of listLines(rollouts, now)) say(line)
  })
  const status = named(
    group.command('status').description('one rollout: both arms, what is compared, what the tests say'),
  )
  status.option('--json', 'write JSON')
  withAdminFlags(status).action(async (name: string, flags: Flags) => {
    const view = await viewOf(name, flags)
    if (view === undefined) return
    if (flags.json) say(JSON.stringify(view, null, 2))
    else for (const line of statusLines(view, view.now)) say(line)
  })
  const report = named(group.command('report').description('what came of it so far, one sentence with intervals'))
  withAdminFlags(report).action(async (name: string, flags: Flags) => {
    const view = await viewOf(name, flags)
    if (view !== undefined) say(view.report ?? view.state.says)
  })
  notes(group)
  for (const [order, says] of Object.entries(ORDERS)) {
    const command = named(group.command(order).description(says))
      .requiredOption('-r, --reason <text>', 'why; it is in the journal')
      .option('--author <name>', 'who says so; absent: you, on this machine')
    withAdminFlags(command).action(async (name: string, flags: OrderFlags) => {
      const { status, json } = await askAdmin(flags, `/v1/rollouts/${encodeURIComponent(name)}/order`, {
        order,
        reason: flags.reason,
        author: authorOf(flags),
      })
      if (status !== 200) refused(json, status)
      else for (const line of statusLines(json as RolloutView, (json as { now: number }).now).slice(0, 2)) say(line)
    })
  }
}

const named = (command: Command): Command => command.addArgument(new Argument('<rollout>', 'its name'))

function notes(group: Command): void {
  const command = named(group.command('notes').description('its release notes, in Markdown'))
    .option('-d, --documents <folder>', 'from the documents in this folder alone, without asking a hubward')
    .addHelpText('after', '\nExample:\n  hubward rollout notes amsterdam-first > release-notes.md')
  withAdminFlags(command).action(async (name: string, flags: NotesFlags) => {
    if (flags.documents === undefined) {
      const view = await viewOf(name, flags)
      if (view === undefined) return
      if (view.document === null) {
        complain(`error: no document has ${name} any more`)
        process.exitCode = EXIT_CODES.failure.code
      } else say(releaseNotes(view.document, view.state, view.report).trimEnd())
      return
    }
    const reads = foldersIn([flags.documents], Date.now())
    for (const problem of reads.flatMap(({ problems }) => problems.filter(({ severity }) => severity === 'error')))
      complain(problemLines(problem))
    const rollout = reads.flatMap(({ set }) => set?.rollouts ?? []).find(({ metadata }) => metadata.name === name)
    if (rollout !== undefined) say(releaseNotes(rollout, undefined, null).trimEnd())
    else {
      complain(`error: no rollout "${name}" can be read in ${flags.documents}`)
      process.exitCode = EXIT_CODES.failure.code
    }
  })
}

async function viewOf(name: string, flags: AdminFlags): Promise<(RolloutView & { readonly now: number }) | undefined> {
  const { status, json } = await askAdmin(flags, `/v1/rollouts/${encodeURIComponent(name)}`)
  if (status === 200) return json as RolloutView & { readonly now: number }
  refused(json, status)
  return undefined
}

function refused(json: unknown, status: number): void {
  const {
    title,
    detail,
    problems = [],
  } = json as {
    readonly title?: string
    readonly detail?: string
    readonly problems?: readonly { readonly pointer: string; readonly message: string; readonly remedy: string }[]
  }
  complain(`error: ${title ?? `hubward answers ${status}`}${detail === undefined ? '' : `: ${detail}`}`)
  for (const { pointer, message, remedy } of problems) complain(`  ${pointer} ${message}; ${remedy}`)
  process.exitCode = EXIT_CODES.failure.code
}
