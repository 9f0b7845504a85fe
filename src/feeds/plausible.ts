import type { EpochMs } from '../model/names.ts'
import type { Signal } from '../model/signal-row.ts'

/** What one source has said of one signal at one place. */
export interface Said {
  /** The newest time seen, refused samples too. */
  at: EpochMs
  /** The last value that was taken, and when it was measured. */
  value: number
  valueAt: EpochMs
  /** The last value seen, since when it is bit for bit the same, and when it was seen last. */
  same: number
  sameSince: EpochMs
  sameAt: EpochMs
  /** A value too far off to be taken, and how many samples in a row agree with it. */
  odd: number
  oddAt: EpochMs
  oddCount: number
}

/** So many samples in a row that agree with one another are believed, however far off they seem. */
const AGREEING = 3
/** Steps within a second are of a second: clocks and rounding are not finer. */
const STEP_MS_MIN = 1_000

/** What is known after the first sample, of which nothing can be said. */
export const firstSaid = (value: number, at: EpochMs): Said => ({
  at,
  value,
  valueAt: at,
  same: value,
  sameSince: at,
  sameAt: at,
  odd: Number.NaN,
  oddAt: at,
  oddCount: 0,
})

/**
 * Is this value the lie of a sensor that hangs? Bit for bit the same for the signal's `frozenAfterMs`, while samples kept
 * coming: a source that was silent for as long begins anew. The worst value that a signal can have is believed at any
 * length, for a pump that stands still gives a flow of 0 and no noise.
 */
export function isFrozen(said: Said, row: Signal, value: number, at: EpochMs): boolean {
  const { frozenAfterMs } = row
  if (frozenAfterMs === undefined) return false
  const isSame = Object.is(value, said.same) && at - said.sameAt <= frozenAfterMs
  if (!isSame) {
    said.same = value
    said.sameSince = at
  }
  said.sameAt = at
  const worst = row.worseWhen === 'higher' ? row.range[1] : row.range[0]
  return isSame && at - said.sameSince >= frozenAfterMs && value !== worst
}

/**
 * Is this value further from the last one than the real thing can have moved, by the signal's `stepPerS`? Three samples
 * in a row that agree with one another within the step are real, and the third is taken: 30, 95, 30 leaves 95 out;
 * 30, 95, 96, 95 takes the last.
 */
export function isAbsurd(said: Said, row: Signal, value: number, at: EpochMs): boolean {
  const { stepPerS } = row
  if (stepPerS === undefined) return false
  if (isWithin(stepPerS, value - said.value, at - said.valueAt)) {
    said.oddCount = 0
    return false
  }
  const agrees = said.oddCount > 0 && isWithin(stepPerS, value - said.odd, at - said.oddAt)
  // A sample that is read again is not another one.
  if (!agrees) said.oddCount = 1
  else if (at > said.oddAt) said.oddCount += 1
  said.odd = value
  said.oddAt = at
  if (said.oddCount < AGREEING) return true
  said.oddCount = 0
  return false
}

const isWithin = (stepPerS: number, difference: number, ms: number): boolean =>
  Math.abs(difference) <= (stepPerS * Math.max(STEP_MS_MIN, ms)) / 1_000
