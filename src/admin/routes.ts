/** One thing that can be asked over HTTP. */
export interface Route {
  readonly path: string
  /** Whether it is answered without a token where tokens are configured; then without details. */
  readonly open: boolean
  readonly says: string
  /** Parameters of the query, by name. */
  readonly query?: Readonly<Record<string, string>>
  /** What each status means. */
  readonly answers: Readonly<Record<number, string>>
}

/** Every route; all are GET, none changes anything. To add one, add a row here and its handler in handlers.ts. */
export const ROUTES = {
  index: { path: '/', open: false, says: 'what can be asked here', answers: { 200: 'this table' } },
  metrics: { path: '/metrics', open: false, says: 'numbers for Prometheus', answers: { 200: 'text format 0.0.4' } },
  healthz: { path: '/healthz', open: true, says: 'whether the process is alive', answers: { 200: 'it is' } },
  readyz: {
    path: '/readyz',
    open: true,
    says: 'whether requests are decided: documents are accepted, every listener is up and warm, nobody asked it to end',
    answers: { 200: 'they are', 503: 'not (yet, or any more); `because` says why' },
  },
  snapshot: {
    path: '/snapshot',
    open: false,
    says: 'what decisions read, without addresses, tenants and where facts come from',
    query: {
      after: 'answer only once the revision is higher than this one',
      timeoutMs: 'wait so long for it, at most 60000; 304 when it passes',
    },
    answers: {
      200: 'the snapshot; its ETag is a hash of the answer',
      304: 'unchanged, or no newer one in time',
      503: 'too many wait already',
    },
  },
  sources: {
    path: '/sources',
    open: false,
    says: 'every source with its owner, version, nonce, last accepted and refused set and why',
    answers: { 200: 'a list' },
  },
  siteReady: {
    path: '/v1/sites/:site/ready',
    open: true,
    says: 'whether a site can take work of a class now, for a global load balancer or a geo-DNS health check',
    query: { class: 'the class of work; absent: any, by health and safety alone' },
    answers: { 200: 'it can', 404: 'no such site or class', 503: 'it cannot; `because` says why' },
  },
  overrides: {
    path: '/overrides',
    open: false,
    says: 'emergency orders and maintenance, those that ended a while ago included',
    answers: { 200: 'orders, each with whether it is in force' },
  },
} as const satisfies Record<string, Route>

/** A key of ROUTES. */
export type RouteName = keyof typeof ROUTES
