import type { Problem } from '../model/problem.ts'
import { type Interval, type Sample, SERIES_INTERVALS_MAX, type Series } from '../model/sample.ts'
import { SIGNALS, signalOf } from '../model/signal.ts'
import type { Signal } from '../model/signal-row.ts'
import { FeedFailure, type FeedProblemCode, failure, feedProblem } from './failure.ts'
import { entriesOf, type FileEntry } from './file-entries.ts'
import { convertUnit, isDifference, unitsFor } from './units.ts'

/** What a file of samples gave. */
export interface FileSamples {
  readonly samples: readonly Sample[]
  readonly series: readonly Series[]
  readonly signals: readonly string[]
  readonly places: readonly string[]
}

/** Where samples of a file come from. */
export interface FileOrigin {
  /** Shown in problems. */
  readonly path: string
  readonly source: string
  /** The time of entries without one of their own: when the file was last written. */
  readonly writtenAt: number
}

const PROBLEMS_MAX = 50
const ENTRIES_MAX = 100_000
/** Entries between two turns of the event loop: about a millisecond's worth. */
const SLICE = 250
const FIELDS = ['site', 'pool', 'loop', 'from', 'model', 'signal', 'value', 'unit', 'at', 'validUntil', 'count']
const SERIES_FIELDS = ['site', 'pool', 'signal', 'unit', 'intervals', 'issuedAt']

/**
 * The samples and series of a text. An entry is `{ site, pool?, loop?, from?, model?, signal, value, unit?, at?,
 * validUntil?, count? }`, or `{ site, pool?, signal, unit?, intervals: [{ from, to, value }], issuedAt? }`; times are ISO
 * 8601 with a zone, or epoch milliseconds. Units are converted to the signal's. Every entry that is neither is a problem
 * with its line, and one of them refuses the whole. Lets other work run in between.
 */
