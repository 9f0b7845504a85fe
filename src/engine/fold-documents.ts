import { type DocumentSet, EMPTY_SET, type Policy, policyRef, type Site } from '../model/documents.ts'
import type { Event } from '../model/event.ts'
import type { EpochMs } from '../model/names.ts'
import type { Column, HealthRow, SnapshotData } from '../model/snapshot.ts'
import { Batch } from './batch.ts'
import { isSameOrder, remap } from './columns.ts'
import { compilePrograms } from './compile-programs.ts'
import type { SpokenOfSite } from './facility.ts'
import { refsNamed } from './flag-programs.ts'
import { Speaking } from './fold-samples.ts'
import { crosses } from './gates.ts'
import { emptyHealth } from './health.ts'
import { keepGates, keepHeld } from './keep-measured.ts'
import { type EngineSnapshot, mergeSets, type Programs } from './programs.ts'

/**
 * The snapshot with one source's set replaced. What was measured, what gates remember and what is known of health is
 * carried over by target name, gate key and column key, so a reload loses nothing that still has a place.
 */
export const foldDocuments = (
  snapshot: EngineSnapshot,
  source: string,
  set: DocumentSet,
  now: EpochMs,
  events: Event[],
): EngineSnapshot => {
  const old = snapshot.data
  const sets = { ...old.sets, [source]: set }
  const moved: SnapshotData = {
    ...old,
    sets,
    retained: stillNamed(snapshot, sets),
    documentsVersion: old.documentsVersion + 1,
  }
  const programs = compilePrograms(moved, snapshot.programs.compile, snapshot.programs.compileFlag)
  const targets = programs.targets.map((target) => target.name)
  const from = targets.map((name) => snapshot.programs.indexOf.get(name) ?? -1)
  const same = isSameOrder(from, old.targets.length)
  const columns: Record<string, Column> = {}
  for (const [key, column] of Object.entries(old.columns)) columns[key] = same ? column : remapColumn(from, column)
  const health = same ? old.health : remap(from, old.health, emptyHealth(now))
  const data: SnapshotData = {
    ...moved,
    targets,
    columns,
    health: redAnew(health, columns, programs),
    trends: Object.fromEntries(
      Object.entries(old.trends).map(([key, cells]) => [key, same ? cells : remap(from, cells, null)]),
    ),
    readiness: same ? old.readiness : remap(from, old.readiness, ''),
    gates: keepGates(old.gates, same ? undefined : from, columns, targets, programs, now, events),
    held: keepHeld(old.held, same ? undefined : from, columns, targets.length, programs),
  }
  // A budget, a loop or a derating may have changed: what is worked out of them is worked out again.
  const sites = [...programs.sites.keys()]
  const spoken = sites.map((name) => old.spoken[old.sites.indexOf(name)] ?? {})
  const speaking = new Speaking(spoken, programs)
  for (const [at, name] of sites.entries()) speaking.replace(at, withoutLost(spoken[at]!, programs.sites.get(name)!))
  const batch = new Batch(data, programs, now, events)
  speaking.settle(batch)
  return { data: { ...batch.result(), sites, spoken: speaking.spoken, series: keepSeries(old, programs) }, programs }
}

/** Policies that no document has any more and that flags or rollouts still name, or may name yet. */
const stillNamed = ({ data, programs }: EngineSnapshot, sets: SnapshotData['sets']): readonly Policy[] => {
  const written = new Set(mergeSets(sets).policies.map(policyRef))
  const waiting = data.retainedUntil === undefined ? [] : data.retained.map(policyRef)
  return [...new Set([...refsNamed(data), ...waiting])].flatMap((ref) => {
    const known = written.has(ref) ? undefined : programs.policies.get(ref)
    return known === undefined ? [] : [known.doc]
  })
}

/** Red limits may have moved: what is red is judged by the values of now. */
const redAnew = (
  health: readonly HealthRow[],
  columns: Readonly<Record<string, Column>>,
  programs: Programs,
): readonly HealthRow[] =>
  health.map((row, index) => {
    const limits = programs.redLimits[index]!
    const red = [...limits].flatMap(([signal, { op, limit, resume }]) => {
      const column = columns[signal]
      if ((column?.at[index] ?? 0) === 0) return []
      return crosses(op, row.red.includes(signal) ? resume : limit, column!.value[index]!) ? [signal] : []
    })
    return red.length === row.red.length && red.every((one) => row.red.includes(one)) ? row : { ...row, red }
  })

/** What a site has said without the places that it no longer has. */
const withoutLost = (said: SpokenOfSite, doc: Site): SpokenOfSite => {
  const places = new Set([
    '',
    ...doc.pools.map((pool) => `pool:${pool.name}`),
    ...(doc.loops ?? []).map((loop) => `loop:${loop.name}`),
  ])
  const kept = Object.entries(said).map(([signal, by]) => {
    const left = Object.entries(by).filter(([place]) => places.has(place))
    return [signal, left.length === Object.keys(by).length ? by : Object.fromEntries(left)] as const
  })
  return Object.fromEntries(kept)
}

const keepSeries = (old: SnapshotData, programs: Programs): SnapshotData['series'] => {
  const gone = Object.entries(old.series).filter(([, one]) => !programs.sites.has(one.site))
  return gone.length === 0
    ? old.series
    : Object.fromEntries(Object.entries(old.series).filter(([, one]) => programs.sites.has(one.site)))
}

const remapColumn = (from: readonly number[], column: Column): Column => ({
  value: remap(from, column.value, 0),
  at: remap(from, column.at, 0),
  count: remap(from, column.count, -1),
  dispatchedBefore: remap(from, column.dispatchedBefore, -1),
  source: remap(from, column.source, ''),
  until: remap(from, column.until, 0),
  noise: remap(from, column.noise, 0),
})

const texts = new WeakMap<object, string>()

/** A document as text, to be compared; kept with it, because what was new the last time is what was before this time. */
const textOf = (document: object): string => {
  let text = texts.get(document)
  if (text === undefined) {
    text = JSON.stringify(document)
    texts.set(document, text)
  }
  return text
}

/** The names, `Kind/name`, that one set has and another has not, or has otherwise. */
export const namesChanged = (
  before: DocumentSet = EMPTY_SET,
  after: DocumentSet,
): { added: string[]; changed: string[]; removed: string[] } => {
  const index = (set: DocumentSet): Map<string, string> => {
    const all = new Map<string, string>()
    for (const one of set.sites) all.set(`Site/${one.metadata.name}`, textOf(one))
    for (const one of set.residencies) all.set(`ResidencyClass/${one.metadata.name}`, textOf(one))
    for (const one of set.classes) all.set(`WorkloadClass/${one.metadata.name}`, textOf(one))
    for (const one of set.policies) all.set(`Policy/${policyRef(one)}`, textOf(one))
    for (const one of set.factSources) all.set(`FactSources/${one.metadata.name}`, textOf(one))
    for (const one of set.readiness ?? []) all.set(`Readiness/${one.metadata.name}`, textOf(one))
    for (const one of set.cohorts ?? []) all.set(`Cohort/${one.metadata.name}`, textOf(one))
    for (const one of set.rollouts ?? []) all.set(`Rollout/${one.metadata.name}`, textOf(one))
    for (const one of set.tests) all.set(`PolicyTest/${one.metadata.name}`, textOf(one))
    return all
  }
  const old = index(before)
  const now = index(after)
  return {
    added: [...now.keys()].filter((name) => !old.has(name)),
    changed: [...now.keys()].filter((name) => old.has(name) && old.get(name) !== now.get(name)),
    removed: [...old.keys()].filter((name) => !now.has(name)),
  }
}
