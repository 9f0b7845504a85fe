import type { Event } from '../model/event.ts'
import type { EpochMs } from '../model/names.ts'
import type { Reservation } from '../model/reservation.ts'
import { columnKey } from '../model/signal.ts'
import type { GateRow, SnapshotData } from '../model/snapshot.ts'
import { Batch, stepGate } from './batch.ts'
import { type Draft, draftGate, foldAgeMs, isInsufficient, isStale } from './columns.ts'
import { unexpired } from './facility.ts'
import { foldSamples, Speaking } from './fold-samples.ts'
import { isGood, onTime } from './gates.ts'
import { onSilence } from './health.ts'
import type { EngineSnapshot, Programs } from './programs.ts'
import { foldReadiness } from './readiness.ts'
import { NO_RESERVATIONS, withReservation } from './reserve.ts'
import { intervalAt } from './series.ts'

/** The snapshot once a second has passed: gates, silence, prices, events of the grid, reservations, readiness. */
export const passTime = (snapshot: EngineSnapshot, now: EpochMs, events: Event[]): EngineSnapshot => {
  const { programs } = snapshot
  let data = stepGates(snapshot.data, now, events)
  data = listen(data, now)
  data = runSeries(data, programs, now, events)
  data = expire(data, programs, now, events)
  data = endReservations(data, now, events)
  return { programs, data: foldReadiness(data, programs, now, events) }
}

const stepGates = (data: SnapshotData, now: EpochMs, events: Event[]): SnapshotData => {
  let gates: Record<string, GateRow> | undefined
  for (const [key, row] of Object.entries(data.gates)) {
    if (row.active === 0) continue
    const column = data.columns[columnKey(row.spec.signal, row.spec.model)]
    if (column === undefined) continue
    const ageMs = foldAgeMs(row.spec.signal)
    let draft: Draft<GateRow> | undefined
    for (let index = 0; index < row.failed.length; index++) {
      if (row.failed[index] === 0 && row.crossedAt[index] === 0) continue
      if (isStale(column, index, ageMs, now)) continue
      const good = isGood(row.spec, column.value[index]!, isInsufficient(row.spec.signal, column.count[index]!))
      draft ??= draftGate(row)
      stepGate(draft, key, index, data.targets[index]!, now, events, column.value[index]!, (cell) =>
        onTime(cell, row.spec, now, good),
      )
    }
    if (draft !== undefined) {
      gates ??= { ...data.gates }
      gates[key] = draft
    }
  }
  return gates === undefined ? data : { ...data, gates }
}

const listen = (data: SnapshotData, now: EpochMs): SnapshotData => {
  let health = data.health
  for (const [index, row] of data.health.entries()) {
    const after = onSilence(row, now)
    if (after === row) continue
    if (health === data.health) health = data.health.slice()
    ;(health as (typeof row)[])[index] = after
  }
  return health === data.health ? data : { ...data, health }
}

/** Series whose running interval has ended go on to the next one. */
const runSeries = (data: SnapshotData, programs: Programs, now: EpochMs, events: Event[]): SnapshotData => {
  const due = Object.values(data.series).filter((series) => {
    const index =
      series.pool === undefined
        ? programs.bySite.get(series.site)?.[0]
        : programs.indexOf.get(`${series.site}/${series.pool}`)
    if (index === undefined) return false
    const column = data.columns[series.signal]
    const until = column?.until[index] ?? 0
    if (until > now) return false
    const running = intervalAt(series, now)
    // What somebody measured during the interval goes before what was foretold of it.
    return running !== undefined && (column?.at[index] ?? 0) < (until > 0 ? running.to : running.from)
  })
  return due.length === 0 ? data : foldSamples(data, programs, [], [], due, now, events)
}

/** What said until when it holds, of signals that have no age of their own, is forgotten past that. */
const expire = (data: SnapshotData, programs: Programs, now: EpochMs, events: Event[]): SnapshotData => {
  let speaking: Speaking | undefined
  for (const [at, said] of data.spoken.entries()) {
    const left = unexpired(said, now)
    if (left === said) continue
    speaking ??= new Speaking(data.spoken, programs)
    speaking.replace(at, left)
  }
  if (speaking === undefined) return data
  const batch = new Batch(data, programs, now, events)
  speaking.settle(batch)
  return { ...batch.result(), spoken: speaking.spoken }
}

const endReservations = (data: SnapshotData, now: EpochMs, events: Event[]): SnapshotData => {
  if (data.reservations === NO_RESERVATIONS) return data
  const over = Object.values(data.reservations).filter(({ expiresAt }) => expiresAt <= now)
  return over.reduce((before, { id }) => endReservation(before, id, 'aged out', now, events), data)
}

/** The data with one more reservation. */
export const makeReservation = (
  data: SnapshotData,
  reservation: Reservation,
  now: EpochMs,
  events: Event[],
): SnapshotData => {
  const { id, target, mw } = reservation
  events.push({ kind: 'reservation-made', at: now, id, target, mw, cause: `admitted as ${reservation.class}` })
  return { ...data, reservations: withReservation(data.reservations, id, reservation) }
}

/** The data with reservations of before a restart; they were told when they were made. */
export const restoreReservations = (data: SnapshotData, reservations: readonly Reservation[]): SnapshotData =>
  reservations.length === 0
    ? data
    : {
        ...data,
        reservations: { ...data.reservations, ...Object.fromEntries(reservations.map((one) => [one.id, one])) },
      }

/** The data with what a job says that it draws by now; a job that nobody knows changes nothing. */
export const drawReservation = (data: SnapshotData, id: string, drawMw: number): SnapshotData => {
  const known = data.reservations[id]
  if (known === undefined || known.drawMw === drawMw) return data
  return { ...data, reservations: withReservation(data.reservations, id, { ...known, drawMw }) }
}

/** The data without a reservation; one that nobody knows changes nothing. */
export const endReservation = (
  data: SnapshotData,
  id: string,
  cause: string,
  now: EpochMs,
  events: Event[],
): SnapshotData => {
  const known = data.reservations[id]
  if (known === undefined) return data
  events.push({ kind: 'reservation-ended', at: now, id, target: known.target, mw: known.mw, cause })
  return { ...data, reservations: withReservation(data.reservations, id, undefined) }
}
