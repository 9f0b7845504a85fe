import { estimatedThresholds, type PlacedThreshold } from '../documents/thresholds.ts'
import { type EngineSnapshot, mergeSets } from '../engine/programs.ts'
import { SignedSketch } from '../math/signed-sketch.ts'
import type { DocumentSet } from '../model/documents.ts'
import type { Metadata } from '../model/metadata.ts'
import type { EpochMs } from '../model/names.ts'
import { type Estimate, type ReadinessDocument, SAFETY_DIMENSIONS } from '../model/readiness.ts'
import { signalOf } from '../model/signal.ts'

/** What is measured is kept in two parts: the present one, and the one before, so that 6 to 12 hours are behind a proposal. */
const PART_MS = 21_600_000
/** Guesses beyond so many are listed without a proposal. */
const WATCHED_MAX = 256
/** Values looked at in one second, all guesses together: less than a millisecond. */
const LOOKS_MAX = 10_000
/** Fewer values than this tell nothing of what is usual. */
const SAMPLES_MIN = 200
const HOURS_MIN = 1
/** Two percent, and at most 2 x 512 buckets: some 30 kB for each guess. */
const ACCURACY = 0.02
const BUCKETS_MAX = 512

interface Watched {
  readonly placed: PlacedThreshold
  readonly isSafety: boolean
  readonly targets: readonly number[]
  readonly lastAt: number[]
  parts: readonly [now: SignedSketch, before: SignedSketch]
  from: EpochMs
  partFrom: EpochMs
}

/** Thresholds marked as estimated, with what was measured of their signals since. */
export interface Estimates {
  /** Takes the values that have come since; to be called once a second. */
  readonly look: (snapshot: EngineSnapshot, now: EpochMs) => void
  readonly list: (now: EpochMs) => readonly Estimate[]
}

/** Watches the guesses of whatever documents are in force; their bounds may change without what was measured being lost. */
export function createEstimates(): Estimates {
  let sets: unknown
  let watched: Watched[] = []
  let place = 0

  const follow = (snapshot: EngineSnapshot, now: EpochMs): void => {
    sets = snapshot.data.sets
    const before = new Map(watched.map((one) => [keyOf(one.placed), one]))
    const set = mergeSets(snapshot.data.sets)
    watched = estimatedThresholds(set).map((placed) => {
      const targets = targetsOf(placed, set, snapshot)
      const known = before.get(keyOf(placed))
      const isSame = known !== undefined && known.targets.join() === targets.join()
      const fresh = {
        parts: [newSketch(), newSketch()] as const,
        lastAt: targets.map(() => 0),
        from: now,
        partFrom: now,
      }
      const { parts, lastAt, from, partFrom } = isSame ? known : fresh
      return { placed, isSafety: isSafetyLimit(placed), targets, parts, lastAt, from, partFrom }
    })
    place = 0
  }

  return {
    look: (snapshot, now) => {
      if (snapshot.data.sets !== sets) follow(snapshot, now)
      const many = Math.min(watched.length, WATCHED_MAX)
      let looks = 0
      for (let seen = 0; seen < many && looks < LOOKS_MAX; seen++) {
        const one = watched[place % many]!
        place = (place + 1) % many
        looks += one.targets.length
        lookAt(one, snapshot, now)
      }
    },
    list: (now) => watched.map((one) => estimateOf(one, now)),
  }
}

const newSketch = (): SignedSketch => new SignedSketch(ACCURACY, BUCKETS_MAX)

const keyOf = ({ document, signal, use }: PlacedThreshold): string => `${document} ${signal} ${use}`

/** The targets that a threshold is asked of: those of the sites or of the ladder that its document names. */
function targetsOf({ of, signal }: PlacedThreshold, set: DocumentSet, { programs }: EngineSnapshot): readonly number[] {
  const readiness = set.readiness.find((one) => one === of)
  const policy = [...programs.policies.values()].find((one) => one.doc === of)
  const inLadder = new Set(policy?.tiers.flat().flatMap((entry) => entry.targets))
  const targets = programs.targets
    .filter(({ site, index }) =>
      readiness !== undefined
        ? readiness.sites?.includes(site) !== false
        : policy?.nearest !== 0 || inLadder.has(index),
    )
    .map(({ index }) => index)
  if (signalOf(signal)?.scope !== 'site') return targets
  // All pools of a site say the same of it.
  const first = new Map(targets.toReversed().map((index) => [programs.targets[index]!.site, index]))
  return targets.filter((index) => first.get(programs.targets[index]!.site) === index)
}

const isSafetyLimit = ({ of, signal, use }: PlacedThreshold): boolean =>
  use === 'red' &&
  SAFETY_DIMENSIONS.some((name) => (of as ReadinessDocument).limits[name]?.some((limit) => limit.signal === signal))

function lookAt(one: Watched, { data }: EngineSnapshot, now: EpochMs): void {
  const column = data.columns[one.placed.signal]
  if (column === undefined) return
  if (now - one.partFrom >= PART_MS) {
    one.from = one.partFrom
    one.partFrom = now
    one.parts = [newSketch(), one.parts[0]]
  }
  for (const [at, index] of one.targets.entries()) {
    const measuredAt = column.at[index] ?? 0
    if (measuredAt <= one.lastAt[at]!) continue
    one.lastAt[at] = measuredAt
    one.parts[0].add(column.value[index]!)
  }
}

function estimateOf({ placed, isSafety, parts, from }: Watched, now: EpochMs): Estimate {
  const { document, signal, threshold, use, of } = placed
  const both = newSketch()
  for (const part of parts) both.merge(part)
  const hours = (now - from) / 3_600_000
  const at = (q: number): number => rounded(both.quantile(q) ?? 0)
  const measured = both.count === 0 ? null : { samples: both.count, hours, p5: at(0.05), p50: at(0.5), p95: at(0.95) }
  const isEnough = both.count >= SAMPLES_MIN && hours >= HOURS_MIN
  const proposed = isSafety || !isEnough ? null : proposalOf(threshold.op, at)
  const { owner } = (of as { readonly metadata: Metadata }).metadata
  return {
    document,
    ...(owner === undefined ? {} : { owner }),
    signal,
    unit: signalOf(signal)?.unit ?? '',
    use,
    threshold,
    measured,
    proposed,
    says: isSafety
      ? 'a limit of safety comes from the plant, not from what was measured on good days'
      : proposed === null
        ? `a proposal needs ${SAMPLES_MIN} values of ${HOURS_MIN} hour`
        : 'what was beyond it in a twentieth of the time',
  }
}

/** The limit that a twentieth of all values was beyond, and the resume value that three quarters were within. */
const proposalOf = (op: 'max' | 'min', at: (q: number) => number): { limit: number; resume: number } | null => {
  const [limit, resume] = op === 'max' ? [at(0.95), at(0.75)] : [at(0.05), at(0.25)]
  // A value that hardly moves has no room between limit and resume.
  return limit === resume ? null : { limit, resume }
}

const rounded = (value: number): number => Number(value.toPrecision(3))
