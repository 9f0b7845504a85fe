import type { ActionSpec } from './action.ts'
import type { Metadata } from './metadata.ts'
import type { ClassName, EpochMs, PolicyRef, PoolName, ResidencyName, SiteName } from './names.ts'
import type { ReadinessDocument } from './readiness.ts'
import type { Rollout } from './rollout.ts'
import type { Threshold } from './threshold.ts'

/**
 * The documents as the engine sees them: read, checked and normalised. Durations are milliseconds, times epoch
 * milliseconds, every default is filled in, and a site without pools has its pool `default`.
 */
export interface DocumentSet {
  readonly sites: readonly Site[]
  readonly residencies: readonly ResidencyClass[]
  readonly classes: readonly WorkloadClass[]
  readonly policies: readonly Policy[]
  readonly factSources: readonly FactSources[]
  /** Sets that were kept on disk before there were any lack it. */
  readonly readiness: readonly ReadinessDocument[]
  /** Sets that were kept on disk before there were any lack these two. */
  readonly cohorts: readonly Cohort[]
  readonly rollouts: readonly Rollout[]
  readonly tests: readonly PolicyTest[]
}

/** A set without documents. */
export const EMPTY_SET: DocumentSet = {
  sites: [],
  residencies: [],
  classes: [],
  policies: [],
  factSources: [],
  readiness: [],
  cohorts: [],
  rollouts: [],
  tests: [],
}

/** A place where workloads can run. */
export interface Site {
  readonly metadata: Metadata
  readonly role: 'hub' | 'edge' | 'campus' | 'cloud'
  readonly place?: {
    readonly metro?: string
    readonly country?: string
    readonly region?: string
    readonly latitude?: number
    readonly longitude?: number
  }
  readonly jurisdictions: readonly string[]
  readonly powerBudgetMw?: number
  readonly pools: readonly Pool[]
  readonly maintenance: readonly MaintenanceWindow[]
  /** Coolant loops; a sample of a loop counts for the pools on it. Absent: none are told apart. */
  readonly loops?: readonly CoolantLoop[]
  /** What the plant was designed for; measured against it, power and cooling shrink. */
  readonly derating?: Derating
  /** Who runs it, by which book, and when that was last practised. */
  readonly operations?: { readonly owner?: string; readonly runbook?: string; readonly lastGameDay?: EpochMs }
  /** Data and services that are here, and since when they are fresh. */
  readonly holds?: readonly { readonly name: string; readonly freshSince?: EpochMs }[]
  readonly network?: {
    readonly asns?: readonly number[]
    readonly exchanges?: readonly string[]
    readonly meetMeRooms?: readonly string[]
  }
}

/** A coolant loop of a site. */
export interface CoolantLoop {
  readonly name: string
  /** Absent: all pools of the site. */
  readonly pools?: readonly PoolName[]
  /** Heat it can take away; absent: what its telemetry says. */
  readonly capacityKw?: number
  readonly ratedFlowLpm?: number
  /** The flow below which nothing is cooled; absent: half the rated. */
  readonly minFlowLpm?: number
  /** The supply temperature past which there is no margin. */
  readonly supplyLimitC?: number
  /** The supply temperature it was designed for: all of the margin is there. */
  readonly designSupplyC?: number
}

/** What a plant was designed for. */
export interface Derating {
  readonly designPue?: number
  readonly designCop?: number
  /** The outside temperature up to which nothing is lost. */
  readonly designAmbientC?: number
  /** What each degree above it takes, in percent of capacity; absent: 1. */
  readonly ambientPctPerC?: number
}

/** Accelerators of one class and one cooling type, reached by one Envoy cluster. */
export interface Pool {
  readonly name: PoolName
  readonly cluster: string
  /** `host:port` pairs; `hubward envoy` makes the cluster from them. Absent: the cluster is somebody else's. */
  readonly endpoints?: readonly string[]
  readonly gpu?: string
  readonly cooling?: string
  readonly models: readonly Model[]
  /** Accelerators in it. */
  readonly gpus?: number
  /** Requests it can run at once; spread divides load by it. 1 where nobody said. */
  readonly capacity: number
}

/** A model as one pool serves it. */
export interface Model {
  readonly name: string
  readonly aliases?: readonly string[]
  readonly revision?: string
  /** Absent: unknown, and any context length passes. */
  readonly maxContextTokens?: number
  /** Absent: unknown, and requests with tools pass; false: they don't. */
  readonly tools?: boolean
}

/** A time in which a site or some of its pools take no work. */
export interface MaintenanceWindow {
  readonly from: EpochMs
  readonly to: EpochMs
  /** Absent, and no loops: the whole site. */
  readonly pools?: readonly PoolName[]
  /** Coolant loops: the pools on them. */
  readonly loops?: readonly string[]
  readonly reason?: string
}

