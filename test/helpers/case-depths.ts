import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runCases } from '../../src/documents/cases.ts'
import { readDocuments } from '../../src/documents/read.ts'
import { decide } from '../../src/engine/decide.ts'
import { emptySnapshot, fold } from '../../src/engine/fold.ts'
import type { EngineSnapshot } from '../../src/engine/programs.ts'
import type { Judged } from '../../src/envoy/serving.ts'
import type { Decision } from '../../src/model/decision.ts'
import type { FactSources } from '../../src/model/documents.ts'
import type { Facts } from '../../src/model/facts.ts'
import { HEADERS } from '../../src/model/headers.ts'
import type { RequestView } from '../../src/model/request-view.ts'
import { compileFacts } from '../../src/request/facts.ts'
import { issueSession } from '../../src/request/session-token.ts'
import { signingKeys } from '../../src/request/signing-keys.ts'

/** One question of a case: the world it was asked in, the facts it was asked with, and what the engine itself said. */
export interface Asked {
  readonly name: string
  readonly facts: Facts
  readonly snapshot: EngineSnapshot
  readonly now: number
  readonly decision: Decision
}

/** Every question of the cases in a file, answered by the engine. Throws if a case fails there: the first depth. */
export const askedBy = (file: string): Asked[] => {
  const text = readFileSync(join(import.meta.dirname, '..', 'cases', file), 'utf8')
  const { set, problems } = readDocuments([{ path: file, text }])
  if (set === null) throw new Error(JSON.stringify(problems, null, 1))
  const asked: Asked[] = []
  const results = runCases(set, {
    emptySnapshot,
    fold,
    decide: (facts, snapshot: EngineSnapshot, tally, now, id) => {
      const decision = decide(facts, snapshot, tally, now, id)
      asked.push({ name: '', facts, snapshot, now, decision })
      return decision
    },
  })
  const failed = results.filter(({ ok }) => !ok)
  if (failed.length > 0)
    throw new Error(failed.map(({ title, failures }) => `${title}: ${failures.join('; ')}`).join('\n'))
  const names = results.flatMap(({ title, decisions }) =>
    decisions.map((_, step) => (decisions.length === 1 ? title : `${title}, step ${step}`)),
  )
  return asked.map((one, index) => ({ ...one, name: names[index]! }))
}

const header = (name: string) => [{ from: 'header', name: `x-${name.toLowerCase()}`, trusted: true }] as const
const PLAIN = ['class', 'model', 'tenant', 'tier', 'region', 'country', 'sessionKey', 'promptTokens', 'tools'] as const
const SOURCES: FactSources = {
  metadata: { name: 'cases' },
  trustedHops: 0,
  trustedPeers: [],
  facts: Object.fromEntries(PLAIN.map((name) => [name, header(name)])),
  residency: header('jurisdictions'),
  tenantResidency: {},
  bodyBytesMax: 0,
}
const keys = signingKeys([['cases', Buffer.alloc(32, 1)]])

/** The facts of a question as the headers of a request: what a client, Envoy and the filters before us would send. */
export const headersOf = (index: number, { facts, now }: Asked): Record<string, string> => {
  const headers: Record<string, string> = { 'x-case': String(index), 'x-class': facts.class }
  for (const name of ['model', 'tenant', 'tier', 'region', 'country', 'sessionKey', 'tools'] as const) {
    if (facts[name] !== undefined) headers[`x-${name.toLowerCase()}`] = String(facts[name])
  }
  if (facts.contextTokens !== undefined) headers['x-prompttokens'] = String(facts.contextTokens)
  if (facts.residency !== undefined) headers['x-jurisdictions'] = facts.residency.join(',')
  if (facts.residencyClass !== undefined) headers[HEADERS.residency] = facts.residencyClass
  for (const [signal, { min, max }] of Object.entries(facts.needs?.signals ?? {}))
    headers[HEADERS.needs] = min === undefined ? `${signal}<=${max}` : `${signal}>=${min}`
  if (facts.session.verdict === 'valid') {
    const { sessionKey = '', tenant, residency } = facts
    headers[HEADERS.session] = issueSession(
      keys,
      { sessionKey, tenant, class: facts.class, residency, target: facts.session.target! },
      now,
    )!
  }
  return headers
}

/** Judges a request by the world of the case that it names: facts are read from its headers, then decided on. */
export const judgeOfCases =
  (asked: readonly Asked[]) =>
  (view: RequestView): Judged => {
    const { snapshot, now, facts: wanted } = asked[Number(view.header('x-case'))]!
    const residencies = [...snapshot.programs.residencies.values()]
    const classes = [...snapshot.programs.classes.values()].flatMap(({ doc }) => (doc === undefined ? [] : [doc]))
    const { facts } = compileFacts([SOURCES], residencies, { classes, sessionKeys: keys })(view, now, {
      seed: wanted.seed,
      requestId: wanted.requestId,
    })
    return {
      decision: decide(
        { ...facts, requestId: wanted.requestId },
        snapshot,
        { dispatched: {}, held: {}, sidecars: 1 },
        now,
        'case',
      ),
    }
  }

/** What an answer's headers have to say of a decision. */
export const expectedHeaders = (decision: Decision): Record<string, string> => ({
  [HEADERS.action]: decision.action,
  [HEADERS.reason]: decision.reason,
  ...(decision.policy === null ? {} : { [HEADERS.policy]: decision.policy }),
  ...((decision.action === 'route' || decision.action === 'degrade') && decision.target !== undefined
    ? { [HEADERS.site]: decision.target.split('/')[0]! }
    : {}),
  ...(decision.action === 'degrade' ? { [HEADERS.model]: decision.model } : {}),
})
