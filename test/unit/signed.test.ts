import t from 'tap'
import type { FactSources, WorkloadClass } from '../../src/model/documents.ts'
import { compileFacts, type FactsRead } from '../../src/request/facts.ts'
import { HOP_LIFE_MS, HOPS_MAX, issueHop, verifyHop } from '../../src/request/hop.ts'
import { issueSession, verifySession } from '../../src/request/session-token.ts'
import { parseSigningKeys, signingKeys } from '../../src/request/signing-keys.ts'
import { codesOf, factsOf, NOW, RANDOM, RESIDENCIES, read, sources, view } from '../helpers/requests.ts'

const SECRET = (fill: number): Uint8Array => new Uint8Array(32).fill(fill)
const KEYS = signingKeys([['k1', SECRET(1)]])
const ROTATED = signingKeys([
  ['k2', SECRET(2)],
  ['k1', SECRET(1)],
])
const BINDING = { sessionKey: 'user-7', tenant: 'acme', class: 'interactive-inference', residency: ['EU', 'CH'] }
const LIFE_MS = 1_800_000

t.test('a session token holds for what it was bound to, for its whole life and no longer', async (t) => {
  const token = issueSession(KEYS, { ...BINDING, target: 'ams/h100' }, NOW)!
  const at = (now: number, binding = BINDING, keys = KEYS) => verifySession(keys, token, binding, now, LIFE_MS)
  t.strictSame(at(NOW), { verdict: 'valid', target: 'ams/h100' })
  t.strictSame(at(NOW + LIFE_MS), { verdict: 'valid', target: 'ams/h100' })
  t.strictSame(at(NOW + LIFE_MS + 1), { verdict: 'expired' })
  t.strictSame(at(NOW - 59_000), { verdict: 'valid', target: 'ams/h100' }, 'a clock behind')
  t.strictSame(at(NOW - 61_000), { verdict: 'invalid' }, 'a token from the future')
  t.strictSame(at(NOW, { ...BINDING, residency: ['CH', 'EU'] }), { verdict: 'valid', target: 'ams/h100' })
  t.strictSame(at(NOW, BINDING, ROTATED), { verdict: 'valid', target: 'ams/h100' }, 'an older key')
  t.strictSame(at(NOW, BINDING, signingKeys([['k2', SECRET(2)]])), { verdict: 'invalid' }, 'a key that is gone')
  t.strictSame(at(NOW, BINDING, signingKeys([['k1', SECRET(9)]])), { verdict: 'invalid' }, 'another secret')
  t.notMatch(token, /user-7|acme/)
})

t.test('a session token brought along with anything else is a mismatch', async (t) => {
  const token = issueSession(KEYS, { ...BINDING, target: 'ams/h100' }, NOW)!
  const others: (typeof BINDING | Record<string, unknown>)[] = [
    { ...BINDING, sessionKey: 'user-8' },
    { ...BINDING, tenant: 'umbrella' },
    { ...BINDING, tenant: undefined },
    { ...BINDING, class: 'training' },
    { ...BINDING, residency: ['EU'] },
    { ...BINDING, residency: undefined },
    { ...BINDING, residency: ['EU,CH'] },
  ]
  for (const binding of others) {
    t.strictSame(verifySession(KEYS, token, binding as typeof BINDING, NOW, LIFE_MS), { verdict: 'mismatch' })
  }
})

t.test('a session token changed in any one character is invalid', async (t) => {
  const token = issueSession(KEYS, { ...BINDING, target: 'ams/h100' }, NOW)!
  for (let i = 0; i < token.length; i++) {
    for (const other of ['A', 'B', '.', '']) {
      const forged = token.slice(0, i) + other + token.slice(i + 1)
      if (forged === token) continue
      const { verdict } = verifySession(KEYS, forged, BINDING, NOW, LIFE_MS)
      if (verdict !== 'invalid') t.fail(`${forged} is ${verdict}`)
    }
  }
  const strange = [
    '',
    '.',
    '1',
    '1.',
    '1.k1',
    '1.k1..',
    '1....',
    '2.k1.a.b.c.d',
    token.repeat(20),
    'é'.repeat(90),
    '1.__proto__.a.b.c.AAAAAAAAAAAAAAAAAAAAAA',
  ]
  for (const text of strange) t.strictSame(verifySession(KEYS, text, BINDING, NOW, LIFE_MS), { verdict: 'invalid' })
})

t.test('a token is not made for a target that a header cannot hold, nor without a key', async (t) => {
  t.equal(issueSession(KEYS, { ...BINDING, target: 'a b' }, NOW), undefined)
  t.equal(issueSession(KEYS, { ...BINDING, target: 'x'.repeat(300) }, NOW), undefined)
  t.equal(issueSession(signingKeys([]), { ...BINDING, target: 'ams/h100' }, NOW), undefined)
})

