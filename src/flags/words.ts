/** ` did you mean "region"?`, or nothing: the known name that a third of the letters makes of the written one at most. */
export function didYouMean(written: string, known: Iterable<string>): string {
  let best: string | undefined
  let least = Math.max(1, Math.floor(written.length / 3)) + 1
  for (const name of known) {
    if (Math.abs(name.length - written.length) >= least || name.length > 80) continue
    const distance = editDistance(written.toLowerCase(), name.toLowerCase())
    if (distance >= least) continue
    best = name
    least = distance
  }
  return best === undefined ? '' : `; did you mean "${best}"?`
}

/** Optimal string alignment: insert, delete, replace, or swap neighbours (Damerau 1964). */
function editDistance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, column) => column)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1]
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      row.push(
        Math.min(
          row[j - 1]! + 1,
          rows[i - 1]![j]! + 1,
          rows[i - 1]![j - 1]! + (isSame ? 0 : 1),
          swapped ? rows[i - 2]![j - 2]! + 1 : Number.POSITIVE_INFINITY,
        ),
      )
    }
    rows.push(row)
  }
  return rows[a.length]![b.length]!
}

/** A value as a message names it, cut where it is long. */
export function shown(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object' && value !== null) return 'a map'
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 60 ? `${text.slice(0, 57)}…` : text
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Milliseconds of `10s`, `1m30s` or `500ms`, as documents write them; undefined for anything else. */
export function durationMs(written: unknown): number | undefined {
  if (typeof written !== 'string' || written.length > 40) return undefined
  const parts = [...written.matchAll(/(\d+(?:\.\d+)?)(ms|[smhd])/gy)]
  if (parts.length === 0 || parts.reduce((sum, [part]) => sum + part.length, 0) !== written.length) return undefined
  return Math.round(parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * UNITS[unit!]!, 0))
}

/** Epoch milliseconds of `2026-12-01T22:00:00Z` or, at midnight UTC, of `2026-12-01`; undefined for what is no time. */
export function instantMs(written: string): number | undefined {
  const match = /^(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.\d{1,9})?)?(?:Z|([+-])(\d\d):(\d\d)))?$/.exec(
    written,
  )
  if (match === null) return undefined
  const at = (group: number): number => Number(match[group] ?? 0)
  const day = dayNumber(at(1), at(2), at(3))
  if (day === undefined || at(4) > 23 || at(5) > 59 || at(6) > 59 || at(8) > 14 || at(9) > 59) return undefined
  const offset = (at(8) * 60 + at(9)) * (match[7] === '-' ? -1 : 1)
  return day * 86_400_000 + ((at(4) * 60 + at(5) - offset) * 60 + at(6)) * 1000
}

/** Days since 1970-01-01 in the Gregorian calendar, leap years counted by fours, hundreds and four hundreds. */
function dayNumber(year: number, month: number, day: number): number | undefined {
  const isLeap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0
  const lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
  if (month < 1 || month > 12 || day < 1 || day > lengths[month - 1]!) return undefined
  const leapDays = (upTo: number): number => Math.floor(upTo / 4) - Math.floor(upTo / 100) + Math.floor(upTo / 400)
  const years = (year - 1970) * 365 + leapDays(year - 1) - leapDays(1969)
  return years + lengths.slice(0, month - 1).reduce((sum, length) => sum + length, 0) + day - 1
}
