import { scanFolder } from '../documents/folder.ts'
import { type ReadResult, readDocuments } from '../documents/read.ts'

/** The documents of a folder, read here and now; what can't be read is among the problems. */
export function documentsIn(folder: string): Pick<ReadResult, 'set' | 'problems'> {
  const scan = scanFolder(folder)
  const { set, problems } = readDocuments(scan.files)
  const bad = scan.problems.some((one) => one.severity === 'error')
  return { set: bad ? null : set, problems: [...scan.problems, ...problems] }
}
