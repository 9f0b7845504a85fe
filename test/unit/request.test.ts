import t from 'tap'
import type { FactSources } from '../../src/model/documents.ts'
import { clientCanSet, factSourceProblems } from '../../src/model/fact-trust.ts'
import type { Facts } from '../../src/model/facts.ts'
import { compileFacts, type FactsRead } from '../../src/request/facts.ts'
import { jobFactCases } from '../helpers/follow-up-cases.ts'
import { codesOf, factsOf, NOW, RANDOM, read, sources, view, type Written } from '../helpers/requests.ts'

t.test('a request of which nothing is known has an id, a seed and the empty class', async (t) => {
  const { facts, problems } = compileFacts([], [])(view(), NOW, RANDOM)
  t.strictSame(facts, {
    requestId: 'drawn-at-the-edge',
    seed: '00f067aa0ba902b7',
    class: '',
    session: { verdict: 'none' },
    extra: {},
    method: 'POST',
    path: '/v1/chat/completions',
  })
  t.equal(problems, undefined)
})

t.test('every kind of source gives its fact, and the first that gives a value wins', async (t) => {
  const spec: Partial<FactSources> = {
    facts: {
      class: [
        { from: 'path', prefix: '/v1/fine_tuning', value: 'fine-tuning' },
        { from: 'context', name: 'class' },
        { from: 'value', value: 'interactive-inference' },
      ],
      model: [
        { from: 'header', name: 'X-Model' },
        { from: 'query', name: 'model' },
        { from: 'body', name: 'model' },
      ],
      tenant: [
        { from: 'jwt', name: 'org.tenant' },
        { from: 'header', name: 'x-tenant', trusted: true },
      ],
      tier: [{ from: 'network', cidrs: ['192.0.2.0/24'], value: 'internal' }],
      verb: [{ from: 'method' }],
      route: [{ from: 'attribute', name: 'xds.route_name' }],
      groups: [{ from: 'jwt', name: 'groups' }],
      staff: [{ from: 'jwt', name: 'staff' }],
      weight: [{ from: 'jwt', name: 'weight' }],
    },
  }
  const full = factsOf(spec, {
    path: '/v1/fine_tuning/jobs?model=by-query',
    headers: { 'x-tenant': 'acme' },
    attributes: { 'source.address': '192.0.2.7:4711', 'xds.route_name': 'chat' },
    claims: { org: { tenant: 'umbrella' }, groups: ['a', 'b'], staff: true, weight: 2.5 },
    contextExtensions: { class: 'batch-inference' },
  })
  t.match(full, { class: 'fine-tuning', model: 'by-query', tenant: 'umbrella', tier: 'internal' })
  t.same(full.extra, { verb: 'POST', route: 'chat', groups: ['a', 'b'], staff: true, weight: 2.5 })
  const sparse = factsOf(spec, { contextExtensions: { class: 'batch-inference' }, headers: { 'x-model': 'by-header' } })
  t.match(sparse, { class: 'batch-inference', model: 'by-header', tenant: undefined, tier: undefined })
  t.equal(factsOf(spec, { headers: { 'x-tenant': 'acme', 'x-model': '' }, body: '{"model":"m"}' }).model, 'm')
  t.equal(factsOf(spec, { contextExtensions: {} }).class, 'interactive-inference')
})

t.test('allow leaves other values out, and value stands for what was read', async (t) => {
  const spec: Partial<FactSources> = {
    facts: {
      region: [
        { from: 'geo', name: 'country', allow: ['GB', 'NL'], value: 'NORTH-SEA' },
        { from: 'geo', name: 'region' },
      ],
      tier: [{ from: 'jwt', name: 'roles', allow: ['premium', 'internal'] }],
    },
  }
  const at = (country: string, roles: unknown): Facts =>
    factsOf(spec, { attributes: { 'source.address': '192.0.2.1:1' }, claims: { roles } }, { geo: () => ({ country }) })
  t.match(at('NL', ['user', 'internal']), { region: 'NORTH-SEA', tier: 'internal', country: 'NL' })
  t.match(at('FR', ['user']), { region: 'EMEA', tier: undefined })
})

