import type { JobNeeds } from '../model/facts.ts'
import { HEADERS } from '../model/headers.ts'
import { factReader, type TrustedSource } from './fact-reader.ts'
import { readNeeds } from './needs.ts'
import type { Reading } from './reading.ts'

/**
 * The needs that all declared sources state together; where none is declared, those of the header. A needs field of the
 * body is taken as text or as an object. What can't be read is the problem `request/bad-needs`, and so is a job's JSON
 * body that can't be read or is too large: its needs might stand in it.
 */
export function needsReader(
  sources: readonly TrustedSource[],
  jobs: ReadonlySet<string>,
): (reading: Reading, workload: string) => JobNeeds | undefined {
  const readers = sources.flatMap((one) => {
    const { from, name = '' } = one.source
    if (from === 'body') return [({ body }: Reading) => fieldOf(body?.whole.get(name))]
    return factReader(one, 'needs') ?? []
  })
  const isInBody = sources.some(({ source }) => source.from === 'body')
  return (reading, workload) => {
    const stated = (
      readers.length === 0 ? [reading.view.header(HEADERS.needs)] : readers.map((read) => read(reading))
    ).filter((one) => one !== undefined && one !== null && one !== '')
    if (isInBody && jobs.has(workload) && isUnreadJson(reading)) reading.problem('request/bad-needs', 'needs')
    if (stated.length === 0) return undefined
    const { needs, unread } = readNeeds(stated)
    if (unread.length > 0) reading.problem('request/bad-needs', 'needs')
    return needs
  }
}

/** A field's value; what is no JSON comes back as something that is no need, so that it is told. */
function fieldOf(json: string | undefined): unknown {
  if (json === undefined) return undefined
  try {
    return JSON.parse(json)
  } catch {
    // Too long, or one of the words that only lenient readers take, as NaN.
    return false
  }
}

const isUnreadJson = (reading: Reading): boolean =>
  (reading.view.body?.byteLength ?? 0) > 0 &&
  reading.body === undefined &&
  /^\s*$|json/i.test(reading.view.header('content-type') ?? '')
