import type { EpochMs } from '../model/names.ts'

/** A date and time as a clock on the wall shows it; the month from 1. */
export interface WallTime {
  readonly year: number
  readonly month: number
  readonly day: number
  readonly hour: number
  readonly minute: number
}

interface Around {
  readonly before: number
  readonly after: number
  readonly changeAt: EpochMs
}

const MINUTE_MS = 60_000
const DAY_MS = 86_400_000
const DAYS_MAX = 64
/** Zones are at most 14 hours ahead of UTC and 12 behind it. */
const OFFSET_MS_MAX = 15 * 3_600_000

/** Is this a time zone that can be reckoned with: `Europe/Amsterdam`, `UTC`? */
export const isTimeZone = (name: string): boolean => {
  try {
    return new Intl.DateTimeFormat('en-US', { timeZone: name }) !== undefined
  } catch {
    return false
  }
}

/** The clocks of one time zone, with what summer time does to them. */
export class LocalTime {
  readonly #format: Intl.DateTimeFormat
  readonly #days = new Map<number, Around>()

  /** Throws RangeError for a zone that is none; see isTimeZone. */
  constructor(timeZone: string) {
    this.#format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      calendar: 'gregory',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
    })
  }

  /** What the clock on the wall shows at a moment. */
  wall(at: EpochMs): WallTime {
    const parts: Record<string, number> = {}
    for (const { type, value } of this.#format.formatToParts(at)) parts[type] = Number(value)
    return parts as unknown as WallTime
  }

  /**
   * The moments at which the clock on the wall shows this: one; two in the night in which it is put back; none in the
   * night in which it is put forward, and then `gapEnd` is the first moment after the hour that was left out.
   */
  moments(wall: WallTime): { readonly at: readonly EpochMs[]; readonly gapEnd?: EpochMs } {
    const asUtc = utcOf(wall)
    const { before, after, changeAt } = this.#around(Math.floor(asUtc / DAY_MS))
    if (before === after) return { at: [asUtc - before] }
    const at = [
      ...(asUtc - before < changeAt ? [asUtc - before] : []),
      ...(asUtc - after >= changeAt ? [asUtc - after] : []),
    ]
    return at.length > 0 ? { at } : { at, gapEnd: changeAt }
  }

  /** The offsets before and after a day, and when the one becomes the other; kept, for asking costs 10 us. */
  #around(day: number): Around {
    const known = this.#days.get(day)
    if (known !== undefined) return known
    const low = day * DAY_MS - OFFSET_MS_MAX
    const high = (day + 1) * DAY_MS + OFFSET_MS_MAX
    const before = this.#offset(low)
    const after = this.#offset(high)
    const found = { before, after, changeAt: before === after ? high : this.#change(low, high, before) }
    if (this.#days.size >= DAYS_MAX) this.#days.clear()
    this.#days.set(day, found)
    return found
  }

  /** Local time less UTC. */
  #offset(at: EpochMs): number {
    const minute = Math.floor(at / MINUTE_MS) * MINUTE_MS
    return utcOf(this.wall(minute)) - minute
  }

  /** The minute in which the offset changes between two moments, by halving. */
  #change(low: EpochMs, high: EpochMs, before: number): EpochMs {
    let from = Math.floor(low / MINUTE_MS)
    let to = Math.ceil(high / MINUTE_MS)
    while (to - from > 1) {
      const middle = (from + to) >> 1
      if (this.#offset(middle * MINUTE_MS) === before) from = middle
      else to = middle
    }
    return to * MINUTE_MS
  }
}

/** The moment at which UTC clocks show this; days past the month's end go on into the next. */
export const utcOf = ({ year, month, day, hour, minute }: WallTime): EpochMs =>
  Date.UTC(year, month - 1, day, hour, minute)

/** The wall time that many minutes later by the clock on the wall, as if it were never put forward or back. */
export const wallLater = (wall: WallTime, minutes: number): WallTime => {
  const date = new Date(utcOf(wall) + minutes * MINUTE_MS)
  return {
    year: date.getUTCFullYear(),
    month: date.getUTCMonth() + 1,
    day: date.getUTCDate(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
  }
}
