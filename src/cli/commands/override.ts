import type { Command } from 'commander'
import { durationText } from '../../documents/duration.ts'
import { addMaintenance, addOverride, editOverrides, endOverride, readOrders } from '../../feeds/overrides-edit.ts'
import type { EpochMs } from '../../model/names.ts'
import type { MaintenanceOrder, Override, OverrideScope, OverrideSet } from '../../model/override.ts'
import { signalOf } from '../../model/signal.ts'
import { EXIT_CODES } from '../exit-codes.ts'
import {
  authorOf,
  durationFlag,
  type OrderFlags,
  orderId,
  ordersPlace,
  placeFlag,
  timeFlag,
  toldEdit,
  withFileFlags,
  withOrderFlags,
} from '../orders-file.ts'
import { ageText, paint, say, table } from '../output.ts'

interface GiveFlags extends OrderFlags {
  readonly for: number
  readonly class?: string
  readonly tenant?: string
  readonly region?: string
  readonly constraint?: string
}

interface MaintenanceFlags extends OrderFlags {
  readonly from?: EpochMs
  readonly to?: EpochMs
  readonly for?: number
}

const KINDS = {
  drain: 'send no new work to a site or pool',
  pin: 'send work to this site or pool only, as far as hard rules allow',
  admit: 'waive one named threshold for a site or pool; never a hard rule',
} as const

/** `hubward override`: emergency orders, each with a reason, an author and an end. */
export function overrideCommand(program: Command): void {
  const group = program
    .command('override')
    .summary('give, list and end emergency orders')
    .description(
      'Emergency orders. They have a source of their own, so no broken policy holds them up; each ends by itself, after ' +
        'a day at the latest, and leaves a review to be done.',
    )
  for (const [kind, says] of Object.entries(KINDS) as [keyof typeof KINDS, string][]) {
    const command = scoped(group.command(kind).description(says).argument('<place>', 'SITE or SITE/POOL'))
    if (kind === 'admit') command.requiredOption('--constraint <signal>', 'the signal whose threshold is waived')
    command.action(async (place: string, flags: GiveFlags) => {
      process.exitCode = await give(command, kind, place, flags)
    })
  }
  const freeze = scoped(group.command('freeze').description('let rollouts stand still'))
  freeze.action(async (flags: GiveFlags) => {
    process.exitCode = await give(freeze, 'freeze', undefined, flags)
  })
  maintenance(group)
  list(group)
  end(group)
}

const scoped = (command: Command): Command =>
  withOrderFlags(command)
    .requiredOption('--for <duration>', 'how long, a day at most', durationFlag)
    .option('--class <name>', 'only for this class of work')
    .option('--tenant <name>', 'only for this tenant')
    .option('--region <name>', 'only for requests from this region')

async function give(
  command: Command,
  kind: Override['kind'],
  text: string | undefined,
  flags: GiveFlags,
): Promise<number> {
  const { file, sets } = ordersPlace(command, flags)
  if (flags.constraint !== undefined && signalOf(flags.constraint) === undefined) {
    command.error(`error: no signal is called "${flags.constraint}"; only thresholds on signals can be waived`, {
      exitCode: 2,
    })
  }
  const { class: className, tenant, region, constraint } = flags
  const scope: OverrideScope = {
    ...(text === undefined ? {} : placeFlag(command, text, sets)),
    ...(className === undefined ? {} : { class: className }),
    ...(tenant === undefined ? {} : { tenant }),
    ...(region === undefined ? {} : { region }),
  }
  const now = Date.now()
  const order: Override = {
    id: orderId(kind, text ?? 'all'),
    kind,
    scope,
    ...(constraint === undefined ? {} : { constraint }),
    reason: flags.reason,
    author: authorOf(flags),
    created: now,
    expires: now + flags.for,
  }
  const edited = await editOverrides(file, now, (set) => ({ set: addOverride(set, order) }))
  if ('set' in edited) {
    say(`${paint('bold', order.id)}: ${kind} ${scopeText(scope)} until ${timeText(order.expires)}, by ${order.author}`)
    say(`end it before with: hubward override end ${order.id}`)
    if (sets?.every((set) => set.sites.length === 0)) say('no documents could be read: the place was not checked')
  }
  return toldEdit(edited)
}

