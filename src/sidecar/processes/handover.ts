import type { Decision } from '../../model/decision.ts'
import type { Facts } from '../../model/facts.ts'
import type { EpochMs } from '../../model/names.ts'
import type { AccessEntry } from '../../model/outcome.ts'
import type { Asking } from '../judge.ts'
import { DecidedBatch } from './decided-batch.ts'
import { type Channel, frameOf, WAITING_BYTES_MAX } from './frames.ts'
import type { HandedJournal } from './handed-journal.ts'
import type { HandedMetrics } from './handed-metrics.ts'
import type { Told, TurnedAway } from './messages.ts'
import type { SharedTally } from './shared-tally.ts'

/** Decisions are gathered this long, or so many of them, before they are handed over: a frame costs more than they do. */
const GATHER_MS = 40
const GATHER_MAX = 128
/** The pause between two slices of records that wait. */
const RECORDS_MS = 2
/** Refusals that are told one by one in one go; the rest is counted. */
const TURNED_AWAY_MAX = 1_024

/** What a decider hands over. */
export interface Handover {
  readonly decided: (facts: Facts, decision: Decision, now: EpochMs, asking: Asking) => void
  readonly entries: (entries: readonly AccessEntry[]) => void
  readonly panicked: (className: string) => void
  readonly stale: (className: string) => void
  /** Says how things are; to be called some times a second. */
  readonly tell: () => void
  /** Hands over what there is, all of it. */
  readonly flush: () => void
}

/** What is handed over from. */
export interface HandoverParts {
  readonly channel: Channel
  readonly tally: SharedTally
  readonly metrics: HandedMetrics
  readonly journal: HandedJournal
  readonly state: () => Pick<Told, 'active' | 'heldBytes' | 'loopDelayMs'>
}

/** Gathers what the main process has to know of decisions made here. */
export function createHandover({ channel, tally, metrics, journal, state }: HandoverParts): Handover {
  const batch = new DecidedBatch()
  let turnedAway: TurnedAway[] = []
  let timer: NodeJS.Timeout | undefined
  const lost = { decisions: 0, entries: 0, refusals: 0 }
  let panicked = new Set<string>()
  let stale = new Set<string>()
  const isFull = (): boolean => channel.waiting() > WAITING_BYTES_MAX

  const send = (): void => {
    clearTimeout(timer)
    timer = undefined
    if (isFull()) {
      lost.decisions += batch.size
      batch.drop()
      lost.refusals += turnedAway.length
      turnedAway = []
      journal.drop(journal.take().length)
    } else {
      if (batch.size > 0 || tally.isPending()) {
        const { number, sent } = tally.take()
        channel.write(frameOf('decided', batch.take(number, sent)))
      }
      if (turnedAway.length > 0) channel.write(frameOf('turnedAway', JSON.stringify(turnedAway)))
      turnedAway = []
      const records = journal.take()
      if (records.length > 0) channel.write(frameOf('records', records.join('\n')))
    }
    if (journal.waiting() > 0) soon(RECORDS_MS)
  }
  const soon = (ms: number): void => {
    timer ??= setTimeout(send, ms)
  }
  const tell = (): void => {
    if (isFull()) return
    const { user, system } = process.cpuUsage()
    const told: Told = {
      ...state(),
      counted: metrics.take(),
      leftOut: journal.takeLeftOut(),
      dropped: { records: journal.takeDropped(), ...lost },
      held: { ...tally.tally.held },
      rssBytes: process.memoryUsage.rss(),
      cpuSeconds: (user + system) / 1e6,
      panicked: [...panicked],
      stale: [...stale],
    }
    lost.decisions = 0
    lost.entries = 0
    lost.refusals = 0
    panicked = new Set()
    stale = new Set()
    channel.write(frameOf('counts', JSON.stringify(told)))
  }
  return {
    decided: (facts, decision, now, { heldMs, reserve }) => {
      if (batch.size >= GATHER_MAX) send()
      batch.add(facts, decision, heldMs, reserve === 'declared')
      if (decision.action === 'delay' || decision.action === 'deny') {
        const { action, reason, because, class: name, status } = decision
        if (turnedAway.length >= TURNED_AWAY_MAX) lost.refusals += 1
        else
          turnedAway.push({
            decision: { action, reason, because, class: name, status },
            now,
            ...(facts.needs === undefined ? {} : { needs: facts.needs }),
          })
      }
      soon(GATHER_MS)
    },
    entries: (entries) => {
      if (isFull()) lost.entries += entries.length
      else channel.write(frameOf('entries', JSON.stringify(entries)))
    },
    panicked: (className) => void panicked.add(className),
    stale: (className) => void stale.add(className),
    tell,
    flush: () => {
      do send()
      while (journal.waiting() > 0)
      tell()
    },
  }
}
