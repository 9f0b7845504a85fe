import type { Cohort } from '../model/documents.ts'
import type { Metadata } from '../model/metadata.ts'
import { normaliseMetadata } from './normalise-site.ts'

/** A cohort as it was written. */
export function normaliseCohort(document: { metadata: Metadata; spec: unknown }): Cohort {
  const { when } = document.spec as Pick<Cohort, 'when'>
  return { metadata: normaliseMetadata(document.metadata), when }
}
