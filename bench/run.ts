import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, totalmem } from 'node:os'
import { join } from 'node:path'
import { type AccessLogRow, benchAccessLog } from './access-log.ts'
import { benchCurves, curvesText } from './curves.ts'
import type { EngineRow } from './engine.ts'
import type { FlagRow } from './flags.ts'
import { benchLife, lifeText } from './life.ts'
import { goProgram } from './load.ts'
import type { MeasureRow } from './measure.ts'
import { type PublishRow, publishText } from './publish.ts'
import { type RolloutRow, rolloutTable } from './rollouts.ts'
import { benchRoundTrip } from './round-trip.ts'
import type { SecondRow } from './second.ts'
import { table } from './table.ts'
import { benchThroughEnvoy } from './through-envoy.ts'
import { throughEnvoyText } from './through-envoy-text.ts'

/*
 * `npm run bench`: measures side by side and writes docs/benchmarks.md. It shows and asserts nothing. With names of
 * sections (`npm run bench -- flags rollouts`) only those are measured, and the others stay as they were.
 */

const FILE = join(import.meta.dirname, '..', 'docs', 'benchmarks.md')
/** Seeded runs of each scenario of the judge: all sections together stay under a quarter of an hour. */
const RUNS = 1_000

/** What a bench's function gives in a process of its own, whose heap nothing else has filled. */
const alone = <Result>(file: string, call: string): Result =>
  JSON.parse(
    execFileSync(
      process.execPath,
      [
        ...['--expose-gc', '--input-type=module', '-e'],
        `import * as bench from ${JSON.stringify(`file://${join(import.meta.dirname, file)}`)}; console.log(JSON.stringify(await bench.${call}))`,
      ],
      { encoding: 'utf8', maxBuffer: 1e7 },
    ),
  ) as Result

const engine = (): string => {
  const { rows, grownBytes } = alone<{ rows: EngineRow[]; grownBytes: number }>('engine.ts', 'benchEngine()')
  return `Each call is timed by itself, the clock's own cost included. Targets: decide p50 <= 3 us and p99 <= 15 us at 50 sites and 20 policies, p50 <= 6 us at 1,000 sites, p50 <= 4 us with a flag in each layer; fold of 200 samples <= 1 ms at 1,000 sites.

${table(
  ['what', 'sites', 'policies', 'p50 us', 'p99 us'],
  rows.map((row) => [row.what, row.sites, row.policies, row.p50Us.toFixed(1), row.p99Us.toFixed(1)]),
)}

Memory after 1,000,000 decisions, collected, less before: ${grownBytes} bytes.`
}

const flags = (): string => {
  const number = (value: number): string => String(Number(value.toPrecision(3)))
  return `Targets: a targeted object flag with \`fractional\` p50 <= 1 us; no step over 5 ms while 1,000 flags are compiled. The library is @openfeature/flagd-core.

${table(
  ['what', 'unit', 'hubward', 'library'],
  alone<FlagRow[]>('flags.ts', 'flagRows()').map((row) => [
    row.what,
    row.unit,
    number(row.ours),
    row.library === null ? '' : number(row.library),
  ]),
)}`
}

const second = (): string =>
  `Twenty signals of every site each second, four of them by coolant loop, in twenty batches as the inbox hands them over, and one tick: the CPU that \`fold\` takes of that second, and its longest single change by the clock. Targets at 1,000 sites: 20 ms in total, no pause over 10 ms.

${table(
  ['sites', 'signals', 'total p50 ms', 'total p99 ms', 'longest change ms'],
  (
    JSON.parse(
      execFileSync(process.execPath, [join(import.meta.dirname, 'second.ts')], { encoding: 'utf8' }),
    ) as SecondRow[]
  ).map((row) => [row.sites, row.signals, row.p50Ms.toFixed(1), row.p99Ms.toFixed(1), row.longestMs.toFixed(1)]),
)}`

const rollouts = (): string =>
  `The judge is run as it is, on made-up requests; beside it what others do: a z-test that is looked at again and again, and a fixed threshold in the style of canary tools. A false rollback is asked to be no more frequent than alpha, 5 % (6 % with the noise of the runs); 5 % errors to be seen within 100 canary requests at the median; an answer 1.3 times as slow in every run within 12,000 requests.

${rolloutTable(alone<RolloutRow[]>('rollouts.ts', `rolloutRows(${RUNS})`), RUNS)}`

