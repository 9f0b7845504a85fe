import type { Policy } from '../model/documents.ts'
import { policyRef } from '../model/documents.ts'
import { checkWhen } from './check-condition.ts'
import { didYouMean, knownNames } from './suggest.ts'
import { isBroken, type Report, type View } from './view.ts'

/** Cohorts by themselves, and what policies say of cohorts and of single tenants. */
export function checkCohorts(view: View): void {
  for (const cohort of view.own.cohorts) checkWhen(view, cohort.when, 'cohort', view.about(cohort))
  for (const policy of view.own.policies) {
    const report = view.about(policy)
    checkExperiments(view, policy, report)
    checkTenantOverrides(view, policy, report)
  }
}

/** The cohorts that rollouts may take in have to be there: one that is misspelt would take in nobody, without a word. */
function checkExperiments(view: View, policy: Policy, report: Report): void {
  const known = view.all.cohorts.map(({ metadata }) => metadata.name)
  for (const [index, name] of (policy.experiments?.cohorts ?? []).entries()) {
    if (name === '*' || known.includes(name) || isBroken(view, 'Cohort', name)) continue
    const message = `no cohort is called "${name}"; ${knownNames(known)}${didYouMean(name, known)}`
    const remedy = 'add a Cohort document, correct the name, or write "*" for everybody'
    report(['spec', 'experiments', 'cohorts', index], { code: 'policy/unknown-cohort', message, remedy })
  }
}

/** A tenant's own policy exists, is of the same class, and is another one. */
function checkTenantOverrides(view: View, policy: Policy, report: Report): void {
  const known = new Map(view.all.policies.map((one) => [policyRef(one), one]))
  for (const [tenant, ref] of Object.entries(policy.tenantOverrides ?? {})) {
    const path = ['spec', 'tenantOverrides', tenant]
    const named = known.get(ref)
    const code = 'policy/tenant-override'
    if (named === undefined) {
      if (isBroken(view, 'Policy', ref.split('@')[0]!)) continue
      const refs = [...known].filter(([, one]) => one.class === policy.class).map(([name]) => name)
      const message = `no policy is called "${ref}"; ${knownNames(refs)}${didYouMean(ref, refs)}`
      report(path, { code, message, remedy: 'add the policy, or correct its name and version' })
    } else if (named.class !== policy.class) {
      const message = `${ref} is a policy of ${named.class}, and this one of ${policy.class}`
      report(path, { code, message, remedy: `name a policy of ${policy.class}` })
    } else if (ref === policyRef(policy)) {
      const message = `${ref} is this policy itself`
      report(path, { code, message, remedy: 'leave the tenant out', severity: 'warning' })
    }
  }
}
