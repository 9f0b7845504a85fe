import { Baselines } from './baselines.ts'
import { detectEngine, type Engine, type EngineName, engineOf, isEngineMetric } from './engines.ts'
import { failure } from './failure.ts'
import type { HttpReader, HttpText } from './http.ts'
import type { ModelWindows, Timing } from './model-windows.ts'
import { PrometheusReader, type PromSamples } from './prometheus-text.ts'
import { histogramsOf, type Series, seriesOf } from './series.ts'
import { SLICE_MS } from './window.ts'

/** What one replica shows of itself right now. */
export interface ReplicaState {
  readonly engine: EngineName
  readonly hash: string
  /** When this was so: the time of sending by our clock, or the exposition's own time where `isStamped`. */
  readonly at: number
  readonly isStamped: boolean
  readonly queued?: number
  readonly running?: number
  /** The fullest of its ranks: a request that lands there is preempted, however empty the others are. */
  readonly kvUsed?: number
  /** Since the server's start, or by its own reckoning: what holds while nobody asks the cache. */
  readonly cacheRatio?: number
  /** Whether any prompt has gone through its prefix cache since its start; absent where it does not say. */
  readonly cacheWarm?: boolean
  readonly warm: boolean
  /** Series that could not be believed. */
  readonly bad: number
}

const TIMINGS = ['ttft', 'itl', 'response', 'wait'] as const satisfies readonly Timing[]
/** Counts older than the window are none of it. */
const BASELINE_MS = 6 * SLICE_MS

/** One server that is scraped: one of the replicas behind a pool's cluster. */
export class Replica {
  readonly reader: HttpReader
  readonly #engine: EngineName | undefined
  readonly #baselines = new Baselines()
  readonly #frozenAfter: number
  #lastHash = ''
  #same = 0
  #moving = false
  #dispatched: number | undefined

  /** `frozenAfter`: how many equal answers in a row, while work goes on, are a lie; 0: never. */
  constructor(reader: HttpReader, engine: EngineName | undefined, frozenAfter: number) {
    this.reader = reader
    this.#engine = engine
    this.#frozenAfter = frozenAfter
  }

  /**
   * Scrapes it: counts what happened since the last time into the windows, and gives what it shows now. `dispatched`
   * is our own count of requests sent there, where it is the only one that they could have gone to. Rejects with
   * FeedFailure, and then has counted nothing.
   */
  async scrape(
    signal: AbortSignal,
    windows: ModelWindows,
    dispatched: number | undefined,
  ): Promise<ReplicaState & { readonly answer: HttpText }> {
    const parser = new PrometheusReader(isEngineMetric)
    const answer = await this.reader.read(signal, (text) => parser.push(text))
    const samples = parser.end(answer.contentType.startsWith('application/openmetrics-text'))
    const name = this.#engine ?? detectEngine(samples.keys())
    if (name === undefined || detectEngine(samples.keys()) === undefined) {
      throw failure('feed/unknown-engine', `${this.reader.where} shows no metrics of a model server that is known`, {
        remedy: "check that the address is the server's metrics page, or name its engine",
      })
    }
    const engine = engineOf(name)
    const running = total(seriesOf(samples, engine.running))
    this.#checkFrozen(answer.hash, running ?? 0, dispatched)
    this.#count(samples, engine, windows, answer.sentAt)
    return { ...stateOf(samples, name, engine, answer), bad: this.#baselines.bad, answer }
  }

  #checkFrozen(hash: string, running: number, dispatched: number | undefined): void {
    const isSame = hash === this.#lastHash
    this.#lastHash = hash
    this.#same = isSame ? this.#same + 1 : 1
    const sent = dispatched !== undefined && this.#dispatched !== undefined && dispatched > this.#dispatched
    this.#dispatched = dispatched
    // Work that was sent or runs moves some counter; without any, equal answers are what an idle server gives.
    this.#moving = isSame && (this.#moving || sent || running > 0)
    if (this.#frozenAfter === 0 || this.#same < this.#frozenAfter || !this.#moving) return
    // What comes after the lie is no continuation of what was before it.
    this.#baselines.forget()
    throw failure('feed/frozen', `${this.reader.where} gave the same ${this.#same} times while work went on`, {
      remedy: 'look whether its metrics are cached on the way, or its engine hangs',
    })
  }

  #count(samples: PromSamples, engine: Engine, windows: ModelWindows, now: number): void {
    const lines = this.#baselines
    lines.begin(now, BASELINE_MS)
    if (lines.since !== undefined) windows.begin(lines.since)
    const modelOf = ({ labels }: Pick<Series, 'labels'>) => labels[engine.modelLabel]
    for (const timing of TIMINGS) {
      for (const series of histogramsOf(samples, engine[timing]) ?? []) {
        const deltas = lines.histogram(timing, series)
        if (deltas !== undefined) windows.timing(timing, modelOf(series), deltas, now)
      }
    }
    for (const { name, label, ends } of engine.endings?.counters ?? []) {
      for (const series of seriesOf(samples, [{ name }]) ?? []) {
        const reason = label === undefined ? undefined : series.labels[label]
        if (reason !== undefined && engine.endings!.ignored.includes(reason)) continue
        const n = lines.counter(`${name}${series.key}`, series.value)
        const isBad = reason !== undefined && engine.endings!.bad.includes(reason)
        if (n !== undefined) windows.ended(isBad ? 'badly' : ends, modelOf(series), n, now)
      }
    }
    const { preemptions, tokens, cacheHits: hits, cacheQueries: queries } = engine
    const sums = { preemptions, tokens, hits, queries } as const
    for (const what of ['preemptions', 'tokens', 'hits', 'queries'] as const) {
      for (const series of seriesOf(samples, sums[what]) ?? []) {
        const n = lines.counter(`${what}${series.key}`, series.value)
        if (n !== undefined) windows.sum(what, n, now)
      }
    }
    lines.commit(now)
  }
}