function maintenance(group: Command): void {
  const command = withOrderFlags(
    group
      .command('maintenance')
      .description('plan maintenance of a site or pool')
      .argument('<place>', 'SITE or SITE/POOL')
      .option('--from <time>', 'when it begins; absent: now', timeFlag)
      .option('--to <time>', 'when it ends', timeFlag)
      .option('--for <duration>', 'how long, instead of --to', durationFlag),
  )
  command.action(async (text: string, flags: MaintenanceFlags) => {
    const { file, sets } = ordersPlace(command, flags)
    const now = Date.now()
    const from = flags.from ?? now
    if ((flags.to === undefined) === (flags.for === undefined)) {
      command.error('error: say when it ends: --to or --for', { exitCode: EXIT_CODES.usage.code })
    }
    const order: MaintenanceOrder = {
      id: orderId('maintenance', text),
      ...placeFlag(command, text, sets),
      from,
      to: flags.to ?? from + flags.for!,
      reason: flags.reason,
      author: authorOf(flags),
    }
    const edited = await editOverrides(file, now, (set) => ({ set: addMaintenance(set, order) }))
    if ('set' in edited) say(`${paint('bold', order.id)}: ${text} from ${timeText(from)} to ${timeText(order.to)}`)
    process.exitCode = toldEdit(edited)
  })
}

function list(group: Command): void {
  const command = withFileFlags(group.command('list').description('list orders, those that ended included')).option(
    '--json',
    'write them as JSON',
  )
  command.action(async (flags: { config?: string; file?: string; json?: true }) => {
    const { file } = ordersPlace(command, flags)
    const now = Date.now()
    const edited = readOrders(file, now)
    if ('set' in edited) {
      if (flags.json) say(JSON.stringify(edited.set, null, 2))
      else for (const line of listLines(edited.set, now)) say(line)
    }
    process.exitCode = toldEdit(edited)
  })
}

function listLines({ overrides, maintenance: planned, routing }: OverrideSet, now: EpochMs): string[] {
  const off =
    routing?.enabled === false
      ? [paint('yellow', `routing is switched off by ${routing.author}: ${routing.reason}`)]
      : []
  const orders = overrides.map((one) => ({
    ...one,
    what: `${one.kind} ${scopeText(one.scope)}${one.constraint === undefined ? '' : ` ${one.constraint}`}`,
    from: one.created,
    to: one.expires,
  }))
  const windows = planned.map((one) => ({
    ...one,
    what: `maintenance ${scopeText({ site: one.site, ...(one.pool === undefined ? {} : { pool: one.pool }) })}`,
  }))
  const rows = [...orders, ...windows].sort((a, b) => b.to - a.to)
  if (rows.length === 0) return [...off, 'no orders']
  const head = ['ORDER', 'WHAT', 'STATE', 'AUTHOR', 'REASON'].map((title) => paint('bold', title))
  const cells = rows.map(({ id, what, from, to, author, reason }) => [
    id,
    what,
    stateText(from, to, now),
    author,
    reason,
  ])
  return [...off, ...table([head, ...cells])]
}

function end(group: Command): void {
  const command = withFileFlags(
    group.command('end').description('end an order before its time').argument('<id>', 'which one; see list'),
  )
  command.action(async (id: string, flags: { config?: string; file?: string }) => {
    const { file } = ordersPlace(command, flags)
    let known: readonly string[] = []
    const edited = await editOverrides(file, Date.now(), (set) => {
      known = [...set.overrides, ...set.maintenance].map((order) => order.id)
      const left = endOverride(set, id)
      return left === undefined ? { problems: [unknownOrder(id, known)] } : { set: left }
    })
    if ('set' in edited) say(`${paint('bold', id)} is ended; it leaves a review to be done`)
    process.exitCode = toldEdit(edited)
  })
}

const unknownOrder = (id: string, known: readonly string[]) => ({
  code: 'override/unknown',
  severity: 'error' as const,
  message: `there is no order "${id}"`,
  remedy: known.length === 0 ? 'there are no orders at all' : `known: ${known.slice(0, 12).join(', ')}`,
})

const scopeText = (scope: OverrideScope): string => {
  const { site, pool, ...rest } = scope
  const place = site === undefined ? 'everything' : `${site}${pool === undefined ? '' : `/${pool}`}`
  return [place, ...Object.entries(rest).map(([name, value]) => `${name}=${value}`)].join(' ')
}

const timeText = (at: EpochMs): string => new Date(at).toISOString().replace(/\.\d+Z$/, 'Z')

const stateText = (from: EpochMs, to: EpochMs, now: EpochMs): string =>
  now < from
    ? `begins in ${durationText(Math.round((from - now) / 1_000) * 1_000)}`
    : now < to
      ? paint('yellow', `in force, ends in ${ageText(to - now)}`)
      : `ended ${ageText(now - to)} ago`
