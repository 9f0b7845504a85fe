import type { DocumentSet, Policy, WorkloadClass } from '../model/documents.ts'
import type { Problem } from '../model/problem.ts'
import { signalOf } from '../model/signal.ts'
import type { SourceStatus } from '../model/source.ts'
import { inputsOf, isDelivered } from './delivered.ts'
import { durationText } from './duration.ts'
import type { FieldPath } from './place.ts'
import type { Finding, Report } from './view.ts'

/** How the report about a document is come by; without places where the documents were not just read. */
export type About = (document: object) => Report

/**
 * Freshness limits that no feed can meet (`freshness/unreachable`, errors): a limit below twice the feed's interval plus
 * its timeout makes samples stale between two scrapes. Of several feeds of one signal the quickest counts; a signal that
 * none delivers is checkSignals' business.
 */
export function checkFreshness(set: DocumentSet, feeds: readonly SourceStatus[], about?: About): Problem[] {
  const problems: Problem[] = []
  const quickest = new Map<string, { needsMs: number; feed: SourceStatus }>()
  for (const feed of feeds) {
    // A value that says until when it holds does not age: prices, off-peak hours, events of the grid.
    if (feed.intervalMs === undefined || AHEAD_OF_TIME.has(feed.kind)) continue
    const needsMs = 2 * feed.intervalMs + (feed.timeoutMs ?? 0)
    for (const signal of feed.delivers) {
      if (needsMs < (quickest.get(signal)?.needsMs ?? Number.POSITIVE_INFINITY)) quickest.set(signal, { needsMs, feed })
    }
  }
  for (const workload of set.classes) {
    for (const signal of new Set([...Object.keys(workload.freshness), ...signalsOf(set, workload)])) {
      const limit = freshnessLimit(workload, signal)
      const row = quickest.get(signal) ?? quickestOf(inputsOf(signal), quickest)
      if (limit === undefined || row === undefined || limit.ms >= row.needsMs) continue
      const { feed, needsMs } = row
      const message =
        `${signal} may be ${durationText(limit.ms)} old for ${workload.metadata.name} (${limit.from}), and ${feed.name} ` +
        `needs ${durationText(needsMs)}: twice its interval of ${durationText(feed.intervalMs ?? 0)} and its timeout`
      const remedy = `write ${signal}: ${durationText(needsMs)} under freshness, or let ${feed.name} ask more often`
      say(problems, about, workload, limit.path, { code: 'freshness/unreachable', message, remedy })
    }
  }
  return problems
}

/** Feeds whose values say until when they hold. */
const AHEAD_OF_TIME: ReadonlySet<string> = new Set(['calendar', 'series', 'openadr'])

type Quickest = ReadonlyMap<string, { readonly needsMs: number; readonly feed: SourceStatus }>

/** A signal that is worked out is as old as what it is worked out of. */
const quickestOf = (signals: readonly string[], quickest: Quickest) =>
  signals.flatMap((signal) => quickest.get(signal) ?? []).toSorted((a, b) => a.needsMs - b.needsMs)[0]

/** The freshness limit in force: the class's entry, else the signal's own, else the class's default. */
function freshnessLimit(
  workload: WorkloadClass,
  signal: string,
): { ms: number; from: string; path: FieldPath } | undefined {
  const path = ['spec', 'freshness']
  const own = workload.freshness[signal]
  if (own !== undefined) return { ms: own, from: 'its freshness', path: [...path, signal] }
  const byTable = signalOf(signal)?.staleAfterMs
  if (byTable !== undefined) return { ms: byTable, from: "the signal's own limit", path }
  const byDefault = workload.freshnessDefaultMs
  return byDefault === undefined ? undefined : { ms: byDefault, from: 'its default', path: [...path, 'default'] }
}

/** Required signals that no feed delivers (`signal/no-feed`, warnings), by policy and site. */
export function checkSignals(set: DocumentSet, feeds: readonly SourceStatus[], about?: About): Problem[] {
  const problems: Problem[] = []
  for (const policy of set.policies) {
    for (const signal of requiredSignals(policy)) {
      const sites = sitesOf(set, policy).filter((name) => {
        const site = set.sites.find(({ metadata }) => metadata.name === name)
        return site !== undefined && !isDelivered(feeds, signal, site)
      })
      if (sites.length === 0) continue
      const ref = `${policy.metadata.name}@${policy.metadata.version}`
      const message = `${ref} requires ${signal}, which no feed delivers for ${sites.join(', ')}: always missing there`
      const remedy = 'configure a feed that delivers it, or take the requirement away'
      const isBand = policy.bands.some((band) => band.signal === signal)
      const isLimit = policy.require.signals.some((one) => one.signal === signal)
      const path = isBand ? ['spec', 'bands', signal] : isLimit ? ['spec', 'require', 'signals', signal] : KEEP_ROOM
      say(problems, about, policy, path, { code: 'signal/no-feed', message, remedy, severity: 'warning', want: 'key' })
    }
  }
  return problems
}

const KEEP_ROOM = ['spec', 'keepRoom']

const requiredSignals = (policy: Policy): string[] => [
  ...new Set([
    ...policy.require.signals.map(({ signal }) => signal),
    ...policy.bands.map(({ signal }) => signal),
    // How full a site is, is what it runs and what waits there.
    ...(policy.keepRoom === undefined ? [] : ['queue.running', 'queue.depth']),
  ]),
]

const signalsOf = (set: DocumentSet, workload: WorkloadClass): string[] =>
  set.policies.filter((policy) => policy.class === workload.metadata.name).flatMap(requiredSignals)

function sitesOf(set: DocumentSet, policy: Policy): string[] {
  if (!('tiers' in policy.ladder)) return set.sites.map(({ metadata }) => metadata.name)
  return [...new Set(policy.ladder.tiers.flat().map((entry) => entry.split('/')[0]!))]
}

function say(problems: Problem[], about: About | undefined, document: object, path: FieldPath, finding: Finding): void {
  if (about !== undefined) {
    about(document)(path, finding)
    return
  }
  const { code, message, remedy, severity = 'error' } = finding
  problems.push({ code, message, severity, ...(remedy === undefined ? {} : { remedy }) })
}
