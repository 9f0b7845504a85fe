import type { Change } from '../model/change.ts'
import type { Event } from '../model/event.ts'
import type { CompileFlag } from '../model/flag.ts'
import type { EpochMs } from '../model/names.ts'
import type { Override } from '../model/override.ts'
import type { CompileCondition, SnapshotData, SourceState } from '../model/snapshot.ts'
import { compileClusters, compileOverrides, compilePrograms } from './compile-programs.ts'
import { foldDocuments, namesChanged } from './fold-documents.ts'
import { dropUnnamed, foldFlags, hearFlags, tellStaleFlags } from './fold-flags.ts'
import { foldRollouts, passRollouts, startRollouts } from './fold-rollouts.ts'
import { foldSamples } from './fold-samples.ts'
import { isInForce } from './orders.ts'
import { drawReservation, endReservation, makeReservation, passTime, restoreReservations } from './pass-time.ts'
import type { EngineSnapshot, Programs } from './programs.ts'
import { NO_RESERVATIONS } from './reserve.ts'
import { settleTargets } from './settle.ts'

/** What one change made: the next snapshot, and what happened on the way. */
export interface Folded {
  readonly snapshot: EngineSnapshot
  readonly events: readonly Event[]
}

/** The snapshot before any change: nothing is known, nothing is served, every request is `no-policy`. */
export const emptySnapshot = (compile: CompileCondition, compileFlag: CompileFlag = NO_FLAGS): EngineSnapshot =>
  recompile(
    {
      revision: 0,
      documentsVersion: 0,
      at: 0,
      sources: {},
      sets: {},
      overrideSets: {},
      flagSets: {},
      rollouts: {},
      retained: [],
      inForce: [],
      targets: [],
      columns: {},
      gates: {},
      held: {},
      sites: [],
      spoken: [],
      series: {},
      trends: {},
      reservations: NO_RESERVATIONS,
      health: [],
      readiness: [],
      clusters: null,
    },
    compile,
    compileFlag,
  )

/** A snapshot from data alone: decides as the one the data came from did. */
export const recompile = (
  data: SnapshotData,
  compile: CompileCondition,
  compileFlag: CompileFlag = NO_FLAGS,
): EngineSnapshot => ({
  data,
  programs: compilePrograms(data, compile, compileFlag),
})

/** Where nobody can evaluate flags, each of them says so and steers nothing. */
const NO_FLAGS: CompileFlag = () => () => ({
  reason: 'ERROR',
  errorCode: 'GENERAL',
  errorMessage: 'flags are not evaluated here',
})

/** The snapshot after one change, and what happened on the way. Never alters the snapshot it is given. */
export const fold = (snapshot: EngineSnapshot, change: Change): Folded => {
  const events: Event[] = []
  const at = Math.max(change.at, snapshot.data.at)
  const after = step(snapshot, change, at, events)
  return {
    snapshot: { programs: after.programs, data: { ...after.data, at, revision: snapshot.data.revision + 1 } },
    events,
  }
}

const step = (snapshot: EngineSnapshot, change: Change, at: EpochMs, events: Event[]): EngineSnapshot => {
  const { data, programs } = snapshot
  switch (change.kind) {
    case 'documents-accepted': {
      const names = namesChanged(data.sets[change.source], change.set)
      events.push({
        kind: 'documents-accepted',
        at,
        source: change.source,
        version: change.version,
        hash: change.hash,
        ...names,
        warnings: change.problems,
        ...(change.by === undefined ? {} : { by: change.by }),
        ...(change.fromDisk === undefined ? {} : { fromDisk: change.fromDisk }),
      })
      const after = startRollouts(foldDocuments(snapshot, change.source, change.set, at, events), at, events)
      const sources = accepted(data, 'documents', change, change.hash, at, change.fromDisk ?? false)
      return settled({ programs: after.programs, data: { ...after.data, sources } }, at, events)
    }
    case 'documents-refused':
    case 'overrides-refused':
      events.push({ kind: change.kind, at, source: change.source, version: change.version, problems: change.problems })
      return { programs, data: { ...data, sources: refused(data, change, at) } }
    case 'overrides-accepted': {
      const overrideSets = { ...data.overrideSets, [change.source]: change.set }
      const sources = accepted(data, 'overrides', change, change.version, at, false)
      const next: Programs = { ...programs, ...compileOverrides(overrideSets) }
      if (next.routing !== undefined && next.routing.enabled !== (programs.routing?.enabled ?? true)) {
        const { enabled, reason, author } = next.routing
        events.push({ kind: 'routing-switched', at, enabled, reason, author })
      }
      return settled(
        orders({ programs: next, data: { ...data, overrideSets, sources } }, programs, at, events),
        at,
        events,
      )
    }
    case 'flags-refused':
      events.push({ kind: change.kind, at, source: change.source, version: change.version, problems: change.problems })
      return { programs, data: { ...data, sources: refused(data, change, at) } }
    case 'flags-accepted': {
      const after = startRollouts(foldFlags(snapshot, change, at, events), at, events)
      const sources = accepted(data, 'flags', change, change.version, at, change.fromDisk ?? false)
      return { programs: after.programs, data: { ...after.data, sources } }
    }
    case 'flags-heard':
      return { programs, data: hearFlags(data, change.source, at, events) }
    case 'rollouts-restored':
    case 'rollout-ordered':
    case 'arms-measured':
      return foldRollouts(snapshot, change, at, events)
    case 'samples-arrived':
      return {
        programs,
        data: foldSamples(data, programs, change.samples, change.heartbeats, change.series ?? [], at, events),
      }
    case 'reservation-made':
      return { programs, data: makeReservation(data, change.reservation, at, events) }
    case 'reservations-restored':
      return { programs, data: restoreReservations(data, change.reservations) }
    case 'reservation-drawn':
      return { programs, data: drawReservation(data, change.id, change.drawMw) }
    case 'reservation-ended':
      return { programs, data: endReservation(data, change.id, change.cause, at, events) }
    case 'clusters-known': {
      const known = new Set(data.clusters ?? [])
      const named = new Set(change.clusters ?? [])
      const added = [...named].filter((name) => !known.has(name))
      const removed = [...known].filter((name) => !named.has(name))
      if (added.length + removed.length > 0) events.push({ kind: 'clusters-changed', at, added, removed })
      return {
        data: { ...data, clusters: change.clusters },
        programs: { ...programs, ...compileClusters(change.clusters, programs.targets) },
      }
    }
    case 'time-passed':
      tellStaleFlags(data, at, events)
      return settled(
        orders(passRollouts(passTime(dropUnnamed(snapshot, at, events), at, events), at, events), programs, at, events),
        at,
        events,
      )
    default:
      return change satisfies never
  }
}

