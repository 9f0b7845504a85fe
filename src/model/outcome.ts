import type { ActionName } from './action.ts'
import type { ClassName, ClusterName, EpochMs, FlagKey, PolicyRef, RolloutName, TargetName } from './names.ts'
import type { Reason } from './reason.ts'
import type { Arm } from './rollout.ts'

/** How a request ended. `refused`: by hubward itself (delay, queue that ended, deny); `left`: the client went away. */
export const VERDICTS = ['ok', 'error', 'timeout', 'refused', 'left'] as const

/** One of VERDICTS. */
export type Verdict = (typeof VERDICTS)[number]

/** One request as Envoy saw it end, in hubward's units; nothing in it was decided by us. */
export interface AccessEntry {
  /** x-hubward-decision of the request; empty where hubward did not answer. */
  readonly decision: string
  readonly requestId: string
  /** When it began and how long it took, in ms. */
  readonly startedAt: EpochMs
  readonly durationMs: number
  /** To the first byte of the body; -1: there was none. */
  readonly firstBodyMs: number
  /** To the first byte of the response's headers; -1: there was none. */
  readonly firstHeaderMs: number
  /** From the request's begin until its first byte went upstream; -1: it never did. */
  readonly upstreamBeginMs: number
  readonly status: number
  /** Envoy's short names of the response flags: `UF`, `UT`; empty: none. */
  readonly flags: readonly string[]
  /** Envoy's response code details. */
  readonly details: string
  /** The cluster that really served, the member of an aggregate. */
  readonly cluster: ClusterName
  readonly attempts: number
  readonly requestBytes: number
  readonly responseBytes: number
  /** Headers of the request that hubward had set, by name. */
  readonly headers: Readonly<Record<string, string>>
  /** Tokens, where the log carries them. */
  readonly promptTokens?: number
  readonly completionTokens?: number
}

/** What is kept of a decision until its request has ended. */
export interface Decided {
  readonly id: string
  readonly at: EpochMs
  readonly class: ClassName
  readonly action: ActionName
  readonly reason: Reason
  readonly target: TargetName | null
  /** The first site or target of the ladder. */
  readonly firstChoice: string | null
  readonly policy: PolicyRef | null
  readonly arm: Arm | null
  readonly flag: FlagKey | null
  readonly rollout: RolloutName | null
  /** A tester forced a cohort or arm: left out of every measurement of arms. */
  readonly forced: boolean
  /** A hash of the session's key, by which the arm was chosen; absent: the request is of no session. */
  readonly session?: number
  readonly tenant?: string
  readonly tier?: string
  readonly region?: string
  readonly country?: string
  readonly model?: string
  readonly promptType?: string
  readonly heldMs?: number
}

/** What came of one request: the entry of Envoy's access log joined to its decision. */
export interface Outcome {
  readonly at: EpochMs
  readonly entry: AccessEntry
  /** Null: nothing is known of its decision but what the headers say. */
  readonly decided: Decided | null
  readonly class: ClassName
  /** The target that served, by its cluster; null: none of ours. */
  readonly target: TargetName | null
  readonly verdict: Verdict
  /** Whether it met its class's latency objective; null: the class has none, or it was not served. */
  readonly withinSlo: boolean | null
  /** Time in ms by part; absent: not known. Network: to the site and back; queue, prefill and decode: at the site. */
  readonly parts: {
    readonly heldMs?: number
    readonly networkMs?: number
    readonly queueMs?: number
    readonly prefillMs?: number
    readonly decodeMs?: number
  }
  /** `name@revision` of the model that served, where the site says. */
  readonly artifact?: string
}

/** What a business reports: of one decision, or of an arm as a whole. */
export type ReportedOutcome =
  | {
      readonly name: string
      readonly decision: string
      /** A number, or 1 and 0 for yes and no. */
      readonly value: number
    }
  | {
      readonly name: string
      readonly rollout: RolloutName
      readonly arm: Arm
      /** The day that it is of, `2026-11-28`. A second report of one day replaces the first. */
      readonly day: string
      readonly count: number
      readonly sum: number
      readonly sumOfSquares?: number
    }
