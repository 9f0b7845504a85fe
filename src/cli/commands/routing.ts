import type { Command } from 'commander'
import { editOverrides, switchRouting } from '../../feeds/overrides-edit.ts'
import type { DocumentSet } from '../../model/documents.ts'
import type { OverrideSet } from '../../model/override.ts'
import { authorOf, type OrderFlags, ordersPlace, toldEdit, withOrderFlags } from '../orders-file.ts'
import { paint, say, table } from '../output.ts'

/** `hubward routing`: the switch for locality, ranking and failover as a whole. */
export function routingCommand(program: Command): void {
  const group = program
    .command('routing')
    .summary('switch routing off or on as a whole')
    .description(
      'Switched off, every request goes to the default of its residency class. Hard rules hold all the same: residency, ' +
        'drains, maintenance, and what is red for safety.',
    )
  for (const [name, says, enabled] of [
    ['disable', 'send every request to the default of its residency class', false],
    ['enable', 'let policies decide again', true],
  ] as const) {
    const command = withOrderFlags(group.command(name).description(says))
    command.action(async (flags: OrderFlags) => {
      process.exitCode = await run(command, enabled, flags)
    })
  }
}

async function run(command: Command, enabled: boolean, flags: OrderFlags): Promise<number> {
  const { file, sets } = ordersPlace(command, flags)
  const now = Date.now()
  const routing = { enabled, reason: flags.reason, author: authorOf(flags), at: now }
  const edited = await editOverrides(file, now, (set) => ({ set: switchRouting(set, routing) }))
  if ('set' in edited) {
    say(`routing is switched ${enabled ? paint('green', 'on') : paint('yellow', 'off')} by ${routing.author}`)
    if (!enabled) for (const line of whereTo(sets, edited.set, now)) say(line)
  }
  return toldEdit(edited)
}

/** Where each residency class goes now, without what is drained. */
function whereTo(sets: readonly DocumentSet[] | undefined, orders: OverrideSet, now: number): string[] {
  if (sets === undefined) return ['name the configuration with --config to be told where requests go now']
  const sites = new Map(sets.flatMap((set) => set.sites).map((site) => [site.metadata.name, site]))
  const drained = (site: string, pool: string): boolean =>
    orders.overrides.some(
      ({ kind, scope, expires }) =>
        kind === 'drain' && expires > now && scope.site === site && (scope.pool === undefined || scope.pool === pool),
    )
  const rows = sets
    .flatMap((set) => set.residencies)
    .map(({ metadata, default: fallback }) => {
      const targets = (fallback?.sites ?? []).flatMap((site) =>
        (sites.get(site)?.pools ?? []).map(({ name }) =>
          drained(site, name) ? `${site}/${name} (drained, left out)` : `${site}/${name}`,
        ),
      )
      return [metadata.name, targets.length === 0 ? 'refused with 503: it has no default' : targets.join(', then ')]
    })
  return [
    ...table([['RESIDENCY CLASS', 'GOES TO'].map((title) => paint('bold', title)), ...rows]),
    'a request without a residency class goes where the routes of Envoy send it by themselves',
  ]
}
