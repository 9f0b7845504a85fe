import type { Event } from '../model/event.ts'
import type { EpochMs } from '../model/names.ts'
import { columnKey } from '../model/signal.ts'
import type { Column, GateRow, HeldColumn } from '../model/snapshot.ts'
import { stepGate } from './batch.ts'
import { type Draft, draftGate, emptyColumn, emptyHeld, foldAgeMs, isInsufficient, isStale, remap } from './columns.ts'
import { emptyGate, gateKey, onSample } from './gates.ts'
import type { Programs } from './programs.ts'

/**
 * The gates that the programs need: those that were there with what they remember, others from what is measured now.
 * `from` is the old place of each target; undefined: all stand where they stood.
 */
export const keepGates = (
  old: Readonly<Record<string, GateRow>>,
  from: readonly number[] | undefined,
  columns: Readonly<Record<string, Column>>,
  targets: readonly string[],
  programs: Programs,
  now: EpochMs,
  events: Event[],
): Record<string, GateRow> => {
  const gates: Record<string, GateRow> = {}
  for (const [key, row] of Object.entries(old)) {
    const { model: _, ...base } = row.spec
    const spec = programs.gateSpecs.get(gateKey(base))
    if (spec === undefined) continue
    if (from === undefined) {
      gates[key] = { ...row, spec: row.spec.model === undefined ? spec : { ...spec, model: row.spec.model } }
      continue
    }
    const failed = remap(from, row.failed, 0)
    const crossedAt = remap(from, row.crossedAt, 0)
    gates[key] = {
      spec: row.spec.model === undefined ? spec : { ...spec, model: row.spec.model },
      active: failed.filter((one, index) => one === 1 || crossedAt[index]! > 0).length,
      failed,
      crossedAt,
      badAt: remap(from, row.badAt, 0),
      failedAt: remap(from, row.failedAt, 0),
      returnedAt: remap(from, row.returnedAt, 0),
    }
  }
  for (const [key, spec] of programs.gateSpecs) {
    if (gates[key] !== undefined) continue
    // A gate nobody had before starts from what is measured now: a full queue keeps a target out from the beginning.
    const row = draftGate(emptyGate(spec, targets.length))
    const column = columns[columnKey(spec.signal, spec.model)] ?? emptyColumn(targets.length)
    for (let index = 0; index < targets.length; index++) {
      if (isStale(column, index, foldAgeMs(spec.signal), now)) continue
      const insufficient = isInsufficient(spec.signal, column.count[index]!)
      const value = column.value[index]!
      stepGate(row, key, index, targets[index]!, now, events, value, (cell) =>
        onSample(cell, spec, value, now, { first: true, gap: false, insufficient }),
      )
    }
    gates[key] = row
  }
  return gates
}

/** The same for ranked columns. */
export const keepHeld = (
  old: Readonly<Record<string, HeldColumn>>,
  from: readonly number[] | undefined,
  columns: Readonly<Record<string, Column>>,
  size: number,
  programs: Programs,
): Record<string, HeldColumn> => {
  const held: Record<string, HeldColumn> = {}
  for (const [key, spec] of programs.heldSpecs) {
    const known = old[key]
    if (known !== undefined) {
      held[key] =
        from === undefined
          ? known
          : { ...known, value: remap(from, known.value, null), leftAt: remap(from, known.leftAt, 0) }
      continue
    }
    const fresh: Draft<HeldColumn> = emptyHeld(spec, size) as Draft<HeldColumn>
    const column = columns[spec.signal]
    for (const [index, at] of (column?.at ?? []).entries()) if (at > 0) fresh.value[index] = column!.value[index]!
    held[key] = fresh
  }
  return held
}
