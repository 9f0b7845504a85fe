import type { Event } from '../model/event.ts'
import type { EpochMs } from '../model/names.ts'
import { columnKey } from '../model/signal.ts'
import type { Column, GateRow, HealthRow, HeldColumn, SnapshotData } from '../model/snapshot.ts'
import {
  type Draft,
  draftColumn,
  draftGate,
  draftHeld,
  emptyColumn,
  foldAgeMs,
  holdValue,
  isInsufficient,
} from './columns.ts'
import { crosses, emptyGate, type GateCell, type GateSpecByKey, gateKey, onSample } from './gates.ts'
import type { Programs } from './programs.ts'
import { settleTargets } from './settle.ts'

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
  readonly #columns = new Map<string, Draft<Column>>()
  readonly #gates = new Map<string, Draft<GateRow>>()
  readonly #helds = new Map<string, Draft<HeldColumn>>()
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
    return at < ((this.#columns.get(key) ?? this.data.columns[key])?.at[index] ?? 0)
  }

  /** Takes a value back that has run out: the signal is missing there, and red by it no more. */
  forget(signal: string, index: number): void {
    const column = this.#column(signal)
    column.at[index] = 0
    column.until[index] = 0
    this.#red(signal, index, undefined)
  }

  /** Writes a value for one target, and moves what hangs on it. */
  put(index: number, incoming: Incoming): void {
    const { signal, model, from, at, count } = incoming
    const { now } = this
    const column = this.#column(columnKey(signal, model, from))
    const before = column.at[index]!
    const { value } = incoming
    if (before > 0)
      column.noise[index]! += NOISE_WEIGHT * (Math.abs(value - column.value[index]!) - column.noise[index]!)
    column.value[index] = value
    column.at[index] = at
    column.count[index] = count
    column.dispatchedBefore[index] = incoming.dispatchedBefore
    column.source[index] = incoming.source
    column.until[index] = incoming.until
    if (from !== undefined) return
    const how = {
      first: before === 0,
      gap: before > 0 && now - before > foldAgeMs(signal),
      insufficient: isInsufficient(signal, count),
    }
    for (const base of this.#bySignal.gates.get(signal) ?? []) {
      const spec = model === undefined ? base.spec : { ...base.spec, model }
      const name = model === undefined ? base.key : gateKey(spec)
      const known = this.#gates.get(name) ?? this.data.gates[name]
      // A gate that passes and goes on passing has nothing to write: nearly all of them, at nearly every sample.
      const passes = known === undefined || (known.failed[index] === 0 && known.crossedAt[index] === 0)
      if (passes && (how.insufficient || !crosses(spec.op, spec.limit, value))) continue
      const row = this.#gate(name, known ?? emptyGate(spec, this.data.targets.length))
      stepGate(row, name, index, this.data.targets[index]!, now, this.events, value, (cell) =>
        onSample(cell, spec, value, now, how),
      )
    }
    if (model !== undefined) return
    for (const name of this.#bySignal.held.get(signal) ?? []) holdValue(this.#held(name), index, value, now)
    this.#red(signal, index, value)
  }

  /** The data with all that was put. */
  result(): SnapshotData {
    const { data } = this
    const columns = this.#columns.size === 0 ? data.columns : { ...data.columns, ...Object.fromEntries(this.#columns) }
    const health =
      this.touched.size === 0
        ? (this.#health ?? data.health)
        : settleTargets(
            this.#health ?? data.health,
            this.touched,
            data.targets,
            this.programs,
            columns,
            this.now,
            this.events,
          )
    return {
      ...data,
      columns,
      gates: this.#gates.size === 0 ? data.gates : { ...data.gates, ...Object.fromEntries(this.#gates) },
      held: this.#helds.size === 0 ? data.held : { ...data.held, ...Object.fromEntries(this.#helds) },
      health,
    }
  }

  #column(key: string): Draft<Column> {
    let column = this.#columns.get(key)
    if (column === undefined) {
      const known = this.data.columns[key]
      column = known === undefined ? (emptyColumn(this.data.targets.length) as Draft<Column>) : draftColumn(known)
      this.#columns.set(key, column)
    }
    return column
  }

  #gate(name: string, known: GateRow): Draft<GateRow> {
    let row = this.#gates.get(name)
    if (row === undefined) {
      row = draftGate(known)
      this.#gates.set(name, row)
    }
    return row
  }

  #held(name: string): Draft<HeldColumn> {
    let held = this.#helds.get(name)
    if (held === undefined) {
      held = draftHeld(this.data.held[name]!)
      this.#helds.set(name, held)
    }
    return held
  }

  /** Red by safety acts on each value as it is, and at once; undefined: nothing is known any more. */
  #red(signal: string, index: number, value: number | undefined): void {
    if (signal === 'maintenance.active') this.touched.add(index)
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
    known = { gates, held }
    grouped.set(programs.gateSpecs, known)
  }
  return known
}
