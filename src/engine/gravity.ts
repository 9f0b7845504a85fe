import { columnKey } from '../model/signal.ts'
import type { Column } from '../model/snapshot.ts'
import { type Block, isWaived, type Notes } from './block.ts'
import { freshnessLimit, isStale } from './columns.ts'
import { fitsResidency } from './eligibility.ts'
import { PATH_COST, type Programs, type TargetProgram } from './programs.ts'
import type { Scene } from './scene.ts'

/** One leg of a request's way: from where to where, how long, and how old the number is. */
interface Leg {
  readonly from: string
  readonly ms: number
  readonly ageMs: number
}

/** What a target is away from the client and from what the request needs near. */
interface Path {
  /** The client leg and the legs to the needs together; null: one of them is not known. */
  readonly ms: number | null
  readonly legs: readonly Leg[]
  /** What it needs and no site in reach holds. */
  readonly missing: string | undefined
}

/** An end from which the way of a client may be measured, and what is measured from it. */
interface End {
  readonly name: string
  readonly column: Column | undefined
  readonly limitMs: number
}

/** What is the same for all candidates of one request. */
interface Ways {
  /** The most exact first: the client's ASN, its region, and at last this gateway. */
  readonly ends: readonly End[]
  readonly needs: readonly { readonly name: string; readonly holders: readonly Holder[] }[]
  readonly limitMs: number
}

/** A site that has what a request needs, and the round trips from it. */
interface Holder {
  readonly target: TargetProgram
  readonly says: string
  readonly column: Column | undefined
}

const NOTHING: readonly string[] = []

/** What the request needs near: what its class names, and what the job itself does. */
export const nearOf = ({ workload, facts }: Scene): readonly string[] => {
  const ofClass = workload?.near ?? NOTHING
  const ofJob = facts.needs?.near ?? NOTHING
  if (ofJob.length === 0) return ofClass
  return ofClass.length === 0 ? ofJob : [...new Set([...ofClass, ...ofJob])]
}

const holding = new WeakMap<Programs, ReadonlyMap<string, readonly TargetProgram[]>>()

/** A target of each site that says it holds something, by what it holds; worked out once for each set of documents. */
const holdersOf = (programs: Programs, name: string): readonly TargetProgram[] => {
  let known = holding.get(programs)
  if (known === undefined) {
    const made = new Map<string, TargetProgram[]>()
    for (const indexes of programs.bySite.values()) {
      const target = programs.targets[indexes[0] ?? -1]
      for (const one of target?.doc.holds ?? []) made.set(one.name, [...(made.get(one.name) ?? []), target!])
    }
    known = made
    holding.set(programs, known)
  }
  return known.get(name) ?? []
}

const ways = new WeakMap<Scene, Ways>()

const waysOf = (scene: Scene): Ways => {
  let known = ways.get(scene)
  if (known === undefined) {
    const { facts, programs, workload } = scene
    const columnOf = (signal: string, from?: string) => scene.data.columns[columnKey(signal, undefined, from)]
    const client = (name: string): End => ({
      name,
      column: columnOf('client.rtt_p95_ms', name),
      limitMs: freshnessLimit(workload, 'client.rtt_p95_ms'),
    })
    const gateway = 'network.rtt_p95_ms'
    known = {
      ends: [
        ...(facts.asn === undefined ? [] : [client(`asn:${facts.asn}`)]),
        ...(facts.region === undefined ? [] : [client(`region:${facts.region}`)]),
        { name: 'gateway', column: columnOf(gateway), limitMs: freshnessLimit(workload, gateway) },
      ],
      needs: nearOf(scene).map((name) => ({
        name,
        holders: holdersOf(programs, name)
          .filter((target) => isHeldAt(scene, target, name) && mayGoTo(scene, target))
          .map((target) => ({
            target,
            says: `${name}@${target.site}`,
            column: columnOf('site.rtt_ms', `site:${target.site}`),
          })),
      })),
      limitMs: freshnessLimit(workload, 'site.rtt_ms'),
    }
    ways.set(scene, known)
  }
  return known
}

/**
 * The end from which all of these targets are measured, the most exact one that they share: a round trip from the
 * client's network is no match for one from this gateway. Undefined: they share none, and each has its own best.
 */
export const sharedEnd = (scene: Scene, indexes: readonly number[]): End | undefined =>
  waysOf(scene).ends.find((end) => indexes.every((index) => !isStale(end.column, index, end.limitMs, scene.now)))

