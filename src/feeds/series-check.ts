import type { SampleRefusal } from '../model/event.ts'
import type { EpochMs } from '../model/names.ts'
import { type Interval, SERIES_INTERVALS_MAX, type Series } from '../model/sample.ts'
import { signalOf } from '../model/signal.ts'

/** Places whose newest issue is kept; the longest unused is forgotten first. */
const PLACES_MAX = 20_000

/**
 * The check that every series passes before the inbox: a signal of the table, intervals in the order of time that do not
 * overlap, at most SERIES_INTERVALS_MAX of them, each with a number within the signal's range, and not issued before the
 * one that its source gave last. What fails is left out whole; `refused` is told why.
 */
export class SeriesCheck {
  readonly #issued = new Map<string, EpochMs>()
  readonly #refused: (source: string, why: SampleRefusal, series: Series) => void

  constructor(refused: (source: string, why: SampleRefusal, series: Series) => void) {
    this.#refused = refused
  }

  /** The series that may go on, in their order. */
  pass(all: readonly Series[]): Series[] {
    return all.filter((series) => {
      const why = seriesRefusal(series) ?? this.#older(series)
      if (why !== undefined) this.#refused(series.source, why, series)
      return why === undefined
    })
  }

  #older({ source, site, pool, signal, issuedAt }: Series): SampleRefusal | undefined {
    const place = `${source}|${site}|${pool ?? ''}|${signal}`
    const before = this.#issued.get(place)
    if (before !== undefined && issuedAt < before) return 'out-of-order'
    this.#issued.delete(place)
    this.#issued.set(place, issuedAt)
    if (this.#issued.size > PLACES_MAX) this.#issued.delete(this.#issued.keys().next().value!)
    return undefined
  }
}

const seriesRefusal = ({ signal, intervals, issuedAt }: Series): SampleRefusal | undefined => {
  const row = signalOf(signal)
  if (row === undefined) return 'unknown-signal'
  if (!Number.isFinite(issuedAt)) return 'not-a-number'
  if (intervals.length > SERIES_INTERVALS_MAX) return 'out-of-range'
  let end = Number.NEGATIVE_INFINITY
  for (const { from, to, value } of intervals) {
    if (![from, to, value].every(Number.isFinite)) return 'not-a-number'
    if (value < row.range[0] || value > row.range[1]) return 'out-of-range'
    if (from < end || to <= from) return 'out-of-order'
    end = to
  }
  return undefined
}

/** Intervals made into those of a series, and what had to go for it. */
export interface Tidied {
  readonly intervals: readonly Interval[]
  /** Left out: not a number, outside of the signal's range, or without a length. */
  readonly bad: number
  /** Began while an earlier one in the list, or a later one, already spoke of that time. */
  readonly overlapping: number
  /** Left out because there were too many: those furthest ahead. */
  readonly dropped: number
}

/** So many intervals ahead are looked at; a week of five minutes, twice over. */
const LOOKED_AT_MAX = 4_096

/**
 * Intervals as a series has them: in order, without overlaps, neighbours of equal value as one, those that ended before
 * `since` left out. Where several speak of the same time, the one that stands first in the list counts: [10-14 h: 5,
 * 12-13 h: 3] gives 10-14 h: 5, and the other way round 10-12 h: 5, 12-13 h: 3, 13-14 h: 5.
 */
export function tidyIntervals(given: readonly Interval[], signal: string, since: EpochMs): Tidied {
  const [low, high] = signalOf(signal)?.range ?? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]
  const good = given.filter(
    ({ from, to, value }) => Number.isFinite(from) && Number.isFinite(to) && to > from && value >= low && value <= high,
  )
  const ahead = good
    .map((interval, rank) => ({ ...interval, rank }))
    .filter(({ to }) => to > since)
    .sort((a, b) => a.from - b.from || a.rank - b.rank)
  const looked = ahead.slice(0, LOOKED_AT_MAX)
  const edges = [...new Set(looked.flatMap(({ from, to }) => [from, to]))].sort((a, b) => a - b)
  const active: (typeof looked)[number][] = []
  const pieces: Interval[] = []
  let begun = 0
  let overlapping = 0
  for (const [at, from] of edges.entries()) {
    while (active[0] !== undefined && active[0].to <= from) active.shift()
    for (; looked[begun]?.from === from; begun++) {
      if (active.length > 0) overlapping += 1
      const next = looked[begun]!
      const place = active.findIndex(({ rank }) => rank > next.rank)
      active.splice(place < 0 ? active.length : place, 0, next)
    }
    while (active[0] !== undefined && active[0].to <= from) active.shift()
    const to = edges[at + 1]
    const top = active[0]
    if (top === undefined || to === undefined) continue
    const last = pieces.at(-1)
    if (last !== undefined && last.to === from && last.value === top.value) pieces[pieces.length - 1] = { ...last, to }
    else pieces.push({ from, to, value: top.value })
  }
  const left = pieces.filter(({ to }) => to > since)
  return {
    intervals: left.slice(0, SERIES_INTERVALS_MAX),
    bad: given.length - good.length,
    overlapping,
    dropped: ahead.length - looked.length + Math.max(0, left.length - SERIES_INTERVALS_MAX),
  }
}

/**
 * The beginning of what runs, kept from going back: a series that is revised in the middle of an interval, so that the
 * running one now begins earlier, is news as of now and not as of then; the engine takes nothing older than it has.
 */
export class Running {
  /** What was handed over last; the engine goes through it by itself. */
  #last: readonly Interval[] = []

  /** The intervals, with the running one's beginning where it has to be later. */
  steady(intervals: readonly Interval[], now: EpochMs): readonly Interval[] {
    const before = this.#last.find(({ from, to }) => from <= now && now < to)
    const index = intervals.findIndex(({ from, to }) => from <= now && now < to)
    const running = intervals[index]
    if (running === undefined || before === undefined || running.from >= before.from) this.#last = intervals
    else this.#last = intervals.with(index, { ...running, from: running.value === before.value ? before.from : now })
    return this.#last
  }
}
