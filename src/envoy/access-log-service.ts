import {
  type ServerReadableStream,
  type StatusObject,
  type sendUnaryData,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { unchanged } from './grpc-services.ts'
import type { Handlers } from './handlers.ts'
import { AccessLogMessage } from './wire/access-log.ts'
import { WireError } from './wire/reader.ts'

/** The definition of envoy.service.accesslog.v3.AccessLogService, messages as bytes. */
export const ACCESS_LOG_SERVICE = {
  StreamAccessLogs: {
    path: '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs',
    requestStream: true,
    responseStream: false,
    requestSerialize: unchanged,
    requestDeserialize: unchanged,
    responseSerialize: unchanged,
    responseDeserialize: unchanged,
  },
}

/** The largest message that is read. Envoy sends one when its buffer is full, which our configuration makes 64 KiB. */
export const LOG_BYTES_MAX = 4 * 1024 * 1024
/** Entries that are read in one go, less than a millisecond's worth: requests that came meanwhile are answered then. */
export const SLICE_ENTRIES = 128
/** Streams at once. Each of an Envoy's workers has one, and grpc-js may hold a few messages of each. */
export const LOG_STREAMS_MAX = 256

type Refusal = Pick<StatusObject, 'code' | 'details'>

const TOO_LARGE: Refusal = {
  code: status.RESOURCE_EXHAUSTED,
  details: `a message of access logs has at most ${LOG_BYTES_MAX} bytes: set a smaller buffer_size_bytes`,
}
const TOO_MANY: Refusal = {
  code: status.RESOURCE_EXHAUSTED,
  details: `there are ${LOG_STREAMS_MAX} streams of access logs already`,
}

/** The service of access logs, and how to end all of its streams. */
export interface AccessLogs {
  readonly service: UntypedServiceImplementation
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
  const service = {
    StreamAccessLogs(call: ServerReadableStream<Buffer, Buffer>, done: sendUnaryData<Buffer>) {
      if (streams.size >= LOG_STREAMS_MAX) {
        done(TOO_MANY)
        return
      }
      const left = (): boolean => streams.delete(end)
      const end = (): void => {
        if (left()) done(null, NOTHING)
      }
      const refuse = (why: Refusal): void => {
        if (left()) done(why)
      }
      streams.add(end)
      const take = (message: AccessLogMessage): void => {
        if (!streams.has(end)) return
        try {
          handOver(handlers, message.next(SLICE_ENTRIES))
        } catch (error) {
          handlers.failed(error, 'access_log')
          refuse({ code: status.INVALID_ARGUMENT, details: (error as Error).message })
          return
        }
        if (message.done) call.resume()
        else setImmediate(take, message)
      }
      call.on('cancelled', left).on('close', left).on('error', left).on('end', end)
      call.on('data', (bytes: Buffer) => {
        if (!streams.has(end)) return
        if (bytes.length > LOG_BYTES_MAX) {
          handlers.failed(new WireError(TOO_LARGE.details), 'access_log')
          refuse(TOO_LARGE)
        } else if (handlers.accessLog !== undefined) {
          call.pause()
          take(new AccessLogMessage(bytes))
        }
      })
    },
  }
  const endAll = (): void => {
    for (const end of [...streams]) end()
  }
  return { service, endAll }
}

/** StreamAccessLogsResponse has no fields. */
const NOTHING = Buffer.alloc(0)

/** A mistake of whoever takes the entries costs these, and not the stream. */
const handOver = (handlers: Handlers, entries: ReturnType<AccessLogMessage['next']>): void => {
  if (entries.length === 0) return
  try {
    handlers.accessLog?.(entries)
  } catch (error) {
    handlers.failed(error, 'access_log')
  }
}
