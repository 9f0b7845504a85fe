import { type FSWatcher, watch } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { errorWords, flagsFailure } from './failure.ts'
import type { FlagIntake } from './flag-intake.ts'
import type { FlagText } from './flag-reader.ts'
import { FLAGS_BYTES_MAX } from './http-ask.ts'
import type { FlagAttempt } from './remote-flags.ts'

/** Files of one folder, beyond which it is no folder of flags. */
const FILES_MAX = 256
/** How often files that change under the reader are read again. */
const TRIES_MAX = 5
const SETTLE_MS = 20

/** Reads a file, or the files of a folder. What was different at a second look is read once more: nobody takes a half. */
export const fileAttempt =
  (path: string, intake: FlagIntake): FlagAttempt =>
  async (signal) => {
    let before = await textsAt(path)
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      if (intake.knows(before)) break
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
      const now = await textsAt(path)
      if (isSame(before, now)) break
      if (tries === TRIES_MAX - 1)
        throw flagsFailure('flag-source/changing', `${path} changes while it is read`, {
          remedy: 'swap it in one step',
        })
      before = now
    }
    await intake.take(before, signal)
  }

/** Calls `changed` when something moves in a folder, or in the folder of a file; the function it gives ends that. */
export function watchFlags(path: string, changed: () => void): () => void {
  // The folder of a file too: whoever replaces the file makes a watch on the old one go blind.
  const watchers: FSWatcher[] = []
  for (const place of new Set([path, dirname(path)])) {
    try {
      const watcher = watch(place, { persistent: false }, (_event, name) => {
        if (place === path || name === null || name === basename(path) || name.startsWith('..')) changed()
      })
      watcher.on('error', () => watcher.close())
      watchers.push(watcher)
    } catch {
      // What can't be watched is found by the next look.
    }
  }
  return () => {
    for (const watcher of watchers) watcher.close()
  }
}

async function textsAt(path: string): Promise<FlagText[]> {
  try {
    const found = await stat(path)
    if (!found.isDirectory()) return [{ path, text: await textOf(path, found.size) }]
    const names = (await readdir(path)).filter((name) => /^[^.].*\.(json|ya?ml)$/.test(name)).sort()
    if (names.length === 0) {
      const remedy = 'put a file of flags there; one without flags says {"flags": {}}'
      throw flagsFailure('flag-source/empty', `${path} has no file of flags`, { path, remedy })
    }
    if (names.length > FILES_MAX)
      throw flagsFailure('flag-source/too-large', `${path} has ${names.length} files, at most ${FILES_MAX} are read`)
    const texts: FlagText[] = []
    let bytes = 0
    for (const name of names) {
      const { size } = await stat(join(path, name))
      bytes += size
      texts.push({ path: join(path, name), text: await textOf(join(path, name), bytes) })
    }
    return texts
  } catch (error) {
    if (Array.isArray((error as { problems?: unknown }).problems)) throw error
    const remedy = 'check the path, and who may read it'
    throw flagsFailure('flag-source/unreadable', `${path} can't be read: ${errorWords(error)}`, { path, remedy })
  }
}

async function textOf(path: string, bytes: number): Promise<string> {
  if (bytes > FLAGS_BYTES_MAX)
    throw flagsFailure('flag-source/too-large', `${path}: more than ${FLAGS_BYTES_MAX} bytes of flags`, { path })
  return await readFile(path, 'utf8')
}

const isSame = (a: readonly FlagText[], b: readonly FlagText[]): boolean =>
  a.length === b.length && a.every(({ path, text }, index) => path === b[index]!.path && text === b[index]!.text)
