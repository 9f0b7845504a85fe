import { createHash } from 'node:crypto'
import type { HttpAccess } from './credentials.ts'
import { FeedFailure, failure } from './failure.ts'
import { type JsonAttempt, JsonReader } from './json-reader.ts'
import { type Settled, turnFaults } from './measured-place.ts'
import type { Attempt, Reading, Source } from './poller.ts'
import { type QueryAnswer, queryAnswer } from './promql-answer.ts'
import { askedExpression, type PromqlQuery, queryFaults } from './promql-query.ts'
import { SkewEstimate } from './skew.ts'
import type { FeedClock } from './time.ts'

/** A feed of PromQL queries, as it is configured. */
export interface PromqlConfig extends HttpAccess {
  readonly kind: 'promql'
  readonly name: string
  readonly owner?: string
  /** By signal, how far samples lie apart when nothing happens. */
  readonly noise?: Readonly<Record<string, number>>
  readonly url: string
  readonly queries: readonly PromqlQuery[]
  /** Sites or pools that it covers; all where absent. */
  readonly targets?: readonly string[]
  readonly method?: 'GET' | 'POST'
  readonly intervalMs?: number
  readonly timeoutMs?: number
  readonly backoffMsMax?: number
  readonly bodyBytesMax?: number
}

/** What is wrong with the queries of a feed, beyond its schema. */
export const promqlFaults = ({ queries }: PromqlConfig): readonly (readonly [message: string, remedy: string])[] => [
  ...queries.flatMap(queryFaults),
  ...turnFaults(queries.filter(({ labels }) => labels === undefined)),
]

/** Statuses whose body says in JSON what is wrong: of the Prometheus API, and 429 and 502 to 504 of what stands before it. */
const TOLD_STATUSES = [400, 404, 413, 422, 429, 500, 502, 503, 504]

/** Queries under way at once; a Prometheus answers 20 where nothing else is said. */
const AT_ONCE = 4

/**
 * Values from a Prometheus, or what speaks its query API: Thanos, Mimir, VictoriaMetrics. Every sample has the time at
 * which it was scraped, corrected by how far that clock is off; what an instant query looks back over is never taken for
 * new, and a series that ended gives nothing. A query that fails leaves the others as they are; where all fail, the
 * attempt has failed.
 */
export function promqlFeed(config: PromqlConfig & Settled, clock: FeedClock): Source {
  const { name, owner, url, queries, intervalMs, timeoutMs, backoffMsMax, bodyBytesMax } = config
  const budget = { bytesMax: bodyBytesMax, requestsMax: queries.length }
  const reader = new JsonReader({ ...config, connections: AT_ONCE }, clock, budget)
  const skew = new SkewEstimate()
  const address = queryAddress(url)
  const asked = queries.map((query) => ({ query, expression: askedExpression(query) }))

  const ask = async (http: JsonAttempt, expression: string): Promise<unknown> => {
    const form = new URLSearchParams({ query: expression }).toString()
    const answer =
      config.method === 'GET'
        ? await http.text(`${address}?${form}`, { statuses: [200, ...TOLD_STATUSES] })
        : await http.text(address, {
            method: 'POST',
            body: form,
            headers: { 'content-type': 'application/x-www-form-urlencoded' },
            statuses: [200, ...TOLD_STATUSES],
          })
    try {
      return JSON.parse(answer.text)
    } catch {
      if (answer.status !== 200) throw failure('feed/status', `${reader.where} answered ${answer.status}`)
      const remedy = 'give the address of the server, as a dashboard would have it, without /api/v1'
      throw failure('feed/bad-text', `${reader.where} answered with what is no JSON`, { remedy })
    }
  }

  const read = async ({ signal }: Attempt): Promise<Reading> => {
    const http = reader.attempt(signal, skew)
    const hash = createHash('sha256')
    const ends = await Promise.allSettled(
      asked.map(async ({ query, expression }): Promise<QueryAnswer> => {
        const body = await ask(http, expression)
        return queryAnswer(body, query, name, skew.certainMs)
      }),
    )
    const good = ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []))
    const problems = ends.flatMap((end) => {
      if (end.status === 'fulfilled') return []
      if (!(end.reason instanceof FeedFailure)) throw end.reason
      return end.reason.problems
    })
    if (good.length === 0) throw new FeedFailure(problems)
    const samples = good.flatMap((one) => one.samples)
    for (const { signal: of, site, value, at } of samples) hash.update(`${of} ${site} ${value} ${at}\n`)
    return {
      version: `sha256:${hash.digest('hex').slice(0, 32)}`,
      samples,
      heartbeats: [],
      warnings: [
        ...good.flatMap((one) => one.warnings),
        ...problems.map((problem) => ({ ...problem, severity: 'warning' as const })),
      ],
      ...(skew.ms === undefined ? {} : { clockSkewMs: skew.ms }),
    }
  }
  return {
    name,
    kind: 'promql',
    ...(owner === undefined ? {} : { owner }),
    where: reader.where,
    intervalMs,
    timeoutMs,
    backoffMsMax,
    covers: config.targets ?? coveredBy(queries),
    delivers: () => [...new Set(queries.map(({ signal }) => signal))],
    read,
    close: () => reader.close(),
  }
}

/** Where queries go: below the address of the server, which may have a prefix of its own. */
const queryAddress = (url: string): string => {
  const address = new URL(url)
  address.pathname = `${address.pathname.replace(/\/+$/, '')}/api/v1/query`
  return address.href
}

/** The sites and pools that queries name; all where one finds its place by labels. */
const coveredBy = (queries: readonly PromqlQuery[]): string[] =>
  queries.some(({ site, labels }) => site === undefined || labels?.pool !== undefined)
    ? []
    : [...new Set(queries.map(({ site, pool }) => (pool === undefined ? site! : `${site}/${pool}`)))]
