// The entry of the worker that reads a source's folder: the one file of documents/ that touches the outside. All that
// takes time is here (walking, reading, parsing, checking, hashing, fsync), so that the thread with the requests has none of it.
import { parentPort } from 'node:worker_threads'
import type { DocumentSet } from '../model/documents.ts'
import type { Problem } from '../model/problem.ts'
import { keepOnDisk, takeFromDisk } from './disk.ts'
import { type Scan, scanFolder } from './folder.ts'
import { readDocuments } from './read.ts'
import type { ReadContext } from './view.ts'

/** What the worker is asked. */
export type ReadRequest =
  /** Read the folder, unless its content has the hash `seen`. `keep` is where a good set is written. */
  | {
      readonly ask: 'look'
      readonly dir: string
      readonly seen: string | null
      readonly settleMs: number
      readonly keep: string | null
      /** Absent: as in the request before. */
      readonly context?: Omit<ReadContext, 'previous' | 'now'>
      readonly now: number
    }
  /** The set that was kept on disk. */
  | { readonly ask: 'kept'; readonly file: string }

/** What the worker answers. */
export type ReadAnswer =
  | { readonly answer: 'unchanged' }
  | {
      readonly answer: 'read'
      /** Of the files' content: what `seen` is compared with. */
      readonly scanHash: string
      readonly set: DocumentSet | null
      readonly problems: readonly Problem[]
      readonly hash: string
      readonly version: string
      /** The folders to watch, the first one `dir` itself. */
      readonly folders: readonly string[]
    }
  | {
      readonly answer: 'kept'
      readonly set: DocumentSet | null
      readonly hash: string
      readonly version: string
      readonly problems: readonly Problem[]
    }

/** How often a folder that keeps changing is looked at again before it is read as it is. */
const SETTLE_TRIES = 20

let context: ReadContext = {}
let previous: DocumentSet | null = null

parentPort?.on('message', (request: ReadRequest) => {
  parentPort?.postMessage(request.ask === 'look' ? look(request) : kept(request.file))
})

function kept(file: string): ReadAnswer {
  const found = takeFromDisk(file)
  previous = found.set ?? previous
  return { answer: 'kept', ...found }
}

function look(request: ReadRequest & { ask: 'look' }): ReadAnswer {
  context = request.context ?? context
  const scan = settled(request)
  if (scan.hash === request.seen) return { answer: 'unchanged' }
  const result = readDocuments(scan.files, { ...context, previous, now: request.now })
  const empty = isEmpty(result.set) && scan.problems.length === 0 ? [emptyProblem(request.dir)] : []
  const problems = [...scan.problems, ...empty, ...result.problems]
  const isGood = result.set !== null && problems.every(({ severity }) => severity !== 'error')
  const common = {
    answer: 'read',
    scanHash: scan.hash,
    folders: scan.folders,
    hash: result.hash,
    version: result.version,
  } as const
  if (!isGood) return { ...common, set: null, problems }
  previous = result.set
  const unkept = request.keep === null ? [] : keepOnDisk(request.keep, result.set, result.hash, result.version)
  return { ...common, set: result.set, problems: [...problems, ...unkept] }
}

/**
 * The folder once it has stood still: a set is read whole or not at all, and somebody who copies files one by one has a
 * good half in between. A folder that is swapped by symlink, as Kubernetes does it, is whole at any time.
 */
function settled({ dir, seen, settleMs }: ReadRequest & { ask: 'look' }): Scan {
  let scan = scanFolder(dir)
  for (let tries = 0; tries < SETTLE_TRIES && scan.hash !== seen && !scan.isSwapped && settleMs > 0; tries++) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, settleMs)
    const next = scanFolder(dir)
    if (next.hash === scan.hash) return next
    scan = next
  }
  return scan
}

const isEmpty = (set: DocumentSet | null): boolean =>
  set !== null && Object.values(set).every((documents: readonly unknown[]) => documents.length === 0)

const emptyProblem = (dir: string): Problem => ({
  code: 'documents/empty',
  severity: 'error',
  message: `there is no document in ${dir}`,
  remedy: 'put *.yaml, *.yml or *.json files there, or check what is mounted',
})