t.test('a path too long to look at has no class by its path, not even by the prefix of everything', async (t) => {
  const spec: Partial<FactSources> = { facts: { class: [{ from: 'path', prefix: '/', value: 'interactive' }] } }
  const long = read(spec, { path: `/v1/${'x/'.repeat(32_000)}` })
  t.match(long.facts, { class: '', path: undefined })
  t.same(codesOf(long), ['request/path-too-long'])
  t.equal(factsOf(spec, {}).class, 'interactive')
})

t.test('a claim is found in verified payloads only, through dots and with dots in its name', async (t) => {
  const tenantOf = (claims: Record<string, unknown>, name: string): string | undefined =>
    factsOf({ facts: { tenant: [{ from: 'jwt', name }] } }, { claims }).tenant
  t.equal(tenantOf({ a: { b: { c: 'deep' } } }, 'a.b.c'), 'deep')
  t.equal(tenantOf({ 'https://example.com/tenant': 'url' }, 'https://example.com/tenant'), 'url')
  t.equal(tenantOf({ 'a.b': { c: 'mixed' } }, 'a.b.c'), 'mixed')
  t.equal(tenantOf({ a: 'acme' }, 'jwt_payload.a'), 'acme')
  t.equal(tenantOf({ a: null }, 'a'), undefined)
  t.equal(tenantOf({ a: { b: 1 } }, 'a'), undefined, 'an object is no tenant')
  for (const name of ['__proto__', 'constructor', 'constructor.name', 'toString', 'a.__proto__.b']) {
    t.equal(tenantOf({ a: {} }, name), undefined, name)
  }
  const forged = { authorization: `Bearer x.${Buffer.from('{"tenant":"root"}').toString('base64url')}.y` }
  t.equal(factsOf({ facts: { tenant: [{ from: 'jwt', name: 'tenant' }] } }, { headers: forged }).tenant, undefined)
})

t.test('documents that let a client say what decides safety are refused, and ignored if they get in', async (t) => {
  const bad: Partial<FactSources> = {
    facts: {
      class: [
        { from: 'header', name: 'x-class' },
        { from: 'body', name: 'class' },
      ],
      tenant: [{ from: 'query', name: 'tenant' }],
      tier: [
        { from: 'attribute', name: 'request.headers.x-tier' },
        { from: 'path', prefix: '/vip', value: 'premium' },
      ],
      region: [{ from: 'header', name: 'x-region' }],
      constructor: [{ from: 'value', value: 'x' }],
      residency: [{ from: 'value', value: 'eu' }],
      country: [{ from: 'geo', name: 'planet' }],
    } as FactSources['facts'],
    residency: [{ from: 'header', name: 'x-residency' }],
  }
  const problems = factSourceProblems(sources(bad))
  t.same(
    problems.map(({ code, severity, at }) => `${severity} ${code} ${at.join('.')}`),
    [
      'error facts/untrusted-source facts.class.0',
      'error facts/untrusted-source facts.class.1',
      'error facts/untrusted-source facts.tenant.0',
      'error facts/untrusted-source facts.tier.0',
      'error facts/untrusted-source facts.tier.1',
      'warning facts/client-settable facts.region.0',
      'error facts/reserved-name facts.constructor',
      'error facts/reserved-name facts.residency',
      'error facts/geo-name facts.country.0',
      'error facts/untrusted-source residency.0',
    ],
  )
  t.ok(problems.every(({ remedy }) => remedy !== undefined))
  const facts = factsOf(bad, {
    path: '/vip?tenant=root',
    headers: { 'x-class': 'training', 'x-residency': 'eu', 'x-region': 'EMEA' },
    attributes: { 'request.headers.x-tier': 'premium' },
    body: '{"class":"training"}',
  })
  t.match(facts, { class: '', tenant: undefined, tier: undefined, residency: undefined, region: 'EMEA', extra: {} })
  t.strictSame(facts.extra, {})
})

