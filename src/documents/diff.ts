import type { DocumentSet } from '../model/documents.ts'
import { canonicalJson } from './hash.ts'
import { type Envelope, identityOf, READERS } from './read-kinds.ts'
import { KINDS, type Kind } from './schema/kinds.ts'

/** What became of the documents between two sets, as `Kind/name`, policies as `Policy/name@version`. */
export interface DocumentsDiff {
  readonly added: readonly string[]
  readonly changed: readonly string[]
  readonly removed: readonly string[]
}

/** The names of documents that came, changed and went. */
export function diffDocuments(before: DocumentSet, after: DocumentSet): DocumentsDiff {
  const [old, fresh] = [contentByName(before), contentByName(after)]
  return {
    added: [...fresh.keys()].filter((name) => !old.has(name)),
    changed: [...fresh.keys()].filter((name) => old.has(name) && old.get(name) !== fresh.get(name)),
    removed: [...old.keys()].filter((name) => !fresh.has(name)),
  }
}

function contentByName(set: DocumentSet): Map<string, string> {
  const contents = new Map<string, string>()
  for (const kind of Object.keys(KINDS) as Kind[]) {
    for (const document of set[READERS[kind].list] ?? []) {
      contents.set(`${kind}/${identityOf(kind, document as unknown as Envelope)}`, canonicalJson(document))
    }
  }
  return contents
}
