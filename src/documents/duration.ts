const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Milliseconds of `10s`, `1m30s` or `500ms`; undefined for anything else. Whole milliseconds. */
export function parseDuration(text: string): number | undefined {
  if (!/^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$/.test(text) || text.length > 40) return undefined
  let sum = 0
  for (const [, amount, unit] of text.matchAll(/([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)/g))
    sum += Number(amount) * UNITS[unit!]!
  return Math.round(sum)
}

/** The shortest way to write so many milliseconds: `90s` is `1m30s`. */
export function durationText(ms: number): string {
  let rest = Math.round(ms)
  let text = ''
  for (const unit of ['d', 'h', 'm', 's', 'ms']) {
    const size = UNITS[unit]!
    const count = Math.floor(rest / size)
    rest -= count * size
    if (count > 0) text += `${count}${unit}`
  }
  return text === '' ? '0s' : text
}

const DAY = 86_400_000

/** The smallest and largest duration of each field that has one, in milliseconds. */
export const DURATION_BOUNDS = {
  stableFor: [0, 3_600_000],
  dwell: [0, DAY],
  failBack: [0, DAY],
  cooldown: [0, DAY],
  for: [1, 300_000],
  retryAfter: [1_000, 7 * DAY],
  freshness: [100, 30 * DAY],
  delayTolerance: [0, 366 * DAY],
  // A question about a job that runs for weeks has to find it.
  life: [1_000, 30 * DAY],
  gameDayMax: [DAY, 3_660 * DAY],
  reservationLife: [1_000, DAY],
  after: [0, 366 * DAY],
  ttft: [1, 3_600_000],
  response: [1, DAY],
  budget: [1, 3_600_000],
  // A burn rate looks back an hour at least.
  window: [3_600_000, 366 * DAY],
  bake: [100, 90 * DAY],
  endAfter: [1_000, 366 * DAY],
} as const satisfies Record<string, readonly [number, number]>

/** A field with a duration. */
export type DurationField = keyof typeof DURATION_BOUNDS
