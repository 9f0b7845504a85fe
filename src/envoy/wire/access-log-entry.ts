import { HEADERS } from '../../model/headers.ts'
import type { AccessEntry } from '../../model/outcome.ts'
import { LOG_TAGS } from './access-log-tags.ts'
import type { Reader } from './reader.ts'
import { NO_FLAGS, readFlags } from './response-flags.ts'

/** What is read of one line, before it is known whether all of it counts. */
interface Line {
  startedAt: number
  durationMs: number
  lastByteMs: number
  firstBodyMs: number
  firstHeaderMs: number
  upstreamBeginMs: number
  cluster: string
  flags: readonly string[]
  attempts: number
  kind: number
  promptTokens: number
  completionTokens: number
  requestId: string
  requestBytes: number
  request: Record<string, string>
  status: number
  responseBytes: number
  response: Record<string, string> | undefined
  details: string
}

/** The longest text that is kept of a field: ours are shorter, and others only have to be told apart. */
const TEXT_BYTES_MAX = 256
/** AccessLogType DownstreamEnd; an Envoy that says none (0) writes no other lines than this one. */
const DOWNSTREAM_END = 6
/** What the details say where a site answered; one that broke off has sent headers too. They are none of hubward's. */
const VIA_UPSTREAM = 'via_upstream'
/** Ten years: an offset beyond it is no time that a request took. */
const OFFSET_MS_MAX = 10 * 365 * 86_400_000

const HEADER_NAMES: ReadonlyMap<string, string> = new Map(Object.values(HEADERS).map((name) => [name, name]))
const NAME_BYTES_MAX = 64

/** No headers: without a prototype, as all of them, because their names come from outside. */
const noHeaders = (): Record<string, string> => Object.create(null) as Record<string, string>

/**
 * The HTTPAccessLogEntry at the cursor, as AccessEntry; undefined for a line that is written before the request has
 * ended. Fields that are not needed are passed over unread.
 */
export const readEntry = (reader: Reader): AccessEntry | undefined => {
  const line: Line = {
    startedAt: 0,
    durationMs: -1,
    lastByteMs: -1,
    firstBodyMs: -1,
    firstHeaderMs: -1,
    upstreamBeginMs: -1,
    cluster: '',
    flags: NO_FLAGS,
    attempts: 0,
    kind: 0,
    promptTokens: -1,
    completionTokens: -1,
    requestId: '',
    requestBytes: 0,
    request: noHeaders(),
    status: 0,
    responseBytes: 0,
    response: undefined,
    details: '',
  }
  reader.message((tag) => {
    if (tag === 0x0a) reader.message((field) => readCommon(reader, field, line))
    else if (tag === 0x1a) reader.message((field) => readRequest(reader, field, line))
    else if (tag === 0x22) reader.message((field) => readResponse(reader, field, line))
    else reader.skip(tag)
  })
  if (line.kind !== 0 && line.kind !== DOWNSTREAM_END) return undefined
  return entryOf(line)
}

const entryOf = (line: Line): AccessEntry => {
  const { request, response } = line
  // A refusal of hubward's is a response: the headers of its request never heard of the decision.
  const isSites = line.details === VIA_UPSTREAM || line.firstHeaderMs >= 0
  if (response !== undefined && !isSites && request[HEADERS.decision] === undefined)
    for (const name of Object.keys(response)) request[name] = response[name]!
  return {
    decision: request[HEADERS.decision] ?? '',
    requestId: line.requestId,
    startedAt: line.startedAt,
    durationMs: line.durationMs >= 0 ? line.durationMs : Math.max(0, line.lastByteMs),
    firstBodyMs: line.firstBodyMs,
    firstHeaderMs: line.firstHeaderMs,
    upstreamBeginMs: line.upstreamBeginMs,
    status: line.status,
    flags: line.flags,
    details: line.details,
    cluster: line.cluster,
    attempts: line.attempts,
    requestBytes: line.requestBytes,
    responseBytes: line.responseBytes,
    headers: request,
    ...(line.promptTokens >= 0 ? { promptTokens: line.promptTokens } : {}),
    ...(line.completionTokens >= 0 ? { completionTokens: line.completionTokens } : {}),
  }
}