const settled = (snapshot: EngineSnapshot, now: EpochMs, events: Event[]): EngineSnapshot => {
  const { data, programs } = snapshot
  const health = settleTargets(data.health, data.health.keys(), data.targets, programs, data.columns, now, events)
  return health === data.health ? snapshot : { programs, data: { ...data, health } }
}

/** Starts and ends of overrides as events; an order that ended leaves a review to be done. */
const orders = (snapshot: EngineSnapshot, before: Programs, now: EpochMs, events: Event[]): EngineSnapshot => {
  const { data, programs } = snapshot
  const inForce = programs.overrides.filter((order) => isInForce(order, now))
  const known = new Set(data.inForce)
  const ids = new Set(inForce.map((order) => order.id))
  if (known.size === ids.size && inForce.every((order) => known.has(order.id))) return snapshot
  for (const order of inForce)
    if (!known.has(order.id)) events.push(orderEvent('override-started', order, now, 'accepted'))
  for (const id of known) {
    if (ids.has(id)) continue
    const still = programs.overrides.find((order) => order.id === id)
    const order = still ?? before.overrides.find((one) => one.id === id)
    if (order !== undefined)
      events.push({
        ...orderEvent('override-ended', order, now, still === undefined ? 'ended by hand' : 'expired'),
        review: true,
      })
  }
  return { programs, data: { ...data, inForce: [...ids] } }
}

const orderEvent = (kind: 'override-started' | 'override-ended', order: Override, at: EpochMs, cause: string) => ({
  kind,
  at,
  id: order.id,
  what: `${order.kind} ${Object.entries(order.scope)
    .map(([key, value]) => `${key}=${value}`)
    .join(' ')}`,
  reason: order.reason,
  author: order.author,
  cause,
})

const accepted = (
  data: SnapshotData,
  kind: SourceState['kind'],
  change: { readonly source: string; readonly version: string; readonly nonce: string },
  hash: string,
  at: EpochMs,
  fromDisk: boolean,
): SnapshotData['sources'] => ({
  ...data.sources,
  [change.source]: {
    name: change.source,
    kind,
    version: change.version,
    nonce: change.nonce,
    hash,
    acceptedAt: at,
    refusedAt: data.sources[change.source]?.refusedAt ?? 0,
    refusedVersion: '',
    problems: [],
    fromDisk,
  },
})

const REFUSED_KINDS = {
  'documents-refused': 'documents',
  'overrides-refused': 'overrides',
  'flags-refused': 'flags',
} as const

const refused = (
  data: SnapshotData,
  change: Extract<Change, { kind: 'documents-refused' | 'overrides-refused' | 'flags-refused' }>,
  at: EpochMs,
): SnapshotData['sources'] => {
  const known = data.sources[change.source]
  const kind = REFUSED_KINDS[change.kind]
  const before: SourceState = known ?? {
    name: change.source,
    kind,
    version: '',
    nonce: '',
    hash: '',
    acceptedAt: 0,
    refusedAt: 0,
    refusedVersion: '',
    problems: [],
    fromDisk: false,
  }
  return {
    ...data.sources,
    [change.source]: {
      ...before,
      nonce: change.nonce,
      refusedAt: at,
      refusedVersion: change.version,
      problems: change.problems,
    },
  }
}
