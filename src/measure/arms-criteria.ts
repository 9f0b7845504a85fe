import { meanBounds, type Sums } from '../math/mean-bounds.ts'
import { quantileBounds } from '../math/quantile-bounds.ts'
import { shareBounds } from '../math/share-bounds.ts'
import { type Arm, alphaEach, type CriterionReading, OUTCOME_METRIC, type Rollout } from '../model/rollout.ts'
import { type Book, SHARES } from './arms-book.ts'

/** What is known of a metric in one arm. */
interface Estimate {
  readonly units: number
  readonly value: number | null
  readonly low: number | null
  readonly high: number | null
}

/** Told of every rollout, beside what its criteria ask for. */
const ALWAYS = ['errors.ratio', 'refused.ratio', 'fallback.ratio'] as const

/**
 * Where everything stands that arms are compared by: what the criteria name, what is always told, and what the business
 * reports. Each arm's bounds hold with half of the test's chance of error, so those of the difference hold with all of it.
 */
export function readCriteria(rollout: Rollout, book: Book): CriterionReading[] {
  const metrics = new Set([
    ...rollout.success.map(({ metric }) => metric),
    ...ALWAYS,
    ...(rollout.business ?? []).map(({ outcome }) => `${OUTCOME_METRIC}${outcome}`),
    ...book.outcomes().map((name) => `${OUTCOME_METRIC}${name}`),
  ])
  const alpha = alphaEach(rollout) / 2
  return [...metrics].map((metric) => {
    const control = estimate(book, 'control', metric, alpha)
    const treatment = estimate(book, 'treatment', metric, alpha)
    return {
      metric,
      control: control.value,
      treatment: treatment.value,
      difference: less(treatment.value, control.value),
      low: less(treatment.low, control.high),
      high: less(treatment.high, control.low),
      units: { control: control.units, treatment: treatment.units },
    }
  })
}

const less = (one: number | null, other: number | null): number | null =>
  one === null || other === null ? null : one - other

const QUANTILE = /^([a-z]+)\.p(50|95|99)_ms$/

function estimate(book: Book, arm: Arm, metric: string, alpha: number): Estimate {
  if (metric.startsWith(OUTCOME_METRIC)) return meanOf(book.sums(arm, metric.slice(OUTCOME_METRIC.length)), alpha)
  if ((SHARES as readonly string[]).includes(metric)) {
    const [held, of] = book.share(arm, metric)
    return meanOf({ n: of, sum: held, squares: held, isShare: true }, alpha)
  }
  const [, name = '', digits = ''] = QUANTILE.exec(metric) ?? []
  const ranks = book.ranks(arm, name)
  if (ranks === undefined) return { units: 0, value: null, low: null, high: null }
  const q = Number(digits) / 100
  const [low, high] = quantileBounds(ranks, q, alpha)
  return { units: ranks.count, value: ranks.quantile(q), low, high }
}

const meanOf = (sums: Sums, alpha: number): Estimate => {
  if (sums.n === 0) return { units: 0, value: null, low: null, high: null }
  const [low, high] = (sums.isShare ? shareBounds(sums.sum, sums.n, alpha) : meanBounds(sums, alpha)) ?? [null, null]
  return { units: sums.n, value: sums.sum / sums.n, low, high }
}
