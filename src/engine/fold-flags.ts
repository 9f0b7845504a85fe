import type { Change } from '../model/change.ts'
import { policyRef } from '../model/documents.ts'
import type { Event } from '../model/event.ts'
import type { FlagSet, FlagSourceState } from '../model/flag.ts'
import type { EpochMs, SourceName } from '../model/names.ts'
import type { SnapshotData } from '../model/snapshot.ts'
import { compilePrograms } from './compile-programs.ts'
import { reflag, refsNamed } from './flag-programs.ts'
import { keepGates, keepHeld } from './keep-measured.ts'
import type { EngineSnapshot } from './programs.ts'

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
  const state = { source, set, version, ttlMs, whenStale, freshUntil: ttlMs === 0 ? 0 : heardAt + ttlMs }
  const wasStale = before !== undefined && isStaleSource(before, now)
  // What was kept on disk may have been too old before it was read.
  if (isStaleSource(state, now) !== wasStale) events.push(turned(state, now, !wasStale))
  const next = { programs, data: { ...data, flagSets: { ...data.flagSets, [source]: state } } }
  return reflag(data.retainedUntil === undefined ? withoutUnnamed(next, now, events) : next, now, events)
}

/** The snapshot without the policies that were kept over a restart and that no flag has named in time. */
export const dropUnnamed = (snapshot: EngineSnapshot, now: EpochMs, events: Event[]): EngineSnapshot => {
  const { retainedUntil, ...data } = snapshot.data
  if (retainedUntil === undefined || now < retainedUntil) return snapshot
  const next = withoutUnnamed({ programs: snapshot.programs, data }, now, events)
  return next.data.retained === data.retained ? next : reflag(next, now, events)
}

/**
 * The snapshot without the policies that were only kept because a flag named them, and without what only they had
 * measured: programs are those of the data, whoever compiles them and when.
 */
const withoutUnnamed = ({ data, programs: before }: EngineSnapshot, now: EpochMs, events: Event[]): EngineSnapshot => {
  const named = refsNamed(data)
  const retained = data.retained.filter((doc) => named.has(policyRef(doc)))
  if (retained.length === data.retained.length) return { data, programs: before }
  const left = { ...data, retained }
  const programs = compilePrograms(left, before.compile, before.compileFlag)
  const gates = keepGates(data.gates, undefined, data.columns, data.targets, programs, now, events)
  const held = keepHeld(data.held, undefined, data.columns, data.targets.length, programs)
  return { data: { ...left, gates, held }, programs }
}

/** Have the flags of a source gone unconfirmed for longer than they may? */
export const isStaleSource = ({ freshUntil }: FlagSourceState, now: EpochMs): boolean =>
  freshUntil > 0 && now >= freshUntil

const turned = ({ source, whenStale }: FlagSourceState, at: EpochMs, stale: boolean): Event => ({
  kind: 'flags-stale',
  at,
  source,
  stale,
  consequence: whenStale,
})

const keysChanged = (before: FlagSet | undefined, after: FlagSet) => {
  const old = before?.flags ?? {}
  const keys = Object.keys(after.flags)
  return {
    added: keys.filter((key) => !Object.hasOwn(old, key)),
    changed: keys.filter((key) => Object.hasOwn(old, key) && old[key]!.hash !== after.flags[key]!.hash),
    removed: Object.keys(old).filter((key) => !Object.hasOwn(after.flags, key)),
  }
}

/** The data once a source has said that it lives and has nothing new. */
export const hearFlags = (data: SnapshotData, source: SourceName, now: EpochMs, events: Event[]): SnapshotData => {
  const state = data.flagSets[source]
  if (state === undefined || state.ttlMs === 0) return data
  if (isStaleSource(state, now)) events.push(turned(state, now, false))
  return { ...data, flagSets: { ...data.flagSets, [source]: { ...state, freshUntil: now + state.ttlMs } } }
}

/** Tells of sources whose flags went stale between the last change and now. Decisions compare the deadline themselves. */
export const tellStaleFlags = (data: SnapshotData, now: EpochMs, events: Event[]): void => {
  for (const state of Object.values(data.flagSets)) {
    if (!isStaleSource(state, now) || isStaleSource(state, data.at)) continue
    events.push(turned(state, now, true))
  }
}