/** A named set of jurisdictions that requests may be bound to, and where they go when hubward does not answer. */
export interface ResidencyClass {
  readonly metadata: Metadata
  readonly allows: readonly string[]
  /** Absent: nothing serves this class without hubward (503). */
  readonly default?: { readonly sites: readonly SiteName[] }
}

/** A kind of AI work, and what it can bear. */
export interface WorkloadClass {
  readonly metadata: Metadata
  /** A critical class keeps its session on a pool that is red for safety. */
  readonly critical: boolean
  readonly flexibility: 'inflexible' | 'movable' | 'delayable' | 'pausable'
  /** `default`: on to the residency class's default; `refuse`: 503. */
  readonly whenHubwardIsDown: 'default' | 'refuse'
  /** Hard age in milliseconds by signal. */
  readonly freshness: Readonly<Record<string, number>>
  /** Hard age for signals that have none of their own. */
  readonly freshnessDefaultMs?: number
  /** What is done when every pool left has a stale required signal. Absent: `lowest-risk`. */
  readonly whenStale: {
    readonly action: 'lowest-risk' | ActionSpec['action']
    readonly alert: boolean
    readonly spec?: ActionSpec
  }
  /** What is done when everything is down on our own evidence alone. */
  readonly panic: 'last-good' | 'deny'
  readonly delayToleranceMs?: number
  /** How long an admitted job of it holds without a word; never longer than the configuration says. */
  readonly reservationLifeMs?: number
  /** How many hours its work usually takes, where a job does not say. */
  readonly usualHours?: number
  /** Data and services that its work needs near, by the names under which sites hold them. */
  readonly near?: readonly string[]
  readonly session: { readonly lifeMs: number }
  /** What its users are promised; burn rates and the locality objective are worked out of it. Absent: nothing. */
  readonly slo?: Slo
}

/** What the users of a class are promised over a window. */
export interface Slo {
  /** The share of requests, in percent, that has to end well and in time. */
  readonly objectivePct: number
  /** In time: the first token, and the whole answer, within so many ms; absent: any time. */
  readonly ttftMs?: number
  readonly responseMs?: number
  /** The window of the budget. */
  readonly windowMs: number
  /** The share, in percent, that the first choice should serve within so many ms to the first token. */
  readonly locality?: { readonly objectivePct: number; readonly budgetMs: number }
}

/** One step of a band: it holds if the signal is at least `min` (or at most `max`); without a bound it always holds. */
export interface Band {
  readonly threshold?: Threshold
  readonly action: ActionSpec
}

/** One preference; candidates within the tolerance of the best are a tie, and the next preference decides. */
export interface RankEntry {
  readonly signal: string
  readonly prefer: 'lower' | 'higher'
  /** Absolute tolerance in the signal's unit. */
  readonly within?: number
  /** Tolerance in percent of the best value. */
  readonly withinPct?: number
}

/** The damping of a policy's moves, in milliseconds. */
export interface Timers {
  /** How long a limit must be crossed before a target is left. */
  readonly stableForMs: number
  /** How long the resume value must have held before it comes back. */
  readonly dwellMs: number
  /** How long its share then grows from 0 to 1. */
  readonly failBackMs: number
  /** How long after a move away a voluntary move back waits at least. */
  readonly cooldownMs: number
}

/** A named part of all requests: `internal`, `premium`. Rollouts are shown to cohorts, flags can ask for them as `cohorts`. */
export interface Cohort {
  readonly metadata: Metadata
  /** CEL over the request's facts. */
  readonly when: string
}

/** Starting values; see docs/reference/policy.md for where they come from. */
export const TIMERS_DEFAULT: Timers = { stableForMs: 10_000, dwellMs: 60_000, failBackMs: 300_000, cooldownMs: 120_000 }

