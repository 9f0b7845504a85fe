/*
 * The words of a policy case. A case states only what matters: every site is up, every signal that a policy asks for is
 * good, and the request belongs to nobody, unless the case says otherwise.
 */

/** What `given` may say, and what each word means. The reference is made of this table. */
export const GIVEN_WORDS = {
  now: 'the time at which the case begins, as 2026-11-22T10:00:00Z',
  sites:
    'by site, pool or coolant loop (ams, ams/h100, ams@cdu-1): values of signals as meters report them, and the words of a site; power headroom and cooling margin follow from meters and the Site document where those are given',
  reservations: 'what admitted jobs hold: target, mw, and optionally coolingKw, gpus, drawMw (drawn already)',
  overrides: 'orders in force: kind, scope, and optionally constraint, reason, for (a duration)',
  routing: 'on or off',
  clusters: 'the clusters that Envoy is known to have; absent: all',
  flags:
    'flags in force: a flagd definition as in a file, or only its flags by key, whose state is then ENABLED where none is written',
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
  from: 'values of links, by their other end: { region:EMEA: { client.rtt_p95_ms: 30 }, site:fra: { site.rtt_ms: 9 } }',
  prices: 'price.per_mwh ahead of time, from hours after the beginning on: { 0h: 90, 6h: 35 }; the last holds a day',
  offPeak: 'when tariff.off_peak is true, hours after the beginning: { from: 6h, to: 12h }, or a list of them',
  series: 'other signals ahead of time, written as prices are: { carbon.g_per_kwh: { 0h: 300, 4h: 120 } }',
} as const satisfies Record<string, string>

/** What `when` may say beside the names of facts; any other name is a fact of the user's own. */
export const WHEN_WORDS = {
  near: 'the site with the smallest measured round trip',
  session: 'the target that the session runs on',
  hop: 'the target that another hubward chose for this request already, or loop: it has been here before',
  followUp: 'the request is about work that was sent before: ask (looks at it or ends it) or work (adds to it)',
  needs:
    'what a job says it needs: signals, gpu, cooling, mayDelay, mw, coolingKw, gpus, gpusMin, batchSize, near, hours',
  forced: "what a tester's signed header asks for: cohort (to count as of it) or arm (control or treatment), or both",
  seed: '16 hex digits; absent: zeros',
} as const satisfies Record<string, string>

/** What a job may say it needs, and the type of each. */
export const NEED_WORDS = {
  signals: 'object',
  gpu: 'list',
  cooling: 'list',
  mayDelay: 'boolean',
  mw: 'number',
  coolingKw: 'number',
  gpus: 'number',
  gpusMin: 'number',
  batchSize: 'number',
  near: 'list',
  hours: 'number',
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
  readiness:
    'by target, the readiness for the class of the request: overall, or a dimension: { ams/h100: { power: amber } }',
  forecast: 'when it is expected to fit: in (a duration from now, or never), waitsFor, target',
  suggest: 'what could be asked for instead: gpus',
  layers:
    'flags that have to be among those that had a say: layer, flag, and optionally variant, shadowed, error, stale',
  arm: 'control, treatment or none',
  forced: "true or false: whether a tester's word counted",
  movedFrom: 'the target that the session was on before',
} as const satisfies Record<string, string>
