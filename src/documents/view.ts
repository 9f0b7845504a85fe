import type { DocumentSet } from '../model/documents.ts'
import type { EpochMs, SourceName } from '../model/names.ts'
import type { Problem } from '../model/problem.ts'
import type { SourceStatus } from '../model/source.ts'
import { type FieldPath, type Located, placeInText, placeOf } from './place.ts'
import type { DocumentProblemCode } from './problems.ts'
import type { Kind } from './schema/kinds.ts'

/** What a problem says; where it stands is added. */
export interface Finding {
  readonly code: DocumentProblemCode
  readonly message: string
  readonly remedy?: string
  readonly severity?: 'error' | 'warning'
  /** Point at the name of the field rather than at its value. */
  readonly want?: 'key' | 'value'
  /** Point at a character of the text. */
  readonly offset?: number
}

/** Takes what was found at a field of one document. */
export type Report = (path: FieldPath, finding: Finding) => void

/** The report of one written document. */
export function reporter(located: Located, problems: Problem[]): Report {
  return (path, { code, message, remedy, severity = 'error', want, offset }) => {
    const place = offset === undefined ? placeOf(located, path, want) : placeInText(located, path, offset)
    problems.push({ code, severity, message, ...place, ...(remedy === undefined ? {} : { remedy }) })
  }
}

/** What the world around a source's documents is. All of it may be left out. */
export interface ReadContext {
  /** What the other sources have in force: their names are known here. */
  readonly otherSets?: readonly DocumentSet[]
  /** This source's own last good set. */
  readonly previous?: DocumentSet | null
  /** For dates. Absent: no date has passed. */
  readonly now?: EpochMs
  /** The feeds, so that freshness limits and required signals can be checked against them. Absent: not checked. */
  readonly feeds?: readonly SourceStatus[]
  readonly source?: SourceName
  /** Name what sites lack of the minimum telemetry as well. Only where somebody asks: it is no news at every reload. */
  readonly minimum?: boolean
}

/** The documents that were read, those of the other sources, and where to report. What checks work on. */
export interface View {
  /** This source's, as far as they could be read. */
  readonly own: DocumentSet
  /** This source's and all others'. */
  readonly all: DocumentSet
  /** `Site/fra` of documents that could not be read: their names are known, and nothing more. */
  readonly broken: ReadonlySet<string>
  readonly context: ReadContext
  /** Reports about a document of `own`. */
  readonly about: (document: object) => Report
}

/** Whether a document of this kind and name was written, but could not be read. */
export const isBroken = (view: View, kind: Kind, name: string): boolean => view.broken.has(`${kind}/${name}`)
