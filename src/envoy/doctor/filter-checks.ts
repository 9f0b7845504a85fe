import type { Policy } from '../../model/documents.ts'
import { HEADERS } from '../../model/headers.ts'
import { MAIN_CLUSTER } from '../config/clusters.ts'
import type { AccessLogForm, EarlyMutation, ManagerForm, MutationRules } from './admin-forms.ts'
import { type Check, msOf } from './check.ts'
import { regexMatches, stringMatches } from './route-match.ts'
import { type EnvoyView, isExtProc, type ManagerView } from './view.ts'

type Configured = ManagerView & { readonly filter: NonNullable<ManagerView['filter']> }

const asking = (view: EnvoyView): Configured[] =>
  view.managers.filter((one): one is Configured => one.filter !== undefined)

const extProc = (view: EnvoyView): Configured[] => asking(view).filter((one) => isExtProc(one.filter))

const where = (one: ManagerView): string => `listener ${one.listener || '(unnamed)'}`

/** How long each hold of a policy lasts, in ms; one without a time holds for 5 s. */
const holdsOf = (policy: Policy): readonly number[] =>
  [...policy.otherwise, ...policy.bands.flatMap((band) => band.steps.map((step) => step.action))].flatMap((one) =>
    one.action === 'queue' ? [one.forMs ?? 5_000] : [],
  )

const mutations = (manager: ManagerForm): EarlyMutation[] =>
  (manager.early_header_mutation_extensions ?? []).flatMap((one) => one.typed_config?.mutations ?? [])

const setsMarker = (manager: ManagerForm): boolean =>
  mutations(manager).some(
    ({ append }) =>
      append?.header?.key?.toLowerCase() === HEADERS.cluster && append.append_action === 'OVERWRITE_IF_EXISTS_OR_ADD',
  )

// The headers that a client would forge; the session token and the hop are signed and may pass.
const FORGED = [HEADERS.residency, HEADERS.site, HEADERS.reason, HEADERS.policy]

const strips = (manager: ManagerForm, name: string): boolean =>
  mutations(manager).some(
    (one) => one.remove?.toLowerCase() === name || stringMatches(one.remove_on_match?.key_matcher ?? {}, name),
  )

/** The access logs that go to some gRPC service, line by request. */
const logServices = (manager: ManagerForm): AccessLogForm[] =>
  (manager.access_log ?? []).filter((one) => one.typed_config?.['@type']?.endsWith('HttpGrpcAccessLogConfig'))

const clusterOf = (log: AccessLogForm): string =>
  log.typed_config?.common_config?.grpc_service?.envoy_grpc?.cluster_name ?? 'no cluster'

const rulesOf = (one: Configured): MutationRules | undefined =>
  one.filter.typed_config?.mutation_rules ?? one.filter.typed_config?.decoder_header_mutation_rules

const closed = (rules: MutationRules | undefined): boolean =>
  rules?.disallow_all === true || (typeof rules?.disallow_all === 'object' && rules.disallow_all.value === true)

const lets = (rules: MutationRules | undefined, name: string): boolean =>
  regexMatches(rules?.allow_expression?.regex, name) && !regexMatches(rules?.disallow_expression?.regex, name)

