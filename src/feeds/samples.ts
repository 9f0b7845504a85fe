import type { SampleRefusal } from '../model/event.ts'
import type { EpochMs } from '../model/names.ts'
import type { Sample } from '../model/sample.ts'
import { columnKey, signalOf } from '../model/signal.ts'
import { firstSaid, isAbsurd, isFrozen, type Said } from './plausible.ts'
import { RecentMap } from './recent-map.ts'

/** How far a sample may lie in the future: clocks are a little off. */
export const FUTURE_MS = 2_000
/** Places that are remembered; the longest unused are forgotten first. */
const PLACES_MAX = 400_000
/** Sources and reasons that are counted apart: far more than a configuration has. */
const COUNTS_MAX = 20_000

/** One count of refused samples, and the last of them. */
export interface RefusalCount {
  readonly source: string
  readonly why: SampleRefusal
  readonly count: number
  readonly last?: RefusedSample
}

/** A sample that was refused, and when. */
export interface RefusedSample {
  readonly sample: Sample
  readonly at: EpochMs
}

/**
 * The check that every sample passes before the inbox: a signal of the table, a number within its range, not more than
 * two seconds ahead, not older than the one before it from the same source and place, by model only where the signal
 * allows it, no sensor that hangs and no jump that can't be. What fails is left out, counted by source and reason, and the
 * last of each kept. The engine repeats the cheap part, for it is handed samples by others too.
 */
export class SampleCheck {
  readonly #said = new RecentMap<Said>(PLACES_MAX)
  readonly #refusals = new Map<string, { source: string; why: SampleRefusal; count: number; last?: RefusedSample }>()

  readonly #refused: (source: string, why: SampleRefusal) => void

  /** `refused` hears of each sample that is left out. */
  constructor(refused: (source: string, why: SampleRefusal) => void = () => {}) {
    this.#refused = refused
  }

  /** The samples that may go on, in their order. */
  pass(samples: readonly Sample[], now: EpochMs): Sample[] {
    return samples.filter((sample) => {
      const why = this.#refusal(sample, now)
      if (why !== undefined) this.refuse(sample.source, why, { sample, at: now })
      return why === undefined
    })
  }

  /** How many were refused so far, by source and reason. */
  refusals(): RefusalCount[] {
    return [...this.#refusals.values()].map((one) => ({ ...one }))
  }

  #refusal(sample: Sample, now: EpochMs): SampleRefusal | undefined {
    const { value, at } = sample
    const signal = signalOf(sample.signal)
    if (signal === undefined) return 'unknown-signal'
    if (signal.perRequest === true) return 'worked-out'
    if (!Number.isFinite(value) || !Number.isFinite(at)) return 'not-a-number'
    if (value < signal.range[0] || value > signal.range[1]) return 'out-of-range'
    if (at > now + FUTURE_MS) return 'in-the-future'
    if (sample.model !== undefined && signal.byModel !== true) return 'not-by-model'
    const key = `${sample.source}|${sample.site}|${sample.pool ?? ''}|${sample.loop ?? ''}|${columnKey(sample.signal, sample.model, sample.from)}`
    const said = this.#said.get(key)
    if (said === undefined) {
      this.#said.set(key, firstSaid(value, at))
      return undefined
    }
    if (at < said.at) return 'out-of-order'
    said.at = at
    if (isFrozen(said, signal, value, at)) return 'frozen'
    if (isAbsurd(said, signal, value, at)) return 'absurd'
    said.value = value
    said.valueAt = at
    return undefined
  }

  /** Counts a refusal; of series too, whose check is another and whose first value stands for them. */
  refuse(source: string, why: SampleRefusal, last?: RefusedSample): void {
    this.#refused(source, why)
    const key = `${source}|${why}`
    let known = this.#refusals.get(key)
    if (known === undefined) {
      if (this.#refusals.size >= COUNTS_MAX) return
      known = { source, why, count: 0 }
      this.#refusals.set(key, known)
    }
    known.count += 1
    if (last !== undefined) known.last = last
  }
}
