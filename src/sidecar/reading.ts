import type { EngineSnapshot } from '../engine/programs.ts'
import { mergeSets } from '../engine/programs.ts'
import type { Metrics } from '../metrics.ts'
import { compileFacts, type FactsOptions, type ReadFacts } from '../request/facts.ts'

/** How requests are read, by the documents in force. */
export interface Reading {
  /** What reads facts now. */
  readonly readFacts: () => ReadFacts
  readonly classNames: () => ReadonlySet<string>
  /** To be called when documents have changed: facts are read by them, and metrics know their names. */
  readonly learn: (snapshot: EngineSnapshot) => void
}

/** Reads nothing before the first documents. */
export function createReading(options: FactsOptions, metrics: Metrics): Reading {
  let readFacts: ReadFacts = compileFacts([], [])
  let classNames: ReadonlySet<string> = new Set()
  return {
    readFacts: () => readFacts,
    classNames: () => classNames,
    learn: ({ data, programs }) => {
      const set = mergeSets(data.sets)
      readFacts = compileFacts(set.factSources, set.residencies, { ...options, classes: set.classes })
      classNames = new Set(programs.classes.keys())
      metrics.know('class', classNames)
      metrics.know('target', data.targets)
      metrics.know('rollout', programs.rollouts.keys())
    },
  }
}
