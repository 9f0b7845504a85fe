import { randomFillSync } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { decide } from '../engine/decide.ts'
import type { EngineSnapshot } from '../engine/programs.ts'
import type { AnswerExtras } from '../envoy/answer.ts'
import type { Asked, Judged } from '../envoy/serving.ts'
import type { Journal } from '../journal/journal.ts'
import type { Metrics } from '../metrics.ts'
import type { Decision } from '../model/decision.ts'
import type { Facts } from '../model/facts.ts'
import { HEADERS } from '../model/headers.ts'
import { type EpochMs, siteOf } from '../model/names.ts'
import type { RequestView } from '../model/request-view.ts'
import type { FactProblem } from '../request/fact-problems.ts'
import type { ReadFacts } from '../request/facts.ts'
import { issueHop } from '../request/hop.ts'
import { issueSession } from '../request/session-token.ts'
import type { SigningKeys } from '../request/signing-keys.ts'
import { observeFreshness } from './freshness.ts'
import type { HoldingRoom } from './hold.ts'
import { createRoomLeft } from './hold-room-left.ts'
import type { LiveTally } from './tally.ts'

/** What one decision was made of, until its record is written. */
export interface Made {
  readonly facts: Facts
  readonly decision: Decision
  readonly snapshot: EngineSnapshot
  readonly now: EpochMs
  /** The counters of the candidates as the decision saw them; null where there were too many to copy. */
  readonly dispatched: Readonly<Record<string, number>> | null
  /** How long the request was held before it came to this. */
  readonly heldMs?: number
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
  /** Hears of sessions that had to change their target. */
  readonly onMoved?: (decision: Decision) => void
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
  /** Gives a decision with a forecast the error that past forecasts bear out. */
  readonly weigh?: (facts: Facts, decision: Decision, now: EpochMs) => Decision
  /** Hears of every decision that stands, with the asker's own name for its job where it has one, and how it was asked. */
  readonly onDecided?: (facts: Facts, decision: Decision, key: string | undefined, now: EpochMs, asking: Asking) => void
  /** Where requests wait that their policy holds. Absent: none is held. */
  readonly room?: HoldingRoom
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
  /** How long the request has been held. */
  readonly heldMs?: number
}

/** Judges facts, whoever read them. Throws NotReady before the first documents. */
export type JudgeFacts = (facts: Facts, now: EpochMs, id: string, asking: Asking) => Decision

/** A request that goes on through Envoy. */
export const SENT: Asking = { reserve: 'declared', dispatch: true, dryRun: false }

/**
 * The decision on facts, with everything that goes with one: counters, alerts, the reservation of an admitted job, the
 * record. Envoy's requests, `POST /v1/decide`, gates and admission webhooks all come through here.
 */
export const createFactsJudge = (parts: JudgeParts): JudgeFacts => {
  const conclude = concluder(parts)
  return (facts, now, id, asking) => {
    const snapshot = parts.current()
    const decided = engineSays(parts, facts, snapshot, now, id, asking.dryRun)
    return asking.dryRun ? decided : conclude(facts, decided, snapshot, now, asking)
  }
}

const engineSays = (
  parts: JudgeParts,
  facts: Facts,
  snapshot: EngineSnapshot,
  now: EpochMs,
  id: string,
  isQuestion = false,
): Decision => {
  if (snapshot.data.documentsVersion === 0) throw new NotReady('no documents have been accepted yet')
  const decideFrom = performance.now()
  const decided = decide(facts, snapshot, parts.tally, now, id)
  if (!isQuestion) parts.metrics.observeMs('hubward_decide_seconds', performance.now() - decideFrom)
  return decided.forecast === undefined || parts.weigh === undefined ? decided : parts.weigh(facts, decided, now)
}

/** Tells that a class is served on stale signals, where it asks for that. */
const alertStale = ({ metrics, onStale }: JudgeParts, decision: Decision, { programs }: EngineSnapshot): void => {
  if (decision.reason !== 'stale' && decision.reason !== 'lowest-risk') return
  if (programs.classes.get(decision.class)?.doc?.whenStale.alert !== true) return
  metrics.add('hubward_stale_alerts_total', 1, decision.class)
  onStale(decision.class)
}

