import { hardBlock } from './eligibility.ts'
import { softBlock } from './fitness.ts'
import { tiersOf } from './judge-tiers.ts'
import type { PolicyProgram } from './programs.ts'
import { netOf } from './reserve.ts'
import type { Scene } from './scene.ts'

/** How many targets are asked. */
const TARGETS_MAX = 32

/**
 * The most accelerators that a job could have now where it asked for more than are free, and not fewer than it can do
 * with; undefined where something else stands in its way as well. Example: a fine-tuning job asks for 16, 12 are free and
 * it can do with 8: 12.
 */
export const suggestGpus = (scene: Scene, policy: PolicyProgram): number | undefined => {
  const { facts } = scene
  const wanted = facts.needs?.gpus
  if (wanted === undefined || wanted < 2) return undefined
  const { gpus: _, ...needs } = facts.needs!
  const { 'gpu.free': __, ...signals } = needs.signals ?? {}
  const modest: Scene = { ...scene, facts: { ...facts, needs: { ...needs, signals } } }
  let most = 0
  let asked = 0
  for (const tier of tiersOf(scene, policy)) {
    for (const entry of tier) {
      for (const index of entry.targets) {
        asked += 1
        if (asked > TARGETS_MAX) return most > 0 ? most : undefined
        const target = scene.programs.targets[index]!
        const column = scene.data.columns['gpu.free']
        if ((column?.at[index] ?? 0) === 0 || hardBlock(scene, target, facts.model) >= 0) continue
        const free = Math.min(wanted - 1, Math.floor(netOf(scene, target, 'gpu.free', column!.value[index]!)))
        if (free <= most || free < (facts.needs?.gpusMin ?? 1)) continue
        if (softBlock(modest, target, { stale: [], insufficient: [], waivedBy: null }) === undefined) most = free
      }
    }
  }
  return most > 0 ? most : undefined
}
