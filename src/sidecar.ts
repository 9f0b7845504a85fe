import { randomBytes } from 'node:crypto'
import { startAdmin } from './admin/server.ts'
import { systemClock } from './clock.ts'
import type { Config } from './config.ts'
import { compileCondition } from './documents/conditions.ts'
import { noiseProblems } from './documents/thresholds.ts'
import { emptySnapshot } from './engine/fold.ts'
import { noiseOf } from './engine/noise.ts'
import { mergeSets } from './engine/programs.ts'
import { ENGINE_VERSION } from './engine/version.ts'
import { type EnvoyServer, startEnvoyServer } from './envoy/grpc-server.ts'
import { handlersOf } from './envoy/serving.ts'
import { openFeeds } from './feeds/feeds.ts'
import { createFlagCompiler } from './flags/compile-flag.ts'
import { openJournal } from './journal/journal.ts'
import { isJobClass } from './journal/sampling.ts'
import { type Log, transitions } from './log.ts'
import { shareOf } from './math/choice.ts'
import { createMetrics } from './metrics.ts'
import type { Change } from './model/change.ts'
import type { Decision } from './model/decision.ts'
import type { Event } from './model/event.ts'
import type { Facts } from './model/facts.ts'
import { problemText } from './model/problem.ts'
import { openGeo } from './request/geo.ts'
import { clustersKnown } from './sidecar/clusters-known.ts'
import { createEstimates } from './sidecar/estimates.ts'
import { countEvent, logEvent } from './sidecar/events.ts'
import { openFlags } from './sidecar/flags.ts'
import { createForecastWatch } from './sidecar/forecast-watch.ts'
import { openGaps } from './sidecar/gaps.ts'
import { countingHandlers } from './sidecar/handlers.ts'
import { type Asking, createFactsJudge, createJudge, type Made } from './sidecar/judge.ts'
import { keysIn, sessionKeys } from './sidecar/keys.ts'
import { openMeasure } from './sidecar/measure.ts'
import { observe } from './sidecar/observe.ts'
import { openJobs } from './sidecar/open-jobs.ts'
import { openRoom } from './sidecar/open-room.ts'
import { movedShare, openProcesses, shareOfHold } from './sidecar/processes/processes.ts'
import { readinessPage } from './sidecar/readiness-view.ts'
import { createReading } from './sidecar/reading.ts'
import { recorder } from './sidecar/record.ts'
import { openRollouts } from './sidecar/rollouts.ts'
import { createSessionMoves } from './sidecar/session-moves.ts'
import { siteReady } from './sidecar/site-ready.ts'
import { openSources } from './sidecar/sources.ts'
import { type StartWatch, starting } from './sidecar/starting.ts'
import { createTally } from './sidecar/tally.ts'
import { timedFold } from './sidecar/timed-fold.ts'
import { warmUp } from './sidecar/warm-up.ts'
import { createStore } from './store.ts'

/** A running hubward. */
export interface Sidecar {
  /** What Envoy is served on, `unix:/path` or `host:port`. */
  readonly addresses: readonly string[]
  readonly adminUrl: string
  /** Keeps answering until Envoy has gone or the configured time is over, then ends everything. */
  readonly stop: () => Promise<void>
  /** Writes the journal out and nothing else, for a process that must not go on. */
  readonly abandon: () => Promise<void>
}

/** How often time passes for the snapshot. */
const TICK_MS = 1_000

/**
 * Starts hubward: plain calls, in the order in which one thing needs another. Rejects, with nothing left running, if it
 * can't listen; documents that can't be used are no reason, they are told and waited for.
 */
