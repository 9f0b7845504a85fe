import type { WallTime } from './local-time.ts'

/** Five fields of cron, read: which minutes, hours, days of the month, months and days of the week are meant. */
export interface Cron {
  readonly minutes: readonly number[]
  readonly hours: readonly number[]
  readonly days: ReadonlySet<number>
  readonly months: ReadonlySet<number>
  /** 0 is Sunday. */
  readonly weekdays: ReadonlySet<number>
  /** Both days are told: either is enough, as cron has it. */
  readonly eitherDay: boolean
  /** Every hour is meant: in the night in which the clock is put back, both of the same name. */
  readonly everyHour: boolean
}

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const WEEKDAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']

const FIELDS = [
  { name: 'minute', low: 0, high: 59, names: [], from: 0 },
  { name: 'hour', low: 0, high: 23, names: [], from: 0 },
  { name: 'day of the month', low: 1, high: 31, names: [], from: 0 },
  { name: 'month', low: 1, high: 12, names: MONTHS, from: 1 },
  { name: 'day of the week', low: 0, high: 7, names: WEEKDAYS, from: 0 },
] as const

const DAYS_IN = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

/**
 * Reads `minute hour day month weekday`: numbers, names (`mon`, `jan`), lists, ranges, steps (`1-5`, `0/15` and `star/15`
 * with the asterisk for the star), Sunday as 0 and as 7. A string: what is wrong with the text.
 */
export function readCron(text: string): Cron | string {
  const fields = text.trim().split(/\s+/)
  if (fields.length !== 5) return `has ${fields.length} fields instead of five: minute hour day month weekday`
  const sets: Set<number>[] = []
  for (const [index, field] of FIELDS.entries()) {
    const read = readField(fields[index]!, field)
    if (typeof read === 'string') return read
    sets.push(read)
  }
  const [minutes, hours, days, months, weekdays] = sets as [
    Set<number>,
    Set<number>,
    Set<number>,
    Set<number>,
    Set<number>,
  ]
  if (weekdays.delete(7)) weekdays.add(0)
  const eitherDay = !fields[2]!.startsWith('*') && !fields[4]!.startsWith('*')
  if (!eitherDay && ![...months].some((month) => [...days].some((day) => day <= DAYS_IN[month - 1]!))) {
    return `names a day that none of its months has`
  }
  const sorted = (set: Set<number>) => [...set].sort((a, b) => a - b)
  const everyHour = fields[1]!.startsWith('*')
  return { minutes: sorted(minutes), hours: sorted(hours), days, months, weekdays, eitherDay, everyHour }
}

/** Does it mean this day? */
export const meansDay = (cron: Cron, { year, month, day }: WallTime): boolean => {
  if (!cron.months.has(month)) return false
  const isDay = cron.days.has(day)
  const isWeekday = cron.weekdays.has(new Date(Date.UTC(year, month - 1, day)).getUTCDay())
  return cron.eitherDay ? isDay || isWeekday : isDay && isWeekday
}

const readField = (text: string, field: (typeof FIELDS)[number]): Set<number> | string => {
  const all = new Set<number>()
  for (const part of text.split(',')) {
    const [range = '', step, ...more] = part.split('/')
    const by = step === undefined ? 1 : wholeOf(step)
    const wrong = `${JSON.stringify(part)} is no ${field.name} (${field.low} to ${field.high})`
    if (more.length > 0 || by === undefined || by === 0) return wrong
    const bounds = boundsOf(range, field, step !== undefined)
    if (bounds === undefined) return wrong
    for (let value = bounds[0]; value <= bounds[1]; value += by) all.add(value)
  }
  return all
}

const boundsOf = (
  range: string,
  field: (typeof FIELDS)[number],
  isStepped: boolean,
): readonly [number, number] | undefined => {
  // With Sunday as 7 too, every weekday would be eight.
  if (range === '*') return [field.low, field.high === 7 ? 6 : field.high]
  const [first = '', last, ...more] = range.split('-')
  const from = valueIn(first, field)
  const to = last === undefined ? (isStepped ? field.high : from) : valueIn(last, field)
  return more.length > 0 || from === undefined || to === undefined || from > to ? undefined : [from, to]
}

const valueIn = (text: string, { names, from, low, high }: (typeof FIELDS)[number]): number | undefined => {
  const named = (names as readonly string[]).indexOf(text.toLowerCase())
  const value = named >= 0 ? named + from : wholeOf(text)
  return value !== undefined && value >= low && value <= high ? value : undefined
}

const wholeOf = (text: string): number | undefined => (/^\d{1,2}$/.test(text) ? Number(text) : undefined)
