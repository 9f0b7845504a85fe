import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PerformanceObserver } from 'node:perf_hooks'
import { decide } from '../src/engine/decide.ts'
import type { Facts } from '../src/model/facts.ts'
import { processingRequest, requestHeaders } from './messages.ts'
import { openPath, PATH_DEFAULT, type Path, type PathOptions } from './path.ts'
import { table } from './table.ts'

/*
 * What a request costs as its world grows: recorded messages through the handler that both transports call, the sizes of
 * a curve taking turns in one process. `node bench/curves.ts` prints all; with CURVE ns or CURVE bytes one of them as
 * JSON, which is what the former starts.
 */

/** One size of a curve. `decide` is the engine's part of it. */
export interface CurveRow {
  readonly curve: string
  readonly size: string
  readonly ns: number
  readonly bytes: number
  readonly decideNs: number
  readonly decideBytes: number
}

type Point = readonly [size: string, options: Partial<PathOptions>, headers?: number]

const number = (value: number): string => value.toLocaleString('en')
const sizes = (values: readonly number[], options: (value: number) => Partial<PathOptions>): Point[] =>
  values.map((value) => [number(value), options(value)])

/** Everything else is as PATH_DEFAULT has it. */
const CURVES: Readonly<Record<string, readonly Point[]>> = {
  'policies of the class': sizes([1, 10, 100, 1_000], (policies) => ({ policies })),
  'sites, four of them candidates': sizes([3, 10, 100, 1_000], (sites) => ({ sites })),
  'sites, all of them candidates': sizes([3, 10, 100, 1_000], (sites) => ({ sites, isWide: true })),
  'flags, four of which steer': sizes([0, 10, 100, 1_000, 10_000], (flags) => ({ flags })),
  'flags of 1,000 that steer': sizes([4, 10, 50, 100], (steer) => ({ flags: 1_000, steering: steer - 4 })),
  headers: [10, 25, 50, 100].map((headers): Point => [number(headers), {}, headers]),
  'decisions in the journal': [0, 10, 100].map((percent): Point => [`${percent} %`, { share: percent / 100 }]),
}

/** What a CPU's count of nanoseconds, or the heap's of bytes, has grown by over a run, by request. */
type Meter = (run: (count: number) => Promise<void> | void, count: number) => Promise<number>

const ROUNDS = 5
/** A round of the costliest worlds is shorter. */
const REQUESTS_MAX = 2_000
const ROUND_MS = 60
/** The journal builds its records in turns of the event loop; here they come as often as at a few thousand a second. */
const BATCH = 200
const WARM_MAX = 40_000
const WARM_MS = 2_000

const cpu: Meter = async (run, count) => {
  const before = process.cpuUsage()
  await run(count)
  const { user, system } = process.cpuUsage(before)
  return ((user + system) * 1_000) / count
}

/**
 * Collections would take away what is counted; where one has happened the round does not count. A full one before each
 * round would have the compilers forget what they knew, so only the young are collected.
 */
const heap = (): Meter => {
  const observer = new PerformanceObserver(() => {})
  observer.observe({ entryTypes: ['gc'] })
  return async (run, count) => {
    globalThis.gc?.({ type: 'minor' })
    await new Promise((resolve) => setImmediate(resolve))
    observer.takeRecords()
    const before = process.memoryUsage().heapUsed
    await run(count)
    const grown = process.memoryUsage().heapUsed - before
    return observer.takeRecords().length > 0 ? Number.NaN : grown / count
  }
}

interface World {
  readonly size: string
  readonly path: Path
  readonly messages: readonly Buffer[]
  readonly request: number[]
  readonly decide: number[]
}

const FACTS: readonly Facts[] = Array.from({ length: 50 }, (_, i) => ({
  ...{ requestId: `r${i}`, seed: `${i}`.padStart(16, '0'), class: 'chat', tenant: `tenant-${i}`, region: 'EMEA' },
  ...{ residency: ['EU'], session: { verdict: 'none' as const }, extra: {} },
}))

