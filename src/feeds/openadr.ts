import type { SiteName } from '../model/names.ts'
import type { Problem } from '../model/problem.ts'
import type { Interval, Sample, Series } from '../model/sample.ts'
import type { HttpAccess } from './credentials.ts'
import { failure, feedProblem } from './failure.ts'
import { fieldsOf, type JsonAnswer, type JsonAttempt, JsonReader, listOf, textOf } from './json-reader.ts'
import { ordersOf, type Program } from './openadr-events.ts'
import {
  emergenciesAhead,
  NO_LIMIT_MW,
  OPENADR_SIGNALS,
  type OpenadrSignal,
  runningAt,
  timelineOf,
} from './openadr-signals.ts'
import { type ClientCredentials, ClientToken } from './openadr-token.ts'
import type { Attempt, Reading, Source } from './poller.ts'
import { Running } from './series-check.ts'
import { SkewEstimate } from './skew.ts'
import type { FeedClock } from './time.ts'

/** A feed of OpenADR, as it is configured. */
export interface OpenadrConfig extends Omit<HttpAccess, 'auth'> {
  readonly kind: 'openadr'
  readonly name: string
  readonly owner?: string
  readonly intervalMs?: number
  readonly timeoutMs?: number
  readonly backoffMsMax?: number
  readonly bodyBytesMax?: number
  readonly noise?: Readonly<Record<string, number>>
  readonly url: string
  readonly site: SiteName
  readonly auth?: HttpAccess['auth'] | ClientCredentials
  readonly names?: readonly string[]
  readonly programs?: readonly string[]
  readonly signals?: readonly OpenadrSignal[]
  readonly emergencyTypes?: readonly string[]
  readonly currency?: string
  readonly rates?: Readonly<Record<string, number>>
}

/** The same with everything that has a default. */
export type OpenadrOptions = OpenadrConfig & Required<Pick<OpenadrConfig, Defaulted>>
type Defaulted = 'intervalMs' | 'timeoutMs' | 'backoffMsMax' | 'bodyBytesMax'

/** As many as a VTN gives at once. */
const PAGE = 50
const PAGES_MAX = 40

/**
 * The events of an OpenADR 3.1 VTN (3.0's too) for one site: what may be imported from the grid, whether it calls for
 * load to be shed, prices and carbon. What holds now goes out with its end; what is to come as series. An event that is
 * gone has ended: the emergency is 0 again, and a limit of 10,000 MW that is over at once takes the place of the last one.
 */
export function openadrFeed(options: OpenadrOptions, clock: FeedClock): Source {
  const { name, owner, site, auth, timeoutMs, intervalMs, backoffMsMax } = options
  const { auth: _, ...place } = options
  const url = options.url.replace(/\/+$/, '')
  const base = new URL(url).pathname.replace(/\/$/, '')
  const byToken = auth !== undefined && 'clientId' in auth
  const reader = new JsonReader({ ...place, ...(auth === undefined || byToken ? {} : { auth }) }, clock, {
    bytesMax: options.bodyBytesMax,
    requestsMax: 2 * PAGES_MAX + 6,
  })
  const token = byToken ? new ClientToken(auth, base, place, clock) : undefined
  const skew = new SkewEstimate()
  const signals = options.signals ?? OPENADR_SIGNALS
  const names = new Set([site, `SITE:${site}`, ...(options.names ?? [])])
  const rules = {
    emergencyTypes: options.emergencyTypes ?? ['ALERT_GRID_EMERGENCY'],
    currency: options.currency ?? 'EUR',
    rates: options.rates ?? {},
  }
  const graceMs = 2 * intervalMs + timeoutMs
  /** What was said before and so has to be unsaid. */
  const said = new Set<OpenadrSignal>()
  const seenAt = new Map<string, number>()
  const [price, carbon] = [new Running(), new Running()]

  const read = async ({ signal }: Attempt): Promise<Reading> => {
    const attempt = reader.attempt(signal, skew)
    const ask = (path: string): Promise<JsonAnswer> => asking(attempt, `${base}${path}`, token)
    const programs = await readPrograms(ask, options.programs)
    const only = options.programs === undefined ? undefined : new Set(programs.wanted)
    const events = await readPages(ask, '/events')
    const now = clock.now()
    const about = { now, names, programs: programs.byId, only, seenAt, seed: name }
    const { orders, warnings } = ordersOf(events, about)
    const ids = new Set(events.map((event) => fieldsOf(event).id))
    for (const id of seenAt.keys()) if (!ids.has(id)) seenAt.delete(id)
    const samples: Sample[] = []
    const series: Series[] = []
    const problems: Problem[] = [...programs.warnings, ...warnings]
    for (const one of signals) {
      const { intervals, warnings: bad } = timelineOf(one, orders, rules, now)
      problems.push(...bad)
      const about = { signal: one, site, source: name }
      const running = runningAt(intervals, now)
      const put = (ahead: readonly Interval[]) => {
        if (ahead.length > 0 || said.has(one)) series.push({ ...about, intervals: ahead, issuedAt: now })
      }
      if (one === 'grid.import_limit_mw') {
        put(intervals.filter(({ from }) => from > now))
        if (running !== undefined) samples.push({ ...about, value: running.value, at: now, validUntil: running.to })
        else if (said.has(one)) samples.push({ ...about, value: NO_LIMIT_MW, at: now, validUntil: now })
      } else if (one === 'grid.emergency') {
        const ahead = emergenciesAhead(intervals, now, graceMs)
        put(ahead)
        // What is said to be over, or not to be, holds until the next attempt has had its time, or the next one begins.
        const calm = Math.min(now + graceMs, ahead.find(({ from }) => from > now)?.from ?? Number.POSITIVE_INFINITY)
        samples.push({ ...about, at: now, value: running?.value ?? 0, validUntil: running?.to ?? calm })
      } else put((one === 'price.per_mwh' ? price : carbon).steady(intervals, now))
      if (intervals.length > 0) said.add(one)
      else said.delete(one)
    }
    return {
      version: attempt.version,
      samples,
      heartbeats: [],
      series,
      warnings: problems,
      ...(skew.ms === undefined ? {} : { clockSkewMs: skew.ms }),
    }
  }
  return {
    name,
    kind: 'openadr',
    ...(owner === undefined ? {} : { owner }),
    where: reader.where,
    intervalMs,
    timeoutMs,
    backoffMsMax,
    covers: [site],
    delivers: () => signals,
    read,
    close: async () => {
      await token?.close()
      await reader.close()
    },
  }
}

