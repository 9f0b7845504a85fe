import { randomBytes } from 'node:crypto'
import * as fc from 'fast-check'
import t from 'tap'
import type { FactSources } from '../../src/model/documents.ts'
import { bodyFields } from '../../src/request/body.ts'
import { addressOf, clientAddress } from '../../src/request/client-address.ts'
import { compileFacts } from '../../src/request/facts.ts'
import { parseNeeds } from '../../src/request/needs.ts'
import { normalPath, pathMatcher, queryValue } from '../../src/request/path.ts'
import { COUNTRIES_KNOWN, regionOf } from '../../src/request/regions.ts'
import { signingKeys } from '../../src/request/signing-keys.ts'
import { codesOf, NOW, RANDOM, RESIDENCIES, read, sources, view } from '../helpers/requests.ts'
import { workload } from '../helpers/world.ts'

t.test('a path is read as a server would read it, so no class is smuggled past its prefix', async (t) => {
  const normal: [string, string][] = [
    ['/v1/chat/completions?x=/v1/fine_tuning', '/v1/chat/completions'],
    ['/v1//fine_tuning', '/v1/fine_tuning'],
    ['/v1/./fine_tuning/jobs/', '/v1/fine_tuning/jobs/'],
    ['/v1/chat/../fine_tuning', '/v1/fine_tuning'],
    ['/../../v1/fine_tuning', '/v1/fine_tuning'],
    ['/v1/%66ine%5Ftuning', '/v1/fine_tuning'],
    ['/v1/chat/%2e%2E/fine_tuning', '/v1/fine_tuning'],
    ['/v1%2Ffine_tuning', '/v1/fine_tuning'],
    ['/v1\\fine_tuning', '/v1/fine_tuning'],
    ['/v1/chat/..;x=1/fine_tuning;v=2', '/v1/fine_tuning'],
    ['/v1/fine_tuning#/v1/chat', '/v1/fine_tuning'],
    ['/v1/..', '/'],
    ['/%zz/%', '/%zz/%'],
    ['/v1/%00/%7f/%ff', '/v1/%00/%7f/%ff'],
    ['', ''],
    ['*', '*'],
  ]
  for (const [raw, path] of normal) t.equal(normalPath(raw), path, raw)
  t.equal(normalPath(`/${'a'.repeat(9_000)}`), undefined)
  const matches = pathMatcher('/v1/fine_tuning/')
  t.ok(matches('/v1/fine_tuning') && matches('/v1/fine_tuning/') && matches('/v1/fine_tuning/jobs'))
  t.notOk(matches('/v1/fine_tuningx') || matches('/v1') || matches('/x/v1/fine_tuning'))
  t.ok(pathMatcher('/')('/anything'))
})

t.test('a query parameter gives its first value, decoded, within bounds', async (t) => {
  const cases: [string, string | undefined][] = [
    ['/x?model=a&model=b', 'a'],
    ['/x?a=1&model=llama%2F70b+fp8', 'llama/70b fp8'],
    ['/x?m%6fdel=a', 'a'],
    ['/x?model', ''],
    ['/x?model=%ff', undefined],
    ['/x?xmodel=a&modelx=b', undefined],
    ['/x', undefined],
    ['/x?', undefined],
    [`/x?${'a&'.repeat(100)}model=late`, undefined],
    [`/x?model=${'a'.repeat(2_000)}`, undefined],
  ]
  for (const [raw, value] of cases) t.equal(queryValue(raw, 'model'), value, raw.slice(0, 40))
})

