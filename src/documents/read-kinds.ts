import type { DocumentSet } from '../model/documents.ts'
import { normaliseResidencyClass, normaliseWorkloadClass } from './normalise-classes.ts'
import { normaliseCohort } from './normalise-cohort.ts'
import { normaliseFactSources, normalisePolicyTest } from './normalise-facts.ts'
import { normalisePolicy } from './normalise-policy.ts'
import { normaliseReadiness } from './normalise-readiness.ts'
import { normaliseRollout } from './normalise-rollout.ts'
import { normaliseSite } from './normalise-site.ts'
import type { Kind } from './schema/kinds.ts'
import type { Report } from './view.ts'

/** A document whose shape has been checked. */
export interface Envelope {
  readonly metadata: { readonly name: string; readonly version: number }
  readonly spec: unknown
}

/** Where each kind belongs in a set, and how it is brought into its normal form. */
export const READERS: {
  readonly [K in Kind]: {
    readonly list: keyof DocumentSet
    readonly read: (document: Envelope, report: Report) => DocumentSet[keyof DocumentSet][number]
  }
} = {
  Site: { list: 'sites', read: normaliseSite },
  ResidencyClass: { list: 'residencies', read: normaliseResidencyClass },
  WorkloadClass: { list: 'classes', read: normaliseWorkloadClass },
  Policy: { list: 'policies', read: normalisePolicy },
  FactSources: { list: 'factSources', read: normaliseFactSources },
  Readiness: { list: 'readiness', read: normaliseReadiness },
  Cohort: { list: 'cohorts', read: normaliseCohort },
  Rollout: { list: 'rollouts', read: normaliseRollout },
  PolicyTest: { list: 'tests', read: normalisePolicyTest },
}

/** What tells a document from others of its kind: its name, and for policies the version too. */
export const identityOf = (kind: Kind, { metadata }: Envelope): string =>
  kind === 'Policy' ? `${metadata.name}@${metadata.version}` : metadata.name

/** The sets as one, in their order. */
export function joinSets(sets: readonly DocumentSet[]): DocumentSet {
  return {
    sites: sets.flatMap((set) => set.sites),
    residencies: sets.flatMap((set) => set.residencies),
    classes: sets.flatMap((set) => set.classes),
    policies: sets.flatMap((set) => set.policies),
    factSources: sets.flatMap((set) => set.factSources),
    // A set that was kept on disk by an earlier hubward has none.
    readiness: sets.flatMap((set) => set.readiness ?? []),
    cohorts: sets.flatMap((set) => set.cohorts ?? []),
    rollouts: sets.flatMap((set) => set.rollouts ?? []),
    tests: sets.flatMap((set) => set.tests),
  }
}
