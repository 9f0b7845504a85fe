import { murmur3 } from '../../math/murmur3.ts'
import type { SnapshotData } from '../../model/snapshot.ts'

/** Where a part of a snapshot's data is: names on the way to it, and which members of it where it is long. */
export interface Part {
  readonly path: readonly string[]
  readonly from?: number
}

/** Members of a long list or record that are one part: some 30 KB of text, a tenth of a millisecond. */
const MEMBERS = 32
/** Parts whose members are parts of their own. */
const DEEP: ReadonlySet<string> = new Set(['sets', 'flagSets', 'columns', 'gates', 'held', 'trends'])
const DEPTH_MAX = 3

/** The parts of the data, in the order in which they are compared: one at a time, so that nobody waits for it. */
export function partsOf(data: SnapshotData): Part[] {
  const parts: Part[] = []
  const add = (value: unknown, path: readonly string[]): void => {
    const size = typeof value === 'object' && value !== null ? Object.keys(value).length : 0
    const isDeep = !Array.isArray(value) && DEEP.has(path[0] ?? '') && path.length < DEPTH_MAX
    if (path.length === 0 || (isDeep && size > 0))
      for (const [name, member] of Object.entries(value as object)) add(member, [...path, name])
    else if (size <= MEMBERS) parts.push({ path })
    else for (let from = 0; from < size; from += MEMBERS) parts.push({ path, from })
  }
  add(data, [])
  return parts
}

/** A hash of one part; two processes with the same data give the same. */
export function digestOf(data: SnapshotData, { path, from }: Part): number {
  let value: unknown = data
  for (const name of path)
    value = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined
  if (from !== undefined && typeof value === 'object' && value !== null)
    value = Array.isArray(value) ? value.slice(from, from + MEMBERS) : Object.entries(value).slice(from, from + MEMBERS)
  return murmur3(JSON.stringify(value) ?? '')
}
