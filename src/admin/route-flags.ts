import type { Decision } from '../model/decision.ts'
import type { FlagContext, Json } from '../model/flag.ts'
import { type EpochMs, siteOf } from '../model/names.ts'
import { retryAfterMs } from './decide.ts'
import { FACT_FIELDS, factsIn } from './facts-json.ts'
import type { FlagAnswer, FlagsView } from './flags-view.ts'
import { isPlain, JsonReader, own } from './json-reader.ts'

/** The flag that is the routing decision for the class which the context names; `route.<class>` is the one for a class. */
export const ROUTE_KEY = 'route'

/** What of a context is no fact, or is looked at by itself. */
const NO_FACTS: ReadonlySet<string> = new Set(['class', 'requestId', 'hold', 'extra', 'targetingKey'])
const EXTRA_MAX = 64

/** The class that a key asks a decision for; undefined: the key is none of a decision. */
export const routeClass = (key: string, context: FlagContext): unknown =>
  key === ROUTE_KEY
    ? own(context, 'class')
    : key.startsWith(`${ROUTE_KEY}.`)
      ? key.slice(ROUTE_KEY.length + 1)
      : undefined

/** Whether a key asks for a decision. A flag of that name is not asked. */
export const isRouteKey = (key: string): boolean => key === ROUTE_KEY || key.startsWith(`${ROUTE_KEY}.`)

/**
 * A routing decision as an object flag: `{"action":"route","target":"ams/h100","site":"ams",…}`, its variant the target,
 * else the action. Nothing is counted, kept or reserved. What the context names as facts are facts, its targetingKey is
 * the session, and other values that can be facts are facts of the user's own. Numbers and ages are left out, so that the
 * answer only changes when the decision does. Null: nothing can be decided yet.
 */
export function routeAnswer(
  view: FlagsView,
  className: unknown,
  context: FlagContext,
  now: EpochMs,
): FlagAnswer | null {
  const known = view.known()
  if (known === undefined) return null
  const reader = new JsonReader()
  const facts = factsIn(reader, factsOf(context, className), '', known, now)
  if (facts === undefined) {
    const told = reader.problems.map(({ pointer, message, remedy }) => `${pointer.slice(1)} ${message}; ${remedy}`)
    return { result: { reason: 'ERROR', errorCode: 'INVALID_CONTEXT', errorMessage: told.join('. ') }, metadata: {} }
  }
  const key = own(context, 'targetingKey')
  const decision = view.decide(facts, typeof key === 'string' ? key : '')
  if (decision === undefined) return null
  const variant = targetOf(decision) ?? decision.action
  return { result: { reason: 'TARGETING_MATCH', variant, value: decisionValue(decision) }, metadata: {} }
}

function factsOf(context: FlagContext, className: unknown): Record<string, unknown> {
  const facts: Record<string, unknown> = {}
  const extra: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(context)) {
    if (NO_FACTS.has(name)) continue
    if (FACT_FIELDS.includes(name)) facts[name] = value
    else if (canBeFact(name, value) && Object.keys(extra).length < EXTRA_MAX) extra[name] = value
  }
  const key = own(context, 'targetingKey')
  if (facts.sessionKey === undefined && typeof key === 'string' && key !== '') facts.sessionKey = key
  const written = own(context, 'extra')
  return {
    ...facts,
    ...(className === undefined ? {} : { class: className }),
    extra: isPlain(written) ? { ...extra, ...written } : extra,
  }
}

const canBeFact = (name: string, value: unknown): boolean =>
  /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/.test(name) &&
  (typeof value === 'boolean' ||
    (typeof value === 'number' && Number.isFinite(value)) ||
    (typeof value === 'string' && value.length <= 1_024) ||
    (Array.isArray(value) &&
      value.length <= 64 &&
      value.every((one) => typeof one === 'string' && one.length <= 1_024)))

const targetOf = (decision: Decision): string | undefined =>
  decision.action === 'route' || decision.action === 'degrade' ? decision.target : undefined

function decisionValue(decision: Decision): Json {
  const { action, reason, policy, arm, because } = decision
  const target = targetOf(decision)
  const waitMs = retryAfterMs(decision)
  return {
    action,
    ...(target === undefined ? {} : { target, site: siteOf(target) }),
    ...('cluster' in decision && decision.cluster !== undefined ? { cluster: decision.cluster } : {}),
    ...(action === 'degrade' ? { model: decision.model } : {}),
    reason,
    policy,
    arm,
    ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }),
    because: because.map((one) => ({ target: one.target, constraint: one.constraint })),
  }
}
