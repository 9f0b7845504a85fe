import type { Decision } from '../model/decision.ts'
import type { Job, JobEvent } from '../model/job.ts'
import type { AskedFacts, KnownNames } from './facts-json.ts'

/** How a question is asked over HTTP. */
export interface HowAsked {
  /** Admit it: a job class then holds what it declares. */
  readonly reserve: boolean
  /** Count it as sent. */
  readonly dispatch: boolean
  /** Neither counted nor kept. */
  readonly dryRun: boolean
  readonly key?: string
  readonly lifeMs?: number
  readonly site?: string
}

/** What the routes of decisions and jobs work on; the sidecar hands it over. */
export interface JobsView {
  /** Undefined: no documents have been accepted yet. */
  readonly known: () => KnownNames | undefined
  /** Undefined likewise. */
  readonly decide: (facts: AskedFacts, how: HowAsked) => Decision | undefined
  /** A decision in one line: its reason, and what stood in the way with number and threshold. */
  readonly says: (decision: Decision) => string
  readonly all: () => ReadonlyMap<string, Job>
  readonly get: (id: string) => Job | undefined
  readonly called: (key: string) => Job | undefined
  readonly running: (id: string, drawMw: number | undefined) => Job | undefined
  readonly renew: (id: string, lifeMs: number | undefined) => Job | undefined
  readonly ended: (id: string, cause: string) => Job | undefined
  /** How many may listen at once. */
  readonly listenersMax: number
  readonly feed: {
    readonly run: string
    readonly since: (number: number) => readonly JobEvent[] | undefined
    readonly last: () => number
    readonly subscribe: (listener: (event: JobEvent) => void) => () => void
  }
}

/** A job as it is shown: nothing of its tenant, its session or where it came from. */
export const jobView = (job: Job) => {
  const { id, target, cluster, state, admittedAt, expiresAt, drawMw, decision, facts, advice } = job
  return {
    id,
    class: job.class,
    target,
    cluster,
    state,
    needs: facts.needs ?? {},
    ...(drawMw === undefined ? {} : { drawMw }),
    admittedAt,
    expiresAt,
    reason: decision.reason,
    policy: decision.policy,
    advice,
  }
}
