import type { TargetName } from '../model/names.ts'
import type { Tally } from '../model/tally.ts'
import type { EngineSnapshot, PolicyProgram } from './programs.ts'

/**
 * How many held requests a target can take before it is measured again: what its queue limit (or, where the policy has
 * none, its capacity) leaves of the newest sample, less what we have sent since that sample was asked for. At least one
 * for each sample, for a limit that is met says that there is room. Thresholds judge samples alone, so without this a
 * pool whose queue has just shrunk would be handed everything that waits at once.
 */
export const roomAt = (
  { data, programs }: EngineSnapshot,
  policy: PolicyProgram | undefined,
  target: TargetName,
  tally: Tally,
): number => {
  const index = programs.indexOf.get(target)
  if (index === undefined) return 0
  const waiting = data.columns['queue.depth']
  const running = data.columns['queue.running']
  const depth = (waiting?.at[index] ?? 0) > 0 ? waiting!.value[index]! : 0
  const busy = (running?.at[index] ?? 0) > 0 ? running!.value[index]! : 0
  const before = waiting?.dispatchedBefore[index] ?? -1
  const dispatched = tally.dispatched[target] ?? 0
  const since = before < 0 ? 0 : Math.max(0, dispatched - before)
  const limit = policy?.gates.find(({ signal }) => signal === 'queue.depth')?.threshold.limit
  const left = limit === undefined ? programs.targets[index]!.capacity - depth - busy : limit - depth
  return Math.max(1, Math.floor(left / Math.max(1, tally.sidecars))) - since
}
