import type { Problem } from '../model/problem.ts'
import type { Sample } from '../model/sample.ts'
import type { HttpAccess } from './credentials.ts'
import { FeedFailure } from './failure.ts'
import { type JsonValue, jsonSample, jsonValueFaults } from './http-json-value.ts'
import { JsonReader } from './json-reader.ts'
import { type Settled, turnFaults } from './measured-place.ts'
import type { Attempt, Reading, Source } from './poller.ts'
import { SkewEstimate } from './skew.ts'
import type { FeedClock } from './time.ts'

/** A feed of values in JSON over HTTP, as it is configured. */
export interface HttpJsonConfig extends HttpAccess {
  readonly kind: 'http-json'
  readonly name: string
  readonly owner?: string
  /** By signal, how far samples lie apart when nothing happens. */
  readonly noise?: Readonly<Record<string, number>>
  readonly url: string
  readonly values: readonly JsonValue[]
  /** Of all values that say nothing else. */
  readonly numericStrings?: boolean
  readonly method?: 'GET' | 'POST'
  /** What is sent with POST; JSON. */
  readonly body?: unknown
  readonly intervalMs?: number
  readonly timeoutMs?: number
  readonly backoffMsMax?: number
  readonly bodyBytesMax?: number
}

/** What is wrong with the values of a feed, beyond its schema. */
export const httpJsonFaults = ({
  values,
  method,
  body,
}: HttpJsonConfig): readonly (readonly [message: string, remedy: string])[] => [
  ...values.flatMap(jsonValueFaults),
  ...turnFaults(values),
  ...(body !== undefined && method !== 'POST'
    ? [['a body is only sent by POST', 'set method: POST, or leave the body out'] as const]
    : []),
]

/**
 * Values at JSON pointers of one document. Values that are missing are warnings and the others go on; an attempt that
 * finds none at all has failed. A value without a time of its own has that of the asking, so a gateway that repeats an
 * old document is only found out where noise is expected.
 */
export function httpJsonFeed(config: HttpJsonConfig & Settled, clock: FeedClock): Source {
  const { name, owner, url, intervalMs, timeoutMs, backoffMsMax, bodyBytesMax, numericStrings = false } = config
  const reader = new JsonReader(config, clock, { bytesMax: bodyBytesMax, requestsMax: 1 })
  const skew = new SkewEstimate()
  const values = config.values.map((value) => ({ numericStrings, ...value }))
  const ask =
    config.method === 'POST'
      ? {
          method: 'POST' as const,
          body: JSON.stringify(config.body ?? {}),
          headers: { 'content-type': 'application/json' },
        }
      : {}

  const read = async ({ signal }: Attempt): Promise<Reading> => {
    const http = reader.attempt(signal, skew)
    const { body, sentAt } = await http.json(url, ask)
    const samples: Sample[] = []
    const problems: Problem[] = []
    for (const value of values) {
      try {
        samples.push(jsonSample(body, value, { source: name, askedAt: sentAt, clockAheadMs: skew.certainMs }))
      } catch (error) {
        if (!(error instanceof FeedFailure)) throw error
        problems.push(...error.problems)
      }
    }
    if (samples.length === 0) throw new FeedFailure(problems, http.version)
    return {
      version: http.version,
      samples,
      heartbeats: [],
      warnings: problems.map((problem) => ({ ...problem, severity: 'warning' })),
      ...(skew.ms === undefined ? {} : { clockSkewMs: skew.ms }),
    }
  }
  return {
    name,
    kind: 'http-json',
    ...(owner === undefined ? {} : { owner }),
    where: reader.where,
    intervalMs,
    timeoutMs,
    backoffMsMax,
    covers: [...new Set(values.map(({ site, pool }) => (pool === undefined ? site! : `${site}/${pool}`)))],
    delivers: () => [...new Set(values.map(({ signal }) => signal))],
    read,
    close: () => reader.close(),
  }
}
