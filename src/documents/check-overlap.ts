import { type Policy, policyRef } from '../model/documents.ts'
import { areDisjoint } from './condition-facts.ts'
import { conditionConjuncts } from './conditions.ts'
import type { View } from './view.ts'

/**
 * Which policy applies must never be open: within a class, two of one priority may not match the same request, one
 * without `when` must take what is left, and none may stand behind one that takes everything. Only the newest version of
 * each name is looked at, for only that one is in force.
 */
export function checkOverlap(view: View): void {
  const ofTenants = new Set(view.all.policies.flatMap(({ tenantOverrides }) => Object.values(tenantOverrides ?? {})))
  const byClass = Map.groupBy(newestVersions(view.all.policies), (policy) => policy.class)
  for (const [name, policies] of byClass) {
    checkFallback(view, name, policies)
    const facts = new Map(policies.map((policy) => [policy, conditionConjuncts(policy.when ?? 'true')]))
    for (const [index, one] of policies.entries()) {
      for (const other of policies.slice(index + 1)) {
        if (one.priority !== other.priority || areDisjoint(facts.get(one)!, facts.get(other)!)) continue
        reportOverlap(view, one, other)
      }
    }
    const catchAll = Math.max(...policies.filter(({ when }) => when === undefined).map(({ priority }) => priority))
    for (const policy of policies.filter(({ priority }) => priority < catchAll)) {
      if (!view.own.policies.includes(policy) || ofTenants.has(policyRef(policy))) continue
      const message = `a policy without \`when\` has priority ${catchAll}, so this one (${policy.priority}) never applies`
      const remedy = 'give it a higher priority'
      const path = ['spec', 'priority']
      view.about(policy)(path, { code: 'policy/unreachable', message, remedy, severity: 'warning' })
    }
  }
}

/** The newest version of each policy name. */
export function newestVersions(policies: readonly Policy[]): Policy[] {
  const newest = new Map<string, Policy>()
  for (const policy of policies) {
    const before = newest.get(policy.metadata.name)
    if (before === undefined || before.metadata.version < policy.metadata.version)
      newest.set(policy.metadata.name, policy)
  }
  return [...newest.values()]
}

function checkFallback(view: View, name: string, policies: readonly Policy[]): void {
  if (policies.some(({ when }) => when === undefined)) return
  const own = policies.filter((policy) => view.own.policies.includes(policy))
  const last = own.toSorted((a, b) => a.priority - b.priority)[0]
  if (last === undefined) return
  const message = `each policy of the class ${name} has a \`when\`: a request that none of them matches has no policy`
  const remedy = 'add one without `when` and with the lowest priority'
  view.about(last)(['spec', 'when'], { code: 'class/no-fallback-policy', message, remedy, want: 'key' })
}

function reportOverlap(view: View, one: Policy, other: Policy): void {
  // Where only one of the two is ours, it is the one to tell about.
  const [here, there] = view.own.policies.includes(other) ? [other, one] : [one, other]
  if (!view.own.policies.includes(here)) return
  const message = `${policyRef(there)} has the same priority (${here.priority}) and can match the same request`
  const remedy = 'give them different priorities, or compare one fact with different values (==) in both'
  const path = here.when === undefined ? ['spec'] : ['spec', 'when']
  view.about(here)(path, { code: 'policy/overlap', message, remedy })
}
