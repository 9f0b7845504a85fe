import type { FlagKey } from '../model/names.ts'
import type { Problem } from '../model/problem.ts'

/**
 * What linting can find in flags that have a layer, and whether it refuses their set. To add one, add a row. What is
 * only told of documents stays a warning: flags and documents are sources of their own and don't hold each other up.
 */
export const FLAG_FINDINGS = {
  'flag/name': { severity: 'error', says: 'a name that does not say intent, class and constraint: `flag_42`' },
  'flag/no-owner': { severity: 'warning', says: 'nobody answers for it' },
  'flag/no-purpose': { severity: 'warning', says: 'nothing says what it is for' },
  'flag/no-expiry': { severity: 'warning', says: 'nothing says when it should be gone; kill-switches may stay' },
  'flag/expired': { severity: 'warning', says: 'it should be gone by now; it still counts' },
  'flag/no-review': { severity: 'warning', says: 'nothing says when it is looked at again' },
  'flag/review-due': { severity: 'warning', says: 'the date to look at it again has passed, or is none' },
  'flag/no-fallback': { severity: 'warning', says: 'nothing says what holds where it does not' },
  'flag/no-runbook': { severity: 'warning', says: 'a kill-switch or an incident flag without a runbook' },
  'flag/several-constraints': { severity: 'warning', says: 'one flag that steers several constraints' },
  'flag/shadowed-rule': { severity: 'warning', says: 'a rule that another one always comes before' },
  'flag/unreachable-variant': { severity: 'warning', says: 'a variant that no rule gives' },
  'flag/shadowed-flag': { severity: 'warning', says: 'a flag that another of its layer and class always comes before' },
  'flag/too-many': { severity: 'warning', says: 'more flags for one class than anybody can keep in mind' },
  'flag/moves-users': { severity: 'warning', says: 'a change of weights that moves users who should stay' },
  'flag/unknown-class': { severity: 'warning', says: 'no workload class has this name' },
  'flag/unknown-policy': { severity: 'warning', says: 'no policy has this name and version' },
  'flag/other-class': { severity: 'warning', says: 'a variant that names a policy of another class' },
  'flag/unknown-site': { severity: 'warning', says: 'no site, pool, region, metro or country has this name' },
  'flag/unknown-cohort': { severity: 'warning', says: 'no cohort has this name' },
  'flag/no-experiments': {
    severity: 'error',
    says: 'a rollout on a class whose policies let nobody be experimented on',
  },
  'flag/outside-experiments': {
    severity: 'error',
    says: 'a rollout to a cohort that no policy of the class lets be experimented on',
  },
} as const satisfies Record<string, { readonly severity: Problem['severity']; readonly says: string }>

/** A key of FLAG_FINDINGS. */
export type FlagFindingCode = keyof typeof FLAG_FINDINGS

/** What was found, and the way to it in the definition as it was written, `$ref`s left aside. */
export interface FlagFinding extends Problem {
  readonly code: FlagFindingCode
  readonly at: readonly (string | number)[]
}

/** A finding at a part of one flag. */
export const finding = (
  code: FlagFindingCode,
  key: FlagKey,
  part: readonly (string | number)[],
  message: string,
  remedy: string,
): FlagFinding => ({
  code,
  severity: FLAG_FINDINGS[code].severity,
  message: `${key}: ${message}`,
  remedy,
  at: ['flags', key, ...part],
})
