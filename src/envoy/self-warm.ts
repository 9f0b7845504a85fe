import { Client, credentials } from '@grpc/grpc-js'
import { startEnvoyServer } from './grpc-server.ts'
import { EXT_AUTHZ_SERVICE, EXT_PROC_SERVICE } from './grpc-services.ts'
import type { Handlers, StreamState } from './handlers.ts'
import { SELF_WARM_CHECK, SELF_WARM_STREAMS } from './self-warm-messages.ts'
import { TRANSPORT_DEFAULT, type TransportName } from './transports.ts'

/** How much to warm up. */
export interface SelfWarm {
  /** Requests through the handlers alone. */
  readonly rounds?: number
  /** Requests through gRPC, over a listener of its own. */
  readonly calls?: number
  /** The calls end after this time, done or not: a slow machine must come up as well. */
  readonly callsForMs?: number
  /** What carries these calls: the one that will carry Envoy's. */
  readonly transport?: TransportName
}

/**
 * Sends synthetic requests through the whole request path before Envoy may send real ones. Without it the first calls
 * take 20 to 80 ms, which is a fail-open at a tight message_timeout; after it they take 1 to 15. It takes about half a
 * second. The handlers must be of the same code as the real ones, and their judge must count and record nothing.
 */
export const selfWarm = async (handlers: Handlers, told: SelfWarm = {}): Promise<void> => {
  const { rounds = 2_000, calls = 150, callsForMs = 2_000, transport = TRANSPORT_DEFAULT } = told
  try {
    for (let round = 0; round < rounds; round++) {
      // Whoever asks for something else meanwhile is answered.
      if (round % 100 === 99) await new Promise((resolve) => setImmediate(resolve))
      const state: StreamState = {}
      for (const message of SELF_WARM_STREAMS[round % SELF_WARM_STREAMS.length]!) handlers.process(message, state)
      if (round % 2 === 0) handlers.check(SELF_WARM_CHECK)
    }
    await throughGrpc(handlers, calls, callsForMs, transport)
  } catch (error) {
    // A cold start is better than none.
    handlers.failed(error, 'ext_proc')
  }
}

const throughGrpc = async (
  handlers: Handlers,
  calls: number,
  forMs: number,
  transport: TransportName,
): Promise<void> => {
  const server = await startEnvoyServer([{ host: '127.0.0.1', port: 0 }], handlers, undefined, transport)
  const client = new Client(server.addresses[0]!, credentials.createInsecure())
  try {
    const end = performance.now() + forMs
    for (let call = 0; call < calls && performance.now() < end; call++) {
      if (call % 4 === 3) await check(client, forMs)
      else await stream(client, SELF_WARM_STREAMS[call % SELF_WARM_STREAMS.length]!, forMs)
    }
  } finally {
    client.close()
    server.close()
  }
}

const { Process } = EXT_PROC_SERVICE
const { Check } = EXT_AUTHZ_SERVICE

const stream = (client: Client, messages: readonly Buffer[], ms: number): Promise<void> =>
  new Promise((resolve) => {
    const { path, requestSerialize, responseDeserialize } = Process
    const options = { deadline: Date.now() + ms }
    const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, options)
    let answers = 0
    // Envoy ends its streams by a reset; so is it done here.
    call.on('data', () => {
      answers += 1
      if (answers < messages.length) call.write(messages[answers]!)
      else call.cancel()
    })
    call.on('error', () => {})
    call.on('close', resolve)
    call.on('status', () => resolve())
    call.write(messages[0]!)
  })

const check = (client: Client, ms: number): Promise<void> =>
  new Promise((resolve) => {
    const { path, requestSerialize, responseDeserialize } = Check
    const options = { deadline: Date.now() + ms }
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, SELF_WARM_CHECK, options, () => resolve())
  })