const countLayers = (metrics: Metrics, { class: className, layers, arm, rollout, action, forced }: Decision): void => {
  for (const { layer, shadowed, error } of layers) {
    if (error !== undefined) metrics.add('hubward_flag_failures_total', 1, className, layer)
    else if (shadowed !== true) metrics.add('hubward_layer_decisions_total', 1, className, layer)
  }
  if (arm !== null && rollout !== undefined && forced !== true)
    metrics.add('hubward_arm_decisions_total', 1, rollout, arm, action)
}

/** What goes with a decision that stands: counters, alerts, the reservation of an admitted job, the record. */
type Conclude = (facts: Facts, decided: Decision, snapshot: EngineSnapshot, now: EpochMs, asking: Asking) => Decision

const concluder = (parts: JudgeParts): Conclude => {
  const { tally, metrics, journal } = parts
  return (facts, decided, snapshot, now, asking) => {
    const decision =
      asking.reserve === 'never' || parts.admit === undefined || facts.followUp !== undefined
        ? decided
        : parts.admit(facts, decided, snapshot, now, asking)
    const target = decision.action === 'route' || decision.action === 'degrade' ? (decision.target ?? '') : ''
    metrics.add('hubward_decisions_total', 1, decision.class, decision.action, decision.reason, target)
    observeFreshness(metrics, snapshot, decision, now)
    parts.onDecided?.(facts, decision, asking.key, now, asking)
    if (decision.reason === 'no-policy') metrics.add('hubward_no_policy_total', 1, decision.class)
    if (decision.layers.length > 0) countLayers(metrics, decision)
    alertStale(parts, decision, snapshot)
    if (decision.reason === 'panic') {
      metrics.add('hubward_panic_total', 1, decision.class)
      parts.onPanic(decision.class)
    }
    if (decision.session !== 'none') {
      metrics.add('hubward_sessions_total', 1, decision.session)
      if (decision.movedFrom !== undefined) parts.onMoved?.(decision)
    }
    if (facts.hop !== undefined) metrics.add('hubward_hops_total', 1, facts.hop.verdict)
    const sampledBy = journal.wants(decision, facts.requestId)
    if (sampledBy !== undefined) {
      const { heldMs } = asking
      const made = { facts, decision, snapshot, now, dispatched: tally.copyFor(decision, snapshot) }
      journal.keep(heldMs === undefined ? made : { ...made, heldMs }, sampledBy)
    }
    // Only after the record: the counters in it are those that the decision saw. What goes elsewhere than the asker can
    // send it is not sent.
    const isSent = asking.dispatch && (asking.site === undefined || siteOf(target) === asking.site)
    if (target !== '' && isSent) tally.dispatch(target)
    return decision
  }
}

/**
 * The request path: facts, decision, counters, and what goes with the answer. It does no I/O and awaits nothing; the
 * journal hears of a decision here and builds its record after the answer has left.
 */
export const createJudge = (parts: JudgeParts): ((view: RequestView, asked?: Asked) => Judged) => {
  const { clock, current, readFacts, metrics, room } = parts
  const draw = seeds()
  const nameIt = decisionIds()
  const conclude = concluder(parts)
  const hold = room === undefined ? undefined : holder(parts, room, conclude)
  return (view, asked) => {
    const snapshot = current()
    if (snapshot.data.documentsVersion === 0) throw new NotReady('no documents have been accepted yet')
    const now = clock.now()
    const seed = draw()
    const canWait = hold !== undefined && asked?.canWait === true
    const { facts, problems } = readFacts()(view, now, { seed, requestId: seed, canWait })
    const id = nameIt(now, seed)
    const known = problems === undefined ? facts : troubled(metrics, facts, problems)
    const decided = engineSays(parts, known, snapshot, now, id)
    if (decided.action === 'queue' && hold !== undefined)
      return hold({ view, facts: known, id, now, bytes: asked?.bytes ?? 0 }, decided, snapshot)
    const decision = conclude(known, decided, snapshot, now, SENT)
    return { decision, extras: extrasOf(parts, view, known, decision, now) }
  }
}

