import fc from 'fast-check'
import t from 'tap'
import { checkAnswer, decisionHeaders, processingAnswer } from '../../src/envoy/answer.ts'
import { END, type Handlers, type StreamState } from '../../src/envoy/handlers.ts'
import { ReadyAnswers } from '../../src/envoy/ready-answers.ts'
import { rewriteModel } from '../../src/envoy/rewrite-model.ts'
import { SELF_WARM_CHECK, SELF_WARM_STREAMS } from '../../src/envoy/self-warm-messages.ts'
import { handlersOf } from '../../src/envoy/serving.ts'
import { encodeCheckResponse } from '../../src/envoy/wire/ext-authz-response.ts'
import { encodeProcessingResponse } from '../../src/envoy/wire/ext-proc-response.ts'
import type { Decision, DecisionCommon, Outcome } from '../../src/model/decision.ts'
import type { RequestView } from '../../src/model/request-view.ts'
import { decisionOf, scriptedJudge, toSite } from '../helpers/scripted-judge.ts'
import { sessionMovesCases } from '../helpers/session-moves-cases.ts'
import { CHECK, type Loose, PROCESS, structOf } from '../helpers/wire-messages.ts'

/** The path around the scripted judge, and what the judge was shown. */
const path = (): { handlers: Handlers; views: RequestView[] } => {
  const views: RequestView[] = []
  const judge = (view: RequestView) => {
    views.push(view)
    return scriptedJudge(view)
  }
  return { handlers: handlersOf({ judge, failed: () => {} }), views }
}
const headersOf = (headers: Record<string, string>): Loose => ({
  headers: Object.entries(headers).map(([key, value]) => ({ key, raw_value: Buffer.from(value) })),
})
const asking = (message: Loose): Buffer => PROCESS.requestSerialize(message)
const headersMessage = (headers: Record<string, string>, more: Loose = {}): Buffer =>
  asking({ request_headers: { headers: headersOf(headers), end_of_stream: false }, ...more })
const BUFFERED = { protocol_config: { request_body_mode: 'BUFFERED' } }
const read = (answer: ReturnType<Handlers['process']>): Loose =>
  Buffer.isBuffer(answer) ? PROCESS.responseDeserialize(answer) : answer
/** The headers that an answer sets, by name. */
const setBy = (common: Loose): Record<string, string> =>
  Object.fromEntries(
    common.header_mutation.set_headers.map(({ header }: Loose) => [header.key, header.raw_value.toString()]),
  )

/** What an answer says that changes nothing. */
const NOTHING = { status: 0, header_mutation: null, body_mutation: null, clear_route_cache: false }

t.test('a request is decided on its headers, and Envoy is told to choose the route again', async (t) => {
  const { handlers, views } = path()
  const state: StreamState = {}
  const { response } = read(
    handlers.process(headersMessage({ ':method': 'POST', 'x-want': 'b' }), state),
  ).request_headers
  t.match(setBy(response), { 'x-hubward-cluster': 'b', 'x-hubward-site': 'b', 'x-hubward-reason': 'first-choice' })
  t.equal(response.clear_route_cache, true)
  t.equal(views.length, 1)
  t.same(
    read(handlers.process(headersMessage({ 'x-want': 'a' }), state)).request_headers.response,
    NOTHING,
    'never twice',
  )
  t.equal(views.length, 1)
})

t.test('where the route buffers the body, the decision waits for it', async (t) => {
  const { handlers, views } = path()
  const state: StreamState = {}
  t.same(
    read(handlers.process(headersMessage({ 'x-want': 'body' }, BUFFERED), state)).request_headers.response,
    NOTHING,
  )
  t.equal(views.length, 0)
  const body = Buffer.from('{ "model":"big", "n":1.0 }')
  // Not the end of the stream: trailers follow.
  const answer = handlers.process(asking({ request_body: { body, end_of_stream: false } }), state)
  const { response } = read(answer).request_body
  t.match(setBy(response), { 'x-hubward-cluster': 'b', 'x-hubward-model': 'small', 'content-length': '28' })
  t.equal(response.body_mutation.body.toString(), '{ "model":"small", "n":1.0 }')
  t.ok(read(handlers.process(asking({ request_trailers: {} }), state)).request_trailers)
  t.equal(views.length, 1)
})

