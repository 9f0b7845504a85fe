import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { EpochMs } from '../model/names.ts'
import { fileNumber, type JournalLine, STREAMS, type StreamName, timeOf } from './lines.ts'

/** Which lines are wanted. What is left out wants all. */
export interface JournalFilter {
  readonly streams?: readonly StreamName[]
  readonly kinds?: readonly JournalLine['kind'][]
  /** From this time on. */
  readonly from?: EpochMs
  /** Before this time. */
  readonly to?: EpochMs
  readonly where?: (line: JournalLine) => boolean
  /** Hears of each line that is none: half a line is what a killed process leaves. */
  readonly onTorn?: (file: string, text: string) => void
}

/** The lines of a journal, both streams in order of time. A folder that is not there has none. */
export async function* readJournal(dir: string, filter: JournalFilter = {}): AsyncGenerator<JournalLine> {
  const streams = (filter.streams ?? STREAMS).map((stream) => streamLines(dir, stream, filter))
  const heads = await Promise.all(streams.map((stream) => stream.next()))
  try {
    for (;;) {
      let first = -1
      for (const [index, head] of heads.entries()) {
        if (head.done === true) continue
        if (first < 0 || timeOf(head.value) < timeOf(heads[first]!.value as JournalLine)) first = index
      }
      if (first < 0) return
      yield heads[first]!.value as JournalLine
      heads[first] = await streams[first]!.next()
    }
  } finally {
    for (const stream of streams) await stream.return(undefined)
  }
}

async function* streamLines(dir: string, stream: StreamName, filter: JournalFilter): AsyncGenerator<JournalLine> {
  const names = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  const files = names
    .map((name) => ({ name, number: fileNumber(stream, name) }))
    .filter(({ number }) => number !== undefined)
    .sort((a, b) => a.number! - b.number!)
  for (const { name } of files) {
    const input = createReadStream(join(dir, name), 'utf8')
    try {
      for await (const text of createInterface({ input, crlfDelay: Infinity })) {
        const line = parse(text)
        if (line === undefined) filter.onTorn?.(name, text)
        else if (line !== null && isWanted(line, filter)) yield line
      }
    } finally {
      input.destroy()
    }
  }
}

/** Null for an empty line, undefined for one that is no record. */
function parse(text: string): JournalLine | null | undefined {
  if (text === '') return null
  try {
    const line = JSON.parse(text) as JournalLine
    return typeof line === 'object' && line !== null && typeof line.kind === 'string' ? line : undefined
  } catch {
    return undefined
  }
}

function isWanted(line: JournalLine, { kinds, from, to, where }: JournalFilter): boolean {
  if (kinds !== undefined && !kinds.includes(line.kind)) return false
  const at = timeOf(line)
  return !(at < (from ?? -Infinity)) && at < (to ?? Infinity) && (where === undefined || where(line))
}
