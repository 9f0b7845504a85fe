import { BUCKETS, quantileOf } from '../math/log-buckets.ts'
import {
  MEASURED_TIMES,
  type Measured,
  type MeasuredBy,
  type MeasuredTime,
  type Measurements,
  type MeasurementsAsked,
  type Percentiles,
} from '../model/measurements.ts'
import { type EpochMs, siteOf, type TargetName } from '../model/names.ts'
import { VERDICTS, type Verdict } from '../model/outcome.ts'
import type { Visited } from './block.ts'
import { CELL_LABEL_NAMES, type CellSum, type Cells, SUM, TIME } from './cells.ts'
import { NONE, OTHER, OTHER_NAME } from './labels.ts'
import type { Sealed } from './sealed.ts'

/** The most rows that one answer has. */
const ROWS_MAX = 1_000
/** Events that a quantile needs to say anything: those of docs/reference/signals.md. */
const COUNT_MIN = { p50: 100, p95: 200, p99: 1_000 } as const

interface Group {
  readonly by: Readonly<Partial<Record<MeasuredBy, string>>>
  readonly sums: Float64Array
  /** Buckets by time, made when something is counted. */
  readonly times: (Float64Array | undefined)[]
}

/** How long is gathered before requests get their turn. */
const SLICE_MS = 4
/** Places of a table that are added up in one go. */
const SLOTS_AT_ONCE = 32_768

/** Answers one question from the cells, in slices: two days of full hours take a tenth of a second. */
export const measurementsOf = async (
  cells: Cells,
  asked: MeasurementsAsked,
  gpuOf: (target: TargetName) => string | undefined,
  now: EpochMs,
): Promise<Measurements> => {
  const { by, where } = asked
  while (!cells.store.isIdle) {
    cells.store.work(SLOTS_AT_ONCE)
    await breath()
  }
  const { live, sealed, stretchMs } = cells.store.since(asked.from, now)
  const isInTime = (block: Visited): boolean => block.begin < asked.to
  const inTime: readonly Visited[] = [...live.filter(isInTime), ...sealed.filter(isInTime)]
  const wanted = [...new Set([...by, ...(Object.keys(where) as MeasuredBy[])])]
  const groups = new Map<string, Group>()
  let begun = performance.now()
  for (const block of inTime) {
    // Not before the last of the live ones, which go on.
    if (performance.now() - begun > SLICE_MS && sealed.includes(block as Sealed)) {
      await breath()
      begun = performance.now()
    }
    gather(block, cells, wanted, by, where, gpuOf, groups)
  }
  const from = Math.min(now, ...inTime.map(({ begin }) => begin))
  const to = Math.min(now, asked.to)
  const all = [...groups.values()].sort((a, b) => b.sums[SUM.requests]! - a.sums[SUM.requests]!)
  return {
    from,
    to,
    stretchMs,
    by,
    rows: all.slice(0, ROWS_MAX).map((group) => measured(group, Math.max(1, to - from))),
    left: Math.max(0, all.length - ROWS_MAX),
    folded: cells.store.folded,
  }
}

const breath = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const gather = (
  block: Visited,
  cells: Cells,
  wanted: readonly MeasuredBy[],
  by: readonly MeasuredBy[],
  where: MeasurementsAsked['where'],
  gpuOf: (target: TargetName) => string | undefined,
  groups: Map<string, Group>,
): void => {
  const groupOf = new Array<Group | undefined>(block.cells).fill(undefined)
  block.visitCells((cell, labels, sums) => {
    if (sums[SUM.requests] === 0) return
    const values: Partial<Record<MeasuredBy, string>> = {}
    for (const name of wanted) values[name] = labelOf(name, labels, cells, block.begin, gpuOf)
    for (const name of Object.keys(where) as MeasuredBy[]) if (values[name] !== where[name]) return
    const shown = Object.fromEntries(by.map((name) => [name, values[name]!]))
    const key = by.map((name) => values[name]).join('\n')
    let group = groups.get(key)
    if (group === undefined) {
      group = { by: shown, sums: new Float64Array(sums.length), times: [] }
      groups.set(key, group)
    }
    groupOf[cell] = group
    for (let at = 0; at < sums.length; at++) group.sums[at]! += sums[at]!
  })
  block.visitCounts((cell, time, bucket, count) => {
    const group = groupOf[cell]
    if (group === undefined) return
    group.times[time] ??= new Float64Array(BUCKETS)
    group.times[time][bucket]! += count
  })
}