/** Counts what was wrong with a request. A job whose needs can't be read might be sent where it must not run. */
const troubled = (metrics: Metrics, facts: Facts, problems: readonly FactProblem[]): Facts => {
  for (const problem of problems) metrics.add('hubward_facts_problems_total', 1, problem.code)
  return problems.some((problem) => problem.code === 'request/bad-needs') ? { ...facts, malformed: 'needs' } : facts
}

/** A request that could be held. */
interface Holdable {
  readonly view: RequestView
  readonly facts: Facts
  readonly id: string
  readonly now: EpochMs
  readonly bytes: number
}

type Queued = Extract<Decision, { readonly action: 'queue' }>

/** Holds requests: each is judged again while it waits, and once more at its end. */
const holder = (
  parts: JudgeParts,
  room: HoldingRoom,
  conclude: Conclude,
): ((held: Holdable, decided: Queued, snapshot: EngineSnapshot) => Judged) => {
  const { clock, current, metrics } = parts
  const roomLeft = createRoomLeft(parts.tally)
  return ({ view, facts, id, now, bytes }, decided, snapshot) => {
    const sent = (known: Facts, decided: Decision, seen: EngineSnapshot, at: EpochMs, asking: Asking): Judged => {
      const decision = conclude(known, decided, seen, at, asking)
      return { decision, extras: extrasOf(parts, view, known, decision, at) }
    }
    // Whoever waits because nothing is known may leave before the end of it: the alert does not wait with them.
    alertStale(parts, decided, snapshot)
    const ended: Facts = { ...facts, hold: 'ended' }
    if (!room.hasRoom(bytes)) {
      metrics.add('hubward_holds_total', 1, decided.class, 'full')
      return sent(ended, engineSays(parts, ended, snapshot, now, id), snapshot, now, SENT)
    }
    const holdMs = Math.min(decided.holdMsMax, room.limits.msMax)
    const judgedAt = (known: Facts): { decided: Decision; seen: EngineSnapshot; at: EpochMs } => {
      const at = clock.now()
      const seen = current()
      return { decided: engineSays(parts, known, seen, at, id), seen, at }
    }
    return {
      decision: decided,
      wait: {
        ms: holdMs + WAY_MS,
        begin: (done) =>
          room.add({
            class: facts.class,
            critical: snapshot.programs.classes.get(facts.class)?.doc?.critical === true,
            tenant: facts.tenant ?? '',
            deadline: Math.min(facts.deadlineMs ?? Number.POSITIVE_INFINITY, now + holdMs),
            cost: facts.contextTokens ?? COST_UNKNOWN,
            bytes,
            since: now,
            until: now + holdMs,
            again: () => {
              const { decided: again, seen, at } = judgedAt(facts)
              if (again.action !== 'route' && again.action !== 'degrade') return undefined
              const policy = again.policy === null ? undefined : seen.programs.policies.get(again.policy)
              if (again.target !== undefined && roomLeft(seen, policy, again.target) <= 0) return undefined
              return sent(facts, again, seen, at, { ...SENT, heldMs: at - now })
            },
            last: () => {
              const { decided: last, seen, at } = judgedAt(ended)
              return sent(ended, last, seen, at, { ...SENT, heldMs: at - now })
            },
            done,
          }),
      },
    }
  }
}

/** What a request counts for in the order of waiting where its size is not known: a thousand tokens. */
const COST_UNKNOWN = 1_000
/** How much longer than the hold Envoy is told to wait, so that our answer comes before it gives up. */
const WAY_MS = 1_000

/** The id of a decision: when it was made and 64 random bits. */
export const decisionId = (now: EpochMs, seed: string): string => `${now.toString(36)}-${seed}`

/** Ids of decisions, of which many are made in one millisecond: its text is made once. */
const decisionIds = (): typeof decisionId => {
  let at: EpochMs = -1
  let written = ''
  return (now, seed) => {
    if (now !== at) {
      at = now
      written = `${now.toString(36)}-`
    }
    return written + seed
  }
}

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
