import { type FeedFailure, failure } from './failure.ts'

/** One sample of an exposition. */
export interface PromSample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
  /** When it was measured, in epoch milliseconds, where the exposition says so. */
  readonly timestampMs?: number
}

/** Samples by metric name, `_bucket`, `_sum` and `_count` being names of their own. */
export type PromSamples = ReadonlyMap<string, readonly PromSample[]>

/** What is kept of one exposition at most. Beyond, it is refused: half a histogram is worse than none. */
export const PROM_LIMITS = { lineChars: 65_536, samples: 50_000, labels: 64 } as const

/**
 * Reads Prometheus text format 0.0.4 and OpenMetrics 1.0 as they come, part by part, so that a large exposition neither
 * stops the event loop nor is ever held whole. Only metrics that are wanted are kept; the lines of others are passed
 * over. Exemplars are left out; timestamps are milliseconds in 0.0.4 and seconds in OpenMetrics, which `openMetrics`
 * tells (its media type is `application/openmetrics-text`). A line that breaks the format refuses the whole
 * (`feed/bad-text`, with its number), as a Prometheus server does.
 */
export class PrometheusReader {
  readonly #wanted: (name: string) => boolean
  readonly #samples = new Map<string, PromSample[]>()
  #rest = ''
  #line = 0
  #kept = 0
  #ended = false

  constructor(wanted: (name: string) => boolean) {
    this.#wanted = wanted
  }

  /** Reads on. Throws FeedFailure. */
  push(text: string): void {
    const all = this.#rest + text
    let start = 0
    for (;;) {
      const end = all.indexOf('\n', start)
      if (end < 0) break
      this.#take(all, start, end)
      start = end + 1
    }
    this.#rest = start === 0 ? all : all.slice(start)
    if (this.#rest.length > PROM_LIMITS.lineChars) throw this.#bad('is too long', 1)
  }

  /** What was kept. A last line without its end is read too. Throws FeedFailure. */
  end(openMetrics = false): PromSamples {
    if (this.#rest !== '') this.#take(this.#rest, 0, this.#rest.length)
    this.#rest = ''
    if (!openMetrics) return this.#samples
    // OpenMetrics has seconds where the older format has milliseconds; the media type is known only with the answer.
    for (const samples of this.#samples.values()) {
      for (const [i, sample] of samples.entries()) {
        if (sample.timestampMs !== undefined) samples[i] = { ...sample, timestampMs: sample.timestampMs * 1_000 }
      }
    }
    return this.#samples
  }

  #take(all: string, from: number, to: number): void {
    this.#line += 1
    let start = from
    while (start < to && isBlank(all.charCodeAt(start))) start++
    let end = to
    while (end > start && isBlank(all.charCodeAt(end - 1))) end--
    if (start === end) return
    if (this.#ended) throw this.#bad('stands after # EOF', start - from + 1)
    if (all.charCodeAt(start) === HASH) {
      this.#ended = all.startsWith('# EOF', start) && end - start === 5
      return
    }
    if (end - start > PROM_LIMITS.lineChars) throw this.#bad('is too long', 1)
    this.#sample(all.slice(start, end), start - from)
  }

  #sample(line: string, indent: number): void {
    let at = 0
    while (at < line.length && isNameChar(line.charCodeAt(at), at === 0)) at++
    if (at === 0) throw this.#bad('does not begin with the name of a metric', indent + 1)
    const name = line.slice(0, at)
    if (!this.#wanted(name)) return
    const labels: Record<string, string> = {}
    at = skipBlank(line, at)
    if (line[at] === '{') at = skipBlank(line, this.#labels(line, at + 1, labels, indent))
    const rest = line.slice(at)
    const match = VALUE.exec(rest)
    const value = match === null ? undefined : numberOf(match[1]!)
    if (match === null || value === undefined) throw this.#bad('has no value that is a number', indent + at + 1)
    this.#kept += 1
    if (this.#kept > PROM_LIMITS.samples) {
      throw failure('feed/too-many-series', `more than ${PROM_LIMITS.samples} series of wanted metrics`)
    }
    const sample = match[2] === undefined ? { labels, value } : { labels, value, timestampMs: Number(match[2]) }
    const known = this.#samples.get(name)
    if (known === undefined) this.#samples.set(name, [sample])
    else known.push(sample)
  }

  /** Reads labels up to the closing brace; gives the place after it. */
  #labels(line: string, from: number, labels: Record<string, string>, indent: number): number {
    let at = from
    let count = 0
    for (;;) {
      at = skipBlank(line, at)
      if (line[at] === '}') return at + 1
      const nameAt = at
      while (at < line.length && isLabelChar(line.charCodeAt(at), at === nameAt)) at++
      const label = line.slice(nameAt, at)
      at = skipBlank(line, at)
      if (label === '' || line[at] !== '=') throw this.#bad('has a label without a name or value', indent + at + 1)
      at = skipBlank(line, at + 1)
      if (line[at] !== '"') throw this.#bad(`has no quoted value for the label ${label.slice(0, 40)}`, indent + at + 1)
      const valueAt = at + 1
      at = valueAt
      while (at < line.length && line[at] !== '"') at += line[at] === '\\' ? 2 : 1
      if (at >= line.length) throw this.#bad(`never ends the value of ${label.slice(0, 40)}`, indent + valueAt)
      count += 1
      if (count > PROM_LIMITS.labels) throw this.#bad('has too many labels', indent + nameAt + 1)
      const value = unescaped(line.slice(valueAt, at))
      // This one name would set something else than a label.
      if (label === '__proto__') Object.defineProperty(labels, label, { value, enumerable: true })
      else labels[label] = value
      at = skipBlank(line, at + 1)
      if (line[at] === ',') at += 1
      else if (line[at] !== '}') throw this.#bad('has no comma or brace after a label', indent + at + 1)
    }
  }

  #bad(what: string, column: number): FeedFailure {
    return failure('feed/bad-text', `line ${this.#line} of the metrics ${what}`, { line: this.#line, column })
  }
}

/** A value, perhaps a timestamp, perhaps an exemplar. */
const VALUE = /^([^\s#]+)(?:[ \t]+(-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?))?(?:[ \t]+#[ \t].*)?$/

/** What Go's ParseFloat takes and expositions use, without hexadecimal and underscores. */
const NUMBER = /^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$/

const numberOf = (text: string): number | undefined => {
  if (NUMBER.test(text)) return Number(text)
  switch (text.toLowerCase()) {
    case 'nan':
      return Number.NaN
    case 'inf':
    case '+inf':
    case 'infinity':
    case '+infinity':
      return Number.POSITIVE_INFINITY
    case '-inf':
    case '-infinity':
      return Number.NEGATIVE_INFINITY
    default:
      return undefined
  }
}

const HASH = 35

const isBlank = (code: number): boolean => code === 32 || code === 9 || code === 13

const skipBlank = (line: string, from: number): number => {
  let at = from
  while (at < line.length && isBlank(line.charCodeAt(at))) at++
  return at
}

/** [a-zA-Z_], and digits after the first. */
const isLabelChar = (code: number, first: boolean): boolean =>
  (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 95 || (!first && code >= 48 && code <= 57)

const isNameChar = (code: number, first: boolean): boolean => code === 58 || isLabelChar(code, first)

const unescaped = (raw: string): string =>
  raw.includes('\\')
    ? raw.replace(/\\(.)/gs, (whole, char) => (char === 'n' ? '\n' : char === '"' || char === '\\' ? char : whole))
    : raw