const requests = async ({ path, messages }: World, count: number): Promise<void> => {
  for (let i = 0; i < count; i++) {
    path.handlers.process(messages[i % messages.length]!, {})
    if (i % BATCH === BATCH - 1) await path.journal.flush()
  }
}

const decisions = ({ path }: World, count: number): void => {
  const { current } = path.store
  for (let i = 0; i < count; i++) decide(FACTS[i % 50]!, current, path.tally, current.data.at, 'id')
}

const middle = (values: readonly number[]): number => {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

/** The sizes of a curve in turns, one measure of them. */
const measured = async (curve: string, meter: Meter): Promise<readonly (readonly [string, number, number])[]> => {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-curve-'))
  const worlds = CURVES[curve]!.map(([size, options, headers], index): World => {
    const messages = Array.from({ length: 1_000 }, (_, i) => processingRequest(requestHeaders(i, headers)))
    const path = openPath({ ...PATH_DEFAULT, folder: join(folder, String(index)), ...options })
    return { size, path, messages, request: [], decide: [] }
  })
  const counts = new Map<World, number>()
  for (const world of worlds) {
    const begun = performance.now()
    let done = 0
    for (; done < WARM_MAX && performance.now() - begun < WARM_MS; done += BATCH) {
      await requests(world, BATCH)
      decisions(world, BATCH)
    }
    const each = (performance.now() - begun) / done
    counts.set(world, Math.min(REQUESTS_MAX, Math.max(BATCH, Math.ceil(ROUND_MS / each))))
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const world of worlds) {
      const count = counts.get(world)!
      world.request.push(await meter((many) => requests(world, many), count))
      world.decide.push(await meter((many) => decisions(world, many), count))
    }
  }
  for (const { path } of worlds) await path.close()
  rmSync(folder, { recursive: true, force: true })
  return worlds.map(({ size, request, decide }) => [size, middle(request), middle(decide)])
}

const flagsOf = (what: string): string[] =>
  what === 'ns'
    ? ['--max-semi-space-size=4']
    : ['--expose-gc', '--min-semi-space-size=256', '--max-semi-space-size=256']

/** All curves, each measure in a process of its own: as it is run for CPU, with room for all that is allocated for bytes. */
export const benchCurves = (names: readonly string[] = Object.keys(CURVES)): readonly CurveRow[] =>
  names.flatMap((curve) => {
    const [ns, bytes] = ['ns', 'bytes'].map(
      (what) =>
        JSON.parse(
          execFileSync(process.execPath, [...flagsOf(what), import.meta.filename, curve, what], { encoding: 'utf8' }),
        ) as (readonly [string, number, number])[],
    )
    return ns!.map(([size, request, decide], i) => ({
      ...{ curve, size, ns: request, decideNs: decide },
      ...{ bytes: bytes![i]![1], decideBytes: bytes![i]![2] },
    }))
  })

/** The curves as a table. */
export const curvesText = (rows: readonly CurveRow[]): string =>
  `Recorded ext_proc messages through the handler that both transports call, the sizes of a curve taking turns in one process: CPU with everything that a request sets off (counters, journal, collections), and bytes allocated; of both the part of \`decide\`. Where a row says nothing else: ${PATH_DEFAULT.sites} sites, ${PATH_DEFAULT.policies} policies, no flags, 13 headers, ${PATH_DEFAULT.share * 100} % in the journal.

${table(
  ['what grows', 'to', 'CPU us', 'of it decide', 'bytes', 'of them decide'],
  rows.map((row) => [
    ...[row.curve, row.size, (row.ns / 1_000).toFixed(1), (row.decideNs / 1_000).toFixed(1)],
    ...[row.bytes, row.decideBytes].map((bytes) => number(Math.round(bytes))),
  ]),
)}`

if (import.meta.main) {
  const [curve, what] = process.argv.slice(2)
  if (what !== undefined) console.log(JSON.stringify(await measured(curve!, what === 'ns' ? cpu : heap())))
  else console.log(curvesText(benchCurves(curve === undefined ? undefined : [curve])))
}
