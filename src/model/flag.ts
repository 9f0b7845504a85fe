import type { ActionSpec } from './action.ts'
import type { ClassName, EpochMs, FlagKey, PolicyRef, SourceName } from './names.ts'

/** The layers in which flags speak, strongest first. */
export const LAYERS = ['kill-switch', 'incident', 'rollout', 'preference'] as const

/** One of LAYERS. */
export type Layer = (typeof LAYERS)[number]

/** What metadata of flags and flag sets may hold. */
export type Scalar = string | number | boolean

/** Any JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }

/**
 * A flagd flag definition as it was written (https://flagd.dev/schema/v0/flags.json), except that each `$ref` of its
 * targeting has been replaced by what it names, and that the metadata of its set lies under its own: it stands by itself.
 */
export interface FlagDefinition {
  readonly state: 'ENABLED' | 'DISABLED'
  readonly variants: Readonly<Record<string, Json>>
  /** Null or absent: whoever asks uses its own default. */
  readonly defaultVariant?: string | null
  /** JsonLogic; absent or `{}`: none. */
  readonly targeting?: Json
  readonly metadata?: Readonly<Record<string, Scalar>>
}

/**
 * What an overlay changes of the policy that it lies on; absent fields leave it as it is. Entries of tiers are `site` or
 * `site/pool`, or the name of a region, metro or country, which stands for its sites.
 */
export interface Overlay {
  /** Tiers that go before all others, one entry each: preferred_region, then fallback_region. */
  readonly first?: readonly string[]
  /** The ladder instead of the policy's. */
  readonly ladder?: readonly (readonly string[])[]
  /** Tiers after the first of the policy's ladder, instead of those that it has. */
  readonly fallbackTiers?: readonly (readonly string[])[]
  /** The only entries that may be candidates; the others are taken out of the ladder. */
  readonly eligibleSites?: readonly string[]
  /** `nearest`: tiers by measured round trip, as many as it says; `any`: all that is left of the ladder is one tier. */
  readonly locality?: { readonly nearest: number } | 'any'
  /** The limit of the policy's own p95 latency; where it has none, of `response.p95_ms`. */
  readonly maxP95Ms?: number
  readonly degraded?: { readonly site: string; readonly model: string; readonly rewriteBody: boolean }
}

/** What a variant means for routing. `nothing`: the class's own policy stands. */
export type VariantMeaning =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'policy'; readonly policy: PolicyRef }
  | { readonly kind: 'action'; readonly action: ActionSpec }
  | { readonly kind: 'overlay'; readonly overlay: Overlay }

/** A flag of a set, read and checked. */
export interface Flag {
  readonly key: FlagKey
  readonly definition: FlagDefinition
  /** A hash of the definition; equal definitions have equal ones. */
  readonly hash: string
  /** The layer in which it speaks; absent: it is served to whoever asks and steers nothing here. */
  readonly layer?: Layer
  /** The class that it steers; there wherever `layer` is. */
  readonly class?: ClassName
  readonly owner?: string
  /** When it should be gone; past it, it is told and still counts. */
  readonly expires?: EpochMs
  /** By variant; empty for flags without a layer. */
  readonly meanings: Readonly<Record<string, VariantMeaning>>
}

/** All flags of one source. */
export interface FlagSet {
  readonly flags: Readonly<Record<FlagKey, Flag>>
  /** Of the set itself, `flagSetId` and `version` among it: what is told of flags that it does not have. */
  readonly metadata: Readonly<Record<string, Scalar>>
}

/** A source's flags as they are in force. */
export interface FlagSourceState {
  readonly source: SourceName
  readonly set: FlagSet
  readonly version: string
  /** Up to when they are fresh; 0: for ever. */
  readonly freshUntil: EpochMs
  /** How long they are after each sign of life, in ms; 0: for ever. */
  readonly ttlMs: number
  /** What becomes of them when they are stale: the last values stay and say so, or all of them are off. */
  readonly whenStale: 'keep' | 'off'
}

/** Why a flag evaluated to what it did; STALE lies over the others where the source's flags are stale and kept. */
export type FlagReason = 'STATIC' | 'DEFAULT' | 'TARGETING_MATCH' | 'DISABLED' | 'ERROR' | 'STALE'

/** What can go wrong with an evaluation, by OpenFeature's names. */
export type FlagErrorCode =
  | 'FLAG_NOT_FOUND'
  | 'PARSE_ERROR'
  | 'TARGETING_KEY_MISSING'
  | 'INVALID_CONTEXT'
  | 'TYPE_MISMATCH'
  | 'GENERAL'

/** What one evaluation came to. Without a variant the value is whoever asks's own default. */
export interface FlagResult {
  readonly reason: FlagReason
  readonly variant?: string
  readonly value?: Json
  readonly errorCode?: FlagErrorCode
  readonly errorMessage?: string
}

/** What a flag is evaluated in: OpenFeature's evaluation context, `targetingKey` at the top. */
export type FlagContext = Readonly<Record<string, unknown>>

/** Evaluates one flag at a time. Never throws, whatever the context holds. */
export type EvaluateFlag = (context: FlagContext, now: EpochMs) => FlagResult

/**
 * How a definition becomes a program. Never throws: a definition whose targeting can't be compiled gives a program that
 * answers PARSE_ERROR. Equal hashes give the same program, which is compiled once.
 */
export type CompileFlag = (flag: Pick<Flag, 'key' | 'definition' | 'hash'>) => EvaluateFlag

/** A flag that had a say in a decision, or would have had one if no stronger layer had spoken. */
export interface LayerTrace {
  readonly layer: Layer
  readonly flag: FlagKey
  /** Empty where its evaluation failed. */
  readonly variant: string
  /** A stronger layer spoke before it. */
  readonly shadowed?: true
  /** Why it said nothing: an evaluation error, or a variant that means nothing here. */
  readonly error?: string
  /** Its source's flags are stale. */
  readonly stale?: true
}
