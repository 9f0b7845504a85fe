import type { TargetName } from '../model/names.ts'
import type { Problem } from '../model/problem.ts'
import type { Sample } from '../model/sample.ts'
import type { HttpAccess } from './credentials.ts'
import { type EngineName, engineOf, engineSignals } from './engines.ts'
import { FeedFailure, feedProblem } from './failure.ts'
import { HttpReader } from './http.ts'
import { type Measured, MODELS_MAX, ModelWindows } from './model-windows.ts'
import { placeOf, withPath } from './place.ts'
import type { Attempt, Reading, Source } from './poller.ts'
import { Replica, type ReplicaState } from './replica.ts'
import { SkewEstimate } from './skew.ts'
import type { FeedClock } from './time.ts'

/** What a model-server source is made from. */
export interface ModelServerOptions extends HttpAccess {
  readonly name: string
  readonly owner?: string
  readonly target: TargetName
  /** The replicas behind the target's cluster; an address without a path gets that of the engine's metrics. */
  readonly urls: readonly string[]
  /** Absent: found out from the names of the metrics. */
  readonly engine?: EngineName
  readonly intervalMs: number
  readonly timeoutMs: number
  readonly backoffMsMax: number
  readonly bodyBytesMax: number
  /** Equal answers in a row that are a lie while work goes on; 0: never. */
  readonly frozenAfter: number
}

/** What a model-server source is handed. */
export interface ModelServerParts {
  readonly clock: FeedClock
  /** Our own count of requests sent to a target. */
  readonly dispatched: (target: TargetName) => number
}

/**
 * The metrics of one pool's model servers as samples. Replicas and data-parallel ranks are one pool: waiting and running
 * requests are added up; use of the key-value cache is the fullest rank's inside a replica, for a request cannot choose
 * its rank, and the mean over replicas, for Envoy spreads requests over them; histograms are added up bucket by bucket.
 * While some replicas answer and others don't, the pool is what answers, and the source says so. A scrape that fails is
 * no sign of death: it only lets the samples age.
 */
export function modelServer(options: ModelServerOptions, { clock, dispatched }: ModelServerParts): Source {
  const { name, target, urls, owner, intervalMs, timeoutMs, backoffMsMax } = options
  const path = engineOf(options.engine ?? 'vllm').path
  const readers = urls.map((url) => {
    const place = { ...options, url: withPath(url, path) }
    return new HttpReader(place, clock, options.bodyBytesMax)
  })
  const replicas = readers.map((reader) => new Replica(reader, options.engine, options.frozenAfter))
  const windows = new ModelWindows()
  const skew = new SkewEstimate()
  let engine = options.engine

  const read = async ({ signal }: Attempt): Promise<Reading> => {
    // Noted as the scrape is sent: what we send to the target from now on is not in the answer.
    const dispatchedBefore = dispatched(target)
    const ours = replicas.length === 1 ? dispatchedBefore : undefined
    const ends = await Promise.allSettled(replicas.map((replica) => replica.scrape(signal, windows, ours)))
    const states = ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []))
    const problems = ends.flatMap((end) => (end.status === 'fulfilled' ? [] : problemsOf(end.reason)))
    if (states.length === 0) throw new FeedFailure(problems)
    for (const { answer } of states) skew.learn(answer.sentAt, answer.receivedAt, answer.dateMs)
    engine = options.engine ?? states[0]!.engine
    const now = Math.max(...states.map(({ answer }) => answer.sentAt))
    // Times that the exposition gives are by the server's clock.
    const at = Math.min(now, ...states.map((state) => state.at - (state.isStamped ? skew.certainMs : 0)))
    const recent = windows.measured(now)
    const isRecent = new Set(recent.map(({ signal }) => signal))
    const measured = [
      ...gauges(states)
        .filter(({ signal }) => !isRecent.has(signal))
        .map((one) => ({ ...one, at })),
      ...recent.map((one) => ({ ...one, at: now })),
    ]
    return {
      version: versionOf(states),
      samples: measured.map((one): Sample => ({ ...one, ...placeOf(target), source: name, dispatchedBefore })),
      heartbeats: [],
      warnings: warningsOf(states, problems, replicas.length, windows),
      ...(skew.ms === undefined ? {} : { clockSkewMs: skew.ms }),
    }
  }
  return {
    name,
    kind: 'model-server',
    ...(owner === undefined ? {} : { owner }),
    where: readers.length === 1 ? readers[0]!.where : `${readers[0]!.where} and ${readers.length - 1} more`,
    intervalMs,
    timeoutMs,
    backoffMsMax,
    covers: [target],
    delivers: () => engineSignals(engine),
    read,
    close: async () => {
      await Promise.all(readers.map((reader) => reader.close()))
    },
  }
}

const gauges = (states: readonly ReplicaState[]): Measured[] => {
  const values = (key: 'queued' | 'running' | 'kvUsed' | 'cacheRatio') =>
    states.flatMap((state) => (state[key] === undefined ? [] : [state[key]]))
  const sum = (all: readonly number[]) => all.reduce((a, b) => a + b, 0)
  const rows: [string, readonly number[], (all: readonly number[]) => number][] = [
    ['queue.depth', values('queued'), sum],
    ['queue.running', values('running'), sum],
    ['kv.used_ratio', values('kvUsed'), (all) => sum(all) / all.length],
    ['cache.hit_ratio', values('cacheRatio'), (all) => sum(all) / all.length],
    [
      'cache.warm',
      states.flatMap(({ cacheWarm }) => (cacheWarm === undefined ? [] : [Number(cacheWarm)])),
      (all) => Math.max(...all),
    ],
    ['replica.warm', states.map(({ warm }) => Number(warm)), (all) => Math.max(...all)],
  ]
  return rows.flatMap(([signal, all, of]) => (all.length === 0 ? [] : [{ signal, value: of(all) }]))
}

const versionOf = (states: readonly ReplicaState[]): string =>
  states.length === 1 ? states[0]!.hash : `${states[0]!.hash}+${states.length - 1}`

const problemsOf = (reason: unknown): readonly Problem[] => {
  // Only what the network did is a problem; a mistake of ours goes on to the poller.
  if (reason instanceof FeedFailure) return reason.problems
  throw reason
}

const warningsOf = (
  states: readonly ReplicaState[],
  problems: readonly Problem[],
  replicas: number,
  windows: ModelWindows,
): Problem[] => {
  const warning = (code: Parameters<typeof feedProblem>[0], message: string) =>
    feedProblem(code, message, { severity: 'warning' })
  const bad = states.reduce((sum, state) => sum + state.bad, 0)
  return [
    ...problems.map((problem): Problem => ({ ...problem, severity: 'warning' })),
    ...(states.length < replicas
      ? [warning('feed/partial', `${replicas - states.length} of ${replicas} replicas gave no metrics`)]
      : []),
    ...(bad === 0 ? [] : [warning('feed/bad-histogram', `${bad} counters or histograms could not be believed`)]),
    ...(windows.tooManyModels
      ? [warning('feed/too-many-models', `more than ${MODELS_MAX} models; the rest only count for the pool`)]
      : []),
  ]
}
