import type { Wrong } from './wrong-plant.ts'

const HEAD = 'apiVersion: hubward.dev/v1alpha1\n'
const cohort = (when: string, name = 'internal') =>
  `${HEAD}kind: Cohort\nmetadata: { name: ${name} }\nspec: { when: '${when}' }\n`
const policy = (spec: string, name = 'p') =>
  `${HEAD}kind: Policy\nmetadata: { name: ${name}, version: 1 }\nspec: { class: chat, ${spec} }\n`
const workload = (name: string, more: string) =>
  `${HEAD}kind: WorkloadClass\nmetadata: { name: ${name} }\nspec: { whenHubwardIsDown: default${more} }\n`

/** What can be wrong with cohorts, with what policies say of them and of single tenants, and with promises. */
export const WRONG_OF_COHORTS: readonly Wrong[] = [
  {
    what: 'a cohort of a bare fact',
    points: 'tenant',
    code: 'cohort/condition',
    text: cohort('tenant == "a"'),
    says: /request\.tenant/,
  },
  {
    what: 'a cohort that nobody can be of',
    points: '"b"',
    code: 'cohort/condition',
    text: cohort('request.tenant == "a" && request.tenant == "b"'),
    says: /so the cohort never applies/,
    severity: 'warning',
  },
  {
    what: 'a cohort by a fact that nothing gives',
    points: 'request.tennant',
    code: 'cohort/condition-fact',
    text: cohort('request.tennant == "a"'),
    says: /did you mean "tenant"/,
    severity: 'warning',
  },
  {
    what: 'an experiment on a cohort that is not there',
    points: 'internl',
    code: 'policy/unknown-cohort',
    text: policy('experiments: { cohorts: ["*", internl] }'),
    says: /did you mean "internal"/,
    more: [cohort('request.tenant == "a"')],
  },
  {
    what: "a tenant's policy that is not there",
    points: 'other@2',
    code: 'policy/tenant-override',
    text: policy('tenantOverrides: { acme: other@2 }'),
    says: /did you mean "other@1"/,
    more: [policy('priority: -1', 'other')],
  },
  {
    what: "a tenant's policy of another class",
    points: 'other@1',
    code: 'policy/tenant-override',
    text: policy('tenantOverrides: { acme: other@1 }'),
    says: /a policy of jobs, and this one of chat/,
    more: [policy('priority: 1', 'other').replace('class: chat', 'class: jobs'), workload('jobs', '')],
  },
  {
    what: "a tenant's policy that is the same one",
    points: 'p@1',
    code: 'policy/tenant-override',
    text: policy('tenantOverrides: { acme: p@1 }'),
    severity: 'warning',
  },
  {
    what: 'an answer that is promised before its first token',
    points: '200ms',
    code: 'class/slo',
    text: workload('quick', ', slo: { objectivePct: 99, ttft: 300ms, response: 200ms }'),
  },
]
