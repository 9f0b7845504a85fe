import type { DocumentSet } from '../../model/documents.ts'
import { HEADERS, MARKER_UNSET } from '../../model/headers.ts'
import { classRules } from '../config/class-rules.ts'
import { RESIDENCY_METADATA } from '../config/residency-header.ts'
import type { FilterForm, RouteForm, VirtualHostForm } from './admin-forms.ts'
import type { Check } from './check.ts'
import { sitesBehind } from './cluster-checks.ts'
import { type Probe, routeFor } from './route-match.ts'
import { type EnvoyView, isExtProc } from './view.ts'

/** A path and a residency that no document names. */
const ANY_PATH = '/hubward-doctor'
const NO_SUCH_CLASS = 'hubward-doctor-no-such-class'

interface Place {
  readonly host: VirtualHostForm
  readonly where: string
  /** The class that the virtual host gives; undefined where a header does. */
  readonly residency: string | undefined
}

// Where the filter is off but for some hosts, the others are none of hubward's.
const uses = (filter: FilterForm, host: VirtualHostForm): boolean =>
  filter.disabled !== true || host.typed_per_filter_config?.[filter.name ?? ''] !== undefined

const places = (view: EnvoyView): Place[] =>
  view.managers
    .flatMap(({ filter, routes }) => {
      const hosts = routes?.virtual_hosts ?? []
      return filter === undefined ? [] : hosts.filter((host) => uses(filter, host))
    })
    .map((host) => ({
      host,
      where: `virtual host ${host.name ?? '(unnamed)'}`,
      residency: host.metadata?.filter_metadata?.[RESIDENCY_METADATA]?.residency,
    }))

const undecided = (residency: string | undefined, path = ANY_PATH): Probe => ({
  path,
  headers: {
    [HEADERS.cluster]: MARKER_UNSET,
    ...(residency === undefined ? {} : { [HEADERS.residency]: residency }),
  },
})

// A request that names no cluster any more gets 503 in any case.
const isRefused = (route: RouteForm | 'unknown' | undefined): boolean =>
  route === undefined || (route !== 'unknown' && (route.direct_response?.status ?? 0) >= 400)

const nameOf = (route: RouteForm): string => route.name || route.match?.prefix || '(unnamed route)'

/** Whether a route leads only to sites of the class; false where it can't be told. */
function staysInside(view: EnvoyView, set: DocumentSet, route: RouteForm, residency: string): boolean {
  const allows = set.residencies.find((one) => one.metadata.name === residency)?.allows ?? []
  const cluster = route.route?.cluster
  if (cluster === undefined) return false
  const sites = sitesBehind(view, set, cluster)
  return sites.length > 0 && sites.every((site) => site.jurisdictions.some((one) => allows.includes(one)))
}

