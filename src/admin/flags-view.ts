import type { Decision } from '../model/decision.ts'
import type { FlagContext, FlagDefinition, FlagResult, Scalar } from '../model/flag.ts'
import type { ClassName, EpochMs, FlagKey, RolloutName, SourceName } from '../model/names.ts'
import type { RolloutStatus } from '../model/rollout.ts'
import type { AskedFacts, KnownNames } from './facts-json.ts'

/** One flag for one context, with what is known of it. */
export interface FlagAnswer {
  readonly result: FlagResult
  readonly metadata: Readonly<Record<string, Scalar>>
}

/** A flag in force as operators see it. */
export interface FlagRow {
  readonly key: FlagKey
  readonly source: SourceName
  readonly state: 'ENABLED' | 'DISABLED'
  readonly layer?: string
  readonly class?: ClassName
  readonly owner?: string
  /** When it should be gone. */
  readonly expires?: EpochMs
  readonly variants: readonly string[]
  readonly defaultVariant: string | null
  readonly rollout?: { readonly name: RolloutName; readonly status?: RolloutStatus; readonly shareBp?: number }
  /** Its source has not been heard for longer than it may be; `off`: it is off for it. */
  readonly stale?: 'keep' | 'off'
}

/** A flag with all that is known of it. */
export interface FlagRowWhole extends FlagRow {
  readonly written: FlagDefinition
  /** As its rollout renders it: what providers of flagd evaluate. */
  readonly served: FlagDefinition
}

/** What the routes of flags work on; the sidecar hands it over. */
export interface FlagsView {
  /** Every flag in force, sorted. */
  readonly keys: () => readonly FlagKey[]
  readonly evaluate: (key: FlagKey, context: FlagContext) => FlagAnswer
  readonly rows: () => readonly FlagRow[]
  /** One flag with its definition as it was written, and as it is served; undefined: there is none. */
  readonly row: (key: FlagKey) => FlagRowWhole | undefined
  /** A hash of all definitions in force, as rollouts render them. */
  readonly definitions: () => string
  /** Undefined: no documents have been accepted yet. */
  readonly known: () => KnownNames | undefined
  /** A question only, answered the same way for the same key as long as nothing changes; undefined likewise. */
  readonly decide: (facts: AskedFacts, key: string) => Decision | undefined
  /** How many may listen for changes at once. */
  readonly streamsMax: number
  /** Hears how a question was answered. */
  readonly answered: (route: 'flag' | 'flags', status: number) => void
}
