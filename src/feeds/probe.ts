import type { TargetName } from '../model/names.ts'
import type { Sample } from '../model/sample.ts'
import { accessHeaders, accessTls, type HttpAccess } from './credentials.ts'
import { shownUrl } from './http.ts'
import { placeOf, withPath } from './place.ts'
import type { Attempt, Reading, Source } from './poller.ts'
import { askOnce, type ProbeResult } from './probe-request.ts'
import { SkewEstimate } from './skew.ts'
import { type FeedClock, monotonicMs } from './time.ts'
import { RecentCounts, RecentValues } from './window.ts'

/** What a probe is made from. */
export interface ProbeOptions extends HttpAccess {
  readonly name: string
  readonly owner?: string
  readonly target: TargetName
  readonly url: string
  /** Asked for where the address has no path of its own. */
  readonly path: string
  /** Statuses that mean well; any 2xx where empty. */
  readonly expect: readonly number[]
  readonly intervalMs: number
  readonly timeoutMs: number
  /** Is this the only pool of its site that is probed? Then its round trip is the site's, for all its pools. */
  readonly isSiteWide: boolean
}

/** The signals that a probe of a plain and of a TLS address can give. */
export const PROBE_SIGNALS = [
  'network.rtt_ms',
  'network.rtt_p95_ms',
  'network.jitter_ms',
  'network.loss_ratio',
  'network.ttfb_ms',
] as const
/** Two round trips with more lost between them are not compared. */
const NEIGHBOUR_INTERVALS = 3
/** The signal that only TLS gives. */
export const PROBE_TLS_SIGNALS = ['network.tls_ms'] as const

/**
 * Asks a target whether it lives, over a fresh connection each time, and measures: time to connect (one round trip),
 * TLS handshake, first byte of the answer; and of the last minute, jitter (the mean difference between one round trip and
 * the next, as RFC 3550 has it) and loss (attempts to connect that nobody answered; a refusal is an answer). Every end is a sign of life or the lack of one, so no end is a failure of the
 * source; after a bad one it asks again sooner.
 */
export function probe(options: ProbeOptions, clock: FeedClock): Source {
  const { name, target, owner, intervalMs, timeoutMs, expect } = options
  const url = withPath(options.url, options.path)
  const isTls = url.startsWith('https:')
  const trips = new RecentValues()
  const jitter = new RecentCounts<'sum' | 'pairs'>()
  const attempts = new RecentCounts<'all' | 'lost'>()
  let lastTrip: { readonly ms: number; readonly at: number } | undefined
  const skew = new SkewEstimate()
  const pool = placeOf(target)
  const site = options.isSiteWide ? { site: pool.site } : pool

  /** Trips that far apart are no neighbours. */
  const neighbourMs = NEIGHBOUR_INTERVALS * (intervalMs + timeoutMs)

  const lossOf = (result: ProbeResult, at: number): Sample => {
    const isLost = result.connectMs === undefined && (result.outcome === 'timeout' || result.outcome === 'error')
    attempts.add('all', 1, at)
    attempts.add('lost', Number(isLost), at)
    const totals = attempts.totals(at)
    const count = totals.get('all') ?? 1
    const value = (totals.get('lost') ?? 0) / count
    return { signal: 'network.loss_ratio', ...site, value, at, source: name, count }
  }
  const jitterOf = (ms: number, at: number): Sample[] => {
    const before = lastTrip
    lastTrip = { ms, at }
    if (before !== undefined && at - before.at <= neighbourMs) {
      jitter.add('sum', Math.abs(ms - before.ms), at)
      jitter.add('pairs', 1, at)
    }
    const totals = jitter.totals(at)
    const count = totals.get('pairs') ?? 0
    if (count === 0) return []
    const value = (totals.get('sum') ?? 0) / count
    return [{ signal: 'network.jitter_ms', ...site, value, at, source: name, count }]
  }
  const samplesOf = (result: ProbeResult, at: number): Sample[] => {
    const all: Sample[] = [lossOf(result, at)]
    if (result.connectMs !== undefined) {
      all.push(...jitterOf(result.connectMs, at))
      trips.add(result.connectMs, at)
      const recent = trips.sketch(at)
      all.push({ signal: 'network.rtt_ms', ...site, value: result.connectMs, at, source: name })
      const p95 = { signal: 'network.rtt_p95_ms', ...site, value: recent.quantile(0.95) ?? result.connectMs }
      all.push({ ...p95, at, source: name, count: recent.count })
    }
    if (result.tlsMs !== undefined) {
      all.push({ signal: 'network.tls_ms', ...site, value: result.tlsMs, at, source: name })
    }
    if (result.ttfbMs !== undefined && result.outcome === 'ok') {
      all.push({ signal: 'network.ttfb_ms', ...pool, value: result.ttfbMs, at, source: name })
    }
    return all
  }
  const read = async ({ signal }: Attempt): Promise<Reading> => {
    const [headers, tls] = await Promise.all([accessHeaders(options), accessTls(options)])
    const at = clock.now()
    const result = await askOnce({
      url,
      headers,
      ...(tls === undefined ? {} : { tls }),
      isExpected: (status) => (expect.length === 0 ? status >= 200 && status < 300 : expect.includes(status)),
      timeoutMs,
      signal,
      monotonicMs: () => monotonicMs(clock),
    })
    const { outcome, detail } = result
    if (result.dateMs !== undefined) skew.learn(at, clock.now(), result.dateMs)
    return {
      version: `${outcome} ${detail}`,
      samples: samplesOf(result, at),
      heartbeats: [{ ...pool, kind: 'probe', outcome, at: clock.now(), source: name, detail }],
      hurry: outcome !== 'ok',
      ...(skew.ms === undefined ? {} : { clockSkewMs: skew.ms }),
    }
  }
  return {
    name,
    kind: 'probe',
    ...(owner === undefined ? {} : { owner }),
    where: shownUrl(url),
    intervalMs,
    timeoutMs,
    backoffMsMax: intervalMs,
    covers: [options.isSiteWide ? pool.site : target],
    delivers: () => [...PROBE_SIGNALS, ...(isTls ? PROBE_TLS_SIGNALS : [])],
    read,
  }
}
