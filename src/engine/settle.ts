import type { Event } from '../model/event.ts'
import type { EpochMs } from '../model/names.ts'
import type { Column, HealthRow } from '../model/snapshot.ts'
import { settle } from './health.ts'
import { drainOf, maintenanceOf } from './orders.ts'
import type { Programs } from './programs.ts'

/** The health rows with drains, maintenance and the states that follow from them; each change of state is an event. */
export const settleTargets = (
  health: readonly HealthRow[],
  indexes: Iterable<number>,
  targets: readonly string[],
  programs: Programs,
  columns: Readonly<Record<string, Column>>,
  now: EpochMs,
  events: Event[],
): readonly HealthRow[] => {
  let out: HealthRow[] | undefined
  for (const index of indexes) {
    const before = health[index]!
    const target = programs.targets[index]!
    const after = settle(before, drainOf(programs, target, now), maintenanceOf(programs, target, now, columns), now)
    if (after === before) continue
    out ??= health.slice()
    out[index] = after
    if (after.state !== before.state) {
      events.push({
        kind: 'health-changed',
        at: now,
        target: targets[index]!,
        from: before.state,
        to: after.state,
        cause: after.cause,
      })
    }
  }
  return out ?? health
}