/** One answer; where our token has run out before its time, with a new one. */
const asking = async (attempt: JsonAttempt, path: string, token: ClientToken | undefined): Promise<JsonAnswer> => {
  if (token === undefined) return await attempt.json(path)
  for (const isLast of [false, true]) {
    const headers = { authorization: `Bearer ${await token.get(attempt)}` }
    const answer = await attempt.json(path, { headers, statuses: isLast ? [200] : [200, 401] })
    if (answer.status === 200) return answer
    token.forget()
  }
  throw new Error('not reached: the second answer is 200 or a failure')
}

/** Everything that a path lists. Pages that repeat themselves, or that never end, are refused: an order could be missing. */
const readPages = async (ask: (path: string) => Promise<JsonAnswer>, path: string): Promise<readonly unknown[]> => {
  const all: unknown[] = []
  const ids = new Set<unknown>()
  for (let page = 0; page < PAGES_MAX; page++) {
    const { body } = await ask(`${path}?skip=${page * PAGE}&limit=${PAGE}`)
    if (!Array.isArray(body)) {
      throw failure('feed/bad-text', `${path} is no list`, { remedy: 'write the base address of an OpenADR 3 VTN' })
    }
    const fresh = listOf(body).filter((one) => !ids.has(fieldsOf(one).id) || fieldsOf(one).id === undefined)
    for (const one of fresh) ids.add(fieldsOf(one).id)
    all.push(...fresh)
    // A VTN that does not page gives all at once, whatever it is asked for, and then again.
    if (body.length < PAGE || fresh.length === 0 || body.length > PAGE) return all
  }
  throw failure('feed/too-large', `${path} has more than ${PAGES_MAX * PAGE} entries`, {
    remedy: 'let the VTN end what is over, or name programs',
  })
}

const readPrograms = async (
  ask: (path: string) => Promise<JsonAnswer>,
  names: readonly string[] | undefined,
): Promise<{ byId: ReadonlyMap<string, Program>; wanted: readonly string[]; warnings: readonly Problem[] }> => {
  const byId = new Map<string, Program>()
  for (const given of await readPages(ask, '/programs')) {
    const { id, programName, targets, payloadDescriptors: descriptors } = fieldsOf(given)
    const known = textOf(id)
    if (known !== undefined) byId.set(known, { id: known, name: textOf(programName) ?? known, targets, descriptors })
  }
  if (names === undefined) return { byId, wanted: [], warnings: [] }
  const isWanted = ({ id, name }: Program): boolean => names.includes(id) || names.includes(name)
  const wanted = [...byId.values()].filter(isWanted)
  const missing = names.filter((name) => !wanted.some((one) => one.id === name || one.name === name))
  if (wanted.length === 0) {
    // That nothing holds would be a guess.
    throw failure('feed/bad-event', `the VTN has none of the programs ${names.join(', ').slice(0, 200)}`, {
      remedy: 'name them as the VTN does, or ask to be let into them',
    })
  }
  return {
    byId,
    wanted: wanted.map(({ id }) => id),
    warnings: missing.map((name) => {
      const remedy = `there are ${
        [...byId.values()]
          .map((one) => one.name)
          .slice(0, 10)
          .join(', ') || 'none'
      }`
      return feedProblem('feed/bad-event', `no program is called ${name}`, { severity: 'warning', remedy })
    }),
  }
}
