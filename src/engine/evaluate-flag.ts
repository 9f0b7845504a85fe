import type { Facts, FactValue } from '../model/facts.ts'
import type { FlagContext, FlagResult, Scalar } from '../model/flag.ts'
import type { EpochMs, FlagKey } from '../model/names.ts'
import { isStaleSource } from './fold-flags.ts'
import { cohortsOf } from './precedence.ts'
import type { EngineSnapshot } from './programs.ts'

/** A flag as it is told to whoever asks from outside, with what is known of it. */
export interface Evaluated {
  readonly result: FlagResult
  readonly metadata: Readonly<Record<string, Scalar>>
}

const NO_METADATA: Readonly<Record<string, Scalar>> = {}

/**
 * One flag for a context that somebody brings, by the program that decisions themselves ask. A context that does not
 * name its cohorts gets those that the documents give it, so that a rollout shows it the same arm. Flags that are stale
 * and off are told as disabled.
 */
export const evaluateFlag = (
  { data, programs }: EngineSnapshot,
  key: FlagKey,
  context: FlagContext,
  now: EpochMs,
): Evaluated => {
  const program = programs.flags.get(key)
  if (program === undefined) {
    const metadata = Object.values(data.flagSets)[0]?.set.metadata ?? NO_METADATA
    return {
      result: { reason: 'ERROR', errorCode: 'FLAG_NOT_FOUND', errorMessage: `no flag is called "${key}"` },
      metadata,
    }
  }
  const metadata = program.flag.definition.metadata ?? NO_METADATA
  const state = data.flagSets[program.source]
  const isStale = state !== undefined && isStaleSource(state, now)
  if (isStale && state.whenStale === 'off') return { result: { reason: 'DISABLED' }, metadata }
  const result = program.evaluate(withCohorts(context, programs), now)
  return { result: isStale && result.reason !== 'ERROR' ? { ...result, reason: 'STALE' } : result, metadata }
}

const withCohorts = (context: FlagContext, programs: Parameters<typeof cohortsOf>[1]): FlagContext => {
  if (Object.hasOwn(context, 'cohorts') || programs.cohorts.size === 0) return context
  return { ...context, cohorts: cohortsOf(factsOf(context), programs) }
}

/** A context's names are the facts'; what of it is no fact of ours conditions can read as one of the user's own. */
const factsOf = (context: FlagContext): Facts => ({
  ...(context as Partial<Facts>),
  requestId: '',
  seed: '',
  class: typeof context.class === 'string' ? context.class : '',
  session: { verdict: 'none' },
  extra: context as Readonly<Record<string, FactValue>>,
})
