import type { AccessEntry } from '../../model/outcome.ts'
import { readEntry } from './access-log-entry.ts'
import { Reader } from './reader.ts'

/**
 * One envoy.service.accesslog.v3.StreamAccessLogsMessage, read piece by piece: a message of megabytes holds thousands of
 * entries, and who reads them all in one go keeps requests waiting.
 */
export class AccessLogMessage {
  readonly #reader: Reader
  // Where the HTTPAccessLogEntries message that is being read ends; 0: none is.
  #innerEnd = 0

  constructor(bytes: Buffer) {
    this.#reader = new Reader(bytes)
  }

  /** Whether everything has been read. */
  get done(): boolean {
    return this.#reader.pos >= this.#reader.bytes.length
  }

  /**
   * The next entries of requests that have ended; fewer than `most`, or none, where lines of another kind stood between
   * them. Throws WireError, and nothing else, for bytes that are no such message; what was read before stays good.
   */
  next(most: number): AccessEntry[] {
    const reader = this.#reader
    const entries: AccessEntry[] = []
    for (let count = 0; count < most && !this.done; count++) {
      if (this.#innerEnd === 0) {
        const tag = reader.tag()
        if (tag !== HTTP_LOGS) {
          // The identifier, of which nothing is needed, lines of TCP connections, and what later versions add.
          reader.skip(tag)
          continue
        }
        this.#innerEnd = reader.span()
      } else {
        reader.end = this.#innerEnd
        const tag = reader.tag()
        if (tag === LOG_ENTRY) {
          const entry = readEntry(reader)
          if (entry !== undefined) entries.push(entry)
        } else reader.skip(tag)
      }
      if (reader.pos === this.#innerEnd) {
        this.#innerEnd = 0
        reader.end = reader.bytes.length
      }
    }
    return entries
  }
}

/** The fields http_logs of the message, and log_entry inside it. */
const HTTP_LOGS = 0x12
const LOG_ENTRY = 0x0a
