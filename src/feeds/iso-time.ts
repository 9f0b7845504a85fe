import type { EpochMs } from '../model/names.ts'

/** The end of time in events that have none: the last day of the year 9999. */
export const FOREVER: EpochMs = Date.UTC(9999, 11, 31)

/** A length of time as ISO 8601 writes it; months and years are as long as the calendar has them. */
export interface IsoDuration {
  readonly months: number
  readonly ms: number
}

const DURATION =
  /^P(?:(\d{1,6})Y)?(?:(\d{1,6})M)?(?:(\d{1,6})W)?(?:(\d{1,6})D)?(?:T(?:(\d{1,8})H)?(?:(\d{1,8})M)?(?:(\d{1,10}(?:\.\d{1,9})?)S)?)?$/

/** Reads `PT15M`, `P1DT2H`, `P9999Y`; undefined for what is none. */
export const readDuration = (text: unknown): IsoDuration | undefined => {
  const found = typeof text === 'string' && text.length <= 64 ? DURATION.exec(text) : null
  if (found === null || /^P$|T$/.test(text as string)) return undefined
  const [years, months, weeks, days, hours, minutes, seconds] = found.slice(1).map((part) => Number(part ?? 0))
  const ms = (((weeks! * 7 + days!) * 24 + hours!) * 60 + minutes!) * 60_000 + seconds! * 1_000
  return { months: years! * 12 + months!, ms: Math.round(ms) }
}

/** The moment so much later, FOREVER at the latest. */
export const later = (at: EpochMs, { months, ms }: IsoDuration): EpochMs => {
  if (months >= 12_000) return FOREVER
  if (months === 0) return Math.min(FOREVER, at + ms)
  const date = new Date(at)
  const day = date.getUTCDate()
  date.setUTCDate(1)
  date.setUTCMonth(date.getUTCMonth() + months)
  // The 31st of a month that has 30 days is its last.
  date.setUTCDate(Math.min(day, new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate()))
  const end = date.getTime() + ms
  return Number.isFinite(end) ? Math.min(FOREVER, end) : FOREVER
}

const MOMENT = /^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?(Z|[+-]\d\d:?\d\d)?$/i

/** Reads a date and time; one without a zone is of UTC. Undefined for what is none. */
export const readMoment = (text: unknown): EpochMs | undefined => {
  const found = typeof text === 'string' && text.length <= 64 ? MOMENT.exec(text) : null
  if (found === null) return undefined
  const whole = (text as string).replace(' ', 'T')
  const dated = whole.length === 10 ? `${whole}T00:00` : whole
  const at = Date.parse(found[1] === undefined ? `${dated}Z` : dated)
  return Number.isNaN(at) ? undefined : at
}
