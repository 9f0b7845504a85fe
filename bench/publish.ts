import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Change } from '../src/model/change.ts'
import { batch } from './engine.ts'
import { flagsChange } from './layers.ts'
import { processingRequest, requestHeaders } from './messages.ts'
import { openPath, PATH_DEFAULT, type Path } from './path.ts'
import { table } from './table.ts'

/** How long it takes from a change that is handed to the store until a request has been decided by it; milliseconds. */
export interface PublishRow {
  readonly what: string
  readonly sites: number
  readonly policies: number
  readonly changes: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly longestMs: number
}

const CHANGES_MAX = 200
/** Costly changes are fewer. */
const FOR_MS = 4_000
/** Requests between two changes, as under load. */
const REQUESTS = 50

const measured = (path: Path, changeOf: (number: number) => Change): readonly number[] => {
  const messages = Array.from({ length: 100 }, (_, i) => processingRequest(requestHeaders(i)))
  const request = (i: number): void => void path.handlers.process(messages[i % messages.length]!, {})
  for (let i = 0; i < 5_000; i++) request(i)
  const times: number[] = []
  const end = performance.now() + FOR_MS
  for (let number = 0; number < CHANGES_MAX && performance.now() < end; number++) {
    for (let i = 0; i < REQUESTS; i++) request(i)
    // What a source has read and compiled is ready before it is handed over.
    const change = changeOf(number)
    const begun = performance.now()
    path.store.apply(change)
    request(number)
    times.push(performance.now() - begun)
  }
  return times
}

/** Each kind of change, on a small world and on a large one. */
export const publishRows = async (): Promise<readonly PublishRow[]> => {
  const rows: PublishRow[] = []
  for (const [sites, policies] of [
    [50, 20],
    [1_000, 200],
  ] as const) {
    const folder = mkdtempSync(join(tmpdir(), 'hubward-publish-'))
    const path = openPath({ ...PATH_DEFAULT, sites, policies, flags: 4, folder })
    const { at } = path.store.current.data
    const set = path.store.current.data.sets.bench!
    const kinds: Readonly<Record<string, (number: number) => Change>> = {
      'documents, one policy of which is new': (number) => {
        const version = number + 2
        const changed = set.policies.map((one, i) =>
          i === 0 ? { ...one, metadata: { ...one.metadata, version } } : one,
        )
        const says = { version: String(version), nonce: String(version), hash: String(version), problems: [] }
        return { kind: 'documents-accepted', at, source: 'bench', ...says, set: { ...set, policies: changed } }
      },
      '1,000 flags, of which 100 are new': (number) => {
        const change = flagsChange(at, 996, 0, number + 2)
        // As its source does, ahead of the change.
        if (change.kind === 'flags-accepted')
          for (const flag of Object.values(change.set.flags)) path.store.current.programs.compileFlag(flag)
        return change
      },
      '200 samples': (number) => ({
        ...{ kind: 'samples-arrived', at, heartbeats: [] },
        samples: batch(sites, number * 40, 200, at),
      }),
      'a second that has passed': () => ({ kind: 'time-passed', at }),
    }
    for (const [what, changeOf] of Object.entries(kinds)) {
      const times = measured(path, changeOf).toSorted((a, b) => a - b)
      const of = (share: number): number => times[Math.floor(times.length * share)]!
      rows.push({
        ...{ what, sites, policies, changes: times.length },
        ...{ p50Ms: of(0.5), p99Ms: of(0.99), longestMs: times.at(-1)! },
      })
    }
    await path.close()
    rmSync(folder, { recursive: true, force: true })
  }
  return rows
}

/** The rows as a table. */
export const publishText = (rows: readonly PublishRow[]): string =>
  `From a change that is handed to the store until a request has been decided by it, bytes to bytes, ${REQUESTS} requests between two changes; what a source does ahead of that, reading and compiling, is in a later section, where the file is what changes. No request is decided meanwhile, so that this is a pause as well.

${table(
  ['change', 'sites', 'policies', 'changes', 'p50 ms', 'p99 ms', 'longest ms'],
  rows.map((row) => [
    ...[row.what, row.sites, row.policies, row.changes],
    ...[row.p50Ms, row.p99Ms, row.longestMs].map((ms) => ms.toFixed(2)),
  ]),
)}`

if (import.meta.main) console.log(publishText(await publishRows()))
