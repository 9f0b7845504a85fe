import { createHash, type Hash } from 'node:crypto'
import { FeedFailure, failure } from './failure.ts'
import { type HttpAsk, type HttpPlace, HttpReader, type HttpText, shownUrl } from './http.ts'
import type { SkewEstimate } from './skew.ts'
import type { FeedClock } from './time.ts'

/** An answer in JSON. */
export interface JsonAnswer extends HttpText {
  /** Of any shape: what the network sends is looked at field by field. */
  readonly body: unknown
}

/** What one attempt may take in all. */
export interface JsonBudget {
  readonly bytesMax: number
  readonly requestsMax: number
}

/** Reads JSON from many addresses of one origin, over one connection that it keeps. */
export class JsonReader {
  readonly where: string
  readonly #base: URL
  readonly #reader: HttpReader
  readonly #budget: JsonBudget

  constructor(place: HttpPlace, clock: FeedClock, budget: JsonBudget) {
    this.#base = new URL(place.url)
    this.#reader = new HttpReader(place, clock, budget.bytesMax)
    this.#budget = budget
    this.where = this.#reader.where
  }

  /** Begins an attempt; all that it asks shares one deadline and one budget. */
  attempt(signal: AbortSignal, skew: SkewEstimate): JsonAttempt {
    return new JsonAttempt(this.#reader, this.#base, this.#budget, signal, skew)
  }

  /** Lets its connection go. */
  close(): Promise<void> {
    return this.#reader.close()
  }
}

/** The requests of one attempt. */
export class JsonAttempt {
  readonly signal: AbortSignal
  /** When the last request of it was sent, by our clock. */
  sentAt = 0
  readonly #reader: HttpReader
  readonly #base: URL
  readonly #skew: SkewEstimate
  readonly #hash: Hash = createHash('sha256')
  readonly #budget: JsonBudget
  #bytesLeft: number
  #requestsLeft: number

  constructor(reader: HttpReader, base: URL, budget: JsonBudget, signal: AbortSignal, skew: SkewEstimate) {
    this.signal = signal
    this.#reader = reader
    this.#base = base
    this.#budget = budget
    this.#skew = skew
    this.#bytesLeft = budget.bytesMax
    this.#requestsLeft = budget.requestsMax
  }

  /** A hash of everything that was read so far. */
  get version(): string {
    return `sha256:${this.#hash.copy().digest('hex').slice(0, 32)}`
  }

  /** The address that a reference names, seen from the feed's own; undefined: one elsewhere, which is not asked. */
  addressOf(reference: string): string | undefined {
    if (!URL.canParse(reference, this.#base.href)) return undefined
    const url = new URL(reference, this.#base.href)
    return url.origin === this.#base.origin && url.username === '' ? url.href : undefined
  }

  /** Asks by GET for JSON, or as `ask` says. Rejects with FeedFailure. */
  async json(reference: string, ask: Omit<HttpAsk, 'url' | 'bytesMax'> = {}): Promise<JsonAnswer> {
    const { text, answer, url } = await this.#text(reference, {
      ...ask,
      headers: { accept: JSON_TYPE, ...ask.headers },
    })
    try {
      return { ...answer, body: text.trim() === '' ? null : JSON.parse(text) }
    } catch (error) {
      const message = `${shownUrl(url)} answered with what is no JSON: ${(error as Error).message.slice(0, 120)}`
      throw failure('feed/bad-text', message, { remedy: 'check the address, and what stands between' })
    }
  }

  /** Asks for a text. */
  async text(reference: string, ask: Omit<HttpAsk, 'url' | 'bytesMax'> = {}): Promise<HttpText & { text: string }> {
    const { text, answer } = await this.#text(reference, ask)
    return { ...answer, text }
  }

  async #text(reference: string, ask: HttpAsk): Promise<{ text: string; answer: HttpText; url: string }> {
    const url = this.addressOf(reference)
    if (url === undefined) throw failure('feed/redirect', `${shownUrl(reference)} lies elsewhere and is not asked`)
    if (this.#requestsLeft <= 0) {
      const message = `more than ${this.#budget.requestsMax} requests in one attempt`
      throw failure('feed/too-large', message, { remedy: 'name fewer resources in one feed' })
    }
    this.#requestsLeft -= 1
    const parts: string[] = []
    let bytes = 0
    const take = (part: string) => {
      bytes += part.length
      parts.push(part)
    }
    const answer = await this.#reader
      .read(this.signal, take, undefined, { ...ask, url, bytesMax: Math.max(1, this.#bytesLeft) })
      .finally(() => {
        this.#bytesLeft -= bytes
      })
    this.sentAt = answer.sentAt
    this.#hash.update(answer.hash)
    this.#skew.learn(answer.sentAt, answer.receivedAt, answer.dateMs)
    return { text: parts.join(''), answer, url }
  }
}

const JSON_TYPE = 'application/json'

/** The fields of what may be an object; of anything else none. */
export const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}

/** The items of what may be a list; of anything else none. */
export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

/** A text that is not empty, or undefined. */
export const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined

/** What a value looks like in a message: its JSON where that is short, else its kind. */
export const shown = (value: unknown): string =>
  typeof value === 'object' && value !== null
    ? Array.isArray(value)
      ? 'a list'
      : 'an object'
    : (JSON.stringify(value) ?? 'nothing').slice(0, 60)

/** Is this the end of the attempt rather than of one request? */
export const isOver = (error: unknown, signal: AbortSignal): boolean =>
  signal.aborted || !(error instanceof FeedFailure)
