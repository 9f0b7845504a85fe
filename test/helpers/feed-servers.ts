import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { FeedFailure } from '../../src/feeds/failure.ts'
import type { Reading, Source } from '../../src/feeds/poller.ts'

/** The certificate of these servers, which is its own authority. */
export const CERT = join(import.meta.dirname, '../fixtures/localhost.pem')
const KEY = join(import.meta.dirname, '../fixtures/localhost.key')

/** One request as it came. */
export interface Asked {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** A folder of this test's own. */
export const folderOf = (t: Test): string => {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-feeds-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A server on a free port of this machine; with `tls` one with the certificate of the fixtures. */
export const serverOf = async (
  t: Test,
  answer: (asked: Asked, response: ServerResponse) => void,
  tls?: Pick<ServerOptions, 'requestCert' | 'rejectUnauthorized' | 'ca'>,
): Promise<{ readonly url: string; readonly asked: Asked[] }> => {
  const asked: Asked[] = []
  const listener = async (request: IncomingMessage, response: ServerResponse) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const { pathname: path, searchParams: query } = new URL(request.url!, 'http://localhost')
    const body = Buffer.concat(parts).toString()
    const one = { method: request.method!, path, query, headers: request.headers, body }
    asked.push(one)
    answer(one, response)
  }
  const keys = { cert: readFileSync(CERT), key: readFileSync(KEY) }
  const server = tls === undefined ? createServer(listener) : createTlsServer({ ...keys, ...tls }, listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return { url: `http${tls === undefined ? '' : 's'}://127.0.0.1:${(server.address() as AddressInfo).port}`, asked }
}

/** Answers in JSON. */
export const json = (response: ServerResponse, body: unknown, status = 200, headers: Record<string, string> = {}) =>
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))

/** One attempt. */
export const readOnce = (source: Source): Promise<Reading> =>
  source.read({ signal: new AbortController().signal, nonce: 'n' })

/** The problems that an attempt is refused with; a failure of another kind comes through. */
export const refusalOf = async (source: Source) => {
  try {
    await readOnce(source)
  } catch (error) {
    if (error instanceof FeedFailure) return error.problems
    throw error
  }
  throw new Error('nothing was refused')
}

/** Lets a source go at the end of the test. */
export const closing = (t: Test, source: Source): Source => {
  t.teardown(() => source.close?.())
  return source
}
