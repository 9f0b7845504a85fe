import type { FastifyReply, FastifyRequest } from 'fastify'
import {
  BY_MAX,
  MEASURED_BY,
  MEASURED_DIMENSIONS,
  type MeasuredBy,
  type Measurements,
  type MeasurementsAsked,
} from '../model/measurements.ts'
import type { EpochMs } from '../model/names.ts'
import type { ReportedOutcome } from '../model/outcome.ts'
import { ARMS } from '../model/rollout.ts'
import { badRequest } from './decide.ts'
import { isPlain, JsonReader, own, type Plain } from './json-reader.ts'
import { problem } from './problem.ts'

/** What the routes of measurements show and take; the sidecar hands it over. */
export interface MeasureView {
  readonly ask: (asked: MeasurementsAsked) => Promise<Measurements>
  /** What became of each report, in a word, or the name for which nothing of it was taken. */
  readonly report: (
    all: readonly ReportedOutcome[],
  ) => readonly string[] | { readonly name: string; readonly message: string; readonly remedy: string }
  readonly reports: () => readonly {
    readonly rollout: string
    readonly arm: string
    readonly name: string
    readonly n: number
    readonly sum: number
    readonly sumOfSquares: number
  }[]
}

/** The longest list of outcomes in one body. */
export const OUTCOMES_MAX = 1_000
/** What is told of where nobody says: the last hour. */
const WINDOW_MS = 3_600_000
/** What is known at all. */
const KEPT_MS = 48 * 3_600_000
const NAME = /^[a-zA-Z][a-zA-Z0-9_.-]{0,63}$/
const DURATION = /^([0-9]{1,9})(s|m|h|d)$/
const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** The handlers of measurements and of what a business reports. */
export function measureHandlers(view: MeasureView, now: () => EpochMs) {
  return {
    measurements: async (request: FastifyRequest, reply: FastifyReply) => {
      const asked = askedOf(request.query as Readonly<Record<string, string>>, now())
      if ('wrong' in asked) return problem(reply, 400, 'No question', asked.wrong)
      return { now: now(), ...(await view.ask(asked)) }
    },
    outcomes: () => ({ now: now(), outcomes: view.reports() }),
    outcomesReported: (request: FastifyRequest, reply: FastifyReply) => {
      const reader = new JsonReader()
      const place = (at: number): string => (Array.isArray(request.body) ? `/${at}` : '')
      const read = listOf(request.body, reader).map((item, at) => reportedOf(item, place(at), reader, now()))
      // A list is taken as a whole or not at all: who sends it again has counted nothing twice.
      if (reader.problems.length > 0) return badRequest(reply, reader)
      const results = view.report(read as ReportedOutcome[])
      if ('message' in results) {
        reader.wrong(
          `${place(read.findIndex((one) => one!.name === results.name))}/name`,
          results.message,
          results.remedy,
        )
        return badRequest(reply, reader)
      }
      const by: Record<string, number> = { counted: 0, replaced: 0, again: 0, 'no-arm': 0, unknown: 0 }
      for (const result of results) by[result] = (by[result] ?? 0) + 1
      return { now: now(), ...by }
    },
  }
}

const listOf = (body: unknown, reader: JsonReader): readonly unknown[] => {
  if (!Array.isArray(body)) {
    if (isPlain(body)) return [body]
    reader.wrong('', 'is neither an outcome nor a list of them', 'write [{ "name": …, "decision": …, "value": … }]')
    return []
  }
  if (body.length <= OUTCOMES_MAX) return body
  reader.wrong('', `has ${body.length} outcomes`, `send at most ${OUTCOMES_MAX} at once`)
  return []
}

const OF_DECISION = ['name', 'decision', 'value'] as const
const OF_DAY = ['name', 'rollout', 'arm', 'day', 'count', 'sum', 'sumOfSquares'] as const

