import type { DocumentSet } from '../../model/documents.ts'
import { HEADERS } from '../../model/headers.ts'
import type { ResidencyName } from '../../model/names.ts'
import { type ClassRule, classRules } from './class-rules.ts'
import { MAIN_CLUSTER } from './clusters.ts'
import { type EnvoyObject, seconds, typed } from './envoy-object.ts'
import type { EnvoyOptions } from './options.ts'
import { isWithin, pathMatch } from './path-match.ts'
import { residencyOfHost } from './residency-header.ts'
import { type ResidencyRoute, refuseRoute, residencyRoutes } from './residency-routes.ts'
import { RETRY_BEFORE_FIRST_BYTE } from './retry.ts'
import { decisionHeaders } from './session-header.ts'

/**
 * The routes of one virtual host, in the order that matters: what is refused while hubward has not decided, where the
 * rest goes then, and last the route that follows the decision.
 */
export const hostRoutes = (set: DocumentSet, options: EnvoyOptions, vhostClass?: ResidencyName): EnvoyObject[] => [
  ...markerRoutes(set, options, vhostClass),
  decidedRoute(options),
]

/** The routes for requests that hubward has not decided. */
export function markerRoutes(set: DocumentSet, options: EnvoyOptions, vhostClass?: ResidencyName): EnvoyObject[] {
  const defaults = residencyRoutes(set, options, vhostClass)
  const rest: ClassRule = { classes: [], whenDown: 'default', prefix: '/', match: {} }
  const { rules } = classRules(set)
  return [...rules, rest].flatMap((rule, index) =>
    bodyVariants(rule, rules.slice(0, index), options).flatMap(({ prefix, body }) =>
      rule.whenDown === 'refuse'
        ? [routeOf(rule, prefix, refuseRoute(rule, options), perRoute(options, body, true))]
        : defaults.map((one) => routeOf(rule, prefix, one, perRoute(options, body, false))),
    ),
  )
}

/** The route that follows the routing header, and tells the client what was decided. */
export function decidedRoute(options: EnvoyOptions): EnvoyObject {
  return {
    name: 'hubward-decided',
    match: { prefix: '/' },
    route: {
      cluster_header: HEADERS.cluster,
      timeout: '0s',
      idle_timeout: seconds(options.idleTimeoutMs),
      retry_policy: RETRY_BEFORE_FIRST_BYTE,
    },
    response_headers_to_add: decisionHeaders(options),
  }
}

/** The virtual hosts: one for each class that has domains of its own, and one for everything else. */
export function virtualHosts(set: DocumentSet, options: EnvoyOptions): EnvoyObject[] {
  const rest = { name: 'hubward', domains: ['*'], routes: hostRoutes(set, options) }
  if (options.residency.by !== 'vhost') return [rest]
  return [
    ...options.residency.hosts.map((host) => ({
      name: `hubward-${host.class}-${host.domains[0]}`,
      domains: host.domains,
      ...residencyOfHost(host.class),
      routes: hostRoutes(set, options, host.class),
    })),
    rest,
  ]
}

const routeOf = (rule: ClassRule, prefix: string, one: ResidencyRoute, filters: EnvoyObject): EnvoyObject => ({
  name: one.name,
  match: {
    ...pathMatch(prefix, rule.whenDown === 'refuse'),
    ...rule.match,
    headers: [...one.headers, ...((rule.match.headers as EnvoyObject[]) ?? [])],
  },
  ...one.answer,
  ...filters,
})

// A route whose body hubward reads has to exist once for each path, because Envoy reads the filter's settings from the
// route that was chosen first.
// A path that a rule before takes whole is chosen there first, so behind it there is nothing left to say of its body.
function bodyVariants(
  rule: ClassRule,
  before: readonly ClassRule[],
  options: EnvoyOptions,
): { prefix: string; body: boolean }[] {
  const isTaken = (path: string): boolean =>
    before.some((one) => Object.keys(one.match).length === 0 && isWithin(path, one.prefix))
  const paths = options.bodyPaths.filter((path) => !isTaken(path))
  if (paths.some((path) => isWithin(rule.prefix, path))) return [{ prefix: rule.prefix, body: true }]
  return [
    ...paths.filter((path) => isWithin(path, rule.prefix)).map((prefix) => ({ prefix, body: true })),
    { prefix: rule.prefix, body: false },
  ]
}

// What reserves is decided by the main process. Others hand an ext_proc stream on to it; an ext_authz call they can't,
// because it is answered at once or not at all.
const mainDecides = (options: EnvoyOptions): EnvoyObject => ({
  typed_per_filter_config: {
    'envoy.filters.http.ext_authz': typed('extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute', {
      check_settings: {
        grpc_service: {
          envoy_grpc: { cluster_name: MAIN_CLUSTER, skip_envoy_headers: true },
          timeout: seconds(options.messageTimeoutMs),
        },
      },
    }),
  },
})

function perRoute(options: EnvoyOptions, body: boolean, failClosed: boolean): EnvoyObject {
  // ext_authz has no failure mode by route: there the refusing route alone keeps jobs back.
  if (options.mode === 'ext_authz') return failClosed && options.processes > 1 ? mainDecides(options) : {}
  if (!body && !failClosed) return {}
  const overrides = {
    ...(failClosed ? { failure_mode_allow: false } : {}),
    ...(body
      ? {
          processing_mode: { request_header_mode: 'SEND', response_header_mode: 'SKIP', request_body_mode: 'BUFFERED' },
        }
      : {}),
  }
  return {
    typed_per_filter_config: {
      'envoy.filters.http.ext_proc': typed('extensions.filters.http.ext_proc.v3.ExtProcPerRoute', { overrides }),
    },
  }
}
