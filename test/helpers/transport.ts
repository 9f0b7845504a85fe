import type { TransportName } from '../../src/envoy/transports.ts'

let chosen: TransportName = 'grpc-js'

/** Which transport the servers of this test file use. */
export const transport = (): TransportName => chosen

/** Runs the tests that are imported after this on another transport. */
export const useTransport = (name: TransportName): void => {
  chosen = name
}
