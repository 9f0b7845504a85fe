import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { FeedFailure } from '../../src/feeds/failure.ts'
import type { Reading, Source } from '../../src/feeds/poller.ts'
import { Time } from './feed-time.ts'

/** An HTTP server of a test: its address without a path, gone with the test. */
export const served = async (t: Test, listener: RequestListener): Promise<string> => {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** The problem that an attempt is refused with. */
export const refusalOf = async (attempt: Promise<unknown>) => {
  try {
    await attempt
  } catch (error) {
    if (error instanceof FeedFailure) return error.problems[0]!
    throw error
  }
  throw new Error('nothing was refused')
}

/** A source of which each reading comes so much later by a clock that is turned by hand. */
export const readBy = (t: Test, make: (clock: Time['clock']) => Source) => {
  const time = new Time()
  const source = make(time.clock)
  t.teardown(() => source.close?.())
  const read = (afterMs = 10_000): Promise<Reading> => {
    time.ms += afterMs
    return source.read({ signal: new AbortController().signal, nonce: 'n' })
  }
  const value = (reading: Reading, signal: string) => reading.samples.find((one) => one.signal === signal)?.value
  return { time, source, read, value }
}

/** Answers a page, dated by this clock, so that no difference of clocks is seen. */
export const dated =
  (time: { readonly ms: number }, text: () => string): RequestListener =>
  (_, res) => {
    res.setHeader('date', new Date(time.ms).toUTCString()).end(text())
  }
