/** One thing that can be asked over HTTP. */
export interface Route {
  readonly path: string
  /** Absent: GET, which changes nothing. */
  readonly method?: 'GET' | 'POST'
  /** Whether it is answered without a token where tokens are configured; then without details. */
  readonly open: boolean
  readonly says: string
  /** Parameters of the query, by name. */
  readonly query?: Readonly<Record<string, string>>
  /** What the body holds, by field; absent: there is none. */
  readonly body?: Readonly<Record<string, string>>
  /** The largest body that is read, in bytes. */
  readonly bodyBytesMax?: number
  /** What each status means. */
  readonly answers: Readonly<Record<number, string>>
}

/** A list of 256 facts, each as large as it may be, is far from it in practice. */
const DECIDE_BYTES_MAX = 262_144
/** Contexts are some dozen values. */
const CONTEXT_BYTES_MAX = 65_536
/** The largest object that a Kubernetes API server keeps is 1.5 MiB. */
const REVIEW_BYTES_MAX = 2_097_152

/** A thousand outcomes with long names. */
const OUTCOMES_BYTES_MAX = 524_288

/** Every route. To add one, add a row here and its handler in handlers.ts, or beside it for those of jobs. */
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
  readiness: {
    path: '/v1/readiness',
    open: false,
    says: 'how ready each target is for each class, by dimension, with the number behind each state',
    query: {
      class: 'only for this class',
      site: "only this site's targets",
      after: 'the row to begin with, as `next` of the answer before has it',
      limit: 'at most so many rows, 250 at most; 200 where it is not said',
    },
    answers: { 200: '`rows`; `next` where there are more', 404: 'no such site or class' },
  },
  estimates: {
    path: '/v1/readiness/estimates',
    open: false,
    says: 'thresholds that documents mark as estimated, with what was measured in the last hours and what that suggests',
    answers: {
      200: '`estimates`, whose `proposed` is null where too little was measured, and `noisy`: gaps narrower than the noise',
    },
  },
  gaps: {
    path: '/v1/gaps',
    open: false,
    says: 'what sites lacked: hours amber and red by dimension, and work that was delayed or denied, by constraint',
    query: {
      from: 'whole hours from here, as 2026-11-01, 2026-11-01T10:00Z or milliseconds since 1970; a week ago',
      to: 'up to here; now',
    },
    answers: { 200: 'sites, those with something chronic first', 400: 'no time, or nothing lies between' },
  },
  measurements: {
    path: '/v1/measurements',
    open: false,
    says: 'what came of requests: verdicts, times by part, tokens and cache hits, by at most three dimensions',
    query: {
      by: 'site, pool, gpu, class, region, tier, model, revision, promptType, hour, arm, rollout, policy: at most three, with commas',
      window: 'how far back, such as 1m, 1h or 2d; an hour where it is not said, 48 h at most',
      from: 'instead of window: from here, as 2026-11-01, 2026-11-01T10:00Z or milliseconds since 1970',
      to: 'up to here; now',
      class: 'only requests with this value; likewise each of the other dimensions by its name',
    },
    answers: {
      200: '`rows`, those with the most requests first; quantiles with too few events are null and named as insufficient',
      400: 'no dimension, time or window',
    },
  },
  outcomes: {
    path: '/v1/outcomes',
    open: false,
    says: 'what the business has reported, by rollout, arm and name: count, sum and sum of squares',
    answers: { 200: '`outcomes`' },
  },
  outcomesReported: {
    path: '/v1/outcomes',
    method: 'POST',
    open: false,
    says: 'takes outcomes of the business, by decision or by arm and day: a list of at most 1000, all of it or nothing',
    body: {
      name: 'what it is: session-completed, turns, tickets; at most 64 names in all',
      decision: 'the id of a decision, the header x-hubward-decision of its answer; with it value',
      value: 'a number, or 1 and 0 for yes and no; counted once for a decision and name, however often it is sent',
      rollout: 'instead of a decision: the rollout, with arm, day, count and sum',
      arm: 'control or treatment',
      day: 'the day that it is of, 2026-11-28; sent anew it replaces what was sent before',
      count: 'how many there were',
      sum: 'their sum',
      sumOfSquares: 'the sum of their squares; absent: the sum counts those for whom it was so',
    },
    bodyBytesMax: OUTCOMES_BYTES_MAX,
    answers: {
      200: 'how many were counted, replaced, sent again, of no arm (no-arm), or of a decision that is not known any more',
      400: 'outcomes that cannot be used, none of which was taken; `problems` has each with its pointer and remedy',
    },
  },
  overrides: {
    path: '/overrides',
    open: false,
    says: 'emergency orders and maintenance, those that ended a while ago included',
    answers: { 200: 'orders, each with whether it is in force' },
  },
  decide: {
    path: '/v1/decide',
    method: 'POST',
    open: false,
    says: 'where work would go, by the engine, the counters and the journal of the requests through Envoy',
    body: {
      facts: 'an object of facts, or a list of at most 256; `needs` as an object or as the text of the header',
      reserve: 'true: admit it; a job class then holds what it declares until its end',
      dispatch: 'true: count it as sent, without a reservation',
      dryRun: 'true: a question only: not counted, not kept, nothing is held',
      key: "the asker's own name for one job: asked again under it, the same answer is given",
      reserveFor: 'how long it is held without a word, such as 30m; never longer than jobs.reservationLife',
      site: 'the only site that will do for the asker: elsewhere nothing is held',
    },
    bodyBytesMax: DECIDE_BYTES_MAX,
    answers: {
      200: 'the decision, or `decisions` for a list; Retry-After where one says to come back',
      400: 'facts that cannot be used; `problems` has each with its pointer and remedy',
      503: 'no documents have been accepted yet',
    },
  },
  flags: {
    path: '/v1/flags',
    open: false,
    says: 'the flags in force, with their sources, layers and rollouts',
    answers: { 200: '`flags`, by key; `stale` where the source has not been heard for longer than its ttl' },
  },
  flag: {
    path: '/v1/flags/:key',
    open: false,
    says: 'one flag with its definition as it was written, and as its rollout has it served',
    answers: { 200: 'the flag, `written` and `served`', 404: 'no such flag' },
  },
  ofrepFlags: {
    path: '/ofrep/v1/evaluate/flags',
    method: 'POST',
    open: false,
    says: 'OFREP 0.3: every flag for one context, and under `route.<class>` the routing decision of every class',
    query: {
      flagConfigEtag: "as OFREP's clients send it after an event; the header If-None-Match is what counts",
      flagConfigLastModified: 'likewise',
    },
    body: { context: 'the evaluation context; `targetingKey` is the session, names of facts are facts' },
    bodyBytesMax: CONTEXT_BYTES_MAX,
    answers: {
      200: '`flags`, and under `eventStreams` where changes are told; the ETag is a hash of this answer',
      304: 'the answer is the one whose ETag was sent',
      400: 'no context that can be used: `errorCode`, `errorDetails`',
      429: 'too many at once; Retry-After',
    },
  },
  ofrepFlag: {
    path: '/ofrep/v1/evaluate/flags/:key',
    method: 'POST',
    open: false,
    says: 'OFREP 0.3: one flag for one context; `route` is the routing decision for its `class`, `route.<class>` that of a class',
    body: { context: 'the evaluation context' },
    bodyBytesMax: CONTEXT_BYTES_MAX,
    answers: {
      200: '`key`, `reason`, `variant`, `value` and `metadata`; without a value the default of whoever asks counts',
      400: 'it could not be evaluated: `errorCode`, `errorDetails`',
      404: 'FLAG_NOT_FOUND',
      503: 'a decision, before any documents; Retry-After',
    },
  },
  ofrepEvents: {
    path: '/ofrep/v1/events',
    open: false,
    says: "OFREP's server-sent events: `refetchEvaluation` when an answer has changed, and only then",
    query: { ticket: 'as `eventStreams` of a bulk evaluation has it: of that answer; absent: of all definitions' },
    answers: { 200: 'text/event-stream', 503: 'too many listen already' },
  },
  rollouts: {
    path: '/v1/rollouts',
    open: false,
    says: 'every rollout that has begun: its stage, its shares, and why it stands as it does',
    answers: { 200: '`rollouts`; `needed` is how many more units of the scarcer arm are expected to be needed' },
  },
  rollout: {
    path: '/v1/rollouts/:name',
    open: false,
    says: 'one rollout: its document, everything that its judge knows, and what came of it in one sentence',
    answers: { 200: '`state`, `document` and `report`', 404: 'no such rollout' },
  },
  rolloutOrder: {
    path: '/v1/rollouts/:name/order',
    method: 'POST',
    open: false,
    says: "a person's word on a rollout; it is in the journal with who and why",
    body: {
      order:
        'promote: the next stage begins; hold: nothing goes on; resume: the judge goes on; abort: nobody is in it any more',
      author: 'who says so',
      reason: 'why',
    },
    answers: {
      200: 'the rollout as it is then',
      400: 'something is missing',
      404: 'no such rollout',
      409: 'it has ended, or a freeze or the routing switch stands against it',
    },
  },
  jobs: {
    path: '/v1/jobs',
    open: false,
    says: 'admitted jobs and what they are told, in the order in which they came',
    query: {
      class: 'only of this class',
      advice: 'only those told to run, pause, resume or move',
      after: 'only after this id',
      limit: 'at most so many, 1000 at most; 100 where it is not said',
    },
    answers: { 200: 'jobs; `next` is the id to go on after, where there are more' },
  },
  jobsEvents: {
    path: '/v1/jobs/events',
    open: false,
    says: 'server-sent events of all jobs: admitted, running, paused, advice, renewed, ended',
    query: { lastEventId: 'as the header Last-Event-ID: what came after it is sent first' },
    answers: {
      200: 'text/event-stream; `reset` says that what was missed is not known any more: read /v1/jobs',
      503: 'too many listen already',
    },
  },
  job: {
    path: '/v1/jobs/:id',
    open: false,
    says: 'one admitted job by the id of its reservation, and what it is told',
    answers: { 200: 'the job', 404: 'it has ended, has aged out, or was never here' },
  },
  jobEvents: {
    path: '/v1/jobs/:id/events',
    open: false,
    says: 'server-sent events of one job; the first is the job as it is, the last its end',
    query: { lastEventId: 'as the header Last-Event-ID: what came after it is sent first' },
    answers: { 200: 'text/event-stream', 404: 'no such job', 503: 'too many listen already' },
  },
  jobKueue: {
    path: '/v1/jobs/:id/kueue',
    open: false,
    says: "what it is told in the form of a patch for a Kubernetes Job: Kueue's suspend",
    answers: { 200: '`spec.suspend`, and why as annotations', 404: 'no such job' },
  },
  jobRunning: {
    path: '/v1/jobs/:id/running',
    method: 'POST',
    open: false,
    says: 'the job says that it runs, and what it draws by now: only the rest of what it declared is held',
    body: { drawMw: 'its present draw in MW; 0 once it has paused, so that its power is held for its return' },
    answers: { 200: 'the job', 400: 'no number', 404: 'no such job' },
  },
  jobRenew: {
    path: '/v1/jobs/:id/renew',
    method: 'POST',
    open: false,
    says: 'the job needs its reservation for another while, from now',
    body: { for: 'how long, such as 30m; never longer than jobs.reservationLife' },
    answers: { 200: 'the job', 400: 'no duration', 404: 'no such job' },
  },
  jobEnded: {
    path: '/v1/jobs/:id/ended',
    method: 'POST',
    open: false,
    says: 'the job has ended, and holds nothing any more',
    body: { cause: 'why, for the journal' },
    answers: { 200: 'the job as it was', 404: 'no such job' },
  },
  kubernetesAdmission: {
    path: '/v1/kubernetes/admission',
    method: 'POST',
    open: false,
    says: 'a validating webhook of Kubernetes: objects annotated hubward.dev/class are let in where hubward routes them',
    body: { request: 'of an AdmissionReview, admission.k8s.io/v1' },
    bodyBytesMax: REVIEW_BYTES_MAX,
    answers: { 200: 'an AdmissionReview with its response', 400: 'no AdmissionReview', 503: 'no documents yet' },
  },
  kubernetesAdmissionAt: {
    path: '/v1/kubernetes/admission/:site',
    method: 'POST',
    open: false,
    says: 'the same for a cluster that is one site: what hubward sends elsewhere is not let in here',
    body: { request: 'of an AdmissionReview, admission.k8s.io/v1' },
    bodyBytesMax: REVIEW_BYTES_MAX,
    answers: { 200: 'an AdmissionReview with its response', 400: 'no AdmissionReview', 503: 'no documents yet' },
  },
  kueueAdmissionCheck: {
    path: '/v1/kueue/admission-check',
    method: 'POST',
    open: false,
    says: "the state of Kueue's admission check for a Workload",
    body: { workload: 'a Workload of kueue.x-k8s.io', check: "the check's name", site: 'the only site that will do' },
    bodyBytesMax: REVIEW_BYTES_MAX,
    answers: {
      200: 'an AdmissionCheckState: Ready, Retry with requeueAfterSeconds, or Rejected',
      400: 'no Workload',
      503: 'no documents yet',
    },
  },
} as const satisfies Record<string, Route>

/** A key of ROUTES. */
export type RouteName = keyof typeof ROUTES
