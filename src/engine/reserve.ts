import type { Reservation } from '../model/reservation.ts'
import type { SnapshotData } from '../model/snapshot.ts'
import type { Programs, TargetProgram } from './programs.ts'
import type { Scene } from './scene.ts'

/** What admitted jobs hold at one place and cannot be measured yet. */
interface Held {
  readonly mw: number
  readonly coolingKw: number
  readonly gpus: number
}

const NOTHING: Held = { mw: 0, coolingKw: 0, gpus: 0 }

/** The part of a reservation that its job does not draw yet: what it draws is in the measured draw already. */
const restOf = ({ mw, drawMw }: Reservation): number => (mw <= 0 ? Number(drawMw === 0) : Math.max(0, 1 - drawMw / mw))

const sums = new WeakMap<SnapshotData['reservations'], ReadonlyMap<string, Held>>()

/** Held power by site, cooling by site and by `site@loop`, accelerators by target; worked out once for each set of reservations. */
const heldBy = (data: SnapshotData, programs: Programs): ReadonlyMap<string, Held> => {
  let known = sums.get(data.reservations)
  if (known === undefined) {
    const made = new Map<string, Held>()
    const add = (key: string, more: Held): void => {
      const { mw, coolingKw, gpus } = made.get(key) ?? NOTHING
      made.set(key, { mw: mw + more.mw, coolingKw: coolingKw + more.coolingKw, gpus: gpus + more.gpus })
    }
    for (const one of Object.values(data.reservations)) {
      const index = programs.indexOf.get(one.target)
      if (index === undefined) continue
      const target = programs.targets[index]!
      const rest = restOf(one)
      const held = { mw: one.mw * rest, coolingKw: one.coolingKw * rest, gpus: one.gpus * Math.ceil(rest) }
      add(target.site, held)
      add(target.name, held)
      for (const loop of target.loops) add(`${target.site}@${loop}`, held)
    }
    known = made
    sums.set(data.reservations, known)
  }
  return known
}

/**
 * A signal's value at a target less what admitted jobs hold of it, for a job that asks; the value itself where nothing
 * is held or somebody else asks. Only this hubward's own reservations are known.
 */
export const netOf = (scene: Scene, target: TargetProgram, signal: string, value: number): number => {
  const { data, programs, workload } = scene
  if (workload?.whenHubwardIsDown !== 'refuse' || data.reservations === NO_RESERVATIONS) return value
  switch (signal) {
    case 'power.headroom_mw':
      return value - (heldBy(data, programs).get(target.site)?.mw ?? 0)
    case 'power.headroom_pct': {
      const budget = target.doc.powerBudgetMw
      const mw = heldBy(data, programs).get(target.site)?.mw ?? 0
      return budget === undefined ? value : value - (mw / budget) * 100
    }
    case 'cooling.headroom_kw': {
      const held = heldBy(data, programs)
      const places = target.loops.length === 0 ? [target.site] : target.loops.map((loop) => `${target.site}@${loop}`)
      return value - places.reduce((most, place) => Math.max(most, held.get(place)?.coolingKw ?? 0), 0)
    }
    case 'gpu.free':
      return value - (heldBy(data, programs).get(target.name)?.gpus ?? 0)
    default:
      return value
  }
}

/** No reservation at all: the usual case, told by identity. */
export const NO_RESERVATIONS: SnapshotData['reservations'] = {}
