import { adviseJobs, type Claims, claimsOf } from '../engine/advice.ts'
import type { EngineSnapshot } from '../engine/programs.ts'
import type { EpochMs } from '../model/names.ts'
import type { Tally } from '../model/tally.ts'
import type { Jobs } from './jobs.ts'

/** Works out, after changes of the snapshot, what jobs are to be told. */
export interface JobAdvisor {
  /** To be called after every change; takes no time where there is no job or a look is on its way. */
  readonly changed: () => void
  readonly close: () => void
}

/** What an advisor is made of. */
export interface JobAdvisorParts {
  readonly now: () => EpochMs
  readonly current: () => EngineSnapshot
  readonly tally: Tally
  readonly jobs: Jobs
  readonly bug: (error: unknown) => void
}

/** Changes that come within this are looked at together. */
const LOOK_MS = 100
/** How long jobs are looked at before requests get their turn again, and what share of the time it may take in all. */
const SLICE_MS = 2
const SHARE = 0.1
/** An advisor that waits for the first change. */
export function createJobAdvisor({ now, current, tally, jobs, bug }: JobAdvisorParts): JobAdvisor {
  let timer: NodeJS.Timeout | undefined
  let isLooking = false
  let isDirty = false
  let isClosed = false
  let tookMs = 0

  const look = (): void => {
    timer = undefined
    isLooking = true
    isDirty = false
    tookMs = 0
    const ids = [...jobs.all().keys()]
    slice(ids, 0, claimsOf(current(), jobs.all().values()))
  }
  const slice = (ids: readonly string[], from: number, claimed: Claims): void => {
    if (isClosed) return
    const begun = performance.now()
    let at = from
    let claims = claimed
    try {
      do {
        const job = jobs.get(ids[at++]!)
        if (job === undefined) continue
        const told = adviseJobs(current(), tally, [job], now(), claims)
        claims = told.claims
        jobs.advise(job.id, told.advice[0]!)
      } while (at < ids.length && performance.now() - begun < SLICE_MS)
    } catch (error) {
      bug(error)
    }
    tookMs += performance.now() - begun
    if (at < ids.length) {
      setImmediate(slice, ids, at, claims)
      return
    }
    isLooking = false
    if (isDirty) changed()
  }
  const changed = (): void => {
    if (isClosed || timer !== undefined || jobs.all().size === 0) return
    if (isLooking) {
      isDirty = true
      return
    }
    timer = setTimeout(look, Math.max(LOOK_MS, tookMs / SHARE))
  }
  return {
    changed,
    close: () => {
      isClosed = true
      clearTimeout(timer)
    },
  }
}
