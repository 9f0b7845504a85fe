import type { Decided, Outcome, ReportedOutcome } from '../model/outcome.ts'

/** Takes in what came of requests, by rollout and arm. Testers' requests and those without an arm change nothing. */
export interface Arms {
  /** One request has ended. */
  readonly ended: (outcome: Outcome) => void
  /** The business has reported an outcome; `decided` is what is known of its decision, where it names one. */
  readonly reported: (reported: ReportedOutcome, decided: Decided | undefined) => void
}
