import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { text as textOf } from 'node:stream/consumers'
import type { Test } from 'tap'
import type { SiteOptions } from '../../src/simulator/options.ts'
import { type Site, type SiteParts, startSite } from '../../src/simulator/server.ts'

/** A site that needs no time: whatever waits in a test waits for a condition. */
export const INSTANT: Partial<SiteOptions> = {
  name: 'ams',
  prefillTokensPerS: Infinity,
  decodeTokensPerS: Infinity,
  ttftFloorMs: 0,
}
/** The path of chat completions. */
export const CHAT = '/v1/chat/completions'
/** The smallest chat that is one. */
export const HELLO = { model: 'llama-3.1-70b', messages: [{ role: 'user', content: 'hello' }] }

/** A site that is closed when the test ends. */
export const siteFor = async (t: Test, options: Partial<SiteOptions> = {}, parts: SiteParts = {}): Promise<Site> => {
  const site = await startSite({ ...INSTANT, ...options }, parts)
  t.teardown(() => site.close())
  return site
}

/** A request on its way. */
export interface Sent {
  readonly req: ClientRequest
  /** Settles when the headers have come. */
  readonly head: Promise<IncomingMessage>
}

/** A request on a connection of its own; a string is sent as it is, anything else as JSON. */
export const send = (
  url: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
  method?: string,
): Sent => {
  const req = request(url + path, { method: method ?? (body === undefined ? 'GET' : 'POST'), headers, agent: false })
  const head = once(req, 'response').then(([res]) => res as IncomingMessage)
  head.catch(() => {})
  req.end(body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body))
  return { req, head }
}

/** A request and its whole answer. */
export const ask = async (
  url: string,
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
  method?: string,
) => {
  const res = await send(url, path, body, headers, method).head
  return { status: res.statusCode, headers: res.headers, body: await textOf(res) }
}

/** An order over the control port; gives the state after it, throws what the site says against it. */
export const order = async (site: Site, command: object) => {
  const answer = await ask(site.controlUrl, '/control', command)
  if (answer.status !== 200) throw new Error(answer.body)
  return JSON.parse(answer.body)
}

/** The data of a stream's events. */
export const events = (body: string): string[] =>
  body
    .split('\n\n')
    .filter(Boolean)
    .map((event) => event.replace(/^data: /, ''))

/** Samples by series from Prometheus text, read by the format's rules; throws at what breaks them. */
export const readMetrics = (text: string): Map<string, number> => {
  const samples = new Map<string, number>()
  const seen = new Set<string>()
  let family = { name: '', type: '' }
  if (!text.endsWith('\n')) throw new Error('the last line must end')
  for (const line of text.slice(0, -1).split('\n')) {
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line)
    if (comment !== null) {
      const [, kind, name, rest] = comment as unknown as [string, string, string, string]
      if (kind === 'HELP' && seen.has(name)) throw new Error(`${name} comes twice`)
      if (kind === 'TYPE') family = { name, type: rest }
      seen.add(name)
      continue
    }
    const sample =
      /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (NaN|[+-]?Inf|-?[\d.]+(?:e[+-]?\d+)?)$/.exec(
        line,
      )
    if (sample === null) throw new Error(`not a line of the format: ${line}`)
    const name = sample[1]!
    const allowed =
      family.type === 'histogram' ? ['_bucket', '_sum', '_count'].map((end) => family.name + end) : [family.name]
    if (!allowed.includes(name)) throw new Error(`${name} stands under ${family.name}`)
    const key = `${name}{${sample[2] ?? ''}}`
    if (samples.has(key)) throw new Error(`${key} comes twice`)
    samples.set(key, Number(sample[3]!.replace('Inf', 'Infinity')))
  }
  return samples
}

/** What a site shows over HTTP. */
export const metricsOf = async (site: Site) => readMetrics((await ask(site.url, '/metrics')).body)

/** The sum of a metric over the series whose labels contain the text. */
export const sumOf = (samples: Map<string, number>, name: string, labels = ''): number =>
  [...samples].reduce(
    (sum, [key, value]) => (key.startsWith(`${name}{`) && key.includes(labels) ? sum + value : sum),
    0,
  )
