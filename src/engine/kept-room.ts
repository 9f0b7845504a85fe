import { shareOf } from '../math/choice.ts'
import type { KeepRoom } from '../model/documents.ts'
import { type Block, isWaived, type Notes } from './block.ts'
import { freshnessLimit, isStale } from './columns.ts'
import type { TargetProgram } from './programs.ts'
import type { Scene } from './scene.ts'

/** How far below the kept room others begin to go on, in percent of capacity: not all of them at one number. */
const ROOM_RAMP_PCT = 10

const LOAD_SIGNALS = ['queue.running', 'queue.depth'] as const

/** What kept room says of one request at one target: how full it may be for it, and how full it is. */
interface RoomVerdict {
  readonly kept: KeepRoom
  /** The load that this request must find less of, in percent of capacity. */
  readonly limitPct: number
  /** Running and waiting requests by capacity, in percent; null: a sample is missing or too old. */
  readonly loadPct: number | null
  readonly ageMs: number
  /** The signal that says nothing. */
  readonly silent: string | undefined
}

/**
 * The room that the policy keeps from this request at a target, the most of it where several entries speak; undefined
 * where none does. Each request has its own limit in the last ten percent below the kept room, drawn by its session key:
 * as the load grows, others leave one by one, and one that was let in is let in again as long as the load is the same.
 *
 * Worked example: 20 % are kept of a capacity of 50. Up to 35 requests everybody comes in, from 40 on only the tiers, and
 * at 37, that is 74 %, six in ten of the others still come in.
 */
const keptRoom = (scene: Scene, target: TargetProgram): RoomVerdict | undefined => {
  const { policy, facts } = scene
  let kept: KeepRoom | undefined
  for (const one of policy?.doc.keepRoom ?? []) {
    if (one.site !== target.site && one.site !== target.name) continue
    if (facts.tier !== undefined && one.tiers.includes(facts.tier)) continue
    if (kept === undefined || one.pct > kept.pct) kept = one
  }
  if (kept === undefined) return undefined
  const { loadPct, ageMs, silent } = measuredLoad(scene, target)
  const mine = shareOf(facts.sessionKey ?? facts.requestId, `room ${target.name}`)
  const limitPct = Math.max(0, 100 - kept.pct - Math.min(ROOM_RAMP_PCT, 100 - kept.pct) * mine)
  return { kept, limitPct, loadPct, ageMs, silent }
}

/** Samples alone: what we have sent since belongs to spread, which compares, and never to a limit. */
const measuredLoad = (scene: Scene, target: TargetProgram): Pick<RoomVerdict, 'loadPct' | 'ageMs' | 'silent'> => {
  let sum = 0
  let ageMs = 0
  for (const signal of LOAD_SIGNALS) {
    const column = scene.data.columns[signal]
    const at = column?.at[target.index] ?? 0
    const limitMs = freshnessLimit(scene.workload, signal)
    if (isStale(column, target.index, limitMs, scene.now))
      return { loadPct: null, ageMs: scene.now - at, silent: signal }
    sum += column!.value[target.index]!
    ageMs = Math.max(ageMs, scene.now - at)
  }
  return { loadPct: (sum / target.capacity) * 100, ageMs, silent: undefined }
}

/**
 * Why the room that is left at a target is none for this request. Whoever the room is not kept for needs fresh samples of
 * the load: a target that says nothing of it is stale for them.
 */
export const roomBlock = (scene: Scene, target: TargetProgram, notes: Notes): Block | undefined => {
  const room = keptRoom(scene, target)
  if (room === undefined || isWaived(scene, target, 'keep.room', notes)) return undefined
  const name = target.name
  if (room.loadPct === null) {
    notes.stale.push(`${name} ${room.silent}`)
    const because = {
      target: name,
      constraint: 'freshness',
      measured: 'missing',
      unit: `ms of ${room.silent}`,
    } as const
    return { kind: 'stale', because }
  }
  if (room.loadPct < room.limitPct) return undefined
  const because = {
    target: name,
    constraint: 'keep.room',
    measured: round(room.loadPct),
    op: '<',
    limit: round(room.limitPct),
    unit: `% of capacity, ${room.kept.pct} % is kept for ${room.kept.tiers.join(', ')}`,
    ageMs: room.ageMs,
  } as const
  return { kind: 'room', because }
}

const round = (value: number): number => Math.round(value * 10) / 10
