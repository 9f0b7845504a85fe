import type { SourceStatus } from '../model/source.ts'
import { fileAttempt, watchFlags } from './file-flags.ts'
import { FlagIntake, type FlagSourceBase, type IntakeEdges } from './flag-intake.ts'
import { type FlagLoop, flagLoop } from './flag-loop.ts'
import { type FlagReader, flagReader } from './flag-reader.ts'
import { httpAsker, type NetworkAccess, shownAddress } from './http-ask.ts'
import type { FlagAccess, FlagSourceConfig } from './kinds.ts'
import { type FlagAttempt, httpAttempt, ofrepAttempt } from './remote-flags.ts'
import { syncAttempt, syncTarget } from './sync-flags.ts'

/** What the sources are handed. */
export interface FlagSourcesEdges extends Omit<IntakeEdges, 'reader' | 'keptFile'> {
  /** Whose end is the giver's own business; absent: one for these sources. */
  readonly reader?: FlagReader
  readonly keptFile: (name: string) => string | null
  /** Headers and certificates of an access, read anew each time. */
  readonly access: (access: FlagAccess) => NetworkAccess
  /** Gives 0 up to 1, another each time, for a source by its name. */
  readonly draw: (name: string) => () => number
}

/** All sources of flags of a hubward. */
export interface FlagSources {
  /** Fulfilled when each has had its first verdict, or has had its time: then what was kept on disk is in force. */
  readonly start: () => Promise<void>
  readonly statuses: () => readonly SourceStatus[]
  /** Has what was refused looked at again: documents have changed. */
  readonly lookAgain: () => void
  readonly stop: () => Promise<void>
}

/** How long the start waits for sources before it takes what was kept on disk. */
const FIRST_MS = 5_000
/** Beside its answer, what an attempt has: the reader ends by itself before it is over. */
const READING_MS = 30_000

interface Opened {
  readonly intake: FlagIntake
  readonly loop: FlagLoop
  readonly close: () => Promise<void>
}

/** The sources of a configuration, not yet started. */
export function openFlagSources(configs: readonly FlagSourceConfig[], edges: FlagSourcesEdges): FlagSources {
  const reader = edges.reader ?? flagReader()
  const opened = configs.map((config) =>
    opener(config, { ...edges, reader, keptFile: edges.keptFile(config.name) }, edges),
  )
  return {
    start: async () => {
      await Promise.all(
        opened.map(async ({ intake, loop }) => {
          await atMost(FIRST_MS, loop.start())
          await intake.useKept()
        }),
      )
    },
    statuses: () => opened.map(({ intake }) => intake.status),
    lookAgain: () => {
      for (const { intake, loop } of opened) {
        if (intake.status.failuresInARow === 0) continue
        intake.again()
        loop.poke()
      }
    },
    stop: async () => {
      await Promise.all(opened.map(({ loop, close }) => Promise.all([loop.stop(), close()])))
      if (edges.reader === undefined) await reader.end()
    },
  }
}

function opener(config: FlagSourceConfig, edges: IntakeEdges, more: FlagSourcesEdges): Opened {
  if (config.kind === 'file') {
    const intake = new FlagIntake(base(config), config.file, 'flagd', edges, config.pollMs)
    const loop = flagLoop({
      where: config.file,
      intervalMs: config.pollMs,
      timeoutMs: READING_MS,
      backoffMs: { min: config.pollMs, max: config.pollMs },
      draw: more.draw(config.name),
      attempt: fileAttempt(config.file, intake),
      failed: (problems) => intake.failed(problems),
    })
    const unwatch = watchFlags(config.file, loop.poke)
    return { intake, loop, close: async () => unwatch() }
  }
  const { pollMs, timeoutMs, backoffMs } = config
  const access = more.access(config)
  const where = config.kind === 'flagd-sync' ? syncTarget(config) : shownAddress(config.url)
  const intake = new FlagIntake(base(config), where, config.kind === 'ofrep' ? 'ofrep' : 'flagd', edges, pollMs)
  const looped = (attempt: FlagAttempt, attemptMs: number, intervalMs: number): FlagLoop =>
    flagLoop({
      where,
      intervalMs,
      timeoutMs: attemptMs,
      backoffMs,
      draw: more.draw(config.name),
      attempt,
      failed: (problems) => intake.failed(problems),
    })
  if (config.kind === 'flagd-sync') {
    // A stream that has had its time is followed by the next at once.
    const loop: FlagLoop = looped(
      syncAttempt(config, access, intake, () => loop),
      0,
      0,
    )
    return { intake, loop, close: async () => {} }
  }
  const asker = httpAsker(where, access, timeoutMs)
  const attempt = config.kind === 'http' ? httpAttempt(config, asker, intake) : ofrepAttempt(config, asker, intake)
  return { intake, loop: looped(attempt, timeoutMs + READING_MS, pollMs), close: asker.close }
}

const base = ({ name, kind, owner, ttlMs, whenStale }: FlagSourceConfig): FlagSourceBase => ({
  name,
  kind,
  ...(owner === undefined ? {} : { owner }),
  ttlMs,
  whenStale,
})

const atMost = async (ms: number, done: Promise<void>): Promise<void> => {
  let timer: NodeJS.Timeout | undefined
  await Promise.race([done, new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)))])
  clearTimeout(timer)
}