/** The value of a dimension of a cell: one of its labels, or what follows from one. */
const labelOf = (
  name: MeasuredBy,
  numbers: ArrayLike<number>,
  { labels }: Cells,
  begin: EpochMs,
  gpuOf: (target: TargetName) => string | undefined,
): string => {
  if (name === 'hour') return String(Math.floor(begin / 3_600_000) % 24).padStart(2, '0')
  const label = name === 'site' || name === 'pool' || name === 'gpu' ? 'target' : LABEL[name]
  const at = CELL_LABEL_NAMES.indexOf(label)
  const number = numbers[at]!
  if (number === NONE) return ''
  if (number === OTHER) return OTHER_NAME
  const value = labels[at]!.nameOf(number)
  if (name === 'site') return siteOf(value)
  if (name === 'gpu') return gpuOf(value) ?? ''
  if (name === 'model') return value.includes('@') ? value.slice(0, value.lastIndexOf('@')) : value
  return value
}

const LABEL = {
  class: 'class',
  region: 'region',
  tier: 'tier',
  model: 'artifact',
  revision: 'artifact',
  promptType: 'promptType',
  arm: 'arm',
  rollout: 'rollout',
  policy: 'policy',
} as const

const measured = ({ by, sums, times }: Group, ms: number): Measured => {
  const sum = (name: CellSum): number => sums[SUM[name]]!
  const ratio = (part: number, whole: number): number | null => (whole === 0 ? null : part / whole)
  const bad = sum('error') + sum('timeout')
  return {
    by,
    requests: sum('requests'),
    verdicts: Object.fromEntries(VERDICTS.map((verdict) => [verdict, sum(verdict)])) as Record<Verdict, number>,
    errorRatio: ratio(bad, bad + sum('ok')),
    fallbackRatio: ratio(sum('fallback'), sum('placed')),
    degraded: sum('degraded'),
    retried: sum('retried'),
    sloRatio: ratio(sum('sloMet'), sum('sloMet') + sum('sloMissed')),
    times: Object.fromEntries(
      (Object.keys(MEASURED_TIMES) as MeasuredTime[]).map((name) => [name, percentiles(times[TIME[name]])]),
    ) as Record<MeasuredTime, Percentiles>,
    tokens: {
      prompt: sum('promptTokens'),
      completion: sum('completionTokens'),
      perS: sum('completionTokens') === 0 ? null : (sum('completionTokens') * 1_000) / ms,
      perStreamS: ratio(sum('streamTokens') * 1_000, sum('streamMs')),
      poolPerS: ratio(sum('poolTokens'), sum('poolSeen')),
    },
    cacheHitRatio: ratio(sum('cacheTenThousandths') / 10_000, sum('cacheSeen')),
  }
}

const EMPTY = new Float64Array(0)

const percentiles = (counts: Float64Array = EMPTY): Percentiles => {
  const count = counts.reduce((sum, n) => sum + n, 0)
  const insufficient = (['p50', 'p95', 'p99'] as const).filter((name) => count < COUNT_MIN[name])
  const at = (name: keyof typeof COUNT_MIN, q: number): number | null => {
    const value = count < COUNT_MIN[name] ? undefined : quantileOf(counts, q)
    return value === undefined ? null : Number(value.toPrecision(4))
  }
  return { count, p50: at('p50', 0.5), p95: at('p95', 0.95), p99: at('p99', 0.99), insufficient }
}
