import { deepStrictEqual } from 'node:assert'
import fc from 'fast-check'
import t from 'tap'
import { AccessLogMessage } from '../../src/envoy/wire/access-log.ts'
import { WireError } from '../../src/envoy/wire/reader.ts'
import { FLAG_NAMES } from '../../src/envoy/wire/response-flags.ts'
import { HEADERS } from '../../src/model/headers.ts'
import type { AccessEntry } from '../../src/model/outcome.ts'
import { encode, entryMessage, FLAGS, type Line, type Loose, lines, logOf } from '../helpers/access-log-messages.ts'
import { accessLogStreams } from '../helpers/access-log-streams.ts'

const readAll = (bytes: Buffer, most = Number.POSITIVE_INFINITY): AccessEntry[] => {
  const message = new AccessLogMessage(bytes)
  const entries: AccessEntry[] = []
  while (!message.done) entries.push(...message.next(most))
  return entries
}
const one = (entry: Loose): AccessEntry | undefined => readAll(logOf(entry))[0]

const ours = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => Object.values<string>(HEADERS).includes(name)))

/** The entry that a line is, worked out from what the line was made of and not from its bytes. */
const entryOf = (line: Line): AccessEntry => {
  const request = ours(line.request)
  const isRefusal = request[HEADERS.decision] === undefined && line.details !== 'via_upstream' && line.headerUs === null
  const headers = isRefusal ? { ...request, ...ours(line.response) } : request
  const ms = (us: number | null): number => (us === null ? -1 : us / 1_000)
  return {
    decision: headers[HEADERS.decision] ?? '',
    requestId: line.requestId,
    startedAt: line.at.seconds * 1_000 + Math.floor(line.at.nanos / 1e6),
    durationMs: ms(line.durationUs),
    firstBodyMs: ms(line.bodyUs),
    firstHeaderMs: ms(line.headerUs),
    upstreamBeginMs: ms(line.upstreamUs),
    status: line.status,
    flags: line.flags.toSorted((a, b) => a - b).map((id) => FLAG_NAMES[id]!),
    details: line.details,
    cluster: line.cluster,
    attempts: line.attempts,
    requestBytes: line.requestBytes,
    responseBytes: line.responseBytes,
    headers,
    ...(line.tokens === null ? {} : { promptTokens: line.tokens, completionTokens: line.tokens + 1 }),
  }
}
// Headers are kept without a prototype, which a comparison may not see.
const plain = (entries: readonly AccessEntry[]): Loose => JSON.parse(JSON.stringify(entries))

t.test("whatever Envoy's own protos write is read as what it says, in slices of any size", async () => {
  const node = { id: 'envoy-1', cluster: 'edge', user_agent_name: 'envoy' }
  await fc.assert(
    fc.property(fc.array(lines, { minLength: 1, maxLength: 6 }), fc.integer({ min: 1, max: 9 }), (some, most) => {
      const bytes = encode({
        identifier: { node, log_name: 'hubward' },
        http_logs: { log_entry: some.map(entryMessage) },
      })
      deepStrictEqual(plain(readAll(bytes, most)), plain(some.map(entryOf)))
    }),
    { numRuns: 400 },
  )
})

t.test('every response flag has the short name that its field is known by', async (t) => {
  const named: Record<string, string> = {
    no_healthy_upstream: 'UH',
    upstream_request_timeout: 'UT',
    upstream_remote_reset: 'UR',
    upstream_connection_failure: 'UF',
    upstream_connection_termination: 'UC',
    upstream_overflow: 'UO',
    no_route_found: 'NR',
    downstream_connection_termination: 'DC',
    upstream_retry_limit_exceeded: 'URX',
    stream_idle_timeout: 'SI',
    duration_timeout: 'DT',
    no_cluster_found: 'NC',
    downstream_remote_reset: 'DR',
  }
  t.strictSame(
    FLAGS.fieldsArray
      .map(({ id }) => id)
      .sort((a, b) => a - b)
      .at(-1),
    FLAG_NAMES.length - 1,
  )
  for (const [field, name] of Object.entries(named))
    t.strictSame(one({ common_properties: { response_flags: { [field]: true } } })?.flags, [name], field)
  t.strictSame(one({ common_properties: { response_flags: { unauthorized_details: {} } } })?.flags, ['UAEX'])
})

