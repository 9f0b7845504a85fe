/** One limit: what it is, in which unit, and what happens beyond it. */
interface Limit {
  readonly is: number
  readonly unit: string
  readonly says: string
  readonly beyond: string
}

const limit = (is: number, unit: string, says: string, beyond: string): Limit => ({ is, unit, says, beyond })
const KIB = 1_024
const MIB = 1_048_576

/**
 * Every bound of the transport, and the only place that has one. Numbers are taken from what Envoy 1.40 and grpc-go do:
 * Envoy opens 1,024 streams on a connection and sends blocks of about 500 bytes, so no honest peer comes near.
 */
export const LIMITS = {
  tickMs: limit(
    1_000,
    'ms',
    'between two looks at the clock: no other time here is kept more exactly, but deadlines',
    '',
  ),
  prefaceMs: limit(10_000, 'ms', 'from the connection to the client preface, and for a TLS handshake', 'closed'),
  settingsAckMs: limit(10_000, 'ms', 'until our SETTINGS are acknowledged', 'GOAWAY(SETTINGS_TIMEOUT)'),
  keepaliveMs: limit(60_000, 'ms', 'of silence until we ask with PING', 'PING'),
  keepaliveTimeoutMs: limit(20_000, 'ms', 'until anything is heard after that PING', 'closed'),
  idleMs: limit(3_600_000, 'ms', 'without a stream', 'GOAWAY(NO_ERROR), then closed'),
  drainPingMs: limit(1_000, 'ms', 'between the two GOAWAYs of a drain, if the PING is not answered', 'second GOAWAY'),
  writeStallMs: limit(20_000, 'ms', 'in which the socket takes nothing of what is to be written', 'closed'),
  streamStallMs: limit(30_000, 'ms', 'in which a stream lets nothing of its answer out', 'RST_STREAM(CANCEL)'),
  lingerMs: limit(
    5_000,
    'ms',
    'that a client may go on sending to a request that was answered',
    'RST_STREAM(NO_ERROR)',
  ),
  streamsMax: limit(2_048, 'streams', 'open on a connection', 'RST_STREAM(REFUSED_STREAM)'),
  frameBytesMax: limit(16 * KIB, 'bytes', 'of a frame, its head not counted', 'GOAWAY(FRAME_SIZE_ERROR)'),
  headerBlockBytesMax: limit(64 * KIB, 'bytes', 'of a header block as it is sent', 'GOAWAY(ENHANCE_YOUR_CALM)'),
  continuationsMax: limit(16, 'frames', 'CONTINUATION of one header block', 'GOAWAY(ENHANCE_YOUR_CALM)'),
  headerListBytesMax: limit(32 * KIB, 'bytes', 'of a header list, names, values and 32 for each', 'status 431'),
  headerTableBytesMax: limit(4 * KIB, 'bytes', 'of the dynamic table of HPACK', 'GOAWAY(COMPRESSION_ERROR)'),
  streamWindowBytes: limit(256 * KIB, 'bytes', 'that a stream may send ahead', 'RST_STREAM(FLOW_CONTROL_ERROR)'),
  connectionWindowBytes: limit(
    4 * MIB,
    'bytes',
    'that a connection may send ahead',
    'never reached: half of it is given back as soon as it is used',
  ),
  messageBytesMax: limit(16 * MIB, 'bytes', 'of a message', 'RESOURCE_EXHAUSTED'),
  connectionBytesMax: limit(
    64 * MIB,
    'bytes',
    'held for a connection: half messages, answers that wait',
    'RESOURCE_EXHAUSTED',
  ),
  serverBytesMax: limit(256 * MIB, 'bytes', 'held for all connections', 'RESOURCE_EXHAUSTED'),
  writeQueueBytesMax: limit(MIB, 'bytes', 'that the socket has not taken', 'not read until it has'),
  discardBytesMax: limit(
    64 * KIB,
    'bytes',
    'read and thrown away of a request that was answered',
    'RST_STREAM(NO_ERROR)',
  ),
  floodTokens: limit(10_000, 'tokens', 'of patience with frames that bring no work', 'GOAWAY(ENHANCE_YOUR_CALM)'),
  floodTokensPerSecond: limit(1_000, 'tokens', 'that come back in a second', ''),
  floodTokensPerMessage: limit(10, 'tokens', 'that come back with each message', ''),
} as const satisfies Readonly<Record<string, Limit>>

/** The limits as numbers. */
export type Limits = { readonly [Name in keyof typeof LIMITS]: number }

/** All limits; a test that is to reach one sets it lower. */
export const limitsOf = (over: Partial<Limits> = {}): Limits => ({
  ...(Object.fromEntries(Object.entries(LIMITS).map(([name, { is }]) => [name, is])) as unknown as Limits),
  ...over,
})

/**
 * What frames cost of the patience that `floodTokens` begins with. A frame that is part of a call costs nothing; one
 * that makes work and brings none costs by how much work it makes.
 */
export const FLOOD_COSTS = {
  ping: 1,
  priority: 1,
  windowUpdate: 1,
  unknown: 1,
  goaway: 1,
  continuation: 1,
  emptyData: 1,
  /** A frame on a stream that is over. */
  late: 1,
  settings: 10,
  /** A stream that its client resets before it had any answer: the rapid reset. */
  unanswered: 10,
  /** A stream that we have to reset because of what was sent on it. */
  fault: 10,
  /** A request that is no gRPC, or of no method. */
  refusal: 2,
} as const
