import type { Change } from '../model/change.ts'
import type { Event } from '../model/event.ts'
import type { EpochMs } from '../model/names.ts'
import type { EngineSnapshot } from './programs.ts'

/** The snapshot once rollouts were restored, ordered about or measured. */
export const foldRollouts = (
  { data, programs }: EngineSnapshot,
  change: Extract<Change, { kind: 'rollouts-restored' | 'rollout-ordered' | 'arms-measured' }>,
  _now: EpochMs,
  _events: Event[],
): EngineSnapshot => {
  if (change.kind !== 'rollouts-restored') return { programs, data }
  const rollouts = Object.fromEntries(change.rollouts.map((state) => [state.name, state]))
  return { programs, data: { ...data, rollouts, retained: change.retained } }
}
