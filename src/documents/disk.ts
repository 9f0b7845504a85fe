import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { type DocumentSet, EMPTY_SET } from '../model/documents.ts'
import type { Problem } from '../model/problem.ts'
import { contentHash } from './hash.ts'

/** Counts up when the normal form of documents changes: a file of another format is not read. */
const FORMAT = 1

/** A set as it is kept. */
interface Kept {
  readonly format: number
  readonly hash: string
  readonly version: string
  readonly set: DocumentSet
}

/**
 * Writes a set to disk so that there is always a whole one: beside the file, flushed, then renamed over it. Gives a
 * warning if it can't: the set is in force all the same, only a restart would not have it.
 */
export function keepOnDisk(file: string, set: DocumentSet, hash: string, version: string): Problem[] {
  const kept: Kept = { format: FORMAT, hash, version, set }
  const beside = `${file}.new`
  try {
    mkdirSync(dirname(file), { recursive: true })
    flushTo(beside, JSON.stringify(kept))
    renameSync(beside, file)
    const folder = openSync(dirname(file), 'r')
    fsyncSync(folder)
    closeSync(folder)
    return []
  } catch (error) {
    remove(beside)
    const message = `the set cannot be kept on disk: ${(error as Error).message}`
    const remedy = 'make the state folder writable: a restart while the source is away would have no documents'
    return [{ code: 'documents/not-kept', severity: 'warning', message, remedy }]
  }
}

/** Removes what was half written, if it is there and can be: a folder that takes no file gives none back either. */
function remove(file: string): void {
  try {
    rmSync(file, { force: true })
  } catch {
    // What keeps it from being removed kept the set from being written, and that is told already.
  }
}

function flushTo(file: string, text: string): void {
  const handle = openSync(file, 'w', 0o600)
  try {
    writeSync(handle, text)
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

/** The set that was kept, or null with the reason why there is none. A file that was altered is not believed. */
export function takeFromDisk(file: string): {
  readonly set: DocumentSet | null
  readonly hash: string
  readonly version: string
  readonly problems: readonly Problem[]
} {
  const none = (message: string) => ({
    set: null,
    hash: '',
    version: '',
    problems: [{ code: 'documents/from-disk', severity: 'error', message, path: file } as const],
  })
  try {
    const kept = JSON.parse(readFileSync(file, 'utf8')) as Kept
    if (kept.format !== FORMAT) return none(`the kept set has format ${kept.format}, this hubward reads ${FORMAT}`)
    const isWhole = Object.keys(EMPTY_SET).every(
      // Sets kept before there were readiness documents have none of them, and are good all the same.
      (list) => list === 'readiness' || Array.isArray(kept.set[list as keyof DocumentSet]),
    )
    if (!isWhole || contentHash(kept.set) !== kept.hash) return none('the kept set is not what was written')
    return { set: { ...EMPTY_SET, ...kept.set }, hash: kept.hash, version: kept.version, problems: [] }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    return none(code === 'ENOENT' ? 'no set has been kept yet' : `the kept set cannot be read: ${message}`)
  }
}
