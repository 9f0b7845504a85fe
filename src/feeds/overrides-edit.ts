import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { EpochMs } from '../model/names.ts'
import type { MaintenanceOrder, Override, OverrideSet, RoutingSwitch } from '../model/override.ts'
import type { Problem } from '../model/problem.ts'
import { NO_OVERRIDES, readOverrides } from './overrides-read.ts'

/** How long orders stay in the file after their end, for people who look what was in force: a week. */
const KEPT_AFTER_MS = 7 * 86_400_000
/** A lock older than this was left behind by somebody who died. Writing takes milliseconds. */
const LOCK_STALE_MS = 10_000
const LOCK_WAIT_MS = 5_000

/** The set with one order more. An order of the same id is replaced. */
export const addOverride = (set: OverrideSet, order: Override): OverrideSet => ({
  ...set,
  overrides: [...set.overrides.filter(({ id }) => id !== order.id), order],
})

/** The set with one maintenance order more. An order of the same id is replaced. */
export const addMaintenance = (set: OverrideSet, order: MaintenanceOrder): OverrideSet => ({
  ...set,
  maintenance: [...set.maintenance.filter(({ id }) => id !== order.id), order],
})

/** The set without the order of this id, of either kind; undefined if there is none. */
export function endOverride(set: OverrideSet, id: string): OverrideSet | undefined {
  const overrides = set.overrides.filter((order) => order.id !== id)
  const maintenance = set.maintenance.filter((order) => order.id !== id)
  const isFound = overrides.length < set.overrides.length || maintenance.length < set.maintenance.length
  return isFound ? { ...set, overrides, maintenance } : undefined
}

/** The set with routing switched on or off. */
export const switchRouting = (set: OverrideSet, routing: RoutingSwitch): OverrideSet => ({ ...set, routing })

/** The set without orders that ended more than a week ago. */
export const withoutOld = (set: OverrideSet, now: EpochMs): OverrideSet => ({
  ...set,
  overrides: set.overrides.filter(({ expires }) => expires > now - KEPT_AFTER_MS),
  maintenance: set.maintenance.filter(({ to }) => to > now - KEPT_AFTER_MS),
})

/** The set as its file has it: times that people can read. */
export function overridesText(set: OverrideSet): string {
  const iso = (at: EpochMs): string => new Date(at).toISOString()
  const written = {
    ...(set.routing === undefined ? {} : { routing: { ...set.routing, at: iso(set.routing.at) } }),
    overrides: set.overrides.map((order) => ({ ...order, created: iso(order.created), expires: iso(order.expires) })),
    maintenance: set.maintenance.map((order) => ({ ...order, from: iso(order.from), to: iso(order.to) })),
  }
  return `${JSON.stringify(written, null, 2)}\n`
}

/** What came of an edit: the new set, or what kept it from being written. */
export type Edited = { readonly set: OverrideSet } | { readonly problems: readonly Problem[] }

/**
 * Changes the file of orders: read, edited, checked, written beside it, flushed and renamed over it, under a lock, so
 * that two operators at once lose nothing; the lock is waited for 5 s. A file that is not there is an empty set. `edit`
 * may give problems instead.
 */
export async function editOverrides(
  file: string,
  now: EpochMs,
  edit: (set: OverrideSet) => Edited,
  lockWaitMs = LOCK_WAIT_MS,
): Promise<Edited> {
  const lock = `${file}.lock`
  const denied = await takeLock(lock, lockWaitMs)
  if (denied !== null) return { problems: [denied] }
  try {
    const before = readOrders(file, now)
    if ('problems' in before) return before
    const edited = edit(before.set)
    if ('problems' in edited) return edited
    const text = overridesText(withoutOld(edited.set, now))
    // Held against the same rules as a file that somebody wrote by hand.
    const { set, problems } = readOverrides(text, file, now)
    if (set === null) return { problems }
    writeWhole(file, text)
    return { set }
  } catch (error) {
    return { problems: [unwritable(file, error as Error)] }
  } finally {
    rmSync(lock, { force: true })
  }
}

/** The orders in a file, without a lock: it is replaced whole. A file that is not there has none. */
export function readOrders(file: string, now: EpochMs): Edited {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { set: NO_OVERRIDES }
    throw error
  }
  const { set, problems } = readOverrides(text, file, now)
  return set === null ? { problems } : { set }
}

/** Writes a file so that whoever reads it sees the old text or the new one. */
export function writeWhole(file: string, text: string): void {
  const beside = `${file}.new`
  const handle = openSync(beside, 'w', 0o640)
  try {
    writeSync(handle, text)
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
  renameSync(beside, file)
}

async function takeLock(lock: string, waitMs: number): Promise<Problem | null> {
  for (let waitedMs = 0; ; waitedMs += 50) {
    try {
      const handle = openSync(lock, 'wx')
      writeSync(handle, `${process.pid}\n`)
      closeSync(handle)
      return null
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return unwritable(lock, error as Error)
    }
    if (isStale(lock)) rmSync(lock, { force: true })
    else if (waitedMs >= waitMs) {
      const message = `${lock} has been there for ${waitMs} ms: somebody else is writing`
      return {
        code: 'override/locked',
        severity: 'error',
        message,
        remedy: 'try again, or remove the file if nobody is',
      }
    } else await sleep(50)
  }
}

function isStale(lock: string): boolean {
  try {
    return Date.now() - statSync(lock).mtimeMs > LOCK_STALE_MS
  } catch {
    return false
  }
}

const unwritable = (file: string, error: Error): Problem => ({
  code: 'override/unreadable',
  severity: 'error',
  message: `${file} cannot be read or written: ${error.message}`,
  remedy: 'check that its folder is there and who may write it',
})
