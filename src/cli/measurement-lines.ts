import {
  MEASURED_TIMES,
  type Measured,
  type MeasuredTime,
  type Measurements,
  type Percentiles,
} from '../model/measurements.ts'
import { VERDICTS } from '../model/outcome.ts'
import { ageText, paint, table } from './output.ts'

const QUANTILES = ['p50', 'p95', 'p99'] as const
const TIMES = Object.keys(MEASURED_TIMES) as readonly MeasuredTime[]
/** Parts of the time that are shown as medians beside each other. */
const PARTS = ['held', 'network', 'queue', 'prefill', 'decode'] as const

const number = (value: number | null): string => (value === null ? '-' : String(Number(value.toPrecision(3))))
const percent = (ratio: number | null): string => (ratio === null ? '-' : `${number(ratio * 100)} %`)
const day = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`

/** Three quantiles in a cell; `?` is one with too few events behind it. */
const quantiles = (of: Percentiles): string =>
  of.count === 0 ? '-' : QUANTILES.map((name) => (of[name] === null ? '?' : number(of[name]))).join(' / ')

/** What was measured as people read it: a line for each combination, those with the most requests first. */
export function measurementLines({ from, to, stretchMs, by, rows, left, folded }: Measurements): string[] {
  const lines = [`${day(from)} to ${day(to)}, in stretches of ${ageText(stretchMs)}`]
  if (rows.length === 0) return [...lines, 'no request with a decision of ours has ended in that time']
  const head = [
    ...by.map((name) => name.toUpperCase()),
    ...['REQUESTS', 'ERRORS', 'FALLBACK', 'IN TIME', 'TTFT ms (p50 / p95 / p99)', 'RESPONSE ms'],
    ...['HELD + NETWORK + QUEUE + PREFILL + DECODE ms (p50)', 'TOKENS/s', 'CACHE'],
  ]
  lines.push('', ...table([head.map((title) => paint('bold', title)), ...rows.map((row) => cells(row, by))]))
  if (rows.some(({ times }) => TIMES.some((name) => times[name].count > 0 && times[name].insufficient.length > 0)))
    lines.push('', '? stands for too few events: 100 for p50, 200 for p95, 1000 for p99')
  if (left > 0) lines.push(`${left} more rows: ask for fewer at once with --where`)
  if (folded > 0)
    lines.push(`${folded} requests had too many labels to be told apart, and are counted as "other" in some of them`)
  return lines
}

const cells = (row: Measured, by: Measurements['by']): string[] => [
  ...by.map((name) => row.by[name] || '-'),
  String(row.requests),
  percent(row.errorRatio),
  percent(row.fallbackRatio),
  percent(row.sloRatio),
  quantiles(row.times.ttft),
  quantiles(row.times.response),
  PARTS.map((name) => (row.times[name].count === 0 ? '-' : number(row.times[name].p50))).join(' + '),
  number(row.tokens.perS ?? row.tokens.poolPerS),
  percent(row.cacheHitRatio),
]

/** The same for spreadsheets, with every number that there is. */
export function measurementCsv({ by, rows }: Measurements): string[] {
  const head = [
    ...by,
    ...['requests', ...VERDICTS, 'error_ratio', 'fallback_ratio', 'degraded', 'retried', 'slo_ratio'],
    ...TIMES.flatMap((name) => [`${name}_count`, ...QUANTILES.map((q) => `${name}_${q}_ms`)]),
    ...[
      'prompt_tokens',
      'completion_tokens',
      'tokens_per_s',
      'stream_tokens_per_s',
      'pool_tokens_per_s',
      'cache_hit_ratio',
    ],
  ]
  const lineOf = (row: Measured): (string | number | null)[] => [
    ...by.map((name) => row.by[name] ?? ''),
    ...[row.requests, ...VERDICTS.map((name) => row.verdicts[name])],
    ...[row.errorRatio, row.fallbackRatio, row.degraded, row.retried, row.sloRatio],
    ...TIMES.flatMap((name) => [row.times[name].count, ...QUANTILES.map((q) => row.times[name][q])]),
    ...[row.tokens.prompt, row.tokens.completion, row.tokens.perS, row.tokens.perStreamS, row.tokens.poolPerS],
    row.cacheHitRatio,
  ]
  return [head, ...rows.map(lineOf)].map((cells) => cells.map(csvCell).join(','))
}

/** Labels come from requests: none of them is to become a formula. */
const csvCell = (value: string | number | null): string => {
  if (typeof value !== 'string') return value === null ? '' : String(value)
  const safe = /^[=+@\t\r-]/.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
