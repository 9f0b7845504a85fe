import type { LogLevel } from '../log.ts'
import type { WrittenFeeds } from './feed-settings.ts'
import type { WrittenFlags } from './flag-settings.ts'

/** The configuration as its file has it, checked against the schema and with the schema's defaults. */
export interface WrittenConfig extends WrittenFeeds, WrittenFlags {
  readonly instance?: string
  readonly stateDir: string
  readonly log: { readonly level: LogLevel }
  readonly listeners: readonly WrittenListener[]
  readonly documents: readonly {
    readonly name: string
    readonly dir: string
    readonly owner?: string
    readonly poll: string
  }[]
  readonly overrides: { readonly name: string; readonly file?: string; readonly owner?: string; readonly poll: string }
  readonly journal: {
    readonly dir?: string
    readonly share: number
    readonly movedPerSecond: number
    readonly fileBytesMax: number
    readonly changeFilesMax: number
    readonly decisionFilesMax: number
    readonly fsync: 'never' | 'changes' | 'always'
    readonly hide: readonly string[]
  }
  readonly admin: {
    readonly address: string
    readonly tokensFile?: string
    readonly tls?: WrittenTls
    readonly hosts: readonly string[]
    readonly waitersMax: number
    readonly admissionOpen: boolean
  }
  readonly measure: { readonly pending: number; readonly cellsMax: number; readonly bytesMax: number }
  readonly hold: { readonly max: string; readonly countMax: number; readonly bytesMax: number }
  readonly jobs: { readonly reservationLife: string; readonly listenersMax: number }
  readonly openfeature: {
    readonly origins: readonly string[]
    readonly streamsMax: number
    readonly sync?: WrittenListener
  }
  readonly geo: { readonly countryFile?: string; readonly asnFile?: string }
  readonly keys: { readonly sessionFile?: string; readonly hopFile?: string; readonly forceFile?: string }
  readonly hops: boolean
  readonly sidecars: number
  readonly transport: 'grpc-js' | 'own'
  readonly processes: number
  readonly drain: string
}

/** A listener as its file has it: a socket or an address. */
export interface WrittenListener {
  readonly socket?: string
  readonly mode?: string
  readonly uid?: number
  readonly gid?: number
  readonly address?: string
  readonly tls?: WrittenTls & { readonly clientCaFile?: string }
}

/** PEM files. */
export interface WrittenTls {
  readonly certFile: string
  readonly keyFile: string
}
