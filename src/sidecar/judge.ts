import { randomFillSync } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { decide } from '../engine/decide.ts'
import type { EngineSnapshot } from '../engine/programs.ts'
import type { AnswerExtras } from '../envoy/answer.ts'
import type { Judged } from '../envoy/serving.ts'
import type { Journal } from '../journal/journal.ts'
import type { Metrics } from '../metrics.ts'
import type { Decision } from '../model/decision.ts'
import type { Facts } from '../model/facts.ts'
import { HEADERS } from '../model/headers.ts'
import type { EpochMs } from '../model/names.ts'
import type { RequestView } from '../model/request-view.ts'
import type { ReadFacts } from '../request/facts.ts'
import { issueHop } from '../request/hop.ts'
import { issueSession } from '../request/session-token.ts'
import type { SigningKeys } from '../request/signing-keys.ts'
import { observeFreshness } from './freshness.ts'
import type { LiveTally } from './tally.ts'

/** What one decision was made of, until its record is written. */
export interface Made {
  readonly facts: Facts
  readonly decision: Decision
  readonly snapshot: EngineSnapshot
  readonly now: EpochMs
  /** The counters of the candidates as the decision saw them; null where there were too many to copy. */
  readonly dispatched: Readonly<Record<string, number>> | null
}

/** What the request path is made of. `current` and `readFacts` are asked for each request: both change under way. */
export interface JudgeParts {
  readonly clock: Clock
  readonly current: () => EngineSnapshot
  readonly readFacts: () => ReadFacts
  readonly tally: LiveTally
  readonly metrics: Metrics
  readonly journal: Pick<Journal<Made>, 'wants' | 'keep'>
  /** Hears of requests sent by the last good order because everything looks down. */
  readonly onPanic: (className: string) => void
  /** Hears of requests decided on stale signals, in classes whose whenStale asks for an alert. */
  readonly onStale: (className: string) => void
  readonly sessionKeys: SigningKeys
  readonly hops: { readonly keys: SigningKeys; readonly instance: string } | undefined
  /**
   * Takes an admitted job into account before anything else is decided: gives the decision with its reservation, or the
   * refusal where none can be made. Absent: nothing is reserved.
   */
  readonly admit?: (
    facts: Facts,
    decision: Decision,
    snapshot: EngineSnapshot,
    now: EpochMs,
    asking: Asking,
  ) => Decision
}

/** Thrown before the first documents: the request then gets what its route says for a hubward that does not answer. */
export class NotReady extends Error {
  override readonly name = 'NotReady'
}

/** How a question is asked, where nothing travels with it through Envoy. */
export interface Asking {
  /** `declared`: of a job that says what it needs, as behind Envoy; `always`: of every job; `never`: nothing is held. */
  readonly reserve: 'declared' | 'always' | 'never'
  /** Whether the work is sent: it then counts as one of our dispatches. */
  readonly dispatch: boolean
  /** Whether it is a question only, which nobody counts and no journal keeps. */
  readonly dryRun: boolean
  /** The asker's own name for its job. */
  readonly key?: string
  /** How long a reservation is to hold without a word; never longer than the configuration says. */
  readonly lifeMs?: number
  /** Only this site will do for the asker: elsewhere nothing is reserved. */
  readonly site?: string
}

/** Judges facts, whoever read them. Throws NotReady before the first documents. */
export type JudgeFacts = (facts: Facts, now: EpochMs, id: string, asking: Asking) => Decision

/** A request that goes on through Envoy. */
const SENT: Asking = { reserve: 'declared', dispatch: true, dryRun: false }

/**
 * The decision on facts, with everything that goes with one: counters, alerts, the reservation of an admitted job, the
 * record. Envoy's requests, `POST /v1/decide`, gates and admission webhooks all come through here.
 */
