import type { EngineSnapshot } from '../engine/programs.ts'
import type { Feeds } from '../feeds/feeds.ts'
import type { Journal } from '../journal/journal.ts'
import { STREAMS } from '../journal/lines.ts'
import type { Metrics } from '../metrics.ts'
import { ACTIONS } from '../model/action.ts'
import type { EpochMs } from '../model/names.ts'
import { REASONS } from '../model/reason.ts'
import type { SnapshotData } from '../model/snapshot.ts'
import type { SourceStatus } from '../model/source.ts'
import type { Tally } from '../model/tally.ts'
import type { HoldingRoom } from './hold.ts'
import { readinessSeries, staleSeries } from './readiness-view.ts'

/** What is read at every scrape. */
export interface Observed {
  readonly current: () => EngineSnapshot
  readonly data: () => SnapshotData
  readonly now: () => EpochMs
  readonly tally: Tally
  readonly sources: () => readonly SourceStatus[]
  readonly feeds: () => Feeds | undefined
  readonly journal: Pick<Journal<never>, 'stats'>
  readonly active: () => number
  readonly room: () => Pick<HoldingRoom, 'bytes'>
  readonly streams: () => number
  readonly ready: () => boolean
  readonly version: string
  readonly engine: string
  readonly instance: string
}

/** Has everything that is counted elsewhere read at every scrape. */
export function observe(metrics: Metrics, observed: Observed): void {
  const { data, now } = observed
  const seconds = (ms: number): number => Math.max(0, ms) / 1_000
  metrics.know('action', ACTIONS)
  metrics.know('reason', Object.keys(REASONS))
  metrics.read('hubward_dispatches_total', () =>
    Object.entries(observed.tally.dispatched).map(([name, n]) => [[name], n]),
  )
  metrics.read('hubward_held_bytes', () => [[[], observed.room().bytes]])
  metrics.read('hubward_held', () => Object.entries(observed.tally.held).map(([name, n]) => [[name], n]))
  metrics.read('hubward_snapshot_revision_total', () => [[[], data().revision]])
  metrics.read('hubward_documents_version', () => [[[], data().documentsVersion]])
  metrics.read('hubward_overrides_in_force', () => [[[], data().inForce.length]])
  metrics.read('hubward_routing_enabled', () => [
    [[], Object.values(data().overrideSets).some((set) => set.routing?.enabled === false) ? 0 : 1],
  ])
  metrics.read('hubward_clusters_known', () => [[[], data().clusters?.length ?? -1]])
  metrics.read('hubward_target_state', () =>
    data().targets.map((target, index) => [[target, data().health[index]?.state ?? 'ready'], 1]),
  )
  metrics.read('hubward_readiness', () => readinessSeries(observed.current(), now()))
  metrics.read('hubward_required_signal_stale', () => staleSeries(observed.current(), observed.sources(), now()))
  metrics.read('hubward_source_info', () =>
    observed.sources().map(({ name, kind, owner = '' }) => [[name, kind, owner], 1]),
  )
  metrics.read('hubward_signal_age_max_seconds', () =>
    Object.entries(data().columns).flatMap(([signal, column]) => {
      const measured = column.at.filter((at) => at > 0)
      return measured.length === 0 ? [] : [[[signal], seconds(now() - measured.reduce((a, b) => Math.min(a, b)))]]
    }),
  )
  metrics.read('hubward_source_last_accepted_age_seconds', () =>
    observed
      .sources()
      .flatMap(({ name, lastAcceptedAt }) =>
        lastAcceptedAt === null ? [] : [[[name], seconds(now() - lastAcceptedAt)]],
      ),
  )
  metrics.read('hubward_source_failures', () =>
    observed.sources().map(({ name, failuresInARow }) => [[name], failuresInARow]),
  )
  metrics.read('hubward_source_clock_skew_seconds', () =>
    observed
      .sources()
      .flatMap(({ name, clockSkewMs }) => (clockSkewMs === undefined ? [] : [[[name], clockSkewMs / 1_000]])),
  )
  metrics.read('hubward_feed_attempts_total', () =>
    (observed.feeds()?.counts().sources ?? []).flatMap(({ name, counts }) => [
      [[name, 'accepted'], counts.accepted],
      [[name, 'refused'], counts.refused],
    ]),
  )
  metrics.read('hubward_inbox_dropped_total', () => {
    const inbox = observed.feeds()?.counts().inbox
    return [
      [['samples'], inbox?.samplesDropped ?? 0],
      [['heartbeats'], inbox?.heartbeatsDropped ?? 0],
      [['series'], inbox?.seriesDropped ?? 0],
    ]
  })
  metrics.read('hubward_journal_records_total', () => {
    const { changes, decisions, sampledOut } = observed.journal.stats()
    return [
      [['changes', 'written'], changes.written],
      [['changes', 'dropped'], changes.dropped],
      [['decisions', 'written'], decisions.written],
      [['decisions', 'dropped'], decisions.dropped],
      [['decisions', 'sampled-out'], sampledOut],
    ]
  })
  metrics.read('hubward_journal_failing', () =>
    STREAMS.map((name) => [[name], observed.journal.stats()[name].failing ? 1 : 0]),
  )
  metrics.read('hubward_journal_waiting_bytes', () =>
    STREAMS.map((name) => [[name], observed.journal.stats()[name].waitingBytes]),
  )
  metrics.read('hubward_job_streams', () => [[[], observed.streams()]])
  metrics.read('hubward_active_calls', () => [[[], observed.active()]])
  metrics.read('hubward_ready', () => [[[], observed.ready() ? 1 : 0]])
  metrics.read('hubward_build_info', () => [[[observed.version, observed.engine, observed.instance], 1]])
}
