/*
 * The words of a policy case. A case states only what matters: every site is up, every signal that a policy asks for is
 * good, and the request belongs to nobody, unless the case says otherwise.
 */

/** What `given` may say, and what each word means. The reference is made of this table. */
export const GIVEN_WORDS = {
  now: 'the time at which the case begins, as 2026-11-22T10:00:00Z',
  sites: 'by site or pool (ams, ams/h100): values of signals, and the words of a site',
  overrides: 'orders in force: kind, scope, and optionally constraint, reason, for (a duration)',
  routing: 'on or off',
  clusters: 'the clusters that Envoy is known to have; absent: all',
  documents: 'documents as in a file, which replace those of the same kind and name',
} as const satisfies Record<string, string>

/** What may be said of a site or pool beside the values of its signals. */
export const SITE_WORDS = {
  down: 'true: its probes are refused',
  refusing: 'true: real connections to it are refused, whatever its probes say',
  drained: 'true: an order drains it',
  maintenance: 'true: an order puts it into maintenance',
  stale: 'signals whose sample is a month old',
  missing: 'signals that were never measured',
  insufficient: 'signals with too few events behind them',
} as const satisfies Record<string, string>

/** What `when` may say beside the names of facts; any other name is a fact of the user's own. */
export const WHEN_WORDS = {
  near: 'the site with the smallest measured round trip',
  session: 'the target that the session runs on',
  hop: 'the target that another hubward chose for this request already, or loop: it has been here before',
  needs: 'what a job says it needs: signals, gpu, cooling, mayDelay',
  seed: '16 hex digits; absent: zeros',
} as const satisfies Record<string, string>

/** What `then` may say. Of target and site, a list means any of them. */
export const THEN_WORDS = {
  action: 'route, degrade, queue, delay or deny',
  target: 'a pool, as ams/h100',
  site: 'the site of the pool',
  cluster: 'the cluster that Envoy is told',
  model: 'degrade: the model that answers',
  reason: 'one of docs/reference/reasons.md',
  policy: 'the policy, as name@version or by name',
  status: 'the HTTP status of a refusal',
  retryAfter: 'the Retry-After of a refusal, as a duration',
  until: 'what a delay waits for',
  session: 'none, new, kept, moved, …',
  because: 'entries that have to be among the reasons: target, constraint, and optionally measured and limit',
} as const satisfies Record<string, string>
