import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { accessHeaders, accessTls } from '../../src/feeds/credentials.ts'
import { createFlagCompiler } from '../../src/flags/compile-flag.ts'
import type { Change } from '../../src/model/change.ts'
import type { Problem } from '../../src/model/problem.ts'
import { flagReader } from '../../src/openfeature/flag-reader.ts'
import { type FlagSourcesEdges, openFlagSources } from '../../src/openfeature/flag-sources.ts'
import type { FlagSourceConfig } from '../../src/openfeature/kinds.ts'

type FlagChange = Extract<Change, { kind: 'flags-accepted' | 'flags-refused' | 'flags-heard' }>

/** A definition with one flag, whose default is this variant. */
export const definition = (variant: 'on' | 'off', key = 'checkout', more: object = {}): string =>
  JSON.stringify({
    flags: { [key]: { state: 'ENABLED', variants: { on: true, off: false }, defaultVariant: variant } },
    ...more,
  })

/** A folder of its own for a test. */
export const folderOf = (t: Test): string => {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-flags-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** What sources on a network have in common in these tests. */
export const REMOTE = {
  ttlMs: 60_000,
  whenStale: 'keep',
  pollMs: 20,
  timeoutMs: 2_000,
  backoffMs: { min: 10, max: 40 },
} as const

/** One reader for all: it starts a worker, which takes its time and holds up no end. */
const reader = flagReader()

/** What the documents say of a set, said in one step. */
export const checked = (problems: readonly Problem[]): Iterator<unknown, readonly Problem[]> => ({
  next: () => ({ done: true, value: problems }),
})

/** A source that runs, the changes that it made, and a way to wait for one. */
export const openedSource = (t: Test, config: FlagSourceConfig, over: Partial<FlagSourcesEdges> = {}) => {
  const changes: FlagChange[] = []
  const turns: boolean[] = []
  const waiting = new Set<() => void>()
  const sources = openFlagSources([config], {
    now: Date.now,
    emit: (change) => {
      changes.push(change)
      for (const look of waiting) look()
    },
    check: () => checked([]),
    prepare: createFlagCompiler({ fractionalVersion: 2 }).prepare,
    keptFile: () => null,
    onTrouble: () => {},
    turned: (_status, failing) => {
      turns.push(failing)
      for (const look of waiting) look()
    },
    access: (access) => ({ headers: () => accessHeaders(access), tls: () => accessTls(access) }),
    draw: () => () => 0.5,
    reader,
    ...over,
  })
  let isStopped = false
  const stop = async (): Promise<void> => {
    if (isStopped) return
    isStopped = true
    await sources.stop()
  }
  t.teardown(stop)
  const when = (is: () => boolean): Promise<void> =>
    new Promise((resolve, reject) => {
      // Not all of it makes a change: statuses are looked at. Who waits for ever is told what there was instead.
      const again = setInterval(() => look(), 5)
      const late = setTimeout(() => {
        clearInterval(again)
        reject(new Error(`it did not come: ${JSON.stringify([sources.statuses(), changes]).slice(0, 2_000)}`))
      }, 20_000)
      const look = (): void => {
        if (!is()) return
        clearInterval(again)
        clearTimeout(late)
        waiting.delete(look)
        resolve()
      }
      waiting.add(look)
      look()
    })
  const find = async <Kind extends FlagChange['kind']>(
    kind: Kind,
    is: (change: Extract<FlagChange, { kind: Kind }>) => boolean = () => true,
  ): Promise<Extract<FlagChange, { kind: Kind }>> => {
    const found = () => changes.find((one) => one.kind === kind && is(one as Extract<FlagChange, { kind: Kind }>))
    await when(() => found() !== undefined)
    return found() as Extract<FlagChange, { kind: Kind }>
  }
  return {
    sources,
    changes,
    turns,
    stop,
    when,
    find,
    status: () => sources.statuses()[0]!,
    /** Waits for a set in which this flag has this default. */
    accepted: (variant: string | null, key = 'checkout') =>
      find('flags-accepted', ({ set }) => set.flags[key]?.definition.defaultVariant === variant),
  }
}
