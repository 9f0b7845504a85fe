import type { Change } from '../model/change.ts'
import { policyRef } from '../model/documents.ts'
import type { Event } from '../model/event.ts'
import type { FlagSet, FlagSourceState } from '../model/flag.ts'
import type { EpochMs, PolicyRef, SourceName } from '../model/names.ts'
import type { SnapshotData } from '../model/snapshot.ts'
import { reflag, refsNamed } from './flag-programs.ts'
import type { EngineSnapshot, Programs } from './programs.ts'

/** The snapshot with the flags of one source replaced. */
export const foldFlags = (
  { data, programs }: EngineSnapshot,
  change: Extract<Change, { kind: 'flags-accepted' }>,
  now: EpochMs,
  events: Event[],
): EngineSnapshot => {
  const { source, version, set, ttlMs, whenStale, problems, fromDisk, heardAt = now } = change
  const before = data.flagSets[source]
  events.push({
    kind: 'flags-accepted',
    at: now,
    source,
    version,
    ...keysChanged(before?.set, set),
    warnings: problems,
    ...(fromDisk === undefined ? {} : { fromDisk }),
  })
  if (before !== undefined && isStaleSource(before, now)) events.push(fresh(before, now))
  const state = { source, set, version, ttlMs, whenStale, freshUntil: ttlMs === 0 ? 0 : heardAt + ttlMs }
  const flagSets = { ...data.flagSets, [source]: state }
  const named = refsNamed({ flagSets, rollouts: data.rollouts })
  const retained = data.retained.filter((doc) => named.has(policyRef(doc)))
  const kept =
    retained.length === data.retained.length
      ? programs
      : { ...programs, policies: withoutDropped(programs, data, named) }
  return reflag({ programs: kept, data: { ...data, flagSets, retained } }, now, events)
}

/** The policies without those that were only kept because a flag named them. */
const withoutDropped = ({ policies }: Programs, { retained }: SnapshotData, named: ReadonlySet<PolicyRef>) => {
  const dropped = new Set(retained.map(policyRef).filter((ref) => !named.has(ref)))
  return new Map([...policies].filter(([ref]) => !dropped.has(ref)))
}

/** Have the flags of a source gone unconfirmed for longer than they may? */
export const isStaleSource = ({ freshUntil }: FlagSourceState, now: EpochMs): boolean =>
  freshUntil > 0 && now >= freshUntil

const fresh = ({ source, whenStale }: FlagSourceState, at: EpochMs): Event => ({
  kind: 'flags-stale',
  at,
  source,
  stale: false,
  consequence: whenStale,
})

const keysChanged = (before: FlagSet | undefined, after: FlagSet) => {
  const old = before?.flags ?? {}
  const keys = Object.keys(after.flags)
  return {
    added: keys.filter((key) => old[key] === undefined),
    changed: keys.filter((key) => old[key] !== undefined && old[key].hash !== after.flags[key]!.hash),
    removed: Object.keys(old).filter((key) => after.flags[key] === undefined),
  }
}

/** The data once a source has said that it lives and has nothing new. */
export const hearFlags = (data: SnapshotData, source: SourceName, now: EpochMs, events: Event[]): SnapshotData => {
  const state = data.flagSets[source]
  if (state === undefined || state.ttlMs === 0) return data
  if (isStaleSource(state, now)) events.push(fresh(state, now))
  return { ...data, flagSets: { ...data.flagSets, [source]: { ...state, freshUntil: now + state.ttlMs } } }
}

/** Tells of sources whose flags went stale between the last change and now. Decisions compare the deadline themselves. */
export const tellStaleFlags = (data: SnapshotData, now: EpochMs, events: Event[]): void => {
  for (const state of Object.values(data.flagSets)) {
    if (!isStaleSource(state, now) || isStaleSource(state, data.at)) continue
    events.push({ kind: 'flags-stale', at: now, source: state.source, stale: true, consequence: state.whenStale })
  }
}
