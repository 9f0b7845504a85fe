import { createHash } from 'node:crypto'
import type { FlagContext, FlagReason } from '../model/flag.ts'
import type { EpochMs, FlagKey } from '../model/names.ts'
import type { FlagAnswer, FlagsView } from './flags-view.ts'
import { isPlain, own } from './json-reader.ts'
import { isRouteKey, ROUTE_KEY, routeAnswer, routeClass } from './route-flags.ts'

/** A status and what is sent with it. */
export interface OfrepAnswer {
  readonly status: number
  readonly body: object
}

/** OFREP's reasons. It has none for a default or for a value that is stale: both are UNKNOWN, the latter marked in the metadata. */
const REASONS: Readonly<Record<Exclude<FlagReason, 'ERROR'>, string>> = {
  STATIC: 'STATIC',
  TARGETING_MATCH: 'TARGETING_MATCH',
  DISABLED: 'DISABLED',
  DEFAULT: 'UNKNOWN',
  STALE: 'UNKNOWN',
}

/** How long a bulk evaluation goes on before others get their turn. */
const SLICE_MS = 2

/** The context of a question, or why there is none. No context is an empty one. */
export function contextIn(body: unknown): FlagContext | string {
  if (body === undefined) return {}
  if (!isPlain(body)) return 'the body is no JSON object; write {"context": {"targetingKey": "…"}}'
  const context = own(body, 'context')
  if (context === undefined) return {}
  if (!isPlain(context)) return 'context is no JSON object; write {"targetingKey": "…"}'
  const key = own(context, 'targetingKey')
  return key === undefined || typeof key === 'string' ? context : 'context.targetingKey is no text; write one'
}

/** Tells that a context can't be used. */
export const badContext = (why: string, key?: FlagKey): OfrepAnswer => ({
  status: 400,
  body: { ...(key === undefined ? {} : { key }), errorCode: 'INVALID_CONTEXT', errorDetails: why },
})

/** One flag, or one decision, for one context. */
export function flagAnswer(view: FlagsView, key: FlagKey, context: FlagContext, now: EpochMs): OfrepAnswer {
  const answer = answerOf(view, key, context, now)
  if (answer === null) return { status: 503, body: notReady(key) }
  const { errorCode } = answer.result
  return {
    status: errorCode === undefined ? 200 : errorCode === 'FLAG_NOT_FOUND' ? 404 : 400,
    body: entry(key, answer),
  }
}

/**
 * All flags, and the decision of every class, for one context; in slices. `more` is put beside them. The text is the same
 * for the same answers, so that its hash says whether any has changed.
 */
export async function allFlags(
  view: FlagsView,
  context: FlagContext,
  now: () => EpochMs,
  more: object,
): Promise<{ readonly text: string; readonly etag: string }> {
  const classes = [...(view.known()?.classes ?? [])].sort()
  const routes = classes.map((name) => `${ROUTE_KEY}.${name}`)
  if (typeof own(context, 'class') === 'string') routes.unshift(ROUTE_KEY)
  const keys = [...view.keys().filter((key) => !isRouteKey(key)), ...routes]
  const flags: string[] = []
  let from = performance.now()
  for (const key of keys) {
    const answer = answerOf(view, key, context, now())
    flags.push(JSON.stringify(answer === null ? notReady(key) : entry(key, answer)))
    if (performance.now() - from < SLICE_MS) continue
    await new Promise((resolve) => setImmediate(resolve))
    from = performance.now()
  }
  const text = `{"flags":[${flags.join(',')}],"metadata":{},${JSON.stringify(more).slice(1)}`
  return { text, etag: `"${createHash('sha256').update(text).digest('hex').slice(0, 32)}"` }
}

const answerOf = (view: FlagsView, key: FlagKey, context: FlagContext, now: EpochMs): FlagAnswer | null =>
  isRouteKey(key) ? routeAnswer(view, routeClass(key, context), context, now) : view.evaluate(key, context)

function entry(key: FlagKey, { result, metadata }: FlagAnswer): object {
  const { reason, variant, value, errorCode, errorMessage } = result
  if (errorCode !== undefined || reason === 'ERROR') {
    const code = errorCode === undefined || errorCode === 'TYPE_MISMATCH' ? 'GENERAL' : errorCode
    return { key, errorCode: code, errorDetails: errorMessage ?? 'the evaluation failed', metadata }
  }
  return {
    key,
    reason: REASONS[reason],
    ...(variant === undefined ? {} : { variant }),
    ...(variant === undefined || value === undefined ? {} : { value }),
    metadata: reason === 'STALE' ? { ...metadata, stale: true } : metadata,
  }
}

const notReady = (key: FlagKey): object => ({
  key,
  errorCode: 'GENERAL',
  errorDetails: 'no documents have been accepted yet',
})