export async function fileSamples(text: string, origin: FileOrigin): Promise<FileSamples> {
  const samples: Sample[] = []
  const series: Series[] = []
  const problems: Problem[] = []
  let count = 0
  for (const entry of entriesOf(text)) {
    count += 1
    if (count > ENTRIES_MAX) throw failure('feed/too-large', `${origin.path} has more than ${ENTRIES_MAX} entries`)
    const read = readEntry(entry, origin)
    if ('intervals' in read) series.push(read)
    else if ('source' in read) samples.push(read)
    else problems.push(read)
    if (problems.length >= PROBLEMS_MAX) break
    if (count % SLICE === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  if (problems.length > 0) throw new FeedFailure(problems)
  const all: readonly Pick<Sample, 'signal' | 'site' | 'pool'>[] = [...samples, ...series]
  return {
    samples,
    series,
    signals: [...new Set(all.map(({ signal }) => signal))].sort(),
    places: [...new Set(all.map(({ site, pool }) => (pool === undefined ? site : `${site}/${pool}`)))].sort(),
  }
}

type Fields = Readonly<Record<string, unknown>>
type Bad = (message: string, remedy?: string, code?: FeedProblemCode) => Problem

const readEntry = (entry: FileEntry, origin: FileOrigin): Sample | Series | Problem => {
  const bad: Bad = (message, remedy, code = 'feed/bad-sample') =>
    feedProblem(code, message, {
      path: origin.path,
      line: entry.line,
      column: entry.column,
      ...(remedy === undefined ? {} : { remedy }),
    })
  let given: unknown
  try {
    given = JSON.parse(entry.text)
  } catch (error) {
    return bad(`not JSON: ${(error as Error).message.slice(0, 200)}`)
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return bad('an entry must be an object')
  const fields = given as Fields
  const isSeries = fields.intervals !== undefined
  const known: readonly string[] = isSeries ? SERIES_FIELDS : FIELDS
  const unknown = Object.keys(fields).find((name) => !known.includes(name))
  if (unknown !== undefined) return bad(`no field is called ${show(unknown)}`, `fields: ${known.join(', ')}`)
  const { site, pool, signal } = fields
  if (!isName(site)) return bad('site must be the name of a site')
  if (pool !== undefined && !isName(pool)) return bad('pool must be the name of a pool')
  const row = typeof signal === 'string' ? signalOf(signal) : undefined
  if (row === undefined) {
    const alike = Object.keys(SIGNALS).filter((name) => name.split('.')[0] === String(signal).split('.')[0])
    const remedy = `one of: ${(alike.length > 0 ? alike : Object.keys(SIGNALS)).join(', ')}`
    return bad(`no signal is called ${show(signal)}`, remedy, 'feed/unknown-signal')
  }
  const about = { site, ...(pool === undefined ? {} : { pool }), signal: signal as string, source: origin.source }
  return isSeries ? readSeries(fields, about, row, origin, bad) : readSample(fields, about, row, origin, bad)
}

type About = Pick<Sample, 'site' | 'pool' | 'signal' | 'source'>

const readSample = (fields: Fields, about: About, row: Signal, origin: FileOrigin, bad: Bad): Sample | Problem => {
  const { pool, loop, from, model, unit, count } = fields
  if (model !== undefined && !isName(model)) return bad('model must be the name of a model')
  if (loop !== undefined && !isName(loop)) return bad('loop must be the name of a coolant loop')
  if (loop !== undefined && pool !== undefined) return bad('pool and loop are two places', 'leave one of them out')
  if (row.scope === 'link' ? typeof from !== 'string' || !LINK_END.test(from) : from !== undefined) {
    const remedy = 'from is region:EMEA, asn:1136 or site:ams, and only signals of links have it'
    return bad(
      row.scope === 'link' ? `${about.signal} is of a link, and from is ${show(from)}` : `${about.signal} has no from`,
      remedy,
    )
  }
  if (count !== undefined && !(Number.isSafeInteger(count) && (count as number) >= 0)) {
    return bad('count must be a whole number, how many events stand behind the value')
  }
  const value = numberOf(fields.value, unit, row, isDifference(about.signal))
  if (value === undefined) return notNumber(fields.value, unit, about, row, bad)
  const at = timeOf(fields.at, origin.writtenAt)
  if (at === undefined) return notTime('at', fields.at, bad)
  const validUntil = fields.validUntil === undefined ? undefined : timeOf(fields.validUntil, 0)
  if (fields.validUntil !== undefined && validUntil === undefined) return notTime('validUntil', fields.validUntil, bad)
  return {
    ...about,
    ...(loop === undefined ? {} : { loop: loop as string }),
    ...(from === undefined ? {} : { from: from as string }),
    ...(model === undefined ? {} : { model }),
    value,
    at,
    ...(validUntil === undefined ? {} : { validUntil }),
    ...(count === undefined ? {} : { count: count as number }),
  }
}

const readSeries = (fields: Fields, about: About, row: Signal, origin: FileOrigin, bad: Bad): Series | Problem => {
  const { intervals: given, unit } = fields
  if (row.scope === 'link') return bad(`${about.signal} is of a link, and a series is of a site or a pool`)
  if (!Array.isArray(given)) return bad('intervals must be a list of { from, to, value }')
  if (given.length > SERIES_INTERVALS_MAX) return bad(`a series has at most ${SERIES_INTERVALS_MAX} intervals`)
  const intervals: Interval[] = []
  for (const [index, one] of given.entries()) {
    const { from, to, value: told } = typeof one === 'object' && one !== null ? (one as Fields) : ({} as Fields)
    const value = numberOf(told, unit, row, isDifference(about.signal))
    if (value === undefined) return notNumber(told, unit, about, row, bad)
    const [start, end] = [timeOf(from ?? null, 0), timeOf(to ?? null, 0)]
    if (start === undefined) return notTime(`from of interval ${index + 1}`, from, bad)
    if (end === undefined) return notTime(`to of interval ${index + 1}`, to, bad)
    if (end <= start || start < (intervals.at(-1)?.to ?? start)) {
      return bad(`interval ${index + 1} is not after the one before it`, 'write them in the order of time')
    }
    if (value < row.range[0] || value > row.range[1]) {
      return bad(`interval ${index + 1} is ${value}, and ${about.signal} is between ${row.range.join(' and ')}`)
    }
    intervals.push({ from: start, to: end, value })
  }
  const issuedAt = timeOf(fields.issuedAt, origin.writtenAt)
  return issuedAt === undefined ? notTime('issuedAt', fields.issuedAt, bad) : { ...about, intervals, issuedAt }
}

/** The other end of a link. */
const LINK_END = /^(region:[A-Za-z0-9-]{1,32}|asn:\d{1,10}|site:[a-z0-9][a-z0-9.-]{0,62})$/

const notNumber = (value: unknown, unit: unknown, { signal }: About, row: Signal, bad: Bad): Problem => {
  if (typeof value !== 'number' && typeof value !== 'boolean') return bad('value must be a number')
  const remedy = `${row.unit} is what the table has; it is converted from ${unitsFor(row.unit).join(', ')}`
  return bad(`${signal} can't be given in ${show(unit)}`, remedy, 'feed/unknown-unit')
}

const notTime = (name: string, value: unknown, bad: Bad): Problem =>
  bad(`${name} is no time: ${show(value)}`, 'write 2026-11-22T10:41:07Z, or milliseconds since 1970')

const numberOf = (value: unknown, unit: unknown, row: Signal, isDifference: boolean): number | undefined => {
  if (typeof value === 'boolean') return row.unit === 'bool' && unit === undefined ? Number(value) : undefined
  if (typeof value !== 'number') return undefined
  if (unit === undefined) return value
  return typeof unit === 'string' ? convertUnit(value, unit, row.unit, isDifference) : undefined
}

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/

/** Before 1973 in milliseconds: somebody wrote seconds. */
const MS_MIN = 100_000_000_000

const timeOf = (at: unknown, writtenAt: number): number | undefined => {
  if (at === undefined) return writtenAt
  if (typeof at === 'number') return Number.isFinite(at) && at >= MS_MIN ? at : undefined
  const parsed = typeof at === 'string' && ISO.test(at) ? Date.parse(at) : Number.NaN
  return Number.isNaN(parsed) ? undefined : parsed
}

const isName = (value: unknown): value is string => typeof value === 'string' && value !== '' && value.length <= 256

const show = (value: unknown): string => (JSON.stringify(value) ?? 'nothing').slice(0, 80)
