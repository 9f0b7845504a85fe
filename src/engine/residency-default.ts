import type { Decision } from '../model/decision.ts'
import type { ResidencyClass } from '../model/documents.ts'
import { residencyDefaultName } from '../model/names.ts'
import { couldServe, hardBlock } from './eligibility.ts'
import type { Judgement } from './judgement.ts'
import type { Scene } from './scene.ts'

/**
 * Where a request goes that hubward does not judge (no policy covers it, or routing is switched off): to the default of
 * its residency class, inside everything that is hard. Where Envoy's own default for it is just that, it stands. A
 * request that is bound but names no residency class gets the default of the first class that fits; one that is bound
 * to nothing is left to Envoy's routes, which refuse it or send it to the unrestricted default.
 */
export const residencyDefault = (
  scene: Scene,
  judgement: Judgement,
  reason: 'no-policy' | 'routing-disabled',
): Decision => {
  const { facts, programs } = scene
  if (facts.residency === undefined && facts.residencyClass === undefined)
    return judgement.decision(reason, { action: 'route' })
  const named = facts.residencyClass === undefined ? undefined : programs.residencies.get(facts.residencyClass)
  const classes =
    facts.residencyClass === undefined ? [...programs.residencies.values()] : named === undefined ? [] : [named]
  let servable = false
  for (const residency of classes) {
    const { fit, all } = defaultsOf(scene, residency, named === undefined ? undefined : judgement)
    servable ||= targetsOf(scene, residency).some((index) => couldServe(scene, programs.targets[index]!, undefined))
    if (fit === undefined) continue
    const target = programs.targets[fit]!
    if (all && named !== undefined && reason === 'no-policy') return judgement.decision(reason, { action: 'route' })
    const aggregate = residencyDefaultName(residency.metadata.name)
    // Envoy's aggregate heals by itself, but it knows nothing of drains: it is named only while all of it may serve.
    const cluster = all && programs.clusters?.has(aggregate) === true ? aggregate : target.cluster
    return judgement.decision(reason, { action: 'route', target: target.name, cluster })
  }
  return servable
    ? judgement.decision('no-target', { action: 'deny', status: 503, retryAfterMs: 5_000 })
    : judgement.decision('residency-unservable', { action: 'deny', status: 403 })
}

const targetsOf = (scene: Scene, residency: ResidencyClass): number[] =>
  (residency.default?.sites ?? []).flatMap((site) => scene.programs.bySite.get(site) ?? [])

/** The first of a class's default targets that passes everything hard, and whether all of them do. */
const defaultsOf = (
  scene: Scene,
  residency: ResidencyClass,
  judgement: Judgement | undefined,
): { readonly fit: number | undefined; readonly all: boolean } => {
  let fit: number | undefined
  let all = true
  for (const index of targetsOf(scene, residency)) {
    const target = scene.programs.targets[index]!
    // Which model it serves is not asked: Envoy's default would not ask either.
    const code = hardBlock(scene, target, undefined)
    if (code < 0) fit ??= index
    else {
      all = false
      judgement?.hard(target, undefined, code)
    }
  }
  return { fit, all }
}
