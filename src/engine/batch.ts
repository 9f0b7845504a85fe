import type { Event } from '../model/event.ts'
import type { EpochMs } from '../model/names.ts'
import { columnKey, signalOf } from '../model/signal.ts'
import type { Column, GateRow, GateSpec, HealthRow, HeldColumn, SnapshotData, TrendCell } from '../model/snapshot.ts'
import { type Draft, draftGate, draftHeld, emptyColumn, foldAgeMs, holdValue, movesHeld } from './columns.ts'
import { crosses, emptyGate, type GateCell, type GateSpecByKey, gateKey, onSample } from './gates.ts'
import type { Programs } from './programs.ts'
import { settleTargets } from './settle.ts'
import { follow, TRENDED } from './trend.ts'

/** One value on its way into a column. */
export interface Incoming {
  readonly signal: string
  readonly model?: string | undefined
  readonly from?: string | undefined
  readonly value: number
  readonly at: EpochMs
  readonly source: string
  readonly count: number
  readonly dispatchedBefore: number
  /** 0: its age decides. */
  readonly until: EpochMs
}

/** What a batch works on for one column: its draft, and the gates and ranked columns that hang on it. */
interface Slot {
  readonly column: Draft<Column>
  readonly gates: { readonly key: string; readonly spec: GateSpec; row: GateRow | undefined; isDraft: boolean }[]
  readonly helds: { readonly key: string; column: HeldColumn; isDraft: boolean }[]
  readonly owns: Record<Lent, boolean>
  readonly countMin: number | undefined
  readonly ageMs: number
  readonly mayBeRed: boolean
  readonly isTrended: boolean
}

/** The lists of a column that a batch copies only when something else is to be written to them. */
type Lent = 'count' | 'dispatchedBefore' | 'source' | 'until' | 'noise'

/** The list of a column to be written to: copied at the first time. */
const owned = <Name extends Lent>({ column, owns }: Slot, name: Name): Draft<Column>[Name] => {
  if (!owns[name]) {
    owns[name] = true
    ;(column as Record<string, unknown>)[name] = column[name].slice()
  }
  return column[name]
}

/** How often the way of power and cooling is noted: plant moves in minutes. */
const FOLLOWED_MS = 2_000

/** How fast the noise measure follows, by sample: about the last twenty count. */
const NOISE_WEIGHT = 0.1

/**
 * The changes of one fold being worked on: what is written is copied once, what is not stays shared with the snapshot
 * before. `put` is the only way in which a value reaches columns, gates, ranked columns and red.
 */
export class Batch {
  readonly data: SnapshotData
  readonly programs: Programs
  readonly now: EpochMs
  readonly events: Event[]
  readonly touched = new Set<number>()
  readonly #slots = new Map<string, Slot>()
  readonly #trends = new Map<string, (TrendCell | null)[]>()
  readonly #bySignal: BySignal
  #health: HealthRow[] | undefined

  constructor(data: SnapshotData, programs: Programs, now: EpochMs, events: Event[]) {
    this.data = data
    this.programs = programs
    this.now = now
    this.events = events
    this.#bySignal = bySignal(programs)
  }

  /** The health rows, copied for writing. */
  health(): HealthRow[] {
    this.#health ??= this.data.health.slice()
    return this.#health
  }