t.test('a site can not pass for hubward: its headers count only where nobody upstream answered', async (t) => {
  const response = { response_headers: { 'x-hubward-decision': 'forged', 'x-hubward-arm': 'control' } }
  t.match(one({ response: { ...response, response_code_details: 'via_upstream' } }), { decision: '', headers: {} })
  const broken = { common_properties: { time_to_first_upstream_rx_byte: { nanos: 1_000 } }, response }
  t.match(one(broken), { decision: '', headers: {} }, 'nor where it broke off')
  const refusal = one({ response: { ...response, response_code_details: 'hubward_deny_no-target' } })
  t.match(refusal, { decision: 'forged', headers: { 'x-hubward-arm': 'control' } })
  const request = { request_headers: { 'x-hubward-decision': 'd1' } }
  t.strictSame({ ...one({ request, response })?.headers }, { 'x-hubward-decision': 'd1' })
})

t.test('lines that are written before the end, and those of TCP connections, are no entries', async (t) => {
  for (const type of [4, 5, 9]) t.equal(one({ common_properties: { access_log_type: type } }), undefined)
  t.ok(one({ common_properties: { access_log_type: 0 } }))
  t.strictSame(readAll(encode({ tcp_logs: { log_entry: [{ common_properties: { upstream_cluster: 'x' } }] } })), [])
})

t.test('numbers that no request has are no numbers, and long texts are cut', async (t) => {
  const odd = one({
    common_properties: {
      start_time: { seconds: -5, nanos: 0 },
      duration: { seconds: -1, nanos: -500 },
      time_to_first_upstream_rx_byte: { seconds: 315_576_000_000 },
      time_to_last_downstream_tx_byte: { nanos: 2_500_000 },
      upstream_cluster: 'c'.repeat(10_000),
      custom_tags: { 'hubward.first-body-us': 'NaN', 'hubward.prompt-tokens': '-3', 'hubward.completion-tokens': '' },
    },
  })
  t.match(odd, { startedAt: 0, durationMs: 2.5, firstHeaderMs: -1, firstBodyMs: -1, cluster: /^c{256}$/ })
  t.strictSame([odd?.promptTokens, odd?.completionTokens], [undefined, undefined])
  t.equal({}.constructor, Object, 'a name of a header is never one of Object')
  t.strictSame(Object.keys(one({ request: { request_headers: { __proto__x: '1', constructor: '2' } } })!.headers), [])
})

t.test('whatever bytes come, the answer is entries or a WireError: 60,000 mutated messages', async (t) => {
  const samples = fc.sample(fc.array(lines, { minLength: 1, maxLength: 3 }), { numRuns: 20, seed: 7 })
  const messages = samples.map((some) => logOf(...some.map(entryMessage)))
  // Numerical Recipes' generator: the same mutations in every run.
  let state = 42
  const below = (bound: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return (state >>> 8) % bound
  }
  let refused = 0
  for (let round = 0; round < 60_000; round++) {
    let bytes = Buffer.from(messages[round % messages.length]!)
    for (let change = below(4); change >= 0; change--) {
      const at = below(bytes.length)
      const how = below(4)
      if (how === 0) bytes[at] = below(256)
      else if (how === 1) bytes[at] = 0xff
      else if (how === 2) bytes = bytes.subarray(0, at + 1)
      else bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from([below(256), 0x80]), bytes.subarray(at)])
    }
    try {
      for (const entry of readAll(bytes, 1 + (round % 3))) {
        const text = JSON.stringify(entry).length
        if (text > 20_000 || !(entry.durationMs >= 0)) throw new Error(`no entry: ${JSON.stringify(entry)}`)
      }
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      refused += 1
    }
  }
  t.ok(refused > 10_000 && refused < 55_000, `${refused} refused`)
})

t.test('a message of nothing but the smallest entries is read in pieces no larger than asked for', async (t) => {
  const empty = Buffer.from([0x0a, 0x00])
  const inner = Buffer.alloc(1 << 20, empty)
  const message = new AccessLogMessage(Buffer.concat([Buffer.from([0x12, 0x80, 0x80, 0x40]), inner]))
  let [count, largest] = [0, 0]
  while (!message.done) {
    const { length } = message.next(100)
    count += length
    largest = Math.max(largest, length)
  }
  t.strictSame([count, largest], [1 << 19, 100])
})

t.test('access logs by gRPC', accessLogStreams)
