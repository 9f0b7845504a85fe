/** The headers hubward speaks in. Whatever of them a client sends is removed before a route is chosen. */
export const HEADERS = {
  /** The routing header that Envoy's cluster_header reads; `unset` until hubward has answered. */
  cluster: 'x-hubward-cluster',
  site: 'x-hubward-site',
  action: 'x-hubward-action',
  reason: 'x-hubward-reason',
  policy: 'x-hubward-policy',
  decision: 'x-hubward-decision',
  arm: 'x-hubward-arm',
  /** The model that really answers, where it is not the one asked for. */
  model: 'x-hubward-model',
  /** The reservation that holds what an admitted job declared: it ends, renews and is advised under this id. */
  reservation: 'x-hubward-reservation',
  /** The signed session token: set by Envoy on the response, brought back by the client. */
  session: 'x-hubward-session',
  /** The target that the session was on before, where it had to change: caches can follow from there to x-hubward-site. */
  movedFrom: 'x-hubward-moved-from',
  /** The residency class of the request, set by vhost, listener or a filter that clears the route cache. */
  residency: 'x-hubward-residency',
  /** A signed decision of another hubward upstream of this one. */
  hop: 'x-hubward-hop',
  /** A tester's signed word: the cohort to count as of, the arm to be in. Envoy lets it in only where it was told to. */
  force: 'x-hubward-force',
  /** What a job says it needs. A client may send it: it only ever tightens what the class's policy asks for. */
  needs: 'x-hubward-needs',
} as const

/** What the routing header holds while no decision has been made: the routes of the residency defaults match it. */
export const MARKER_UNSET = 'unset'

/**
 * What hubward writes there when it has answered that Envoy's own choice stands (no policy, routing switched off): the
 * same routes match, but those that refuse jobs for want of a decision do not.
 */
export const MARKER_DEFAULT = 'default'