t.test('documents whose sources a client cannot reach have no problem', async (t) => {
  const good = sources({
    facts: {
      class: [
        { from: 'path', prefix: '/v1/chat', value: 'interactive-inference' },
        { from: 'method', value: 'x' },
        { from: 'header', name: 'x-class', trusted: true },
        { from: 'value', value: 'batch-inference' },
      ],
      tenant: [
        { from: 'jwt', name: 'tenant' },
        { from: 'context', name: 'tenant' },
      ],
      tier: [{ from: 'attribute', name: 'connection.uri_san_peer_certificate' }],
      model: [
        { from: 'body', name: 'model' },
        { from: 'header', name: 'x-model' },
      ],
      sessionKey: [{ from: 'header', name: 'x-session-id' }],
    },
    residency: [
      { from: 'jwt', name: 'residency' },
      { from: 'geo', name: 'country', allow: ['DE'], value: 'eu' },
    ],
  })
  t.same(factSourceProblems(good), [])
  t.ok(clientCanSet({ from: 'header', name: 'x' }, 'model'))
})

t.test('a trusted header is believed from trusted peers, and from any if none are listed', async (t) => {
  const facts = { tenant: [{ from: 'header', name: 'x-tenant', trusted: true }] } as const
  const from = (address: string | undefined, trustedPeers: string[]): FactsRead =>
    read(
      { facts, trustedPeers },
      {
        headers: { 'x-tenant': 'acme' },
        ...(address === undefined ? {} : { attributes: { 'source.address': address } }),
      },
    )
  t.equal(from('10.1.2.3:99', ['10.0.0.0/8']).facts.tenant, 'acme')
  t.equal(from('[fd00::1]:99', ['10.0.0.0/8', 'fd00::/8']).facts.tenant, 'acme')
  t.equal(from('203.0.113.1:99', []).facts.tenant, 'acme')
  for (const peer of ['203.0.113.1:99', '/run/envoy.sock', '', undefined]) {
    const refused = from(peer, ['10.0.0.0/8'])
    t.equal(refused.facts.tenant, undefined, `peer ${peer}`)
    t.same(codesOf(refused), ['request/untrusted-peer'])
  }
})

t.test('each document trusts its own peers, and lists follow each other by document name', async (t) => {
  const facts = compileFacts(
    [
      sources({ metadata: { name: 'b' }, facts: { tenant: [{ from: 'value', value: 'fallback' }] } }),
      sources({
        metadata: { name: 'a' },
        trustedPeers: ['10.0.0.0/8'],
        facts: { tenant: [{ from: 'header', name: 'x-tenant', trusted: true }] },
      }),
    ],
    [],
  )
  const from = (address: string): Facts =>
    facts(view({ headers: { 'x-tenant': 'acme' }, attributes: { 'source.address': address } }), NOW, RANDOM).facts
  t.equal(from('10.0.0.1:1').tenant, 'acme')
  t.equal(from('192.0.2.1:1').tenant, 'fallback')
})

t.test('where the client is comes from its address, believed only through trusted peers', async (t) => {
  const geo = (address: string) => (address === '198.51.100.7' ? { country: 'NL', asn: 64496 } : {})
  const spec: Partial<FactSources> = {
    trustedHops: 1,
    trustedPeers: ['10.0.0.0/8'],
    facts: { net: [{ from: 'network', cidrs: ['198.51.100.0/24'], value: 'partners' }] },
  }
  const from = (peer: string, list: string): FactsRead =>
    read(spec, { headers: { 'x-forwarded-for': list }, attributes: { 'source.address': peer } }, { geo })
  t.match(from('10.0.0.1:1', '198.51.100.7').facts, {
    country: 'NL',
    region: 'EMEA',
    asn: 64496,
    extra: { net: 'partners' },
  })
  const direct = from('203.0.113.9:1', '198.51.100.7')
  t.match(direct.facts, { country: undefined, region: undefined, asn: undefined, extra: { net: undefined } })
  t.same(codesOf(from('10.0.0.1:1', 'unknown')), ['request/client-address'])
})