/**
 * The way of a request to a target: the client leg, and for each thing it needs near the leg to the nearest site that
 * holds it, nothing where the target's own site does. A copy that is not there yet (`freshSince` lies ahead) is none, and
 * neither is one outside the request's residency, for the request's own data would go there.
 *
 * Worked example: a client 20 ms from fra that needs an index which only ams holds, 9 ms away, has 29 ms to fra; with 12
 * ms to ams it has 12 ms there.
 */
export const pathTo = (scene: Scene, target: TargetProgram, shared?: End): Path => {
  const { now } = scene
  const { ends, needs, limitMs } = waysOf(scene)
  const legs: Leg[] = []
  let ms: number | null = null
  let missing: string | undefined
  const end = shared ?? ends.find((one) => !isStale(one.column, target.index, one.limitMs, now))
  const client = end === undefined ? undefined : legFrom(end.name, end.column, target.index, end.limitMs, now)
  if (client !== undefined) {
    ms = client.ms
    legs.push(client)
  }
  for (const { name, holders } of needs) {
    if (isHeldAt(scene, target, name)) continue
    let best: Leg | undefined
    for (const { target: there, says, column } of holders) {
      if (there.site === target.site) continue
      const leg =
        legFrom(says, column, target.index, limitMs, now) ??
        // A round trip is as long from either end; whichever was measured will do.
        legFrom(
          says,
          scene.data.columns[columnKey('site.rtt_ms', undefined, `site:${target.site}`)],
          there.index,
          limitMs,
          now,
        )
      if (leg !== undefined && (best === undefined || leg.ms < best.ms)) best = leg
    }
    if (best === undefined) missing ??= name
    else legs.push(best)
    ms = ms === null || best === undefined ? null : ms + best.ms
  }
  return { ms, legs, missing }
}

const legFrom = (
  from: string,
  column: Column | undefined,
  index: number,
  limitMs: number,
  now: number,
): Leg | undefined =>
  isStale(column, index, limitMs, now)
    ? undefined
    : { from, ms: column!.value[index]!, ageMs: now - column!.at[index]! }

/** The legs as words: `asn:1136 20 + vector-index@fra 9`. */
export const legsInWords = (path: Path): string => path.legs.map(({ from, ms }) => `${from} ${round(ms)}`).join(' + ')

const isHeldAt = (scene: Scene, target: TargetProgram, name: string): boolean =>
  target.doc.holds?.some((one) => one.name === name && (one.freshSince ?? 0) <= scene.now) === true

const mayGoTo = ({ facts }: Scene, target: TargetProgram): boolean =>
  facts.residency === undefined || fitsResidency(facts.residency, target)

/**
 * What a request needs near and can't have from a target, or a way there that is longer than policy or job allow. The way
 * is worked out for each request, so it has no gate and no damping: its parts are percentiles over a minute and more, and
 * where several targets are near enough, ranking holds ties together by its tolerance.
 */
export const nearBlock = (scene: Scene, target: TargetProgram, notes: Notes): Block | undefined => {
  const limit = Math.min(
    scene.policy?.pathCostMax ?? Number.POSITIVE_INFINITY,
    scene.facts.needs?.signals?.[PATH_COST]?.max ?? Number.POSITIVE_INFINITY,
  )
  const isLimited = limit !== Number.POSITIVE_INFINITY
  if (!isLimited && nearOf(scene).length === 0) return undefined
  const path = pathTo(scene, target)
  const name = target.name
  if (path.missing !== undefined && !isWaived(scene, target, 'data.near', notes)) {
    const because = {
      target: name,
      constraint: 'data.near',
      measured: `${path.missing} is held by no site in reach`,
      op: '==',
      limit: 'held here, or at a site with a measured way',
    } as const
    return { kind: 'near', because }
  }
  if (!isLimited || isWaived(scene, target, PATH_COST, notes)) return undefined
  if (path.ms === null) {
    notes.stale.push(`${name} ${PATH_COST}`)
    const because = { target: name, constraint: 'freshness', measured: 'missing', unit: `ms of ${PATH_COST}` } as const
    return { kind: 'stale', because }
  }
  if (path.ms <= limit) return undefined
  const because = {
    target: name,
    constraint: PATH_COST,
    measured: round(path.ms),
    op: '<=',
    limit,
    unit: 'ms',
    ageMs: Math.max(...path.legs.map((leg) => leg.ageMs)),
    source: legsInWords(path),
  } as const
  return { kind: 'limit', because }
}

const round = (value: number): number => Math.round(value * 100) / 100
