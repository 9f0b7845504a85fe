import type { Config, ListenerSettings } from '../../config.ts'
import type { Handlers, ProcessHandler } from '../../envoy/handlers.ts'
import type { Log } from '../../log.ts'
import type { Metrics } from '../../metrics.ts'
import type { Change } from '../../model/change.ts'
import type { EpochMs } from '../../model/names.ts'
import type { AccessEntry } from '../../model/outcome.ts'
import { processPort, processSocket } from '../../model/process-address.ts'
import type { SnapshotData } from '../../model/snapshot.ts'
import type { SigningKeys } from '../../request/signing-keys.ts'
import type { LiveTally } from '../tally.ts'
import { createDeciderProcess, type DeciderProcess } from './decider-process.ts'
import { createEarlyEntries } from './early-entries.ts'
import { createFeed } from './feed.ts'
import { frameOf } from './frames.ts'
import { type Begin, type DeciderConfig, writtenKeys } from './messages.ts'
import { type RelayEnd, relayEnd } from './relay.ts'
import { createTaking, type Takers } from './taking.ts'

/** What the processes beside the main one are run with. */
export interface ProcessesParts extends Takers {
  readonly config: Config
  readonly metrics: Metrics
  readonly log: Log
  readonly now: () => EpochMs
  readonly data: () => SnapshotData
  readonly tally: LiveTally
  readonly keys: { readonly session: SigningKeys; readonly hop?: SigningKeys; readonly force?: SigningKeys }
  readonly recordKey: Buffer
  /** What answers a request here; asked for when one comes. */
  readonly handlers: () => Handlers
  /** The same, for headers that were counted where they came in. */
  readonly uncounted: ProcessHandler
  /** Whether measuring knows a decision by its id. */
  readonly isKnown: (decision: string) => boolean
  readonly bug: (error: unknown, where: string) => void
}

/** The deciders of a hubward. */
export interface Processes {
  /** Starts them; fulfilled when each listens, or has failed to once. */
  readonly start: () => Promise<void>
  /** They may tell Envoy that they serve. */
  readonly serve: () => void
  readonly addresses: () => readonly string[]
  /** To be called after every change of the snapshot. */
  readonly changed: (change: Change) => void
  /** To be called once a second. */
  readonly tick: () => void
  /** To be called with what Envoy's access log says here: entries may come before their decision. */
  readonly accessLog: (entries: readonly AccessEntry[]) => void
  /** What all of them have open and hold, this process left out. */
  readonly active: () => number
  readonly heldBytes: () => number
  /** What is held by class, with what this process holds. */
  readonly held: (here: Readonly<Record<string, number>>) => Readonly<Record<string, number>>
  /** Has all of them answer until Envoy has gone, and end. */
  readonly drain: (forMs: number) => Promise<void>
  /** Ends those that are still there. */
  readonly close: () => void
}

/** How often counters are told where no change of the snapshot carries them. */
const TALLY_MS = 50

/** How long one is started after another: each start has the snapshot written for it, and a core busy for a while. */
const APART_MS = 250
/** So many that ended together are spread; one alone must not wait for its number. */
const APART_ROUND = 8

/** The listeners of one process. */
export const listenersOf = (listeners: readonly ListenerSettings[], index: number): readonly ListenerSettings[] =>
  listeners.map((one) =>
    'unix' in one ? { ...one, unix: processSocket(one.unix, index) } : { ...one, port: processPort(one.port, index) },
  )

/** A share of what all processes may hold together; the shares of all add up to the whole. */
export const shareOfHold = (hold: Config['hold'], processes: number, index: number): Config['hold'] => {
  const share = (all: number): number => Math.floor((all + processes - 1 - index) / processes)
  return { ...hold, countMax: share(hold.countMax), bytesMax: share(hold.bytesMax) }
}

/** How many moved decisions of one kind each process keeps in a second: all together as many as are configured. */
export const movedShare = ({ journal, processes }: Pick<Config, 'journal' | 'processes'>): number =>
  Math.ceil(journal.movedPerSecond / processes)

interface Known {
  readonly process: DeciderProcess
  addresses: readonly string[]
  state: 'starting' | 'listening' | 'serving'
  relay: RelayEnd | undefined
}

