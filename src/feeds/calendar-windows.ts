import type { EpochMs } from '../model/names.ts'
import type { Interval } from '../model/sample.ts'
import { type Cron, meansDay } from './cron.ts'
import { LocalTime, type WallTime, wallLater } from './local-time.ts'

/** A window that begins when the cron says, by the clock of its zone, and lasts so long by the same clock. */
export interface CronWindow {
  readonly cron: Cron
  readonly minutes: number
  readonly timeZone: string
}

const MINUTE_MS = 60_000
const DAY_MS = 86_400_000

/**
 * When the windows are open between two moments: value 1 in a window, 0 beside it, without a gap. Beginning and end are
 * by the clock on the wall, so 22:00 for eight hours ends at 06:00 also in the nights in which the clock is put forward
 * or back. A beginning that the clock leaves out is the end of the gap, one that comes twice its first, an end that comes
 * twice its last. Where every hour is meant, what counts is time that goes by, and both hours of one name count.
 */
export function windowIntervals(windows: readonly CronWindow[], from: EpochMs, to: EpochMs): Interval[] {
  const open: { from: EpochMs; to: EpochMs }[] = []
  for (const window of windows) {
    const local = new LocalTime(window.timeZone)
    for (const wall of startsOf(window, local, from, to)) {
      const { at, gapEnd } = local.moments(wall)
      const ends = local.moments(wallLater(wall, window.minutes))
      if (window.cron.everyHour || gapEnd !== undefined) {
        // Where every hour is meant, one that does not exist is not missed.
        const starts = gapEnd === undefined ? at : window.cron.everyHour ? [] : [gapEnd]
        for (const start of starts) open.push({ from: start, to: start + window.minutes * MINUTE_MS })
      } else open.push({ from: at[0]!, to: ends.gapEnd ?? ends.at.at(-1)! })
    }
  }
  open.sort((a, b) => a.from - b.from)
  const intervals: Interval[] = []
  let at = from
  for (const one of open) {
    const begin = Math.max(one.from, at)
    const end = Math.min(one.to, to)
    if (end <= begin) continue
    const last = intervals.at(-1)
    if (begin > at) intervals.push({ from: at, to: begin, value: 0 })
    if (begin === at && last?.value === 1) intervals[intervals.length - 1] = { ...last, to: end }
    else intervals.push({ from: begin, to: end, value: 1 })
    at = end
  }
  if (at < to) intervals.push({ from: at, to, value: 0 })
  return intervals
}

/** The wall times at which a window begins, from as long before `from` as it lasts. */
function* startsOf(window: CronWindow, local: LocalTime, from: EpochMs, to: EpochMs): Generator<WallTime> {
  const { cron, minutes } = window
  const first = local.wall(from - minutes * MINUTE_MS - DAY_MS)
  const days = Math.ceil((to - from + minutes * MINUTE_MS) / DAY_MS) + 2
  for (let offset = 0; offset <= days; offset++) {
    const day = wallLater({ ...first, hour: 0, minute: 0 }, offset * 1_440)
    if (!meansDay(cron, day)) continue
    for (const hour of cron.hours) for (const minute of cron.minutes) yield { ...day, hour, minute }
  }
}
