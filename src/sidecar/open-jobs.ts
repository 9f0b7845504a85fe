import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { AskedFacts, KnownNames } from '../admin/facts-json.ts'
import type { HowAsked, JobsView } from '../admin/jobs-view.ts'
import type { Config } from '../config.ts'
import { becauseText } from '../engine/explain.ts'
import { mergeSets } from '../engine/programs.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Change } from '../model/change.ts'
import type { Decision } from '../model/decision.ts'
import type { Event } from '../model/event.ts'
import { REASONS } from '../model/reason.ts'
import { mergedSources } from '../request/merged-sources.ts'
import type { Store } from '../store.ts'
import { createJobAdvisor } from './job-advisor.ts'
import { createJobFeed } from './job-feed.ts'
import { createJobs, type Jobs } from './jobs.ts'
import { openJobsFile, readJobs } from './jobs-file.ts'
import { decisionId, type JudgeFacts, NotReady, seeds } from './judge.ts'
import type { LiveTally } from './tally.ts'

/** What jobs are made of. */
export interface OpenJobsParts {
  readonly config: Pick<Config, 'jobs' | 'stateDir'>
  readonly clock: { readonly now: () => number }
  readonly store: Pick<Store, 'current' | 'apply'>
  readonly tally: LiveTally
  readonly metrics: Metrics
  readonly log: Log
  readonly told: (event: Event) => void
  readonly bug: (error: unknown, where: string) => void
}

/** The jobs of a running hubward, and how they are asked about. */
export interface OpenJobs {
  readonly admit: Jobs['admit']
  /** Takes in what was held before a restart; before the first decision. */
  readonly restore: () => void
  /** To be called after every change of the snapshot. */
  readonly changed: (change: Change, events: readonly Event[]) => void
  readonly view: (judge: JudgeFacts) => JobsView
  readonly close: () => Promise<void>
}

/** Opens the registry of jobs with its file, its feed and its advisor. */
export function openJobs({ config, clock, store, tally, metrics, log, told, bug }: OpenJobsParts): OpenJobs {
  const path = join(config.stateDir, 'jobs.jsonl')
  const feed = createJobFeed(`${clock.now().toString(36)}${randomBytes(3).toString('hex')}`)
  const file = openJobsFile({
    path,
    jobs: () => jobs.all().values(),
    onState: (failing, detail) =>
      log[failing ? 'error' : 'info'](
        { path },
        failing ? `reservations can't be kept over a restart: ${detail}` : 'reservations are kept again',
      ),
  })
  const jobs = createJobs({
    now: clock.now,
    apply: store.apply,
    current: () => store.current,
    metrics,
    feed,
    file,
    lifeMs: config.jobs.reservationLifeMs,
    told,
  })
  const advisor = createJobAdvisor({
    now: clock.now,
    current: () => store.current,
    tally,
    jobs,
    bug: (error) => bug(error, 'job advice'),
  })
  metrics.read('hubward_jobs', () => {
    const counts = new Map<string, number>()
    for (const job of jobs.all().values()) {
      const key = `${job.class}\n${job.state}\n${job.advice.action}`
      counts.set(key, (counts.get(key) ?? 0) + 1)
    }
    return [...counts].map(([key, count]) => [key.split('\n') as [string, string, string], count])
  })
  metrics.read('hubward_reserved_mw', () => {
    const held = new Map<string, number>()
    for (const { target, mw, drawMw } of Object.values(store.current.data.reservations))
      held.set(target, (held.get(target) ?? 0) + Math.max(0, mw - drawMw))
    return [...held].map(([target, mw]) => [[target], mw])
  })
  let known: KnownNames | undefined
  const draw = seeds()

  return {
    admit: jobs.admit,
    restore: () => {
      try {
        const { jobs: before, broken } = readJobs(path)
        const count = jobs.restore(before)
        if (count + broken > 0) log.info({ path, jobs: count, broken }, 'reservations of before are held again')
      } catch (error) {
        log.warn({ path, detail: (error as Error).message }, 'reservations of before are not known')
      }
    },
    changed: (change, events) => {
      for (const event of events) jobs.heard(event)
      if (change.kind === 'documents-accepted') known = knownIn(store)
      advisor.changed()
    },
    view: (judge) => ({
      known: () => known,
      decide: (facts, how) => decideFacts(judge, clock.now(), draw(), facts, how),
      says,
      all: jobs.all,
      get: jobs.get,
      called: jobs.called,
      running: jobs.running,
      renew: jobs.renew,
      ended: jobs.ended,
      listenersMax: config.jobs.listenersMax,
      feed,
    }),
    close: async () => {
      advisor.close()
      await file.flush()
    },
  }
}

const knownIn = ({ current: { data, programs } }: Pick<Store, 'current'>): KnownNames => {
  const tenants = new Map(Object.entries(mergedSources(mergeSets(data.sets).factSources, undefined).tenantResidency))
  return {
    classes: new Set([...programs.classes].flatMap(([name, { doc }]) => (doc === undefined ? [] : [name]))),
    sites: new Set(programs.bySite.keys()),
    residency: (name) => programs.residencies.get(name)?.allows,
    tenantResidency: (tenant) => tenants.get(tenant),
  }
}

function decideFacts(
  judge: JudgeFacts,
  now: number,
  seed: string,
  facts: AskedFacts,
  { reserve, dispatch, ...how }: HowAsked,
): Decision | undefined {
  try {
    return judge({ requestId: seed, ...facts, seed }, now, decisionId(now, seed), {
      ...how,
      reserve: reserve ? 'always' : 'never',
      dispatch: dispatch || reserve,
    })
  } catch (error) {
    if (error instanceof NotReady) return undefined
    throw error
  }
}

/** `training is delayed: a band of the policy says so for every pool; ams/h100 power.headroom_pct 7 %, wanted >= 15 %`. */
const says = (decision: Decision): string => {
  const { action, reason, because } = decision
  const what = {
    route: () => `goes to ${('target' in decision && decision.target) || 'where it would go without hubward'}`,
    degrade: () => 'would get a smaller model',
    queue: () => 'has to wait',
    delay: () => 'is delayed',
    deny: () => 'is refused',
  }[action]()
  const wait = 'retryAfterMs' in decision && decision.retryAfterMs !== undefined ? decision.retryAfterMs : undefined
  const back = wait === undefined ? '' : `; come back in ${Math.ceil(wait / 1_000)} s`
  const numbers = because.slice(0, 3).map((one) => `; ${one.target} ${becauseText(one)}`)
  return `${decision.class} ${what} (${reason}: ${REASONS[reason]})${numbers.join('')}${back}; decision ${decision.id}`
}
