/**
 * The buckets of DDSketch (see sketch.ts) with relative error 0.01, numbered from 0 for times in milliseconds, so that a
 * bucket's number fits into ten bits. Bucket 0 holds everything below 0.01 ms, the last one everything above two hours.
 */
const GAMMA = 1.01 / 0.99
const PER_LOG = 1 / Math.log(GAMMA)
/** The number that 0.01 ms would have, less one: the first bucket above it is 1. */
const BEGIN = Math.ceil(Math.log(0.01) * PER_LOG)

/** How many buckets there are. */
export const BUCKETS = 1_024

/** The bucket of a time in milliseconds; -1 for what is negative or no number. */
export const bucketOf = (ms: number): number => {
  if (!(ms >= 0)) return -1
  if (ms < 0.01) return 0
  return Math.min(BUCKETS - 1, Math.max(1, Math.ceil(Math.log(ms) * PER_LOG) - BEGIN + 1))
}

/** The middle of a bucket: within one percent of everything in it. */
export const middleOf = (bucket: number): number =>
  bucket === 0 ? 0 : (2 * GAMMA ** (bucket + BEGIN - 1)) / (GAMMA + 1)

/** The value below which the share q lies of what these counts by bucket hold; undefined: nothing. */
export const quantileOf = (counts: ArrayLike<number>, q: number): number | undefined => {
  let total = 0
  for (let bucket = 0; bucket < counts.length; bucket++) total += counts[bucket]!
  if (total === 0) return undefined
  const rank = q * (total - 1)
  let below = 0
  for (let bucket = 0; bucket < counts.length; bucket++) {
    below += counts[bucket]!
    if (below > rank) return middleOf(bucket)
  }
  return undefined
}
