import type { Clock } from '../clock.ts'
import type { KnownValues } from '../metrics/slots.ts'
import type { Decision } from '../model/decision.ts'
import type { Event } from '../model/event.ts'
import type { EpochMs } from '../model/names.ts'
import type { DecisionRecord } from '../model/record.ts'
import { LineFile } from './line-file.ts'
import { type JournalLine, STREAMS, type StreamName } from './lines.ts'
import { LeftOut, sampler } from './sampling.ts'

/** What is kept, where, and how safely. */
export interface JournalSettings {
  readonly dir: string
  /** The share, 0 to 1, of the decisions that nothing else keeps. */
  readonly share: number
  /** How many decisions of one class and reason that were moved are kept in a second before the share decides; 100. */
  readonly movedPerSecond?: number
  readonly fileBytesMax: number
  /** Files of each stream. */
  readonly filesMax: { readonly changes: number; readonly decisions: number }
  /** `changes`: only what changed is flushed to the disk itself after each batch. */
  readonly fsync: 'never' | 'changes' | 'always'
}

/** What a journal is made of. `Made` is whatever a record is built from, after the answer has left. */
export interface JournalOptions<Made> extends JournalSettings {
  readonly clock: Clock
  readonly instance: string
  readonly version: string
  readonly isJob: (className: string) => boolean
  /** A number in [0, 1) that stands for a request's id: the share is no chance, so a replay keeps the same requests. */
  readonly chance: (requestId: string) => number
  readonly record: (made: Made, sampledBy: DecisionRecord['sampledBy']) => DecisionRecord
  /** The classes that the documents name; what others ask for is counted together. */
  readonly known?: KnownValues
  /** Hears when a stream can't be written and when it can again. */
  readonly onState?: (stream: StreamName, failing: boolean, detail: string) => void
  readonly onError?: (error: unknown) => void
  readonly waitingBytesMax?: number
  readonly retryMs?: readonly [first: number, last: number]
  /** How often it is said what was left out. A minute. */
  readonly reportMs?: number
}

/** Counts of one stream since the start. */
export interface StreamStats {
  readonly written: number
  readonly dropped: number
  readonly waitingBytes: number
  readonly failing: boolean
}

/** What was decided and changed, on disk. */
export interface Journal<Made> {
  /** Whether and why this decision is kept; one that is not is counted. Takes no time worth naming. */
  readonly wants: (decision: Decision, requestId: string) => DecisionRecord['sampledBy'] | undefined
  /** Keeps what `wants` wanted: the record is built and written after the present work. */
  readonly keep: (made: Made, sampledBy: DecisionRecord['sampledBy']) => void
  readonly event: (event: Event) => void
  /** Takes in what another process of this hubward kept: records as lines, and how many found no room there. */
  readonly takeIn: (records: readonly string[], dropped: number) => void
  /** Counts decisions that another process left out. */
  readonly leaveOut: (count: number, className: string, action: string, reason: string) => void
  readonly stats: () => Readonly<Record<StreamName, StreamStats>> & { readonly sampledOut: number }
  /** Writes what waits; fulfilled when it is written or can't be. */
  readonly flush: () => Promise<void>
  readonly close: () => Promise<void>
}

/** At some 2 kB each, of one class and reason, no more than 17 GB a day. */
const MOVED_PER_SECOND = 100
/** Records that wait to be built. At 5,000 requests a second, all kept, this is two seconds' worth. */
const RING_MAX = 10_000
/** How long records are gathered, to be built and written together: each write asks the disk twice. */
const GATHER_MS = 25
/** How long records are built before requests get their turn again. */
const SLICE_MS = 1
/** 8 MiB: some ten thousand decisions with all their inputs. */
const WAITING_BYTES_MAX = 8 * 1_048_576

