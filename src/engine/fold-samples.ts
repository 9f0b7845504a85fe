import type { Event, SampleRefusal } from '../model/event.ts'
import type { EpochMs } from '../model/names.ts'
import type { Heartbeat, Sample } from '../model/sample.ts'
import { columnKey, type Signal, signalOf } from '../model/signal.ts'
import type { Column, GateRow, GateSpec, HeldColumn, SnapshotData } from '../model/snapshot.ts'
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
import { emptyGate, type GateCell, gateKey, onSample } from './gates.ts'
import { onHeartbeat } from './health.ts'
import type { Programs } from './programs.ts'
import { settleTargets } from './settle.ts'

/** How far a sample may lie in the future, for clocks that are a little off. */
const FUTURE_MS = 2_000

/** The data after a batch of samples and signs of life. */
export const foldSamples = (
  data: SnapshotData,
  programs: Programs,
  samples: readonly Sample[],
  heartbeats: readonly Heartbeat[],
  now: EpochMs,
  events: Event[],
): SnapshotData => {
  const size = data.targets.length
  const columns = new Map<string, Draft<Column>>()
  const gates = new Map<string, Draft<GateRow>>()
  const helds = new Map<string, Draft<HeldColumn>>()
  const health = data.health.slice()
  const touched = new Set<number>()
  const refusals = new Map<string, { sample: Sample; why: SampleRefusal; count: number }>()
  const specsBySignal = groupBySignal(programs)

  for (const sample of samples) {
    const signal = signalOf(sample.signal)
    const indexes = indexesOf(programs, sample.site, sample.pool)
    const why =
      signal === undefined ? 'unknown-signal' : indexes.length === 0 ? 'unknown-site' : refusalOf(signal, sample, now)
    if (why !== undefined) {
      note(refusals, sample, why)
      continue
    }
    const key = columnKey(sample.signal, sample.model)
    let column = columns.get(key)
    if (column === undefined) {
      column = data.columns[key] === undefined ? (emptyColumn(size) as Draft<Column>) : draftColumn(data.columns[key])
      columns.set(key, column)
    }
    for (const index of indexes) {
      const before = column.at[index]!
      if (sample.at < before) {
        note(refusals, sample, 'out-of-order')
        continue
      }
      column.value[index] = sample.value
      column.at[index] = sample.at
      column.count[index] = sample.count ?? -1
      column.dispatchedBefore[index] = sample.dispatchedBefore ?? -1
      column.source[index] = sample.source
      const how = {
        first: before === 0,
        gap: before > 0 && now - before > foldAgeMs(sample.signal),
        insufficient: isInsufficient(sample.signal, column.count[index]!),
      }
      for (const base of specsBySignal.gates.get(sample.signal) ?? []) {
        const spec = sample.model === undefined ? base.spec : { ...base.spec, model: sample.model }
        const name = sample.model === undefined ? base.key : gateKey(spec)
        let row = gates.get(name)
        if (row === undefined) {
          row = draftGate(data.gates[name] ?? emptyGate(spec, size))
          gates.set(name, row)
        }
        stepGate(row, name, index, data.targets[index]!, now, events, sample.value, (cell) =>
          onSample(cell, spec, sample.value, now, how),
        )
      }
      if (sample.model === undefined) {
        for (const name of specsBySignal.held.get(sample.signal) ?? []) {
          let held = helds.get(name)
          if (held === undefined) {
            held = draftHeld(data.held[name]!)
            helds.set(name, held)
          }
          holdValue(held, index, sample.value, now)
        }
        if (signal!.red !== undefined) {
          const row = health[index]!
          const red = stepRed(row.red, sample.signal, signal!.red, sample.value)
          if (red !== row.red) {
            health[index] = { ...row, red }
            touched.add(index)
            const limit = 'max' in signal!.red ? signal!.red.max : signal!.red.min
            events.push({
              kind: 'red-changed',
              at: now,
              target: data.targets[index]!,
              signal: sample.signal,
              red: red.length > row.red.length,
              measured: sample.value,
              limit,
            })
          }
        }
      }
    }
  }
  for (const beat of heartbeats) {
    for (const index of indexesOf(programs, beat.site, beat.pool)) {
      health[index] = onHeartbeat(health[index]!, { ...beat, at: Math.min(beat.at, now) })
      touched.add(index)
    }
  }
  for (const { sample, why, count } of refusals.values()) {
    events.push({ kind: 'samples-refused', at: now, source: sample.source, signal: sample.signal, why, count })
  }
  return {
    ...data,
    columns: columns.size === 0 ? data.columns : { ...data.columns, ...Object.fromEntries(columns) },
    gates: gates.size === 0 ? data.gates : { ...data.gates, ...Object.fromEntries(gates) },
    held: helds.size === 0 ? data.held : { ...data.held, ...Object.fromEntries(helds) },
    health: touched.size === 0 ? data.health : settleTargets(health, touched, data.targets, programs, now, events),
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
  if (cell.failed === before) return
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

const indexesOf = (programs: Programs, site: string, pool: string | undefined): readonly number[] => {
  if (pool === undefined) return programs.bySite.get(site) ?? []
  const index = programs.indexOf.get(`${site}/${pool}`)
  return index === undefined ? [] : [index]
}

const refusalOf = (signal: Signal, sample: Sample, now: EpochMs): SampleRefusal | undefined => {
  if (!Number.isFinite(sample.value) || !Number.isFinite(sample.at)) return 'not-a-number'
  if (sample.value < signal.range[0] || sample.value > signal.range[1]) return 'out-of-range'
  if (sample.at > now + FUTURE_MS) return 'in-the-future'
  if (sample.model !== undefined && signal.byModel !== true) return 'not-by-model'
  return undefined
}

const note = (
  refusals: Map<string, { sample: Sample; why: SampleRefusal; count: number }>,
  sample: Sample,
  why: SampleRefusal,
): void => {
  const key = `${sample.source}|${sample.signal}|${why}`
  const known = refusals.get(key)
  if (known === undefined) refusals.set(key, { sample, why, count: 1 })
  else known.count += 1
}

/** The list with the signal added or taken out; the same list where nothing changes. */
const stepRed = (
  red: readonly string[],
  name: string,
  limits: NonNullable<Signal['red']>,
  value: number,
): readonly string[] => {
  const isRed = red.includes(name)
  const edge = isRed ? limits.resume : 'max' in limits ? limits.max : limits.min
  const beyond = 'max' in limits ? value > edge : value < edge
  if (beyond === isRed) return red
  return beyond ? [...red, name] : red.filter((one) => one !== name)
}

const grouped = new WeakMap<Programs['gateSpecs'], ReturnType<typeof group>>()
const group = (programs: Programs) => {
  const gates = new Map<string, { key: string; spec: GateSpec }[]>()
  for (const [key, spec] of programs.gateSpecs) {
    gates.set(spec.signal, [...(gates.get(spec.signal) ?? []), { key, spec }])
  }
  const held = new Map<string, string[]>()
  for (const [key, spec] of programs.heldSpecs) held.set(spec.signal, [...(held.get(spec.signal) ?? []), key])
  return { gates, held }
}
/** Gates and ranked columns by signal; worked out once for each compiled set of documents. */
const groupBySignal = (programs: Programs): ReturnType<typeof group> => {
  let known = grouped.get(programs.gateSpecs)
  if (known === undefined) {
    known = group(programs)
    grouped.set(programs.gateSpecs, known)
  }
  return known
}
