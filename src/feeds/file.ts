import { createHash } from 'node:crypto'
import { watch } from 'node:fs'
import { open } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { SIGNALS } from '../model/signal.ts'
import { errorDetail, FeedFailure, failure } from './failure.ts'
import { type FileSamples, fileSamples } from './file-samples.ts'
import type { Reading, Source } from './poller.ts'

/** What a file source is made from. */
export interface FileOptions {
  readonly name: string
  readonly owner?: string
  readonly path: string
  /** What it is said to deliver; absent: what it has, and before it was read anything. */
  readonly signals?: readonly string[]
  readonly targets?: readonly string[]
  readonly intervalMs: number
  readonly timeoutMs: number
  readonly backoffMsMax: number
  readonly bytesMax: number
}

const PART_BYTES = 65_536

/**
 * Samples and series from a JSON array or JSON lines in a file, for measurements that nothing else delivers. Its folder is watched,
 * for a file that is replaced (as ConfigMaps are) is another file, and it is looked at every interval besides. Its
 * samples are handed over at every look, so that a site which is described later gets them too; they age by their own
 * times, not by ours. A set with one entry that is no sample is refused as a whole.
 */
export function fileFeed(options: FileOptions): Source {
  const { name, owner, path, intervalMs, timeoutMs, backoffMsMax, bytesMax } = options
  let known: { readonly hash: string; readonly set: FileSamples } | undefined

  const read = async (): Promise<Reading> => {
    const { text, writtenAt } = await readBounded(path, bytesMax)
    const hash = `sha256:${createHash('sha256').update(`${writtenAt}\n${text}`).digest('hex').slice(0, 32)}`
    if (known?.hash !== hash) {
      try {
        known = { hash, set: await fileSamples(text, { path, source: name, writtenAt }) }
      } catch (error) {
        throw error instanceof FeedFailure ? new FeedFailure(error.problems, hash) : error
      }
    }
    return { version: hash, samples: known.set.samples, heartbeats: [], series: known.set.series }
  }
  return {
    name,
    kind: 'file',
    ...(owner === undefined ? {} : { owner }),
    where: path,
    intervalMs,
    timeoutMs,
    backoffMsMax,
    get covers() {
      return options.targets ?? known?.set.places ?? []
    },
    delivers: () => options.signals ?? known?.set.signals ?? Object.keys(SIGNALS),
    read,
    watch: (changed) => watchFolder(path, changed),
  }
}

/** A file's text and when it was written, up to so many bytes. Rejects with FeedFailure. */
export const readBounded = async (path: string, bytesMax: number): Promise<{ text: string; writtenAt: number }> => {
  try {
    const file = await open(path, 'r')
    try {
      const { mtimeMs } = await file.stat()
      // What it says of its size is not believed: a pipe says nothing, and a file may grow while it is read.
      const parts: Buffer[] = []
      let length = 0
      for (;;) {
        const part = Buffer.alloc(PART_BYTES)
        const { bytesRead } = await file.read(part, 0, PART_BYTES)
        length += bytesRead
        if (length > bytesMax) throw failure('feed/too-large', `${path} has more than ${bytesMax} bytes`)
        if (bytesRead === 0) break
        parts.push(part.subarray(0, bytesRead))
      }
      return { text: Buffer.concat(parts).toString('utf8'), writtenAt: Math.floor(mtimeMs) }
    } finally {
      await file.close()
    }
  } catch (error) {
    if (error instanceof FeedFailure) throw error
    const remedy = 'write the file, and let the user that hubward runs as read it'
    throw failure('feed/unreachable', `${path}: ${errorDetail(error)}`, { path, remedy })
  }
}

/**
 * Calls back when a file may have changed; the function it gives ends that. A folder that can't be watched is no failure:
 * the interval finds what is new.
 */
export const watchFolder = (path: string, changed: () => void): (() => void) => {
  try {
    // A ConfigMap's file never changes itself: the link ..data beside it does.
    const watcher = watch(dirname(path), { persistent: false }, (_, name) => {
      if (name === null || name === basename(path) || name === '..data') changed()
    })
    watcher.on('error', () => watcher.close())
    return () => watcher.close()
  } catch {
    return () => {}
  }
}
