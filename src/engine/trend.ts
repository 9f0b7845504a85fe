import type { EpochMs } from '../model/names.ts'
import type { TrendCell } from '../model/snapshot.ts'

/** Signals whose way is followed: what power and cooling leave. */
export const TRENDED: ReadonlySet<string> = new Set([
  'power.headroom_mw',
  'power.headroom_pct',
  'cooling.margin_c',
  'cooling.margin_pct',
  'cooling.headroom_kw',
])

/** How fast the past is forgotten, in seconds: plant moves in minutes. */
const MEMORY_S = 300
/** A line through fewer samples, or through less time, says nothing. */
const SAMPLES_MIN = 4
const SPAN_MS_MIN = 20_000

/**
 * The cell with one sample more: the sums of a least-squares line through the past, newer samples counting more, with
 * time counted from the newest one. Six numbers, however long the past.
 */
export const follow = (before: TrendCell | null | undefined, value: number, at: EpochMs): TrendCell => {
  if (before === null || before === undefined || at - before.at > MEMORY_S * 1_000) {
    return { from: at, at, samples: 1, w: 1, x: 0, y: value, xx: 0, xy: 0, yy: value * value }
  }
  const d = Math.max(0, at - before.at) / 1_000
  const k = Math.exp(-d / MEMORY_S)
  return {
    from: before.from,
    at,
    samples: before.samples + 1,
    w: k * before.w + 1,
    x: k * (before.x - d * before.w),
    y: k * before.y + value,
    xx: k * (before.xx - 2 * d * before.x + d * d * before.w),
    xy: k * (before.xy - d * before.y),
    yy: k * before.yy + value * value,
  }
}

/** A line: its value at the newest sample, its slope by second, and how far samples lie from it. */
export interface Line {
  /** When the newest sample of it was measured. */
  readonly at: EpochMs
  readonly value: number
  readonly slope: number
  readonly deviation: number
}

/** The line of a cell; undefined where too little is known. */
export const lineOf = (cell: TrendCell | null | undefined): Line | undefined => {
  if (cell === null || cell === undefined || cell.samples < SAMPLES_MIN || cell.at - cell.from < SPAN_MS_MIN)
    return undefined
  const { w, x, y, xx, xy, yy } = cell
  const spread = w * xx - x * x
  if (spread <= 0) return undefined
  const slope = (w * xy - x * y) / spread
  const value = (y - slope * x) / w
  const rest = Math.max(0, (yy - value * y - slope * xy) / w)
  return { at: cell.at, value, slope, deviation: Math.sqrt(rest) }
}

/** When a line reaches a value, and how far off that may be; undefined: never, or not within the horizon. */
export const reaches = (line: Line, value: number, horizonMs: number): { at: EpochMs; errorMs: number } | undefined => {
  const ms = ((value - line.value) / line.slope) * 1_000
  if (!Number.isFinite(ms) || ms < 0 || ms > horizonMs) return undefined
  return {
    at: line.at + Math.round(ms),
    errorMs: Math.min(horizonMs, Math.ceil((line.deviation / Math.abs(line.slope)) * 1_000)),
  }
}