/** The deciders as they are configured, none of them started. With one process there are none, and nothing is done here. */
export function openProcesses(parts: ProcessesParts): Processes {
  const { config, metrics, log, data, tally } = parts
  const known: Known[] = []
  const failed = new Set<number>()
  let isServing = false
  const early = createEarlyEntries(parts.isKnown, parts.accessLog)
  const taking = createTaking({ ...parts, accessLog: (entries) => early.take(entries, parts.now()) }, (ids) =>
    early.decided(ids),
  )
  const feed = createFeed({ data, dispatched: tally.dispatched })
  let firsts = (): void => {}
  const serve = (one: Known): void => {
    one.process.write(frameOf('serve'))
    one.state = 'serving'
  }

  for (let index = 1; index < config.processes; index++) {
    const one: Known = {
      addresses: [],
      state: 'starting',
      relay: undefined,
      process: createDeciderProcess({
        apartMs: ((index - 1) % APART_ROUND) * APART_MS,
        bug: (error) => parts.bug(error, 'processes'),
        begin: (channel) => {
          const begun: Omit<Begin, 'data' | 'tally'> = {
            index,
            config: deciderConfig(config, index),
            keys: {
              session: writtenKeys(parts.keys.session),
              ...(parts.keys.hop === undefined ? {} : { hop: writtenKeys(parts.keys.hop) }),
              ...(parts.keys.force === undefined ? {} : { force: writtenKeys(parts.keys.force) }),
            },
            recordKey: parts.recordKey.toString('base64'),
          }
          one.relay = relayEnd(parts.handlers, parts.uncounted, channel.write)
          feed.join(index, channel, (rest) => frameOf('begin', JSON.stringify({ ...begun, ...rest })))
        },
        ready: ({ addresses, pid }) => {
          log.info({ process: index, decider: pid, addresses }, 'a process that decides is there')
          one.addresses = addresses
          one.state = 'listening'
          if (isServing) serve(one)
          firsts()
        },
        took: (name, payload) => {
          if (name === 'relay') one.relay?.message(payload)
          else if (name === 'relayGone') one.relay?.gone(payload)
          else {
            const acknowledged = taking.took(index, name, payload)
            if (acknowledged !== undefined) feed.acknowledge(index, acknowledged)
          }
        },
        gone: (cause, detail, afterMs) => {
          one.state = 'starting'
          one.relay?.close()
          feed.part(index)
          taking.end(index)
          metrics.add('hubward_process_restarts_total', 1, cause)
          log.error(
            { process: index, cause, detail, afterMs },
            'a process that decides is gone: another one is started',
          )
          failed.add(index)
          firsts()
        },
      }),
    }
    known.push(one)
  }
  observe(parts, known, taking.told, () => isServing)
  let timer: NodeJS.Timeout | undefined
  return {
    start: async () => {
      if (known.length === 0) return
      timer = setInterval(feed.tell, TALLY_MS)
      timer.unref()
      await new Promise<void>((resolve) => {
        firsts = () => {
          if (known.every(({ state }, index) => state !== 'starting' || failed.has(index + 1))) resolve()
        }
        for (const [index, { process }] of known.entries()) process.start(index * APART_MS)
      })
      firsts = () => {}
    },
    serve: () => {
      isServing = true
      for (const one of known) if (one.state === 'listening') serve(one)
    },
    addresses: () => known.flatMap(({ addresses }) => addresses),
    changed: known.length === 0 ? () => {} : feed.changed,
    tick: () => {
      if (known.length === 0) return
      for (const { process } of known) process.look()
      feed.check()
      early.look(parts.now())
    },
    accessLog: known.length === 0 ? parts.accessLog : (entries) => early.take(entries, parts.now()),
    active: () => sum([...taking.told().values()].map(({ active }) => active)),
    heldBytes: () => sum([...taking.told().values()].map(({ heldBytes }) => heldBytes)),
    held: (here) => {
      const all: Record<string, number> = { ...here }
      for (const { held } of taking.told().values())
        for (const [name, count] of Object.entries(held)) all[name] = (all[name] ?? 0) + count
      return all
    },
    drain: async (forMs) => {
      await Promise.all(known.map(({ process }) => process.leave(forMs)))
      early.look(Number.POSITIVE_INFINITY)
    },
    close: () => {
      clearInterval(timer)
      feed.close()
      for (const { process, relay } of known) {
        process.kill()
        relay?.close()
      }
    },
  }
}

const sum = (all: readonly number[]): number => all.reduce((a, b) => a + b, 0)

const deciderConfig = (config: Config, index: number): DeciderConfig => {
  const { instance, logLevel, listeners, transport, hold, geo, sidecars, fractionalVersion, drainMs, journal } = config
  return {
    ...{ instance, logLevel, transport, geo, sidecars, fractionalVersion, drainMs },
    listeners: listenersOf(listeners, index),
    hold: shareOfHold(hold, config.processes, index),
    journal: {
      share: journal.share,
      movedPerSecond: movedShare(config),
      hide: journal.hide,
    },
  }
}

const observe = (
  { metrics }: ProcessesParts,
  known: readonly Known[],
  told: ReturnType<typeof createTaking>['told'],
  isServing: () => boolean,
): void => {
  metrics.read('hubward_processes', () => {
    const serving = known.filter(({ state }) => state === 'serving').length + (isServing() ? 1 : 0)
    return [
      [['serving'], serving],
      [['starting'], known.length + 1 - serving],
    ]
  })
  metrics.read('hubward_process_resident_bytes', () =>
    [...told()].map(([index, { rssBytes }]) => [[`${index}`], rssBytes]),
  )
  metrics.read('hubward_process_cpu_seconds_total', () =>
    [...told()].map(([index, { cpuSeconds }]) => [[`${index}`], cpuSeconds]),
  )
  metrics.read('hubward_process_loop_delay_max_seconds', () =>
    [...told()].map(([index, { loopDelayMs }]) => [[`${index}`], loopDelayMs / 1_000]),
  )
}
