/** A version: its three numbers, and what stands after the dash. */
interface Version {
  readonly numbers: readonly [number, number, number]
  readonly before: readonly string[]
}

/** A version that is longer is none. */
const LENGTH_MAX = 256

/**
 * Compares versions as flagd does: `=`, `!=`, `<`, `<=`, `>`, `>=`, `^` for the same major and `~` for the same minor
 * version. A leading v is let pass, `1` and `1.2` are filled up with zeros, and what is behind a plus does not count.
 * Null for an operator or a version that is none: `2.0.0.0`.
 */
export function compareVersions(left: unknown, operator: unknown, right: unknown): boolean | null {
  const a = versionOf(String(left))
  const b = versionOf(String(right))
  if (a === null || b === null) return null
  switch (String(operator)) {
    case '=':
      return order(a, b) === 0
    case '!=':
      return order(a, b) !== 0
    case '<':
      return order(a, b) < 0
    case '<=':
      return order(a, b) <= 0
    case '>':
      return order(a, b) > 0
    case '>=':
      return order(a, b) >= 0
    case '^':
      return a.numbers[0] === b.numbers[0]
    case '~':
      return a.numbers[0] === b.numbers[0] && a.numbers[1] === b.numbers[1]
    default:
      return null
  }
}

// No part of either expression can match what another one does: both run in linear time.
const WHOLE =
  /^v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/
const SHORT = /^(0|[1-9]\d{0,15})(?:\.(0|[1-9]\d{0,15}))?$/

function versionOf(written: string): Version | null {
  const text = /^[vV]/.test(written) ? written.slice(1) : written
  if (text.length > LENGTH_MAX) return null
  const short = SHORT.exec(text)
  if (short !== null) return version(short[1]!, short[2] ?? '0', '0', [])
  const whole = WHOLE.exec(text.trim())
  if (whole === null) return null
  const before = whole[4]?.split('.') ?? []
  if (before.some((part) => isNumeric(part) && part.length > 1 && part.startsWith('0'))) return null
  return version(whole[1]!, whole[2]!, whole[3]!, before)
}

function version(major: string, minor: string, patch: string, before: readonly string[]): Version | null {
  const numbers = [Number(major), Number(minor), Number(patch)] as const
  return numbers.every((number) => number <= Number.MAX_SAFE_INTEGER) ? { numbers, before } : null
}

const isNumeric = (part: string): boolean => /^\d+$/.test(part)

/** Semantic Versioning 2.0.0, section 11. Below 0: a comes first. */
function order(a: Version, b: Version): number {
  for (const [index, number] of a.numbers.entries()) {
    const difference = number - b.numbers[index]!
    if (difference !== 0) return difference
  }
  // What comes before a version is less than the version itself.
  if (a.before.length === 0 || b.before.length === 0) return b.before.length - a.before.length
  for (const [index, part] of a.before.entries()) {
    const other = b.before[index]
    if (other === undefined) return 1
    const difference = orderOfParts(part, other)
    if (difference !== 0) return difference
  }
  return a.before.length - b.before.length
}

function orderOfParts(a: string, b: string): number {
  if (a === b) return 0
  if (isNumeric(a) && isNumeric(b)) return Number(a) - Number(b)
  if (isNumeric(a) !== isNumeric(b)) return isNumeric(a) ? -1 : 1
  return a < b ? -1 : 1
}
