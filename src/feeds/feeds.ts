import type { Change } from '../model/change.ts'
import type { SampleRefusal } from '../model/event.ts'
import type { ClusterName, TargetName } from '../model/names.ts'
import type { Sample } from '../model/sample.ts'
import type { SourceStatus } from '../model/source.ts'
import { type EnvoyAdminOptions, envoyAdmin } from './envoy-admin.ts'
import { FeedWarnings } from './feed-warnings.ts'
import { Inbox, type InboxCounts } from './inbox.ts'
import { type PollCounts, Poller, type Reading, type Source } from './poller.ts'
import { type RefusalCount, SampleCheck } from './samples.ts'
import { FEED_DEFAULTS } from './schemas.ts'
import { SeriesCheck } from './series-check.ts'
import { type FeedConfig, feedSources } from './table.ts'
import type { FeedClock, Timer } from './time.ts'

/** Where Envoy's admin port is, as it is configured: an address or a socket. */
export type EnvoyAdminConfig = Partial<Omit<EnvoyAdminOptions, 'address' | 'socket'>> &
  ({ readonly address: string } | { readonly socket: string })

/** What the feeds are handed. */
export interface FeedsEdges {
  readonly clock: FeedClock
  readonly timer?: Timer
  /** The store's apply. */
  readonly apply: (change: Extract<Change, { kind: 'samples-arrived' | 'clusters-known' }>) => void
  /** Our own count of requests sent to a target: the tally's. */
  readonly dispatched: (target: TargetName) => number
  /** The target behind an Envoy cluster, by the documents in force. */
  readonly targetOf: (cluster: ClusterName) => TargetName | undefined
  /** A source began to fail, or to succeed again: for the log. */
  readonly turned?: (status: SourceStatus, failing: boolean) => void
  /** A sample was refused at the edge: for the counters. */
  readonly refused?: (source: string, why: SampleRefusal) => void
  /** A mistake of ours, with its stack: for the log. */
  readonly bug?: (error: unknown, source: string) => void
}

/** Counts of everything, read when they are scraped. */
export interface FeedCounts {
  readonly sources: readonly { readonly name: string; readonly kind: string; readonly counts: Readonly<PollCounts> }[]
  readonly refusals: readonly RefusalCount[]
  readonly inbox: Readonly<InboxCounts>
}

/** All feeds of a sidecar. */
export interface Feeds {
  start(): void
  /** Ends every attempt, hands over what waits, and resolves once nothing runs any more. */
  stop(): Promise<void>
  statuses(): SourceStatus[]
  counts(): FeedCounts
  /** Takes samples that nobody was asked for: what is measured here. */
  offer(samples: readonly Sample[]): void
  /** Asks one source, or all, without waiting for the interval. */
  poke(source?: string): void
}

/** The feeds of a configuration, not yet started. Entries must have passed their schemas and checkFeeds. */
export function openFeeds(feeds: readonly FeedConfig[], admin: EnvoyAdminConfig | undefined, edges: FeedsEdges): Feeds {
  const { clock, timer, apply, turned, bug } = edges
  const check = new SampleCheck(edges.refused)
  const warnings = new FeedWarnings()
  const seriesCheck = new SeriesCheck((source, why, { signal, site, pool, intervals, issuedAt }) => {
    const place = pool === undefined ? { site } : { site, pool }
    const sample = { signal, ...place, value: intervals[0]?.value ?? Number.NaN, at: issuedAt, source }
    check.refuse(source, why, { sample, at: clock.now() })
  })
  const inbox = new Inbox({
    clock,
    ...(timer === undefined ? {} : { timer }),
    apply,
    bug: (error) => bug?.(error, 'inbox'),
  })
  const accept = (reading: Reading, source: Source) => {
    const at = clock.now()
    if (reading.clusters !== undefined) apply({ kind: 'clusters-known', at, clusters: reading.clusters })
    const samples = check.pass(reading.samples, at)
    warnings.note(source.name, samples, at)
    inbox.offer(samples, reading.heartbeats, seriesCheck.pass(reading.series ?? []))
  }
  const sources: Source[] = feeds.flatMap((feed) => feedSources(feed, edges))
  if (admin !== undefined) sources.push(envoyAdmin({ ...FEED_DEFAULTS['envoy-admin'], name: 'envoy', ...admin }, edges))
  const pollers = sources.map(
    (source) =>
      new Poller(source, {
        clock,
        accept,
        ...(timer === undefined ? {} : { timer }),
        ...(turned === undefined ? {} : { turned }),
        ...(bug === undefined ? {} : { bug }),
      }),
  )
  return {
    start: () => {
      for (const poller of pollers) poller.start()
    },
    stop: async () => {
      await Promise.all(pollers.map((poller) => poller.stop()))
      inbox.stop()
    },
    statuses: () => {
      const now = clock.now()
      const refusals = Map.groupBy(check.refusals(), ({ source }) => source)
      return pollers.map((poller) => warnings.added(poller.status(), refusals.get(poller.source.name) ?? [], now))
    },
    counts: () => ({
      sources: pollers.map(({ source: { name, kind }, counts }) => ({ name, kind, counts: { ...counts } })),
      refusals: check.refusals(),
      inbox: { ...inbox.counts },
    }),
    offer: (samples) => inbox.offer(check.pass(samples, clock.now())),
    poke: (source) => {
      for (const poller of pollers) if (source === undefined || poller.source.name === source) poller.poke()
    },
  }
}
