import type { Job, JobEvent } from '../model/job.ts'
import type { EpochMs } from '../model/names.ts'

/** Changes of jobs that can still be asked for after somebody was away. */
const KEPT_MAX = 4_096

/** What happens to jobs, for those who listen and those who come back. */
export interface JobFeed {
  /** Names this run of hubward: numbers count from 1 in each. */
  readonly run: string
  readonly push: (kind: JobEvent['kind'], at: EpochMs, job: Job, cause?: string) => void
  /** What came after a number; undefined where that is not known any more, or never was. */
  readonly since: (number: number) => readonly JobEvent[] | undefined
  readonly last: () => number
  readonly subscribe: (listener: (event: JobEvent) => void) => () => void
}

/** An empty feed. */
export function createJobFeed(run: string): JobFeed {
  let kept: JobEvent[] = []
  let number = 0
  const listeners = new Set<(event: JobEvent) => void>()
  return {
    run,
    push: (kind, at, job, cause) => {
      const event: JobEvent = { number: ++number, kind, at, job, ...(cause === undefined ? {} : { cause }) }
      kept.push(event)
      if (kept.length > 2 * KEPT_MAX) kept = kept.slice(-KEPT_MAX)
      for (const listener of [...listeners]) listener(event)
    },
    since: (after) => {
      const first = kept[0]?.number ?? number + 1
      return after > number || after < first - 1 ? undefined : kept.slice(after - first + 1)
    },
    last: () => number,
    subscribe: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
