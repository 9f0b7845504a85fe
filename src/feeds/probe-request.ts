import http from 'node:http'
import https from 'node:https'
import type { Socket } from 'node:net'
import type { HeartbeatOutcome } from '../model/sample.ts'
import type { TlsTexts } from './credentials.ts'
import { errorDetail } from './failure.ts'

/** What one probe saw. Times are milliseconds by a clock that never goes back. */
export interface ProbeResult {
  readonly outcome: HeartbeatOutcome
  /** `200`, `503`, `connect ECONNREFUSED`, `no answer in 1000 ms`. */
  readonly detail: string
  /** The TCP handshake: one round trip. */
  readonly connectMs?: number
  /** The TLS handshake alone. */
  readonly tlsMs?: number
  /** From the ready connection to the first byte of the answer. */
  readonly ttfbMs?: number
  /** The answer's Date header; NaN where there is none. */
  readonly dateMs?: number
}

/** What to ask. */
export interface ProbeAsk {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly tls?: TlsTexts
  readonly isExpected: (status: number) => boolean
  readonly timeoutMs: number
  readonly signal: AbortSignal
  /** Milliseconds that never go back. */
  readonly monotonicMs: () => number
}

/** A probe's answer is not read beyond this: the status is what counts. */
const ANSWER_BYTES_MAX = 64 * 1024

/**
 * Asks once over a connection of its own, so that the time to connect is a round trip. Resolves always: with `refused`
 * where nobody listens, `timeout` when the signal aborts first, `error` for every other end, an unexpected status too.
 */
export const askOnce = (ask: ProbeAsk): Promise<ProbeResult> =>
  new Promise((resolve) => {
    const times: { connectMs?: number; tlsMs?: number; ttfbMs?: number } = {}
    let result: ProbeResult | undefined
    const settle = (outcome: HeartbeatOutcome, detail: string, dateMs?: number) => {
      result ??= { outcome, detail, ...times, ...(dateMs === undefined ? {} : { dateMs }) }
    }
    const isTls = ask.url.startsWith('https:')
    let request: http.ClientRequest
    try {
      request = (isTls ? https : http).request(ask.url, {
        agent: false,
        headers: { ...ask.headers, connection: 'close' },
        signal: ask.signal,
        ...(isTls ? { ...ask.tls, session: undefined } : {}),
      })
    } catch (error) {
      resolve({ outcome: 'error', detail: errorDetail(error) })
      return
    }
    let readyAt = ask.monotonicMs()
    request.on('socket', (socket: Socket) => {
      let triedAt = ask.monotonicMs()
      // With several addresses each attempt begins anew; the last one is the one that connects.
      socket.on('connectionAttempt', () => {
        triedAt = ask.monotonicMs()
      })
      socket.on('connect', () => {
        readyAt = ask.monotonicMs()
        times.connectMs = readyAt - triedAt
      })
      socket.on('secureConnect', () => {
        const now = ask.monotonicMs()
        times.tlsMs = now - readyAt
        readyAt = now
      })
    })
    request.on('response', (response) => {
      times.ttfbMs = ask.monotonicMs() - readyAt
      const status = response.statusCode ?? 0
      settle(ask.isExpected(status) ? 'ok' : 'error', String(status), Date.parse(response.headers.date ?? ''))
      let bytes = 0
      response.on('data', (part: Buffer) => {
        bytes += part.length
        if (bytes > ANSWER_BYTES_MAX) request.destroy()
      })
      response.on('error', () => {})
    })
    request.on('error', (error) => {
      if (ask.signal.aborted) settle('timeout', `no answer in ${ask.timeoutMs} ms`)
      else settle(isRefused(error) ? 'refused' : 'error', errorDetail(error))
    })
    request.on('close', () => {
      settle('error', 'closed without an answer')
      resolve(result!)
    })
    request.end()
  })

const isRefused = (error: unknown): boolean => {
  const all = error instanceof AggregateError ? error.errors : [error]
  return all.length > 0 && all.every((one) => (one as { code?: unknown }).code === 'ECONNREFUSED')
}
