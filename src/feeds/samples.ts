import type { SampleRefusal } from '../model/event.ts'
import type { EpochMs } from '../model/names.ts'
import type { Sample } from '../model/sample.ts'
import { columnKey, signalOf } from '../model/signal.ts'

/** How far a sample may lie in the future: clocks are a little off. */
export const FUTURE_MS = 2_000
/** Places whose newest time is kept; the longest unused is forgotten first. */
const PLACES_MAX = 200_000

/** One count of refused samples. */
export interface RefusalCount {
  readonly source: string
  readonly why: SampleRefusal
  readonly count: number
}

/**
 * The check that every sample passes before the inbox: a signal of the table, a number within its range, not more than
 * two seconds ahead, not older than the one before it from the same source, by model only where the signal allows it.
 * What fails is left out and counted by source and reason. The engine repeats the cheap part, for it is handed samples
 * by others too.
 */
export class SampleCheck {
  readonly #newest = new Map<string, EpochMs>()
  readonly #refusals = new Map<string, { source: string; why: SampleRefusal; count: number }>()

  /** The samples that may go on, in their order. */
  pass(samples: readonly Sample[], now: EpochMs): Sample[] {
    return samples.filter((sample) => {
      const why = this.#refusal(sample, now)
      if (why !== undefined) this.refuse(sample.source, why)
      return why === undefined
    })
  }

  /** How many were refused so far, by source and reason. */
  refusals(): RefusalCount[] {
    return [...this.#refusals.values()].map((one) => ({ ...one }))
  }

  #refusal(sample: Sample, now: EpochMs): SampleRefusal | undefined {
    const signal = signalOf(sample.signal)
    if (signal === undefined) return 'unknown-signal'
    if (signal.perRequest === true) return 'worked-out'
    if (!Number.isFinite(sample.value) || !Number.isFinite(sample.at)) return 'not-a-number'
    if (sample.value < signal.range[0] || sample.value > signal.range[1]) return 'out-of-range'
    if (sample.at > now + FUTURE_MS) return 'in-the-future'
    if (sample.model !== undefined && signal.byModel !== true) return 'not-by-model'
    const place = `${sample.source}|${sample.site}|${sample.pool ?? ''}|${columnKey(sample.signal, sample.model)}`
    const before = this.#newest.get(place)
    if (before !== undefined && sample.at < before) return 'out-of-order'
    if (before === undefined && this.#newest.size >= PLACES_MAX) this.#newest.delete(this.#newest.keys().next().value!)
    this.#newest.set(place, sample.at)
    return undefined
  }

  /** Counts a refusal; of series too, whose check is another. */
  refuse(source: string, why: SampleRefusal): void {
    const key = `${source}|${why}`
    const known = this.#refusals.get(key)
    if (known === undefined) this.#refusals.set(key, { source, why, count: 1 })
    else known.count += 1
  }
}
