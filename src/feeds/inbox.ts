import type { Change } from '../model/change.ts'
import type { Heartbeat, Sample, Series } from '../model/sample.ts'
import { columnKey } from '../model/signal.ts'
import { type FeedClock, realTimer, type Timer } from './time.ts'

/** What an inbox is handed. */
export interface InboxEdges {
  readonly clock: FeedClock
  readonly timer?: Timer
  /** Takes a batch: the store's apply. */
  readonly apply: (change: Extract<Change, { kind: 'samples-arrived' }>) => void
  /** A mistake of ours: apply threw. The batch is lost, the inbox goes on. */
  readonly bug?: (error: unknown) => void
}

/** Exact counts of an inbox; they never go back. */
export interface InboxCounts {
  samples: number
  heartbeats: number
  series: number
  batches: number
  /** Left out because newer ones of the same place and signal waited, or too many at all. */
  samplesDropped: number
  heartbeatsDropped: number
  seriesDropped: number
}

/** How long the first of a batch waits for others. */
export const DRAIN_MS = 50
/** How many samples of one signal and place wait for one drain; fold needs their order, not each of a flood. */
const PER_KEY_MAX = 8
const HEARTBEATS_PER_KEY_MAX = 16
/** How many places wait at all: 1,000 sites with 5 pools and 20 signals, twice over. */
const KEYS_MAX = 200_000
/** How many places wait with a series: 1,000 sites with four signals, twice over; each may have 768 intervals. */
const SERIES_KEYS_MAX = 8_192

/**
 * Gathers samples and signs of life, and hands them over as one change every 50 ms: a fold for each sample alone costs
 * 25 times as much. A refused connection is handed over at once, with all that waits, for a target may have died. It is
 * bounded: past its limits the oldest of a signal and place go first, each counted. No timer runs while it is empty.
 */
export class Inbox {
  readonly counts: InboxCounts = {
    samples: 0,
    heartbeats: 0,
    series: 0,
    batches: 0,
    samplesDropped: 0,
    heartbeatsDropped: 0,
    seriesDropped: 0,
  }
  readonly #edges: InboxEdges
  readonly #timer: Timer
  #samples = new Map<string, Sample[]>()
  #heartbeats = new Map<string, Heartbeat[]>()
  #series = new Map<string, Series[]>()
  #cancel: (() => void) | undefined
  #stopped = false

  constructor(edges: InboxEdges) {
    this.#edges = edges
    this.#timer = edges.timer ?? realTimer
  }

  /** Takes samples, signs of life and series; of series the newest of a source, place and signal. */
  offer(samples: readonly Sample[], heartbeats: readonly Heartbeat[] = [], series: readonly Series[] = []): void {
    if (this.#stopped) return
    for (const sample of samples) this.#sample(sample)
    for (const beat of heartbeats) this.#heartbeat(beat)
    for (const one of series) this.#oneSeries(one)
    if (heartbeats.some(({ outcome }) => outcome === 'refused')) this.drain()
    else if (this.#cancel === undefined && !this.#isEmpty()) {
      this.#cancel = this.#timer(DRAIN_MS, () => this.drain())
    }
  }

  /** Hands over what waits, now. Never throws. */
  drain(): void {
    this.#cancel?.()
    this.#cancel = undefined
    if (this.#isEmpty()) return
    const samples = [...this.#samples.values()].flat()
    const heartbeats = [...this.#heartbeats.values()].flat()
    const series = [...this.#series.values()].flat()
    this.#samples = new Map()
    this.#heartbeats = new Map()
    this.#series = new Map()
    this.counts.batches += 1
    try {
      const arrived = { kind: 'samples-arrived', at: this.#edges.clock.now(), samples, heartbeats } as const
      this.#edges.apply(series.length === 0 ? arrived : { ...arrived, series })
    } catch (error) {
      this.#edges.bug?.(error)
    }
  }

  /** Hands over what waits, and takes nothing more. */
  stop(): void {
    this.drain()
    this.#stopped = true
  }

  #isEmpty(): boolean {
    return this.#samples.size === 0 && this.#heartbeats.size === 0 && this.#series.size === 0
  }

  #sample(sample: Sample): void {
    this.counts.samples += 1
    const place = `${sample.source}|${sample.site}|${sample.pool ?? ''}|${sample.loop ?? ''}`
    const key = `${place}|${columnKey(sample.signal, sample.model, sample.from)}`
    this.counts.samplesDropped += put(this.#samples, key, sample, PER_KEY_MAX)
  }

  #heartbeat(beat: Heartbeat): void {
    this.counts.heartbeats += 1
    const key = `${beat.source}|${beat.site}|${beat.pool ?? ''}|${beat.kind}`
    this.counts.heartbeatsDropped += put(this.#heartbeats, key, beat, HEARTBEATS_PER_KEY_MAX)
  }

  #oneSeries(one: Series): void {
    this.counts.series += 1
    const key = `${one.source}|${one.site}|${one.pool ?? ''}|${one.signal}`
    this.counts.seriesDropped += put(this.#series, key, one, 1, SERIES_KEYS_MAX)
  }
}

/** Puts one in, and says how many had to go for it. */
const put = <T>(map: Map<string, T[]>, key: string, one: T, perKeyMax: number, keysMax = KEYS_MAX): number => {
  const waiting = map.get(key)
  if (waiting !== undefined) {
    waiting.push(one)
    if (waiting.length <= perKeyMax) return 0
    waiting.shift()
    return 1
  }
  map.set(key, [one])
  if (map.size <= keysMax) return 0
  const oldest = map.keys().next().value!
  const dropped = map.get(oldest)!.length
  map.delete(oldest)
  return dropped
}
