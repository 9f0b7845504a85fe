import type { ClusterName, TargetName } from '../model/names.ts'
import type { Heartbeat, HeartbeatOutcome } from '../model/sample.ts'
import { ClustersReader, type EnvoyCluster, type HostCounts } from './envoy-clusters.ts'
import { errorDetail, failure } from './failure.ts'
import { HttpReader } from './http.ts'
import { placeOf } from './place.ts'
import type { Attempt, Reading, Source } from './poller.ts'
import type { FeedClock } from './time.ts'

/** What the source of Envoy's own view is made from. */
export interface EnvoyAdminOptions {
  readonly name: string
  readonly owner?: string
  /** `127.0.0.1:9901`, or absent where there is a socket. */
  readonly address?: string
  readonly socket?: string
  readonly intervalMs: number
  readonly timeoutMs: number
  readonly backoffMsMax: number
  readonly bodyBytesMax: number
}

/** What it is handed. */
export interface EnvoyAdminParts {
  readonly clock: FeedClock
  /** The target behind a cluster; undefined for clusters that are none of ours. */
  readonly targetOf: (cluster: ClusterName) => TargetName | undefined
}

/** A batch of refused connections counts at most so often: two in a row make a target down. */
const REFUSALS_MAX = 2

/**
 * What Envoy itself knows: which clusters it has, and how its connections to them went. Connections that failed with no
 * success beside them are refusals of real traffic; a success is a sign of life; a cluster whose hosts all fail Envoy's
 * own health check, or that has none, is an error until it is over. Hosts are counted one by one from the second look
 * on, and a count that fell began anew with its Envoy.
 */
export function envoyAdmin(options: EnvoyAdminOptions, { clock, targetOf }: EnvoyAdminParts): Source {
  const { name, owner, address, socket, intervalMs, timeoutMs, backoffMsMax } = options
  const url = `http://${socket === undefined ? address : 'envoy'}/clusters?format=json`
  const place = socket === undefined ? { url } : { url, socketPath: socket }
  const reader = new HttpReader(place, clock, options.bodyBytesMax)
  let shown: string | undefined
  let before: ReadonlyMap<string, EnvoyCluster> | undefined

  const read = async ({ signal }: Attempt): Promise<Reading> => {
    const parser = new ClustersReader()
    const answer = await reader.read(signal, (text) => orRefuse(() => parser.push(text), reader.where))
    const clusters = orRefuse(() => parser.end(), reader.where)
    const now = new Map(clusters.map((cluster) => [cluster.name, cluster]))
    const heartbeats: Heartbeat[] = []
    for (const cluster of clusters) {
      const target = targetOf(cluster.name)
      if (target === undefined) continue
      const beat = { ...placeOf(target), kind: 'passive', at: answer.sentAt, source: name } as const
      for (const seen of before === undefined ? [] : compare(before.get(cluster.name), cluster)) {
        heartbeats.push({ ...beat, ...seen })
      }
    }
    const names = clusters.map((cluster) => cluster.name).sort()
    const listed = names.join('\n')
    const isNew = listed !== shown
    before = now
    shown = listed
    return {
      version: answer.hash,
      samples: [],
      heartbeats,
      ...(isNew ? { clusters: names } : {}),
    }
  }
  return {
    name,
    kind: 'envoy-admin',
    ...(owner === undefined ? {} : { owner }),
    where: socket === undefined ? `http://${address}/clusters` : `unix:${socket}`,
    intervalMs,
    timeoutMs,
    backoffMsMax,
    covers: [],
    delivers: () => [],
    read,
    close: () => reader.close(),
  }
}

interface Seen {
  readonly outcome: HeartbeatOutcome
  readonly detail: string
}

const orRefuse = <T>(read: () => T, where: string): T => {
  try {
    return read()
  } catch (error) {
    throw failure('feed/bad-text', `${where} did not answer with clusters as JSON: ${errorDetail(error)}`, {
      remedy: "check that the address is that of Envoy's admin port",
    })
  }
}

const compare = (before: EnvoyCluster | undefined, now: EnvoyCluster): Seen[] => {
  let failures = 0
  let successes = 0
  for (const [host, counts] of now.counts) {
    const old = before?.counts.get(host)
    // A host that is new to us may carry counts from before we looked; they say nothing of now.
    if (old === undefined) continue
    failures += grown(old, counts, 'connectFailures')
    successes += grown(old, counts, 'successes')
  }
  if (successes > 0) return [{ outcome: 'ok', detail: `${successes} requests answered` }]
  if (failures > 0) {
    const seen = { outcome: 'refused', detail: `${failures} connections failed` } as const
    return Array.from({ length: Math.min(failures, REFUSALS_MAX) }, () => seen)
  }
  if (isOut(now)) {
    const detail = now.hosts === 0 ? 'Envoy has no host for it' : 'all hosts fail the health check of Envoy'
    return [{ outcome: 'error', detail }]
  }
  // The end of it is told once: nobody else may be asking.
  return before !== undefined && isOut(before) ? [{ outcome: 'ok', detail: 'Envoy has healthy hosts again' }] : []
}

const isOut = ({ hosts, hostsFailing }: EnvoyCluster): boolean => hosts === hostsFailing

const grown = (old: HostCounts, now: HostCounts, what: keyof HostCounts): number =>
  now[what] < old[what] ? now[what] : now[what] - old[what]
