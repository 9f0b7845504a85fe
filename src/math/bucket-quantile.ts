/**
 * The quantile of a histogram: `counts[i]` events lie above `bounds[i - 1]` and at or below `bounds[i]`, bounds
 * ascending, the last usually +Infinity. As Prometheus' histogram_quantile has it: events are taken to lie evenly in
 * their bucket, the first bucket to begin at 0, and a rank in the +Infinity bucket gives the highest finite bound, for
 * nothing more is known of those events than that they are above it. Undefined without events or bounds.
 *
 * Bounds 0.1, 0.5, +Inf with counts 50, 40, 10: the median is the end of the first bucket, 0.1; the 70th percentile is
 * half way through the second, 0.3; the 95th lies beyond, 0.5.
 */
export function bucketQuantile(bounds: readonly number[], counts: readonly number[], q: number): number | undefined {
  let total = 0
  for (const count of counts) total += count
  if (!(total > 0) || bounds.length === 0 || !(q >= 0 && q <= 1)) return undefined
  const rank = q * total
  let below = 0
  for (let i = 0; i < bounds.length; i++) {
    const count = counts[i] ?? 0
    if (count > 0 && below + count >= rank) {
      const upper = bounds[i]!
      const lower = i === 0 ? Math.min(0, upper) : bounds[i - 1]!
      if (upper === Number.POSITIVE_INFINITY) return i === 0 ? 0 : lower
      return lower + (upper - lower) * Math.min(1, Math.max(0, (rank - below) / count))
    }
    below += count
  }
  return bounds.findLast((bound) => Number.isFinite(bound)) ?? 0
}
