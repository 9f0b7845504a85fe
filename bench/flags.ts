import { FlagdCore } from '@openfeature/flagd-core'
import { createFlagCompiler } from '../src/flags/compile-flag.ts'
import { readFlags } from '../src/flags/read-flags.ts'

/** What flags cost, ours and the stock evaluator's, in the unit that the row says. */
export interface FlagRow {
  readonly what: string
  readonly unit: 'us' | 'ms'
  readonly ours: number
  /** Null: it has nothing of the kind. */
  readonly library: number | null
}

const SILENT = { debug() {}, info() {}, warn() {}, error() {} }

/** The sources' own: how long programs are made before others get their turn. */
const SLICE_MS = 2

/** A flag as a rollout has it: a part of the tenants, of them a share, decided by hashes; its variants are decisions. */
const definition = (index: number) => ({
  state: 'ENABLED',
  variants: { treatment: { policy: 'emea-interactive@4' }, control: { policy: 'emea-interactive@3' }, off: {} },
  defaultVariant: 'off',
  targeting: {
    if: [
      {
        and: [
          { '===': [{ var: 'region' }, 'EMEA'] },
          { in: [{ var: 'tier' }, ['premium', 'internal', `tier-${index}`]] },
        ],
      },
      {
        fractional: [{ cat: [{ var: '$flagd.flagKey' }, { var: 'tenant' }] }, ['treatment', 1_000], ['control', 9_000]],
      },
      null,
    ],
  },
  metadata: { layer: 'rollout', class: 'interactive-inference', owner: 'platform-routing@example.com' },
})

const textOf = (count: number): string =>
  JSON.stringify({
    flags: Object.fromEntries(Array.from({ length: count }, (_, at) => [`flag-${at}`, definition(at)])),
  })

const contexts = Array.from({ length: 1_000 }, (_, at) => ({
  targetingKey: `session-${at}`,
  tenant: `tenant-${at % 300}`,
  region: at % 10 === 0 ? 'APAC' : 'EMEA',
  tier: 'premium',
  class: 'interactive-inference',
  model: 'llama-3.1-70b',
}))

/** Microseconds of one call at the median and at the 99th percentile, of rounds of twenty calls each. */
function evaluated(call: (context: (typeof contexts)[number]) => unknown): readonly [p50: number, p99: number] {
  const times: number[] = []
  for (let round = 0; round < 20_000; round++) {
    const begun = process.hrtime.bigint()
    for (let at = 0; at < 20; at++) call(contexts[(round * 20 + at) % contexts.length]!)
    if (round >= 2_000) times.push(Number(process.hrtime.bigint() - begun) / 20_000)
  }
  times.sort((a, b) => a - b)
  return [times[Math.floor(times.length / 2)]!, times[Math.floor(times.length * 0.99)]!]
}

const blocked = (work: () => unknown): number => {
  const begun = performance.now()
  work()
  return performance.now() - begun
}

const cpuMs = (work: () => unknown): number => {
  const before = process.threadCpuUsage()
  work()
  const { user, system } = process.threadCpuUsage(before)
  return (user + system) / 1_000
}

/** The longest slice by the clock on the wall, and CPU of all of them, when the programs of a set are made as sources do. */
function prepared(steps: Iterator<unknown>): readonly [longest: number, total: number] {
  let longest = 0
  const total = cpuMs(() => {
    let isDone = false
    while (!isDone) {
      const begun = performance.now()
      while (!isDone && performance.now() - begun < SLICE_MS) isDone = steps.next().done === true
      longest = Math.max(longest, performance.now() - begun)
    }
  })
  return [longest, total]
}

/** Flags of which each is as large as targeting may be: what one step takes at most. */
const largest = (count: number): string => {
  const tenants = (flag: number) =>
    Array.from({ length: 190 }, (_, at) => ({ '==': [{ var: 'tenant' }, `${flag}-${at}`] }))
  const targeting = (flag: number) => ({ if: [{ or: tenants(flag) }, 'treatment', null] })
  const flags = Array.from({ length: count }, (_, at) => [`flag-${at}`, { ...definition(0), targeting: targeting(at) }])
  return JSON.stringify({ flags: Object.fromEntries(flags) })
}

/** Reading, compiling and evaluating, side by side in one run. */
export function flagRows(): readonly FlagRow[] {
  const compiler = createFlagCompiler()
  const first = readFlags(textOf(1_000), 'flags').set!
  const core = new FlagdCore(undefined, SILENT)
  // Once without looking: what is measured is a reload.
  prepared(compiler.prepare(readFlags(textOf(300).replaceAll('EMEA', 'NA'), 'flags').set!))
  const [slice, all] = prepared(compiler.prepare(first))
  const stock = blocked(() => core.setConfigurations(textOf(1_000)))
  const again = prepared(compiler.prepare(first))
  const stockAgain = blocked(() => core.setConfigurations(textOf(1_000)))
  const [, large] = prepared(createFlagCompiler().prepare(readFlags(largest(50), 'flags').set!))
  const evaluate = compiler.compile(first.flags['flag-7']!)
  const now = 1_795_824_000_000
  const ours = evaluated((context) => evaluate(context, now))
  const library = evaluated((context) => core.resolveObjectEvaluation('flag-7', {}, context, SILENT))
  return [
    { what: 'a targeted object flag with fractional, p50', unit: 'us', ours: ours[0], library: library[0] },
    { what: 'the same, p99', unit: 'us', ours: ours[1], library: library[1] },
    { what: '1,000 flags compiled, longest block', unit: 'ms', ours: slice, library: stock },
    { what: '1,000 flags compiled, CPU in all', unit: 'ms', ours: all, library: null },
    { what: '1,000 flags that have not changed, longest block', unit: 'ms', ours: again[0], library: stockAgain },
    { what: 'one flag as large as it may be, CPU', unit: 'ms', ours: large / 50, library: null },
  ]
}

if (import.meta.main) {
  for (const { what, unit, ours, library } of flagRows()) {
    const theirs = library === null ? '' : `   library ${library.toFixed(2)} ${unit}`
    console.log(`${what.padEnd(52)} ${ours.toFixed(2).padStart(8)} ${unit}${theirs}`)
  }
}
