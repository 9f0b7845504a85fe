import type { Problem } from '../model/problem.ts'
import { FlagsFailure, flagsFailure, problemsOf } from './failure.ts'

/** One place of flags that is asked again and again. */
export interface FlagLoopOptions {
  /** Shown to operators, never with credentials. */
  readonly where: string
  /** How long it rests after an attempt that did not fail. */
  readonly intervalMs: number
  /** The deadline of one attempt; 0: it lasts as long as a stream does, and sees to its deadlines itself. */
  readonly timeoutMs: number
  readonly backoffMs: { readonly min: number; readonly max: number }
  /** Gives 0 up to 1, another each time: so that many who lost the same server do not come back at once. */
  readonly draw: () => number
  /** One attempt. Rejects with FlagsFailure; ends what it began when the signal aborts. */
  readonly attempt: (signal: AbortSignal) => Promise<void>
  /** Hears why an attempt failed. */
  readonly failed: (problems: readonly Problem[]) => void
}

/** A running loop. */
export interface FlagLoop {
  /** Begins at once; fulfilled when the first attempt has ended, or is known to last. */
  readonly start: () => Promise<void>
  /** Asks now, whatever the wait; while an attempt is under way, once more after it. One that lasts is begun anew. */
  readonly poke: () => void
  /** Says that the attempt under way, which lasts, has given what it should: the next failure is the first again. */
  readonly wentWell: () => void
  /** Fulfilled once nothing runs any more. */
  readonly stop: () => Promise<void>
}

/** How much of the interval chance may take away. */
const JITTER_RATIO = 0.1
/** Nobody is left alone longer than this because he asked for it. */
const RETRY_AFTER_MS_MAX = 3_600_000

/** Why an attempt that lasts is ended to be begun anew. */
const AGAIN = new Error('asked to begin anew')

/**
 * The loop of every source of flags: one attempt at a time, each with a deadline, and after failures a wait that is drawn
 * between the least and a limit that doubles: never less than the least, because a proxy in between can answer faster
 * than anybody wants to be asked. An attempt that takes no notice of its end is left behind.
 */
export function flagLoop(options: FlagLoopOptions): FlagLoop {
  const { where, intervalMs, timeoutMs, backoffMs, draw, attempt, failed } = options
  const first = Promise.withResolvers<void>()
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> | undefined
  let controller: AbortController | undefined
  let state: 'new' | 'started' | 'stopped' = 'new'
  let failures = 0
  let poked = false

  const once = async (): Promise<number> => {
    const begun = new AbortController()
    controller = begun
    const { signal } = begun
    const abandoned = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
    abandoned.catch(() => {})
    const over = () => begun.abort(flagsFailure('flag-source/timeout', `${where}: no answer in ${timeoutMs} ms`))
    const deadline = timeoutMs === 0 ? undefined : setTimeout(over, timeoutMs)
    try {
      await Promise.race([attempt(signal), abandoned])
      failures = 0
      return intervalMs * (1 - JITTER_RATIO * draw())
    } catch (error) {
      if (state === 'stopped' || error === AGAIN) return 0
      failures += 1
      failed(problemsOf(error, where))
      const limit = Math.min(backoffMs.max, backoffMs.min * 2 ** Math.min(20, failures))
      const asked = error instanceof FlagsFailure ? Math.min(error.retryAfterMs, RETRY_AFTER_MS_MAX) : 0
      return Math.max(asked, backoffMs.min + draw() * Math.max(0, limit - backoffMs.min))
    } finally {
      clearTimeout(deadline)
      controller = undefined
      first.resolve()
    }
  }

  const run = (): void => {
    if (state !== 'started' || running !== undefined) return
    poked = false
    running = once().then((waitMs) => {
      running = undefined
      if (state === 'started') timer = setTimeout(run, poked ? 0 : waitMs)
    })
  }

  return {
    start: () => {
      if (state === 'new') {
        state = 'started'
        run()
      }
      return first.promise
    },
    poke: () => {
      if (state !== 'started') return
      poked = true
      if (timeoutMs === 0) controller?.abort(AGAIN)
      if (running !== undefined) return
      clearTimeout(timer)
      run()
    },
    wentWell: () => {
      failures = 0
      first.resolve()
    },
    stop: async () => {
      state = 'stopped'
      clearTimeout(timer)
      first.resolve()
      controller?.abort(flagsFailure('flag-source/unreachable', 'hubward is stopping'))
      await running
    },
  }
}
