import type { RolloutView } from '../admin/rollout-handlers.ts'
import { evidence } from '../engine/compare.ts'
import { percent } from '../engine/rollout.ts'
import { ARMS, alphaEach, type CriterionReading, metricRow, type Rollout, type RolloutState } from '../model/rollout.ts'
import { ageText, paint, table } from './output.ts'

/** What GET /v1/rollouts tells of each. */
export interface RolloutBrief
  extends Pick<
    RolloutState,
    'name' | 'flag' | 'policy' | 'status' | 'shareBp' | 'tenantsBp' | 'cohort' | 'stageSince' | 'says' | 'needed'
  > {
  readonly stage: string
}

const bold = (titles: readonly string[]): string[] => titles.map((title) => paint('bold', title))

const painted = (status: RolloutState['status']): string =>
  paint(status === 'running' || status === 'finished' ? 'green' : status === 'held' ? 'yellow' : 'red', status)

/** All rollouts as a table. */
export function listLines(rollouts: readonly RolloutBrief[], now: number): string[] {
  if (rollouts.length === 0) return ['no rollout has begun']
  return table([
    bold(['ROLLOUT', 'STATUS', 'STAGE', 'SHARE', 'OF', 'SINCE', 'WHY']),
    ...rollouts.map((one) => [
      one.name,
      painted(one.status),
      one.stage,
      percent(one.shareBp),
      one.cohort ?? (one.tenantsBp < 10_000 ? `${percent(one.tenantsBp)} of tenants` : 'all'),
      ageText(now - one.stageSince),
      one.says,
    ]),
  ])
}

/** One rollout with both arms beside one another, what is compared, and what the tests say. */
export function statusLines({ state, stage, document, report }: RolloutView, now: number): string[] {
  const lines = [
    `${paint('bold', state.name)} ${painted(state.status)}: ${state.says}`,
    `stage ${stage}, ${percent(state.shareBp)} since ${ageText(now - (state.exposedAt ?? state.stageSince))}; flag ${state.flag}, treatment ${state.policy ?? 'an overlay'}`,
  ]
  if (state.needed !== null && state.needed > 0)
    lines.push(`about ${state.needed} more units of the scarcer arm are needed`)
  if (state.order !== undefined)
    lines.push(
      `last word: ${state.order.order} by ${state.order.author}, ${ageText(now - state.order.at)} ago: ${state.order.reason}`,
    )
  lines.push('', ...armLines(state))
  if (state.criteria.length > 0) lines.push('', ...criteriaLines(state.criteria, document))
  if (document !== null) lines.push('', ...testLines(state, document))
  return report === null ? lines : [...lines, '', report]
}

const armLines = (state: RolloutState): string[] => {
  const events = [...new Set(ARMS.flatMap((arm) => Object.keys(state.totals[arm].bad)))].sort()
  return table([
    bold(['ARM', 'UNITS', 'THIS STAGE', ...events.map((event) => event.toUpperCase()), 'ARTIFACTS']),
    ...ARMS.map((arm) => [
      arm,
      String(state.totals[arm].units),
      String(state.stageUnits[arm]),
      ...events.map((event) => String((state.totals[arm].bad as Record<string, number>)[event] ?? 0)),
      state.artifacts[arm].join(', ') || '-',
    ]),
  ])
}

const number = (value: number | null): string => (value === null ? '-' : String(Number(value.toPrecision(4))))

const criteriaLines = (criteria: readonly CriterionReading[], document: Rollout | null): string[] => {
  const asked = new Map(document?.success.map((one) => [one.metric, one]))
  return table([
    bold(['METRIC', 'CONTROL', 'TREATMENT', 'DIFFERENCE', 'BOUNDS', 'ASKED']),
    ...criteria.map((one) => {
      const { improveBy, worseByAtMost } = asked.get(one.metric) ?? {}
      const wanted = [
        ...(improveBy === undefined ? [] : [`better by ${improveBy}`]),
        ...(worseByAtMost === undefined ? [] : [`worse by ${worseByAtMost} at most`]),
      ].join(', ')
      const unit = metricRow(one.metric).unit
      return [
        `${one.metric}${unit === '' ? '' : ` (${unit})`}`,
        number(one.control),
        number(one.treatment),
        number(one.difference),
        `[${number(one.low)}, ${number(one.high)}]`,
        wanted || '-',
      ]
    }),
  ])
}

/** Evidence as E values: harm is proven at the first limit, its absence at the second. */
const testLines = (state: RolloutState, document: Rollout): string[] => {
  const e = (name: string): string => Math.exp(Math.min(700, evidence(state, name))).toPrecision(3)
  const [harm, safe] = [1 / alphaEach(document), 1 / document.alpha]
  return table([
    bold([
      'GUARDRAIL',
      `E OF HARM (${harm.toPrecision(3)} ROLLS BACK)`,
      `E OF SAFETY (${safe.toPrecision(3)} LETS IT PASS)`,
      'AT MOST',
    ]),
    ...document.guardrails.map(({ event, ratioMax, differenceMax }) => [
      event,
      e(`harm ${event}`),
      e(`safe ${event}`),
      `${ratioMax} times${differenceMax === undefined ? '' : ` or ${Number((differenceMax * 100).toPrecision(3))} points more`}`,
    ]),
  ])
}
