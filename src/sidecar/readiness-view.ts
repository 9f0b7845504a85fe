import { isStale } from '../engine/columns.ts'
import type { EngineSnapshot, PolicyProgram } from '../engine/programs.ts'
import { readinessOf, stateIn } from '../engine/readiness.ts'
import type { EpochMs } from '../model/names.ts'
import type { ReadinessPage } from '../model/readiness.ts'
import { signalOf } from '../model/signal.ts'
import { DIMENSIONS } from '../model/signal-row.ts'
import type { SourceStatus } from '../model/source.ts'

/** Whose readiness is asked for. */
export interface ReadinessAsked {
  readonly class?: string
  readonly site?: string
  /** The row to begin with. */
  readonly after: number
  /** How many rows at most. */
  readonly limit: number
}

/** A page of the matrix of targets and classes, target by target; undefined: no such site or class. */
export function readinessPage(
  snapshot: EngineSnapshot,
  asked: ReadinessAsked,
  now: EpochMs,
): ReadinessPage | undefined {
  const { programs } = snapshot
  const indexes =
    asked.site === undefined ? programs.targets.map(({ index }) => index) : programs.bySite.get(asked.site)
  const classes = asked.class === undefined ? [...programs.classes.keys()] : [asked.class]
  if (indexes === undefined || (asked.class !== undefined && !programs.classes.has(asked.class))) return undefined
  const count = indexes.length * classes.length
  const end = Math.min(count, asked.after + asked.limit)
  const rows = []
  for (let row = asked.after; row < end; row++)
    rows.push(readinessOf(snapshot, indexes[Math.floor(row / classes.length)]!, classes[row % classes.length]!, now))
  return end < count ? { rows, next: end } : { rows }
}

/** Targets times classes up to which classes are told one by one: some milliseconds of a scrape. */
const ROWS_MAX = 600

type ReadinessLabels = [target: string, className: string, dimension: string, state: string]

/**
 * Readiness as series: for all classes alike each target's overall state and its amber and red dimensions; for a class by
 * itself its overall state where that is another one. At most nine series for each target, and one for each class.
 */
export function readinessSeries(snapshot: EngineSnapshot, now: EpochMs): (readonly [ReadinessLabels, number])[] {
  const { data, programs } = snapshot
  const series: (readonly [ReadinessLabels, number])[] = []
  for (const [index, target] of data.targets.entries()) {
    const code = data.readiness[index]
    series.push([[target, '*', 'overall', stateIn(code, null)], 1])
    for (const dimension of DIMENSIONS) {
      const state = stateIn(code, dimension)
      if (state === 'amber' || state === 'red') series.push([[target, '*', dimension, state], 1])
    }
  }
  if (data.targets.length * programs.classes.size > ROWS_MAX) return series
  for (const name of programs.classes.keys()) {
    for (const [index, target] of data.targets.entries()) {
      const { overall } = readinessOf(snapshot, index, name, now)
      if (overall !== stateIn(data.readiness[index], null)) series.push([[target, name, 'overall', overall], 1])
    }
  }
  return series
}

/** Stale signals beyond so many are not told one by one: the cause is then one, and it is not at the targets. */
const STALE_MAX = 1_000

type StaleLabels = [className: string, target: string, signal: string, source: string, owner: string]

/** Signals that policies require and that are stale or missing, with who should have told them. */
export function staleSeries(
  { data, programs }: EngineSnapshot,
  sources: readonly SourceStatus[],
  now: EpochMs,
): (readonly [StaleLabels, number])[] {
  const series: (readonly [StaleLabels, number])[] = []
  const owners = new Map(sources.map(({ name, owner }) => [name, owner]))
  const tellerOf = (signal: string, index: number): { source: string; owner: string } => {
    const { name, site, doc } = programs.targets[index]!
    const last = data.columns[signal]?.source[index] ?? ''
    // What is worked out comes from what somebody meters of the same kind.
    const kind = signalOf(signal)?.derived ? signal.slice(0, signal.indexOf('.') + 1) : undefined
    const tells = (one: string): boolean => one === signal || (kind !== undefined && one.startsWith(kind))
    const source =
      last !== '' && owners.has(last)
        ? last
        : (sources.find(
            ({ delivers, covers }) =>
              delivers.some(tells) && (covers.length === 0 || covers.includes(site) || covers.includes(name)),
          )?.name ?? last)
    return { source, owner: owners.get(source) ?? doc.operations?.owner ?? doc.metadata.owner ?? '' }
  }
  for (const [name, { policies }] of programs.classes) {
    const asked = new Map<string, { limitMs: number; targets: Set<number> }>()
    for (const policy of policies) {
      const targets = candidatesOf(policy, data.targets.length)
      for (const { signal, limitMs } of policy.freshness) {
        const known = asked.get(signal) ?? { limitMs, targets: new Set() }
        for (const index of targets) known.targets.add(index)
        asked.set(signal, { ...known, limitMs: strictest(known.limitMs, limitMs) })
      }
    }
    for (const [signal, { limitMs, targets }] of asked) {
      for (const index of targets) {
        if (!isStale(data.columns[signal], index, limitMs, now)) continue
        if (series.length >= STALE_MAX) return series
        const { source, owner } = tellerOf(signal, index)
        series.push([[name, data.targets[index]!, signal, source, owner], 1])
      }
    }
  }
  return series
}

const candidatesOf = (policy: PolicyProgram, all: number): Iterable<number> =>
  policy.nearest > 0
    ? Array.from({ length: all }, (_, index) => index)
    : policy.tiers.flat().flatMap((entry) => entry.targets)

/** Of two ages the smaller; 0 means that any will do. */
const strictest = (a: number, b: number): number => (a === 0 ? b : b === 0 ? a : Math.min(a, b))
