import type { FactSources } from '../src/model/documents.ts'
import type { RequestView } from '../src/model/request-view.ts'
import { compileFacts } from '../src/request/facts.ts'
import { openGeo } from '../src/request/geo.ts'
import { issueSession, verifySession } from '../src/request/session-token.ts'
import { signingKeys } from '../src/request/signing-keys.ts'

// What reading a request's facts costs: nanoseconds each, the best of ten rounds. Run with `node bench/facts.ts`.

const NOW = 1_795_341_600_000
const SOURCES: FactSources = {
  metadata: { name: 'bench' },
  trustedHops: 1,
  trustedPeers: ['10.0.0.0/8', 'fd00::/8'],
  facts: {
    class: [
      { from: 'path', prefix: '/v1/fine_tuning', value: 'fine-tuning' },
      { from: 'path', prefix: '/v1/batches', value: 'batch-inference' },
      { from: 'header', name: 'x-class', trusted: true },
      { from: 'value', value: 'interactive-inference' },
    ],
    model: [
      { from: 'header', name: 'x-model' },
      { from: 'body', name: 'model' },
    ],
    tenant: [{ from: 'jwt', name: 'org.tenant' }],
    tier: [
      { from: 'network', cidrs: ['192.0.2.0/24', '2001:db8::/32'], value: 'internal' },
      { from: 'jwt', name: 'tier' },
    ],
    sessionKey: [{ from: 'header', name: 'x-session-id' }],
    team: [{ from: 'jwt', name: 'team' }],
  },
  residency: [{ from: 'jwt', name: 'residency' }],
  tenantResidency: {},
  bodyBytesMax: 1_048_576,
}

const headers = new Map<string, string>(
  Array.from({ length: 12 }, (_, i) => [`x-header-${i}`, `value ${i}`] as [string, string]).concat([
    ['x-request-id', '9d9e6c4a-1a5f-4d43-9c0b-5a3d3f3a7b11'],
    ['x-forwarded-for', '8.8.8.8, 193.0.0.1'],
    ['x-hubward-residency', 'eu'],
    ['x-model', 'llama-3.1-70b'],
    ['x-session-id', 'conversation-4711'],
    ['user-agent', 'openai-python/1.99'],
    ['content-type', 'application/json'],
    ['x-hubward-cluster', 'unset'],
  ]),
)
const JWT = { jwt_payload: { org: { tenant: 'acme' }, tier: 'premium', team: 'search', residency: ['EU'] } }

function view(extra: Partial<RequestView> = {}): RequestView {
  return {
    method: 'POST',
    path: '/v1/chat/completions',
    authority: 'chat.example.com',
    header: (name) => headers.get(name),
    attribute: (name) => (name === 'source.address' ? '10.1.2.3:45678' : undefined),
    metadata: () => JWT,
    ...extra,
  }
}

function best(name: string, work: () => unknown, rounds = 10, times = 50_000): void {
  let least = Number.POSITIVE_INFINITY
  for (let round = 0; round < rounds; round++) {
    const from = process.hrtime.bigint()
    for (let i = 0; i < times; i++) work()
    least = Math.min(least, Number(process.hrtime.bigint() - from) / times)
  }
  console.log(`${name.padEnd(52)} ${Math.round(least).toString().padStart(8)} ns`)
}

const keys = signingKeys([['k1', new Uint8Array(32).fill(7)]])
const binding = {
  sessionKey: 'conversation-4711',
  tenant: 'acme',
  class: 'interactive-inference',
  residency: ['EU'],
}
const token = issueSession(keys, { ...binding, target: 'ams/h100' }, NOW)!
const geo = await openGeo()
const random = { seed: '00f067aa0ba902b7', requestId: 'drawn' }
const residencies = [{ metadata: { name: 'eu' }, allows: ['EU'] }]
const read = compileFacts([SOURCES], residencies, { geo: geo.lookup, sessionKeys: keys })
const chat = (chars: number): Buffer =>
  Buffer.from(JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'x'.repeat(chars) }], max_tokens: 9 }))

const plain = view()
best('facts, 20 headers, claims, geography (cached)', () => read(plain, NOW, random))
headers.set('x-hubward-session', token)
best('the same with a session token', () => read(plain, NOW, random))
headers.delete('x-hubward-session')
const short = view({ body: chat(2_000) })
best('the same with a body of 2 kB', () => read(short, NOW, random))
const long = view({ body: chat(500_000) })
best('the same with a body of 500 kB', () => read(long, NOW, random), 5, 500)
const nested = view({ body: Buffer.from(`{"model":"m","x":[${'{"a":[1,2,"b"]},'.repeat(60_000)}1]}`) })
best('the same with a body of 1 MB, all structure', () => read(nested, NOW, random), 3, 20)
best('verifySession', () => verifySession(keys, token, binding, NOW, 1_800_000))
best('issueSession', () => issueSession(keys, { ...binding, target: 'ams/h100' }, NOW))
geo.close()
