import type { Decision } from '../model/decision.ts'
import { residencyDefaultName } from '../model/names.ts'
import { hardBlock } from './eligibility.ts'
import type { Judgement } from './judgement.ts'
import type { Scene } from './scene.ts'

/**
 * Step 1 with routing switched off: the residency class's default, without what is down, drained or red. Where the
 * request names no residency class, Envoy's own default stands.
 */
export const residencyDefault = (scene: Scene, judgement: Judgement): Decision => {
  const { facts, programs } = scene
  const residency = facts.residencyClass === undefined ? undefined : programs.residencies.get(facts.residencyClass)
  if (residency?.default === undefined) return judgement.decision('routing-disabled', { action: 'route' })
  let first: number | undefined
  let all = true
  for (const site of residency.default.sites) {
    for (const index of programs.bySite.get(site) ?? []) {
      const target = programs.targets[index]!
      const code = hardBlock(scene, target, facts.model)
      if (code < 0) first ??= index
      else {
        all = false
        judgement.hard(target, facts.model, code)
      }
    }
  }
  if (first === undefined) return judgement.decision('no-target', { action: 'deny', status: 503, retryAfterMs: 5_000 })
  const target = programs.targets[first]!
  const aggregate = residencyDefaultName(residency.metadata.name)
  // Envoy's aggregate heals by itself, but it knows nothing of drains: it is named only while all of it may serve.
  const cluster = all && programs.clusters?.has(aggregate) === true ? aggregate : target.cluster
  return judgement.decision('routing-disabled', { action: 'route', target: target.name, cluster })
}