t.test("residency by Envoy's attribute: listed, unlisted, absent", async (t) => {
  t.match(read({}, { headers: { 'x-hubward-residency': 'eu' } }), {
    facts: { residency: ['EU'], residencyClass: 'eu' },
    problems: undefined,
  })
  for (const name of ['mars', 'EU', '', 'eu,gulf', 'eu,eu', '__proto__', 'constructor']) {
    const unlisted = read({}, { headers: { 'x-hubward-residency': name } })
    t.strictSame(unlisted.facts.residency, [], `"${name}" leaves nothing`)
    t.equal(unlisted.facts.residencyClass, name)
    t.same(codesOf(unlisted), ['request/residency-unlisted'])
  }
  const absent = factsOf({}, {})
  t.notOk('residency' in absent || 'residencyClass' in absent)
})

t.test('residency spoofed by a client changes nothing, wherever it is put', async (t) => {
  const spec: Partial<FactSources> = {
    residency: [
      { from: 'header', name: 'x-residency' },
      { from: 'query', name: 'residency' },
      { from: 'body', name: 'residency' },
      { from: 'attribute', name: 'request.headers.x-residency' },
    ],
  }
  const spoof: Written = {
    path: '/v1/chat/completions?residency=gulf&x-hubward-residency=gulf',
    headers: { 'x-residency': 'gulf', x_hubward_residency: 'gulf' },
    attributes: { 'request.headers.x-residency': 'gulf' },
    body: '{"residency":"gulf","x-hubward-residency":"gulf"}',
  }
  t.equal(factsOf(spec, spoof).residency, undefined)
  const bound = { ...spoof, headers: { ...spoof.headers, 'x-hubward-residency': 'eu' } }
  t.strictSame(factsOf(spec, bound).residency, ['EU'])
})

t.test('several sources of residency intersect, and what is not understood narrows to nothing', async (t) => {
  const spec: Partial<FactSources> = { residency: [{ from: 'jwt', name: 'where' }] }
  const allowed = (attribute: string | undefined, where: unknown): readonly string[] | undefined =>
    factsOf(spec, {
      headers: attribute === undefined ? {} : { 'x-hubward-residency': attribute },
      claims: where === undefined ? {} : { where },
    }).residency
  t.strictSame(allowed(undefined, ['DE', 'NL']), ['DE', 'NL'])
  t.strictSame(allowed(undefined, 'dach NL, DE'), ['DE', 'AT', 'CH', 'NL'])
  t.strictSame(allowed('dach', ['CH', 'FR', 'AT']), ['AT', 'CH'])
  t.strictSame(allowed('dach', ['FR']), [])
  t.strictSame(allowed('mars', ['DE']), [])
  t.strictSame(allowed('dach', undefined), ['DE', 'AT', 'CH'])
  t.strictSame(allowed('dach', null), ['DE', 'AT', 'CH'])
  for (const strange of [[], '', 7, true, { DE: true }, [['DE']], 'x '.repeat(2_000)]) {
    t.strictSame(allowed('dach', strange), [], JSON.stringify(strange).slice(0, 20))
  }
  const guarded = { residency: [{ from: 'jwt', name: 'where', allow: ['DE', 'AT'] }] } as const
  t.strictSame(factsOf(guarded, { claims: { where: ['DE', 'US'] } }).residency, ['DE'])
  t.strictSame(factsOf(guarded, { claims: { where: 'US' } }).residency, [], 'dropped, not ignored')
})

