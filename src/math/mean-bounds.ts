import { type Bounds, shareBounds } from './share-bounds.ts'

/** Numbers of which only sums are kept. */
export interface Sums {
  readonly n: number
  readonly sum: number
  /** Null: nobody said, and nothing is known of how far they lie apart. */
  readonly squares: number | null
  /** Every one of them was 0 or 1. */
  readonly isShare: boolean
}

/** From how many values on their spread is believed. */
const VALUES_MIN = 100
/** The number of values at which the bounds are tightest. */
const TIGHT_AT = 1_000

/**
 * Bounds of a mean that hold at every look at once; null where too little is known. Of yes and no by the beta mixture,
 * exactly. Of other numbers with confidence 1 - alpha in the limit of many values, by the normal mixture with the spread
 * that was seen, from 100 values on: mean +- sd sqrt(2 (n r + 1) / (n^2 r) ln(sqrt(n r + 1) / alpha)), r being so that
 * they are tightest at 1,000 (Robbins 1970; Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, arXiv 2103.06476).
 */
export function meanBounds({ n, sum, squares, isShare }: Sums, alpha: number): Bounds | null {
  if (n <= 0) return null
  if (isShare) return shareBounds(sum, n, alpha)
  if (n < VALUES_MIN || squares === null) return null
  const mean = sum / n
  const sd = Math.sqrt(Math.max(0, squares / n - mean * mean))
  const nr = (n * (2 * Math.log(1 / alpha) + Math.log(1 + 2 * Math.log(1 / alpha)))) / TIGHT_AT
  const wide = sd * Math.sqrt(((2 * (nr + 1)) / (n * nr)) * Math.log(Math.sqrt(nr + 1) / alpha))
  return [mean - wide, mean + wide]
}
