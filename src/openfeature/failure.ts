import type { Problem } from '../model/problem.ts'

/** What can be wrong with a source of flags, beside what is wrong with the flags themselves. To add one, add a row. */
export const FLAG_SOURCE_PROBLEMS = {
  'flag-source/unreachable': 'nothing answers there',
  'flag-source/timeout': 'no whole answer before the deadline',
  'flag-source/status': 'an answer with a status that is no success',
  'flag-source/too-large': 'more bytes than are read',
  'flag-source/encoding': 'a packed answer, though none was asked for',
  'flag-source/credentials': 'a file with credentials or certificates that could not be used',
  'flag-source/unreadable': 'a file or folder that could not be read',
  'flag-source/empty': 'a folder without a file of flags',
  'flag-source/changing': 'files that change faster than they can be read',
  'flag-source/bad-answer': 'an answer that is not what the protocol says',
  'flag-source/evaluation': 'a flag that the other side could not evaluate; it is left out',
  'flag-source/unread': 'a set that could not be read to its end',
  'flag-source/ended': 'a stream that the other side ended',
  'flag-source/from-disk': 'flags that were kept on disk are in force',
  'flag-source/bug': 'a mistake of hubward itself',
} as const satisfies Record<string, string>

/** A key of FLAG_SOURCE_PROBLEMS. */
export type FlagSourceProblemCode = keyof typeof FLAG_SOURCE_PROBLEMS

/** A problem of a source of flags, an error where nothing else is said. */
export const flagSourceProblem = (
  code: FlagSourceProblemCode,
  message: string,
  more: Omit<Partial<Problem>, 'code' | 'message'> = {},
): Problem => ({ code, severity: 'error', message, ...more })

/** An attempt that gave no set. The last good one stays, for as long as its ttl. */
export class FlagsFailure extends Error {
  override readonly name = 'FlagsFailure'
  readonly problems: readonly Problem[]
  /** How long the other side asks to be left alone, in milliseconds. */
  readonly retryAfterMs: number

  constructor(problems: readonly Problem[], retryAfterMs = 0) {
    super(problems.map(({ message }) => message).join('; '))
    this.problems = problems
    this.retryAfterMs = retryAfterMs
  }
}

/** A failure with one problem. */
export const flagsFailure = (
  code: FlagSourceProblemCode,
  message: string,
  more?: Omit<Partial<Problem>, 'code' | 'message'>,
): FlagsFailure => new FlagsFailure([flagSourceProblem(code, message, more)])

/** Any error as problems: those that it brings along, else one with its code or its first 200 characters. */
export const problemsOf = (error: unknown, where: string): readonly Problem[] => {
  const { problems } = error as { problems?: unknown }
  if (Array.isArray(problems) && problems.length > 0) return problems as readonly Problem[]
  return [flagSourceProblem('flag-source/bug', `reading ${where} failed: ${errorWords(error)}`)]
}

/** What an error says, without what was sent: its code, else its first 200 characters. */
export const errorWords = (error: unknown): string => {
  const { code, cause, message } = (error ?? {}) as { code?: unknown; cause?: { code?: unknown }; message?: unknown }
  for (const one of [code, cause?.code]) if (typeof one === 'string' && one !== '') return one
  return String(message ?? error).slice(0, 200)
}
