/** Who watches a start. */
export interface StartWatch {
  /**
   * Aborted: the start ends as soon as it can. Before Envoy is served it rejects with the reason and leaves nothing
   * behind; afterwards it is fulfilled early, and `stop` answers Envoy to the end.
   */
  readonly signal?: AbortSignal
  /** Hears as soon as there is a journal what writes it out, for a process that must not go on. */
  readonly opened?: (abandon: () => Promise<void>) => void
}

/** The steps of a start that may be broken off. */
export interface Starting {
  /** Waits for what leaves something behind, such as a port: it is had before the start is broken off. */
  readonly step: <T>(work: Promise<T>) => Promise<T>
  /** Waits no longer than the start goes on, for what the end of everything ends as well. */
  readonly wait: (work: Promise<unknown>) => Promise<void>
  /** The same, where nothing is broken off: fulfilled early instead. */
  readonly finish: (work: Promise<unknown>) => Promise<void>
}

/** The steps of a start that somebody watches. */
export function starting({ signal }: StartWatch): Starting {
  const broken =
    signal === undefined
      ? new Promise<void>(() => {})
      : new Promise<void>((resolve) => {
          if (signal.aborted) resolve()
          else signal.addEventListener('abort', () => resolve(), { once: true })
        })
  const finish = async (work: Promise<unknown>): Promise<void> => {
    await Promise.race([work, broken])
  }
  return {
    step: async (work) => {
      const done = await work
      signal?.throwIfAborted()
      return done
    },
    wait: async (work) => {
      await finish(work)
      signal?.throwIfAborted()
    },
    finish,
  }
}
