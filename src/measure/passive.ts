import { BUCKETS, bucketOf, quantileOf } from '../math/log-buckets.ts'
import { type EpochMs, poolOf, siteOf, type TargetName } from '../model/names.ts'
import type { Outcome } from '../model/outcome.ts'
import type { Sample } from '../model/sample.ts'
import { Block, type BlockShape } from './block.ts'
import { Labels, NONE, OTHER } from './labels.ts'
import { SLICE_MS } from './store.ts'
import { isServed, ttftOf } from './verdict.ts'

/** The name under which what Envoy saw is a source of samples. */
export const PASSIVE_SOURCE = 'envoy-access-log'

const SLICES = 6
const SHAPE: BlockShape = { dimensions: 2, coarse: [0], sums: 2, cellsMax: 4_096, entriesMax: 65_536 }
const [ENDED, FAILED] = [0, 1] as const
const [RESPONSE, TTFT] = [0, 1] as const

/** Signals by what they are made of; `fill`: the model server's own, which is told only where nobody else tells it. */
const ROWS = [
  { signal: 'ttft.passive_p95_ms', time: TTFT, q: 0.95, link: 'client.ttft_p95_ms' },
  { signal: 'response.passive_p95_ms', time: RESPONSE, q: 0.95, link: 'client.response_p95_ms' },
  { signal: 'ttft.p50_ms', time: TTFT, q: 0.5, fill: true },
  { signal: 'ttft.p95_ms', time: TTFT, q: 0.95, fill: true },
  { signal: 'ttft.p99_ms', time: TTFT, q: 0.99, fill: true },
  { signal: 'response.p50_ms', time: RESPONSE, q: 0.5, fill: true },
  { signal: 'response.p95_ms', time: RESPONSE, q: 0.95, fill: true },
  { signal: 'response.p99_ms', time: RESPONSE, q: 0.99, fill: true },
] as const

/** Everything that it can tell. */
export const PASSIVE_SIGNALS: readonly string[] = [
  ...ROWS.map(({ signal }) => signal),
  ...['errors.passive_ratio', 'errors.ratio', 'client.ttft_p95_ms', 'client.response_p95_ms', 'client.errors_ratio'],
]

/** What is asked of the others before a sample is told. */
export interface PassiveNeeds {
  readonly targets: () => readonly TargetName[]
  /** Does some policy look at it? Then it is told of targets too that no request has ended at. */
  readonly isAsked: (signal: string) => boolean
  /** Has another source told it of this target within its hard age? */
  readonly isToldByOthers: (signal: string, target: TargetName) => boolean
}

interface Seen {
  ended: number
  failed: number
  /** Buckets and counts in turn, by time: a table for each target and region would be mostly empty. */
  readonly times: readonly [number[], number[]]
}

/**
 * What Envoy saw of each target within the last minute, as samples: times of those that were served, and the share that
 * failed. A failure has no time here, so a target that fails at once does not look fast.
 */
export class PassiveWindow {
  readonly #targets = new Labels(16_384)
  readonly #regions = new Labels(256)
  readonly #slices: Block[] = []
  readonly #key = new Uint16Array(2)
  readonly #needs: PassiveNeeds
  /** Targets of which a number was told that was more than nothing: they go on being told. */
  readonly #told = new Set<string>()

  constructor(needs: PassiveNeeds) {
    this.#needs = needs
  }

