import type { Problem } from '../model/problem.ts'
import type { DimensionReadiness, Estimate, ReadinessState, TargetReadiness } from '../model/readiness.ts'
import { DIMENSIONS } from '../model/signal-row.ts'
import { type AdminFlags, askAdmin } from './admin-client.ts'
import { ageText, paint, table } from './output.ts'

/** Rows of the matrix that a command asks for at most: more is for programs to read. */
const ROWS_MAX = 10_000

/** The readiness of all targets that are asked for, page by page; undefined: no such site or class, or no such route. */
export async function askReadiness(
  flags: AdminFlags,
  which: { readonly class?: string; readonly site?: string },
): Promise<readonly TargetReadiness[] | undefined> {
  const rows: TargetReadiness[] = []
  for (let after: number | undefined = 0; after !== undefined && rows.length < ROWS_MAX; ) {
    const query = new URLSearchParams({ ...which, after: String(after), limit: '250' })
    const { status, json } = await askAdmin(flags, `/v1/readiness?${query}`)
    if (status !== 200) return undefined
    const page = json as { readonly rows: readonly TargetReadiness[]; readonly next?: number }
    rows.push(...page.rows)
    after = page.next
  }
  return rows
}

/** What was measured of thresholds: guesses, and gaps that are narrower than the noise. */
export interface Judged {
  readonly estimates: readonly Estimate[]
  readonly noisy: readonly Problem[]
}

/** What was measured of the documents' thresholds; nothing where there is no such route. */
export async function askEstimates(flags: AdminFlags): Promise<Judged> {
  const { status, json } = await askAdmin(flags, '/v1/readiness/estimates')
  return { estimates: [], noisy: [], ...(status === 200 ? (json as Partial<Judged>) : {}) }
}

const STYLES = { green: 'green', amber: 'yellow', red: 'red', unknown: 'dim' } as const

const stateText = (state: ReadinessState): string => paint(STYLES[state], state)

const number = (value: number): string => String(Number(value.toPrecision(3)))

/** `amber 12 pct`: a state and the number behind it. */
const cellOf = ({ state, measured, unit }: DimensionReadiness): string => {
  if (state === 'unknown' || measured === undefined) return state === 'unknown' ? paint('dim', '-') : stateText(state)
  const text = typeof measured === 'number' ? number(measured) : measured
  return `${stateText(state)} ${text}${unit === undefined || unit === '' ? '' : ` ${unit}`}`
}

/**
 * The matrix: a line for each target and the classes that see it alike, then a line for each thing that is not green,
 * with its limit and age, of these so many at most.
 */
export function readinessLines(rows: readonly TargetReadiness[], whyMax = Number.POSITIVE_INFINITY): string[] {
  const known = new Map<string, { readonly row: TargetReadiness; readonly classes: string[] }>()
  const classes = new Set(rows.map((row) => row.class))
  for (const row of rows) {
    const key = `${row.target} ${DIMENSIONS.map((name) => `${row.dimensions[name].state} ${row.dimensions[name].says}`)}`
    const alike = known.get(key)
    if (alike === undefined) known.set(key, { row, classes: [row.class] })
    else alike.classes.push(row.class)
  }
  const namesOf = (names: readonly string[]): string =>
    names.length === classes.size && classes.size > 1 ? 'all' : names.join(', ')
  const head = ['TARGET', 'CLASSES', 'OVERALL', ...DIMENSIONS.map((name) => name.toUpperCase())]
  const lines = table([
    head.map((title) => paint('bold', title)),
    ...[...known.values()].map(({ row, classes: names }) => [
      row.target,
      namesOf(names),
      stateText(row.overall),
      ...DIMENSIONS.map((name) => cellOf(row.dimensions[name])),
    ]),
  ])
  const why = new Set<string>()
  const silent = new Map<string, Set<string>>()
  for (const { row } of known.values()) {
    for (const name of DIMENSIONS) {
      const { state, measured, limit, unit = '', ageMs, says } = row.dimensions[name]
      if (state !== 'amber' && state !== 'red') continue
      if (name === 'observability') {
        // Classes require this and that of one target: what is missing is told once.
        const [what, list = ''] = says.split(': ')
        const key = `  ${row.target} ${name}: ${what}`
        silent.set(key, new Set([...(silent.get(key) ?? []), ...list.split(', ')]))
        continue
      }
      const value = typeof measured === 'number' ? `: ${number(measured)} ${unit}` : ''
      const until = limit === undefined ? '' : `, until ${number(limit)}`
      const age = ageMs === undefined ? '' : `, ${ageText(ageMs)} old`
      why.add(`  ${row.target} ${name}: ${says}${value}${until}${age}`)
    }
  }
  const all = [...why, ...[...silent].map(([what, signals]) => `${what} ${[...signals].join(', ')}`)]
  const more = all.length - whyMax
  if (more > 0) all.splice(whyMax, more, `  and ${more} more; \`hubward readiness\` has all of them`)
  return all.length === 0 ? lines : [...lines, '', ...all]
}

/** Thresholds by what was measured: guesses with what that suggests, then those that follow the noise. */
export function estimateLines({ estimates, noisy }: Judged): string[] {
  const found = noisy.map(({ message, remedy }) => `  ${message}; ${remedy}`)
  if (estimates.length === 0) return found
  const rows = estimates.map(
    ({ document, signal, use, threshold: { op, limit, resume }, measured, proposed, says }) => [
      `${document} ${signal}`,
      `${use} ${op === 'max' ? 'above' : 'below'} ${limit} until ${resume}`,
      measured === null
        ? 'nothing yet'
        : `${number(measured.p5)} … ${number(measured.p50)} … ${number(measured.p95)} (${measured.samples} in ${number(measured.hours)} h)`,
      proposed === null ? paint('dim', says) : `${op}: ${proposed.limit}, resume: ${proposed.resume}`,
    ],
  )
  const head = ['ESTIMATED', 'NOW', 'MEASURED p5 … p50 … p95', 'PROPOSED'].map((title) => paint('bold', title))
  return [...table([head, ...rows]), ...(found.length === 0 ? [] : ['', ...found])]
}
