import type { Question } from '../../src/documents/cases.ts'
import type { EngineSnapshot } from '../../src/engine/programs.ts'
import type { Judged } from '../../src/envoy/serving.ts'
import { createMetrics } from '../../src/metrics.ts'
import type { Decision } from '../../src/model/decision.ts'
import type { FactSource, FactSources, WorkloadClass } from '../../src/model/documents.ts'
import type { Facts, JobNeeds } from '../../src/model/facts.ts'
import { HEADERS } from '../../src/model/headers.ts'
import type { RequestView } from '../../src/model/request-view.ts'
import { compileFacts } from '../../src/request/facts.ts'
import { issueForce } from '../../src/request/force.ts'
import { issueHop } from '../../src/request/hop.ts'
import { issueSession } from '../../src/request/session-token.ts'
import { signingKeys } from '../../src/request/signing-keys.ts'
import { createJudge } from '../../src/sidecar/judge.ts'
import { createTally } from '../../src/sidecar/tally.ts'

/** A question that a case asks of the engine. */
export type Asked = Question<EngineSnapshot>

const keys = signingKeys([['k1', Buffer.alloc(32, 7)]])
const INSTANCE = 'here'

// A fact's header is called like the fact, and nobody else sends it.
const headerOf = (fact: string): string => `fact-${fact.toLowerCase()}`
const fromHeader = (fact: string): FactSource => ({ from: 'header', name: headerOf(fact), trusted: true })
const PLAIN = ['class', 'model', 'tenant', 'tier', 'region', 'country', 'asn', 'sessionKey', 'tools'] as const

const sourcesFor = (facts: Facts): FactSources => {
  const names = [...PLAIN, 'deadline', 'promptTokens', ...Object.keys(facts.extra)]
  return {
    metadata: { name: 'cases' },
    trustedHops: 0,
    trustedPeers: [],
    facts: Object.fromEntries(names.map((name) => [name, [fromHeader(name)]])),
    residency: [fromHeader('residency')],
    tenantResidency: {},
    jobs: [{ prefix: '/v1/jobs' }],
    bodyBytesMax: 0,
  }
}

const AMOUNTS = ['mw', 'coolingKw', 'gpus', 'gpusMin', 'batchSize', 'hours'] as const

const needsText = ({ signals = {}, gpu, cooling, mayDelay, near, ...amounts }: JobNeeds): string =>
  [
    ...Object.entries(signals).flatMap(([name, { min, max }]) => [
      ...(min === undefined ? [] : [`${name}>=${min}`]),
      ...(max === undefined ? [] : [`${name}<=${max}`]),
    ]),
    ...(gpu === undefined ? [] : [`gpu=${gpu.join('|')}`]),
    ...(cooling === undefined ? [] : [`cooling=${cooling.join('|')}`]),
    ...(mayDelay === undefined ? [] : [mayDelay ? 'may-delay' : 'no-delay']),
    ...(near === undefined ? [] : [`near=${near.join('|')}`]),
    ...AMOUNTS.flatMap((name) => (amounts[name] === undefined ? [] : [`${name}=${amounts[name]}`])),
  ].join(', ')

/** The headers from which the facts of a question can be read again; session and hop are signed, as a client's are. */
export function headersOf({ facts, now }: Asked): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const name of PLAIN) if (facts[name] !== undefined) headers[headerOf(name)] = String(facts[name])
  for (const [name, value] of Object.entries(facts.extra)) headers[headerOf(name)] = String(value)
  if (facts.deadlineMs !== undefined) headers[headerOf('deadline')] = new Date(facts.deadlineMs).toISOString()
  if (facts.contextTokens !== undefined) headers[headerOf('promptTokens')] = String(facts.contextTokens)
  // A comma alone is a list without items.
  if (facts.residency !== undefined) headers[headerOf('residency')] = facts.residency.join(', ') || ','
  if (facts.residencyClass !== undefined) headers[HEADERS.residency] = facts.residencyClass
  if (facts.needs !== undefined) headers[HEADERS.needs] = needsText(facts.needs)
  if (facts.forced !== undefined) headers[HEADERS.force] = issueForce(keys, facts.forced, 60_000, now) ?? ''
  const { session, hop, sessionKey } = facts
  if (session.verdict === 'valid' && session.target !== undefined && sessionKey !== undefined) {
    headers[HEADERS.session] = issueSession(keys, { ...facts, sessionKey, target: session.target }, now) ?? ''
  }
  if (hop?.target !== undefined && hop.cluster !== undefined) {
    const { target, cluster, decision: id = '', policy = null } = hop
    const instance = hop.verdict === 'loop' ? INSTANCE : 'elsewhere'
    headers[HEADERS.hop] = issueHop(keys, { instance, decision: { id, target, cluster, policy } }, now) ?? ''
  }
  return headers
}

/** The request path of hubward around the world of one question at a time. */
export interface CaseJudge {
  readonly judge: (view: RequestView) => Judged
  /** Puts the world of this question in force. */
  readonly ask: (asked: Asked) => void
  /** What was read and decided since then. */
  readonly seen: () => readonly { readonly facts: Facts; readonly decision: Decision }[]
}

/**
 * Hubward's own judge with a case's snapshot and clock. Facts are read from the headers; only what is drawn at the edge,
 * the seed and the request's id, is the case's, as otherwise no case could say what chance decides.
 */
export function caseJudge(): CaseJudge {
  let seen: { facts: Facts; decision: Decision }[] = []
  let judge: (view: RequestView) => Judged = () => {
    throw new Error('nothing has been asked yet')
  }
  const ask = ({ facts: asked, snapshot, now }: Asked): void => {
    seen = []
    const sets = Object.values(snapshot.data.sets)
    const read = compileFacts(
      [sourcesFor(asked)],
      sets.flatMap(({ residencies }) => residencies),
      {
        classes: sets.flatMap(({ classes }): readonly WorkloadClass[] => classes),
        sessionKeys: keys,
        hops: { keys, instance: INSTANCE },
        forceKeys: keys,
      },
    )
    let facts: Facts
    const inner = createJudge({
      clock: { now: () => now },
      current: () => snapshot,
      readFacts: () => (view, at, random) => {
        const result = read(view, at, random)
        facts = { ...result.facts, seed: asked.seed, requestId: asked.requestId }
        return { ...result, facts }
      },
      tally: createTally(1),
      metrics: createMetrics(),
      journal: { wants: () => undefined, keep: () => {} },
      sessionKeys: keys,
      hops: undefined,
      onPanic: () => {},
      onStale: () => {},
    })
    judge = (view) => {
      const judged = inner(view)
      seen.push({ facts, decision: judged.decision })
      return judged
    }
  }
  return { judge: (view) => judge(view), ask, seen: () => seen }
}