t.test('a request that ends with its headers, or whose body is streamed, is decided on its headers', async (t) => {
  const { handlers, views } = path()
  const ended = asking({ request_headers: { headers: headersOf({ 'x-want': 'b' }), end_of_stream: true }, ...BUFFERED })
  t.equal(setBy(read(handlers.process(ended, {})).request_headers.response)['x-hubward-cluster'], 'b')
  for (const mode of ['STREAMED', 'BUFFERED_PARTIAL', 'NONE']) {
    const state: StreamState = {}
    const headers = headersMessage({ 'x-want': 'b' }, { protocol_config: { request_body_mode: mode } })
    t.equal(setBy(read(handlers.process(headers, state)).request_headers.response)['x-hubward-cluster'], 'b', mode)
    const part = asking({ request_body: { body: Buffer.from('x'), end_of_stream: false } })
    t.same(read(handlers.process(part, state)).request_body.response, NOTHING, 'passed on as it came')
  }
  t.equal(views.length, 4)
})

t.test('phases that nobody should send are passed on; observed requests get no answer', async (t) => {
  const { handlers, views } = path()
  for (const phase of ['response_headers', 'response_body', 'request_trailers', 'response_trailers', 'request_body'])
    t.ok(read(handlers.process(asking({ [phase]: {} }), { decided: true }))[phase], phase)
  t.equal(handlers.process(headersMessage({}, { observability_mode: true }), {}), undefined)
  t.equal(views.length, 0)
})

t.test('a message of a later version harms no request that is decided, and decides none that is not', async (t) => {
  const { handlers } = path()
  const later = Buffer.from([0x82, 0x01, 0])
  t.equal(handlers.process(later, { decided: true }), END)
  t.throws(() => handlers.process(later, {}), { name: 'WireError' })
  const waiting: StreamState = {}
  handlers.process(headersMessage({}, BUFFERED), waiting)
  t.throws(() => handlers.process(later, waiting), { name: 'WireError' })
  t.throws(
    () => handlers.process(asking({ request_trailers: {} }), waiting),
    { name: 'WireError' },
    'a body never came',
  )
})

t.test('the view shows headers, attributes, claims and addresses of both protocols alike', async (t) => {
  const { handlers, views } = path()
  const claims = { sub: 'a', roles: ['x'] }
  const metadata_context = { filter_metadata: { 'envoy.filters.http.jwt_authn': structOf({ payload: claims }) } }
  const headers = { ':method': 'GET', ':path': '/v1/x?y=%20', ':authority': 'h', 'x-name': 'Zürich' }
  const attributes = { 'envoy.filters.http.ext_proc': structOf({ 'source.address': '10.0.0.1:5', 'connection.id': 7 }) }
  const message = asking({
    request_headers: {
      headers: { headers: [...headersOf(headers).headers, { key: 'x-name', raw_value: Buffer.from('second') }] },
    },
    attributes,
    metadata_context,
  })
  handlers.process(message, {})
  handlers.check(
    CHECK.requestSerialize({
      attributes: {
        source: { address: { socket_address: { address: '10.0.0.1', port_value: 5 } } },
        request: { http: { method: 'GET', path: '/v1/x?y=%20', host: 'h', headers: { 'x-name': 'Zürich,second' } } },
        context_extensions: { tenant: 'acme' },
        metadata_context,
      },
    }),
  )
  for (const view of views) {
    t.match(view, { method: 'GET', path: '/v1/x?y=%20', authority: 'h' })
    t.equal(view.header('x-name'), 'Zürich,second')
    t.equal(view.header('x-none'), undefined)
    t.equal(view.attribute('source.address'), '10.0.0.1:5')
    t.equal(view.attribute('constructor'), undefined)
    t.equal(view.metadata('__proto__'), undefined)
    t.equal(JSON.stringify(view.metadata('envoy.filters.http.jwt_authn')), JSON.stringify({ payload: claims }))
  }
  t.equal(views[0]!.attribute('connection.id'), 7)
  t.equal(views[1]!.contextExtensions!.tenant, 'acme')
})

t.test('the messages of the warm-up are requests as Envoy sends them', async (t) => {
  const { handlers, views } = path()
  for (const stream of SELF_WARM_STREAMS) {
    const state: StreamState = {}
    for (const message of stream) t.ok(handlers.process(message, state))
    t.equal(state.decided, true)
  }
  t.ok(CHECK.responseDeserialize(handlers.check(SELF_WARM_CHECK)).ok_response)
  for (const view of views) {
    t.equal(view.path, '/v1/chat/completions')
    t.equal(view.header('content-type'), 'application/json')
    t.equal(view.attribute('source.address'), '192.0.2.1:40000')
  }
  t.match(JSON.parse(Buffer.from(views[1]!.body!).toString()), { model: 'self-warm' })
})

