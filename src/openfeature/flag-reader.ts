import { Worker } from 'node:worker_threads'
import type { Flag, FlagSet } from '../model/flag.ts'
import type { FlagKey } from '../model/names.ts'
import type { Problem } from '../model/problem.ts'

/** A text with definitions, by the path that problems name. */
export interface FlagText {
  readonly path: string
  readonly text: string
}

/** What a text is: a flagd definition, or the answer to an OFREP bulk evaluation. */
export type FlagFormat = 'flagd' | 'ofrep'

/** A set, or why there is none. */
export interface FlagVerdict {
  readonly set: FlagSet | null
  readonly problems: readonly Problem[]
}

/** Reads texts away from the event loop. */
export interface FlagReader {
  /** Rejects where the texts took too long, or more memory than they may. */
  readonly read: (files: readonly FlagText[], format: FlagFormat) => Promise<FlagVerdict>
  readonly end: () => Promise<void>
}

/** What the worker is told: texts, or to go on. */
export type ReaderRequest =
  | { readonly ask: 'read'; readonly files: readonly FlagText[]; readonly format: FlagFormat }
  | { readonly ask: 'more' }

/** What it answers: some of the flags, or all that is left to say. */
export type ReaderAnswer =
  | { readonly answer: 'some'; readonly flags: readonly (readonly [FlagKey, Flag])[] }
  | { readonly answer: 'end'; readonly metadata: FlagSet['metadata'] | null; readonly problems: readonly Problem[] }

/** A set of many thousand flags is read within seconds; what takes longer was written to take long. */
const TIMEOUT_MS = 15_000
const HEAP_MB_MAX = 512

/**
 * One worker for all sources, started when it is needed. It hands a set over in parts, each only when it is asked for,
 * so that no turn of the event loop takes in more than some flags. A worker that hangs or grows is ended with the set
 * that made it so; the next set has a new one.
 */
export function flagReader(timeoutMs = TIMEOUT_MS): FlagReader {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const url = new URL(`./read-worker.${extension}`, import.meta.url)
  let worker: Worker | undefined
  let last: Promise<unknown> = Promise.resolve()
  let isEnded = false

  const readNow = (files: readonly FlagText[], format: FlagFormat): Promise<FlagVerdict> => {
    if (isEnded) return Promise.reject(new Error('hubward is stopping'))
    worker ??= started(url)
    const asked = worker
    const flags: Record<FlagKey, Flag> = {}
    const { promise, resolve, reject } = Promise.withResolvers<FlagVerdict>()
    const lost = (why: string): void => {
      if (worker === asked) worker = undefined
      void asked.terminate()
      reject(new Error(why))
    }
    const take = (answer: ReaderAnswer): void => {
      if (answer.answer === 'some') {
        for (const [key, flag] of answer.flags) flags[key] = flag
        setImmediate(() => asked.postMessage({ ask: 'more' } satisfies ReaderRequest))
      } else {
        const { metadata, problems } = answer
        resolve({ set: metadata === null ? null : { flags, metadata }, problems })
      }
    }
    const failed = (error: unknown): void => lost(`its reader failed: ${String((error as Error).message ?? error)}`)
    const gone = (): void => lost('its reader ended')
    const deadline = setTimeout(() => lost(`it took longer than ${timeoutMs} ms to read`), timeoutMs)
    asked.on('message', take).on('error', failed).on('exit', gone)
    asked.postMessage({ ask: 'read', files, format } satisfies ReaderRequest)
    return promise.finally(() => {
      clearTimeout(deadline)
      asked.off('message', take).off('error', failed).off('exit', gone)
    })
  }

  return {
    read: (files, format) => {
      const answer = last.then(() => readNow(files, format))
      last = answer.catch(() => {})
      return answer
    },
    end: async () => {
      isEnded = true
      await worker?.terminate()
      worker = undefined
    },
  }
}

const started = (url: URL): Worker => {
  const worker = new Worker(url, { resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX } })
  // An error that nobody hears would end the process.
  worker.on('error', () => {})
  worker.unref()
  return worker
}