function reportedOf(item: unknown, at: string, reader: JsonReader, now: EpochMs): ReportedOutcome | undefined {
  const isOfDay = isPlain(item) && Object.hasOwn(item, 'rollout')
  const from = reader.object(item, at, isOfDay ? OF_DAY : OF_DECISION)
  if (from === undefined) return undefined
  const before = reader.problems.length
  const name = needed(reader, reader.text(from, 'name', at), from, 'name', at)
  if (name !== undefined && !NAME.test(name))
    reader.wrong(`${at}/name`, 'is no name', 'write at most 64 letters, digits, dots and dashes, a letter first')
  if (!isOfDay) {
    const decision = needed(reader, reader.text(from, 'decision', at), from, 'decision', at)
    const value = needed(reader, numberIn(reader, from, 'value', at), from, 'value', at)
    return reader.problems.length > before ? undefined : { name: name!, decision: decision!, value: value! }
  }
  const rollout = needed(reader, reader.text(from, 'rollout', at), from, 'rollout', at)
  const arm = needed(reader, reader.oneOf(from, 'arm', at, ARMS), from, 'arm', at)
  const day = needed(reader, reader.text(from, 'day', at), from, 'day', at)
  if (day !== undefined && !isDay(day, now))
    reader.wrong(`${at}/day`, 'is no day that has been', 'write it as 2026-11-28, in UTC')
  const count = needed(reader, reader.number(from, 'count', at, { whole: true, max: 1e12 }), from, 'count', at)
  const sum = needed(reader, numberIn(reader, from, 'sum', at), from, 'sum', at)
  const squares = reader.number(from, 'sumOfSquares', at, { max: 1e24 })
  if (squares !== undefined && count !== undefined && sum !== undefined && squares * count < sum * sum * (1 - 1e-9))
    reader.wrong(`${at}/sumOfSquares`, 'is less than it can be with this count and sum', 'add up the squared numbers')
  if (squares === undefined && count !== undefined && sum !== undefined && !(sum >= 0 && sum <= count))
    reader.wrong(
      `${at}/sumOfSquares`,
      'is missing, and the sum is no number of yes among the count',
      'give sumOfSquares with numbers; without it the sum counts those for whom it was so',
    )
  if (reader.problems.length > before) return undefined
  const named = { name: name!, rollout: rollout!, arm: arm!, day: day!, count: count!, sum: sum! }
  return squares === undefined ? named : { ...named, sumOfSquares: squares }
}

const numberIn = (reader: JsonReader, from: Plain, field: string, at: string): number | undefined =>
  reader.number(from, field, at, { min: -1e12, max: 1e12 })

/** A field that has to be there. */
const needed = <T>(reader: JsonReader, value: T | undefined, from: Plain, field: string, at: string): T | undefined =>
  value === undefined && own(from, field) === undefined
    ? reader.wrong(`${at}/${field}`, 'is missing', `write ${field}`)
    : value

/** Is this a day between 2020 and tomorrow? */
const isDay = (text: string, now: EpochMs): boolean => {
  const ms = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN
  return ms >= 1_577_836_800_000 && ms <= now + 86_400_000 && new Date(ms).toISOString().startsWith(text)
}

/** What the query asks, or what is wrong with it. */
function askedOf(
  query: Readonly<Record<string, string>>,
  now: EpochMs,
): MeasurementsAsked | { readonly wrong: string } {
  const { by = '', from: first, to: last, window, ...where } = query
  const names = by === '' ? [] : [...new Set(by.split(','))]
  const isName = (name: string): boolean => Object.hasOwn(MEASURED_BY, name)
  const unknown = [...names, ...Object.keys(where)].find((name) => !isName(name))
  if (unknown !== undefined)
    return { wrong: `${unknown.slice(0, 64)} is nothing to measure by: there are ${MEASURED_DIMENSIONS.join(', ')}` }
  if (names.length > BY_MAX) return { wrong: `by has ${names.length} names; at most ${BY_MAX} are told apart at once` }
  const to = last === undefined ? now : instantIn(last)
  const span = window === undefined ? WINDOW_MS : durationIn(window)
  if (span === undefined) return { wrong: `window=${window?.slice(0, 64)}: write 1m, 2h or 2d` }
  const from = first === undefined ? (to ?? now) - span : instantIn(first)
  if (from === undefined || to === undefined)
    return { wrong: 'from and to: write 2026-11-01, 2026-11-01T10:00Z, or milliseconds since 1970' }
  if (from >= to) return { wrong: 'from is not before to' }
  return { by: names as MeasuredBy[], where, from: Math.max(from, now - KEPT_MS), to }
}

const durationIn = (text: string): number | undefined => {
  const [, number, unit] = DURATION.exec(text) ?? []
  const ms = Number(number) * UNIT_MS[unit as keyof typeof UNIT_MS]
  return ms > 0 ? ms : undefined
}

const INSTANT = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?Z)?$/

const instantIn = (text: string): EpochMs | undefined => {
  const ms = /^\d{1,15}$/.test(text) ? Number(text) : INSTANT.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(ms) ? undefined : ms
}