t.test("a tenant's residency holds where the request names none", async (t) => {
  const spec: Partial<FactSources> = {
    facts: { tenant: [{ from: 'jwt', name: 'tenant' }] },
    tenantResidency: { acme: 'dach', lost: 'mars' },
  }
  const of = (tenant: string, headers: Record<string, string> = {}) =>
    factsOf(spec, { claims: { tenant }, headers }).residency
  t.strictSame(of('acme'), ['DE', 'AT', 'CH'])
  t.strictSame(of('acme', { 'x-hubward-residency': 'eu' }), ['EU'])
  t.strictSame(of('lost'), [], 'a class that nobody has')
  t.equal(of('other'), undefined)
  t.equal(of('__proto__'), undefined)
})

t.test('the body tells model, tools and context, and only within its bounds', async (t) => {
  const body = JSON.stringify({ model: 'm', messages: [{ content: 'x'.repeat(400) }], max_tokens: 50, tools: [{}] })
  t.match(factsOf({}, { body }), { model: 'm', tools: true, contextTokens: 150 })
  t.match(factsOf({}, { body: '{"model":"m","max_tokens":9,"max_completion_tokens":5}' }), {
    tools: false,
    contextTokens: 5,
  })
  const declared = { facts: { promptTokens: [{ from: 'header', name: 'x-prompt-tokens' }] } } as const
  t.equal(factsOf(declared, { headers: { 'x-prompt-tokens': '1000' }, body }).contextTokens, 1_050)
  t.equal(factsOf(declared, { headers: { 'x-prompt-tokens': '1000' } }).contextTokens, 1_000)
  t.equal(factsOf(declared, { headers: { 'x-prompt-tokens': '-1' } }).contextTokens, undefined)
  t.match(factsOf({}, {}), { model: undefined, tools: undefined, contextTokens: undefined })
  const large = read({ bodyBytesMax: 20 }, { body })
  t.match(large.facts, { model: undefined, tools: undefined, contextTokens: undefined })
  t.same(codesOf(large), ['request/body-too-large'])
  t.same(codesOf(read({}, { body: 'not json' })), ['request/body-unreadable'])
})

t.test('values that a fact cannot hold are left out and counted, and the next source is asked', async (t) => {
  const spec: Partial<FactSources> = {
    facts: {
      model: [
        { from: 'header', name: 'x-model' },
        { from: 'value', value: 'default' },
      ],
      country: [{ from: 'header', name: 'x-country', trusted: true }],
      asn: [{ from: 'header', name: 'x-asn', trusted: true }],
      tools: [{ from: 'header', name: 'x-tools' }],
      deadline: [{ from: 'header', name: 'x-deadline' }],
    },
  }
  const long = read(spec, { headers: { 'x-model': 'x'.repeat(65_536), 'x-country': 'NLD', 'x-tools': 'perhaps' } })
  t.match(long.facts, { model: 'default', country: undefined, tools: undefined })
  t.same(codesOf(long), ['request/too-long', 'request/bad-value', 'request/bad-value'])
  const good = factsOf(spec, {
    headers: { 'x-country': 'nl', 'x-asn': 'AS64496', 'x-tools': '1', 'x-deadline': '90s' },
  })
  t.match(good, { country: 'NL', region: 'EMEA', asn: 64496, tools: true, deadlineMs: NOW + 90_000 })
  const deadlineOf = (text: string) => factsOf(spec, { headers: { 'x-deadline': text } }).deadlineMs
  t.equal(deadlineOf('2026-11-22T12:00:00+01:00'), NOW + 3_600_000)
  for (const text of ['tomorrow', '1', '9999999999h', '2026-13-45T00:00:00Z', '2026'])
    t.equal(deadlineOf(text), undefined)
})

t.test('a request keeps its id if it is fit for a log', async (t) => {
  const idOf = (id: string) => factsOf({}, { headers: { 'x-request-id': id } }).requestId
  t.equal(idOf('b0b2c3-1'), 'b0b2c3-1')
  for (const id of ['', 'a b', 'a\nb', 'ü', 'x'.repeat(129)]) t.equal(idOf(id), 'drawn-at-the-edge', id.slice(0, 5))
})

jobFactCases(t)
