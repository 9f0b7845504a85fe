/** What one ext_proc stream keeps between its messages. The transport makes one for each stream and owns nothing in it. */
export interface StreamState {
  /** The headers phase, where the decision waits for the body. */
  waiting?: unknown
}

/** Answers one ProcessingRequest with one ProcessingResponse, both as bytes; undefined says nothing. */
export type ProcessHandler = (message: Buffer, stream: StreamState) => Buffer | undefined

/** Answers one CheckRequest with one CheckResponse, both as bytes. */
export type CheckHandler = (message: Buffer) => Buffer

/** The two functions that a transport calls. Whatever they throw, the transport ends the stream with INTERNAL. */
export interface Handlers {
  readonly process: ProcessHandler
  readonly check: CheckHandler
  /** Hears of each exception and of each message that could not be read. */
  readonly failed: (error: unknown, where: 'ext_proc' | 'ext_authz') => void
}
