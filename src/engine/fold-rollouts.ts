import type { Change } from '../model/change.ts'
import { policyRef } from '../model/documents.ts'
import type { Event } from '../model/event.ts'
import type { EpochMs } from '../model/names.ts'
import { isEnded, type Rollout, type RolloutState } from '../model/rollout.ts'
import { countedIn, numbersOf } from './compare.ts'
import { compilePrograms } from './compile-programs.ts'
import { reflag } from './flag-programs.ts'
import { type EngineSnapshot, mergeSets } from './programs.ts'
import { ended, judge } from './rollout.ts'
import { surroundingsOf } from './rollout-around.ts'
import { begun, rolloutHash, treatmentOf } from './rollout-begin.ts'
import { ordered, orderProblem } from './rollout-orders.ts'

/** The snapshot once rollouts were restored, ordered about or measured. */
export const foldRollouts = (
  snapshot: EngineSnapshot,
  change: Extract<Change, { kind: 'rollouts-restored' | 'rollout-ordered' | 'arms-measured' }>,
  now: EpochMs,
  events: Event[],
): EngineSnapshot => {
  switch (change.kind) {
    case 'rollouts-restored':
      return restored(snapshot, change, now)
    case 'rollout-ordered': {
      const { rollout: name, order } = change
      const state = snapshot.data.rollouts[name]
      if (state === undefined || orderProblem(snapshot, name, order, now) !== undefined) return snapshot
      const after = ordered(snapshot.programs.rollouts.get(name), state, order, now)
      return changed(snapshot, [after], order.author, now, events)
    }
    case 'arms-measured': {
      const after = change.readings.flatMap((reading) => {
        const state = snapshot.data.rollouts[reading.rollout]
        const rollout = snapshot.programs.rollouts.get(reading.rollout)
        if (state === undefined || rollout === undefined || isEnded(state.status)) return []
        if (rolloutHash(rollout) !== state.hash) return []
        return [judged(snapshot, rollout, countedIn(rollout, state, reading), now)]
      })
      return changed(snapshot, after, 'judge', now, events)
    }
    default:
      return change satisfies never
  }
}

/** How long policies that were kept over a restart wait to be named again: sources of flags come one after another. */
const NAMED_WITHIN_MS = 60_000

/** What was before a restart goes before what has begun since: the same rollout was further on. */
const restored = (
  { data, programs }: EngineSnapshot,
  { rollouts, retained }: Extract<Change, { kind: 'rollouts-restored' }>,
  now: EpochMs,
): EngineSnapshot => {
  const before = Object.fromEntries(rollouts.map((state) => [state.name, state]))
  const since = Object.values(data.rollouts).filter(({ name, hash }) => before[name]?.hash !== hash)
  const written = new Set(mergeSets(data.sets).policies.map(policyRef))
  const next = {
    ...data,
    rollouts: { ...before, ...Object.fromEntries(since.map((state) => [state.name, state])) },
    // What documents have again is theirs.
    retained: [...data.retained, ...retained].filter((doc) => !written.has(policyRef(doc))),
    retainedUntil: now + NAMED_WITHIN_MS,
  }
  return { data: next, programs: compilePrograms(next, programs.compile, programs.compileFlag) }
}

/** The snapshot with rollouts begun whose document and flag are there; one that says something else, or whose flag does, begins anew. */
export const startRollouts = (snapshot: EngineSnapshot, now: EpochMs, events: Event[]): EngineSnapshot => {
  const { data, programs } = snapshot
  const after = [...programs.rollouts.values()].flatMap((rollout) => {
    const state = data.rollouts[rollout.metadata.name]
    const treatment = treatmentOf(programs, rollout)
    if (treatment === undefined) return []
    const isSame = state?.hash === rolloutHash(rollout)
    // What was learnt of one treatment says nothing of another; an end is one for all that the document may bring.
    if (isSame && (isEnded(state!.status) || state!.meaning === treatment.meaning)) return []
    return [begun(rollout, treatment, now)]
  })
  return changed(snapshot, after, 'judge', now, events)
}

/** How long a document may be away before its rollout ends: sources come one after another, and are replaced in steps. */
const GONE_MS = 60_000

/** The snapshot once a second has passed for every rollout that has not ended. */
export const passRollouts = (snapshot: EngineSnapshot, now: EpochMs, events: Event[]): EngineSnapshot => {
  const { data, programs } = snapshot
  const after = Object.values(data.rollouts).flatMap((state): RolloutState[] => {
    if (isEnded(state.status)) return []
    const rollout = programs.rollouts.get(state.name)
    if (rollout === undefined) {
      if (state.goneAt === undefined) return [{ ...state, goneAt: now }]
      return now - state.goneAt < GONE_MS ? [] : [ended(state, 'aborted', 'aborted: no document has it any more')]
    }
    if (rolloutHash(rollout) !== state.hash) return []
    const { goneAt: _, ...here } = state
    return [judged(snapshot, rollout, state.goneAt === undefined ? state : here, now)]
  })
  return changed(snapshot, after, 'judge', now, events)
}

const judged = (snapshot: EngineSnapshot, rollout: Rollout, state: RolloutState, now: EpochMs): RolloutState =>
  judge(rollout, state, surroundingsOf(snapshot, rollout, state, now), now)

/** The snapshot with these states: told where something has turned, and with its flags rendered where shares have. */
const changed = (
  { data, programs }: EngineSnapshot,
  states: readonly RolloutState[],
  by: string,
  now: EpochMs,
  events: Event[],
): EngineSnapshot => {
  const moved = states.filter((state) => data.rollouts[state.name] !== state)
  if (moved.length === 0) return { data, programs }
  let isExposed = false
  for (const state of moved) {
    const before = data.rollouts[state.name]
    const isNew = before === undefined || before.hash !== state.hash
    const turned =
      isNew || before.status !== state.status || before.stage !== state.stage || before.shareBp !== state.shareBp
    if (!turned) continue
    isExposed = true
    const rollout = programs.rollouts.get(state.name)
    events.push({
      kind: 'rollout-changed',
      at: now,
      rollout: state.name,
      flag: state.flag,
      from: isNew ? 'new' : before.status,
      to: state.status,
      stage: rollout?.stages[state.stage]?.name ?? String(state.stage),
      shareBp: state.shareBp,
      by,
      cause: state.says,
      numbers: rollout === undefined ? {} : numbersOf(rollout, state),
    })
  }
  const rollouts = { ...data.rollouts, ...Object.fromEntries(moved.map((state) => [state.name, state])) }
  const next = { programs, data: { ...data, rollouts } }
  return isExposed ? reflag(next, now, events) : next
}
