import type { ActionName } from '../model/action.ts'

/** How commands end. The reference and `hubward help` are made of this table; scripts may rely on it. */
export const EXIT_CODES = {
  ok: { code: 0, says: 'done; `decide`: route' },
  failure: { code: 1, says: 'it could not be done: a file, an address or hubward itself failed' },
  usage: { code: 2, says: 'the command line cannot be understood' },
  problems: { code: 3, says: '`validate`, `test`, `envoy`, `doctor`: problems were found' },
  degrade: { code: 10, says: '`decide`: a smaller model would answer' },
  queue: { code: 11, says: '`decide`: the request would be held' },
  delay: { code: 12, says: '`decide`: the request would be told to come back' },
  deny: { code: 13, says: '`decide`: the request would be refused' },
} as const satisfies Record<string, { readonly code: number; readonly says: string }>

/** The exit code of a decision, so that a deploy gate can ask by `hubward decide && deploy`. */
export const exitCodeOf = (action: ActionName): number => EXIT_CODES[action === 'route' ? 'ok' : action].code