export const createFactsJudge = (parts: JudgeParts): JudgeFacts => {
  const { current, tally, metrics, journal } = parts
  return (facts, now, id, asking) => {
    const snapshot = current()
    if (snapshot.data.documentsVersion === 0) throw new NotReady('no documents have been accepted yet')
    const decideFrom = performance.now()
    const decided = decide(facts, snapshot, tally, now, id)
    metrics.observeMs('hubward_decide_seconds', performance.now() - decideFrom)
    if (asking.dryRun) return decided
    const decision =
      asking.reserve === 'never' || parts.admit === undefined
        ? decided
        : parts.admit(facts, decided, snapshot, now, asking)
    const target = decision.action === 'route' || decision.action === 'degrade' ? (decision.target ?? '') : ''
    metrics.add('hubward_decisions_total', 1, decision.class, decision.action, decision.reason, target)
    observeFreshness(metrics, snapshot, decision, now)
    if (decision.reason === 'no-policy') metrics.add('hubward_no_policy_total', 1, decision.class)
    if (
      (decision.reason === 'stale' || decision.reason === 'lowest-risk') &&
      snapshot.programs.classes.get(decision.class)?.doc?.whenStale.alert === true
    ) {
      metrics.add('hubward_stale_alerts_total', 1, decision.class)
      parts.onStale(decision.class)
    }
    if (decision.reason === 'panic') {
      metrics.add('hubward_panic_total', 1, decision.class)
      parts.onPanic(decision.class)
    }
    if (decision.session !== 'none') metrics.add('hubward_sessions_total', 1, decision.session)
    if (facts.hop !== undefined) metrics.add('hubward_hops_total', 1, facts.hop.verdict)
    const sampledBy = journal.wants(decision, facts.requestId)
    if (sampledBy !== undefined)
      journal.keep({ facts, decision, snapshot, now, dispatched: tally.copyFor(decision, snapshot) }, sampledBy)
    // Only after the record: the counters in it are those that the decision saw.
    if (target !== '' && asking.dispatch) tally.dispatch(target)
    return decision
  }
}

/**
 * The request path: facts, decision, counters, and what goes with the answer. It does no I/O and awaits nothing; the
 * journal hears of a decision here and builds its record after the answer has left.
 */
export const createJudge = (parts: JudgeParts): ((view: RequestView) => Judged) => {
  const { clock, current, readFacts, metrics } = parts
  const draw = seeds()
  const judgeFacts = createFactsJudge(parts)
  return (view) => {
    if (current().data.documentsVersion === 0) throw new NotReady('no documents have been accepted yet')
    const now = clock.now()
    const seed = draw()
    const { facts: read, problems } = readFacts()(view, now, { seed, requestId: seed })
    // A job whose needs can't be read might be sent where it must not run.
    const facts = problems?.some((problem) => problem.code === 'request/bad-needs')
      ? { ...read, malformed: 'needs' }
      : read
    for (const problem of problems ?? []) metrics.add('hubward_facts_problems_total', 1, problem.code)
    const decision = judgeFacts(facts, now, decisionId(now, seed), SENT)
    return { decision, extras: extrasOf(parts, view, facts, decision, now) }
  }
}

/** The id of a decision: when it was made and 64 random bits. */
export const decisionId = (now: EpochMs, seed: string): string => `${now.toString(36)}-${seed}`

const NO_EXTRAS: AnswerExtras = {}

const extrasOf = (
  parts: JudgeParts,
  view: RequestView,
  facts: Facts,
  decision: Decision,
  now: EpochMs,
): AnswerExtras => {
  if (decision.action !== 'route' || decision.target === undefined) return NO_EXTRAS
  // A token that holds is not renewed: its life is absolute, and the client brings it again as it is.
  const isPinned = decision.session !== 'none' && decision.session !== 'kept' && facts.sessionKey !== undefined
  const session = isPinned
    ? issueSession(
        parts.sessionKeys,
        {
          sessionKey: facts.sessionKey!,
          tenant: facts.tenant,
          class: facts.class,
          residency: facts.residency,
          target: decision.target,
        },
        now,
      )
    : undefined
  const hop =
    parts.hops === undefined
      ? undefined
      : issueHop(
          parts.hops.keys,
          {
            instance: parts.hops.instance,
            decision: { id: decision.id, target: decision.target, cluster: decision.cluster, policy: decision.policy },
            incoming: view.header(HEADERS.hop),
          },
          now,
        )
  return session === undefined && hop === undefined ? NO_EXTRAS : { session, hop }
}

/** Draws 64 bits at a time, 16 hex digits. The system is asked for 512 draws at once: one alone costs a microsecond. */
export const seeds = (): (() => string) => {
  const pool = Buffer.alloc(4_096)
  let at = pool.length
  return () => {
    if (at === pool.length) {
      randomFillSync(pool)
      at = 0
    }
    at += 8
    return pool.toString('hex', at - 8, at)
  }
}
