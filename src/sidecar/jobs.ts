import { claimOf } from '../engine/job-needs.ts'
import type { EngineSnapshot } from '../engine/programs.ts'
import type { Metrics } from '../metrics.ts'
import type { Change } from '../model/change.ts'
import type { Decision } from '../model/decision.ts'
import type { WorkloadClass } from '../model/documents.ts'
import type { Event } from '../model/event.ts'
import type { Facts } from '../model/facts.ts'
import type { Advice, Job } from '../model/job.ts'
import { type EpochMs, siteOf } from '../model/names.ts'
import { RESERVATIONS_MAX, type Reservation } from '../model/reservation.ts'
import type { JobFeed } from './job-feed.ts'
import type { JobsFile } from './jobs-file.ts'
import type { Asking } from './judge.ts'

/** What the registry of jobs is made of. */
export interface JobsParts {
  readonly now: () => EpochMs
  readonly apply: (change: Change) => void
  readonly current: () => EngineSnapshot
  readonly metrics: Metrics
  readonly feed: JobFeed
  readonly file: Pick<JobsFile, 'set' | 'gone'>
  /** How long a reservation holds without a word from its job. */
  readonly lifeMs: number
  /** Hears of each change of advice, for the journal and the log. */
  readonly told: (event: Extract<Event, { kind: 'job-advised' }>) => void
}

/** The admitted jobs of this hubward: what they hold, how they do, what they are told. */
export interface Jobs {
  /** The decision with its reservation; a refusal where no more can be kept account of; untouched where there is none to make. */
  readonly admit: (facts: Facts, decision: Decision, snapshot: EngineSnapshot, now: EpochMs, asking: Asking) => Decision
  readonly get: (id: string) => Job | undefined
  /** The job that its asker calls so. */
  readonly called: (key: string) => Job | undefined
  readonly all: () => ReadonlyMap<string, Job>
  /** It runs, and draws so much by now. Undefined: no such job. */
  readonly running: (id: string, drawMw: number | undefined) => Job | undefined
  /** It needs its reservation for another while, from now. */
  readonly renew: (id: string, lifeMs: number | undefined) => Job | undefined
  readonly ended: (id: string, cause: string) => Job | undefined
  /** Takes note of what a job is told now. */
  readonly advise: (id: string, advice: Advice) => void
  /** Takes in jobs of before a restart whose time is not over. Gives how many. */
  readonly restore: (jobs: readonly Job[]) => number
  /** Hears of every event of the snapshot: a reservation that has aged out ends its job. */
  readonly heard: (event: Event) => void
}

