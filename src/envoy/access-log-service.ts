import { type StatusObject, status } from '@grpc/grpc-js'
import type { Handlers } from './handlers.ts'
import { AccessLogMessage } from './wire/access-log.ts'
import { WireError } from './wire/reader.ts'

/** The largest message that is read. Envoy sends one when its buffer is full, which our configuration makes 64 KiB. */
export const LOG_BYTES_MAX = 4 * 1024 * 1024
/** Entries that are read in one go, less than a millisecond's worth: requests that came meanwhile are answered then. */
export const SLICE_ENTRIES = 128
/** Streams at once. Each of an Envoy's workers has one, and grpc-js may hold a few messages of each. */
export const LOG_STREAMS_MAX = 256

/** Why a stream is refused. */
export type Refusal = Pick<StatusObject, 'code' | 'details'>

const TOO_LARGE: Refusal = {
  code: status.RESOURCE_EXHAUSTED,
  details: `a message of access logs has at most ${LOG_BYTES_MAX} bytes: set a smaller buffer_size_bytes`,
}
const TOO_MANY: Refusal = {
  code: status.RESOURCE_EXHAUSTED,
  details: `there are ${LOG_STREAMS_MAX} streams of access logs already`,
}

/** One stream of access logs, as whichever transport has it. */
export interface LogStream {
  /** No further message is to be given until `resume`. */
  readonly pause: () => void
  readonly resume: () => void
  /** Ends it well, or with why it is refused. */
  readonly end: (refusal?: Refusal) => void
}

/** What a transport tells of one stream. */
export interface LogTaker {
  readonly message: (bytes: Buffer) => void
  /** The client has ended it. */
  readonly halfClosed: () => void
  /** It is over, in whatever way. */
  readonly gone: () => void
}

/** All streams of access logs. */
export interface AccessLogs {
  readonly open: (stream: LogStream) => LogTaker
  /** Ends every stream well. Envoy opens another with its next batch, at a hubward that is healthy then. */
  readonly endAll: () => void
}

/**
 * What takes Envoy's access logs in. A stream never ends by itself; one whose message can't be read is ended, because
 * what follows is not to be trusted either. Nothing is kept here: a message is read in slices with other work between
 * them, and the stream waits for that, so a peer that sends faster than that fills its own buffers and not ours.
 */
export const accessLogs = (handlers: Handlers): AccessLogs => {
  const streams = new Set<() => void>()
  const open = (stream: LogStream): LogTaker => {
    const gone = (): boolean => streams.delete(end)
    const end = (): void => {
      if (gone()) stream.end()
    }
    const refuse = (why: Refusal): void => {
      if (gone()) stream.end(why)
    }
    if (streams.size >= LOG_STREAMS_MAX) stream.end(TOO_MANY)
    else streams.add(end)
    const take = (message: AccessLogMessage): void => {
      if (!streams.has(end)) return
      try {
        handOver(handlers, message.next(SLICE_ENTRIES))
      } catch (error) {
        handlers.failed(error, 'access_log')
        refuse({ code: status.INVALID_ARGUMENT, details: (error as Error).message })
        return
      }
      if (message.done) stream.resume()
      else setImmediate(take, message)
    }
    const message = (bytes: Buffer): void => {
      if (!streams.has(end)) return
      if (bytes.length > LOG_BYTES_MAX) {
        handlers.failed(new WireError(TOO_LARGE.details), 'access_log')
        refuse(TOO_LARGE)
      } else if (handlers.accessLog !== undefined) {
        stream.pause()
        take(new AccessLogMessage(bytes))
      }
    }
    return { message, halfClosed: end, gone }
  }
  const endAll = (): void => {
    for (const end of [...streams]) end()
  }
  return { open, endAll }
}

/** StreamAccessLogsResponse, which has no fields. */
export const NOTHING = Buffer.alloc(0)

/** A mistake of whoever takes the entries costs these, and not the stream. */
const handOver = (handlers: Handlers, entries: ReturnType<AccessLogMessage['next']>): void => {
  if (entries.length === 0) return
  try {
    handlers.accessLog?.(entries)
  } catch (error) {
    handlers.failed(error, 'access_log')
  }
}
