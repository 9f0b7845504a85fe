import type { Event, SampleRefusal } from '../model/event.ts'
import type { EpochMs } from '../model/names.ts'
import type { Heartbeat, Sample, Series } from '../model/sample.ts'
import { columnKey, signalOf } from '../model/signal.ts'
import type { Signal } from '../model/signal-row.ts'
import type { SnapshotData, Spoken } from '../model/snapshot.ts'
import { Batch } from './batch.ts'
import { foldAgeMs } from './columns.ts'
import { effective, FOLLOWS, loopsOf, PLACED, placeOf, type SpokenOfSite } from './facility.ts'
import { onHeartbeat } from './health.ts'
import type { Programs } from './programs.ts'
import { runningOf, seriesKey } from './series.ts'

/** How far a sample may lie in the future, for clocks that are a little off. */
const FUTURE_MS = 2_000

/** The data after a batch of samples, signs of life and series. */
export const foldSamples = (
  data: SnapshotData,
  programs: Programs,
  samples: readonly Sample[],
  heartbeats: readonly Heartbeat[],
  series: readonly Series[],
  now: EpochMs,
  events: Event[],
): SnapshotData => {
  const batch = new Batch(data, programs, now, events)
  const speaking = new Speaking(data.spoken, programs)
  const refusals = new Map<string, { sample: Sample; why: SampleRefusal; count: number }>()
  let allSeries = data.series
  if (series.length > 0) {
    const next = { ...data.series }
    for (const one of series) next[seriesKey(one)] = one
    allSeries = next
  }
  const all = series.length === 0 ? samples : [...samples, ...series.flatMap((one) => runningOf(one, now) ?? [])]
  for (const sample of all) {
    const why = take(batch, speaking, sample, now)
    if (why !== undefined) note(refusals, sample, why)
  }
  speaking.settle(batch)
  const health = heartbeats.length === 0 ? undefined : batch.health()
  for (const beat of heartbeats) {
    for (const index of indexesOf(programs, beat.site, beat.pool)) {
      health![index] = onHeartbeat(health![index]!, { ...beat, at: Math.min(beat.at, now) })
      batch.touched.add(index)
    }
  }
  for (const { sample, why, count } of refusals.values()) {
    events.push({ kind: 'samples-refused', at: now, source: sample.source, signal: sample.signal, why, count })
  }
  return { ...batch.result(), spoken: speaking.spoken, series: allSeries }
}

/** Takes one sample in, or says why not. */
const take = (batch: Batch, speaking: Speaking, sample: Sample, now: EpochMs): SampleRefusal | undefined => {
  const { programs } = batch
  const { signal, site, pool, loop, model, from } = sample
  const row = signalOf(signal)
  if (row === undefined) return 'unknown-signal'
  const indexes = indexesOf(programs, site, pool)
  if (indexes.length === 0) return 'unknown-site'
  const why = refusalOf(row, sample, now)
  if (why !== undefined) return why
  if (loop !== undefined && !programs.sites.get(site)!.loops?.some(({ name }) => name === loop)) return 'unknown-loop'
  if (PLACED.has(signal) && model === undefined && from === undefined) {
    return speaking.say(sample, placeOf(pool, loop)) ? undefined : 'out-of-order'
  }
  const key = columnKey(signal, model, from)
  let isOlder = false
  const incoming = {
    signal,
    model,
    from,
    value: sample.value,
    at: sample.at,
    source: sample.source,
    count: sample.count ?? -1,
    dispatchedBefore: sample.dispatchedBefore ?? -1,
    until: sample.validUntil ?? 0,
  }
  for (const index of indexes) {
    if (loop !== undefined && !programs.targets[index]!.loops.includes(loop)) continue
    if (batch.isOlder(key, index, sample.at)) isOlder = true
    else batch.put(index, incoming)
  }
  return isOlder ? 'out-of-order' : undefined
}

/** What the places of sites say, with what a batch adds to it; `settle` works out the targets' values. */
export class Speaking {
  spoken: SnapshotData['spoken']
  readonly #programs: Programs
  readonly #before: SnapshotData['spoken']
  readonly #dirty = new Map<number, Set<string>>()
  readonly #mine = new Set<unknown>()

  constructor(spoken: SnapshotData['spoken'], programs: Programs) {
    this.spoken = spoken
    this.#before = spoken
    this.#programs = programs
  }