export const startSidecar = async (
  config: Config,
  log: Log,
  version: string,
  watch: StartWatch = {},
): Promise<Sidecar> => {
  const { step, wait, finish } = starting(watch)
  const clock = systemClock()
  const metrics = createMetrics({ process: true })
  const say = transitions()
  const bug = (error: unknown, where: string): void => {
    metrics.add('hubward_internal_errors_total', 1, where)
    say(`bug ${where}`, String(error), () => log.error({ err: error, where }, `a mistake of ours in ${where}`))
  }
  const session = sessionKeys(config.keys.sessionFile, config.stateDir, log)
  const hops =
    config.hops && config.keys.hopFile !== undefined
      ? { keys: keysIn(config.keys.hopFile), instance: config.instance }
      : undefined
  const forceKeys = config.keys.forceFile === undefined ? undefined : keysIn(config.keys.forceFile)
  const geo = await openGeo({
    ...config.geo,
    onProblem: (problem) => say(`geo ${problem.path}`, problem.message, () => log.warn(problemText(problem))),
  })

  // The one variable, and what hears of its changes.
  const compiler = createFlagCompiler({ fractionalVersion: config.fractionalVersion })
  const store = createStore({
    initial: emptySnapshot(compileCondition, compiler.compile),
    fold: timedFold(metrics),
    onError: (error, where) => bug(error, where),
  })
  const tally = createTally(config.sidecars)
  const reading = createReading(
    {
      geo: geo.lookup,
      sessionKeys: session,
      ...(hops === undefined ? {} : { hops }),
      ...(forceKeys === undefined ? {} : { forceKeys }),
    },
    metrics,
  )
  let targetOfCluster: ReadonlyMap<string, string> = new Map()
  const recordKey = randomBytes(32)
  const journal = openJournal<Made>({
    ...config.journal,
    movedPerSecond: movedShare(config),
    clock,
    instance: config.instance,
    version,
    isJob: (name) => isJobClass(name, store.current.programs.classes.get(name)?.doc),
    chance: (requestId) => shareOf(requestId, 'journal'),
    record: recorder(config.journal.hide, recordKey),
    known: (label) => (label === 'class' ? reading.classNames() : undefined),
    onState: (stream, failing, detail) =>
      log[failing ? 'error' : 'info'](
        { stream },
        failing ? `the journal of ${stream} can't be written: ${detail}` : `the journal of ${stream} is written again`,
      ),
    onError: (error) => bug(error, 'journal'),
  })
  const abandon = (): Promise<void> => journal.close()
  watch.opened?.(abandon)
  let admin: Awaited<ReturnType<typeof startAdmin>> | undefined
  const told = (event: Event): void => {
    // Refused samples can come with every scrape: they are counted, and the first of a kind is in the log.
    if (event.kind !== 'samples-refused') journal.event(event)
    countEvent(metrics, event)
    logEvent(log, event, say)
  }
  const moves = createSessionMoves(told)
  const jobs = openJobs({ config, clock, store, tally, metrics, log, told, bug })
  store.subscribe((snapshot, events, change) => {
    if (change.kind === 'documents-accepted') {
      reading.learn(snapshot)
      targetOfCluster = new Map(snapshot.programs.targets.map((target) => [target.cluster, target.name]))
    }
    if (change.kind === 'overrides-accepted') metrics.add('hubward_source_changes_total', 1, change.source, 'accepted')
    for (const event of events) told(event)
    jobs.changed(change, events)
    if (change.kind === 'documents-accepted' || change.kind === 'documents-refused') sources.lookAgain(change.source)
    admin?.changed()
  })
  const gaps = openGaps({ stateDir: config.stateDir, clock, metrics, log, current: () => store.current, bug })
  const rollouts = openRollouts({ stateDir: config.stateDir, store, clock, metrics, log })
  const estimates = createEstimates()
  const forecasts = createForecastWatch({ current: () => store.current, tally, metrics })
  store.subscribe((snapshot, _events, change) => {
    gaps.changed(snapshot, change)
    if (change.kind !== 'time-passed') return
    estimates.look(snapshot, change.at)
    forecasts.look(change.at)
  })
  const apply = (change: Change): void => store.apply(change)

  const feeds = openFeeds(config.feeds, config.envoyAdmin, {
    clock,
    apply,
    dispatched: (target) => tally.dispatched[target] ?? 0,
    targetOf: (cluster) => targetOfCluster.get(cluster),
    turned: (status, failing) =>
      log[failing ? 'warn' : 'info'](
        { source: status.name, owner: status.owner },
        failing ? `${status.name} fails: ${status.refusal[0]?.message ?? 'no answer'}` : `${status.name} answers again`,
      ),
    refused: (source, why) => {
      metrics.add('hubward_samples_refused_total', 1, why, source)
      // The first of a kind; which sensor, and with what, is told by /sources.
      say(`samples ${source} ${why}`, 'refused', () => log.warn({ source, why }, 'samples refused'))
    },
    bug: (error, source) => bug(error, `feed ${source}`),
  })
  const sources = openSources(config, {
    now: clock.now,
    apply,
    data: () => store.current.data,
    feeds: () => feeds.statuses(),
    log,
  })
  const measure = openMeasure({
    ...config.measure,
    ...{ stateDir: config.stateDir, clock, metrics, log, current: () => store.current },
    ...{ offer: (samples) => feeds.offer(samples), arms: rollouts.arms, bug },
  })
  const flags = openFlags(config, {
    now: clock.now,
    apply,
    current: () => store.current,
    compiler,
    metrics,
    log,
    version,
  })
  store.subscribe((_snapshot, _events, change) => flags.changed(change))
  const statuses = () => [...sources.statuses(), ...flags.statuses(), ...feeds.statuses(), measure.status()]

  // The request path.
  const room = openRoom(shareOfHold(config.hold, config.processes, 0), { clock, metrics, tally, bug })
  store.subscribe(() => room.wake())
  const judgeParts = {
    clock,
    current: () => store.current,
    readFacts: reading.readFacts,
    tally,
    metrics,
    journal,
    sessionKeys: session,
    hops,
    admit: jobs.admit,
    onMoved: moves.moved,
    onDecided: (facts: Facts, decision: Decision, key: string | undefined, now: number, asking: Asking) => {
      gaps.decided(facts, decision, key, now)
      measure.decided(facts, decision, asking)
    },
    weigh: forecasts.weigh,
    ...(config.hold.msMax > 0 ? { room } : {}),
    onStale: (name: string) =>
      say(`stale ${name}`, 'stale', () =>
        log.error({ class: name }, 'required signals are stale: the class is served as its whenStale says'),
      ),
    onPanic: (name: string) =>
      say(`panic ${name}`, 'panic', () =>
        log.error(
          { class: name },
          'everything looks down on our own evidence alone: requests go by the last good order',
        ),
      ),
  }
  const factsJudge = createFactsJudge(judgeParts)
  const jobsView = jobs.view(factsJudge)
  const judge = createJudge(judgeParts)
  const handlers = countingHandlers(judge, metrics, bug)
  const processes = openProcesses({
    ...{ config, metrics, log, now: clock.now, data: () => store.current.data, tally, journal, recordKey, bug },
    keys: {
      session,
      ...(hops === undefined ? {} : { hop: hops.keys }),
      ...(forceKeys === undefined ? {} : { force: forceKeys }),
    },
    handlers: () => handlers,
    uncounted: handlersOf({ judge, failed: handlers.failed }).process,
    isKnown: measure.isKnown,
    measured: measure.decided,
    turnedAway: (facts, decision, now) => gaps.decided(facts, decision, undefined, now),
    moved: moves.moved,
    onPanic: judgeParts.onPanic,
    onStale: judgeParts.onStale,
    accessLog: measure.accessLog,
  })
  store.subscribe((_snapshot, _events, change) => processes.changed(change))
  let stage: 'starting' | 'waiting for documents' | 'serving' | 'stopping' = 'starting'
  let server: EnvoyServer | undefined
  observe(metrics, {
    current: () => store.current,
    data: () => store.current.data,
    now: clock.now,
    tally: {
      ...tally,
      get held() {
        return processes.held(tally.held)
      },
    },
    sources: statuses,
    feeds: () => feeds,
    journal,
    active: () => (server?.active() ?? 0) + processes.active(),
    room: () => ({ bytes: room.bytes + processes.heldBytes() }),
    streams: () => admin?.streams() ?? 0,
    ready: () => stage === 'serving',
    version,
    engine: ENGINE_VERSION,
    instance: config.instance,
  })
  metrics.read('hubward_flag_streams', () => [
    [['ofrep'], admin?.flagStreams() ?? 0],
    [['flagd.sync'], flags.followers()],
  ])
  let ticks: NodeJS.Timeout | undefined
  const endAll = async (): Promise<void> => {
    stage = 'stopping'
    clearInterval(ticks)
    moves.tell(clock.now())
    room.stop()
    processes.close()
    server?.close()
    await admin?.close()
    await Promise.all([feeds.stop(), sources.stop(), flags.stop()])
    geo.close()
    await jobs.close()
    await gaps.close()
    await measure.close()
    await rollouts.close()
    await journal.close()
    metrics.close()
  }

  // The order of the start: operators can look from the beginning; then orders and documents, with the last good ones
  // from disk where a folder is bad; then the path is warmed, and only then Envoy is told to come.
  try {
    admin = await startAdmin(
      { ...config.admin, origins: config.openfeature.origins },
      {
        version,
        instance: config.instance,
        now: clock.now,
        data: () => store.current.data,
        sources: statuses,
        ready: () => ({ ready: stage === 'serving', because: stage === 'serving' ? [] : [stage] }),
        siteReady: (site, className) => siteReady(store.current, tally, site, className, clock.now()),
        metrics,
        jobs: jobsView,
        flags: flags.view(factsJudge, jobsView.known),
        planner: {
          readiness: (asked) => readinessPage(store.current, asked, clock.now()),
          estimates: () => estimates.list(clock.now()),
          noisy: () => noiseProblems(mergeSets(store.current.data.sets), noiseOf(store.current.data)),
          gaps: gaps.report,
        },
        rollouts: rollouts.view,
        measure: measure.view,
      },
      { onError: (error) => bug(error, 'admin'), onProblem: (problem) => log.warn(problemText(problem)) },
    )
    watch.signal?.throwIfAborted()
    rollouts.restore()
    await wait(sources.start())
    await wait(flags.start())
    await step(flags.serve())
    feeds.start()
    ticks = setInterval(() => {
      apply({ kind: 'time-passed', at: clock.now() })
      measure.pass(clock.now())
      rollouts.tick(clock.now())
      moves.tell(clock.now())
      processes.tick()
    }, TICK_MS)
    const hasDocuments = (): boolean => store.current.data.documentsVersion > 0
    // Until Envoy has said which clusters it has, all would be taken to exist.
    if (config.envoyAdmin !== undefined) await wait(clustersKnown(store, log))
    else log.info('envoyAdmin is not configured: whether Envoy has the clusters of the documents is not checked')
    jobs.restore()
    if (hasDocuments()) await step(warmUp(judgeParts, bug, config.transport))
    server = await startEnvoyServer(
      config.listeners,
      { ...handlers, accessLog: processes.accessLog },
      (error) => say('tls', error.message, () => log.warn(error.message)),
      config.transport,
    )
    const serve = (): void => {
      if (stage === 'stopping') return
      stage = 'serving'
      server?.setServing(true)
      processes.serve()
      log.info(
        { listeners: [...(server?.addresses ?? []), ...processes.addresses()], admin: admin?.url, version },
        'hubward serves',
      )
    }
    if (hasDocuments()) serve()
    else {
      stage = 'waiting for documents'
      log.error({ admin: admin.url }, 'no source has documents that can be used: requests get what their routes say')
      const unsubscribe = store.subscribe(() => {
        if (!hasDocuments()) return
        unsubscribe()
        warmUp(judgeParts, bug, config.transport).then(serve, (error: unknown) => bug(error, 'warm-up'))
      })
    }
    // Requests are served by now: the others join when they are warm.
    await finish(processes.start())
  } catch (error) {
    await endAll()
    throw error
  }
  return {
    addresses: [...server.addresses, ...processes.addresses()],
    adminUrl: admin.url,
    stop: async () => {
      if (stage === 'stopping') return
      stage = 'stopping'
      log.info({ drainMs: config.drainMs }, 'stopping: answering until Envoy has gone')
      // Who waits is told what comes next while Envoy is still there to hear it.
      room.stop()
      const [how] = await Promise.all([server?.drain({ forMs: config.drainMs }), processes.drain(config.drainMs)])
      await endAll()
      log.info({ envoy: how }, 'stopped')
    },
    abandon,
  }
}