const stateOf = (samples: PromSamples, name: EngineName, engine: Engine, answer: HttpText) => {
  const queued = seriesOf(samples, engine.queued)
  const running = seriesOf(samples, engine.running)
  const kv = seriesOf(samples, engine.kvUsed)
  const awake = engine.awake === undefined ? undefined : seriesOf(samples, [engine.awake])
  const stamps = [queued, running, kv].flatMap((all) => all ?? []).flatMap(({ timestampMs }) => timestampMs ?? [])
  const ratio = largest(seriesOf(samples, engine.cacheRatio)) ?? lifetimeRatio(samples, engine)
  return {
    engine: name,
    hash: answer.hash,
    at: Math.min(answer.sentAt, ...stamps),
    isStamped: stamps.length > 0,
    ...value('queued', total(queued)),
    ...value('running', total(running)),
    ...value('kvUsed', largest(kv)),
    ...value('cacheRatio', ratio),
    ...cacheWarmth(samples, engine, ratio),
    // The engines listen once their model is loaded; a load gauge that shows a number says it is there.
    warm:
      [queued, running].some((all) => all?.some((one) => Number.isFinite(one.value))) &&
      (awake === undefined || (total(awake) ?? 0) > 0),
  }
}

const lifetimeRatio = (samples: PromSamples, engine: Engine): number | undefined => {
  const queries = total(seriesOf(samples, engine.cacheQueries)) ?? 0
  const hits = total(seriesOf(samples, engine.cacheHits))
  return hits === undefined || !(queries > 0) ? undefined : hits / queries
}

/** A prompt that was looked up is in the cache afterwards; of a ratio alone, any hit shows that. */
const cacheWarmth = (samples: PromSamples, engine: Engine, ratio: number | undefined): { cacheWarm?: boolean } => {
  const queries = total(seriesOf(samples, engine.cacheQueries))
  if (queries !== undefined) return { cacheWarm: queries > 0 }
  return ratio === undefined ? {} : { cacheWarm: ratio > 0 }
}

const total = (series: readonly Series[] | undefined): number | undefined =>
  series?.reduce((sum, { value }) => sum + value, 0)

const largest = (series: readonly Series[] | undefined): number | undefined =>
  series === undefined ? undefined : Math.max(...series.map(({ value }) => value))

const value = <K extends string>(key: K, number: number | undefined): { [P in K]?: number } =>
  (number === undefined ? {} : { [key]: number }) as { [P in K]?: number }
