import { DIMENSIONS, type Dimension } from '../model/signal-row.ts'

/** Milliseconds that a site was amber and red in one dimension, or in the worst of them. */
export type StateTime = { amberMs: number; redMs: number }

/** Work that was turned away for one reason. */
export type WorkCount = { asked: number; work: number; sized: number; mwh: number; gpuHours: number }

/** One hour of the ledger. Keys are words parted by line ends: `ams\npower`, `ams\ntraining\ndelay\npower.headroom_mw`. */
export interface Hour {
  watchedMs: number
  readonly states: Map<string, StateTime>
  readonly work: Map<string, WorkCount>
}

/** Hours by their number since the epoch. */
export type Hours = Map<number, Hour>

/** The place under which every piece of work is counted once, whatever the sites that turned it away. */
export const EVERYWHERE = '*'
/** The dimension under which the worst of all but procedures is counted. */
export const OVERALL = 'overall'
/** The states of dimensions that say something of capacity; who has practised lately does not. */
export const CAPACITY: readonly Dimension[] = DIMENSIONS.filter((dimension) => dimension !== 'procedures')

/** An hour in milliseconds. */
export const HOUR_MS = 3_600_000
/** 35 days. What is kept is bounded by number and not by age, so that a clock that leaps does not wipe it out. */
export const HOURS_MAX = 840
/** Entries of all hours together, some 10 MB; beyond it the oldest hours go. */
export const ENTRIES_MAX = 100_000

/** An hour in which nothing has happened. */
export const emptyHour = (): Hour => ({ watchedMs: 0, states: new Map(), work: new Map() })

/** The hour of this number, made if it is not there. */
export function hourOf(hours: Hours, number: number): Hour {
  let hour = hours.get(number)
  if (hour === undefined) {
    hour = emptyHour()
    hours.set(number, hour)
  }
  return hour
}

/** Drops the oldest hours until as many are left as may be kept; gives the number of entries left. */
export function trim(hours: Hours, hoursMax = HOURS_MAX, entriesMax = ENTRIES_MAX): number {
  let entries = 0
  for (const hour of hours.values()) entries += hour.states.size + hour.work.size
  const oldest = [...hours.keys()].sort((a, b) => a - b)
  for (const number of oldest) {
    if ((hours.size <= hoursMax && entries <= entriesMax) || hours.size <= 1) break
    const { states, work } = hours.get(number)!
    entries -= states.size + work.size
    hours.delete(number)
  }
  return entries
}
