import type { Judged } from '../../src/envoy/serving.ts'
import type { Decision, DecisionCommon, Outcome } from '../../src/model/decision.ts'
import type { RequestView } from '../../src/model/request-view.ts'

const COMMON: DecisionCommon = {
  id: 'd1',
  at: 0,
  class: 'chat',
  reason: 'first-choice',
  because: [],
  ladder: [],
  next: [],
  policy: 'p@1',
  policyHash: null,
  revision: 1,
  layers: [],
  override: null,
  arm: null,
  session: 'none',
  stale: [],
  insufficient: [],
}

/** A decision; what is left out is a first choice of policy p@1. */
export const decisionOf = (outcome: Outcome, common: Partial<DecisionCommon> = {}): Decision => ({
  ...COMMON,
  ...common,
  ...outcome,
})

/** The decision that sends to the only pool of a site whose cluster has the site's name. */
export const toSite = (site: string): Decision =>
  decisionOf({ action: 'route', target: `${site}/default`, cluster: site })

/** A judge for tests: the header x-want says what is to be decided, in ways that no user has. */
export const scriptedJudge = (view: RequestView): Judged => {
  const want = view.header('x-want') ?? 'a'
  if (want === 'throw') throw new Error('a bug in the judge')
  if (want === 'deny') {
    const limit = { op: '<=', limit: 40, unit: 'requests' } as const
    const because = [{ target: 'a/default', constraint: 'queue.depth', measured: 41, ...limit }]
    return {
      decision: decisionOf({ action: 'deny', status: 503, retryAfterMs: 90_000 }, { reason: 'no-target', because }),
    }
  }
  if (want === 'body') {
    const { model } = JSON.parse(Buffer.from(view.body ?? '{}').toString()) as { model?: string }
    const cluster = model === 'big' ? 'b' : 'a'
    const outcome = { action: 'degrade', target: 'b/default', cluster, model: 'small', rewriteBody: true } as const
    return { decision: decisionOf(outcome, { reason: 'degraded' }) }
  }
  if (want === 'envoy') return { decision: decisionOf({ action: 'route' }, { reason: 'no-policy' }) }
  const session = `token for ${view.attribute('source.address') === undefined ? 'nobody' : 'somebody'}`
  return { decision: toSite(want), extras: { session } }
}
