import { createHash } from 'node:crypto'
import type { EpochMs, TargetName } from '../model/names.ts'
import type { Problem } from '../model/problem.ts'
import type { Interval, Series } from '../model/sample.ts'
import { signalOf } from '../model/signal.ts'
import type { HttpAccess } from './credentials.ts'
import { failure, feedProblem } from './failure.ts'
import { readBounded, watchFolder } from './file.ts'
import { isPointer } from './json-pointer.ts'
import { type JsonAttempt, JsonReader } from './json-reader.ts'
import { isTimeZone } from './local-time.ts'
import { type OffPeakRule, offPeakOf } from './off-peak.ts'
import { placeOf } from './place.ts'
import type { Attempt, Reading, Source } from './poller.ts'
import { addressNow, type LoginAuth, LoginToken, type QueryPart } from './series-access.ts'
import { Running, type Tidied, tidyIntervals } from './series-check.ts'
import {
  type CsvColumns,
  type JsonPlaces,
  SERIES_FORMATS,
  type SeriesFormat,
  type SeriesText,
} from './series-formats.ts'
import { SkewEstimate } from './skew.ts'
import type { FeedClock } from './time.ts'
import { convertUnit, inEuro, unitFault } from './units.ts'

/** A feed of a series, as it is configured. */
export interface SeriesConfig extends Omit<HttpAccess, 'auth'> {
  readonly kind: 'series'
  readonly name: string
  readonly owner?: string
  readonly intervalMs?: number
  readonly timeoutMs?: number
  readonly backoffMsMax?: number
  readonly bodyBytesMax?: number
  readonly noise?: Readonly<Record<string, number>>
  readonly targets: readonly TargetName[]
  readonly signal: string
  readonly url?: string
  readonly query?: readonly QueryPart[]
  readonly path?: string
  readonly auth?: HttpAccess['auth'] | LoginAuth
  readonly format: SeriesFormat
  readonly json?: JsonPlaces
  readonly csv?: CsvColumns
  readonly resolutionMs?: number
  readonly unit?: string
  readonly rate?: number
  readonly offPeak?: OffPeakRule
}

/** The same with everything that has a default. */
export type SeriesOptions = SeriesConfig & Required<Pick<SeriesConfig, Defaulted>>
type Defaulted = 'intervalMs' | 'timeoutMs' | 'backoffMsMax' | 'bodyBytesMax'

/** Today's prices are needed whole to choose its cheapest hours; the longest day has 25. */
const BEHIND_MS = 26 * 3_600_000

/** What is wrong with the settings beyond their schema. */
export function seriesFaults(config: SeriesConfig): (readonly [message: string, remedy: string])[] {
  const faults: (readonly [string, string])[] = []
  const { signal, format, json, csv, unit, rate, offPeak } = config
  const row = signalOf(signal)!
  if (row.scope === 'link') faults.push([`${signal} is of a link, not of a site or a pool`, 'deliver it as samples'])
  if (format === 'json' && json === undefined) faults.push(['json is missing', 'say where the intervals are'])
  if (format === 'csv' && csv === undefined) faults.push(['csv is missing', 'name the columns'])
  for (const pointer of Object.values(json ?? {})) {
    if (!isPointer(pointer))
      faults.push([`${JSON.stringify(pointer)} is no JSON pointer`, 'write one such as /data/0/price'])
  }
  const fault = unitFault(unit ?? row.unit, row.unit, unit === undefined ? undefined : rate)
  if (fault !== undefined) faults.push(fault)
  if (offPeak !== undefined && signal !== 'price.per_mwh') {
    faults.push(['off-peak is told from prices', 'set signal: price.per_mwh'])
  }
  const timeZone = offPeak !== undefined && 'timeZone' in offPeak ? offPeak.timeZone : undefined
  if (timeZone !== undefined && !isTimeZone(timeZone)) {
    faults.push([`no time zone is called ${JSON.stringify(timeZone)}`, 'write one such as Europe/Amsterdam'])
  }
  return faults
}

/**
 * Values ahead of time from an address or a file: prices, carbon, whatever comes in intervals. What holds now is the value
 * of the interval that is running: one whose interval is over never is, so a text that is all past is refused. With a rule
 * it says which hours are off-peak, too.
 */
