import type { KindSchema } from './envelope.ts'
import { object } from './parts.ts'

/** A named part of all requests. */
export const COHORT: KindSchema = {
  kind: 'Cohort',
  says: "A named part of all requests: internal, premium. Policies name the cohorts that rollouts may take in, stages name the one that they are shown to, and flags read all of a request's as `cohorts`.",
  spec: object(
    { when: { type: 'string', minLength: 1, maxLength: 4000, description: "CEL over the request's facts" } },
    { required: ['when'] },
  ),
}
