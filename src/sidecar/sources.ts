import { join } from 'node:path'
import type { Config } from '../config.ts'
import { type DirectorySource, directorySource } from '../feeds/documents-directory.ts'
import { type OverridesSource, overridesFile } from '../feeds/overrides-file.ts'
import type { Log } from '../log.ts'
import type { Change } from '../model/change.ts'
import type { EpochMs } from '../model/names.ts'
import type { SnapshotData } from '../model/snapshot.ts'
import type { SourceStatus } from '../model/source.ts'

/** Documents and overrides, each source by itself. */
export interface DocumentSources {
  /**
   * Fulfilled when every folder has had its first verdict, or one has and the others had five seconds more: one source
   * never holds up another.
   */
  readonly start: () => Promise<void>
  /** Has sources that were refused look again: what another one has just brought may be what they lacked. */
  readonly lookAgain: (changed: string) => void
  readonly statuses: () => readonly SourceStatus[]
  readonly stop: () => Promise<void>
}

/** What sources are handed. */
export interface SourceEdges {
  readonly now: () => EpochMs
  readonly apply: (change: Change) => void
  readonly data: () => SnapshotData
  readonly feeds: () => readonly SourceStatus[]
  readonly log: Log
}

const LATE_MS = 5_000

/** The sources of a configuration, not yet started. */
export function openSources(config: Config, { now, apply, data, feeds, log }: SourceEdges): DocumentSources {
  const kept = (name: string): string => join(config.stateDir, 'last-good', `${name}.json`)
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const workerUrl = new URL(`../documents/read-worker.${extension}`, import.meta.url)
  const folders: DirectorySource[] = config.documents.map(({ name, dir, owner, pollMs }) =>
    directorySource({
      name,
      dir,
      cacheFile: kept(name),
      ...(owner === undefined ? {} : { owner }),
      workerUrl,
      now,
      emit: apply,
      context: () => ({
        otherSets: Object.entries(data().sets).flatMap(([source, set]) => (source === name ? [] : [set])),
        feeds: feeds(),
      }),
      onTrouble: (message) => log.warn({ source: name, detail: message }, 'trouble with a source'),
      pollMs,
    }),
  )
  const { name, file, owner, pollMs } = config.overrides
  const overrides: OverridesSource = overridesFile({
    name,
    file,
    cacheFile: kept(name),
    ...(owner === undefined ? {} : { owner }),
    now,
    emit: apply,
    onTrouble: (message) => log.warn({ source: name, detail: message }, 'trouble with a source'),
    pollMs,
  })
  return {
    start: async () => {
      // Orders first: no request may be sent to a drained site, not even the first one.
      overrides.start()
      const verdicts = folders.map((folder) => folder.start())
      await Promise.race([Promise.all(verdicts), Promise.any(verdicts).then(() => later(LATE_MS))])
    },
    lookAgain: (changed) => {
      for (const folder of folders) {
        if (folder.name !== changed && folder.status().refusal.length > 0) void folder.look()
      }
    },
    statuses: () => [...folders.map((folder) => folder.status()), overrides.status()],
    stop: async () => {
      overrides.stop()
      await Promise.all(folders.map((folder) => folder.stop()))
    },
  }
}

const later = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms).unref())
