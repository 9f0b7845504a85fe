import { type CriterionReading, metricRow, OUTCOME_METRIC, type Rollout, type RolloutState } from '../model/rollout.ts'
import { improvementOf } from './compare.ts'

/**
 * What came of a rollout, in one sentence with intervals: `Amsterdam-first cut response.p95_ms by 28 ms [21, 35] for 72 %
 * of interactive-inference requests; fallback rate unchanged`. Bounds are those of the last comparison.
 */
export function finalReport(rollout: Rollout, state: Omit<RolloutState, 'says'>): string {
  const { success, business = [] } = rollout
  const named = new Set(success.map(({ metric }) => metric))
  const ofBusiness = new Set(business.map(({ outcome }) => `${OUTCOME_METRIC}${outcome}`))
  const readings = state.criteria.filter(({ difference }) => difference !== null)
  const lead = readings.filter(({ metric }) => named.has(metric) && !ofBusiness.has(metric))
  const rest = readings.filter(({ metric }) => !named.has(metric) && !ofBusiness.has(metric) && metric in SIDE)
  const hoped = readings.filter(({ metric }) => ofBusiness.has(metric))
  const name = `${rollout.metadata.name.slice(0, 1).toUpperCase()}${rollout.metadata.name.slice(1)}`
  const [first, ...others] = lead
  const whom = `for ${reach(state)} of ${rollout.class} ${rollout.unit === 'job' ? 'jobs' : 'requests'}`
  const begin =
    first === undefined
      ? `${name} was compared ${whom}, and nothing was measured of it`
      : `${name} ${effect(first, rollout)} ${whom}`
  const parts = [begin, ...[...others, ...rest, ...hoped].map((one) => besides(one, rollout))]
  if (business.length > 0 && !hoped.some((one) => hasMoved(one)))
    parts.push('operational only: no business outcome moved')
  return parts.join('; ')
}

/** What is told beside the criteria, by the words that it is told in. */
const SIDE: Readonly<Record<string, string>> = {
  'fallback.ratio': 'fallback rate',
  'errors.ratio': 'error rate',
  'refused.ratio': 'refusals',
}

/** Do the bounds leave out that nothing has changed? */
const hasMoved = ({ low, high }: CriterionReading): boolean => (low !== null && low > 0) || (high !== null && high < 0)

/** `cut response.p95_ms by 28 ms [21, 35]`, `raised …`, `left … unchanged within [-1, 2] ms`. */
function effect(reading: CriterionReading, rollout: Rollout): string {
  const { difference, low, high } = reading
  const metric = SIDE[reading.metric] ?? reading.metric
  if (!hasMoved(reading)) return `left ${metric} unchanged ${within(reading, rollout)}`
  const [verb, from, to] = difference! < 0 ? ['cut', negative(high), negative(low)] : ['raised', low, high]
  return `${verb} ${metric} by ${amount(Math.abs(difference!), reading, rollout)} [${bound(from, reading)}, ${bound(to, reading)}]`
}

function besides(reading: CriterionReading, rollout: Rollout): string {
  const name = SIDE[reading.metric] ?? reading.metric
  if (!hasMoved(reading)) return `${name} unchanged ${within(reading, rollout)}`
  const better = (improvementOf(reading, rollout).middle ?? 0) > 0 ? 'better' : 'worse'
  const { difference, low, high } = reading
  return `${name} ${difference! < 0 ? 'down' : 'up'} by ${amount(Math.abs(difference!), reading, rollout)} [${bound(low, reading)}, ${bound(high, reading)}] (${better})`
}

const within = (reading: CriterionReading, rollout: Rollout): string =>
  `[${bound(reading.low, reading)}, ${bound(reading.high, reading)}]${unit(reading, rollout)}`

const negative = (value: number | null): number | null => (value === null ? null : 0 - value)

const isRatio = ({ metric }: CriterionReading): boolean => metricRow(metric).unit === 'ratio'

/** Shares are told in points of a hundred. */
const scaled = (value: number, reading: CriterionReading): string =>
  String(Number((isRatio(reading) ? value * 100 : value).toPrecision(2)))

const bound = (value: number | null, reading: CriterionReading): string =>
  value === null ? 'open' : scaled(value, reading)

const unit = (reading: CriterionReading, rollout: Rollout): string => {
  const name = isRatio(reading) ? 'points' : metricRow(reading.metric, rollout).unit
  return name === '' ? '' : ` ${name}`
}

const amount = (value: number, reading: CriterionReading, rollout: Rollout): string =>
  `${scaled(value, reading)}${unit(reading, rollout)}`

/**
 * The part of the class's requests that took part in either arm: in this stage, for those before may have been for fewer,
 * and only where none has come yet since the beginning.
 */
const reach = ({
  totals,
  classUnits = 0,
  reach: stage,
}: Pick<RolloutState, 'totals' | 'classUnits' | 'reach'>): string => {
  const isBegun = stage !== undefined && stage.of > 0
  const took = isBegun ? stage.took : totals.control.units + totals.treatment.units
  const all = Math.max(took, isBegun ? stage.of : classUnits)
  return all === 0 ? '0 %' : `${Number(((100 * took) / all).toPrecision(2))} %`
}
