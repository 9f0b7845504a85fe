import { type FSWatcher, watch } from 'node:fs'
import type { Change } from '../model/change.ts'
import type { DocumentSet } from '../model/documents.ts'
import type { EpochMs, SourceName } from '../model/names.ts'
import type { Problem } from '../model/problem.ts'
import type { SourceStatus } from '../model/source.ts'
import { workerCall } from './worker-call.ts'

/** What the worker is handed beside the folder: the rest of the world as documents see it. */
export interface DirectoryContext {
  /** What the other sources have in force. */
  readonly otherSets: readonly DocumentSet[]
  /** The feeds, so that freshness limits and required signals are held against them; absent: they are not. */
  readonly feeds?: readonly SourceStatus[]
}

/** A folder of documents as a source. */
export interface DirectoryOptions {
  readonly name: SourceName
  readonly dir: string
  /** Where the last good set is kept; null: nowhere. */
  readonly cacheFile: string | null
  readonly owner?: string
  /** The entry of the reading worker, documents/read-worker. */
  readonly workerUrl: URL
  readonly now: () => EpochMs
  readonly emit: (change: Change) => void
  /** Read before each look; absent: this is the only source. */
  readonly context?: () => DirectoryContext
  /** Told of what is no fault of the documents: a worker that died, a watch that can't be had. */
  readonly onTrouble?: (message: string) => void
  /** How often the folder is looked at without being told. 2 s. */
  readonly pollMs?: number
  /** How long a folder has to stand still before it is read. 200 ms. */
  readonly settleMs?: number
  /** How long a reading may take before the worker is ended. 60 s; a thousand sites take two. */
  readonly readTimeoutMs?: number
}

/** A running source. */
export interface DirectorySource {
  readonly name: SourceName
  /** Begins; fulfilled once there is a first verdict. A folder that can't be used: the set that was kept on disk. */
  readonly start: () => Promise<void>
  /** Looks now; fulfilled after the verdict. */
  readonly look: () => Promise<void>
  readonly status: () => SourceStatus
  readonly stop: () => Promise<void>
}

/** What the worker answers to a look; documents/read-worker has the whole of it. */
type Answer =
  | { readonly answer: 'unchanged' }
  | (Verdict & { readonly answer: 'read'; readonly scanHash: string; readonly folders: readonly string[] })
  | (Verdict & { readonly answer: 'kept' })

interface Verdict {
  readonly set: DocumentSet | null
  readonly hash: string
  readonly version: string
  readonly problems: readonly Problem[]
}

/** At most so many folders are watched; deeper ones are found by the poll. */
const WATCHES_MAX = 64

/**
 * A source of documents in a folder, which is watched and, for what a watch misses, looked at every two seconds. Good
 * sets are emitted as `documents-accepted`, bad ones as `documents-refused` once for each content; the last good set
 * stays in force and on disk. Each attempt that ends in a verdict has a nonce of its own.
 */