const accessLog = async (): Promise<string> => {
  const rows: readonly AccessLogRow[] = await benchAccessLog()
  const measured = alone<MeasureRow[]>('measure.ts', 'measureRows()')
  return `Target: 20,000 entries a second on one core, in bounded memory.

${table(
  ['what', 'bytes a message', 'entries by CPU second', 'entries by the clock', 'more memory MB'],
  rows.map((row) => [
    row.what,
    row.messageBytes,
    Math.round(row.perCpuSecond),
    Math.round(row.perSecond),
    (row.grownBytes / 1e6).toFixed(1),
  ]),
)}

What measuring costs after that:

${table(
  ['what', 'ns', 'by CPU second'],
  measured.map((row) => [row.what, row.ns, row.perCpuSecond]),
)}`
}

const roundTrip = async (): Promise<string> => {
  const trip = await benchRoundTrip()
  return `One ext_proc stream from a gRPC client in Node to hubward's request path, two processes on a unix socket: p50 ${trip.p50Us.toFixed(0)} us, p99 ${trip.p99Us.toFixed(0)} us.`
}

const NO_GO = 'Not run: peer and load are programs in Go, and there was none on the machine.'

const throughEnvoy = async (): Promise<string> => {
  const rows = await benchThroughEnvoy()
  return rows === undefined ? NO_GO : throughEnvoyText(rows)
}

const life = async (): Promise<string> => (goProgram('go-load') === undefined ? NO_GO : lifeText(await benchLife()))

/** Every section, in the order of the page. To add one, add a row. */
const SECTIONS: Readonly<Record<string, { readonly title: string; readonly make: () => string | Promise<string> }>> = {
  engine: { title: 'The engine', make: engine },
  flags: { title: 'Flags', make: flags },
  second: { title: 'A second of telemetry', make: second },
  rollouts: { title: 'The judge of rollouts', make: rollouts },
  'access-log': { title: "Envoy's access log", make: accessLog },
  'round-trip': { title: 'The gRPC round trip', make: roundTrip },
  curves: { title: 'What a request costs as its world grows', make: () => curvesText(benchCurves()) },
  publish: {
    title: 'Publishing a change',
    make: () => publishText(alone<PublishRow[]>('publish.ts', 'publishRows()')),
  },
  'through-envoy': { title: 'Through a real Envoy', make: throughEnvoy },
  life: { title: 'While the world changes', make: life },
}

const wanted = process.argv.slice(2)
const unknown = wanted.find((name) => !Object.hasOwn(SECTIONS, name))
if (unknown !== undefined) {
  console.error(`there is no section ${unknown}; there are ${Object.keys(SECTIONS).join(', ')}`)
  process.exit(2)
}

/** Whether others were at work as well, which is in all times and in the ratios of tails. */
const load = loadavg()[0]! / cpus().length
const how =
  load < 0.5 ? 'a quiet machine' : `a machine that others kept busy (${load.toFixed(1)} runnable processes a core)`

/** Puts a section on the page as it is at this moment: other programs of this folder write theirs, and may do so meanwhile. */
const save = (title: string, text: string): void => {
  const known = new Map(
    (existsSync(FILE) ? readFileSync(FILE, 'utf8') : '')
      .split(/^## /m)
      .slice(1)
      .map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n') + 1).trim()]),
  )
  known.set(title, text)
  const titles = Object.values(SECTIONS).map((section) => section.title)
  const ours = titles.filter((one) => known.has(one))
  const others = [...known.keys()].filter((one) => !titles.includes(one))
  const parts = [...ours, ...others].map((one) => `## ${one}\n\n${known.get(one)}\n`)
  writeFileSync(
    FILE,
    `# Benchmarks

Written by \`npm run bench\`, Node ${process.version}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB. The peers of a section take turns in one run and the medians of three rounds are shown; client, Envoy, sidecar and sites share the cores, so read ratios, not times.

${parts.join('\n')}`,
  )
}

for (const [name, { title, make }] of Object.entries(SECTIONS)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  const begun = performance.now()
  const text = await make()
  save(title, `Measured on ${new Date().toISOString().slice(0, 10)}, on ${how}.\n\n${text}`)
  console.log(`${name}: done in ${((performance.now() - begun) / 1_000).toFixed(0)} s`)
}
console.log(readFileSync(FILE, 'utf8'))
