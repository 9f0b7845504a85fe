import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { hostAndPort } from './config/addresses.ts'
import { crossProblems } from './config/cross-checks.ts'
import { type FeedSettings, readFeeds } from './config/feed-settings.ts'
import { readFlagSources } from './config/flag-settings.ts'
import { overlay } from './config/overlay.ts'
import { CONFIG_SCHEMA, type Schema } from './config/schema.ts'
import type { WrittenConfig, WrittenListener } from './config/written.ts'
import { parseDuration } from './documents/duration.ts'
import { schemaProblems } from './documents/shape.ts'
import { readText } from './documents/text.ts'
import type { LogLevel } from './log.ts'
import type { Problem } from './model/problem.ts'
import type { FlagSourceConfig } from './openfeature/kinds.ts'

/** Where requests come in; the form that the gRPC server takes. */
export type ListenerSettings =
  | { readonly unix: string; readonly mode?: number; readonly uid?: number; readonly gid?: number }
  | {
      readonly host: string
      readonly port: number
      readonly tls?: { readonly certFile: string; readonly keyFile: string; readonly clientCaFile?: string }
    }

/** All that `hubward serve` is told: defaults filled in, paths absolute, durations in milliseconds. */
export interface Config {
  readonly instance: string
  readonly stateDir: string
  readonly logLevel: LogLevel
  readonly listeners: readonly ListenerSettings[]
  readonly documents: readonly {
    readonly name: string
    readonly dir: string
    readonly owner?: string
    readonly pollMs: number
  }[]
  readonly overrides: {
    readonly name: string
    readonly file: string
    readonly owner?: string
    readonly pollMs: number
  }
  readonly journal: {
    readonly dir: string
    readonly share: number
    readonly movedPerSecond: number
    readonly fileBytesMax: number
    readonly filesMax: { readonly changes: number; readonly decisions: number }
    readonly fsync: 'never' | 'changes' | 'always'
    readonly hide: readonly string[]
  }
  readonly admin: {
    readonly host: string
    readonly port: number
    readonly tokensFile?: string
    readonly tls?: { readonly certFile: string; readonly keyFile: string }
    readonly hosts: readonly string[]
    readonly waitersMax: number
    readonly admissionOpen: boolean
  }
  /** Bounds of what is measured. */
  readonly measure: { readonly pending: number; readonly cellsMax: number; readonly bytesMax: number }
  /** What may wait here at once. */
  readonly hold: { readonly msMax: number; readonly countMax: number; readonly bytesMax: number }
  readonly jobs: { readonly reservationLifeMs: number; readonly listenersMax: number }
  readonly flags: readonly FlagSourceConfig[]
  /** The version of the algorithm by which `fractional` shares out. */
  readonly fractionalVersion: 2 | 3
  readonly openfeature: {
    readonly origins: readonly string[]
    readonly streamsMax: number
    /** Where flagd.sync.v1 is served; absent: nowhere. */
    readonly sync?: ListenerSettings
  }
  readonly feeds: FeedSettings['feeds']
  readonly envoyAdmin: FeedSettings['envoyAdmin']
  readonly geo: { readonly countryFile?: string; readonly asnFile?: string }
  readonly keys: { readonly sessionFile?: string; readonly hopFile?: string; readonly forceFile?: string }
  readonly hops: boolean
  readonly sidecars: number
  /** What carries gRPC on the listeners. */
  readonly transport: 'grpc-js' | 'own'
  /** How many processes decide; 1: this one alone. */
  readonly processes: number
  readonly drainMs: number
}

/** Where a configuration comes from. What the command line sets comes before the environment, and that before the file. */
export interface ConfigSources {
  /** Absent: only defaults, environment and settings. */
  readonly file?: string
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** `path=value`, such as `journal.share=0.1`. */
  readonly settings?: readonly string[]
}

/** A configuration, or all that is wrong with it. Warnings come along with either. */
export interface ConfigRead {
  readonly config: Config | null
  readonly problems: readonly Problem[]
}

/** Reads a configuration. Gives `config/…`, `schema/…`, `yaml/…` and `feed/…` problems, every one at once. */
export function readConfig(sources: ConfigSources): ConfigRead {
  const path = sources.file ?? 'the defaults'
  const text = sources.file === undefined ? '{}' : textOf(sources.file)
  if (typeof text !== 'string') return { config: null, problems: [text] }
  const { written, problems: syntax } = readText({ path, text })
  if (syntax.length > 0) return { config: null, problems: syntax }
  if (written.length > 1)
    return { config: null, problems: [configProblem('config/several', 'holds several documents', path)] }
  const { located, value } = written[0] ?? readText({ path, text: '{}' }).written[0]!

  const over = overlay(value, sources.environment ?? {}, sources.settings ?? [])
  const shape = schemaProblems(located, validator(), over.value)
  if (shape.length > 0 || typeof over.value !== 'object' || over.value === null) {
    return { config: null, problems: [...over.problems, ...shape] }
  }
  const filled = over.value as WrittenConfig
  const base = sources.file === undefined ? process.cwd() : dirname(resolve(sources.file))
  const { settings, problems: ofFeeds } = readFeeds(located, filled, (name) => resolve(base, name))
  const ofFlags = readFlagSources(located, filled, (name) => resolve(base, name))
  const problems = [...over.problems, ...crossProblems(located, filled), ...ofFeeds, ...ofFlags.problems]
  const isGood = problems.every(({ severity }) => severity !== 'error')
  return { config: isGood ? resolved(filled, { ...settings, flags: ofFlags.flags }, base) : null, problems }
}

