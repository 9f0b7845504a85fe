import { type DestinationStream, type Logger, pino } from 'pino'

/** A log. What it says are transitions: something that was one way is another way now. */
export type Log = Logger

/** How much a log says, the most first. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const

/** One of LOG_LEVELS. */
export type LogLevel = (typeof LOG_LEVELS)[number]

const SECRET_NAMES = [
  ...['authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'x-api-key', 'api-key', 'password', 'secret'],
  ...['token', 'tokens', 'bearer', 'session', 'sessionKey', 'x-hubward-session', 'x-hubward-hop'],
]

/** Fields that a log never shows, at the top of a line and up to two levels below it. */
export const REDACTED: readonly string[] = SECRET_NAMES.flatMap((name) => {
  const own = /^[A-Za-z]+$/.test(name) ? name : `["${name}"]`
  const below = own.startsWith('[') ? `*${own}` : `*.${own}`
  return [own, below, own.startsWith('[') ? `*.*${own}` : `*.*.${own}`]
})

/** A log in JSON lines on the standard error, or where it is told: the standard output belongs to commands. */
export function createLog(level: LogLevel, destination?: DestinationStream, base: Record<string, unknown> = {}): Log {
  const options = {
    level,
    base,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: [...REDACTED], censor: '[secret]' },
  }
  // Not sync: a reader of our standard error that hangs must not hang us; beyond a megabyte lines are dropped.
  return pino(options, destination ?? pino.destination({ fd: 2, sync: false, maxLength: 1_048_576 }))
}

/** Says something only when the state of its subject is not the one that was said last. */
export type OnTransition = (subject: string, state: string, say: () => void) => void

/** The most subjects whose state is remembered. */
const SUBJECTS_MAX = 10_000

/** Remembers by subject which state was said. A subject's first state is said too, unless it is `quiet`. */
export function transitions(quiet = 'ok'): OnTransition {
  const states = new Map<string, string>()
  return (subject, state, say) => {
    const before = states.get(subject) ?? quiet
    if (before === state) return
    if (states.size >= SUBJECTS_MAX) states.clear()
    states.set(subject, state)
    say()
  }
}
