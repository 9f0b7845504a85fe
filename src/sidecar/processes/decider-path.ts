import { systemClock } from '../../clock.ts'
import { compileCondition } from '../../documents/conditions.ts'
import { hashesInForce } from '../../engine/flag-programs.ts'
import { fold, recompile } from '../../engine/fold.ts'
import type { Handlers } from '../../envoy/handlers.ts'
import { createFlagCompiler } from '../../flags/compile-flag.ts'
import { isJobClass } from '../../journal/sampling.ts'
import { type Log, transitions } from '../../log.ts'
import { shareOf } from '../../math/choice.ts'
import { ACTIONS } from '../../model/action.ts'
import { problemText } from '../../model/problem.ts'
import { REASONS } from '../../model/reason.ts'
import type { ReadFacts } from '../../request/facts.ts'
import { openGeo } from '../../request/geo.ts'
import { createStore } from '../../store.ts'
import { createForecastWatch } from '../forecast-watch.ts'
import { countingHandlers } from '../handlers.ts'
import { reservesFor } from '../jobs.ts'
import { createJudge, type JudgeParts } from '../judge.ts'
import { openRoom } from '../open-room.ts'
import { createReading } from '../reading.ts'
import { recorder } from '../record.ts'
import { warmUp } from '../warm-up.ts'
import { createApplying, type FeedFrame } from './applying.ts'
import { type Channel, type FrameName, frameOf } from './frames.ts'
import { createHandedJournal } from './handed-journal.ts'
import { createHandedMetrics } from './handed-metrics.ts'
import { createHandover } from './handover.ts'
import { type Begin, type Check, keysOf, type Told } from './messages.ts'
import { MainDecides, relaying } from './relay.ts'
import { type Counts, createSharedTally } from './shared-tally.ts'

/** The request path of a decider. */
export interface DeciderPath {
  readonly handlers: Handlers
  readonly took: (name: FrameName, payload: Buffer) => void
  /** Runs the path on requests of our own, once, as soon as there are documents. */
  readonly warm: () => Promise<void>
  readonly tell: () => void
  readonly flush: () => void
  /** Answers those that wait, and lets nobody wait any more. */
  readonly stopHolding: () => void
}

/** What the path is opened with, beside what the main process sends. */
export interface PathParts {
  readonly channel: Channel
  readonly log: Log
  readonly state: () => Pick<Told, 'active' | 'loopDelayMs'>
}

/** Opens the path on the snapshot of the main process. The same parts as there, wired to the channel instead of files. */
export async function createPath(begin: Begin, { channel, log, state }: PathParts): Promise<DeciderPath> {
  const { config, keys } = begin
  const clock = systemClock()
  const metrics = createHandedMetrics()
  const say = transitions()
  const bug = (error: unknown, where: string): void => {
    metrics.add('hubward_internal_errors_total', 1, where)
    say(`bug ${where}`, String(error), () => log.error({ err: error, where }, `a mistake of ours in ${where}`))
  }
  const sessionKeys = keysOf(keys.session)
  const hops = keys.hop === undefined ? undefined : { keys: keysOf(keys.hop), instance: config.instance }
  const geo = await openGeo({
    ...config.geo,
    onProblem: (problem) => say(`geo ${problem.path}`, problem.message, () => log.warn(problemText(problem))),
  })
  const reading = createReading(
    {
      ...{ geo: geo.lookup, sessionKeys },
      ...(hops === undefined ? {} : { hops }),
      ...(keys.force === undefined ? {} : { forceKeys: keysOf(keys.force) }),
    },
    metrics,
  )
  metrics.know('action', ACTIONS)
  metrics.know('reason', Object.keys(REASONS))
  const compiler = createFlagCompiler({ fractionalVersion: config.fractionalVersion })
  const store = createStore({
    initial: recompile(begin.data, compileCondition, compiler.compile),
    fold,
    onError: bug,
  })
  reading.learn(store.current)
  const shared = createSharedTally(config.sidecars, begin.tally)
  const { tally } = shared
  const journal = createHandedJournal({
    share: config.journal.share,
    movedPerSecond: config.journal.movedPerSecond,
    isJob: (name) => isJobClass(name, store.current.programs.classes.get(name)?.doc),
    chance: (requestId) => shareOf(requestId, 'journal'),
    record: recorder(config.journal.hide, Buffer.from(begin.recordKey, 'base64')),
    classNames: reading.classNames,
    bug: (error) => bug(error, 'journal'),
  })
  const room = openRoom(config.hold, { clock, metrics, tally, bug })
  const handover = createHandover({
    channel,
    metrics,
    journal,
    tally: shared,
    state: () => ({ ...state(), heldBytes: room.bytes }),
  })
  const forecasts = createForecastWatch({ current: () => store.current, tally, metrics })
  store.subscribe((snapshot, _events, change) => {
    if (change.kind === 'documents-accepted') reading.learn(snapshot)
    if (change.kind === 'time-passed') forecasts.look(change.at)
    room.wake()
  })
  const parts: JudgeParts = {
    clock,
    current: () => store.current,
    readFacts: reading.readFacts,
    ...{ tally, metrics, journal, sessionKeys, hops },
    onDecided: (facts, decision, _key, now, asking) => handover.decided(facts, decision, now, asking),
    onPanic: handover.panicked,
    onStale: handover.stale,
    weigh: forecasts.weigh,
    ...(config.hold.msMax > 0 ? { room } : {}),
  }
  // What would reserve is never decided here: who holds what is known to the main process alone.
  const own: ReadFacts = (view, now, draw) => {
    const read = reading.readFacts()(view, now, draw)
    const workload = store.current.programs.classes.get(read.facts.class)?.doc
    if (reservesFor(read.facts, workload)) throw new MainDecides('a job that reserves')
    return read
  }
  const counting = countingHandlers(createJudge({ ...parts, readFacts: () => own }), metrics, bug)
  const relay = relaying(counting, channel, (result) => metrics.add('hubward_relayed_total', 1, result))
  const applying = createApplying({
    apply: store.apply,
    data: () => store.current.data,
    compiler,
    hashes: () => hashesInForce(store.current),
    differs: (why) => channel.write(frameOf('differs', why)),
  })
  let warmed: Promise<void> | undefined
  return {
    handlers: { ...relay.handlers, accessLog: handover.entries },
    took: (name, payload) => {
      if (name === 'feed') applying.feed(JSON.parse(payload.toString()) as FeedFrame)
      else if (name === 'check') applying.check(JSON.parse(payload.toString()) as Check)
      else if (name === 'tally') {
        const { upTo, all } = JSON.parse(payload.toString()) as { upTo: number; all: Counts }
        shared.told(upTo, all)
      } else if (name === 'answer') relay.answered(payload, true)
      else if (name === 'noAnswer') relay.answered(payload, false)
    },
    warm: async () => {
      if (store.current.data.documentsVersion === 0) return
      warmed ??= warmUp(parts, bug, config.transport)
      await warmed
    },
    tell: handover.tell,
    flush: handover.flush,
    stopHolding: () => room.stop(),
  }
}