/** Opens a journal. Nothing here throws or waits, whatever the disk does: what finds no room is counted. */
export function openJournal<Made>(options: JournalOptions<Made>): Journal<Made> {
  const { clock, fsync, onError = () => {} } = options
  const files = Object.fromEntries(
    STREAMS.map((stream) => [
      stream,
      new LineFile({
        dir: options.dir,
        stream,
        fileBytesMax: options.fileBytesMax,
        filesMax: options.filesMax[stream],
        fsync: fsync === 'always' || (fsync === 'changes' && stream === 'changes'),
        waitingBytesMax: options.waitingBytesMax ?? WAITING_BYTES_MAX,
        retryMs: options.retryMs ?? [1_000, 30_000],
        onState: (failing, detail) => options.onState?.(stream, failing, detail),
      }),
    ]),
  ) as Record<StreamName, LineFile>
  const leftOut = new LeftOut(options.known ?? (() => undefined), clock.now())
  let ring: { readonly made: Made; readonly sampledBy: DecisionRecord['sampledBy'] }[] = []
  let isBuilding = false
  let isClosed = false
  const unbuilt = { changes: 0, decisions: 0 }
  const reported = { changes: 0, decisions: 0 }
  let reportedAt: EpochMs = clock.now()

  const write = (stream: StreamName, line: JournalLine): boolean => {
    try {
      return files[stream].append(JSON.stringify(line))
    } catch (error) {
      unbuilt[stream]++
      onError(error)
      return false
    }
  }

  const build = (deadline: number): void => {
    let done = 0
    while (done < ring.length && (done === 0 || performance.now() < deadline)) {
      const { made, sampledBy } = ring[done++]!
      try {
        write('decisions', options.record(made, sampledBy))
      } catch (error) {
        unbuilt.decisions++
        onError(error)
      }
    }
    ring = done === ring.length ? [] : ring.slice(done)
  }

  const buildAll = (): void => {
    build(performance.now() + SLICE_MS)
    if (ring.length > 0) setImmediate(buildAll)
    else isBuilding = false
  }

  const buildSoon = (): void => {
    if (isBuilding) return
    isBuilding = true
    setTimeout(buildAll, GATHER_MS)
  }

  const report = (): void => {
    const at = clock.now()
    leftOut.tell(at, (line) => files.decisions.hasRoom() && write('decisions', line))
    for (const stream of STREAMS) {
      const dropped = files[stream].stats().dropped + unbuilt[stream]
      const count = dropped - reported[stream]
      // Where there is still no room it is said the next time.
      if (count === 0 || !files[stream].hasRoom()) continue
      if (write(stream, { kind: 'dropped', at, from: reportedAt, stream, count })) reported[stream] = dropped
    }
    reportedAt = at
  }

  const { instance, version } = options
  const lifecycle = (kind: 'started' | 'stopped') => write('changes', { kind, at: clock.now(), instance, version })
  lifecycle('started')
  const timer = setInterval(report, options.reportMs ?? 60_000)
  timer.unref()

  return {
    wants: sampler({
      ...options,
      movedPerSecond: options.movedPerSecond ?? MOVED_PER_SECOND,
      leftOut: (decision) => leftOut.add(decision),
    }),
    keep: (made, sampledBy) => {
      if (ring.length >= RING_MAX || isClosed) {
        unbuilt.decisions++
        return
      }
      ring.push({ made, sampledBy })
      buildSoon()
    },
    event: (event) => {
      if (!isClosed) write('changes', event)
    },
    takeIn: (records, dropped) => {
      unbuilt.decisions += dropped
      if (isClosed) unbuilt.decisions += records.length
      else for (const record of records) files.decisions.append(record)
    },
    leaveOut: (count, className, action, reason) => leftOut.count(count, className, action, reason),
    stats: () => {
      const stream = (name: StreamName): StreamStats => {
        const stats = files[name].stats()
        return { ...stats, dropped: stats.dropped + unbuilt[name] }
      }
      return { changes: stream('changes'), decisions: stream('decisions'), sampledOut: leftOut.total() }
    },
    flush: async () => {
      build(Infinity)
      await Promise.all(STREAMS.map((stream) => files[stream].flush()))
    },
    close: async () => {
      if (isClosed) return
      clearInterval(timer)
      build(Infinity)
      report()
      lifecycle('stopped')
      isClosed = true
      await Promise.all(STREAMS.map((stream) => files[stream].close()))
    },
  }
}