  /** Has a column of this signal a newer value there? */
  isOlder(key: string, index: number, at: EpochMs): boolean {
    return at < ((this.#slots.get(key)?.column ?? this.data.columns[key])?.at[index] ?? 0)
  }

  /** Takes a value back that has run out: the signal is missing there, and red by it no more. */
  forget(signal: string, index: number): void {
    const slot = this.#slot(signal, signal)
    const { column } = slot
    column.at[index] = 0
    if (column.until[index] !== 0) owned(slot, 'until')[index] = 0
    this.#red(signal, index, undefined)
  }

  /** Writes a value for one target, and moves what hangs on it. */
  put(index: number, incoming: Incoming): void {
    const { signal, model, from, value, at, count } = incoming
    const { now } = this
    const slot = this.#slot(columnKey(signal, model, from), signal, model, from)
    const { column } = slot
    const before = column.at[index]!
    if (before > 0) {
      const moved = NOISE_WEIGHT * (Math.abs(value - column.value[index]!) - column.noise[index]!)
      if (moved !== 0) owned(slot, 'noise')[index]! += moved
    }
    column.value[index] = value
    column.at[index] = at
    // The rest is nearly always what it was: a list that nothing is written to is shared with the snapshot before.
    if (column.count[index] !== count) owned(slot, 'count')[index] = count
    if (column.dispatchedBefore[index] !== incoming.dispatchedBefore)
      owned(slot, 'dispatchedBefore')[index] = incoming.dispatchedBefore
    if (column.source[index] !== incoming.source) owned(slot, 'source')[index] = incoming.source
    if (column.until[index] !== incoming.until) owned(slot, 'until')[index] = incoming.until
    const insufficient = slot.countMin !== undefined && count >= 0 && count < slot.countMin
    for (const gate of slot.gates) {
      const { row, spec } = gate
      // A gate that passes and goes on passing has nothing to write: nearly all of them, at nearly every sample.
      const passes = row === undefined || (row.failed[index] === 0 && row.crossedAt[index] === 0)
      if (passes && (insufficient || !crosses(spec.op, spec.limit, value))) continue
      if (!gate.isDraft) {
        gate.row = draftGate(row ?? emptyGate(spec, this.data.targets.length))
        gate.isDraft = true
      }
      const how = { first: before === 0, gap: before > 0 && now - before > slot.ageMs, insufficient }
      stepGate(
        gate.row as Draft<GateRow>,
        gate.key,
        index,
        this.data.targets[index]!,
        now,
        this.events,
        value,
        (cell) => onSample(cell, spec, value, now, how),
      )
    }
    for (const held of slot.helds) {
      if (!movesHeld(held.column, index, value)) continue
      if (!held.isDraft) {
        held.column = draftHeld(held.column)
        held.isDraft = true
      }
      holdValue(held.column as Draft<HeldColumn>, index, value, now)
    }
    if (slot.isTrended) this.#follow(signal, index, value, at)
    if (slot.mayBeRed) this.#red(signal, index, value)
  }

  /** The data with all that was put. */
  result(): SnapshotData {
    const { data, programs, now, events } = this
    const columns: Record<string, Column> = { ...data.columns }
    const gates: Record<string, GateRow> = { ...data.gates }
    const held: Record<string, HeldColumn> = { ...data.held }
    for (const [key, slot] of this.#slots) {
      columns[key] = slot.column
      for (const gate of slot.gates) if (gate.isDraft) gates[gate.key] = gate.row!
      for (const one of slot.helds) if (one.isDraft) held[one.key] = one.column
    }
    const rows = this.#health ?? data.health
    const health =
      this.touched.size === 0 ? rows : settleTargets(rows, this.touched, data.targets, programs, columns, now, events)
    const trends = this.#trends.size === 0 ? data.trends : { ...data.trends, ...Object.fromEntries(this.#trends) }
    return { ...data, columns, gates, held, health, trends }
  }

  #slot(key: string, signal: string, model?: string, from?: string): Slot {
    const known = this.#slots.get(key)
    if (known !== undefined) return known
    const { data } = this
    const column = data.columns[key] ?? emptyColumn(data.targets.length)
    const bases = from === undefined ? (this.#bySignal.gates.get(signal) ?? []) : []
    const slot: Slot = {
      column: { ...(column as Draft<Column>), value: column.value.slice(), at: column.at.slice() },
      gates: bases.map((base) => {
        const spec = model === undefined ? base.spec : { ...base.spec, model }
        const name = model === undefined ? base.key : gateKey(spec)
        return { key: name, spec, row: data.gates[name], isDraft: false }
      }),
      helds:
        model !== undefined || from !== undefined
          ? []
          : (this.#bySignal.held.get(signal) ?? []).map((name) => ({
              key: name,
              column: data.held[name]!,
              isDraft: false,
            })),
      owns: { count: false, dispatchedBefore: false, source: false, until: false, noise: false },
      countMin: signalOf(signal)?.countMin,
      ageMs: foldAgeMs(signal),
      isTrended: model === undefined && TRENDED.has(signal),
      mayBeRed: model === undefined && (signal === 'maintenance.active' || this.#bySignal.red.has(signal)),
    }
    this.#slots.set(key, slot)
    return slot
  }

  #follow(signal: string, index: number, value: number, at: EpochMs): void {
    const known = (this.#trends.get(signal) ?? this.data.trends[signal])?.[index]
    if (known !== undefined && known !== null && at >= known.at && at - known.at < FOLLOWED_MS) return
    let cells = this.#trends.get(signal)
    if (cells === undefined) {
      cells = this.data.trends[signal]?.slice() ?? new Array<TrendCell | null>(this.data.targets.length).fill(null)
      this.#trends.set(signal, cells)
    }
    cells[index] = follow(cells[index], value, at)
  }

  /** Red by safety acts on each value as it is, and at once; undefined: nothing is known any more. */
  #red(signal: string, index: number, value: number | undefined): void {
    if (signal === 'maintenance.active') {
      this.touched.add(index)
      return
    }
    const limits = this.programs.redLimits[index]?.get(signal)
    if (limits === undefined) return
    const red = (this.#health ?? this.data.health)[index]!.red
    const isRed = red.includes(signal)
    if (value === undefined ? !isRed : crosses(limits.op, isRed ? limits.resume : limits.limit, value) === isRed) return
    const health = this.health()
    health[index] = { ...health[index]!, red: isRed ? red.filter((one) => one !== signal) : [...red, signal] }
    this.touched.add(index)
    this.events.push({
      kind: 'red-changed',
      at: this.now,
      target: this.data.targets[index]!,
      signal,
      red: !isRed,
      measured: value ?? limits.resume,
      limit: limits.limit,
    })
  }
}

/** One gate's cell taken out, stepped and put back; a transition becomes an event. */
export const stepGate = (
  row: Draft<GateRow>,
  name: string,
  index: number,
  target: string,
  now: EpochMs,
  events: Event[],
  measured: number | null,
  step: (cell: GateCell) => void,
): void => {
  const before = row.failed[index]!
  const wasActive = Number(before === 1 || row.crossedAt[index]! > 0)
  const cell: GateCell = {
    failed: before,
    crossedAt: row.crossedAt[index]!,
    badAt: row.badAt[index]!,
    failedAt: row.failedAt[index]!,
    returnedAt: row.returnedAt[index]!,
  }
  step(cell)
  row.failed[index] = cell.failed
  row.crossedAt[index] = cell.crossedAt
  row.badAt[index] = cell.badAt
  row.failedAt[index] = cell.failedAt
  row.returnedAt[index] = cell.returnedAt
  row.active += Number(cell.failed === 1 || cell.crossedAt > 0) - wasActive
  if (cell.failed === before || row.spec.quiet === true) return
  const { signal, limit, resume, stableForMs, dwellMs } = row.spec
  events.push({
    kind: 'gate-changed',
    at: now,
    target,
    gate: name,
    signal,
    from: before === 1 ? 'fail' : 'pass',
    to: cell.failed === 1 ? 'fail' : 'pass',
    measured,
    limit: cell.failed === 1 ? limit : resume,
    cause: cell.failed === 1 ? `beyond ${limit} for ${stableForMs} ms` : `within ${resume} for ${dwellMs} ms`,
  })
}

interface BySignal {
  readonly gates: ReadonlyMap<string, readonly GateSpecByKey[]>
  readonly held: ReadonlyMap<string, readonly string[]>
  /** Signals that make some target red. */
  readonly red: ReadonlySet<string>
}

const grouped = new WeakMap<Programs['gateSpecs'], BySignal>()

/** Gates and ranked columns by signal; worked out once for each compiled set of documents. */
const bySignal = (programs: Programs): BySignal => {
  let known = grouped.get(programs.gateSpecs)
  if (known === undefined) {
    const gates = new Map<string, GateSpecByKey[]>()
    for (const [key, spec] of programs.gateSpecs)
      gates.set(spec.signal, [...(gates.get(spec.signal) ?? []), { key, spec }])
    const held = new Map<string, string[]>()
    for (const [key, spec] of programs.heldSpecs) held.set(spec.signal, [...(held.get(spec.signal) ?? []), key])
    const red = new Set(programs.redLimits.flatMap((limits) => [...limits.keys()]))
    known = { gates, held, red }
    grouped.set(programs.gateSpecs, known)
  }
  return known
}
