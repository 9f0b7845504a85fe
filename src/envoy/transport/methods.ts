/** One call as the transport sees it: where answers go. */
export interface Call {
  /** Sends one message. Nothing happens where the call is over. */
  readonly send: (message: Buffer) => void
  /** Ends the call with a status of gRPC; 0 is good. Nothing happens where it is over. */
  readonly end: (status: number, message?: string) => void
  /** Has bytes counted among those that are held for the connection, until the call is over; false: there is no room. */
  readonly keep: (bytes: number) => boolean
  /** No further message is given until `resume`; the client then runs out of its window. */
  readonly pause: () => void
  readonly resume: () => void
}

/** One call as its method sees it. None of the functions may throw. */
export interface Receiver {
  /** A message of the client's, which may be kept. */
  readonly message: (bytes: Buffer) => void
  /** The client has said all that it will say. */
  readonly halfClosed: () => void
  /** The call is over, for whatever reason. Once, and last. */
  readonly gone: () => void
}

/** What begins the calls of one method. */
export type Method = (call: Call) => Receiver

/** Methods by their path, `/package.Service/Method`. */
export type Methods = ReadonlyMap<string, Method>
