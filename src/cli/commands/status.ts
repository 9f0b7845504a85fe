import type { Command } from 'commander'
import type { Problem } from '../../model/problem.ts'
import { errorsFirst, problemText } from '../../model/problem.ts'
import type { Estimate, TargetReadiness } from '../../model/readiness.ts'
import type { SourceStatus } from '../../model/source.ts'
import { type AdminFlags, askAdmin, withAdminFlags } from '../admin-client.ts'
import { EXIT_CODES } from '../exit-codes.ts'
import { ageText, paint, say, table } from '../output.ts'
import { askEstimates, askReadiness, estimateLines, readinessLines } from '../readiness-lines.ts'

interface Flags extends AdminFlags {
  readonly json?: true
}

/** What of the answers is shown. */
interface Answers {
  readonly ready: { readonly ready: boolean; readonly because?: readonly string[] }
  readonly sources: { readonly now: number; readonly sources: readonly SourceStatus[] }
  readonly snapshot: {
    readonly revision: number
    readonly documentsVersion: number
    readonly routing: string
    readonly targets: readonly {
      readonly target: string
      readonly state: string
      readonly since: number
      readonly cause: string
      readonly red: readonly string[]
      readonly failing: readonly { readonly signal: string; readonly op: string; readonly limit: number }[]
    }[]
  }
  readonly overrides: {
    readonly overrides: readonly Order[]
    readonly maintenance: readonly Order[]
  }
  readonly readiness: readonly TargetReadiness[]
  readonly estimates: readonly Estimate[]
  readonly noisy: readonly Problem[]
}

interface Order {
  readonly id: string
  readonly kind?: string
  readonly reason: string
  readonly author: string
  readonly inForce: boolean
  readonly expires?: number
  readonly to?: number
}

/** `hubward status`: how a running hubward, its sources and its targets are. */
export function statusCommand(program: Command): void {
  const command = program
    .command('status')
    .summary('tell how a running hubward, its sources and its targets are')
    .description(
      'Asks a running hubward for its readiness, its sources (owner, version, nonce, last accepted, last refused and ' +
        'why), its targets and how ready they are for each class, guessed thresholds, and the orders in force. Exit code 1 if it is not ready.',
    )
    .option('--json', 'write the answers as JSON')
  withAdminFlags(command).action(async (flags: Flags) => {
    const [ready, sources, snapshot, overrides] = await Promise.all(
      ['/readyz', '/sources', '/snapshot', '/overrides'].map(async (path) => (await askAdmin(flags, path)).json),
    )
    const [readiness = [], judged] = await Promise.all([askReadiness(flags, {}), askEstimates(flags)])
    const answers = { ready, sources, snapshot, overrides, readiness, ...judged } as Answers
    if (flags.json) say(JSON.stringify(answers, null, 2))
    else for (const line of statusLines(answers)) say(line)
    process.exitCode = answers.ready.ready ? EXIT_CODES.ok.code : EXIT_CODES.failure.code
  })
}

/** Lines of what is not green, beyond which `hubward readiness` is the place to look. */
const WHY_MAX = 20

/** The answers as people read them. */
function statusLines({ ready, sources: { now, sources }, snapshot, overrides, ...more }: Answers): string[] {
  const state = ready.ready
    ? paint('green', 'ready')
    : `${paint('red', 'not ready')}: ${ready.because?.join(', ') ?? ''}`
  const lines = [`${state}, revision ${snapshot.revision}, ${snapshot.documentsVersion} sets of documents accepted`]
  if (snapshot.routing === 'disabled') lines.push(paint('yellow', 'routing is switched off: residency defaults serve'))
  const ago = (at: number | null): string => (at === null ? 'never' : `${ageText(now - at)} ago`)
  lines.push(
    '',
    ...table([
      ['SOURCE', 'KIND', 'OWNER', 'VERSION', 'NONCE', 'ACCEPTED', 'REFUSED', 'FAILURES'].map((title) =>
        paint('bold', title),
      ),
      ...sources.map((source) => [
        source.name,
        source.kind,
        source.owner ?? '-',
        (source.version || '-').slice(0, 19),
        source.nonce || '-',
        ago(source.lastAcceptedAt),
        ago(source.lastRefusedAt),
        source.failuresInARow === 0 ? '0' : paint('red', String(source.failuresInARow)),
      ]),
    ]),
  )
  for (const source of sources) {
    // An old refusal that has been made good says nothing any more.
    if (source.failuresInARow === 0 && (source.lastAcceptedAt ?? 0) > (source.lastRefusedAt ?? 0)) continue
    for (const problem of errorsFirst(source.refusal).slice(0, 10))
      lines.push(`  ${source.name}: ${problemText(problem)}`)
    const more = source.refusal.length - 10
    if (more > 0) lines.push(`  ${source.name}: and ${more} more; /sources has all of them`)
  }
  lines.push(
    '',
    ...table([
      ['TARGET', 'STATE', 'SINCE', 'WHY'].map((title) => paint('bold', title)),
      ...snapshot.targets.map(({ target, state: health, since, cause, red, failing }) => [
        target,
        paint(COLOURS[health] ?? 'yellow', health),
        since === 0 ? '-' : ageText(now - since),
        [
          ...(health === 'ready' ? [] : [cause]),
          ...red.map((signal) => `red: ${signal}`),
          ...failing.map(({ signal, op, limit }) => `kept out: ${signal} ${op === 'max' ? '>' : '<'} ${limit}`),
        ]
          .filter((text) => text !== '')
          .join('; '),
      ]),
    ]),
  )
  if (more.readiness.length > 0) lines.push('', ...readinessLines(more.readiness, WHY_MAX))
  const judged = estimateLines(more)
  if (judged.length > 0) lines.push('', ...judged)
  const inForce = [...overrides.overrides, ...overrides.maintenance].filter((order) => order.inForce)
  if (inForce.length > 0) {
    lines.push(
      '',
      ...table([
        ['ORDER', 'ENDS IN', 'AUTHOR', 'REASON'].map((title) => paint('bold', title)),
        ...inForce.map((order) => [
          order.id,
          ageText((order.expires ?? order.to ?? now) - now),
          order.author,
          order.reason,
        ]),
      ]),
    )
  }
  return lines
}

const COLOURS = { ready: 'green', degraded: 'yellow', down: 'red' } as Readonly<
  Record<string, 'green' | 'yellow' | 'red'>
>
