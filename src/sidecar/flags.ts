import { join } from 'node:path'
import type { KnownNames } from '../admin/facts-json.ts'
import type { FlagsView } from '../admin/flags-view.ts'
import type { Config } from '../config.ts'
import { hashesInForce } from '../engine/flag-programs.ts'
import { isStaleSource } from '../engine/fold-flags.ts'
import { type EngineSnapshot, mergeSets } from '../engine/programs.ts'
import { accessHeaders, accessTls } from '../feeds/credentials.ts'
import { changeInSteps } from '../flags/lint-change.ts'
import { lintInSteps } from '../flags/lint-flags.ts'
import type { Log } from '../log.ts'
import { shareOf } from '../math/choice.ts'
import type { Metrics } from '../metrics.ts'
import type { Change } from '../model/change.ts'
import type { FlagSet } from '../model/flag.ts'
import type { SourceName } from '../model/names.ts'
import { type Problem, problemText } from '../model/problem.ts'
import type { SourceStatus } from '../model/source.ts'
import { openFlagSources } from '../openfeature/flag-sources.ts'
import { type SyncServer, startSyncServer } from '../openfeature/sync-server.ts'
import { flagsView, servedFlags } from './flags-view.ts'
import type { JudgeFacts } from './judge.ts'
import { syncListener } from './sync-listener.ts'

/** What flags are handed. */
export interface FlagsEdges {
  readonly now: () => number
  readonly apply: (change: Change) => void
  readonly current: () => EngineSnapshot
  readonly compiler: {
    readonly prepare: (set: FlagSet) => Iterator<unknown>
    readonly retain: (hashes: Iterable<string>) => void
  }
  readonly metrics: Metrics
  readonly log: Log
  readonly version: string
}

/** The flags of a running hubward: where they come from, and to whom they are served. */
export interface OpenFlags {
  /** Fulfilled when each source has had its first verdict, or what was kept of it is in force. */
  readonly start: () => Promise<void>
  readonly statuses: () => readonly SourceStatus[]
  /** To be called after every change of the snapshot. */
  readonly changed: (change: Change) => void
  readonly view: (judge: JudgeFacts, known: () => KnownNames | undefined) => FlagsView
  /** Listens for providers of flagd, where that is configured; rejects if it can't. */
  readonly serve: () => Promise<void>
  /** How many providers of flagd follow. */
  readonly followers: () => number
  readonly stop: () => Promise<void>
}

/** Flags as they are configured, not yet started. */
export function openFlags(
  { flags, openfeature, stateDir, instance }: Pick<Config, 'flags' | 'openfeature' | 'stateDir' | 'instance'>,
  { now, apply, current, compiler, metrics, log, version }: FlagsEdges,
): OpenFlags {
  const served = servedFlags(current, now)
  // What is being compiled for a set that is not in force yet must not be forgotten meanwhile.
  let preparing = 0
  function* prepare(set: FlagSet) {
    preparing += 1
    try {
      for (const steps = compiler.prepare(set); steps.next().done !== true; ) yield
    } finally {
      preparing -= 1
    }
  }
  let server: SyncServer | undefined
  function* check(set: FlagSet, source: SourceName): Generator<unknown, readonly Problem[]> {
    const { data } = current()
    // Before the first documents nothing is known of names that flags take from them.
    const documents = data.documentsVersion === 0 ? undefined : mergeSets(data.sets)
    const before = data.flagSets[source]?.set
    const findings = [
      ...(yield* lintInSteps(set, { now: now(), ...(documents === undefined ? {} : { documents }) })),
      ...(before === undefined ? [] : yield* changeInSteps(before, set)),
    ]
    return findings.map(({ at: _, ...problem }) => problem)
  }
  const sources = openFlagSources(flags, {
    now,
    emit: apply,
    check,
    prepare,
    keptFile: (name) => join(stateDir, 'last-good', `${name}.flags.json`),
    onTrouble: (message) => log.warn({ detail: message }, 'trouble with a source of flags'),
    turned: (status, failing) =>
      log[failing ? 'warn' : 'info'](
        { source: status.name, owner: status.owner },
        failing ? `${status.name} fails: ${firstOf(status)}` : `${status.name} answers again`,
      ),
    access: (access) => ({ headers: () => accessHeaders(access), tls: () => accessTls(access) }),
    draw: (name) => {
      let count = 0
      return () => shareOf(`${instance} ${name} ${++count}`, 'flag source')
    },
  })
  metrics.read('hubward_flags', () => {
    const counts = new Map<string, number>()
    for (const { source } of served()) counts.set(source, (counts.get(source) ?? 0) + 1)
    return [...counts].map(([source, count]) => [[source], count])
  })
  metrics.read('hubward_flags_stale', () =>
    Object.values(current().data.flagSets).map((state) => [
      [state.source, state.whenStale],
      isStaleSource(state, now()) ? 1 : 0,
    ]),
  )
  return {
    start: sources.start,
    statuses: sources.statuses,
    changed: (change) => {
      server?.changed()
      if (change.kind === 'documents-accepted') sources.lookAgain()
      if (change.kind !== 'flags-accepted' || preparing > 0) return
      compiler.retain(hashesInForce(current()))
    },
    view: (judge, known) =>
      flagsView({ now, current, judge, known, metrics, streamsMax: openfeature.streamsMax }, served),
    serve: async () => {
      if (openfeature.sync === undefined) return
      server = await startSyncServer({
        flags: served,
        streamsMax: openfeature.streamsMax,
        about: { server: 'hubward', version, instance },
        listen: syncListener(openfeature.sync, (error) => log.warn(error.message)),
      })
      log.info({ address: server.address }, 'flagd.sync.v1 is served')
    },
    followers: () => server?.streams() ?? 0,
    stop: async () => {
      server?.stop()
      await sources.stop()
    },
  }
}

const firstOf = ({ refusal: [first] }: SourceStatus): string =>
  first === undefined ? 'no answer' : problemText(first).split('\n')[0]!
