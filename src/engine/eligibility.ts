import type { Because } from '../model/decision.ts'
import type { Override } from '../model/override.ts'
import { signalOf } from '../model/signal.ts'
import { coversTarget, maintenanceOf } from './orders.ts'
import type { TargetProgram } from './programs.ts'
import type { Scene } from './scene.ts'

/**
 * Step 3, the hard constraints, in the order in which they are asked. What the documents say comes first: a target that
 * fails one of those could never serve the request. `health.state` comes last, so that a target kept out by it alone
 * is one that panic may still use.
 */
export const HARD = [
  'residency',
  'model.served',
  'model.context_tokens',
  'model.tools',
  'pool.gpu',
  'pool.cooling',
  'cluster.known',
  'drain',
  'maintenance',
  'safety.red',
  'health.state',
] as const

/** How many of HARD only the documents can change. */
export const HARD_BY_DOCUMENTS = 6

/** The index in HARD of health.state. */
export const BY_HEALTH = HARD.length - 1

/** The first hard constraint, as an index of HARD, that keeps a target from this request; -1 where none does. */
export const hardBlock = (scene: Scene, target: TargetProgram, model: string | undefined): number => {
  for (let code = 0; code < HARD.length; code++) if (!holds(scene, target, model, code)) return code
  return -1
}

/** Could this target ever serve the request, whatever its state? */
export const couldServe = (scene: Scene, target: TargetProgram, model: string | undefined): boolean => {
  for (let code = 0; code < HARD_BY_DOCUMENTS; code++) if (!holds(scene, target, model, code)) return false
  return true
}

/** Does one hard constraint hold? Switching on the index keeps the definition in one place for decide and explain. */
export const holds = (scene: Scene, target: TargetProgram, model: string | undefined, code: number): boolean => {
  const { facts, policy } = scene
  switch (HARD[code]) {
    case 'residency':
      return facts.residency === undefined
        ? policy?.doc.residency !== 'required'
        : fitsResidency(facts.residency, target)
    case 'model.served':
      return model === undefined || target.models.has(model)
    case 'model.context_tokens': {
      const limit = model === undefined ? undefined : target.models.get(model)?.maxContextTokens
      return limit === undefined || facts.contextTokens === undefined || facts.contextTokens <= limit
    }
    case 'model.tools':
      return facts.tools !== true || model === undefined || target.models.get(model)?.tools !== false
    case 'pool.gpu':
      return isOneOf(policy?.doc.require.gpu, target.gpu) && isOneOf(facts.needs?.gpu, target.gpu)
    case 'pool.cooling':
      return isOneOf(policy?.doc.require.cooling, target.cooling) && isOneOf(facts.needs?.cooling, target.cooling)
    case 'cluster.known':
      return scene.programs.clusters === null || scene.programs.clusters.has(target.cluster)
    case 'drain':
      return drainFor(scene, target) === undefined
    case 'maintenance':
      return (
        (target.maintenance.length === 0 &&
          scene.programs.maintenance.length === 0 &&
          scene.data.columns['maintenance.active'] === undefined) ||
        maintenanceOf(scene.programs, target, scene.now, scene.data.columns) === undefined
      )
    case 'safety.red':
      return redFor(scene, target) === undefined
    case 'health.state':
      return !scene.data.health[target.index]!.down
    default:
      return true
  }
}

/**
 * The safety signal whose red keeps this request's class out of a target. Which classes red lets in is in the readiness
 * documents; a class that no policy covers is let in by none.
 */
export const redFor = (scene: Scene, target: TargetProgram): string | undefined => {
  const readiness = scene.policy?.readiness[target.index]
  for (const signal of scene.data.health[target.index]!.red) {
    if (readiness === undefined) return signal
    if (!readiness.redAdmitted.has(signal) && !readiness.ownRed.has(signal)) return signal
  }
  if (readiness === undefined || readiness.ownRed.size === 0) return undefined
  for (const [signal, gate] of readiness.ownRed)
    if (scene.data.gates[gate.key]?.failed[target.index] === 1) return signal
  return undefined
}

const round = (value: number): number => Math.round(value * 1000) / 1000

