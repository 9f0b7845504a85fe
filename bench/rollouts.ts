import {
  type RunResult,
  SCENARIOS,
  type Scenario,
  type Stop,
  simulatedRollout,
  simulateRun,
} from '../test/helpers/rollout-runs.ts'

/* `node bench/rollouts.ts [runs]`: how often each way of judging takes back what does no harm, and how soon what does. */

/** One way of judging over all runs. */
export interface RolloutRow {
  readonly way: string
  /** Of runs in which both arms are alike, the part that was rolled back, in percent. */
  readonly falsePct: number
  /** Requests of the treatment until 5 % errors were seen (control 0.1 %): median and 99th percentile. */
  readonly errorsP50: number
  readonly errorsP99: number
  /** Runs in which answers 1.3 times as slow were seen within 12,000 requests, in percent, and after how many at the median and the latest. */
  readonly slowerPct: number
  readonly slowerP50: number
  readonly slowerMax: number
  /** The same errors after 30,000 requests without: canary requests from then on, at the median, over runs that were not stopped before. */
  readonly turnedP50: number
}

const WAYS = {
  judge: "hubward's judge",
  zTest: 'z-test, looked at every 200 requests',
  threshold: 'fixed threshold, 5 % bad in an interval',
} as const

/** The rows of docs/benchmarks.md: so many seeded runs of each scenario. */
export function rolloutRows(runs = 2_000, requests = 20_000): RolloutRow[] {
  const rollout = simulatedRollout(0.1)
  const run = (scenario: Scenario, seed: number, isAboutSlowness: boolean): RunResult[] =>
    Array.from({ length: runs }, (_, at) => simulateRun(rollout, scenario, seed + at, isAboutSlowness))
  const alike = run(SCENARIOS.noEffect(requests), 1, false)
  const errors = run(SCENARIOS.errors, 1_000_001, false)
  const slower = run(SCENARIOS.slower, 2_000_001, true)
  const turned = run(SCENARIOS.turns, 3_000_001, false)
  return (Object.keys(WAYS) as (keyof typeof WAYS)[]).map((way) => {
    const canary = numbers(errors, way, ({ canary }) => canary)
    const slow = numbers(slower, way, ({ requests: after }) => after)
    return {
      way: WAYS[way],
      falsePct: (100 * numbers(alike, way, () => 1).length) / runs,
      errorsP50: at(canary, 0.5),
      errorsP99: at(canary, 0.99),
      slowerPct: (100 * slow.length) / runs,
      slowerP50: at(slow, 0.5),
      slowerMax: at(slow, 1),
      turnedP50: at(sinceTurn(turned, way), 0.5),
    }
  })
}

/** Canary requests since the turn, as the share has it. */
const sinceTurn = (results: readonly RunResult[], way: keyof RunResult): number[] =>
  results
    .flatMap((one) => {
      const after = (one[way]?.requests ?? 0) - SCENARIOS.turns.turnsAfter
      return after > 0 ? [Math.round(after * SCENARIOS.turns.share)] : []
    })
    .sort((a, b) => a - b)

const numbers = (results: readonly RunResult[], way: keyof RunResult, of: (stop: Stop) => number): number[] =>
  results.flatMap((one) => (one[way] === undefined ? [] : [of(one[way])])).sort((a, b) => a - b)

const at = (sorted: readonly number[], q: number): number =>
  sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN

/** The table as docs/benchmarks.md has it. */
export const rolloutTable = (rows: readonly RolloutRow[], runs: number): string =>
  [
    `Each cell: ${runs} seeded runs at a share of 10 %, alpha 0.05 over five guardrails. No effect: 20,000 requests, 1 % errors and 0.5 % refusals in both arms.`,
    '',
    '| judged by | rolled back without effect | 5 % errors: canary requests p50 | p99 | 1.3 times as slow: seen in 12,000 | requests p50 | latest | 5 % errors after 30,000 good requests: canary requests p50 |',
    '|---|---|---|---|---|---|---|---|',
    ...rows.map(
      (row) =>
        `| ${row.way} | ${row.falsePct.toFixed(1)} % | ${row.errorsP50} | ${row.errorsP99} | ${row.slowerPct.toFixed(1)} % | ${row.slowerP50} | ${row.slowerMax} | ${row.turnedP50} |`,
    ),
  ].join('\n')

if (import.meta.main) {
  const runs = Number(process.argv[2] ?? 2_000)
  console.log(rolloutTable(rolloutRows(runs), runs))
}