function textOf(file: string): string | Problem {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    return configProblem(
      'config/unreadable',
      `cannot be read: ${(error as Error).message}`,
      file,
      'check --config and who may read it',
    )
  }
}

const configProblem = (code: string, what: string, path: string, remedy = 'write one'): Problem => ({
  code,
  severity: 'error',
  message: `the configuration ${what}`,
  path,
  remedy,
})

let compiled: ValidateFunction | undefined

function validator(): ValidateFunction {
  // Defaults are filled in by the validator itself, so the schema is the one place that has them.
  compiled ??= new Ajv2020({ allErrors: true, verbose: true, useDefaults: true, strictTypes: false }).compile(
    CONFIG_SCHEMA as Schema & object,
  )
  return compiled
}

function resolved(written: WrittenConfig, sources: FeedSettings & Pick<Config, 'flags'>, base: string): Config {
  const at = (path: string): string => resolve(base, path)
  const ms = (text: string): number => parseDuration(text) ?? 0
  const stateDir = at(written.stateDir)
  const { overrides, journal, admin, hold, jobs, openfeature, geo, keys } = written
  return {
    instance: written.instance ?? hostname(),
    stateDir,
    logLevel: written.log.level,
    listeners: written.listeners.map((listener) => listenerOf(listener, at)),
    documents: written.documents.map(({ name, dir, owner, poll }) => ({
      name,
      dir: at(dir),
      ...(owner === undefined ? {} : { owner }),
      pollMs: ms(poll),
    })),
    overrides: {
      name: overrides.name,
      file: overrides.file === undefined ? join(stateDir, 'overrides.json') : at(overrides.file),
      ...(overrides.owner === undefined ? {} : { owner: overrides.owner }),
      pollMs: ms(overrides.poll),
    },
    journal: {
      dir: journal.dir === undefined ? join(stateDir, 'journal') : at(journal.dir),
      share: journal.share,
      movedPerSecond: journal.movedPerSecond,
      fileBytesMax: journal.fileBytesMax,
      filesMax: { changes: journal.changeFilesMax, decisions: journal.decisionFilesMax },
      fsync: journal.fsync,
      hide: journal.hide,
    },
    admin: {
      ...(hostAndPort(admin.address) ?? { host: '127.0.0.1', port: 0 }),
      ...(admin.tokensFile === undefined ? {} : { tokensFile: at(admin.tokensFile) }),
      ...(admin.tls === undefined ? {} : { tls: absolute(admin.tls, at) }),
      hosts: admin.hosts,
      waitersMax: admin.waitersMax,
      admissionOpen: admin.admissionOpen,
    },
    measure: written.measure,
    hold: { msMax: ms(hold.max), countMax: hold.countMax, bytesMax: hold.bytesMax },
    jobs: {
      // A second at least: what lasts no time would be held for nobody.
      reservationLifeMs: Math.min(86_400_000, Math.max(1_000, ms(jobs.reservationLife))),
      listenersMax: jobs.listenersMax,
    },
    ...sources,
    fractionalVersion: written.fractionalVersion,
    openfeature: {
      origins: openfeature.origins,
      streamsMax: openfeature.streamsMax,
      ...(openfeature.sync === undefined ? {} : { sync: listenerOf(openfeature.sync, at) }),
    },
    geo: absolute(geo, at),
    keys: absolute(keys, at),
    hops: written.hops,
    sidecars: written.sidecars,
    transport: written.transport,
    processes: written.processes,
    drainMs: ms(written.drain),
  }
}

function listenerOf(
  { socket, address, mode, uid, gid, tls }: WrittenListener,
  at: (path: string) => string,
): ListenerSettings {
  const owner = { ...(uid === undefined ? {} : { uid }), ...(gid === undefined ? {} : { gid }) }
  if (socket !== undefined)
    return { unix: at(socket), ...(mode === undefined ? {} : { mode: Number.parseInt(mode, 8) }), ...owner }
  return { ...hostAndPort(address ?? '')!, ...(tls === undefined ? {} : { tls: absolute(tls, at) }) }
}

/** The same files by their absolute paths. */
const absolute = <Files extends object>(files: Files, at: (path: string) => string): Files =>
  Object.fromEntries(Object.entries(files).map(([name, path]) => [name, at(String(path))])) as Files
