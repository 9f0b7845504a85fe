import type { Located } from '../documents/place.ts'
import type { Problem } from '../model/problem.ts'

/** One feed as the configuration has it: its name, its kind and what the kind needs. */
export type FeedSettings = { readonly name: string; readonly kind: string } & Readonly<Record<string, unknown>>

/** What is wrong with the feeds, each held against the schema of its kind, and all of them against one another. */
export function feedProblems(_located: Located, _feeds: readonly FeedSettings[]): Problem[] {
  return []
}