/** The fields of AccessLogCommon. */
const readCommon = (reader: Reader, tag: number, line: Line): void => {
  switch (tag) {
    case 0x2a: // start_time
      line.startedAt = Math.max(0, Math.floor(readMs(reader)))
      return
    case 0x3a: // time_to_first_upstream_tx_byte
      line.upstreamBeginMs = readOffset(reader)
      return
    case 0x4a: // time_to_first_upstream_rx_byte
      line.firstHeaderMs = readOffset(reader)
      return
    case 0x62: // time_to_last_downstream_tx_byte
      line.lastByteMs = readOffset(reader)
      return
    case 0x7a: // upstream_cluster
      line.cluster = reader.ownText(TEXT_BYTES_MAX)
      return
    case 0x82: // response_flags
      line.flags = readFlags(reader)
      return
    case 0xb2: // custom_tags
      readTag(reader, line)
      return
    case 0xba: // duration
      line.durationMs = readOffset(reader)
      return
    case 0xc0: // upstream_request_attempt_count
      line.attempts = readCount(reader)
      return
    case 0x108: // access_log_type
      line.kind = reader.varint()
      return
    default:
      reader.skip(tag)
  }
}

/** The fields of HTTPRequestProperties. */
const readRequest = (reader: Reader, tag: number, line: Line): void => {
  if (tag === 0x4a) line.requestId = reader.ownText(TEXT_BYTES_MAX)
  else if (tag === 0x60) line.requestBytes = readCount(reader)
  else if (tag === 0x6a) readHeader(reader, line.request)
  else reader.skip(tag)
}

/** The fields of HTTPResponseProperties. */
const readResponse = (reader: Reader, tag: number, line: Line): void => {
  if (tag === 0x0a) {
    line.status = 0
    reader.message((field) => {
      if (field === 0x08) line.status = readCount(reader)
      else reader.skip(field)
    })
  } else if (tag === 0x18) line.responseBytes = readCount(reader)
  else if (tag === 0x22) {
    // Nearly every request has its decision by now, and what is on the response only says it again.
    if (line.request[HEADERS.decision] !== undefined) reader.skip(tag)
    else {
      line.response ??= noHeaders()
      readHeader(reader, line.response)
    }
  } else if (tag === 0x32) line.details = reader.ownText(TEXT_BYTES_MAX)
  else reader.skip(tag)
}

/** An entry of a map of headers; only hubward's own are taken, so what is kept is bounded by their number. */
const readHeader = (reader: Reader, into: Record<string, string>): void => {
  let name: string | undefined
  let value = ''
  reader.message((tag) => {
    if (tag === 0x0a) name = HEADER_NAMES.get(reader.ownText(NAME_BYTES_MAX))
    else if (tag === 0x12) value = reader.ownText(TEXT_BYTES_MAX)
    else reader.skip(tag)
  })
  if (name !== undefined) into[name] = value
}

/** One of the tags that our configuration of Envoy's log adds; `-` where Envoy has no value. */
const readTag = (reader: Reader, line: Line): void => {
  let name = ''
  let value = ''
  reader.message((tag) => {
    if (tag === 0x0a) name = reader.ownText(NAME_BYTES_MAX)
    else if (tag === 0x12) value = reader.ownText(NAME_BYTES_MAX)
    else reader.skip(tag)
  })
  const number = /^\d/.test(value) ? Number(value) : -1
  if (!Number.isFinite(number) || number < 0) return
  if (name === LOG_TAGS.firstBodyUs) line.firstBodyMs = number > OFFSET_MS_MAX * 1_000 ? -1 : number / 1_000
  else if (name === LOG_TAGS.promptTokens) line.promptTokens = Math.min(Math.round(number), COUNT_MAX)
  else if (name === LOG_TAGS.completionTokens) line.completionTokens = Math.min(Math.round(number), COUNT_MAX)
}

/** Numbers above it are not exact, and no count that Envoy has. */
const COUNT_MAX = Number.MAX_SAFE_INTEGER

const readCount = (reader: Reader): number => Math.min(reader.varint(), COUNT_MAX)

/** A Timestamp or Duration in ms, to the microsecond; one before its beginning is negative. */
const readMs = (reader: Reader): number => {
  let seconds = 0
  let nanos = 0
  reader.message((tag) => {
    if (tag === 0x08) seconds = signed(reader.varint())
    else if (tag === 0x10) nanos = signed(reader.varint())
    else reader.skip(tag)
  })
  return (seconds * 1_000_000 + Math.trunc(nanos / 1_000)) / 1_000
}

// Negative numbers come as their complement to 2^64, which a double does not hold exactly: only the sign is needed.
const signed = (value: number): number => (value > COUNT_MAX ? -1 : value)

const readOffset = (reader: Reader): number => {
  const ms = readMs(reader)
  return ms < 0 || ms > OFFSET_MS_MAX ? -1 : ms
}
