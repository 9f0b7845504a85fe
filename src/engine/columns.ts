import type { WorkloadClass } from '../model/documents.ts'
import type { EpochMs } from '../model/names.ts'
import { signalOf } from '../model/signal.ts'
import type { Column, GateRow, HeldColumn } from '../model/snapshot.ts'

/** A column in which nothing has been measured. */
export const emptyColumn = (size: number): Column => ({
  value: new Array<number>(size).fill(0),
  at: new Array<number>(size).fill(0),
  count: new Array<number>(size).fill(-1),
  dispatchedBefore: new Array<number>(size).fill(-1),
  source: new Array<string>(size).fill(''),
  until: new Array<number>(size).fill(0),
  noise: new Array<number>(size).fill(0),
})

/** A ranked column in which nothing is held yet. */
export const emptyHeld = (spec: Omit<HeldColumn, 'value' | 'leftAt'>, size: number): HeldColumn => ({
  ...spec,
  value: new Array<number | null>(size).fill(null),
  leftAt: new Array<number>(size).fill(0),
})

/** An object whose arrays may be written. */
export type Draft<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] }

/** A copy of a gate's row that may be written. */
export const draftGate = (row: GateRow): Draft<GateRow> => ({
  spec: row.spec,
  active: row.active,
  failed: row.failed.slice(),
  crossedAt: row.crossedAt.slice(),
  badAt: row.badAt.slice(),
  failedAt: row.failedAt.slice(),
  returnedAt: row.returnedAt.slice(),
})

/** A copy of a ranked column that may be written. */
export const draftHeld = (column: HeldColumn): Draft<HeldColumn> => ({
  ...column,
  value: column.value.slice(),
  leftAt: column.leftAt.slice(),
})

/** Would this raw value write anything to the ranked column? */
export const movesHeld = (column: HeldColumn, index: number, value: number): boolean => {
  const held = column.value[index]!
  if (held === null || column.leftAt[index] !== 0) return true
  return Math.abs(value - held) > Math.max(column.within, (Math.abs(held) * column.withinPct) / 100)
}

/** The ranked column after a raw value: it follows at once where it held nothing, else only when the value has been outside the tolerance for stableFor. */
export const holdValue = (column: Draft<HeldColumn>, index: number, value: number, now: EpochMs): void => {
  const held = column.value[index]!
  if (held !== null) {
    const tolerance = Math.max(column.within, (Math.abs(held) * column.withinPct) / 100)
    if (Math.abs(value - held) <= tolerance) {
      column.leftAt[index] = 0
      return
    }
    if (column.leftAt[index] === 0) column.leftAt[index] = now
    if (now - column.leftAt[index]! < column.stableForMs) return
  }
  column.value[index] = value
  column.leftAt[index] = 0
}

/** The age past which `fold` no longer builds on a sample: the signal's own hard age, five minutes for signals without. */
export const foldAgeMs = (signal: string): number => signalOf(signal)?.staleAfterMs ?? 300_000

/**
 * The age in milliseconds past which a signal is stale for a class: the class's entry, else the signal's own hard age,
 * else the class's default; 0: never.
 */
export const freshnessLimit = (workload: WorkloadClass | undefined, signal: string): number =>
  workload?.freshness[signal] ?? signalOf(signal)?.staleAfterMs ?? workload?.freshnessDefaultMs ?? 0

/**
 * Is the value at this index too old to build on? One that says until when it holds is stale past that, whatever its age;
 * others past the limit in milliseconds, 0 for never. What was never measured is missing, which is no better.
 */
export const isStale = (column: Column | undefined, index: number, limitMs: number, now: EpochMs): boolean => {
  const at = column?.at[index] ?? 0
  if (at === 0) return true
  const until = column!.until[index]!
  return until > 0 ? now >= until : limitMs > 0 && now - at > limitMs
}

/** Do too few events stand behind a value for it to say anything? */
export const isInsufficient = (signal: string, count: number): boolean => {
  const countMin = signalOf(signal)?.countMin
  return countMin !== undefined && count >= 0 && count < countMin
}

/** Is nothing moved by this order, so that the arrays can be kept as they are? */
export const isSameOrder = (from: readonly number[], size: number): boolean =>
  from.length === size && from.every((at, index) => at === index)

/** The array in a new order: `from[i]` is the old place of the new element i, -1 for one that was not there. */
export const remap = <T>(from: readonly number[], old: readonly T[], missing: T): T[] =>
  from.map((at) => (at < 0 ? missing : old[at]!))