  /** Notes what a place says; false: it said something newer before. */
  say({ signal, site, value, at, source, validUntil }: Sample, place: string): boolean {
    const index = this.#programs.siteIndex.get(site)!
    const said = this.spoken[index]?.[signal]?.[place]
    if (said !== undefined && at < said.at) return false
    const heard = smoothed(signal, said, value, at)
    this.#places(index, signal)[place] =
      validUntil === undefined ? { value: heard, at, source } : { value: heard, at, source, until: validUntil }
    this.#mark(index).add(signal)
    return true
  }

  /** Replaces all that a site has said, and has everything worked out anew that is or was part of it. */
  replace(index: number, said: SpokenOfSite): void {
    const old = this.spoken[index] ?? {}
    this.#sites()[index] = said
    const marked = this.#mark(index)
    for (const signal of Object.keys(old)) marked.add(signal)
    for (const signal of Object.keys(said)) marked.add(signal)
  }

  /** Puts the values that follow into the batch. */
  settle(batch: Batch): void {
    const { programs } = batch
    for (const [at, signals] of this.#dirty) {
      const said = this.spoken[at]!
      // Adding to a set while going through it goes through what was added too; what follows from a signal follows once.
      for (const signal of signals) for (const next of FOLLOWS.get(signal) ?? []) signals.add(next)
      for (const index of programs.bySite.get(batch.data.sites[at] ?? '') ?? []) {
        const { doc, pool } = programs.targets[index]!
        const loops = loopsOf(doc, pool)
        for (const signal of signals) {
          const value = effective(doc, said, signal, pool, loops)
          if (value !== undefined) batch.put(index, incomingOf(signal, value))
          else if ((batch.data.columns[signal]?.at[index] ?? 0) > 0) batch.forget(signal, index)
        }
      }
    }
  }

  #mark(index: number): Set<string> {
    let known = this.#dirty.get(index)
    if (known === undefined) {
      known = new Set()
      this.#dirty.set(index, known)
    }
    return known
  }

  #sites(): SpokenOfSite[] {
    if (this.spoken === this.#before) this.spoken = this.#before.slice()
    return this.spoken as SpokenOfSite[]
  }

  #places(index: number, signal: string): Record<string, Spoken> {
    const sites = this.#sites()
    let signals = sites[index] as Record<string, Record<string, Spoken>> | undefined
    if (signals === undefined || !this.#mine.has(signals)) {
      signals = { ...signals }
      this.#mine.add(signals)
      sites[index] = signals
    }
    let places = signals[signal]
    if (places === undefined || !this.#mine.has(places)) {
      places = { ...places }
      this.#mine.add(places)
      signals[signal] = places
    }
    return places
  }
}

/** Smoothed over the signal's time constant by the time between the samples; what has been away starts anew. */
const smoothed = (signal: string, before: Spoken | undefined, value: number, at: EpochMs): number => {
  const smoothMs = signalOf(signal)?.smoothMs
  if (smoothMs === undefined || before === undefined || at === before.at || at - before.at > foldAgeMs(signal))
    return value
  return before.value + (1 - Math.exp((before.at - at) / smoothMs)) * (value - before.value)
}

const incomingOf = (signal: string, { value, at, source, until }: Spoken) => ({
  signal,
  // A millionth of any unit is less than any meter tells, and sums of fractions show more digits than they have.
  value: Math.round(value * 1e6) / 1e6,
  at,
  source,
  count: -1,
  dispatchedBefore: -1,
  until: until ?? 0,
})

const indexesOf = (programs: Programs, site: string, pool: string | undefined): readonly number[] => {
  if (pool === undefined) return programs.bySite.get(site) ?? []
  const index = programs.indexOf.get(`${site}/${pool}`)
  return index === undefined ? [] : [index]
}

const refusalOf = (row: Signal, sample: Sample, now: EpochMs): SampleRefusal | undefined => {
  if (row.perRequest === true) return 'worked-out'
  if (!Number.isFinite(sample.value) || !Number.isFinite(sample.at)) return 'not-a-number'
  if (sample.value < row.range[0] || sample.value > row.range[1]) return 'out-of-range'
  if (sample.at > now + FUTURE_MS) return 'in-the-future'
  if (sample.model !== undefined && row.byModel !== true) return 'not-by-model'
  if ((sample.from !== undefined) !== (row.scope === 'link')) return 'not-a-link'
  return undefined
}

const note = (
  refusals: Map<string, { sample: Sample; why: SampleRefusal; count: number }>,
  sample: Sample,
  why: SampleRefusal,
): void => {
  const key = `${sample.source}|${sample.signal}|${why}`
  const known = refusals.get(key)
  if (known === undefined) refusals.set(key, { sample, why, count: 1 })
  else known.count += 1
}
