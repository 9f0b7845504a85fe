import type { Event } from '../model/event.ts'
import type { EpochMs } from '../model/names.ts'
import type { DecisionRecord } from '../model/record.ts'

/** The two streams of a journal. They have files of their own, so that no flood of decisions pushes out the changes. */
export const STREAMS = ['changes', 'decisions'] as const

/** One of STREAMS. */
export type StreamName = (typeof STREAMS)[number]

/** How many decisions were left out on purpose, exactly, since the last such line. */
export interface SampledOut {
  readonly kind: 'sampled-out'
  readonly at: EpochMs
  readonly from: EpochMs
  readonly counts: readonly {
    readonly class: string
    readonly action: string
    readonly reason: string
    readonly count: number
  }[]
}

/** How many lines found no room while the journal could not be written, since the last such line. */
export interface Dropped {
  readonly kind: 'dropped'
  readonly at: EpochMs
  readonly from: EpochMs
  readonly stream: StreamName
  readonly count: number
}

/** A hubward began or ended to write here. What lies between an end that is missing and the next start was a crash. */
export interface Lifecycle {
  readonly kind: 'started' | 'stopped'
  readonly at: EpochMs
  readonly instance: string
  readonly version: string
}

/** One line of a journal. */
export type JournalLine = Event | DecisionRecord | SampledOut | Dropped | Lifecycle

/** When a line says that it happened. */
export const timeOf = (line: JournalLine): EpochMs => (line.kind === 'decision' ? line.now : line.at)

/** The name of a stream's file by its number, from 1: `changes-00000001.jsonl`. */
export const fileName = (stream: StreamName, number: number): string =>
  `${stream}-${String(number).padStart(8, '0')}.jsonl`

/** The number in a file's name, or undefined for a file that is none of the stream's. */
export const fileNumber = (stream: StreamName, name: string): number | undefined => {
  const found = /^([a-z]+)-(\d{8,})\.jsonl$/.exec(name)
  return found?.[1] === stream ? Number(found[2]) : undefined
}
