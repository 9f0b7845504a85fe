import type { ClusterName } from '../model/names.ts'
import { hardBlock, pinAgainst } from './eligibility.ts'
import type { EntryProgram } from './programs.ts'
import type { Scene } from './scene.ts'

/** Where to look for the target that takes over if the chosen one refuses the connection. */
export interface Healed {
  readonly tiers: readonly (readonly EntryProgram[])[]
  /** The fit targets of the chosen one's tier. */
  readonly fit: readonly number[]
}

/**
 * The cluster to name for a target: the aggregate of it and the next one that passes every hard constraint for this
 * very request, if Envoy has such an aggregate; else the target's own. So a connection that is refused before the next
 * probe costs the client nothing, and never leaves the request's jurisdiction.
 */
export const healedCluster = (scene: Scene, index: number, { tiers, fit }: Healed): ClusterName => {
  const { programs } = scene
  const own = programs.targets[index]!.cluster
  if (programs.aggregates.size === 0) return own
  const size = programs.targets.length
  for (const other of fit) {
    if (other === index) continue
    const name = programs.aggregates.get(index * size + other)
    if (name !== undefined) return name
  }
  for (const tier of tiers) {
    for (const entry of tier) {
      for (const other of entry.targets) {
        if (other === index) continue
        const name = programs.aggregates.get(index * size + other)
        if (name === undefined) continue
        const target = programs.targets[other]!
        if (hardBlock(scene, target, scene.facts.model) >= 0) continue
        if (pinAgainst(scene, target) !== undefined) continue
        return name
      }
    }
  }
  return own
}
