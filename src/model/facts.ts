import type { ClassName, ClusterName, PolicyRef, TargetName } from './names.ts'
import type { Arm } from './rollout.ts'

/** What a fact can be. Lists are of strings. */
export type FactValue = string | number | boolean | readonly string[]

/** What the verified session token says, or why there is none. */
export interface SessionFact {
  readonly verdict: 'none' | 'valid' | 'expired' | 'invalid' | 'mismatch'
  /** The pool it is bound to, where valid. */
  readonly target?: TargetName
}

/** What another hubward decided of this request already, its signature checked. */
export interface HopFact {
  readonly verdict: 'valid' | 'loop' | 'invalid'
  readonly decision?: string
  readonly target?: TargetName
  readonly cluster?: ClusterName
  readonly policy?: PolicyRef
}

/** What is known of one request. Plain data: a decision replays from it. */
export interface Facts {
  readonly requestId: string
  /** 64 random bits drawn at the edge, 16 hex digits; every choice that looks random is a hash of it. */
  readonly seed: string
  readonly class: ClassName
  readonly model?: string
  readonly tenant?: string
  readonly tier?: string
  readonly region?: string
  readonly country?: string
  readonly asn?: number
  readonly method?: string
  readonly path?: string
  /** Jurisdictions, any of which will do; empty: none will; absent: nothing was said. */
  readonly residency?: readonly string[]
  /** The name of the residency class Envoy's attribute gave, where it gave one. */
  readonly residencyClass?: string
  readonly sessionKey?: string
  readonly session: SessionFact
  readonly hop?: HopFact
  /** When the answer is of no use any more: milliseconds since the epoch. */
  readonly deadlineMs?: number
  /** Prompt plus the answer's maximum, in tokens, as far as it is known. */
  readonly contextTokens?: number
  readonly tools?: boolean
  /**
   * The request is about work that was sent before: `ask` looks at it or ends it, `work` adds to it. Absent: it is work
   * of its own.
   */
  readonly followUp?: 'ask' | 'work'
  /** What a job says it needs: tightens the class's policy, never loosens it. */
  readonly needs?: JobNeeds
  /** What a trusted tester's signed header asks for: to count as of a cohort, to be in an arm. */
  readonly forced?: { readonly cohort?: string; readonly arm?: Arm }
  /**
   * `offered`: whoever asks can hold the request for a bounded time; `ended`: it has been held, and is to get what comes
   * after. Absent: it can't be held, and a hold counts as its next entry.
   */
  readonly hold?: 'offered' | 'ended'
  /** What the request says of itself that can't be understood and must not be guessed: it is refused with 400. */
  readonly malformed?: string
  /** Facts of the user's own, by name. */
  readonly extra: Readonly<Record<string, FactValue>>
}

/** A job's own needs. */
export interface JobNeeds {
  /** Lower or upper limits by signal, in the signal's unit. */
  readonly signals?: Readonly<Record<string, { readonly min?: number; readonly max?: number }>>
  readonly gpu?: readonly string[]
  readonly cooling?: readonly string[]
  readonly mayDelay?: boolean
  /** What it will draw, in MW; reserved when it is admitted. Asks for as much headroom. */
  readonly mw?: number
  /** Heat to be taken away, in kW; what it draws where it does not say. */
  readonly coolingKw?: number
  /** Accelerators it wants; asks for as many free ones. */
  readonly gpus?: number
  /** The fewest it could do with: what it may be offered instead. */
  readonly gpusMin?: number
  readonly batchSize?: number
  /** How long it will run, in hours, as it says itself: what it would have taken is told to capacity planners. */
  readonly hours?: number
  /** Data and services it needs near, by the names under which sites hold them. */
  readonly near?: readonly string[]
}

/** The facts that have a field of their own; a condition's `request.x` with another name reads `extra`. */
export const FACT_NAMES = [
  'class',
  'model',
  'tenant',
  'tier',
  'region',
  'country',
  'asn',
  'method',
  'path',
  'residency',
  'residencyClass',
  'sessionKey',
  'deadlineMs',
  'contextTokens',
  'tools',
] as const

/** What of a job's needs a condition may read, as `request.batchSize`: what a job states of its size, not what it asks for. */
export const NEED_FACTS = ['batchSize', 'gpus'] as const
