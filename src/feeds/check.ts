import type { Problem } from '../model/problem.ts'
import { signalOf } from '../model/signal.ts'
import type { SourceStatus } from '../model/source.ts'
import { type FeedProblemCode, feedProblem } from './failure.ts'
import { shownUrl } from './http.ts'
import { Poller } from './poller.ts'
import { type FeedConfig, feedSources, kindOf } from './table.ts'

/** Stands in for time where nothing runs. */
const STILL = { clock: { now: () => 0 }, dispatched: () => 0 }

/**
 * What is wrong with `feeds` beyond their schemas, each problem with the path of its entry: two of one name, an address
 * that can't be asked or that carries credentials, one target named twice in a feed (errors), and two feeds that deliver
 * the same signals for one target, whose values would take turns (a warning).
 */
export function checkFeeds(feeds: readonly FeedConfig[]): Problem[] {
  const problems: Problem[] = []
  const say = (index: number, code: FeedProblemCode, message: string, more: Partial<Problem> = {}) =>
    problems.push({ ...feedProblem(code, message, more), path: `feeds[${index}]` })
  const names = new Set<string>()
  for (const [index, feed] of feeds.entries()) {
    if (names.has(feed.name))
      say(index, 'feed/name-twice', `two feeds are called ${feed.name}`, { remedy: 'rename one' })
    names.add(feed.name)
    for (const url of kindOf(feed).urls(feed)) {
      const why = urlFault(url)
      if (why !== undefined) say(index, 'feed/bad-url', `${shownUrl(url)} ${why[0]}`, { remedy: why[1] })
    }
    for (const [message, remedy] of kindOf(feed).faults?.(feed) ?? []) {
      say(index, 'feed/bad-setting', `${feed.name}: ${message}`, { remedy })
    }
    const targets = kindOf(feed).targets(feed)
    for (const target of new Set(targets.filter((one, at) => targets.indexOf(one) !== at))) {
      const remedy =
        feed.kind === 'probe'
          ? 'probe one address'
          : feed.kind === 'model-server'
            ? 'list its replicas under urls'
            : 'name it once'
      say(index, 'feed/bad-target', `${feed.name} names ${target} twice`, { remedy })
    }
  }
  if (problems.length > 0) return problems
  const delivered = new Map<string, string>()
  for (const [index, feed] of feeds.entries()) {
    const twice = new Map<string, string[]>()
    for (const { delivers, covers } of feedStatuses([feed])) {
      // A file that says neither what it delivers nor where may deliver anything: that is no clash yet.
      if (feed.kind === 'file' && (feed.signals === undefined || feed.targets === undefined)) continue
      for (const place of covers) {
        for (const signal of delivers) {
          // A site has several loops and links, which this does not tell apart.
          if (isOfParts(signal)) continue
          const other = delivered.get(`${place} ${signal}`)
          if (other === undefined) delivered.set(`${place} ${signal}`, feed.name)
          else if (other !== feed.name) {
            const key = `${other} and ${feed.name} both deliver for ${place}`
            twice.set(key, [...(twice.get(key) ?? []), signal])
          }
        }
      }
    }
    for (const [key, signals] of twice) {
      const remedy = 'leave one of them; their values would take turns'
      say(index, 'feed/signal-twice', `${key}: ${signals.join(', ')}`, { severity: 'warning', remedy })
    }
  }
  return problems
}

/**
 * The sources that these feeds will be, as /sources would show them before the first attempt: what validation holds
 * policies against without asking anybody. The entries must have passed their schemas and checkFeeds.
 */
export const feedStatuses = (feeds: readonly FeedConfig[]): SourceStatus[] =>
  feeds.flatMap((feed) =>
    feedSources(feed, STILL).map((source) => ({
      ...new Poller(source, { ...STILL, accept: () => {} }).status(),
      ...('noise' in feed && feed.noise !== undefined ? { noise: feed.noise } : {}),
    })),
  )

const isOfParts = (signal: string): boolean => ['loop', 'link'].includes(signalOf(signal)?.scope ?? '')

const urlFault = (url: string): readonly [message: string, remedy: string] | undefined => {
  if (!URL.canParse(url)) return ['is no address', 'write http://host:port or https://host:port']
  const { protocol, username, password } = new URL(url)
  if (protocol !== 'http:' && protocol !== 'https:')
    return ['is neither http nor https', 'probes and scrapes speak HTTP']
  if (username !== '' || password !== '') return ['carries credentials', 'put them into a file and name it under auth']
  return undefined
}
