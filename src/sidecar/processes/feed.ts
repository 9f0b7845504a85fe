import type { Change } from '../../model/change.ts'
import type { TargetName } from '../../model/names.ts'
import type { SnapshotData } from '../../model/snapshot.ts'
import { digestOf, type Part, partsOf } from './digest.ts'
import { type Channel, frameOf } from './frames.ts'
import { type Counts, createTold } from './shared-tally.ts'

/** What the feed is made from. */
export interface FeedParts {
  readonly data: () => SnapshotData
  readonly dispatched: Readonly<Record<TargetName, number>>
}

/** Every change of the snapshot on its way to the other processes. */
export interface Feed {
  /** To be called after each change. Those of one turn of the event loop leave as one frame, written once for all. */
  readonly changed: (change: Change) => void
  /** One more hears from now on: `begin` makes its first frame of the snapshot and the counters of this moment. */
  readonly join: (
    index: number,
    channel: Channel,
    begin: (rest: { readonly data: SnapshotData; readonly tally: Counts }) => Buffer,
  ) => void
  readonly part: (index: number) => void
  /** Own dispatches of a process, up to this number, are among the counters. */
  readonly acknowledge: (index: number, number: number) => void
  /** Tells counters that have changed. */
  readonly tell: () => void
  /** Tells what one part of the data is to be like; the next call another part. */
  readonly check: () => void
  readonly close: () => void
}

interface Hearer {
  readonly channel: Channel
  upTo: number
  /** What it has been told that it is acknowledged. */
  toldUpTo: number
}

/** A feed that nobody hears yet. */
export function createFeed({ data, dispatched }: FeedParts): Feed {
  const hearers = new Map<number, Hearer>()
  const changedCounts = createTold(dispatched)
  let pending: Change[] = []
  let soon: NodeJS.Immediate | undefined
  let parts: Part[] = []

  const tell = (): void => {
    if (hearers.size === 0) return
    const all = changedCounts()
    const text = JSON.stringify(all)
    for (const hearer of hearers.values()) {
      if (all.length === 0 && hearer.toldUpTo === hearer.upTo) continue
      hearer.toldUpTo = hearer.upTo
      hearer.channel.write(frameOf('tally', `{"upTo":${hearer.upTo},"all":${text}}`))
    }
  }
  const flush = (): void => {
    if (soon !== undefined) clearImmediate(soon)
    soon = undefined
    if (pending.length === 0) return
    const frame = frameOf('feed', JSON.stringify({ changes: pending, revision: data().revision }))
    pending = []
    // A sample carries what had been sent when its scrape began: no process may know less than that.
    tell()
    for (const { channel } of hearers.values()) channel.write(frame)
  }
  return {
    changed: (change) => {
      if (hearers.size === 0) return
      pending.push(change)
      soon ??= setImmediate(flush)
    },
    join: (index, channel, begin) => {
      // What the others are told next is in the snapshot of this one already.
      flush()
      tell()
      hearers.set(index, { channel, upTo: 0, toldUpTo: 0 })
      channel.write(begin({ data: data(), tally: Object.entries(dispatched) }))
    },
    part: (index) => {
      hearers.delete(index)
    },
    acknowledge: (index, number) => {
      const hearer = hearers.get(index)
      if (hearer !== undefined) hearer.upTo = number
    },
    tell,
    check: () => {
      if (hearers.size === 0) return
      flush()
      if (parts.length === 0) parts = partsOf(data())
      const part = parts.pop()!
      const frame = frameOf(
        'check',
        JSON.stringify({ ...part, revision: data().revision, digest: digestOf(data(), part) }),
      )
      for (const { channel } of hearers.values()) channel.write(frame)
    },
    close: () => {
      if (soon !== undefined) clearImmediate(soon)
      hearers.clear()
    },
  }
}
