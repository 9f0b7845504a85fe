import { unmet } from '../../src/documents/case-then.ts'
import type { Question } from '../../src/documents/cases.ts'
import type { EngineSnapshot } from '../../src/engine/programs.ts'
import type { Decision } from '../../src/model/decision.ts'
import { HEADERS, MARKER_DEFAULT } from '../../src/model/headers.ts'
import { siteOf } from '../../src/model/names.ts'

/** What came back of a question that travelled. */
export interface Received {
  readonly headers: Readonly<Record<string, string>>
  /** Where the request was sent: what the routing header says, or the cluster that it really arrived at. */
  readonly cluster?: string
  /** A refusal. */
  readonly refused?: { readonly status: number; readonly body: string }
}

/**
 * Words of `then` that an answer does not carry: a request that is sent on is told its reason and not what stood in
 * the way of other targets, and a session shows only in whether there is a new token, which is checked apart.
 */
export const UNSEEN = {
  routed: ['because', 'session', 'readiness', 'forecast', 'suggest', 'movedFrom', 'layers', 'forced'],
  refused: ['session', 'readiness', 'forecast', 'suggest', 'movedFrom', 'layers', 'forced'],
} as const

/** What an answer fails to say of what the case expects, and what in it does not agree with itself, as sentences. */
export function unmetByAnswer(
  { then, snapshot }: Question<EngineSnapshot>,
  received: Received,
  unseen: readonly string[] = [],
): string[] {
  const isRefused = received.refused !== undefined
  const hidden: readonly string[] = [...unseen, ...UNSEEN[isRefused ? 'refused' : 'routed']]
  const visible = Object.fromEntries(Object.entries(then).filter(([word]) => !hidden.includes(word)))
  const { told, problems } = isRefused ? refusal(received) : route(snapshot, received)
  return [...problems, ...unmet(visible, told as Decision)]
}

const common = (headers: Received['headers']) => ({
  action: headers[HEADERS.action],
  reason: headers[HEADERS.reason],
  policy: headers[HEADERS.policy] ?? null,
  arm: headers[HEADERS.arm] ?? null,
})

function route(snapshot: EngineSnapshot, { headers, cluster }: Received): { told: object; problems: string[] } {
  const problems: string[] = []
  if (headers[HEADERS.decision] === undefined) problems.push('the answer has no id of a decision')
  const model = headers[HEADERS.model]
  if (cluster === undefined || cluster === MARKER_DEFAULT) return { told: { ...common(headers), model }, problems }
  // An aggregate begins with the cluster of the target.
  const target = snapshot.programs.targets.find((one) => one.cluster === cluster.split('+')[0])?.name
  if (target === undefined) problems.push(`no target has the cluster ${cluster}`)
  else if (headers[HEADERS.site] !== siteOf(target))
    problems.push(`the header says ${headers[HEADERS.site]}, the cluster belongs to ${target}`)
  return { told: { ...common(headers), model, cluster, target }, problems }
}

function refusal({ headers, refused, cluster }: Received): { told: object; problems: string[] } {
  const { status, body } = refused!
  const problems: string[] = []
  const read = JSON.parse(body) as Record<string, unknown>
  const { arm: _arm, ...said } = common(headers)
  const expected = { ...said, status, decision: headers[HEADERS.decision] }
  for (const [name, value] of Object.entries(expected))
    if (read[name] !== value) problems.push(`${name} is ${read[name]} in the body and ${value} outside`)
  if (headers['content-type'] !== 'application/problem+json') problems.push(`it is ${headers['content-type']}`)
  if ((read.error as { code?: string } | undefined)?.code !== read.reason) problems.push('OpenAI clients read no code')
  if (cluster !== undefined || headers[HEADERS.site] !== undefined) problems.push('a refused request is sent somewhere')
  const { because, until } = read
  const after = headers['retry-after']
  const wait = after === undefined ? {} : { retryAfterMs: Number(after) * 1_000 }
  return { told: { ...common(headers), status, because, until, ...wait }, problems }
}
