import type { FastifyReply } from 'fastify'
import type { Decision } from '../model/decision.ts'
import type { EpochMs } from '../model/names.ts'
import { deadline } from '../request/values.ts'
import { type AskedFacts, factsIn, type KnownNames, siteIn } from './facts-json.ts'
import type { HowAsked, JobsView } from './jobs-view.ts'
import { isPlain, JsonReader, own } from './json-reader.ts'
import { problem } from './problem.ts'

/** The most facts in one question. */
const FACTS_MAX = 256
/** How long one list is decided before others get their turn. */
const SLICE_MS = 2
const FIELDS = ['facts', 'reserve', 'dispatch', 'dryRun', 'key', 'reserveFor', 'site']

/** Answers `POST /v1/decide`. */
export async function decideHandler(
  body: unknown,
  reply: FastifyReply,
  view: JobsView,
  now: () => EpochMs,
): Promise<object> {
  const reader = new JsonReader()
  const known = view.known()
  if (known === undefined) return notReady(reply)
  const asked = questionIn(reader, body, known, now())
  if (asked === undefined || reader.problems.length > 0) return badRequest(reply, reader)
  const { list, isList, how } = asked
  const decisions: Decision[] = []
  let begun = performance.now()
  for (const facts of list) {
    const decision = answered(view, facts, how)
    if (decision === undefined) return notReady(reply)
    decisions.push(decision)
    if (performance.now() - begun < SLICE_MS) continue
    await new Promise((resolve) => setImmediate(resolve))
    begun = performance.now()
  }
  const waits = decisions.flatMap((decision) => retryAfterMs(decision) ?? [])
  if (waits.length > 0) reply.header('retry-after', String(Math.max(1, Math.ceil(Math.min(...waits) / 1_000))))
  return isList ? { decisions } : decisions[0]!
}

/** The decision on a question; under a name that is known already the one that was given then. */
export const answered = (view: JobsView, facts: AskedFacts, how: HowAsked): Decision | undefined =>
  (how.key !== undefined && how.reserve && !how.dryRun ? view.called(how.key)?.decision : undefined) ??
  view.decide(facts, how)

/** When to come back, in milliseconds; undefined where nothing says so. */
export const retryAfterMs = (decision: Decision): number | undefined =>
  decision.action === 'queue'
    ? decision.holdMsMax
    : decision.action === 'delay' || decision.action === 'deny'
      ? decision.retryAfterMs
      : undefined

/** Tells a body that cannot be used, every problem with its pointer and remedy. */
export const badRequest = (reply: FastifyReply, reader: JsonReader): object => {
  const [first] = reader.problems
  const detail = first === undefined ? '' : `${first.pointer} ${first.message}; ${first.remedy}`
  return problem(reply, 400, 'Bad request', detail, { problems: reader.problems })
}

/** Tells that nothing can be decided yet. */
export const notReady = (reply: FastifyReply): object => {
  reply.header('retry-after', '1')
  return problem(reply, 503, 'Not ready', 'no documents have been accepted yet')
}

/** A duration such as `30m` in milliseconds. */
export function durationIn(
  reader: JsonReader,
  from: Readonly<Record<string, unknown>>,
  field: string,
): number | undefined {
  const written = reader.text(from, field, '')
  if (written === undefined) return undefined
  const ms = /^[0-9]+(ms|s|m|h|d)$/.test(written) ? deadline(written, 0) : undefined
  return typeof ms === 'number' && ms >= 1_000
    ? ms
    : reader.wrong(`/${field}`, 'is no duration of a second or more', 'write one such as 30m')
}

function questionIn(reader: JsonReader, body: unknown, known: KnownNames, now: EpochMs) {
  const from = reader.object(body, '', FIELDS)
  if (from === undefined) return undefined
  const written = own(from, 'facts')
  const isList = Array.isArray(written)
  const key = reader.text(from, 'key', '')
  const lifeMs = durationIn(reader, from, 'reserveFor')
  const site = siteIn(reader, from, known)
  const how: HowAsked = {
    reserve: reader.truth(from, 'reserve', '') ?? false,
    dispatch: reader.truth(from, 'dispatch', '') ?? false,
    dryRun: reader.truth(from, 'dryRun', '') ?? false,
    ...(key === undefined ? {} : { key }),
    ...(lifeMs === undefined ? {} : { lifeMs }),
    ...(site === undefined ? {} : { site }),
  }
  if (!isList && !isPlain(written))
    return reader.wrong('/facts', 'is missing', 'write an object of facts, { "class": "training" }, or a list of them')
  if (isList && (written.length === 0 || written.length > FACTS_MAX))
    return reader.wrong('/facts', `has ${written.length} items`, `write 1 to ${FACTS_MAX}`)
  if (isList && key !== undefined) reader.wrong('/key', 'names one job', 'ask about one at a time')
  const list = (isList ? written : [written]).flatMap(
    (one, index) => factsIn(reader, one, isList ? `/facts/${index}` : '/facts', known, now) ?? [],
  )
  return { list, isList, how }
}