/** A versioned document for one class: requirements, tiers, ranking, and what to do when nothing fits. */
export interface Policy {
  readonly metadata: Metadata & { readonly version: number; readonly reviewBy?: string }
  readonly class: ClassName
  /** CEL over the request's facts; absent: all requests of the class. */
  readonly when?: string
  readonly priority: number
  /** `unrestricted`: a request without residency may go anywhere; `required`: it is refused. */
  readonly residency: 'required' | 'unrestricted'
  readonly require: {
    readonly gpu?: readonly string[]
    readonly cooling?: readonly string[]
    readonly signals: readonly { readonly signal: string; readonly threshold: Threshold }[]
    /** The worst readiness that will do; absent: what the readiness documents admit. */
    readonly readiness?: 'green' | 'amber'
  }
  /** Room kept on sites for requests of these tiers when others could not be served elsewhere. */
  readonly keepRoom?: readonly KeepRoom[]
  readonly bands: readonly { readonly signal: string; readonly steps: readonly Band[] }[]
  readonly rank: readonly RankEntry[]
  /** Tiers of entries `site` or `site/pool`; `nearest`: that many sites, each a tier, by round trip; absent: all targets, one tier. */
  readonly ladder:
    | { readonly tiers: readonly (readonly string[])[] }
    | { readonly nearest: number }
    | { readonly all: true }
  readonly session: 'sticky' | 'none'
  readonly timers: Timers
  readonly degraded?: {
    /** `site` or `site/pool`. */
    readonly site: string
    readonly model: string
    /** Rewrite the model in a buffered body; false: the target serves an alias, the body stays as it is. */
    readonly rewriteBody: boolean
  }
  readonly otherwise: readonly ActionSpec[]
  /** Which cohorts rollouts may take in; absent: none, and no rollout may touch the policy. `*`: everybody. */
  readonly experiments?: { readonly cohorts: readonly string[] }
  /** The policy of single tenants instead of this one; they take part in no rollout. */
  readonly tenantOverrides?: Readonly<Record<string, PolicyRef>>
  /** sha256 over the normalised content, `sha256:…`. */
  readonly hash: string
}

/** Room that a policy keeps on a site (or one of its pools) for some tiers: others go on before it is full. */
export interface KeepRoom {
  /** `site` or `site/pool`. */
  readonly site: string
  /** The share of its capacity, in percent, that only these tiers may use. */
  readonly pct: number
  /** Tiers of requests (fact `tier`) that the room is kept for. */
  readonly tiers: readonly string[]
}

/** `name@version` of a policy. */
export const policyRef = (policy: Policy): PolicyRef => `${policy.metadata.name}@${policy.metadata.version}`

/** One place a fact can be read from. The first source of a list that gives a value wins. */
export interface FactSource {
  readonly from:
    | 'header'
    | 'path'
    | 'method'
    | 'query'
    | 'jwt'
    | 'attribute'
    | 'body'
    | 'context'
    | 'geo'
    | 'network'
    | 'value'
  /** The header, query parameter, claim (dots descend), attribute, JSON body field or context extension. */
  readonly name?: string
  /** A path prefix, for `path`: the source gives `value` if the path starts with it. */
  readonly prefix?: string
  /** What the source gives, for `path`, `method`, `network` and `value`. */
  readonly value?: string
  /** Believed only if it can't come from a client: `jwt`, `attribute`, `context` always are, a header must say it. */
  readonly trusted?: boolean
  /** Any other value is ignored. */
  readonly allow?: readonly string[]
  /** CIDR blocks, for `network`: gives `value` if the client's address is inside. */
  readonly cidrs?: readonly string[]
}

/** Where each fact of a request comes from, and whom to believe. */
export interface FactSources {
  readonly metadata: Metadata
  /** How many proxies in front of this Envoy may be believed in X-Forwarded-For; 0: the peer's address. */
  readonly trustedHops: number
  /** Peers whose declared-trusted headers are believed; empty: those headers are believed from any peer. */
  readonly trustedPeers: readonly string[]
  /** Sources by fact: class, model, tenant, tier, region, country, sessionKey, deadline, promptTokens, tools, or a name of the user's own. */
  readonly facts: Readonly<Record<string, readonly FactSource[]>>
  /** Each source that gives something narrows the set: several intersect. */
  readonly residency: readonly FactSource[]
  /** The residency class of a tenant whose request names none. */
  readonly tenantResidency: Readonly<Record<string, ResidencyName>>
  /** Paths under which work is sent; what goes on below one is about work that was sent before. */
  readonly jobs?: readonly { readonly prefix: string }[]
  /** The largest body in bytes that is read where a route opts in. */
  readonly bodyBytesMax: number
}

/** A case: given sites and samples, when a request comes, then this is decided. */
export interface PolicyTest {
  readonly metadata: Metadata
  readonly cases: readonly PolicyCase[]
}

/** One case of a PolicyTest, left as it was written: the runner in documents/cases.ts reads it. */
export interface PolicyCase {
  readonly title: string
  readonly given: Readonly<Record<string, unknown>>
  readonly when: Readonly<Record<string, unknown>>
  readonly then: Readonly<Record<string, unknown>>
  /** What comes after, each some time later, on the same snapshot. */
  readonly steps?: readonly {
    readonly after?: string
    readonly given?: Readonly<Record<string, unknown>>
    readonly when?: Readonly<Record<string, unknown>>
    readonly then?: Readonly<Record<string, unknown>>
  }[]
}
