/**
 * Why a decision came out as it did, one word each. Metrics, headers, log and docs use these strings.
 * To add one, add a row.
 */
export const REASONS = {
  'first-choice': 'the best target of the first tier took it',
  fallback: 'targets before this one were not eligible or not fit; because names each',
  session: 'the request belongs to a session that runs there',
  pinned: 'an override pins this traffic there',
  hop: 'another hubward had decided already',
  degraded: 'no full target was fit; a smaller model answers',
  returning: 'only targets that are still coming back were left, and one of them is better than a refusal',
  'follow-up': 'the request is about work that was sent there',
  'job-unplaced':
    'the request is about work that was sent before and does not say where: send the same session key, and the x-hubward-session of the answer to it',
  'may-not-delay': 'the policy would have the job come back later, and the job says that it can not',
  'lowest-risk': 'every target left had stale signals; the one that looked best last is used',
  panic: 'everything looked down on our own evidence alone, so the last good order is used',
  'no-policy': 'no policy covers this request; Envoy sends it where it would have without hubward',
  'routing-disabled': 'routing is switched off; the residency default serves',
  'residency-unknown': 'the request names no residency and the policy demands one',
  'residency-unservable': 'no configured site lies in a jurisdiction that the request allows',
  'model-unknown': 'no configured target serves this model',
  'no-target': 'targets that may serve this exist, and none is available now',
  stale: 'required signals are too old to decide on, and the class says to wait',
  readiness: 'what the readiness of every target admits leaves this class out',
  held: 'the request waits for room, for a bounded time',
  flag: 'a flag of the kill-switch or incident layer says so',
  band: 'a band of the policy says so for every pool',
  'reservations-full': 'as many jobs are admitted as can be kept account of; none may run without a reservation',
  'hop-loop': 'the request has been through this hubward before',
  'bad-request': 'the request could not be read',
} as const satisfies Record<string, string>

/** A key of REASONS. */
export type Reason = keyof typeof REASONS

/**
 * What can stand between a request and a target, by the step of the order of judgement that it belongs to.
 * A threshold or band is named by its signal instead.
 */
export const CONSTRAINTS = {
  residency: 3,
  'model.served': 3,
  'model.context_tokens': 3,
  'model.tools': 3,
  'pool.gpu': 3,
  'pool.cooling': 3,
  'cluster.known': 3,
  maintenance: 3,
  'health.state': 3,
  drain: 3,
  'safety.red': 3,
  pin: 4,
  'health.suspect': 6,
  'health.return': 6,
  readiness: 6,
  'keep.room': 6,
  'data.near': 6,
  freshness: 6,
  return: 6,
  'job.need': 6,
} as const satisfies Record<string, number>

/** A key of CONSTRAINTS, or the name of the signal whose threshold was crossed. */
export type Constraint = keyof typeof CONSTRAINTS | (string & {})
