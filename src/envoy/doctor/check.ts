import type { DocumentSet } from '../../model/documents.ts'
import type { Problem } from '../../model/problem.ts'
import type { EnvoyView } from './view.ts'

/** One thing that can be wrong with a running Envoy. */
export interface Check {
  /** `doctor/what-is-wrong`. */
  readonly code: string
  readonly severity: Problem['severity']
  /** What to do about it. */
  readonly remedy: string
  /** What is wrong here, a sentence for each place; empty where all is well or the documents were needed and not given. */
  readonly find: (view: EnvoyView, set: DocumentSet | undefined) => readonly string[]
}

/** A duration of Envoy's JSON in milliseconds. */
export const msOf = (duration: string | undefined): number | undefined =>
  duration === undefined ? undefined : Math.round(Number.parseFloat(duration) * 1_000)
