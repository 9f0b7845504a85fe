/**
 * How many stream resets a connection may see at once, and how many a second after that. Node's HTTP/2 allows 1,000 and
 * 33 and then answers with GOAWAY(INTERNAL_ERROR), because that is how the rapid-reset attack (CVE-2023-44487) looks;
 * Envoy, however, ends every ext_proc stream with a reset, also a good one, and the streams in flight would then fail.
 * The peer here is our own Envoy on a socket of ours, so the limit is lifted to what no Envoy reaches.
 *
 * A graceful GOAWAY after some hundred streams, the way out on older Nodes, was tried first: nghttp2 ignores streams
 * that arrive after it, and of 5,000 requests at concurrency 16 two waited for the whole message_timeout. Without any
 * measure 10,000 requests cost 9 GOAWAYs and, fail-closed, 4 errors at concurrency 16 and 56 at 64; with this, none.
 */
export const STREAM_RESETS = { streamResetBurst: 1_000_000, streamResetRate: 1_000_000 } as const

/** The part of node:http2 that is told. */
type Http2 = {
  createServer: typeof import('node:http2').createServer
  createSecureServer: typeof import('node:http2').createSecureServer
}

const told = new WeakSet<object>()

/**
 * Makes the HTTP/2 servers of this process bear Envoy's resets. It is done to `createServer` itself because grpc-js
 * does not pass these options on. Once is enough, and servers made before are not touched.
 */
export const bearResets = (http2: Http2): void => {
  if (told.has(http2)) return
  told.add(http2)
  const { createServer, createSecureServer } = http2
  http2.createServer = ((options: object, ...rest: []) =>
    createServer({ ...options, ...STREAM_RESETS }, ...rest)) as typeof createServer
  http2.createSecureServer = ((options: object, ...rest: []) =>
    createSecureServer({ ...options, ...STREAM_RESETS }, ...rest)) as typeof createSecureServer
}
