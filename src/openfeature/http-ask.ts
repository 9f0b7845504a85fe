import { createHash } from 'node:crypto'
import { Agent, request } from 'undici'
import { errorWords, FlagsFailure, flagSourceProblem, flagsFailure } from './failure.ts'

/** What a source needs to be asked over a network, read anew each time: secrets rotate without a restart. */
export interface NetworkAccess {
  /** Rejects with problems that name the file and never what is in it. */
  readonly headers: () => Promise<Readonly<Record<string, string>>>
  readonly tls: () => Promise<TlsTexts | undefined>
}

/** PEM texts as node:tls takes them. */
export interface TlsTexts {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly servername?: string
}

/** One question. */
export interface HttpQuestion {
  readonly url: string
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
}

/** An answer: its text, or that nothing has changed. */
export interface HttpAnswer {
  /** Null: not modified. */
  readonly text: string | null
  readonly etag: string
  readonly lastModified: string
}

/** Asks one place by HTTP, over a connection that it keeps. */
export interface HttpAsker {
  readonly ask: (question: HttpQuestion, signal: AbortSignal) => Promise<HttpAnswer>
  readonly close: () => Promise<void>
}

/** The largest set that is read, as src/flags has it for one text. A thousand flags with targeting are less than one megabyte. */
export const FLAGS_BYTES_MAX = 4 * 1024 * 1024

const CONNECT_MS_MAX = 5_000
/** What is sent back to the server as it was: nobody writes longer ones. */
const VALIDATOR_CHARS_MAX = 1_024

/** An address without user, password, query and fragment: what may be shown. */
export const shownAddress = (url: string): string => {
  try {
    const { protocol, host, pathname } = new URL(url)
    return `${protocol}//${host}${pathname}`
  } catch {
    return 'an address that is none'
  }
}

/** Asks with bounds on size and time. Redirects are not followed, packed answers not unpacked. */
export function httpAsker(where: string, access: NetworkAccess, timeoutMs: number): HttpAsker {
  let agent: Agent | undefined
  let agentKey = ''
  const agentNow = async (): Promise<Agent> => {
    const tls = await access.tls()
    const key = createHash('sha256')
      .update(JSON.stringify(tls ?? null))
      .digest('hex')
    if (agent !== undefined && key === agentKey) return agent
    agent?.destroy().catch(() => {})
    agentKey = key
    agent = new Agent({ connections: 1, maxHeaderSize: 16_384, connect: { timeout: CONNECT_MS_MAX, ...tls } })
    return agent
  }
  const askNow = async ({ url, method, headers, body }: HttpQuestion, signal: AbortSignal): Promise<HttpAnswer> => {
    const answer = await request(url, {
      method,
      headers: { accept: '*/*', 'accept-encoding': 'identity', ...(await access.headers()), ...headers },
      dispatcher: await agentNow(),
      signal,
      headersTimeout: 0,
      bodyTimeout: 0,
      ...(body === undefined ? {} : { body }),
    })
    // Without a listener an error after we stopped reading would end the process.
    answer.body.on('error', () => {})
    try {
      const header = (name: string): string => {
        const value = answer.headers[name]
        const one = (Array.isArray(value) ? value[0] : value) ?? ''
        return one.length > VALIDATOR_CHARS_MAX || !/^[\x20-\x7e]*$/.test(one) ? '' : one
      }
      const validators = { etag: header('etag'), lastModified: header('last-modified') }
      if (answer.statusCode === 304) return { text: null, ...validators }
      if (answer.statusCode !== 200) throw refused(where, answer.statusCode, header('retry-after'))
      const encoding = header('content-encoding')
      if (encoding !== '' && encoding !== 'identity')
        throw flagsFailure(
          'flag-source/encoding',
          `${where} packed its answer as ${JSON.stringify(encoding.slice(0, 40))}`,
        )
      const parts: Buffer[] = []
      let bytes = 0
      for await (const part of answer.body as AsyncIterable<Buffer>) {
        bytes += part.length
        if (bytes > FLAGS_BYTES_MAX)
          throw flagsFailure('flag-source/too-large', `${where} answered with more than ${FLAGS_BYTES_MAX} bytes`)
        parts.push(part)
      }
      return { text: Buffer.concat(parts).toString('utf8'), ...validators }
    } finally {
      answer.body.destroy()
    }
  }
  return {
    ask: async (question, signal) => {
      const deadline = AbortSignal.timeout(timeoutMs)
      try {
        return await askNow(question, AbortSignal.any([signal, deadline]))
      } catch (error) {
        if (error instanceof FlagsFailure || Array.isArray((error as { problems?: unknown }).problems)) throw error
        if (signal.aborted) throw signal.reason
        if (deadline.aborted) throw flagsFailure('flag-source/timeout', `${where}: no whole answer in ${timeoutMs} ms`)
        throw flagsFailure('flag-source/unreachable', `${where}: ${errorWords(error)}`)
      }
    },
    close: async () => {
      await agent?.destroy()
    },
  }
}

function refused(where: string, status: number, retryAfter: string): FlagsFailure {
  const remedy =
    status >= 300 && status < 400
      ? 'configure the address that it redirects to'
      : status === 401 || status === 403
        ? 'give the source credentials under auth or headers, or allow it there'
        : status === 429
          ? 'ask less often: raise poll'
          : 'look at the log of the other side'
  const problem = flagSourceProblem('flag-source/status', `${where} answered ${status}`, { remedy })
  return new FlagsFailure([problem], status === 429 || status === 503 ? retryAfterMs(retryAfter) : 0)
}

/** Seconds or a date, as milliseconds from now; 0: neither. */
const retryAfterMs = (text: string): number => {
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000
  const at = Date.parse(text)
  return Number.isNaN(at) ? 0 : Math.max(0, at - Date.now())
}
