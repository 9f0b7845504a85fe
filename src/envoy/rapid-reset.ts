import type { Http2Server, Http2Session, ServerHttp2Session } from 'node:http2'

/**
 * How many streams one connection may carry before it is asked to make way for a new one. Node's HTTP/2 answers about
 * 1,000 resets of streams on one connection with GOAWAY(INTERNAL_ERROR), because that is how the rapid-reset attack
 * looks; Envoy resets every ext_proc stream when it is done with it. Streams in flight then fail.
 */
export const STREAMS_BEFORE_GOAWAY = 800

/** The last stream id there can be: a GOAWAY that names it only says that no new streams should follow. */
const LAST_STREAM = 2 ** 31 - 1

/** The part of node:http2 that is watched. */
type Http2 = {
  createServer: typeof import('node:http2').createServer
  createSecureServer: typeof import('node:http2').createSecureServer
}

const patched = new WeakSet<object>()

/**
 * Makes every HTTP/2 server of this process renew its connections before Node's guard strikes: after so many streams a
 * connection gets a graceful shutdown notice (RFC 9113, 6.8), Envoy opens another one, and nothing in flight is
 * touched. It is done to `createServer` itself because grpc-js keeps the server it makes to itself. Once is enough.
 */
export const renewConnections = (http2: Http2): void => {
  if (patched.has(http2)) return
  patched.add(http2)
  const { createServer, createSecureServer } = http2
  http2.createServer = ((...args: Parameters<typeof createServer>) =>
    watched(createServer(...args))) as typeof createServer
  http2.createSecureServer = ((...args: Parameters<typeof createSecureServer>) =>
    watched(createSecureServer(...args))) as typeof createSecureServer
}

const watched = <S extends Pick<Http2Server, 'on'>>(server: S): S => {
  server.on('session', (session: ServerHttp2Session) => {
    let streams = 0
    ;(session as Http2Session).on('stream', () => {
      streams += 1
      if (streams === STREAMS_BEFORE_GOAWAY && !session.closed) session.goaway(0, LAST_STREAM)
    })
  })
  return server
}