/** What can be wrong with the connection manager and the filter that asks hubward. */
export const FILTER_CHECKS: readonly Check[] = [
  {
    code: 'doctor/no-decision-filter',
    severity: 'error',
    remedy: 'add the ext_proc filter that `hubward envoy` writes, or name its cluster with --cluster',
    find: (view) =>
      asking(view).length > 0
        ? []
        : [`no listener has an ext_proc or ext_authz filter that asks ${view.sidecarCluster}`],
  },
  {
    code: 'doctor/no-early-mutation',
    severity: 'error',
    remedy: 'overwrite it in early_header_mutation_extensions: an HTTP filter runs after the route was chosen',
    find: (view) =>
      asking(view)
        .filter((one) => !setsMarker(one.manager))
        .map((one) => `${where(one)} does not overwrite ${HEADERS.cluster}: a client can choose the cluster`),
  },
  {
    code: 'doctor/client-headers-kept',
    severity: 'error',
    remedy: 'remove them in early_header_mutation_extensions with remove_on_match',
    find: (view) =>
      asking(view).flatMap((one) =>
        FORGED.filter((name) => !strips(one.manager, name)).map((name) => `${where(one)} lets a client send ${name}`),
      ),
  },
  {
    code: 'doctor/paths-unresolved',
    severity: 'warning',
    remedy:
      'set normalize_path, merge_slashes and path_with_escaped_slashes_action; ' +
      'in Istio meshConfig.pathNormalization.normalization: DECODE_AND_MERGE_SLASHES',
    find: (view) =>
      asking(view)
        .filter(({ manager }) => {
          const escaped = manager.path_with_escaped_slashes_action ?? 'KEEP_UNCHANGED'
          const isResolved = manager.normalize_path === true && manager.merge_slashes === true
          return !isResolved || escaped === 'KEEP_UNCHANGED' || escaped === 'IMPLEMENTATION_SPECIFIC_DEFAULT'
        })
        .map((one) => `${where(one)} takes another spelling of a job's path for no job while hubward is down`),
  },
  {
    code: 'doctor/fails-closed',
    severity: 'warning',
    remedy: 'set failure_mode_allow: true and let the job routes say otherwise',
    find: (view) =>
      asking(view)
        .filter((one) => one.filter.typed_config?.failure_mode_allow !== true)
        .map((one) => `${where(one)} answers every request with an error while hubward is down`),
  },
  {
    code: 'doctor/route-cache-kept',
    severity: 'error',
    remedy: 'set route_cache_action: CLEAR (ext_authz: clear_route_cache: true)',
    find: (view) =>
      asking(view)
        .filter(({ filter }) =>
          isExtProc(filter)
            ? filter.typed_config?.route_cache_action !== 'CLEAR'
            : filter.typed_config?.clear_route_cache !== true,
        )
        .map((one) => `${where(one)} does not choose the route again after hubward's answer`),
  },
  {
    code: 'doctor/message-timeout',
    severity: 'warning',
    remedy: 'choose 25 to 200 ms: a hung hubward costs every request this long, and shorter fails open under load',
    find: (view) =>
      asking(view).flatMap((one) => {
        const { message_timeout, grpc_service } = one.filter.typed_config ?? {}
        const ms = msOf(isExtProc(one.filter) ? message_timeout : grpc_service?.timeout) ?? 200
        return ms > 200 || ms < 25 ? [`${where(one)} waits ${ms} ms for a decision`] : []
      }),
  },
  {
    code: 'doctor/hold-impossible',
    severity: 'warning',
    remedy: 'set max_message_timeout (15s), else a request that should wait gets the next entry of otherwise or fails',
    find: (view, set) => {
      if (!set?.policies.some((policy) => holdsOf(policy).length > 0)) return []
      return extProc(view)
        .filter((one) => (msOf(one.filter.typed_config?.max_message_timeout) ?? 0) === 0)
        .map((one) => `policies queue, and ${where(one)} lets no answer ask for time`)
    },
  },
  {
    code: 'doctor/hold-too-long',
    severity: 'warning',
    remedy:
      'set max_message_timeout a second longer than the longest `queue` of a policy, or hold.max of hubward shorter',
    find: (view, set) => {
      const longest = Math.max(0, ...(set?.policies ?? []).flatMap(holdsOf))
      if (longest === 0) return []
      return extProc(view).flatMap((one) => {
        const ms = msOf(one.filter.typed_config?.max_message_timeout) ?? 0
        // Envoy ignores a wish for more, and then gives up after message_timeout.
        return ms > 0 && ms < longest + 1_000
          ? [`policies queue for up to ${longest} ms, and ${where(one)} lets hubward ask for ${ms} ms at most`]
          : []
      })
    },
  },
  {
    code: 'doctor/mutations-too-wide',
    severity: 'warning',
    remedy:
      'set mutation_rules: disallow_all with an allow_expression for x-hubward-* and the headers of refusals only',
    find: (view) =>
      asking(view).flatMap((one) => {
        const rules = rulesOf(one)
        if (!closed(rules)) return [`${where(one)} lets the processor rewrite the path and other headers`]
        const wide = [':path', 'authorization', 'x-request-id'].filter((name) => lets(rules, name))
        return wide.map((name) => `${where(one)} lets the processor change ${name}`)
      }),
  },
  {
    code: 'doctor/mutations-too-narrow',
    severity: 'error',
    remedy: 'let allow_expression take every header that hubward sets; `hubward envoy` writes them all',
    find: (view) =>
      asking(view).flatMap((one) => {
        const rules = rulesOf(one)
        if (!closed(rules)) return []
        return [HEADERS.cluster, HEADERS.reason, HEADERS.decision, HEADERS.session, 'content-type', 'retry-after']
          .filter((name) => !regexMatches(rules?.allow_expression?.regex, name))
          .map((name) => `${where(one)} drops ${name} from hubward's answers`)
      }),
  },
  {
    code: 'doctor/session-not-kept',
    severity: 'warning',
    remedy: 'add the header_to_metadata filter that `hubward envoy` writes, behind the decision filter',
    find: (view, set) => {
      if (set?.policies.every((policy) => policy.session === 'none')) return []
      return asking(view)
        .filter(
          ({ manager }) =>
            !(manager.http_filters ?? []).some((filter) =>
              filter.typed_config?.request_rules?.some((rule) => rule.header === HEADERS.session && rule.remove),
            ),
        )
        .map((one) => `${where(one)} sends the session token to the sites and can't return it to clients`)
    },
  },
  {
    code: 'doctor/no-access-log-service',
    severity: 'warning',
    remedy:
      'add the envoy.access_loggers.http_grpc that `hubward envoy` writes: outcomes and rollouts are measured by it',
    find: (view) =>
      asking(view).flatMap((one) => {
        const logs = logServices(one.manager)
        const ours = logs.filter((log) => [view.sidecarCluster, MAIN_CLUSTER].includes(clusterOf(log) ?? ''))
        if (ours.some((log) => log.typed_config?.additional_request_headers_to_log?.includes(HEADERS.decision)))
          return []
        if (ours.length > 0) return [`the access log of ${where(one)} does not tell which decision a request had`]
        const elsewhere = logs.length === 0 ? '' : `, but ${logs.map(clusterOf).join(', ')}`
        return [`${where(one)} does not tell ${view.sidecarCluster} how requests end${elsewhere}`]
      }),
  },
]
