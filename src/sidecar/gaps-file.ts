import { createHash } from 'node:crypto'
import { readFileSync, renameSync, statSync } from 'node:fs'
import { mkdir, open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Problem } from '../model/problem.ts'
import { type Hours, hourOf, type StateTime, type WorkCount } from './gaps-hours.ts'
import { emptyLedger, type LedgerState } from './gaps-ledger.ts'

/** The first line of a file: whose it is, and in which form. */
const HEAD = 'hubward gaps 1'
/** Far more than a full ledger takes. */
const BYTES_MAX = 67_108_864

/** What a file held, or nothing and why. */
export interface LedgerRead {
  readonly state: LedgerState
  readonly problem?: Problem
}

/**
 * Reads a ledger; one that is not there is empty. A file that is not whole is put aside as `<path>.damaged`, with the
 * problem `gaps/damaged`, and counting starts anew: half a ledger would give sums that look right.
 */
export function readLedger(path: string): LedgerRead {
  let text: string
  try {
    if (statSync(path).size > BYTES_MAX) throw new Error(`is larger than ${BYTES_MAX / 1_048_576} MiB`)
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { state: emptyLedger() }
    return { state: emptyLedger(), problem: putAside(path, (error as Error).message) }
  }
  try {
    return { state: parse(text) }
  } catch (error) {
    return { state: emptyLedger(), problem: putAside(path, (error as Error).message) }
  }
}

function putAside(path: string, what: string): Problem {
  const problem = (message: string, remedy: string): Problem => {
    return { code: 'gaps/damaged', severity: 'error', message, path, remedy }
  }
  const begins = `the ledger of gaps ${what}; counting starts anew`
  try {
    renameSync(path, `${path}.damaged`)
    return problem(begins, `the old one is kept as ${path}.damaged; put back a copy of it, or delete it`)
  } catch (error) {
    return problem(begins, `it can't be put aside either: ${(error as Error).message}; see who may write there`)
  }
}

type StateRow = readonly [site: string, dimension: string, amberMs: number, redMs: number]
type WorkRow = readonly [place: readonly string[], ...counts: readonly number[]]

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex')

function parse(text: string): LedgerState {
  const end = text.lastIndexOf('\n', text.length - 2) + 1
  if (!text.startsWith(`${HEAD}\n`)) throw new Error(`does not begin with "${HEAD}"`)
  if (text.slice(end).trim() !== `sha256 ${hashOf(text.slice(0, end))}`) throw new Error('is not as it was written')
  const state = emptyLedger()
  for (const [at, line] of text.slice(0, end).split('\n').entries()) {
    if (at === 0 || line === '') continue
    try {
      readLine(JSON.parse(line), state)
    } catch (error) {
      throw new Error(`has a line ${at + 1} that can't be read: ${(error as Error).message}`)
    }
  }
  return state
}

function readLine(written: Record<string, unknown>, { hours, seen }: LedgerState): void {
  if ('seen' in written) {
    for (const [hash, at] of written.seen as [string, number][]) seen.set(String(hash), amount(at))
    return
  }
  const hour = hourOf(hours, amount(written.hour))
  hour.watchedMs = amount(written.watchedMs)
  for (const [site, dimension, amberMs, redMs] of written.states as StateRow[])
    hour.states.set(`${site}\n${dimension}`, { amberMs: amount(amberMs), redMs: amount(redMs) })
  for (const [place, ...counts] of written.work as WorkRow[]) {
    const [asked = 0, work = 0, sized = 0, mwh = 0, gpuHours = 0] = counts.map(amount)
    hour.work.set(place.join('\n'), { asked, work, sized, mwh, gpuHours })
  }
}

function amount(value: unknown): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) throw new Error(`${value} is no amount`)
  return value
}

/** Writes a ledger whole, under another name first. Requests get their turn between hours. Rejects if it can't. */
export async function writeLedger(path: string, { hours, seen }: LedgerState): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o750 })
  const sum = createHash('sha256')
  const handle = await open(`${path}.new`, 'w', 0o640)
  try {
    const put = async (line: string): Promise<void> => {
      sum.update(line)
      await handle.appendFile(line)
    }
    await put(`${HEAD}\n`)
    for (const number of [...hours.keys()].sort((a, b) => a - b)) {
      // An hour may have been dropped while the one before it was written.
      if (hours.has(number)) await put(`${JSON.stringify(lineOf(hours, number))}\n`)
    }
    await put(`${JSON.stringify({ seen: [...seen] })}\n`)
    await handle.appendFile(`sha256 ${sum.digest('hex')}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(`${path}.new`, path)
}

function lineOf(hours: Hours, number: number): object {
  const { watchedMs, states, work } = hours.get(number)!
  return {
    hour: number,
    watchedMs,
    states: [...states].map(([key, { amberMs, redMs }]: [string, StateTime]) => [...key.split('\n'), amberMs, redMs]),
    work: [...work].map(([key, { asked, work: pieces, sized, mwh, gpuHours }]: [string, WorkCount]) => [
      key.split('\n'),
      ...[asked, pieces, sized, mwh, gpuHours],
    ]),
  }
}
