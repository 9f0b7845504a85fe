import type { Problem } from '../model/problem.ts'

/** What can be wrong with what a feed reads. To add one, add a row. */
export const FEED_PROBLEMS = {
  'feed/unreachable': 'nothing answers there',
  'feed/timeout': 'no whole answer before the deadline',
  'feed/status': 'an answer with a status that is no success',
  'feed/redirect': 'an answer that sends elsewhere; redirects are not followed',
  'feed/too-large': 'an answer larger than is read',
  'feed/encoding': 'a body that could not be unpacked',
  'feed/credentials': 'a file with credentials or certificates that could not be used',
  'feed/bad-text': 'a text that breaks its format',
  'feed/too-many-series': 'more series than are kept',
  'feed/nothing-ahead': 'a series that is all past',
  'feed/too-many-intervals': 'more intervals than a series can have',
  'feed/too-many-models': 'more models than are told apart',
  'feed/bad-histogram': 'a histogram that contradicts itself',
  'feed/unknown-engine': 'metrics of no model server that is known',
  'feed/frozen': 'the same bytes again and again while counters should move',
  'feed/partial': 'some replicas did not answer',
  'feed/clock-skew': 'the source keeps another time',
  'feed/bad-event': 'an event of the grid that could not be understood',
  'feed/bad-reading': 'a reading that cannot be true, or none',
  'feed/no-time': 'a value without a sample that tells its age',
  'feed/ambiguous': 'several series for one place',
  'feed/no-value': 'a place in a document where nothing is',
  'feed/missing-value': 'a device that says it has no value, or no good one',
  'feed/no-metric': 'an exporter without a metric that is asked for',
  'feed/sick-gpu': 'accelerators with errors that need a technician',
  'feed/refused-sample': 'samples that were refused, the last of each kind',
  'feed/stale': 'values older than their limit, or none for too long',
  'feed/bad-sample': 'an entry that is no sample',
  'feed/unknown-signal': 'a signal that is not in the table',
  'feed/unknown-unit': 'a unit that the signal cannot be converted from',
  'feed/name-twice': 'two feeds with one name',
  'feed/bad-target': 'a target that is neither a site nor site/pool',
  'feed/bad-url': 'an address that cannot be asked',
  'feed/bad-setting': 'a setting of a feed that cannot be used',
  'feed/signal-twice': 'two feeds deliver the same signals for one target',
  'feed/bug': 'a mistake of hubward itself',
} as const satisfies Record<string, string>

/** A key of FEED_PROBLEMS. */
export type FeedProblemCode = keyof typeof FEED_PROBLEMS

/** A problem of a feed, an error where nothing else is said. */
export const feedProblem = (
  code: FeedProblemCode,
  message: string,
  more: Omit<Partial<Problem>, 'code' | 'message'> = {},
): Problem => ({ code, severity: 'error', message, ...more })

/** An attempt that gave no set, or one that can't be taken. The last good one stays. */
export class FeedFailure extends Error {
  readonly problems: readonly Problem[]
  /** The version of the set that was refused, where there was one. */
  readonly version: string | undefined

  constructor(problems: readonly Problem[], version?: string) {
    super(problems.map(({ message }) => message).join('; '))
    this.problems = problems
    this.version = version
  }
}

/** A failure with one problem. */
export const failure = (
  code: FeedProblemCode,
  message: string,
  more?: Omit<Partial<Problem>, 'code' | 'message'>,
): FeedFailure => new FeedFailure([feedProblem(code, message, more)])

/** What an error of the network says, without anything that was sent: its code, else its first 200 characters. */
export const errorDetail = (error: unknown): string => {
  const chain = [error, (error as { cause?: unknown } | undefined)?.cause, ...causes(error)]
  for (const one of chain) {
    const code = (one as { code?: unknown } | undefined)?.code
    if (typeof code === 'string' && code !== '') {
      const { syscall } = one as { syscall?: unknown }
      return typeof syscall === 'string' ? `${syscall} ${code}` : code
    }
  }
  return error instanceof Error ? error.message.slice(0, 200) : String(error).slice(0, 200)
}

const causes = (error: unknown): readonly unknown[] => (error instanceof AggregateError ? error.errors : [])
