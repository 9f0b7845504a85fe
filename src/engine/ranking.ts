import { shareOf } from '../math/choice.ts'
import type { SnapshotData } from '../model/snapshot.ts'
import { freshnessLimit, isStale } from './columns.ts'
import { pathTo, sharedEnd } from './gravity.ts'
import { heldKey, NEAREST, PATH_COST, type PolicyProgram, type Programs } from './programs.ts'
import type { Scene } from './scene.ts'

/** The age past which a ranked value counts for nothing, where neither class nor signal has a limit: a day. */
const RANK_AGE_MS = 86_400_000
/** The age past which a queue's length says nothing about load; our own dispatches are then all there is. A minute. */
const LOAD_AGE_MS = 60_000

/**
 * Step 7: the candidates that are as good as the best under every preference, in turn. A preference keeps those within
 * its tolerance of the best value; a candidate without a value stays only if none has one.
 * Example: 12, 18 and 31 ms within 10 leaves 12 and 18; then cost decides between the two.
 */
export const rankTies = (scene: Scene, policy: PolicyProgram, candidates: readonly number[]): readonly number[] => {
  let left = candidates
  for (const { signal, heldKey: key, prefer, within, withinPct } of policy.rank) {
    if (left.length < 2) return left
    const values = signal === PATH_COST ? pathsTo(scene, left) : heldValues(scene, signal, key)
    if (values === undefined) continue
    let best: number | undefined
    for (const index of left) {
      const value = values(index)
      if (value === null) continue
      if (best === undefined || (prefer === 'lower' ? value < best : value > best)) best = value
    }
    if (best === undefined) continue
    const tolerance = Math.max(within, (Math.abs(best) * withinPct) / 100)
    const bound = best
    left = left.filter((index) => {
      const value = values(index)
      return value !== null && Math.abs(value - bound) <= tolerance
    })
  }
  return left
}

/** The ranked values of a signal by target; undefined: nobody measures it. */
const heldValues = (scene: Scene, signal: string, key: string): ((index: number) => number | null) | undefined => {
  const held = scene.data.held[key]?.value
  if (held === undefined) return undefined
  // A value that is too old to judge by is none: the price of last month is no price.
  const column = scene.data.columns[signal]
  const limitMs = freshnessLimit(scene.workload, signal) || RANK_AGE_MS
  return (index) => (isStale(column, index, limitMs, scene.now) ? null : (held[index] ?? null))
}

/** The ways to these targets, each worked out once, all from the same end where there is one. */
const pathsTo = (scene: Scene, indexes: readonly number[]): ((index: number) => number | null) => {
  const end = sharedEnd(scene, indexes)
  const ways = new Map(indexes.map((index) => [index, pathTo(scene, scene.programs.targets[index]!, end).ms]))
  return (index) => ways.get(index) ?? null
}

/**
 * Step 8: one of several equals, by power of two choices. Two are drawn by the request's seed and the one with less
 * load by capacity is taken; load is the sample (waiting and running) plus our own dispatches since it was asked for,
 * times the number of hubwards that share the sites (Mitzenmacher 2001; with own dispatches the p99 wait at ten-second
 * old samples fell from 5.48 s to 0.56 s in the simulation that docs/decisions tells of).
 */
export const spread = (scene: Scene, all: readonly number[]): number => {
  const equals = all.length === 1 ? all : answering(scene, all)
  if (equals.length === 1) return equals[0]!
  const { seed } = scene.facts
  const first = Math.floor(shareOf(seed, 'spread first') * equals.length)
  let second = Math.floor(shareOf(seed, 'spread second') * (equals.length - 1))
  if (second >= first) second += 1
  const a = equals[first]!
  const b = equals[second]!
  // A number against none compares nothing: the draw decides, so that neither is flooded nor starved.
  if (isSampled(scene, a) !== isSampled(scene, b)) return a
  return loadOf(scene, b) < loadOf(scene, a) ? b : a
}

/**
 * Those whose errors are not red, where there are any: a target that fails at once has an empty queue and would draw the
 * traffic of all others to it.
 */
const answering = (scene: Scene, equals: readonly number[]): readonly number[] => {
  if (!equals.some((index) => isFailing(scene, index))) return equals
  const left = equals.filter((index) => !isFailing(scene, index))
  return left.length === 0 ? equals : left
}

const isFailing = ({ data, policy, workload, now }: Scene, index: number): boolean =>
  policy?.readiness[index]?.failing.some(
    ({ key, signal }) =>
      data.gates[key]?.failed[index] === 1 &&
      !isStale(data.columns[signal], index, freshnessLimit(workload, signal), now),
  ) === true

/** The load of a target as this hubward sees it, by its capacity. It compares equals only and never meets a threshold. */
export const loadOf = (scene: Scene, index: number): number => {
  const { data, programs, tally } = scene
  const target = programs.targets[index]!
  const waiting = data.columns['queue.depth']
  const running = data.columns['queue.running']
  const hasSample = isFresh(scene, waiting?.at[index])
  const sampled =
    (hasSample ? waiting!.value[index]! : 0) + (isFresh(scene, running?.at[index]) ? running!.value[index]! : 0)
  const dispatched = tally.dispatched[target.name] ?? 0
  const before = hasSample ? waiting!.dispatchedBefore[index]! : -1
  // A sample that does not say when it was asked for can't be compensated; with no sample at all our own count is all there is.
  const since = before >= 0 ? Math.max(0, dispatched - before) : hasSample ? 0 : dispatched
  return (sampled + since * Math.max(1, tally.sidecars)) / target.capacity
}

const isFresh = (scene: Scene, at: number | undefined): boolean =>
  at !== undefined && at > 0 && scene.now - at <= LOAD_AGE_MS

const isSampled = (scene: Scene, index: number): boolean => isFresh(scene, scene.data.columns['queue.depth']?.at[index])

const orders = new WeakMap<readonly (number | null)[], readonly string[]>()

/** The sites by measured round trip from here, nearest first; those never measured come last, in the documents' order. */
export const nearestSites = (data: SnapshotData, programs: Programs, stableForMs: number): readonly string[] => {
  const values = data.held[heldKey(NEAREST.signal, NEAREST.within, NEAREST.withinPct, stableForMs)]?.value
  if (values === undefined) return [...programs.bySite.keys()]
  // Sorting again only when the held round trips moved: the array is a new one then, and only then.
  let order = orders.get(values)
  if (order === undefined) {
    const at = (site: string): number => values[programs.bySite.get(site)![0]!] ?? Number.POSITIVE_INFINITY
    order = [...programs.bySite.keys()].sort((a, b) => (at(a) === at(b) ? 0 : at(a) - at(b)))
    orders.set(values, order)
  }
  return order
}
