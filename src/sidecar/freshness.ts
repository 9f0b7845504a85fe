import type { EngineSnapshot } from '../engine/programs.ts'
import type { Metrics } from '../metrics.ts'
import type { Decision } from '../model/decision.ts'
import type { EpochMs } from '../model/names.ts'

/**
 * Measures freshness as what was promised of it: how old each required signal of the chosen target was when the decision
 * was made, and each time a candidate's was too old or missing.
 */
export function observeFreshness(metrics: Metrics, snapshot: EngineSnapshot, decision: Decision, now: EpochMs): void {
  for (const pair of decision.stale)
    metrics.add('hubward_freshness_violations_total', 1, decision.class, pair.slice(pair.indexOf(' ') + 1))
  if (decision.action !== 'route' || decision.target === undefined || decision.policy === null) return
  const { data, programs } = snapshot
  const index = programs.indexOf.get(decision.target)
  const policy = programs.policies.get(decision.policy)
  if (index === undefined || policy === undefined) return
  for (const { signal } of policy.freshness) {
    const at = data.columns[signal]?.at[index] ?? 0
    if (at > 0) metrics.observeMs('hubward_decision_signal_age_seconds', Math.max(0, now - at), signal)
  }
}
