import type {
  CompileFlag,
  EvaluateFlag,
  Flag,
  FlagDefinition,
  FlagErrorCode,
  FlagResult,
  FlagSet,
  Json,
} from '../model/flag.ts'
import type { FractionalVersion } from './fractional.ts'
import { compileTargeting, type Targeting } from './json-logic.ts'
import { costOf, FUEL, TooMuch } from './meter.ts'

/** What there is to choose about evaluation. */
export interface FlagCompilerOptions {
  /** The algorithm of `fractional`; absent: 2, which flagd and its SDKs have. */
  readonly fractionalVersion?: FractionalVersion
}

/** Makes programs of definitions and keeps them, so that an unchanged definition is never compiled twice. */
export interface FlagCompiler {
  readonly compile: CompileFlag
  /** Compiles ahead what a set has that is new, one flag at a step; the caller looks at its clock between steps. */
  readonly prepare: (set: FlagSet) => Generator<void, void, void>
  /** Forgets all programs but those of these hashes. Those that somebody still holds go on working. */
  readonly retain: (hashes: Iterable<string>) => void
  /** How many definitions have been compiled so far. */
  readonly compiled: () => number
}

/** What is kept of one definition, whatever the keys of the flags that have it. */
interface Program {
  readonly definition: FlagDefinition
  readonly byVariant: ReadonlyMap<string, FlagResult>
  /** Null: none; an Error: it can't be compiled. */
  readonly targeting: Targeting | null | Error
}

/** Programs that are kept; the ones kept longest go first. More flags than one source may have. */
const PROGRAMS_MAX = 40_000
/** How many flags that are compiled already are passed over in one step. */
const KNOWN_AT_ONCE = 100

/** A compiler with a memory of its own. */
export function createFlagCompiler({ fractionalVersion = 2 }: FlagCompilerOptions = {}): FlagCompiler {
  const programs = new Map<string, Program>()
  let compiled = 0

  const programOf = ({ definition, hash }: Pick<Flag, 'definition' | 'hash'>): Program => {
    const known = programs.get(hash)
    if (known !== undefined) return known
    const program = {
      definition,
      byVariant: resultsOf(definition),
      targeting: targetingOf(definition, fractionalVersion),
    }
    compiled += 1
    if (programs.size >= PROGRAMS_MAX) programs.delete(programs.keys().next().value!)
    programs.set(hash, program)
    return program
  }

  return {
    compile: (flag) => evaluator(flag.key, programOf(flag)),
    *prepare(set) {
      let known = 0
      for (const flag of Object.values(set.flags)) {
        if (programs.has(flag.hash)) {
          known += 1
          if (known % KNOWN_AT_ONCE === 0) yield
          continue
        }
        programOf(flag)
        yield
      }
    },
    retain: (hashes) => {
      const kept = new Set(hashes)
      for (const hash of programs.keys()) if (!kept.has(hash)) programs.delete(hash)
    },
    compiled: () => compiled,
  }
}

function targetingOf({ state, targeting }: FlagDefinition, version: FractionalVersion): Targeting | null | Error {
  if (state === 'DISABLED' || !hasTargeting(targeting)) return null
  try {
    return compileTargeting(targeting, version)
  } catch (thrown) {
    return new Error(reasonOf(thrown))
  }
}

const hasTargeting = (targeting: Json | undefined): boolean =>
  typeof targeting === 'object' && targeting !== null && Object.keys(targeting).length > 0

const resultsOf = ({ variants }: FlagDefinition): ReadonlyMap<string, FlagResult> =>
  new Map(Object.entries(variants).map(([variant, value]) => [variant, { reason: 'TARGETING_MATCH', variant, value }]))

function evaluator(key: string, { definition, byVariant, targeting }: Program): EvaluateFlag {
  if (definition.state === 'DISABLED') return always({ reason: 'DISABLED' })
  if (targeting instanceof Error)
    return always(failed('PARSE_ERROR', `the targeting of "${key}" can't be compiled: ${targeting.message}`))
  const { defaultVariant } = definition
  const fallback = (reason: 'STATIC' | 'DEFAULT'): FlagResult => {
    if (defaultVariant === undefined || defaultVariant === null || defaultVariant === '') return { reason: 'DEFAULT' }
    const found = byVariant.get(defaultVariant)
    return found === undefined ? noVariant(key, defaultVariant) : { ...found, reason }
  }
  if (targeting === null) return always(fallback('STATIC'))
  const unmatched = fallback('DEFAULT')
  return (context, now) => {
    try {
      const result = targeting(key, context, now)
      if (result === null || result === undefined) return unmatched
      const variant = typeof result === 'string' ? result : textOf(result)
      return byVariant.get(variant) ?? noVariant(key, variant)
    } catch (thrown) {
      return failed('GENERAL', `the targeting of "${key}" failed: ${reasonOf(thrown)}`)
    }
  }
}

const always = (result: FlagResult): EvaluateFlag => {
  return () => result
}

const noVariant = (key: string, variant: string): FlagResult =>
  failed('GENERAL', `"${key}" has no variant "${variant.slice(0, 100)}"`)

const failed = (errorCode: FlagErrorCode, errorMessage: string): FlagResult => ({
  reason: 'ERROR',
  errorCode,
  errorMessage,
})

/** Lists become their items with commas between, as JavaScript has it: `missing` answers with a list. */
function textOf(result: unknown): string {
  if (costOf(result, 1, FUEL) > FUEL) throw new TooMuch('the result is longer than it may be')
  return String(result)
}

/** The engine throws NaN and plain objects too. */
function reasonOf(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message.slice(0, 200)
  if (Number.isNaN(thrown)) return 'a value that is no number where one is needed'
  const { type, key } = (thrown ?? {}) as { type?: unknown; key?: unknown }
  return [type ?? 'it failed', key]
    .filter((part) => typeof part === 'string')
    .join(' ')
    .slice(0, 200)
}
