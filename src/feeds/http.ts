import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import { Agent, request } from 'undici'
import { accessHeaders, accessTls, type HttpAccess } from './credentials.ts'
import { errorDetail, FeedFailure, failure } from './failure.ts'
import type { FeedClock } from './time.ts'

/** Where and how to ask by HTTP. */
export interface HttpPlace extends HttpAccess {
  readonly url: string
  /** A unix socket instead of the address's host. */
  readonly socketPath?: string
  /** How many requests may be under way at once, each over a connection that is kept. 1. */
  readonly connections?: number
}

/** One request where it differs from a GET of the reader's own address. */
export interface HttpAsk {
  /** Another address of the same origin. */
  readonly url?: string
  readonly method?: 'GET' | 'POST' | 'DELETE'
  /** Beside those of the access, which they go before. */
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Statuses that are no failure. 200. */
  readonly statuses?: readonly number[]
  /** The largest body; that of the reader where absent. */
  readonly bytesMax?: number
}

/** An answer whose body has been handed over whole. */
export interface HttpText {
  readonly status: number
  /** Answer headers by lower-case name, the first of each. */
  readonly headers: Readonly<Record<string, string>>
  /** When the request went out and when the last byte had come, by our clock. */
  readonly sentAt: number
  readonly receivedAt: number
  /** The Date header; NaN where there is none. */
  readonly dateMs: number
  readonly contentType: string
  /** `sha256:` and 32 hex digits of the unpacked body. */
  readonly hash: string
}

/** The largest body that is read where nothing else is said, packed or unpacked. */
export const BODY_BYTES_MAX = 8 * 1024 * 1024

/** A connection attempt that outlives its request is given up, so that a host that comes back is not waited for. */
const CONNECT_MS_MAX = 2_000

const UNPACK = { gzip: createGunzip, 'x-gzip': createGunzip, deflate: createInflate, br: createBrotliDecompress }

/** An address without user, password, query and fragment: what may be shown. */
export const shownUrl = (url: string): string => {
  try {
    const { protocol, host, pathname } = new URL(url)
    return `${protocol}//${host}${pathname}`
  } catch {
    return 'an address that is none'
  }
}

/**
 * Reads texts from one place, over one connection where nothing else is said, which it keeps. Bodies are handed over in parts as they come and are never
 * held whole, counted before and after unpacking; redirects are not followed.
 */
export class HttpReader {
  readonly where: string
  readonly #place: HttpPlace
  readonly #clock: FeedClock
  readonly #bytesMax: number
  #agent: Agent | undefined
  #agentKey = ''

  constructor(place: HttpPlace, clock: FeedClock, bytesMax = BODY_BYTES_MAX) {
    this.#place = place
    this.#clock = clock
    this.#bytesMax = bytesMax
    this.where = place.socketPath === undefined ? shownUrl(place.url) : `unix:${place.socketPath}`
  }

