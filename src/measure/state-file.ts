import { createHash } from 'node:crypto'
import { readFileSync, renameSync, statSync } from 'node:fs'
import { mkdir, open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Problem } from '../model/problem.ts'
import type { BurnState } from './burn.ts'
import type { BusinessState } from './business.ts'

/** What survives a restart: hourly counts of burn rates, and what the business has reported. */
export interface MeasureState {
  readonly burn: BurnState
  readonly business: BusinessState
}

const HEAD = 'hubward measurements 1'
/** Far more than full tables take. */
const BYTES_MAX = 134_217_728

/**
 * Reads what was kept; a file that is not there holds nothing. One that is not whole is put aside as `<path>.damaged`,
 * with the problem `measure/damaged`, and counting starts anew.
 */
export function readMeasureState(path: string): { readonly state?: MeasureState; readonly problem?: Problem } {
  try {
    if (statSync(path).size > BYTES_MAX) throw new Error(`is larger than ${BYTES_MAX / 1_048_576} MiB`)
    const [head, body = '', sum] = readFileSync(path, 'utf8').split('\n')
    if (head !== HEAD) throw new Error(`does not begin with "${HEAD}"`)
    if (sum !== sumOf(body)) throw new Error('is not as it was written')
    return { state: JSON.parse(body) as MeasureState }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    return { problem: putAside(path, (error as Error).message) }
  }
}

const sumOf = (body: string): string => `sha256 ${createHash('sha256').update(body).digest('hex')}`

function putAside(path: string, what: string): Problem {
  const message = `the file of burn rates and reported outcomes ${what}; counting starts anew`
  const problem = { code: 'measure/damaged', severity: 'error', path } as const
  try {
    renameSync(path, `${path}.damaged`)
    return {
      ...problem,
      message,
      remedy: `the old one is kept as ${path}.damaged; put back a copy of it, or delete it`,
    }
  } catch (error) {
    const remedy = `it can't be put aside either: ${(error as Error).message}; see who may write there`
    return { ...problem, message, remedy }
  }
}

/** Writes it whole, under another name first. Rejects if it can't. */
export async function writeMeasureState(path: string, state: MeasureState): Promise<void> {
  const body = JSON.stringify(state)
  await mkdir(dirname(path), { recursive: true, mode: 0o750 })
  const handle = await open(`${path}.new`, 'w', 0o640)
  try {
    await handle.writeFile(`${HEAD}\n${body}\n${sumOf(body)}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(`${path}.new`, path)
}