const refusals: readonly {
  outcome: Outcome
  common: Partial<DecisionCommon>
  status: number
  title: string
  type: string
  retryAfter?: string
  shouldRetry?: string
}[] = [
  {
    outcome: { action: 'deny', status: 403 },
    common: { reason: 'residency-unservable' },
    ...{ status: 403, title: 'Not allowed', type: 'permission_error' },
  },
  {
    outcome: { action: 'deny', status: 429, retryAfterMs: 60_000 },
    common: { reason: 'band' },
    ...{ status: 429, title: 'Not available now', type: 'rate_limit_error', retryAfter: '60' },
  },
  {
    outcome: { action: 'deny', status: 503, retryAfterMs: 60_001 },
    common: { reason: 'no-target' },
    ...{ status: 503, title: 'Not available now', type: 'service_unavailable_error' },
    ...{ retryAfter: '61', shouldRetry: 'false' },
  },
  {
    outcome: { action: 'delay', status: 503, retryAfterMs: 1, until: 'off-peak' },
    common: { reason: 'no-target' },
    ...{ status: 503, title: 'Come back later', type: 'service_unavailable_error', retryAfter: '1' },
  },
  {
    outcome: { action: 'queue', holdMsMax: 1_500 },
    common: { reason: 'no-target' },
    ...{ status: 503, title: 'Come back soon', type: 'service_unavailable_error', retryAfter: '2' },
  },
]
for (const { outcome, common, status, title, type, retryAfter, shouldRetry } of refusals) {
  t.test(`${outcome.action} ${status} answers with problem+json, the same over both protocols`, async (t) => {
    const decision = decisionOf(outcome, common)
    const { immediate_response: immediate } = PROCESS.responseDeserialize(processingAnswer(decision, 'request_headers'))
    const headers = setBy({ header_mutation: immediate.headers })
    t.equal(immediate.status.code, status)
    t.equal(immediate.details, `hubward_${outcome.action}_${common.reason}`)
    t.notMatch(immediate.details, / /)
    t.same(
      [headers['content-type'], headers['retry-after'], headers['x-should-retry']],
      ['application/problem+json', retryAfter, shouldRetry],
    )
    t.match(headers, {
      'x-hubward-action': outcome.action,
      'x-hubward-reason': common.reason,
      'x-hubward-decision': 'd1',
    })
    t.notOk('x-hubward-cluster' in headers)
    const body = JSON.parse(immediate.body.toString())
    t.match(body, { title, status, reason: common.reason, decision: 'd1', instance: '/v1/decisions/d1', because: [] })
    t.match(body.error, { type, code: common.reason, param: null, message: String })
    const checked = CHECK.responseDeserialize(checkAnswer(decision))
    t.equal(checked.status.code, 7)
    t.equal(checked.denied_response.status.code, status)
    t.equal(checked.denied_response.body, immediate.body.toString())
    t.same(
      checked.denied_response.headers.map(({ header }: Loose) => [header.key, header.value]),
      Object.entries(headers),
    )
  })
}

t.test('a decision without a target leaves the route to Envoy, and says that it was made', async (t) => {
  const decision = decisionOf({ action: 'route' }, { reason: 'no-policy', policy: null })
  const { response } = PROCESS.responseDeserialize(processingAnswer(decision, 'request_headers')).request_headers
  t.same(setBy(response), {
    'x-hubward-cluster': 'default',
    'x-hubward-action': 'route',
    'x-hubward-reason': 'no-policy',
    'x-hubward-decision': 'd1',
  })
  t.equal(response.clear_route_cache, true)
})

t.test('session, hop and arm go with the request; ext_authz says the same in value alone', async (t) => {
  const decision: Decision = { ...toSite('ams'), arm: 'treatment' }
  const extras = { session: 'sess', hop: 'hop' }
  const said = {
    'x-hubward-cluster': 'ams',
    'x-hubward-arm': 'treatment',
    'x-hubward-session': 'sess',
    'x-hubward-hop': 'hop',
  }
  const { response } = PROCESS.responseDeserialize(
    processingAnswer(decision, 'request_headers', extras),
  ).request_headers
  t.match(setBy(response), said)
  const { ok_response: ok } = CHECK.responseDeserialize(checkAnswer(decision, extras))
  t.match(Object.fromEntries(ok.headers.map(({ header }: Loose) => [header.key, header.value])), said)
  t.ok(ok.headers.every(({ header, append_action }: Loose) => header.raw_value.length === 0 && append_action === 2))
})

