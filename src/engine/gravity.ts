import { columnKey } from '../model/signal.ts'
import { type Block, isWaived, type Notes } from './block.ts'
import { freshnessLimit, isStale } from './columns.ts'
import { fitsResidency } from './eligibility.ts'
import { PATH_COST, type TargetProgram } from './programs.ts'
import type { Scene } from './scene.ts'

/** One leg of a request's way: how long, how old the number, and what it is of. */
interface Leg {
  readonly ms: number
  readonly ageMs: number
  readonly says: string
}

/** What a target is away from the client and from what the request needs near. */
export interface Path {
  /** The client leg and the legs to the needs together; null: one of them is not known. */
  readonly ms: number | null
  /** The age of the oldest number in it. */
  readonly ageMs: number
  /** The legs as words: `asn:1136 20 + vector-index@fra 9`. */
  readonly says: string
  /** What it needs and no site in reach holds. */
  readonly missing: string | undefined
}

const NOTHING: readonly string[] = []

/** What the request needs near: what its class names, and what the job itself does. */
export const nearOf = ({ workload, facts }: Scene): readonly string[] => {
  const ofClass = workload?.near ?? NOTHING
  const ofJob = facts.needs?.near ?? NOTHING
  if (ofJob.length === 0) return ofClass
  return ofClass.length === 0 ? ofJob : [...new Set([...ofClass, ...ofJob])]
}

/**
 * The ends from which the way of this client may be measured, the most exact first: its ASN, its region, and at last this
 * gateway.
 */
const clientEnds = ({ facts }: Scene): readonly string[] => [
  ...(facts.asn === undefined ? [] : [`asn:${facts.asn}`]),
  ...(facts.region === undefined ? [] : [`region:${facts.region}`]),
  'gateway',
]

const clientLeg = (scene: Scene, index: number, end: string): Leg | undefined =>
  end === 'gateway'
    ? legOf(scene, 'network.rtt_p95_ms', index, end)
    : legOf(scene, 'client.rtt_p95_ms', index, end, end)

const legOf = (scene: Scene, signal: string, index: number, says: string, from?: string): Leg | undefined => {
  const column = scene.data.columns[columnKey(signal, undefined, from)]
  if (isStale(column, index, freshnessLimit(scene.workload, signal), scene.now)) return undefined
  return {
    ms: column!.value[index]!,
    ageMs: scene.now - column!.at[index]!,
    says: `${says} ${round(column!.value[index]!)}`,
  }
}

/**
 * The end from which all of these targets are measured, the most exact one that they share: a round trip from the
 * client's network is no match for one from this gateway. Undefined: they share none, and each has its own best.
 */
export const sharedEnd = (scene: Scene, indexes: readonly number[]): string | undefined =>
  clientEnds(scene).find((end) => indexes.every((index) => clientLeg(scene, index, end) !== undefined))

/**
 * The way of a request to a target: the client leg, and for each thing it needs near the leg to the nearest site that
 * holds it, nothing where the target's own site does. A copy that is not there yet (`freshSince` lies ahead) is none, and
 * neither is one outside the request's residency, for the request's own data would go there.
 *
 * Worked example: a client 20 ms from fra that needs an index which only ams holds, 9 ms away, has 29 ms to fra; with 12
 * ms to ams it has 12 ms there.
 */
export const pathTo = (scene: Scene, target: TargetProgram, end?: string): Path => {
  const says: string[] = []
  let ms: number | null = 0
  let ageMs = 0
  let missing: string | undefined
  const add = (leg: Leg | undefined): void => {
    ms = leg === undefined || ms === null ? null : ms + leg.ms
    if (leg === undefined) return
    ageMs = Math.max(ageMs, leg.ageMs)
    says.push(leg.says)
  }
  add(
    end === undefined
      ? clientEnds(scene)
          .map((one) => clientLeg(scene, target.index, one))
          .find((leg) => leg !== undefined)
      : clientLeg(scene, target.index, end),
  )
  for (const name of nearOf(scene)) {
    if (isHeldAt(scene, target, name)) continue
    const leg = needLeg(scene, target, name)
    if (leg === undefined) missing ??= name
    add(leg)
  }
  return { ms, ageMs, says: says.join(' + '), missing }
}

/** The leg from a target to the nearest site that holds something; undefined: none in reach does. */
const needLeg = (scene: Scene, target: TargetProgram, name: string): Leg | undefined => {
  let best: Leg | undefined
  for (const [site, indexes] of scene.programs.bySite) {
    const there = scene.programs.targets[indexes[0] ?? -1]
    if (there === undefined || site === target.site || !isHeldAt(scene, there, name) || !mayGoTo(scene, there)) continue
    const says = `${name}@${site}`
    // A round trip is as long from either end; whichever was measured will do.
    const leg =
      legOf(scene, 'site.rtt_ms', target.index, says, `site:${site}`) ??
      legOf(scene, 'site.rtt_ms', there.index, says, `site:${target.site}`)
    if (leg !== undefined && (best === undefined || leg.ms < best.ms)) best = leg
  }
  return best
}

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
    ageMs: path.ageMs,
    source: path.says,
  } as const
  return { kind: 'limit', because }
}

const round = (value: number): number => Math.round(value * 100) / 100
