import type { AccessEntry } from '../model/outcome.ts'

/**
 * What one ext_proc stream keeps between its messages. The transport makes one for each stream and owns nothing in it.
 * Its functions are called on it: they may be methods.
 */
export interface StreamState {
  /** The headers phase, where the decision waits for the body. */
  waiting?: unknown
  /** Whether the decision of this stream has been given. */
  decided?: boolean
  /** Writes one more answer later, for a request that is held. Absent: this transport can't. */
  send?: (answer: Buffer) => void
  /** Ends the stream with INTERNAL, as an exception would. */
  fail?: () => void
  /** Has these bytes counted as held until the stream ends; false: there is no room for them. Absent: nobody counts. */
  keep?: (bytes: number) => boolean
  /** Called by the transport when the client has left or the stream has ended. */
  gone?: (() => void) | undefined
}

/** Ends the stream well and without an answer: Envoy goes on with the request as it then stands. */
export const END = 'end'

/** Answers one ProcessingRequest with one ProcessingResponse, both as bytes; undefined says nothing. */
export type ProcessHandler = (message: Buffer, stream: StreamState) => Buffer | typeof END | undefined

/** Answers one CheckRequest with one CheckResponse, both as bytes. */
export type CheckHandler = (message: Buffer) => Buffer

/** By which of Envoy's two protocols a request is asked about. */
export type Protocol = 'ext_proc' | 'ext_authz'

/**
 * The functions that a transport calls. When one throws, the transport ends that call with INTERNAL: Envoy then applies
 * the failure mode of the route, so that chat goes on to its default and jobs are refused. An empty answer would count
 * as a decision, and a stream that ends well fails open on every route.
 */
export interface Handlers {
  readonly process: ProcessHandler
  readonly check: CheckHandler
  /**
   * Takes in requests that have ended, at most some hundred in a call, in the order in which Envoy wrote them. Absent:
   * access logs are accepted and dropped. When it throws, these entries are lost and the stream goes on.
   */
  readonly accessLog?: (entries: readonly AccessEntry[]) => void
  /** Hears of each exception and of each message that could not be read. Must not throw. */
  readonly failed: (error: unknown, where: Protocol | 'access_log') => void
}
