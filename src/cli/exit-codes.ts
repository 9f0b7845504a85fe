import type { ActionName } from '../model/action.ts'

/** How commands end. The reference and `hubward help` are made of this table; scripts may rely on it. */
export const EXIT_CODES = {
  ok: { code: 0, says: 'done; `decide`, `gate` without a command: route' },
  failure: { code: 1, says: 'it could not be done: a file, an address or hubward itself failed' },
  usage: { code: 2, says: 'the command line cannot be understood' },
  problems: { code: 3, says: '`validate`, `test`, `envoy`, `doctor`: problems were found' },
  degrade: { code: 10, says: '`decide`, `gate`: a smaller model would answer; the command was not run' },
  queue: { code: 11, says: '`decide`, `gate`: it would be held; the command was not run' },
  delay: { code: 12, says: '`decide`, `gate`: it is told to come back; the command was not run' },
  deny: { code: 13, says: '`decide`, `gate`: it is refused; the command was not run' },
  stale: { code: 14, says: '`gate`: telemetry is stale; the command was not run, so what was there before stays' },
  unreachable: { code: 15, says: '`gate`: no hubward answers; the command was not run' },
  notFound: { code: 127, says: '`gate`: the command could not be started; any other code is its own' },
} as const satisfies Record<string, { readonly code: number; readonly says: string }>

/** The exit code of a decision, so that a deploy gate can ask by `hubward decide && deploy`. */
export const exitCodeOf = (action: ActionName): number => EXIT_CODES[action === 'route' ? 'ok' : action].code
