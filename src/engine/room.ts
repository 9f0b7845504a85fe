import type { EpochMs, TargetName } from '../model/names.ts'
import type { Tally } from '../model/tally.ts'
import type { EngineSnapshot, PolicyProgram } from './programs.ts'

/**
 * When a target's room was last measured: by its queue, or where nothing reports that, by any signal of the policy's
 * limits; 0: never. Samples of one measurement share their time, so a later one is a new measurement.
 */
export const measuredAt = (
  { data, programs }: EngineSnapshot,
  policy: PolicyProgram | undefined,
  target: TargetName,
): EpochMs => {
  const index = programs.indexOf.get(target) ?? -1
  const at = (signal: string): EpochMs => data.columns[signal]?.at[index] ?? 0
  return at('queue.depth') || Math.max(at('queue.running'), ...(policy?.gates.map(({ signal }) => at(signal)) ?? []))
}

/**
 * How many held requests a target can take before it is measured again: what its queue limit (or, where the policy has
 * none, its capacity) leaves of the newest sample, less what we have sent since that sample was asked for. At least one
 * for each sample, for a limit that is met says that there is room. Thresholds judge samples alone, so without this a
 * pool whose queue has just shrunk would be handed everything that waits at once. `seenBefore` is what had been sent when
 * that sample was first seen: only model servers' samples say what had been sent when they were asked for.
 */
export const roomAt = (
  { data, programs }: EngineSnapshot,
  policy: PolicyProgram | undefined,
  target: TargetName,
  tally: Tally,
  seenBefore: number,
): number => {
  const index = programs.indexOf.get(target)
  if (index === undefined) return 0
  const waiting = data.columns['queue.depth']
  const running = data.columns['queue.running']
  const depth = (waiting?.at[index] ?? 0) > 0 ? waiting!.value[index]! : 0
  const busy = (running?.at[index] ?? 0) > 0 ? running!.value[index]! : 0
  const asked = waiting?.dispatchedBefore[index] ?? -1
  const dispatched = tally.dispatched[target] ?? 0
  const since = Math.max(0, dispatched - (asked < 0 ? seenBefore : asked))
  const limit = policy?.gates.find(({ signal }) => signal === 'queue.depth')?.threshold.limit
  const left = limit === undefined ? programs.targets[index]!.capacity - depth - busy : limit - depth
  return Math.max(1, Math.floor(left / Math.max(1, tally.sidecars))) - since
}
