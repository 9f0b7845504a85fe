import type { Check } from './check.ts'
import { type EnvoyView, isExtProc } from './view.ts'

/** The sum of ext_proc's counters of this name over all listeners; undefined where Envoy shows none. */
const counter = (view: EnvoyView, name: string): number | undefined => {
  const found = [...view.stats].filter(([key]) => /(^|\.)ext_proc\./.test(key) && key.endsWith(`.${name}`))
  return found.length === 0 ? undefined : found.reduce((sum, [, value]) => sum + value, 0)
}

const counted = (
  code: string,
  severity: Check['severity'],
  stat: string,
  says: (count: number) => string,
  remedy: string,
): Check => ({
  code,
  severity,
  remedy,
  find: (view) => {
    const count = counter(view, stat) ?? 0
    return count > 0 ? [says(count)] : []
  },
})

/** What the counters of a running Envoy tell. They count since its start. */
export const STAT_CHECKS: readonly Check[] = [
  {
    code: 'doctor/version',
    severity: 'error',
    remedy: 'run Envoy 1.40 or newer: earlier ones had faults in ext_proc that end the process or fail open',
    find: (view) => {
      const [major = 0, minor = 0] = view.version.split('.').map(Number)
      // An Istio proxy is built from a commit between releases and tells no release.
      if (view.version === 'unknown') return []
      return major > 1 || minor >= 40 ? [] : [`this is Envoy ${view.version}`]
    },
  },
  {
    code: 'doctor/stats-hidden',
    severity: 'warning',
    remedy: 'in Istio: proxyStatsMatcher with inclusionRegexps [".*ext_proc.*"], else failing open is silent',
    find: (view) =>
      view.managers.some((one) => isExtProc(one.filter)) && counter(view, 'streams_started') === undefined
        ? ['Envoy shows no counters of ext_proc']
        : [],
  },
  {
    code: 'doctor/sidecar-down',
    severity: 'error',
    remedy: 'start hubward, and compare the socket or address in the cluster with its configuration',
    find: (view) => {
      const healthy = view.stats.get(`cluster.${view.sidecarCluster}.membership_healthy`)
      return healthy === 0 ? ['hubward does not answer: chat goes to the residency defaults, jobs are refused'] : []
    },
  },
  {
    code: 'doctor/processes-missing',
    severity: 'warning',
    remedy:
      'let `hubward envoy --processes` say what `processes` says in its configuration; if it does, its log tells why a process is gone',
    find: (view) => {
      const [healthy = 0, all = 0] = ['healthy', 'total'].map((name) =>
        view.stats.get(`cluster.${view.sidecarCluster}.membership_${name}`),
      )
      return healthy > 0 && healthy < all ? [`${healthy} of ${all} processes of hubward answer`] : []
    },
  },
  counted(
    'doctor/failed-open',
    'warning',
    'failure_mode_allowed',
    (count) => `${count} requests went on without a decision`,
    'look at message_timeouts and at hubward itself; alert on the rate of this counter',
  ),
  counted(
    'doctor/timed-out',
    'warning',
    'message_timeouts',
    (count) => `${count} decisions came too late`,
    'give hubward more CPU, or raise message_timeout up to 200 ms',
  ),
  counted(
    'doctor/answers-rejected',
    'error',
    'rejected_header_mutations',
    (count) => `${count} header changes of hubward were dropped`,
    'compare mutation_rules with those that `hubward envoy` writes',
  ),
  counted(
    'doctor/route-not-chosen-again',
    'error',
    'clear_route_cache_disabled',
    (count) => `${count} decisions were not followed because the route cache was kept`,
    'set route_cache_action: CLEAR',
  ),
  counted(
    'doctor/route-clear-ignored',
    'warning',
    'clear_route_cache_ignored',
    (count) => `${count} answers asked for another route and changed no header, so the first route stood`,
    'compare the versions of hubward and of this configuration: hubward asks only with a header',
  ),
  counted(
    'doctor/spurious-answers',
    'error',
    'spurious_msgs_received',
    (count) => `${count} answers were to another phase than Envoy had asked about`,
    'compare processing_mode with the one that `hubward envoy` writes',
  ),
]
