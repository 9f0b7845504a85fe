import type { Facts } from '../model/facts.ts'
import { normalPath } from './path.ts'
import type { Reading } from './reading.ts'

/** Methods and last segments of a path that only look at work or end it. */
const ASKING = new Set(['GET', 'HEAD', 'OPTIONS', 'DELETE'])
const ENDING = new Set(['cancel', 'pause', 'stop'])

/**
 * Whether a request is about work that was sent before: its path goes on below one under which work is sent.
 * `POST /v1/batches` sends work and `GET /v1/batches` lists it; `GET /v1/batches/b-1` and `POST /v1/batches/b-1/cancel`
 * `ask`, and `POST /v1/fine_tuning/jobs/f-1/resume` is more `work` in the same place.
 */
export function followUpReader(prefixes: readonly string[]): (reading: Reading) => Facts['followUp'] {
  const under = prefixes.map((prefix) => `${(normalPath(prefix) ?? prefix).replace(/\/+$/, '')}/`)
  if (under.length === 0) return () => undefined
  return ({ path, view }) => {
    if (!under.some((prefix) => path.length > prefix.length && path.startsWith(prefix))) return undefined
    const last = path.replace(/\/+$/, '').split('/').at(-1) ?? ''
    return ASKING.has(view.method) || ENDING.has(last) ? 'ask' : 'work'
  }
}
