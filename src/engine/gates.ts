import type { EpochMs } from '../model/names.ts'
import type { GateRow, GateSpec } from '../model/snapshot.ts'
import type { Threshold } from '../model/threshold.ts'

/*
 * A gate is a threshold with two edges and four timers. It passes until its limit has been crossed for stableFor on
 * fresh samples, then fails; it comes back when no sample has been beyond the resume value for dwell, and not before
 * cooldown after it failed; then the target's share grows from 0 to 1 over failBack.
 *
 * Worked example, max 40, resume 32, stableFor 10 s, dwell 60 s: 41 at 0 s, 44 at 10 s: fails at 10 s. 35 at 20 s is
 * beyond 32, so the dwell counts from 20 s; 30 from 25 s on: back at 80 s.
 *
 * Between two failures lies at least one dwell, so the failures in any window number at most ceil(window/dwell) + 1.
 */

/** One threshold of a policy, tied to its gate. */
export interface GateRef {
  readonly signal: string
  readonly threshold: Threshold
  readonly key: string
  /** The gate's key for one model, for signals that are measured by model. */
  readonly byModel: ReadonlyMap<string, string> | undefined
}

/** What a gate is known by: policies that write the same threshold and timers share it. */
export const gateKey = (spec: GateSpec): string => {
  const bare = `${spec.signal}|${spec.op}|${spec.limit}|${spec.resume}|${spec.stableForMs}|${spec.dwellMs}|${spec.failBackMs}|${spec.cooldownMs}`
  return spec.model === undefined ? bare : `${bare}|${spec.model}`
}

/** A gate with its key. */
export interface GateSpecByKey {
  readonly key: string
  readonly spec: GateSpec
}

/** Is this value on the bad side of the limit? */
export const crosses = (op: 'max' | 'min', limit: number, value: number): boolean =>
  op === 'max' ? value > limit : value < limit

/** One gate's state at one target, being worked on. */
export interface GateCell {
  failed: 0 | 1
  crossedAt: EpochMs
  badAt: EpochMs
  failedAt: EpochMs
  returnedAt: EpochMs
}

/** A row for so many targets, all passing. */
export const emptyGate = (spec: GateSpec, size: number): GateRow => ({
  spec,
  active: 0,
  failed: new Array<0 | 1>(size).fill(0),
  crossedAt: new Array<number>(size).fill(0),
  badAt: new Array<number>(size).fill(0),
  failedAt: new Array<number>(size).fill(0),
  returnedAt: new Array<number>(size).fill(0),
})

/**
 * The cell after a sample. `first`: nothing was known before, so a value beyond the limit keeps the target out at
 * once: nobody is moved by it. `gap`: the sample before had gone stale, so what was building up starts again.
 * An insufficient sample satisfies the requirement.
 */
export const onSample = (
  cell: GateCell,
  spec: GateSpec,
  value: number,
  now: EpochMs,
  { first, gap, insufficient }: { readonly first: boolean; readonly gap: boolean; readonly insufficient: boolean },
): void => {
  const overLimit = !insufficient && crosses(spec.op, spec.limit, value)
  if (cell.failed === 1) {
    if (gap || !isGood(spec, value, insufficient)) cell.badAt = now
    else onTime(cell, spec, now, true)
    return
  }
  if (!overLimit) {
    cell.crossedAt = 0
    return
  }
  if (cell.crossedAt === 0 || gap) cell.crossedAt = now
  if (first || now - cell.crossedAt >= spec.stableForMs) fail(cell, now)
}

/** Is the newest sample within the resume value, so that only the timers stand between the target and its return? */
export const isGood = (spec: GateSpec, value: number, insufficient: boolean): boolean =>
  insufficient || !(crosses(spec.op, spec.resume, value) || crosses(spec.op, spec.limit, value))

/** The cell when time has passed and its newest sample, good or not, is still fresh. */
export const onTime = (cell: GateCell, spec: GateSpec, now: EpochMs, good: boolean): void => {
  if (cell.failed === 0) {
    if (cell.crossedAt > 0 && now - cell.crossedAt >= spec.stableForMs) fail(cell, now)
    return
  }
  if (good && now - cell.badAt >= spec.dwellMs && now - cell.failedAt >= spec.cooldownMs) {
    cell.failed = 0
    cell.crossedAt = 0
    cell.returnedAt = now
  }
}

const fail = (cell: GateCell, now: EpochMs): void => {
  cell.failed = 1
  cell.failedAt = now
  cell.badAt = now
  cell.crossedAt = 0
  cell.returnedAt = 0
}

/** The share, 0 to 1, that a target has of what would be its traffic, so long after it came back. */
export const rampShare = (returnedAt: EpochMs, failBackMs: number, now: EpochMs): number => {
  if (returnedAt === 0 || failBackMs <= 0) return 1
  return Math.min(1, Math.max(0, (now - returnedAt) / failBackMs))
}
