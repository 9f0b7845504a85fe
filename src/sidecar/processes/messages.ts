import type { Config } from '../../config.ts'
import type { DecisionRecord } from '../../model/record.ts'
import type { SnapshotData } from '../../model/snapshot.ts'
import { type SigningKeys, signingKeys } from '../../request/signing-keys.ts'
import type { Part } from './digest.ts'
import type { LeftOutCounts } from './handed-journal.ts'
import type { Counted } from './handed-metrics.ts'
import type { Counts } from './shared-tally.ts'

/** What of the configuration a decider goes by; `listeners` are its own. */
export type DeciderConfig = Pick<
  Config,
  'instance' | 'logLevel' | 'listeners' | 'transport' | 'hold' | 'geo' | 'sidecars' | 'fractionalVersion' | 'drainMs'
> & { readonly journal: Pick<Config['journal'], 'share' | 'movedPerSecond' | 'hide'> }

/** Keys as they travel, the one that signs first. */
export type WrittenKeys = readonly (readonly [id: string, secret: string])[]

/** The first frame to a decider: all that it is made of. */
export interface Begin {
  readonly index: number
  readonly config: DeciderConfig
  readonly keys: { readonly session: WrittenKeys; readonly hop?: WrittenKeys; readonly force?: WrittenKeys }
  /** What hidden facts of records are hashed with, in base64. */
  readonly recordKey: string
  readonly data: SnapshotData
  readonly tally: Counts
}

/** What the data of a decider must be like when it has made all changes before. */
export interface Check extends Part {
  readonly revision: number
  readonly digest: number
}

/** A decider listens. */
export interface Ready {
  readonly addresses: readonly string[]
  readonly pid: number
}

/** How a decider is, and what it has counted; also a sign of life. */
export interface Told {
  readonly counted: Counted
  readonly leftOut: LeftOutCounts
  /** What could not be handed over since the last such frame. */
  readonly dropped: {
    readonly records: number
    readonly decisions: number
    readonly entries: number
    readonly refusals: number
  }
  readonly active: number
  readonly held: Readonly<Record<string, number>>
  readonly heldBytes: number
  readonly rssBytes: number
  readonly cpuSeconds: number
  readonly loopDelayMs: number
  /** Classes served by the last good order, and on stale signals, since the last such frame. */
  readonly panicked: readonly string[]
  readonly stale: readonly string[]
}

/** What gaps are told of a decision that sent no work on. */
export interface TurnedAway {
  readonly decision: Pick<DecisionRecord['decision'], 'action' | 'reason' | 'because' | 'class'> & {
    readonly status?: number
  }
  readonly needs?: DecisionRecord['facts']['needs']
  readonly now: number
}

/** Keys in the form in which they travel, between processes of one user and over nothing that has a name. */
export const writtenKeys = ({ current, secrets }: SigningKeys): WrittenKeys =>
  [...secrets]
    .sort(([a], [b]) => Number(b === current) - Number(a === current))
    .map(([id, secret]) => [id, secret.export().toString('base64')])

/** Keys as they were written. */
export const keysOf = (written: WrittenKeys): SigningKeys =>
  signingKeys(written.map(([id, secret]) => [id, Buffer.from(secret, 'base64')]))