export function seriesFeed(options: SeriesOptions, clock: FeedClock): Source {
  const { name, owner, signal, targets, path, url, auth, timeoutMs, intervalMs, backoffMsMax, offPeak } = options
  const { auth: _, ...place } = options
  const byLogin = auth !== undefined && 'loginUrl' in auth
  const plain = auth === undefined || byLogin ? {} : { auth }
  const budget = { bytesMax: options.bodyBytesMax, requestsMax: 2 }
  const reader = url === undefined ? undefined : new JsonReader({ ...place, ...plain, url }, clock, budget)
  const login = byLogin ? new LoginToken(auth, clock) : undefined
  const skew = new SkewEstimate()
  const where = reader?.where ?? path!
  const running = [new Running(), new Running()]

  const fetched = async (signal: AbortSignal): Promise<{ text: string; version: string; issuedAt: EpochMs }> => {
    if (reader === undefined) {
      const { text, writtenAt } = await readBounded(path!, options.bodyBytesMax)
      return { text, version: hashOf(`${writtenAt}\n${text}`), issuedAt: writtenAt }
    }
    const attempt = reader.attempt(signal, skew)
    const address = await addressNow(url!, options.query ?? [], clock.now())
    const answer = await withLogin(attempt, address, login)
    const modified = Date.parse(answer.headers['last-modified'] ?? '')
    const issuedAt = Number.isNaN(modified) ? attempt.sentAt : modified - skew.certainMs
    return { text: answer.text, version: attempt.version, issuedAt }
  }

  const read = async ({ signal: ends }: Attempt): Promise<Reading> => {
    const { text, version, issuedAt: written } = await fetched(ends)
    const rules = { where, ...options }
    const found: SeriesText = SERIES_FORMATS[options.format].read(text, rules)
    const now = clock.now()
    const issuedAt = Math.min(found.issuedAt ?? written, now)
    const known = tidyIntervals(inUnit(found, options), signal, now - BEHIND_MS)
    const ahead = known.intervals.filter(({ to }) => to > now)
    if (ahead.length === 0) throw nothingAhead(where, known.intervals, found.bad + known.bad)
    const about = targets.map((target) => ({ ...placeOf(target), source: name, issuedAt }))
    const off = offPeak === undefined ? [] : offPeakOf(known.intervals, offPeak, now)
    const of = (one: string, intervals: readonly Interval[]) =>
      about.map((place): Series => ({ ...place, signal: one, intervals }))
    return {
      version,
      samples: [],
      heartbeats: [],
      series: [
        ...of(signal, running[0]!.steady(ahead, now)),
        ...(offPeak === undefined ? [] : of('tariff.off_peak', running[1]!.steady(off, now))),
      ],
      warnings: warningsOf(found, known, offPeak !== undefined && off.length === 0),
      ...(skew.ms === undefined ? {} : { clockSkewMs: skew.ms }),
    }
  }
  return {
    name,
    kind: 'series',
    ...(owner === undefined ? {} : { owner }),
    where,
    intervalMs,
    timeoutMs,
    backoffMsMax,
    covers: targets,
    delivers: () => [signal, ...(offPeak === undefined ? [] : ['tariff.off_peak'])],
    read,
    ...(path === undefined ? {} : { watch: (changed: () => void) => watchFolder(path, changed) }),
    close: async () => {
      await login?.close()
      await reader?.close()
    },
  }
}

const hashOf = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex').slice(0, 32)}`

/** One answer; where our token has run out before its time, with a new one. */
const withLogin = async (attempt: JsonAttempt, address: string, login: LoginToken | undefined) => {
  if (login === undefined) return await attempt.text(address)
  const ask = async (statuses: readonly number[]) =>
    await attempt.text(address, { headers: { authorization: `Bearer ${await login.get(attempt)}` }, statuses })
  const answer = await ask([200, 401])
  if (answer.status === 200) return answer
  login.forget()
  return await ask([200])
}

const inUnit = (found: SeriesText, { signal, unit, rate }: SeriesOptions): Interval[] => {
  const row = signalOf(signal)!
  const told = found.unit ?? unit ?? row.unit
  const { unit: plain, currency } = inEuro(told)
  const factor = currency === undefined ? 1 : rate
  const fault = unitFault(told, row.unit, currency === undefined ? undefined : rate)
  if (fault !== undefined || factor === undefined) {
    const [message, remedy] = fault ?? [`${told} is not in EUR`, 'give `rate`']
    throw failure('feed/unknown-unit', message, { remedy })
  }
  return found.intervals.map(({ from, to, value }) => ({
    from,
    to,
    value: convertUnit(value, plain, row.unit)! * factor,
  }))
}

const nothingAhead = (where: string, intervals: readonly Interval[], bad: number) => {
  const last = intervals.at(-1)
  const unread = bad === 0 ? '' : `, and ${bad} that can't be used`
  const ended = last === undefined ? unread : `, the last ended at ${new Date(last.to).toISOString()}`
  return failure('feed/nothing-ahead', `${where} has no interval that is running or to come${ended}`, {
    remedy: 'ask for a forecast or day-ahead values: what is over is never what holds now',
  })
}

const warningsOf = ({ bad }: SeriesText, known: Tidied, noDay: boolean): Problem[] => {
  const warn = (code: Parameters<typeof feedProblem>[0], message: string, remedy?: string) =>
    feedProblem(code, message, { severity: 'warning', ...(remedy === undefined ? {} : { remedy }) })
  const { intervals } = known
  const unusable = bad + known.bad
  const holes = intervals.filter(({ from }, index) => index > 0 && from > intervals[index - 1]!.to).length
  return [
    ...(unusable === 0
      ? []
      : [warn('feed/bad-reading', `${unusable} values are no numbers that can be, and left out`)]),
    ...(holes === 0 ? [] : [warn('feed/partial', `${holes} stretches of time have no value`)]),
    ...(known.dropped === 0
      ? []
      : [warn('feed/too-many-intervals', `the ${known.dropped} intervals furthest ahead are left out`)]),
    ...(noDay
      ? [
          warn(
            'feed/partial',
            'no day is known whole, so its cheapest hours are not',
            'ask from the first hour of the day',
          ),
        ]
      : []),
  ]
}
