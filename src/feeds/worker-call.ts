import { Worker } from 'node:worker_threads'

/** A worker that answers one question after another. */
export interface WorkerCall<Request, Answer> {
  /**
   * Asks, and starts the worker where none runs. Rejects if the worker dies or takes too long; the next question starts
   * a new one. Not to be called before the answer to the last.
   */
  readonly ask: (request: Request) => Promise<Answer>
  /** Whether the worker that the last question went to is still there, with what it remembers. */
  readonly isRunning: () => boolean
  readonly end: () => Promise<void>
}

/** The most memory that a worker may take, in MiB: a folder of 64 MiB of YAML takes 400. */
const HEAP_MB_MAX = 1_024

/** Calls to the worker at this URL, each answered within so many milliseconds or given up. */
export function workerCall<Request, Answer>(url: URL, timeoutMs: number): WorkerCall<Request, Answer> {
  let worker: Worker | null = null
  let waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | null = null

  const settle = (answer: Answer | Error): void => {
    const asked = waiting
    waiting = null
    if (answer instanceof Error) asked?.reject(answer)
    else asked?.resolve(answer)
  }

  const start = (): Worker => {
    const started = new Worker(url, { resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX } })
    const lost = (why: string) => {
      if (worker !== started) return
      worker = null
      settle(new Error(why))
    }
    started.on('message', settle)
    started.on('error', (error) => lost(`the worker failed: ${error instanceof Error ? error.message : String(error)}`))
    started.on('exit', () => lost('the worker ended'))
    started.unref()
    worker = started
    return started
  }

  const end = async (): Promise<void> => {
    const ended = worker
    worker = null
    settle(new Error('the worker was ended'))
    await ended?.terminate()
  }

  const ask = async (request: Request): Promise<Answer> => {
    const asked = worker ?? start()
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    waiting = { resolve, reject }
    const deadline = setTimeout(() => {
      settle(new Error(`the worker took longer than ${timeoutMs} ms`))
      void end()
    }, timeoutMs)
    asked.postMessage(request)
    try {
      return await promise
    } finally {
      clearTimeout(deadline)
    }
  }

  return { ask, isRunning: () => worker !== null, end }
}