t.test('the session of a request is read with its key, and lives as long as its class says', async (t) => {
  const training = { metadata: { name: 'training' }, session: { lifeMs: 1_000 } } as WorkloadClass
  const spec: Partial<FactSources> = {
    facts: {
      class: [{ from: 'context', name: 'class' }],
      sessionKey: [{ from: 'header', name: 'x-session-id' }],
    },
  }
  const sessionOf = (key: string | undefined, token: string, className: string, age = 0): FactsRead =>
    compileFacts([sources(spec)], RESIDENCIES, { sessionKeys: KEYS, classes: [training] })(
      view({
        headers: {
          'x-hubward-session': token,
          'x-hubward-residency': 'eu',
          ...(key === undefined ? {} : { 'x-session-id': key }),
        },
        contextExtensions: { class: className },
      }),
      NOW + age,
      RANDOM,
    )
  const token = (className: string): string =>
    issueSession(KEYS, { sessionKey: 's', class: className, residency: ['EU'], target: 'fra/h100' }, NOW)!
  t.strictSame(sessionOf('s', token('chat'), 'chat').facts.session, { verdict: 'valid', target: 'fra/h100' })
  t.equal(sessionOf('s', token('chat'), 'chat', 1_800_001).facts.session.verdict, 'expired')
  t.equal(sessionOf('s', token('training'), 'training', 1_001).facts.session.verdict, 'expired')
  t.equal(sessionOf(undefined, token('chat'), 'chat').facts.session.verdict, 'none')
  for (const nothing of ['', '-']) t.equal(sessionOf('s', nothing, 'chat').facts.session.verdict, 'none')
  const wrong = sessionOf('other', token('chat'), 'chat')
  t.equal(wrong.facts.session.verdict, 'mismatch')
  t.same(codesOf(wrong), ['request/bad-session'])
})

t.test('keys are read from lines, the first signs, and a bad line is named without being shown', async (t) => {
  const secret = (n: number): string => Buffer.alloc(32, n).toString('base64url')
  const { keys, problems } = parseSigningKeys(`# ours\nnew ${secret(2)}\n\nk1 ${secret(1)} # until December\n`)
  t.same(problems, [])
  const token = issueSession(KEYS, { ...BINDING, target: 'ams/h100' }, NOW)!
  t.equal(verifySession(keys!, token, BINDING, NOW, LIFE_MS).verdict, 'valid')
  t.match(issueSession(keys!, { ...BINDING, target: 'ams/h100' }, NOW), /^1\.new\./)
  for (const text of [
    '',
    '# nothing',
    'k1',
    `k1 ${Buffer.alloc(31).toString('base64url')}`,
    `k1 ${secret(1)}\nk1 ${secret(2)}`,
    `k.1 ${secret(1)}`,
  ]) {
    const refused = parseSigningKeys(text)
    t.equal(refused.keys, undefined)
    t.equal(refused.problems.length, 1)
    t.equal(refused.problems[0]!.code, 'keys/unusable')
    t.notMatch(refused.problems[0]!.message, secret(1))
  }
})

const DECISION = { id: '01JD', target: 'ams/h100', cluster: 'ams-h100', policy: 'emea@4' }

t.test('a hop carries a decision to the next hubward and is refused where it comes back', async (t) => {
  const header = issueHop(KEYS, { instance: 'a', decision: DECISION }, NOW)!
  t.strictSame(verifyHop(KEYS, header, 'b', NOW), {
    verdict: 'valid',
    decision: '01JD',
    target: 'ams/h100',
    cluster: 'ams-h100',
    policy: 'emea@4',
  })
  t.equal(verifyHop(KEYS, header, 'a', NOW).verdict, 'loop')
  const onward = issueHop(KEYS, { instance: 'b', decision: { ...DECISION, policy: null }, incoming: header }, NOW)!
  t.equal(verifyHop(KEYS, onward, 'a', NOW).verdict, 'loop')
  t.equal(verifyHop(KEYS, onward, 'c', NOW).verdict, 'valid')
  t.notOk('policy' in verifyHop(KEYS, onward, 'c', NOW))
})

t.test('a hop ends after eight hubwards, and after a minute', async (t) => {
  let header: string | undefined
  for (let i = 0; i < HOPS_MAX; i++) {
    header = issueHop(KEYS, { instance: `i${i}`, decision: DECISION, incoming: header }, NOW)
  }
  t.equal(verifyHop(KEYS, header!, 'new', NOW).verdict, 'loop')
  t.equal(issueHop(KEYS, { instance: 'new', decision: DECISION, incoming: header }, NOW), undefined)
  const fresh = issueHop(KEYS, { instance: 'a', decision: DECISION }, NOW)!
  t.equal(verifyHop(KEYS, fresh, 'b', NOW + HOP_LIFE_MS).verdict, 'valid')
  t.equal(verifyHop(KEYS, fresh, 'b', NOW + HOP_LIFE_MS + 1).verdict, 'invalid')
  t.equal(verifyHop(KEYS, fresh, 'b', NOW - 61_000).verdict, 'invalid')
})

t.test('a hop that is forged, of another kind or oversized is invalid', async (t) => {
  const header = issueHop(KEYS, { instance: 'a', decision: DECISION }, NOW)!
  for (let i = 0; i < header.length; i++) {
    const forged = header.slice(0, i) + (header[i] === 'A' ? 'B' : 'A') + header.slice(i + 1)
    const { verdict } = verifyHop(KEYS, forged, 'b', NOW)
    if (verdict !== 'invalid') t.fail(`character ${i} changed is ${verdict}`)
  }
  const session = issueSession(KEYS, { ...BINDING, target: 'ams/h100' }, NOW)!
  for (const text of ['', '...', '1.k1..', session, header.repeat(30), `${header}.`, `x${header}`]) {
    t.strictSame(verifyHop(KEYS, text, 'b', NOW), { verdict: 'invalid' })
  }
  t.equal(verifySession(KEYS, header, BINDING, NOW, LIFE_MS).verdict, 'invalid')
  const untrusted = read({}, { headers: { 'x-hubward-hop': 'x' } }, { hops: { keys: KEYS, instance: 'b' } })
  t.same(untrusted.facts.hop, { verdict: 'invalid' })
  t.same(codesOf(untrusted), ['request/bad-hop'])
  t.notOk('hop' in factsOf({}, { headers: { 'x-hubward-hop': header } }), 'without keys nobody speaks of hops')
})
