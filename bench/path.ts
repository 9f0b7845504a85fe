import { systemClock } from '../src/clock.ts'
import { fold } from '../src/engine/fold.ts'
import { type EngineSnapshot, mergeSets } from '../src/engine/programs.ts'
import type { Handlers } from '../src/envoy/handlers.ts'
import { type Journal, openJournal } from '../src/journal/journal.ts'
import { isJobClass } from '../src/journal/sampling.ts'
import { createLog } from '../src/log.ts'
import { shareOf } from '../src/math/choice.ts'
import { createArms } from '../src/measure/arms.ts'
import { createMetrics, type Metrics } from '../src/metrics.ts'
import type { DocumentSet } from '../src/model/documents.ts'
import { compileFacts, type ReadFacts } from '../src/request/facts.ts'
import { signingKeys } from '../src/request/signing-keys.ts'
import { createForecastWatch } from '../src/sidecar/forecast-watch.ts'
import { openGaps } from '../src/sidecar/gaps.ts'
import { countingHandlers } from '../src/sidecar/handlers.ts'
import { createJudge, type Made } from '../src/sidecar/judge.ts'
import { openMeasure } from '../src/sidecar/measure.ts'
import { openJobs } from '../src/sidecar/open-jobs.ts'
import { openRoom } from '../src/sidecar/open-room.ts'
import { recorder } from '../src/sidecar/record.ts'
import { createTally, type LiveTally } from '../src/sidecar/tally.ts'
import { createStore, type Store } from '../src/store.ts'
import { worldOf } from './engine.ts'
import { withLayers } from './layers.ts'

/** The world that requests are decided in, and how much of it is written down. */
export interface PathOptions {
  readonly sites: number
  readonly policies: number
  /** A flag in each layer and so many that steer nothing, from 4 on; fewer: none at all. */
  readonly flags: number
  /** Every site is a candidate of every policy, instead of four that it names. */
  readonly isWide?: boolean
  /** So many more flags that steer the class, each with targeting that does not hold. */
  readonly steering?: number
  /** The share of decisions that the journal keeps, 0 to 1. */
  readonly share: number
  /** Where journal and state are written. */
  readonly folder: string
  /** A cluster behind which every site is, for an Envoy that has no more. */
  readonly cluster?: string
}

/** hubward's request path without feeds and listeners. */
export interface Path {
  readonly handlers: Handlers
  readonly metrics: Metrics
  readonly tally: LiveTally
  readonly store: Store
  readonly journal: Pick<Journal<Made>, 'stats' | 'flush'>
  readonly close: () => Promise<void>
}

/** A path as small as a first installation, with the share of the journal that is the default. */
export const PATH_DEFAULT = { sites: 50, policies: 20, flags: 0, share: 0.01 } as const

/** The snapshot that a path decides on. */
export const pathSnapshot = (options: Omit<PathOptions, 'share' | 'folder'>): EngineSnapshot => {
  const { sites, policies, flags, steering = 0, cluster, isWide } = options
  const world = worldOf(sites, policies, cluster, isWide)
  return flags < 4 ? world : withLayers(world, world.data.at, flags - 4 - steering, steering)
}

/**
 * The request path as `hubward serve` wires it: judge, counters, journal, measuring, gaps, jobs and forecasts. The
 * snapshot stands still, and so does its clock: otherwise everything would be stale after five seconds.
 */
export const openPath = (options: PathOptions): Path => {
  const initial = pathSnapshot(options)
  const system = systemClock()
  const clock = {
    now: () => {
      // Asked as often as it is in earnest: asking is part of what a request costs.
      system.now()
      return initial.data.at
    },
  }
  const stateDir = options.folder
  const metrics = createMetrics()
  const log = createLog('error')
  const bug = (error: unknown, where: string): void => console.error(where, error)
  const store = createStore({ initial, fold, onError: bug })
  const tally = createTally(1)
  const current = () => store.current
  const set = initial.data.sets.bench!
  const sessionKeys = signingKeys([['k1', Buffer.alloc(32, 7)]])
  const factsOf = (set: DocumentSet): ReadFacts =>
    compileFacts([FACT_SOURCES], [{ metadata: { name: 'EU' }, allows: ['EU'] }], { classes: set.classes, sessionKeys })
  let readFacts = factsOf(set)
  store.subscribe((snapshot, _events, change) => {
    if (change.kind === 'documents-accepted') readFacts = factsOf(mergeSets(snapshot.data.sets))
  })
  metrics.know('class', initial.programs.classes.keys())
  metrics.know('target', initial.data.targets)
  const journal = openJournal<Made>({
    ...{ dir: `${stateDir}/journal`, share: options.share, fileBytesMax: 67_108_864, fsync: 'changes' },
    ...{ filesMax: { changes: 2, decisions: 2 }, clock, instance: 'bench', version: '0.0.0' },
    isJob: (name) => isJobClass(name, store.current.programs.classes.get(name)?.doc),
    chance: (requestId) => shareOf(requestId, 'journal'),
    record: recorder([]),
    known: (label) => (label === 'class' ? new Set(store.current.programs.classes.keys()) : undefined),
    onError: (error) => bug(error, 'journal'),
  })
  const common = { stateDir, clock, metrics, log, current, bug }
  const jobs = openJobs({
    config: { stateDir, jobs: { reservationLifeMs: 7_200_000, listenersMax: 64 } },
    ...{ clock, store, tally, metrics, log, told: () => {}, bug },
  })
  const gaps = openGaps(common)
  const measure = openMeasure({
    ...{ ...common, pending: 65_536, cellsMax: 4_096, bytesMax: 33_554_432 },
    ...{ offer: () => {}, arms: createArms() },
  })
  const room = openRoom({ msMax: 10_000, countMax: 1_024, bytesMax: 67_108_864 }, { clock, metrics, tally, bug })
  const judge = createJudge({
    ...{ clock, current, readFacts: () => readFacts, tally, metrics, journal, sessionKeys, hops: undefined },
    admit: jobs.admit,
    room,
    weigh: createForecastWatch({ current, tally, metrics }).weigh,
    onDecided: (facts, decision, key, now, asking) => {
      gaps.decided(facts, decision, key, now)
      measure.decided(facts, decision, asking)
    },
    onPanic: () => {},
    onStale: () => {},
  })
  return {
    handlers: { ...countingHandlers(judge, metrics, bug), accessLog: measure.accessLog },
    ...{ metrics, tally, store, journal },
    close: async () => {
      room.stop()
      await jobs.close()
      await gaps.close()
      await measure.close()
      await journal.close()
    },
  }
}

const FACT_SOURCES = {
  metadata: { name: 'bench' },
  trustedHops: 0,
  trustedPeers: [],
  facts: {
    class: [{ from: 'value', value: 'chat' }],
    tenant: [{ from: 'header', name: 'x-tenant', trusted: true }],
    region: [{ from: 'header', name: 'x-region', trusted: true }],
  },
  residency: [{ from: 'value', value: 'EU' }],
  tenantResidency: {},
  bodyBytesMax: 0,
} as const
