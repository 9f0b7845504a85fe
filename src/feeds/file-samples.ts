import type { Problem } from '../model/problem.ts'
import type { Sample } from '../model/sample.ts'
import { SIGNALS, signalOf } from '../model/signal.ts'
import type { Signal } from '../model/signal-row.ts'
import { FeedFailure, type FeedProblemCode, failure, feedProblem } from './failure.ts'
import { entriesOf, type FileEntry } from './file-entries.ts'
import { convertUnit, isDifference, unitsFor } from './units.ts'

/** What a file of samples gave. */
export interface FileSamples {
  readonly samples: readonly Sample[]
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
const FIELDS = ['site', 'pool', 'model', 'signal', 'value', 'unit', 'at', 'count'] as const

/**
 * The samples of a text, each entry `{ site, pool?, model?, signal, value, unit?, at?, count? }`; `at` is ISO 8601 with a
 * zone, or epoch milliseconds. Units are converted to the signal's. Every entry that is no sample is a problem with its
 * line, and one of them refuses the whole. Lets other work run in between.
 */
export async function fileSamples(text: string, origin: FileOrigin): Promise<FileSamples> {
  const samples: Sample[] = []
  const problems: Problem[] = []
  let count = 0
  for (const entry of entriesOf(text)) {
    count += 1
    if (count > ENTRIES_MAX) throw failure('feed/too-large', `${origin.path} has more than ${ENTRIES_MAX} entries`)
    const read = readEntry(entry, origin)
    if ('source' in read) samples.push(read)
    else problems.push(read)
    if (problems.length >= PROBLEMS_MAX) break
    if (count % SLICE === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  if (problems.length > 0) throw new FeedFailure(problems)
  return {
    samples,
    signals: [...new Set(samples.map(({ signal }) => signal))].sort(),
    places: [...new Set(samples.map(({ site, pool }) => (pool === undefined ? site : `${site}/${pool}`)))].sort(),
  }
}

const readEntry = (entry: FileEntry, origin: FileOrigin): Sample | Problem => {
  const bad = (message: string, remedy?: string, code: FeedProblemCode = 'feed/bad-sample') =>
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
  const fields = given as Readonly<Record<string, unknown>>
  const unknown = Object.keys(fields).find((name) => !FIELDS.includes(name as (typeof FIELDS)[number]))
  if (unknown !== undefined) return bad(`no field is called ${show(unknown)}`, `fields: ${FIELDS.join(', ')}`)
  const { site, pool, model, signal, unit, count } = fields
  if (!isName(site)) return bad('site must be the name of a site')
  if (pool !== undefined && !isName(pool)) return bad('pool must be the name of a pool')
  if (model !== undefined && !isName(model)) return bad('model must be the name of a model')
  const row = typeof signal === 'string' ? signalOf(signal) : undefined
  if (row === undefined) {
    const known = Object.keys(SIGNALS).filter((name) => name.split('.')[0] === String(signal).split('.')[0])
    const remedy = `one of: ${(known.length > 0 ? known : Object.keys(SIGNALS)).join(', ')}`
    return bad(`no signal is called ${show(signal)}`, remedy, 'feed/unknown-signal')
  }
  if (count !== undefined && !(Number.isSafeInteger(count) && (count as number) >= 0)) {
    return bad('count must be a whole number, how many events stand behind the value')
  }
  const value = numberOf(fields.value, unit, row, isDifference(signal as string))
  if (value === undefined) {
    if (typeof fields.value !== 'number' && typeof fields.value !== 'boolean') return bad('value must be a number')
    const remedy = `${row.unit} is what the table has; it is converted from ${unitsFor(row.unit).join(', ')}`
    return bad(`${signal} can't be given in ${show(unit)}`, remedy, 'feed/unknown-unit')
  }
  const at = timeOf(fields.at, origin.writtenAt)
  if (at === undefined) {
    return bad(`at is no time: ${show(fields.at)}`, 'write 2026-11-22T10:41:07Z, or milliseconds since 1970')
  }
  return {
    site,
    ...(pool === undefined ? {} : { pool }),
    ...(model === undefined ? {} : { model }),
    signal: signal as string,
    value,
    at,
    source: origin.source,
    ...(count === undefined ? {} : { count: count as number }),
  }
}

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