/** What can be wrong with the routes, found by asking the route table where a request would go. */
export const ROUTE_CHECKS: readonly Check[] = [
  {
    code: 'doctor/decision-not-followed',
    severity: 'error',
    remedy: `end the virtual host with a route with cluster_header: ${HEADERS.cluster}`,
    find: (view) =>
      places(view).flatMap(({ host, where }) => {
        const route = routeFor(host, { path: ANY_PATH, headers: { [HEADERS.cluster]: 'some-cluster' } })
        if (route === 'unknown') return []
        return route?.route?.cluster_header === HEADERS.cluster ? [] : [`${where} does not follow hubward's decision`]
      }),
  },
  {
    code: 'doctor/marker-ignored',
    severity: 'error',
    remedy: 'put the routes of the residency defaults in front of the one with cluster_header',
    find: (view) =>
      places(view).flatMap(({ host, where, residency }) => {
        const route = routeFor(host, undecided(residency))
        if (route === 'unknown' || route?.route?.cluster_header !== HEADERS.cluster) return []
        return [`${where} sends a request without decision to the cluster "${MARKER_UNSET}", which is none`]
      }),
  },
  {
    code: 'doctor/residency-without-route',
    severity: 'warning',
    remedy: 'generate the routes again with `hubward envoy`',
    find: (view, set) =>
      places(view)
        .filter((place) => place.residency === undefined)
        .flatMap(({ host, where }) =>
          (set?.residencies ?? [])
            .filter((one) => one.default !== undefined)
            .filter((one) => isRefused(routeFor(host, undecided(one.metadata.name))))
            .map((one) => `${where} refuses residency class ${one.metadata.name} while hubward is down`),
        ),
  },
  {
    code: 'doctor/residency-broken',
    severity: 'error',
    remedy: 'generate the routes again with `hubward envoy`, and keep their order',
    find: (view, set) => {
      if (set === undefined) return []
      return places(view).flatMap(({ host, where, residency }) =>
        set.residencies
          .map((one) => one.metadata.name)
          .filter((name) => residency === undefined || residency === name)
          .flatMap((name) => {
            const route = routeFor(host, undecided(residency === undefined ? name : undefined))
            if (route === undefined || route === 'unknown' || route.route?.cluster === undefined) return []
            if (staysInside(view, set, route, name)) return []
            return [
              `${where} sends residency class ${name} by ${nameOf(route)} to ${route.route.cluster}, not known to be inside`,
            ]
          }),
      )
    },
  },
  {
    code: 'doctor/unlisted-served',
    severity: 'error',
    remedy: 'answer 503 when the attribute is present but no class matches, in front of the route for absent ones',
    find: (view) =>
      places(view)
        .filter(({ host }) => {
          const route = routeFor(host, undecided(NO_SUCH_CLASS))
          return route !== 'unknown' && !isRefused(route) && route?.route?.cluster_header === undefined
        })
        .map(({ where }) => `${where} serves a residency that no document names while hubward is down`),
  },
  {
    code: 'doctor/absent-served',
    severity: 'warning',
    remedy: 'answer 503, or let a policy say residency: unrestricted',
    find: (view, set) => {
      if (set === undefined || set.policies.some((policy) => policy.residency === 'unrestricted')) return []
      return places(view)
        .filter((place) => place.residency === undefined)
        .flatMap(({ host, where }) => {
          const route = routeFor(host, undecided(undefined))
          if (route === 'unknown' || isRefused(route) || route?.route?.cluster === undefined) return []
          return [`${where} sends requests without residency to ${route.route.cluster}, and no policy is unrestricted`]
        })
    },
  },
  {
    code: 'doctor/job-fails-open',
    severity: 'error',
    remedy:
      'refuse its path while there is no decision: direct_response 503, and failure_mode_allow: false in ExtProcPerRoute',
    find: (view, set) => {
      if (set === undefined) return []
      const paths = classRules(set).rules.filter(
        (rule) => rule.whenDown === 'refuse' && Object.keys(rule.match).length === 0,
      )
      return places(view).flatMap(({ host, where, residency }) =>
        paths.flatMap((rule) =>
          [residency, ...(residency === undefined ? set.residencies.map((one) => one.metadata.name) : [])]
            .map((name) => routeFor(host, undecided(residency === undefined ? name : undefined, rule.prefix)))
            .filter((route) => route !== 'unknown' && !isRefused(route))
            .slice(0, 1)
            .map(() => `${where} lets ${rule.classes.join(', ')} (${rule.prefix}) go on without a decision`),
        ),
      )
    },
  },
  {
    code: 'doctor/job-filter-fails-open',
    severity: 'warning',
    remedy: 'add typed_per_filter_config for ext_proc with overrides: { failure_mode_allow: false } to the job routes',
    find: (view, set) => {
      if (set === undefined || !view.managers.some((one) => isExtProc(one.filter))) return []
      const paths = classRules(set).rules.filter(
        (rule) => rule.whenDown === 'refuse' && Object.keys(rule.match).length === 0,
      )
      return places(view).flatMap(({ host, where }) =>
        paths
          .filter((rule) => {
            const route = routeFor(host, undecided(undefined, rule.prefix))
            if (route === undefined || route === 'unknown') return false
            const perRoute = route.typed_per_filter_config?.['envoy.filters.http.ext_proc']
            // Envoy leaves a false out of its dump only where it was never given.
            return perRoute?.overrides?.failure_mode_allow !== false
          })
          .map((rule) => `${where} does not close the filter for ${rule.classes.join(', ')} (${rule.prefix})`),
      )
    },
  },
  {
    code: 'doctor/no-healing',
    severity: 'warning',
    remedy: 'add retry_policy with connect-failure and retry_priority previous_priorities to that route',
    find: (view) =>
      places(view).flatMap(({ host, where }) =>
        (host.routes ?? [])
          .filter((route) => route.route?.cluster_header === HEADERS.cluster)
          .filter((route) => !route.route?.retry_policy?.retry_priority?.name?.includes('previous_priorities'))
          .map(() => `${where} gives a refused connection to the client instead of the next member of the aggregate`),
      ),
  },
]
