import { mkdirSync, readFileSync } from 'node:fs'
import { appendFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Job } from '../model/job.ts'

/** One line: what of a job is otherwise now, or that it has gone. */
type Line = { readonly id: string; readonly set: Partial<Job> } | { readonly id: string; readonly gone: true }

/** Jobs on disk, so that what they hold is still held after a restart. */
export interface JobsFile {
  /** Notes what of a job is otherwise now; the first time all of it. Takes no time worth naming; nothing is awaited. */
  readonly set: (id: string, what: Partial<Job>) => void
  readonly gone: (id: string) => void
  /** Fulfilled when all that was noted is on disk, or can't be. */
  readonly flush: () => Promise<void>
}

/** What a jobs file is made of. */
export interface JobsFileOptions {
  readonly path: string
  /** All jobs as they are now: a file that has grown long is written anew from them. */
  readonly jobs: () => Iterable<Job>
  /** Hears when the file can't be written, and when it can again. */
  readonly onState: (failing: boolean, detail: string) => void
}

/** Lines beyond those of the living jobs before the file is written anew. */
const SPARE_LINES = 4_096

/** The jobs of a file, the newest word on each; broken lines, such as the last one of a crash, are left out and counted. */
export function readJobs(path: string): { readonly jobs: readonly Job[]; readonly broken: number } {
  const jobs = new Map<string, Job>()
  let broken = 0
  let text = ''
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  for (const written of text.split('\n')) {
    if (written === '') continue
    try {
      const line = JSON.parse(written) as Line
      if ('gone' in line) jobs.delete(line.id)
      else {
        const job = { ...jobs.get(line.id), ...line.set } as Job
        if (isWhole(job)) jobs.set(line.id, job)
        else broken++
      }
    } catch {
      broken++
    }
  }
  return { jobs: [...jobs.values()], broken }
}

const isWhole = (job: Partial<Job>): boolean =>
  typeof job.id === 'string' &&
  typeof job.class === 'string' &&
  typeof job.target === 'string' &&
  typeof job.expiresAt === 'number' &&
  typeof job.facts === 'object' &&
  typeof job.decision === 'object' &&
  typeof job.advice === 'object'

/** A file that is only appended to, in the order of what happened, and now and then written anew. Never throws. */
export function openJobsFile({ path, jobs, onState }: JobsFileOptions): JobsFile {
  let waiting: string[] = []
  let lines = Number.POSITIVE_INFINITY
  let writing: Promise<void> | undefined
  let failing = false
  const note = (line: Line): void => {
    waiting.push(`${JSON.stringify(line)}\n`)
    writing ??= writeAll().finally(() => {
      writing = undefined
    })
  }
  const writeAll = async (): Promise<void> => {
    // What else happens in this turn goes out with it.
    await new Promise((resolve) => setImmediate(resolve))
    while (waiting.length > 0) {
      const living = [...jobs()]
      const isLong = lines + waiting.length > 2 * living.length + SPARE_LINES
      const batch = waiting
      waiting = []
      try {
        if (isLong) {
          await writeAnew(path, living)
          lines = living.length
        } else {
          await appendFile(path, batch.join(''), { mode: 0o600 })
          lines += batch.length
        }
        if (failing) onState(false, '')
        failing = false
      } catch (error) {
        if (!failing) onState(true, (error as Error).message)
        failing = true
        // What could not be appended is in the jobs: the next attempt writes all of them.
        lines = Number.POSITIVE_INFINITY
      }
    }
  }
  return {
    set: (id, what) => note({ id, set: what }),
    gone: (id) => note({ id, gone: true }),
    flush: async () => {
      if (failing) note({ id: '', gone: true })
      await writing
    },
  }
}

async function writeAnew(path: string, living: readonly Job[]): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o750 })
  const parts: string[] = []
  for (const [index, job] of living.entries()) {
    parts.push(`${JSON.stringify({ id: job.id, set: job })}\n`)
    // Requests get their turn in between.
    if (index % 256 === 255) await new Promise((resolve) => setImmediate(resolve))
  }
  await writeFile(`${path}.new`, parts.join(''), { mode: 0o600 })
  await rename(`${path}.new`, path)
}
