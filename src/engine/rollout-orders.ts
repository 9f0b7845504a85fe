import type { EpochMs } from '../model/names.ts'
import { isEnded, type Rollout, type RolloutOrder, type RolloutState } from '../model/rollout.ts'
import type { EngineSnapshot } from './programs.ts'
import { ended, promoted } from './rollout.ts'
import { frozenBecause, treatmentTargets } from './rollout-around.ts'

/** Why an order can't be carried out now, with what to do instead; undefined: it can. */
export function orderProblem(
  { data, programs }: EngineSnapshot,
  name: string,
  { order }: Pick<RolloutOrder, 'order'>,
  now: EpochMs,
): string | undefined {
  const state = data.rollouts[name]
  if (state === undefined) return `no rollout is called "${name}"; hubward rollout list names those that have begun`
  if (isEnded(state.status)) return `it has ended (${state.status}): change its document to begin anew`
  if (order === 'abort' || order === 'hold') return undefined
  const rollout = programs.rollouts.get(name)
  if (rollout === undefined) return 'no document has it any more: it can only be held or aborted'
  if (order === 'resume') return undefined
  if (programs.routing?.enabled === false) return 'routing is off, so experiments stand still: switch it on first'
  const frozen = frozenBecause(programs, rollout, treatmentTargets(programs, rollout, state), now)
  return frozen === undefined ? undefined : `${frozen}; wait for its end, or end the freeze`
}

/**
 * The state after a person's word. `promote` begins the next stage whatever the arms show, and `hold` stays where it is;
 * both are decisions that the judge does not go behind. `resume` leaves it to the judge again.
 */
export function ordered(
  rollout: Rollout | undefined,
  state: RolloutState,
  order: RolloutOrder,
  now: EpochMs,
): RolloutState {
  const { decidedStage: _, harm: __, ...rest } = state
  switch (order.order) {
    case 'promote': {
      if (rollout === undefined) return state
      const next = promoted(rollout, { ...rest, order }, now)
      return { ...next, decidedStage: next.stage }
    }
    case 'hold':
      return {
        ...rest,
        order,
        decidedStage: state.stage,
        status: 'held',
        says: `held by ${order.author}: ${order.reason}`,
        needed: null,
      }
    case 'resume':
      return { ...rest, order, status: 'running', says: `resumed by ${order.author}: ${order.reason}`, needed: null }
    case 'abort':
      return ended({ ...rest, order }, 'aborted', `aborted by ${order.author}: ${order.reason}`)
    default:
      return order.order satisfies never
  }
}
