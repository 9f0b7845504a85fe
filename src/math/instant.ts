const INSTANT = /^(\d{4})-(\d{2})-(\d{2})(?:T(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(Z|[+-]\d{2}:\d{2}))?$/

/**
 * Epoch milliseconds of `2026-12-01T22:00:00Z` or, at midnight UTC, of `2026-12-01`; undefined for what is no time, the
 * 30th of February included. Worked out by hand, for this folder reads no clock and has no Date.
 */
export function parseInstant(text: string): number | undefined {
  const match = INSTANT.exec(text)
  if (match === null) return undefined
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  if (month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return undefined
  if (hour > 23 || minute > 59 || second > 59) return undefined
  const fraction = Math.floor(Number(`0.${match[7] ?? '0'}`) * 1000)
  const zone = match[8] ?? 'Z'
  const [zoneHours, zoneMinutes] = zone === 'Z' ? [0, 0] : [Number(zone.slice(1, 3)), Number(zone.slice(4, 6))]
  if (zoneHours > 14 || zoneMinutes > 59) return undefined
  const offset = (zoneHours * 60 + zoneMinutes) * (zone.startsWith('-') ? -1 : 1)
  return daysSinceEpoch(year, month, day) * 86_400_000 + ((hour * 60 + minute - offset) * 60 + second) * 1000 + fraction
}

const isLeap = (year: number): boolean => (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0

const daysIn = (year: number, month: number): number =>
  month === 2 ? (isLeap(year) ? 29 : 28) : [4, 6, 9, 11].includes(month) ? 30 : 31

/** Days from civil (Hinnant, 2013): the year begins in March, so that the leap day is its last. 1970-01-01 gives 0. */
function daysSinceEpoch(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year
  const era = Math.floor(y / 400)
  const yearOfEra = y - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  return era * 146_097 + yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear - 719_468
}
