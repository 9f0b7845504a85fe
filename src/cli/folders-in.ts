import { scanFolder } from '../documents/folder.ts'
import { readDocuments } from '../documents/read.ts'
import type { DocumentSet } from '../model/documents.ts'
import type { EpochMs } from '../model/names.ts'
import type { Problem } from '../model/problem.ts'
import type { SourceStatus } from '../model/source.ts'

/** One folder read as a source beside the others. */
export interface FolderRead {
  readonly folder: string
  /** Null where the folder would be refused. */
  readonly set: DocumentSet | null
  readonly problems: readonly Problem[]
}

/**
 * The documents of several folders, each a source as `hubward serve` would have it, here and now. They are read twice,
 * so that each knows what the others have, in whatever order they are given.
 */
export function foldersIn(
  folders: readonly string[],
  now: EpochMs,
  feeds?: readonly SourceStatus[],
): readonly FolderRead[] {
  const scans = folders.map((folder) => ({ folder, scan: scanFolder(folder) }))
  const read = (others: readonly (DocumentSet | null)[]): FolderRead[] =>
    scans.map(({ folder, scan }, index) => {
      const otherSets = others.filter((set, other) => set !== null && other !== index) as DocumentSet[]
      const { set, problems } = readDocuments(scan.files, {
        otherSets,
        now,
        ...(feeds === undefined ? {} : { feeds, minimum: true }),
      })
      const all = [...scan.problems, ...(scan.files.length === 0 ? [nothing(folder)] : []), ...problems]
      return { folder, set: all.some(({ severity }) => severity === 'error') ? null : set, problems: all }
    })
  if (scans.length === 1) return read([])
  return read(read(scans.map(({ scan }) => readDocuments(scan.files, { now }).set)).map(({ set }) => set))
}

const nothing = (folder: string): Problem => ({
  code: 'documents/empty',
  severity: 'error',
  message: `there is no document in ${folder}`,
  remedy: 'put *.yaml, *.yml or *.json files there',
})
