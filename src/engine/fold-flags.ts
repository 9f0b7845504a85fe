import type { Change } from '../model/change.ts'
import type { Event } from '../model/event.ts'
import type { FlagSet } from '../model/flag.ts'
import type { EpochMs, SourceName } from '../model/names.ts'
import type { SnapshotData } from '../model/snapshot.ts'
import type { EngineSnapshot } from './programs.ts'

/** The snapshot with the flags of one source replaced. */
export const foldFlags = (
  { data, programs }: EngineSnapshot,
  change: Extract<Change, { kind: 'flags-accepted' }>,
  now: EpochMs,
  events: Event[],
): EngineSnapshot => {
  const { source, version, set, ttlMs, whenStale, problems, fromDisk } = change
  events.push({
    kind: 'flags-accepted',
    at: now,
    source,
    version,
    ...keysChanged(data.flagSets[source]?.set, set),
    warnings: problems,
    ...(fromDisk === undefined ? {} : { fromDisk }),
  })
  const state = { source, set, version, ttlMs, whenStale, freshUntil: ttlMs === 0 ? 0 : now + ttlMs }
  return { programs, data: { ...data, flagSets: { ...data.flagSets, [source]: state } } }
}

const keysChanged = (before: FlagSet | undefined, after: FlagSet) => {
  const old = before?.flags ?? {}
  return {
    added: Object.keys(after.flags).filter((key) => old[key] === undefined),
    changed: Object.keys(after.flags).filter(
      (key) => old[key] !== undefined && old[key].hash !== after.flags[key]!.hash,
    ),
    removed: Object.keys(old).filter((key) => after.flags[key] === undefined),
  }
}

/** The data once a source has said that it lives and has nothing new. */
export const hearFlags = (data: SnapshotData, source: SourceName, now: EpochMs, events: Event[]): SnapshotData => {
  const state = data.flagSets[source]
  if (state === undefined || state.ttlMs === 0) return data
  if (now >= state.freshUntil)
    events.push({ kind: 'flags-stale', at: now, source, stale: false, consequence: state.whenStale })
  return { ...data, flagSets: { ...data.flagSets, [source]: { ...state, freshUntil: now + state.ttlMs } } }
}