t.test('an address is read with port, brackets, quotes and zone, and nothing else passes for one', async (t) => {
  const good: [string, string][] = [
    ['10.0.0.1', '10.0.0.1'],
    [' 10.0.0.1:443 ', '10.0.0.1'],
    ['[2001:db8::1]:443', '2001:db8::1'],
    ['"[2001:db8::1]"', '2001:db8::1'],
    ['2001:db8::1', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['::ffff:10.0.0.1', '::ffff:10.0.0.1'],
  ]
  for (const [written, text] of good) t.equal(addressOf(written)?.text, text, written)
  t.same(addressOf('::ffff:10.0.0.1')?.address, [10, 0, 0, 1])
  const bad = ['unknown', '_hidden', '/run/envoy.sock', '@', '', '[::1', '[::1]x', '1.2.3.4:', '1.2.3.4:x', '1.2.3:80']
  for (const written of [...bad, '%', '1.2.3.4%', 'a'.repeat(70_000)]) {
    t.equal(addressOf(written), undefined, written.slice(0, 20))
  }
})

t.test('the client stands in X-Forwarded-For as many places before the peer as there are trusted hops', async (t) => {
  const of = (peer: string | undefined, list: string | undefined, hops: number): string | undefined =>
    clientAddress(peer === undefined ? undefined : addressOf(peer), list, hops)?.text
  t.equal(of('10.0.0.1:5', 'spoofed, 198.51.100.7', 0), '10.0.0.1', 'no hop: the peer, whatever the list says')
  t.equal(of('10.0.0.1:5', '8.8.8.8, 198.51.100.7', 1), '198.51.100.7', 'Envoy did not append the peer')
  t.equal(of('10.0.0.1:5', '8.8.8.8, 198.51.100.7, 10.0.0.1', 1), '198.51.100.7', 'Envoy did')
  t.equal(of('10.0.0.1:5', '8.8.8.8,198.51.100.7:80,10.0.0.2,10.0.0.1', 2), '198.51.100.7')
  t.equal(of('10.0.0.1:5', '8.8.8.8, unknown, 10.0.0.1', 1), undefined, 'nothing further left is taken instead')
  t.equal(of('10.0.0.1:5', '198.51.100.7', 3), '10.0.0.1', 'a list shorter than the hops')
  t.equal(of('10.0.0.1:5', undefined, 2), '10.0.0.1')
  t.equal(of('10.0.0.1:5', '', 1), undefined)
  t.equal(of('10.0.0.1:5', ',', 1), undefined)
  t.equal(of(undefined, '8.8.8.8, 198.51.100.7, 10.0.0.1', 1), '198.51.100.7', 'a peer on a socket')
  t.equal(of(undefined, '198.51.100.7', 1), undefined)
  t.equal(of(undefined, undefined, 0), undefined)
  t.equal(of('[::1]:5', '2001:db8::7, ::1', 1), '2001:db8::7')
  t.equal(of('10.0.0.1:5', `${'8.8.8.8,'.repeat(8_000)}198.51.100.7`, 1), '198.51.100.7')
})

t.test('every country has one region, two letters and no doubles', async (t) => {
  t.equal(new Set(COUNTRIES_KNOWN).size, COUNTRIES_KNOWN.length)
  t.ok(COUNTRIES_KNOWN.length >= 245 && COUNTRIES_KNOWN.length <= 250, String(COUNTRIES_KNOWN.length))
  t.ok(COUNTRIES_KNOWN.every((code) => /^[A-Z]{2}$/.test(code)))
  const names = new Intl.DisplayNames('en', { type: 'region', fallback: 'none' })
  for (const code of COUNTRIES_KNOWN) if (names.of(code) === undefined) t.fail(`${code} is no country`)
  t.same(['NL', 'ZA', 'AE', 'US', 'BR', 'IN', 'AU', 'ZZ'].map(regionOf), [
    ...['EMEA', 'EMEA', 'EMEA', 'AMER', 'AMER', 'APAC', 'APAC', undefined],
  ])
})

t.test('a body gives top-level fields, the length of lists, and how much text there is', async (t) => {
  const wanted = new Set(['model', 'tools', 'max_tokens', 'stream', 'user', 'x'])
  const of = (text: string) => bodyFields(Buffer.from(text), wanted)
  const chat = of(
    `{ "model" : "llama-3.1-70b", "messages":[{"role":"user","content":"12345678"},
       {"role":"user","content":[{"type":"text","text":"1234"},
       {"type":"image_url","image_url":{"url":"data:image/png;base64,${'A'.repeat(5_000)}"}}]}],
       "tools":[{"type":"function"},{}], "max_tokens": 256, "stream":true, "temperature":0.1, "user":null}`,
  )
  t.same(Object.fromEntries(chat!.values), { model: 'llama-3.1-70b', tools: 2, max_tokens: 256, stream: true })
  t.equal(chat!.textBytes, 12, 'images are not text')
  t.equal(of('{"prompt":"abcdefgh"}')!.textBytes, 8)
  t.equal(of('{"prompt":["abcd",[1,2,3]]}')!.textBytes, 16, 'tokens count as four bytes')
  t.equal(of('{"input":{"image":{"url":"xxxxxxxxxx"}},"metadata":{"content":"xxxx"}}')!.textBytes, 0)
  t.equal(of('{"model":"\\u006dodel \\"q\\" é"}')!.values.get('model'), 'model "q" é')
  t.equal(of('{"mod\\u0065l":"escaped name"}')!.values.get('model'), 'escaped name')
  t.equal(of('{"model":"a","model":"b"}')!.values.get('model'), 'b', 'the last of two, as servers take it')
  t.equal(of('{"model":"a","model":{}}')!.values.get('model'), undefined)
  t.equal(of('{"metadata":{"model":"inner"}}')!.values.get('model'), undefined)
  t.equal(of('{"x":NaN,"model":"python says NaN"}')!.values.get('model'), 'python says NaN')
  t.equal(of(`{"model":"${'m'.repeat(5_000)}"}`)!.values.get('model'), undefined)
  t.same([...of('{"tools":[]}')!.values], [['tools', 0]])
  t.same([...of('{"tools":[[],{"a":[1,2]},","]}')!.values], [['tools', 3]])
  t.equal(of('{}')!.values.size, 0)
})

t.test('a body that is broken, cut off or nested too deep is not read, and takes no time', async (t) => {
  const broken = ['', '[]', '"x"', '{', '{"a"', '{"a":', '{"a":"', '{"a":1', '{"a":1,', '{"a":1,}', '{"a":[}', '{a:1}']
  for (const text of [...broken, '{"a":[1,{]}', '{"a":"\\"}', '{"a":\u0000}', '\ufeff{}', '{"a":1"b":2}', '{"a":,}']) {
    t.equal(bodyFields(Buffer.from(text), new Set(['a'])), undefined, text)
  }
  const deep = `{"a":${'['.repeat(200_000)}${']'.repeat(200_000)}}`
  t.equal(bodyFields(Buffer.from(deep), new Set(['a'])), undefined)
  t.ok(bodyFields(Buffer.from(`{"a":${'['.repeat(64)}${']'.repeat(64)}}`), new Set(['a'])))
  const slashes = `{"a":"${'\\\\'.repeat(500_000)}"}`
  t.ok(bodyFields(Buffer.from(slashes), new Set(['b'])))
  for (let end = 0; end < 60; end++) {
    const whole = '{"model":"a","tools":[{"b":"c\\""},[1,true]],"max_tokens":7}'
    t.equal(bodyFields(Buffer.from(whole.slice(0, end)), new Set(['model'])) === undefined, end < whole.length)
  }
})

t.test('what JSON.parse reads, the body reader reads alike', async (t) => {
  const value = fc.oneof(
    fc.stringMatching(/^[\\"x]{0,80}$/),
    fc.string({ unit: 'binary' }),
    fc.double({ noNaN: true }),
    fc.boolean(),
    fc.constant(null),
    fc.array(fc.jsonValue()),
  )
  const body = fc.dictionary(fc.oneof(fc.constantFrom('a', 'b', 'content'), fc.string()), value)
  const law = fc.property(body, fc.nat(2), (object, space) => {
    const text = JSON.stringify(object, null, space)
    const parsed = JSON.parse(text) as Record<string, unknown>
    const found = bodyFields(Buffer.from(text), new Set(['a', 'b']))
    return ['a', 'b'].every((name) => {
      const expected = Object.hasOwn(parsed, name) ? parsed[name] : undefined
      const seen = found?.values.get(name)
      if (Array.isArray(expected)) return seen === expected.length
      // Numbers may differ in their zero's sign only.
      return typeof expected === 'number' ? Number(seen) === expected : seen === (expected ?? undefined)
    })
  })
  const details = fc.check(law, { numRuns: 3_000, seed: 3 })
  t.notOk(details.failed, JSON.stringify(details.counterexample))
})

t.test("a job's needs are limits, choices and patience, and repeating one only tightens it", async (t) => {
  t.strictSame(
    parseNeeds('power.headroom_mw>=2, network.rtt_p95_ms <= 40.5,gpu=H100|B200, cooling=liquid, may-delay'),
    {
      needs: {
        signals: { 'power.headroom_mw': { min: 2 }, 'network.rtt_p95_ms': { max: 40.5 } },
        gpu: ['H100', 'B200'],
        cooling: ['liquid'],
        mayDelay: true,
      },
      unread: [],
    },
  )
  t.strictSame(parseNeeds('a.b>=2,a.b>=1,a.b<=9,a.b<=8,gpu=A|B,gpu=B|C,gpu=D').needs, {
    signals: { 'a.b': { min: 2, max: 8 } },
    gpu: [],
  })
  const bad = ['power>=2', 'a.b>2', 'a.b>=two', 'a.b>=', '__proto__>=1', '__proto__.x>=1', 'gpu', 'gpu=', 'may-delay=1']
  t.same(parseNeeds(bad.join(',')).unread, bad)
  t.strictSame(parseNeeds(' , ,').needs, {})
  t.equal(parseNeeds('a.b>=1,'.repeat(200)).unread.length > 0, true)
  t.equal(parseNeeds('x'.repeat(70_000)).unread.length, 1)
  const asked = read({}, { headers: { 'x-hubward-needs': 'gpu=H100, whatever' } })
  t.same(asked.facts.needs, { gpu: ['H100'] })
  t.same(codesOf(asked), ['request/bad-needs'])
})

t.test('what a job asks for has a word for each amount, and of two the larger holds', async (t) => {
  t.strictSame(
    parseNeeds(
      'mw=1, kw=2500, cooling_kw=500, gpus=16, gpus_min=4, batch=8, latency_ms=20, near=vector-index|prompt-cache, near=kb/eu, no-delay',
    ),
    {
      needs: {
        signals: { 'network.rtt_p95_ms': { max: 20 } },
        mayDelay: false,
        mw: 2.5,
        coolingKw: 500,
        batchSize: 8,
        gpus: 16,
        gpusMin: 4,
        near: ['vector-index', 'prompt-cache', 'kb/eu'],
      },
      unread: [],
    },
  )
  t.strictSame(parseNeeds('power.headroom_mw=2,queue.depth=4,nobody.knows=1').needs.signals, {
    'power.headroom_mw': { min: 2 },
    'queue.depth': { max: 4 },
    'nobody.knows': { min: 1 },
  })
  t.strictSame(parseNeeds('gpus_min=8, gpus=2').needs, { gpus: 8, gpusMin: 8 }, 'it can do with no fewer')
  t.equal(parseNeeds('no-delay, may-delay').needs.mayDelay, false, 'permission does not come back')
  const bad = [
    'mw=-1',
    'mw<=2',
    'gpus=1.5',
    'batch=many',
    'latency_ms>=5',
    'mw',
    'near=',
    'near=../x y',
    'constructor=1',
  ]
  t.same(parseNeeds(bad.join(',')).unread, bad)
  t.equal(parseNeeds(`mw=${'9'.repeat(400)}`).unread.length, 1, 'no number')
})

t.test(
  "a job's needs stand in a field of the body too, as text or as an object, and add up with the header's",
  async (t) => {
    const spec: Partial<FactSources> = {
      facts: {
        class: [{ from: 'value', value: 'training' }],
        needs: [
          { from: 'header', name: 'x-hubward-needs' },
          { from: 'body', name: 'needs' },
        ],
      },
    }
    const training = workload('training', { whenHubwardIsDown: 'refuse' })
    const job = (body: string, headers: Record<string, string> = {}) =>
      read(spec, { path: '/v1/jobs', body, headers }, { classes: [training] })
    t.strictSame(job('{"needs":"mw=2"}', { 'x-hubward-needs': 'gpu=H100' }).facts.needs, { gpu: ['H100'], mw: 2 })
    t.strictSame(
      job(
        '{"name":"a","needs": {"mw":1,"gpu":["H100","B200"],"near":"kb","mayDelay":false,"signals":{"gpu.free":{"min":3}}} }',
        {
          'x-hubward-needs': 'mw=2, gpu=B200',
        },
      ).facts.needs,
      { signals: { 'gpu.free': { min: 3 } }, gpu: ['B200'], mayDelay: false, mw: 2, near: ['kb'] },
    )
    for (const body of [
      '{"needs":{"mw":"2"}}',
      '{"needs":{"whatever":1}}',
      '{"needs":{"mw":NaN}}',
      '{"needs":{"signals":{"gpu.free":{"min":null}}}}',
      '{"needs":["mw=2"]}',
      '{"needs":true}',
      `{"needs":"mw=2${' '.repeat(5_000)}"}`,
      '{"needs":{"__proto__":1}}',
      '{"needs"',
    ])
      t.ok(codesOf(job(body)).includes('request/bad-needs'), body.slice(0, 40))
    t.same(codesOf(job('--part\r\n', { 'content-type': 'multipart/form-data; boundary=part' })), [
      'request/body-unreadable',
    ])
    t.same(codesOf(job('{"needs":""}')), [])
    t.equal(job('{"needs":{"mw":1},"needs":{"mw":3}}').facts.needs?.mw, 3, 'the last of two, as the server reads it')
  },
)

const KEYS = signingKeys([['k1', new Uint8Array(32).fill(1)]])

t.test('nothing that a request holds makes reading it throw, and facts stay plain data', async (t) => {
  const random = seededRandom(42)
  const values = [
    ...['', '-', 'eu', 'x'.repeat(65_536), '\ud800', 'ü\u0000\r\n', '__proto__', 'constructor', '{"a":', '%%%', ',,,'],
    ...['[::1', '1e999', 'NaN', '-1', '\x7f', '10.0.0.1, 10.0.0.2', 'a=b&c', '../..', '%2e%2e%2f', '1.k1.a.b.c.d'],
  ]
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'model', 'tenant', 'x', 'a.b', '']
  const kinds = [
    'header',
    'query',
    'jwt',
    'attribute',
    'context',
    'body',
    'geo',
    'method',
    'path',
    'network',
    'value',
  ] as const
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!
  const some = (n: number): Record<string, string> =>
    Object.fromEntries(Array.from({ length: n }, () => [pick(names), pick(values)]))
  const facts = [
    'class',
    'model',
    'tenant',
    'tier',
    'region',
    'country',
    'asn',
    'sessionKey',
    'deadline',
    'needs',
    'own',
  ]
  for (let round = 0; round < 400; round++) {
    const source = () => ({
      from: pick(kinds),
      name: pick(names),
      trusted: random() < 0.5,
      prefix: pick(values),
      ...(random() < 0.2 ? { value: pick(values) } : {}),
      ...(random() < 0.2 ? { allow: [pick(values)] } : {}),
      cidrs: [pick(values), '10.0.0.0/8'],
    })
    const readFacts = compileFacts(
      [
        sources({
          trustedHops: Math.floor(random() * 4),
          trustedPeers: random() < 0.5 ? [] : ['10.0.0.0/8', pick(values)],
          facts: Object.fromEntries([...facts, ...names].map((fact) => [fact, [source(), source()]])),
          residency: [source()],
          tenantResidency: some(3),
          bodyBytesMax: 70_000,
        }),
      ],
      RESIDENCIES,
      { sessionKeys: KEYS, hops: { keys: KEYS, instance: 'a' }, geo: () => ({ country: 'NL', asn: 1 }) },
    )
    for (let i = 0; i < 25; i++) {
      const hostile = view({
        method: pick(values),
        path: pick(values),
        headers: {
          ...some(5),
          'x-forwarded-for': pick(values),
          'x-request-id': pick(values),
          'x-hubward-residency': pick(values),
          'x-hubward-session': pick(values),
          'x-hubward-hop': pick(values),
          'x-hubward-needs': pick(values),
        },
        attributes: { ...some(3), 'source.address': pick(values) },
        claims: { ...some(3), a: { b: [pick(values), 1, null, {}] } },
        contextExtensions: some(3),
        body: random() < 0.5 ? pick(values) : `{"${pick(names)}":${JSON.stringify(pick(values))}}`,
      })
      const { facts } = readFacts(hostile, NOW, RANDOM)
      const clone = structuredClone(facts)
      if (JSON.stringify(clone) !== JSON.stringify(facts)) t.fail('facts are plain data')
      if (Object.getPrototypeOf(facts.extra) !== Object.prototype) t.fail('extra is a plain object')
      for (const name of Object.keys(facts.extra)) if (name in {}) t.fail(`${name} is no fact`)
    }
  }
  t.strictSame(({} as Record<string, unknown>).polluted, undefined)
  const noise = compileFacts([], RESIDENCIES, { sessionKeys: KEYS })
  for (let i = 0; i < 300; i++)
    noise(view({ body: randomBytes(i), path: randomBytes(i).toString('latin1') }), NOW, RANDOM)
})

/** mulberry32: the same numbers every time. */
function seededRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let x = Math.imul(state ^ (state >>> 15), 1 | state)
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x
    return ((x ^ (x >>> 14)) >>> 0) / 4_294_967_296
  }
}