t.test('a rewritten body differs from the old one in its model only', async (t) => {
  fc.assert(
    fc.property(fc.json(), fc.string(), fc.string(), fc.nat(3), (inner, from, to, space) => {
      const text = `{"a":${inner},"nested":{"model":"kept"},"model": ${JSON.stringify(from)} ,"list":[{"model":"kept"}]}`
      const spaced = space === 0 ? text : `${' '.repeat(space)}${text}\n`
      const written = rewriteModel(Buffer.from(spaced), to)!.toString()
      const head = spaced.indexOf(`"model": ${JSON.stringify(from)} ,"list"`) + '"model": '.length
      return written === spaced.slice(0, head) + JSON.stringify(to) + spaced.slice(head + JSON.stringify(from).length)
    }),
    { numRuns: 2_000, seed: 1 },
  )
  const rewritten = (text: string) => rewriteModel(Buffer.from(text), 'small')?.toString()
  t.equal(rewritten('{"model":"a","model":"b"}'), '{"model":"a","model":"small"}', 'the last is the one that is read')
  t.equal(rewritten('{"mod\\u0065l":"a"}'), '{"mod\\u0065l":"small"}', 'a key may be written with escapes')
  t.equal(rewritten('{"x":"\\"model\\":\\"a\\"","model":"a"}'), '{"x":"\\"model\\":\\"a\\"","model":"small"}')
  const odd = Buffer.from('7b2278223a22ff80222c226d6f64656c223a2261227d', 'hex')
  t.equal(
    rewriteModel(odd, 'ü')!.toString('hex'),
    '7b2278223a22ff80222c226d6f64656c223a22c3bc227d',
    'no UTF-8 stays so',
  )
  for (const none of [
    '',
    '[]',
    '"model"',
    '{"model":1}',
    '{"a":{"model":"b"}}',
    '{"model":"a"',
    'null',
    '{"model":"a","model":2}',
  ])
    t.equal(rewritten(none), undefined, none)
})

sessionMovesCases(t)

t.test('answers made ahead are those that encoding gives, for every decision and both protocols', async (t) => {
  const ids = ['mfz1k2ab-0011223344556677', 'mfz1k2ac-8899aabbccddeeff', 'short']
  const base = toSite('a')
  const decisions = ['ams/h100', 'fra/h100', undefined].flatMap((target) =>
    (['first-choice', 'fallback', 'no-policy'] as const).flatMap((reason) =>
      ['chat-default@3', null].flatMap((policy) =>
        [null, 'treatment' as const].flatMap((arm) => [
          {
            ...base,
            action: 'route',
            target,
            cluster: target === undefined ? undefined : `c-${target}`,
            reason,
            policy,
            arm,
          },
          ...(target === undefined
            ? []
            : [
                {
                  ...base,
                  action: 'degrade',
                  target,
                  cluster: 'c',
                  model: 'small',
                  rewriteBody: false,
                  reason,
                  policy,
                  arm,
                },
              ]),
          { ...base, action: 'route', target, cluster: 'c', reason, policy, arm, movedFrom: 'lon/h100' },
          { ...base, action: 'route', target, cluster: 'c', reason, policy, arm, reservation: 'r-1' },
        ]),
      ),
    ),
  ) as unknown as Decision[]
  let answers = 0
  // Twice: the second time every answer is there.
  for (const id of [...ids, ...ids]) {
    for (const one of decisions) {
      const decision = { ...one, id }
      const set = decisionHeaders(decision)
      for (const extras of [{}, { session: 'token' }, { hop: 'signed' }] as const) {
        const all = decisionHeaders(decision, extras)
        const mutation = { set: all }
        const expected = encodeProcessingResponse({ kind: 'request_headers', mutation, clearRouteCache: true })
        if (!processingAnswer(decision, 'request_headers', extras).equals(expected)) t.fail(JSON.stringify(decision))
        if (!checkAnswer(decision, extras).equals(encodeCheckResponse({ kind: 'ok', set: all })))
          t.fail(JSON.stringify(set))
        answers += 2
      }
    }
  }
  t.equal(answers, ids.length * 2 * decisions.length * 6)
  t.ok(
    processingAnswer({ ...decisions[0]!, id: 'é'.repeat(5) }, 'request_headers').includes('é'),
    'an id that is no ASCII',
  )

  const kept = new ReadyAnswers((decision) => Buffer.from(`${decision.reason} ${decision.id}`), 10)
  for (let i = 0; i < 1_000; i++) {
    const decision = { ...decisions[0]!, policy: `p${i}@1`, id: 'abc' } as Decision
    if (kept.answer(decision)?.toString() !== 'first-choice abc') t.fail(`p${i}`)
    if (kept.kept > 10) t.fail('names change for years, and are not all kept')
  }
})
