import { createHash } from 'node:crypto'
import type { KnownNames } from '../admin/facts-json.ts'
import type { FlagRow, FlagsView } from '../admin/flags-view.ts'
import { evaluateFlag } from '../engine/evaluate-flag.ts'
import { isStaleSource } from '../engine/fold-flags.ts'
import type { EngineSnapshot, FlagProgram } from '../engine/programs.ts'
import type { Metrics } from '../metrics.ts'
import type { EpochMs } from '../model/names.ts'
import { definitionText, type ServedFlag } from '../openfeature/definitions.ts'
import { decisionId, type JudgeFacts, NotReady } from './judge.ts'

/** What the view is made of. */
export interface FlagsViewParts {
  readonly now: () => EpochMs
  readonly current: () => EngineSnapshot
  readonly judge: JudgeFacts
  readonly known: () => KnownNames | undefined
  readonly metrics: Metrics
  readonly streamsMax: number
}

/** The flags in force as they are served; the same list until a definition, a rollout or the age of a source changes it. */
export function servedFlags(current: () => EngineSnapshot, now: () => EpochMs): () => readonly ServedFlag[] {
  let of: EngineSnapshot['programs']['flags'] | undefined
  let off = ''
  let flags: readonly ServedFlag[] = []
  return () => {
    const { data, programs } = current()
    const at = now()
    const isOff = (source: string): boolean => {
      const state = data.flagSets[source]
      return state !== undefined && state.whenStale === 'off' && isStaleSource(state, at)
    }
    const offNow = Object.keys(data.flagSets).filter(isOff).join('\n')
    if (programs.flags === of && offNow === off) return flags
    const gone = new Set(offNow.split('\n'))
    flags = [...programs.flags]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, { flag, source }]) => ({ key, source, definition: flag.definition, isOff: gone.has(source) }))
    of = programs.flags
    off = offNow
    return flags
  }
}

/** What the routes of flags ask, out of the snapshot of the moment. */
export function flagsView(parts: FlagsViewParts, served: () => readonly ServedFlag[]): FlagsView {
  const { now, current, judge, known, metrics, streamsMax } = parts
  let hashOf: readonly ServedFlag[] | undefined
  let hash = ''
  return {
    keys: () => served().map(({ key }) => key),
    evaluate: (key, context) => evaluateFlag(current(), key, context, now()),
    rows: () => {
      const { data, programs } = current()
      return served().flatMap(({ key }) => {
        const program = programs.flags.get(key)
        return program === undefined ? [] : [rowOf(program, data, now())]
      })
    },
    row: (key) => {
      const { data, programs } = current()
      const program = programs.flags.get(key)
      if (program === undefined) return undefined
      const written = data.flagSets[program.source]?.set.flags[key]?.definition ?? program.flag.definition
      return { ...rowOf(program, data, now()), written, served: program.flag.definition }
    },
    definitions: () => {
      const flags = served()
      if (flags !== hashOf) hash = createHash('sha256').update(definitionText(flags, {})).digest('hex').slice(0, 32)
      hashOf = flags
      return hash
    },
    known,
    decide: (facts, key) => {
      // Not drawn but made of the key: the same question is to have the same answer as long as nothing has changed.
      const seed = createHash('sha256').update(`${facts.class}\n${key}`).digest('hex').slice(0, 16)
      const at = now()
      try {
        return judge({ requestId: seed, ...facts, seed }, at, decisionId(at, seed), {
          reserve: 'never',
          dispatch: false,
          dryRun: true,
        })
      } catch (error) {
        if (error instanceof NotReady) return undefined
        throw error
      }
    },
    streamsMax,
    answered: (route, status) => metrics.add('hubward_ofrep_answers_total', 1, route, String(status)),
  }
}

function rowOf({ flag, source, rollout }: FlagProgram, data: EngineSnapshot['data'], now: EpochMs): FlagRow {
  const { key, definition, layer, owner, expires } = flag
  const state = data.flagSets[source]
  const driven = rollout === undefined ? undefined : data.rollouts[rollout]
  return {
    key,
    source,
    state: definition.state,
    ...(layer === undefined ? {} : { layer }),
    ...(flag.class === undefined ? {} : { class: flag.class }),
    ...(owner === undefined ? {} : { owner }),
    ...(expires === undefined ? {} : { expires }),
    variants: Object.keys(definition.variants),
    defaultVariant: definition.defaultVariant ?? null,
    ...(rollout === undefined
      ? {}
      : {
          rollout: {
            name: rollout,
            ...(driven === undefined ? {} : { status: driven.status, shareBp: driven.shareBp }),
          },
        }),
    ...(state !== undefined && isStaleSource(state, now) ? { stale: state.whenStale } : {}),
  }
}
