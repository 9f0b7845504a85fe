import type { ServerUnaryCall, ServerWritableStream, sendUnaryData, UntypedServiceImplementation } from '@grpc/grpc-js'

/** grpc.health.v1.HealthCheckResponse.ServingStatus, as its encoded message: field 1, a varint. */
const SERVING = Buffer.from([0x08, 1])
const NOT_SERVING = Buffer.from([0x08, 2])

/** The definition of grpc.health.v1.Health; messages are passed as bytes because the answer is one of two constants. */
export const HEALTH_SERVICE = {
  Check: {
    path: '/grpc.health.v1.Health/Check',
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  },
  Watch: {
    path: '/grpc.health.v1.Health/Watch',
    requestStream: false,
    responseStream: true,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  },
} as const

function same(bytes: Buffer): Buffer {
  return bytes
}

/** The health of the server as a whole, for Envoy's grpc_health_check. Any service name gets the same answer. */
export class HealthService {
  #serving = false
  readonly #watchers = new Set<(answer: Buffer) => void>()

  /** Says from now on whether requests are served. */
  set(serving: boolean): void {
    if (serving === this.#serving) return
    this.#serving = serving
    for (const watcher of this.#watchers) watcher(this.answer)
  }

  get serving(): boolean {
    return this.#serving
  }

  /** The answer of the moment. */
  get answer(): Buffer {
    return this.#serving ? SERVING : NOT_SERVING
  }

  /** Tells the answer, now and whenever it changes, until the function that it gives is called. */
  watch(tell: (answer: Buffer) => void): () => void {
    this.#watchers.add(tell)
    tell(this.answer)
    return () => void this.#watchers.delete(tell)
  }

  /** The handlers to register under HEALTH_SERVICE. */
  handlers(): UntypedServiceImplementation {
    return {
      Check: (_call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => done(null, this.answer),
      Watch: (call: ServerWritableStream<Buffer, Buffer>) => {
        const gone = this.watch((answer) => call.write(answer))
        call.on('cancelled', gone).on('close', gone).on('error', gone)
      },
    }
  }
}