  /** Counts one outcome, now. */
  add({ target, verdict, entry, decided }: Outcome, now: EpochMs): void {
    if (target === null || verdict === 'left' || verdict === 'refused') return
    const slice = this.#sliceAt(now)
    this.#key[0] = this.#targets.numberOf(target)
    this.#key[1] = this.#regions.numberOf(decided?.region)
    const cell = slice.cellFor(this.#key, 1, 2)
    slice.sum(cell, ENDED, 1)
    if (verdict === 'timeout') {
      slice.sum(cell, FAILED, 1)
      slice.count(cell, RESPONSE, Math.max(0, bucketOf(entry.durationMs)), 1)
    } else if (verdict === 'error') slice.sum(cell, FAILED, 1)
    else if (isServed(verdict, entry)) {
      slice.count(cell, RESPONSE, Math.max(0, bucketOf(entry.durationMs)), 1)
      slice.count(cell, TTFT, Math.max(0, bucketOf(ttftOf(entry))), 1)
    }
  }

  /** The samples of the window that ends now. */
  samples(now: EpochMs): Sample[] {
    const byTarget = new Map<string, Seen>()
    const byRegion = new Map<string, Seen>()
    this.#drop(now)
    for (const slice of this.#slices) this.#gather(slice, byTarget, byRegion)
    const samples: Sample[] = []
    for (const target of this.#needs.targets()) {
      const seen = byTarget.get(target) ?? NOTHING
      const at = { site: siteOf(target), pool: poolOf(target), at: now, source: PASSIVE_SOURCE }
      const tell = (signal: string, value: number, count: number, isFill: boolean): void => {
        const key = `${target}|${signal}`
        if (isFill && this.#needs.isToldByOthers(signal, target)) return
        if (count > 0) this.#told.add(key)
        else if (!this.#told.has(key) && !this.#needs.isAsked(signal)) return
        samples.push({ ...at, signal, value, count })
      }
      const times = seen.times.map(tableOf)
      for (const { signal, time, q, ...row } of ROWS) {
        const { counts, count } = times[time]!
        tell(signal, quantileOf(counts, q) ?? 0, count, 'fill' in row)
      }
      const ratio = seen.ended === 0 ? 0 : seen.failed / seen.ended
      tell('errors.passive_ratio', ratio, seen.ended, false)
      tell('errors.ratio', ratio, seen.ended, true)
    }
    for (const [key, seen] of byRegion) {
      const [target = '', region = ''] = key.split('\n')
      const at = {
        site: siteOf(target),
        pool: poolOf(target),
        from: `region:${region}`,
        at: now,
        source: PASSIVE_SOURCE,
      }
      const times = seen.times.map(tableOf)
      for (const { time, q, ...row } of ROWS) {
        const { counts, count } = times[time]!
        if ('link' in row) samples.push({ ...at, signal: row.link, value: quantileOf(counts, q) ?? 0, count })
      }
      samples.push({ ...at, signal: 'client.errors_ratio', value: seen.failed / seen.ended, count: seen.ended })
    }
    return samples
  }

  #gather(slice: Block, byTarget: Map<string, Seen>, byRegion: Map<string, Seen>): void {
    const of: (readonly Seen[])[] = []
    slice.visitCells((cell, labels, sums) => {
      if (labels[0] === OTHER || sums[ENDED] === 0) return
      const target = this.#targets.nameOf(labels[0]!)
      const all = [seenIn(byTarget, target)]
      if (labels[1] !== NONE && labels[1] !== OTHER)
        all.push(seenIn(byRegion, `${target}\n${this.#regions.nameOf(labels[1]!)}`))
      for (const seen of all) {
        seen.ended += sums[ENDED]!
        seen.failed += sums[FAILED]!
      }
      of[cell] = all
    })
    slice.visitCounts((cell, time, bucket, count) => {
      for (const seen of of[cell] ?? []) seen.times[time as 0 | 1].push(bucket, count)
    })
  }

  #sliceAt(now: EpochMs): Block {
    const begin = Math.floor(now / SLICE_MS) * SLICE_MS
    const last = this.#slices.at(-1)
    if (last !== undefined && last.begin === begin) return last
    this.#drop(now)
    const slice = new Block(begin, SHAPE)
    this.#slices.push(slice)
    return slice
  }

  #drop(now: EpochMs): void {
    const begin = Math.floor(now / SLICE_MS) * SLICE_MS
    // What lies ahead is of before the clock was set back.
    while ((this.#slices.at(-1)?.begin ?? begin) > begin) this.#slices.pop()
    while (this.#slices.length > 0 && this.#slices[0]!.begin <= begin - SLICES * SLICE_MS) this.#slices.shift()
    if (this.#slices.length > 0) return
    this.#targets.keep(new Set())
    this.#regions.keep(new Set())
    // What is not a target of the documents any more is not told of again.
    if (this.#told.size > TOLD_MAX) this.#told.clear()
  }
}

const TOLD_MAX = 200_000
const NOTHING: Seen = { ended: 0, failed: 0, times: [[], []] }

const EMPTY = { counts: new Float64Array(0), count: 0 }

/** The counts by bucket, and all of them. */
const tableOf = (pairs: readonly number[]): { readonly counts: Float64Array; readonly count: number } => {
  if (pairs.length === 0) return EMPTY
  const counts = new Float64Array(BUCKETS)
  let count = 0
  for (let at = 0; at < pairs.length; at += 2) {
    counts[pairs[at]!]! += pairs[at + 1]!
    count += pairs[at + 1]!
  }
  return { counts, count }
}

const seenIn = (map: Map<string, Seen>, key: string): Seen => {
  let seen = map.get(key)
  if (seen === undefined) {
    seen = { ended: 0, failed: 0, times: [[], []] }
    map.set(key, seen)
  }
  return seen
}
