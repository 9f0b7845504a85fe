import type { EpochMs, SourceName } from './names.ts'
import type { Problem } from './problem.ts'

/** One source as /sources and `hubward status` show it. */
export interface SourceStatus {
  readonly name: SourceName
  /** `documents`, `overrides`, `probe`, `model-server`, `file`, `envoy-admin`. */
  readonly kind: string
  readonly owner?: string
  /** Where it reads: a folder or a URL without credentials. */
  readonly where: string
  readonly version: string
  readonly nonce: string
  readonly intervalMs?: number
  readonly timeoutMs?: number
  readonly lastAcceptedAt: EpochMs | null
  readonly lastRefusedAt: EpochMs | null
  readonly refusal: readonly Problem[]
  /** What is wrong with the accepted set without spoiling it; absent: nothing. */
  readonly warnings?: readonly Problem[]
  /** Attempts that failed since the last accepted one. */
  readonly failuresInARow: number
  /** Newest less oldest clock, estimated: the source's clock minus ours, in milliseconds. */
  readonly clockSkewMs?: number
  /** The signals it can deliver. */
  readonly delivers: readonly string[]
  /** How far samples of a signal lie apart when nothing happens, in its unit, where the source's entry declares it. */
  readonly noise?: Readonly<Record<string, number>>
  /** Sites or targets it covers; empty: all. */
  readonly covers: readonly string[]
}