/** A registry without jobs. */
export function createJobs(parts: JobsParts): Jobs {
  const { apply, metrics, feed, file, now: clock } = parts
  const jobs = new Map<string, Job>()
  const byKey = new Map<string, string>()

  const put = (job: Job, what: Partial<Job>): Job => {
    const next = { ...job, ...what }
    jobs.set(job.id, next)
    file.set(job.id, what)
    return next
  }
  const end = (id: string, cause: string, at: EpochMs): Job | undefined => {
    const job = jobs.get(id)
    if (job === undefined) return undefined
    jobs.delete(id)
    if (job.key !== undefined) byKey.delete(job.key)
    file.gone(id)
    metrics.add('hubward_reservations_total', 1, job.class, cause === 'aged out' ? 'aged-out' : 'ended')
    feed.push('ended', at, job, cause)
    return job
  }
  const tell = (job: Job, advice: Advice, at: EpochMs): Job => {
    const next = put(job, { advice })
    const { action, reason, deadline = null, to } = advice
    metrics.add('hubward_job_advice_total', 1, job.class, action, reason)
    parts.told({
      kind: 'job-advised',
      at,
      id: job.id,
      class: job.class,
      target: job.target,
      from: job.advice.action,
      to: action,
      reason,
      deadline,
      ...(to === undefined ? {} : { elsewhere: to.target }),
      ...(advice.because === undefined ? {} : { because: advice.because }),
    })
    return next
  }

  /** The longest that a job of this class may hold without a word. */
  const lifeOf = (className: string): number =>
    Math.min(parts.current().programs.classes.get(className)?.doc?.reservationLifeMs ?? parts.lifeMs, parts.lifeMs)

  return {
    get: (id) => jobs.get(id),
    called: (key) => jobs.get(byKey.get(key) ?? ''),
    all: () => jobs,
    admit: (facts, decision, snapshot, now, asking) => {
      if (decision.action !== 'route' && decision.action !== 'degrade') return decision
      const { target, cluster } = decision
      if (target === undefined || cluster === undefined) return decision
      // One job, one reservation: what another hubward sent on is held there, and a question about a job is none.
      if (decision.reason === 'hop' || facts.followUp !== undefined) return decision
      if (asking.site !== undefined && siteOf(target) !== asking.site) return decision
      const workload = snapshot.programs.classes.get(facts.class)?.doc
      if (workload?.whenHubwardIsDown !== 'refuse') return decision
      if (asking.reserve !== 'always' && !reservesFor(facts, workload)) return decision
      if (jobs.size >= RESERVATIONS_MAX) {
        metrics.add('hubward_reservations_total', 1, facts.class, 'refused')
        return refused(decision, jobs.size)
      }
      const id = decision.id
      const longest = lifeOf(facts.class)
      const lifeMs = Math.min(asking.lifeMs ?? longest, longest)
      const admitted = { ...decision, reservation: id }
      const { sessionKey: _key, hop: _hop, hold: _hold, ...kept } = facts
      const job: Job = {
        id,
        class: facts.class,
        target,
        cluster,
        facts: { ...kept, session: { verdict: 'none' } },
        decision: admitted,
        admittedAt: now,
        expiresAt: now + lifeMs,
        lifeMs,
        state: 'admitted',
        ...(asking.key === undefined ? {} : { key: asking.key }),
        advice: { action: 'run', reason: 'fits', since: now },
      }
      jobs.set(id, job)
      if (job.key !== undefined) byKey.set(job.key, id)
      apply({ kind: 'reservation-made', at: now, reservation: reservationOf(job) })
      file.set(id, job)
      metrics.add('hubward_reservations_total', 1, facts.class, 'made')
      feed.push('admitted', now, job)
      return admitted
    },
    running: (id, drawMw) => {
      const job = jobs.get(id)
      if (job === undefined) return undefined
      const at = clock()
      if (drawMw !== undefined) apply({ kind: 'reservation-drawn', at, id, drawMw })
      const isPaused = drawMw === 0 && (job.advice.action === 'pause' || job.advice.action === 'move')
      const state = isPaused ? 'paused' : 'running'
      let next = put(job, { state, ...(drawMw === undefined ? {} : { drawMw }) })
      if (job.advice.action === 'resume') next = tell(next, { action: 'run', reason: 'fits', since: at }, at)
      if (job.state !== state) feed.push(state, at, next)
      return next
    },
    renew: (id, lifeMs) => {
      const job = jobs.get(id)
      if (job === undefined) return undefined
      const at = clock()
      const next = put(job, { expiresAt: at + Math.min(lifeMs ?? job.lifeMs, lifeOf(job.class)) })
      apply({ kind: 'reservation-made', at, reservation: reservationOf(next) })
      feed.push('renewed', at, next)
      return next
    },
    ended: (id, cause) => {
      const at = clock()
      const job = end(id, cause, at)
      if (job !== undefined) apply({ kind: 'reservation-ended', at, id, cause })
      return job
    },
    advise: (id, advice) => {
      const job = jobs.get(id)
      if (job === undefined || job.advice === advice) return
      const at = clock()
      feed.push('advice', at, tell(job, advice, at))
    },
    restore: (before) => {
      const at = clock()
      const reservations: Reservation[] = []
      for (const job of before) {
        if (job.expiresAt <= at || jobs.has(job.id) || jobs.size >= RESERVATIONS_MAX) continue
        jobs.set(job.id, job)
        if (job.key !== undefined) byKey.set(job.key, job.id)
        reservations.push(reservationOf(job))
      }
      apply({ kind: 'reservations-restored', at, reservations })
      return reservations.length
    },
    heard: (event) => {
      if (event.kind === 'reservation-ended') end(event.id, event.cause, event.at)
    },
  }
}

/** Whether a request that comes through Envoy reserves where it is admitted: a job that says what it needs. */
export const reservesFor = (facts: Facts, workload: WorkloadClass | undefined): boolean => {
  if (workload?.whenHubwardIsDown !== 'refuse' || facts.followUp !== undefined) return false
  const { mw, coolingKw, gpus } = claimOf(facts.needs)
  return mw > 0 || coolingKw > 0 || gpus > 0
}

const reservationOf = ({ id, facts, target, admittedAt, expiresAt, drawMw = 0, ...job }: Job): Reservation => {
  const tenant = facts.tenant === undefined ? {} : { tenant: facts.tenant }
  return { id, class: job.class, target, ...claimOf(facts.needs), drawMw, madeAt: admittedAt, expiresAt, ...tenant }
}

/** The refusal in the place of a decision that would have let one more job in than can be kept account of. */
const refused = (decision: Decision, held: number): Decision => {
  const { id, at, ladder, next, policy, policyHash, revision, layers, override, arm, session, stale, insufficient } =
    decision
  const target = 'target' in decision ? (decision.target ?? '') : ''
  return {
    ...{ id, at, ladder, next, policy, policyHash, revision, layers, override, arm, session, stale, insufficient },
    class: decision.class,
    reason: 'reservations-full',
    because: [
      { target, constraint: 'reservations', measured: held, op: '<=', limit: RESERVATIONS_MAX - 1, unit: 'jobs' },
    ],
    action: 'deny',
    status: 503,
    retryAfterMs: 60_000,
  }
}