  /** Asks once and hands the body's text to `take` part by part. Rejects with FeedFailure; what `take` throws comes through. */
  async read(
    signal: AbortSignal,
    take: (text: string) => void,
    sending?: () => void,
    asked: HttpAsk = {},
  ): Promise<HttpText> {
    const headers = {
      accept: '*/*',
      'accept-encoding': 'gzip',
      ...(await accessHeaders(this.#place)),
      ...asked.headers,
    }
    const where = asked.url === undefined ? this.where : shownUrl(asked.url)
    const bytesMax = asked.bytesMax ?? this.#bytesMax
    const dispatcher = await this.#dispatcher()
    const sentAt = this.#clock.now()
    sending?.()
    let refused: unknown
    const taking = (part: string) => {
      try {
        take(part)
      } catch (error) {
        refused = error
        throw error
      }
    }
    try {
      const answer = await request(asked.url ?? this.#place.url, {
        method: asked.method ?? 'GET',
        headers,
        dispatcher,
        signal,
        headersTimeout: 0,
        bodyTimeout: 0,
        ...(asked.body === undefined ? {} : { body: asked.body }),
      })
      // Without a listener an error after we stopped reading would end the process.
      answer.body.on('error', () => {})
      try {
        if (!(asked.statuses ?? [200]).includes(answer.statusCode)) throw refusedStatus(where, answer.statusCode)
        const encoding = text(answer.headers['content-encoding'])
        const hash = await bodyHash(answer.body, { where, bytesMax, encoding }, signal, taking)
        return {
          status: answer.statusCode,
          headers: Object.fromEntries(Object.entries(answer.headers).map(([name, value]) => [name, text(value)])),
          sentAt,
          receivedAt: this.#clock.now(),
          dateMs: Date.parse(text(answer.headers.date)),
          contentType: text(answer.headers['content-type']),
          hash,
        }
      } finally {
        answer.body.destroy()
      }
    } catch (error) {
      throw refused ?? told(where, error, signal)
    }
  }

  /** Lets its connection go. */
  async close(): Promise<void> {
    await this.#agent?.destroy()
  }

  async #dispatcher(): Promise<Agent> {
    const tls = await accessTls(this.#place)
    const key = tls === undefined ? '' : createHash('sha256').update(JSON.stringify(tls)).digest('hex')
    if (this.#agent !== undefined && this.#agentKey === key) return this.#agent
    const { socketPath, connections = 1 } = this.#place
    const before = this.#agent
    try {
      this.#agent = new Agent({
        connections,
        connect: { timeout: CONNECT_MS_MAX, ...tls, ...(socketPath === undefined ? {} : { socketPath }) },
      })
    } catch (error) {
      throw failure('feed/credentials', `certificates for ${this.where} can't be used: ${errorDetail(error)}`)
    }
    this.#agentKey = key
    before?.destroy().catch(() => {})
    return this.#agent
  }
}

/** What a status says that is no success. */
const refusedStatus = (where: string, status: number): FeedFailure => {
  if (status >= 300 && status < 400) {
    const remedy = 'configure the address that it redirects to'
    return failure('feed/redirect', `${where} answered ${status}, and redirects are not followed`, { remedy })
  }
  if (status === 401 || status === 403) {
    const remedy = 'give the feed credentials under auth, or allow it there'
    return failure('feed/status', `${where} answered ${status}`, { remedy })
  }
  return failure('feed/status', `${where} answered ${status}`)
}

const bodyHash = async (
  body: Readable,
  { where, bytesMax, encoding }: { where: string; bytesMax: number; encoding: string },
  signal: AbortSignal,
  take: (text: string) => void,
): Promise<string> => {
  const unpack = encoding === '' || encoding === 'identity' ? undefined : UNPACK[encoding as keyof typeof UNPACK]
  if (unpack === undefined && encoding !== '' && encoding !== 'identity') {
    throw failure('feed/encoding', `${where} packed its answer as ${JSON.stringify(encoding.slice(0, 40))}`)
  }
  const decoder = new TextDecoder()
  const hash = createHash('sha256')
  const counted = async function* (parts: AsyncIterable<Buffer>) {
    let bytes = 0
    for await (const part of parts) {
      bytes += part.length
      if (bytes > bytesMax) throw failure('feed/too-large', `${where} answered with more than ${bytesMax} bytes`)
      yield part
    }
  }
  const taken = async (parts: AsyncIterable<Buffer>) => {
    for await (const part of parts) {
      hash.update(part)
      take(decoder.decode(part, { stream: true }))
    }
    take(decoder.decode())
  }
  if (unpack === undefined) await pipeline(body, counted, taken, { signal })
  else await pipeline(body, counted, unpack(), counted, taken, { signal })
  return `sha256:${hash.digest('hex').slice(0, 32)}`
}

const told = (where: string, error: unknown, signal: AbortSignal): unknown => {
  if (error instanceof FeedFailure) return error
  if (signal.aborted) return signal.reason
  const detail = errorDetail(error)
  if (/^Z_|^ERR_(_)?(BROTLI|ZLIB)/.test(detail)) {
    return failure('feed/encoding', `${where} answered with a body that can't be unpacked: ${detail}`)
  }
  return failure('feed/unreachable', `${where}: ${detail}`)
}

const text = (header: string | string[] | undefined): string =>
  (typeof header === 'string' ? header : (header?.[0] ?? '')).trim()
