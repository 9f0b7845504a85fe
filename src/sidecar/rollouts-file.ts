import { createHash } from 'node:crypto'
import { readFileSync, renameSync, statSync } from 'node:fs'
import { mkdir, open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { BookMemory } from '../measure/arms-book.ts'
import type { Policy } from '../model/documents.ts'
import type { RolloutName } from '../model/names.ts'
import type { RolloutState } from '../model/rollout.ts'

/** What is kept of rollouts over a restart: where each stands, the policies that only flags still name, what was measured. */
export interface RolloutsMemory {
  readonly rollouts: readonly RolloutState[]
  readonly retained: readonly Policy[]
  readonly arms: Readonly<Record<RolloutName, BookMemory>>
}

const FORM = 'hubward rollouts 2'
/** Some hundred rollouts; far more than anybody runs. */
const BYTES_MAX = 67_108_864

/** Nothing remembered. */
export const NO_MEMORY: RolloutsMemory = { rollouts: [], retained: [], arms: {} }

/**
 * Reads what was kept. A file that is not whole is put aside as `<path>.damaged` and told by `trouble`: rollouts then
 * begin again at their first stage, which exposes less than before and never more.
 */
export function readRollouts(path: string, trouble: (what: string) => void): RolloutsMemory {
  try {
    if (statSync(path).size > BYTES_MAX) throw new Error(`is larger than ${BYTES_MAX / 1_048_576} MiB`)
    const read = JSON.parse(readFileSync(path, 'utf8')) as Partial<RolloutsMemory> & {
      readonly form?: string
      readonly sum?: string
    }
    if (read.form !== FORM) throw new Error(`does not say "${FORM}"`)
    const { rollouts, retained, arms } = read
    if (!Array.isArray(rollouts) || !Array.isArray(retained) || typeof arms !== 'object' || arms === null)
      throw new Error('lacks a part')
    const memory = { rollouts, retained, arms }
    // Every part of a state is folded again and again: one that is not as it was written would stop all changes.
    if (read.sum !== sumOf(JSON.stringify(memory))) throw new Error('is not as it was written')
    return memory
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return NO_MEMORY
    try {
      renameSync(path, `${path}.damaged`)
    } catch {
      // It is told below that the file can't be used; that it can't be moved either changes nothing.
    }
    trouble((error as Error).message)
    return NO_MEMORY
  }
}

const sumOf = (body: string): string => `sha256 ${createHash('sha256').update(body).digest('hex')}`

/** Writes it whole, under another name first. Rejects if it can't. */
export async function writeRollouts(path: string, memory: RolloutsMemory): Promise<void> {
  const { rollouts, retained, arms } = memory
  const body = JSON.stringify({ rollouts, retained, arms })
  await mkdir(dirname(path), { recursive: true, mode: 0o750 })
  const handle = await open(`${path}.new`, 'w', 0o600)
  try {
    await handle.writeFile(`${JSON.stringify({ form: FORM, sum: sumOf(body) }).slice(0, -1)},${body.slice(1)}`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(`${path}.new`, path)
}
