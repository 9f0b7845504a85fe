import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import type { EngineRow } from './engine.ts'
import { benchRoundTrip } from './round-trip.ts'
import type { SecondRow } from './second.ts'
import { benchThroughEnvoy, type PeerRow } from './through-envoy.ts'

/* `npm run bench`: everything in one run, side by side, written to docs/benchmarks.md. It shows and asserts nothing. */

const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): string =>
  [
    `| ${head.join(' | ')} |`,
    `|${head.map(() => '---').join('|')}|`,
    ...rows.map((row) => `| ${row.join(' | ')} |`),
  ].join('\n')

const engine = JSON.parse(
  execFileSync(process.execPath, ['--expose-gc', join(import.meta.dirname, 'engine.ts')], {
    encoding: 'utf8',
    maxBuffer: 1e7,
  }),
) as { rows: EngineRow[]; grownBytes: number }
const second = JSON.parse(
  execFileSync(process.execPath, [join(import.meta.dirname, 'second.ts')], { encoding: 'utf8' }),
) as SecondRow[]
console.log('engine: done')
const trip = await benchRoundTrip()
console.log('round trip: done')
const { rows, notRun } = await benchThroughEnvoy()
console.log('through Envoy: done')

const base = (row: PeerRow): PeerRow | undefined =>
  rows.find((one) => one.peer === 'go' && one.concurrency === row.concurrency)
const ratio = (row: PeerRow, pick: (one: PeerRow) => number): string => {
  const other = base(row)
  return other === undefined || pick(other) === 0 || pick(row) === 0 ? '' : (pick(row) / pick(other)).toFixed(2)
}
const text = `# Benchmarks

Written by \`npm run bench\` on ${new Date().toISOString().slice(0, 10)}, Node ${process.version}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB. All peers take turns in one run and the medians of three rounds are shown; client, Envoy, sidecar and sites share the cores, so read ratios, not times.

## The engine

Each call is timed by itself, the clock's own cost included. Targets: decide p50 <= 3 us and p99 <= 15 us at 50 sites and 20 policies, p50 <= 6 us at 1,000 sites; fold of 200 samples <= 1 ms at 1,000 sites.

${table(
  ['what', 'sites', 'policies', 'p50 us', 'p99 us'],
  engine.rows.map((row) => [row.what, row.sites, row.policies, row.p50Us.toFixed(1), row.p99Us.toFixed(1)]),
)}

Memory after 1,000,000 decisions, collected, less before: ${engine.grownBytes} bytes.

## A second of telemetry

Twenty signals of every site each second, four of them by coolant loop, in twenty batches as the inbox hands them over, and one tick: the CPU that \`fold\` takes of that second, and its longest single change by the clock. Targets at 1,000 sites: 20 ms in total, no pause over 10 ms.

${table(
  ['sites', 'signals', 'total p50 ms', 'total p99 ms', 'longest change ms'],
  second.map((row) => [row.sites, row.signals, row.p50Ms.toFixed(1), row.p99Ms.toFixed(1), row.longestMs.toFixed(1)]),
)}

## The gRPC round trip

One ext_proc stream from a gRPC client in Node to hubward's request path, two processes on a unix socket: p50 ${trip.p50Us.toFixed(0)} us, p99 ${trip.p99Us.toFixed(0)} us.

## Through a real Envoy

A request goes through Envoy 1.40 to a site that answers at once. hubward's request path decides over 50 sites and 20 policies; \`lua\` and \`go\` only write the header (bench/go-ext-proc). CPU is user and system time of the process by request.

${table(
  [
    'peer',
    'concurrency',
    'sidecar CPU us',
    'by Go',
    'Envoy CPU us',
    'p50 ms',
    'by Go',
    'p99 ms',
    'by Go',
    'sidecar RSS MB',
    'failed',
  ],
  rows.map((row) => [
    row.peer,
    row.concurrency,
    row.sidecarCpuUs.toFixed(0),
    ratio(row, (one) => one.sidecarCpuUs),
    row.envoyCpuUs.toFixed(0),
    row.p50Ms.toFixed(2),
    ratio(row, (one) => one.p50Ms),
    row.p99Ms.toFixed(2),
    ratio(row, (one) => one.p99Ms),
    row.sidecarRssMb.toFixed(0),
    row.bad,
  ]),
)}
${notRun.length === 0 ? '' : `\nNot run: ${notRun.join('; ')}.\n`}`
writeFileSync(join(import.meta.dirname, '..', 'docs', 'benchmarks.md'), text)
console.log(text)