export function directorySource(options: DirectoryOptions): DirectorySource {
  const { name, dir, cacheFile, now, emit } = options
  const pollMs = options.pollMs ?? 2_000
  const readTimeoutMs = options.readTimeoutMs ?? 60_000
  const trouble = options.onTrouble ?? (() => {})
  const watchers = new Map<string, FSWatcher>()
  const worker = workerCall<object, Answer>(options.workerUrl, readTimeoutMs)
  let posted: DirectoryContext | null = null
  let seen: string | null = null
  let wasRefused = false
  let looking: Promise<void> | null = null
  let again = false
  let stopped = false
  let attempts = 0
  let timer: NodeJS.Timeout | undefined
  const begun = now().toString(36)
  let status: SourceStatus = {
    name,
    kind: 'documents',
    ...(options.owner === undefined ? {} : { owner: options.owner }),
    where: dir,
    version: '',
    nonce: '',
    intervalMs: pollMs,
    timeoutMs: readTimeoutMs,
    lastAcceptedAt: null,
    lastRefusedAt: null,
    refusal: [],
    failuresInARow: 0,
    delivers: [],
    covers: [],
  }

  const accept = (verdict: Verdict, set: DocumentSet, problems: readonly Problem[], fromDisk: boolean): void => {
    const { version, hash } = verdict
    const nonce = nextNonce()
    status = { ...status, version, nonce, lastAcceptedAt: now(), refusal: [], failuresInARow: 0 }
    const origin = fromDisk ? { fromDisk } : {}
    emit({ kind: 'documents-accepted', at: now(), source: name, version, nonce, hash, set, problems, ...origin })
  }

  const refuse = (version: string, problems: readonly Problem[]): void => {
    const nonce = nextNonce()
    wasRefused = true
    status = { ...status, nonce, lastRefusedAt: now(), refusal: problems, failuresInARow: status.failuresInARow + 1 }
    emit({ kind: 'documents-refused', at: now(), source: name, version, nonce, problems })
  }

  const nextNonce = (): string => `${begun}-${++attempts}`

  const lookOnce = async (): Promise<void> => {
    const context = options.context?.() ?? { otherSets: [] }
    try {
      // A new worker knows nothing of what is in force, and could not tell a version that is used twice.
      if (!worker.isRunning()) await askKept()
      const isKnown = posted !== null && sameContext(posted, context)
      // A set that was refused may be good now that another source has changed; one that was accepted stays.
      const known = wasRefused && !isKnown ? null : seen
      const request = { ask: 'look', dir, seen: known, settleMs: options.settleMs ?? 200, keep: cacheFile, now: now() }
      posted = context
      take(await worker.ask(isKnown ? request : { ...request, context }))
    } catch (error) {
      if (stopped) return
      const { message } = error as Error
      trouble(message)
      // Told once: the same content would end the next worker in the same way.
      if (status.refusal[0]?.message === message) return
      const remedy = 'look for a file that is far too large or too deep'
      refuse('unread', [{ code: 'documents/unreadable', severity: 'error', message, remedy }])
    }
  }

  const askKept = async (): Promise<Answer | null> => {
    posted = null
    return cacheFile === null ? null : await worker.ask({ ask: 'kept', file: cacheFile })
  }

  const take = (answer: Answer): void => {
    if (answer.answer !== 'read' || stopped) return
    const isRepeated = seen === answer.scanHash && wasRefused
    seen = answer.scanHash
    watchFolders([dir, ...answer.folders])
    if (answer.set !== null) {
      wasRefused = false
      accept(answer, answer.set, answer.problems, false)
    } else if (!isRepeated || JSON.stringify(status.refusal) !== JSON.stringify(answer.problems)) {
      refuse(answer.version, answer.problems)
    }
  }

  const look = (): Promise<void> => {
    if (stopped) return Promise.resolve()
    if (looking !== null) {
      again = true
      return looking
    }
    looking = (async () => {
      do {
        again = false
        await lookOnce()
      } while (again && !stopped)
      looking = null
    })()
    return looking
  }

  const watchFolders = (folders: readonly string[]): void => {
    const wanted = new Set(folders.slice(0, WATCHES_MAX))
    for (const [folder, watcher] of watchers) {
      if (wanted.has(folder)) continue
      watcher.close()
      watchers.delete(folder)
    }
    for (const folder of wanted) if (!watchers.has(folder)) watchFolder(folder)
  }

  const watchFolder = (folder: string): void => {
    try {
      const watcher = watch(folder, { persistent: false }, () => void look())
      const forget = () => {
        watcher.close()
        watchers.delete(folder)
      }
      // A folder that goes away takes its watch along; the poll finds the next one.
      watcher.on('error', forget)
      watchers.set(folder, watcher)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        trouble(`${folder} cannot be watched: ${(error as Error).message}`)
    }
  }

  const start = async (): Promise<void> => {
    watchFolders([dir])
    const keptAnswer = await askKept().catch(() => null)
    await look()
    if (status.lastAcceptedAt === null && keptAnswer?.answer === 'kept') useKept(keptAnswer)
    timer = setInterval(() => void look(), pollMs)
  }

  /** The folder was refused at the start: the last good set of the time before is better than none. */
  const useKept = (kept: Verdict): void => {
    if (kept.set === null) return
    const message = `${dir} cannot be used; the set ${kept.version} that was kept on disk is in force`
    const remedy = 'repair the source; what is wrong with it is told beside this'
    const problem: Problem = { code: 'documents/from-disk', severity: 'warning', message, remedy }
    const { refusal, failuresInARow } = status
    accept(kept, kept.set, [problem], true)
    status = { ...status, refusal, failuresInARow }
  }

  const stop = async (): Promise<void> => {
    stopped = true
    clearInterval(timer)
    for (const watcher of watchers.values()) watcher.close()
    watchers.clear()
    await worker.end()
  }

  return { name, start, look, status: () => status, stop }
}

/** Sets are replaced, never altered, so equal references mean equal content. Feeds count by what they promise. */
function sameContext(a: DirectoryContext, b: DirectoryContext): boolean {
  const promises = (context: DirectoryContext) =>
    JSON.stringify(
      context.feeds?.map(({ name, intervalMs, timeoutMs, delivers, covers }) => [
        name,
        intervalMs,
        timeoutMs,
        delivers,
        covers,
      ]),
    )
  return (
    a.otherSets.length === b.otherSets.length &&
    a.otherSets.every((set, index) => set === b.otherSets[index]) &&
    promises(a) === promises(b)
  )
}