/** Does any of these jurisdictions allow the target? `*` allows every place. */
export const fitsResidency = (allowed: readonly string[], target: TargetProgram): boolean => {
  for (const one of allowed) if (one === '*' || target.jurisdictions.has(one)) return true
  return false
}

/** The pin that keeps this request elsewhere than on a target. */
export const pinAgainst = (scene: Scene, target: TargetProgram): Override | undefined =>
  scene.pins.find((order) => !coversTarget(order.scope, target))

/** The drain that keeps this request off a target. */
export const drainFor = (scene: Scene, target: TargetProgram): Override | undefined => {
  for (const order of scene.drains) if (coversTarget(order.scope, target)) return order
  return undefined
}

const isOneOf = (wanted: readonly string[] | undefined, value: string | undefined): boolean =>
  wanted === undefined || (value !== undefined && wanted.includes(value))

/** A hard constraint told with what was seen and what was wanted. */
export const hardBecause = (scene: Scene, target: TargetProgram, model: string | undefined, code: number): Because => {
  const { facts, policy, data, programs, now } = scene
  const constraint = HARD[code]!
  const name = target.name
  const row = data.health[target.index]!
  const served = model === undefined ? undefined : target.models.get(model)
  switch (constraint) {
    case 'residency':
      return {
        target: name,
        constraint,
        measured: [...target.jurisdictions].join(','),
        op: 'in',
        limit: facts.residency?.join(',') ?? 'not stated',
      }
    case 'model.served':
      return { target: name, constraint, measured: [...target.models.keys()].join(','), op: 'in', limit: model ?? '' }
    case 'model.context_tokens':
      return {
        target: name,
        constraint,
        measured: facts.contextTokens ?? 0,
        op: '<=',
        limit: served?.maxContextTokens ?? 0,
        unit: 'tokens',
      }
    case 'model.tools':
      return { target: name, constraint, measured: 'no tools', op: '==', limit: 'tools' }
    case 'pool.gpu':
      return {
        target: name,
        constraint,
        measured: target.gpu ?? 'not stated',
        op: 'in',
        limit: (facts.needs?.gpu ?? policy?.doc.require.gpu ?? []).join(','),
      }
    case 'pool.cooling':
      return {
        target: name,
        constraint,
        measured: target.cooling ?? 'not stated',
        op: 'in',
        limit: (facts.needs?.cooling ?? policy?.doc.require.cooling ?? []).join(','),
      }
    case 'cluster.known':
      return { target: name, constraint, measured: `Envoy has no cluster ${target.cluster}`, op: '==', limit: 'known' }
    case 'drain': {
      const order = drainFor(scene, target)
      return {
        target: name,
        constraint,
        measured: order === undefined ? 'drained' : `drained by ${order.author}: ${order.reason}`,
        op: '==',
        limit: 'not drained',
      }
    }
    case 'maintenance':
      return {
        target: name,
        constraint,
        measured: maintenanceOf(programs, target, now, data.columns) ?? 'maintenance',
        op: '==',
        limit: 'no maintenance',
      }
    case 'safety.red': {
      const signal = redFor(scene, target) ?? ''
      const column = data.columns[signal]
      const at = column?.at[target.index] ?? 0
      const own = policy?.readiness[target.index]?.ownRed.get(signal)?.threshold
      const red = own ?? programs.redLimits[target.index]?.get(signal)
      return {
        target: name,
        constraint,
        measured: `${signal} ${column === undefined ? '?' : round(column.value[target.index]!)}`,
        op: red?.op === 'max' ? '<=' : '>=',
        limit: red?.resume ?? 'not red',
        unit: signalOf(signal)?.unit ?? '',
        ...(at > 0 ? { ageMs: now - at, source: column!.source[target.index]! } : {}),
      }
    }
    case 'health.state':
      return {
        target: name,
        constraint,
        measured: `down, ${row.cause}`,
        op: '==',
        limit: 'ready',
        ...(row.lastOkAt > 0 ? { ageMs: now - row.lastOkAt } : {}),
      }
    default:
      return constraint satisfies never
  }
}
