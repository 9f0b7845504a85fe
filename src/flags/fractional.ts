import { murmur3, murmur3Bytes } from '../math/murmur3.ts'
import { canonicalCbor } from './cbor.ts'

/**
 * Versions of the algorithm behind `fractional`. 2: flagd from 0.15, murmur3 of the key's UTF-8. 3: what flagd has
 * accepted for later and one SDK already does, murmur3 of the key's canonical CBOR, so that keys other than text count.
 */
export type FractionalVersion = 2 | 3

/** Variants by where their buckets end, of `total` in all. */
export interface Buckets {
  readonly variants: readonly unknown[]
  readonly ends: readonly number[]
  readonly total: number
}

/** The largest sum of weights: what a signed 32-bit number holds. */
const TOTAL_MAX = 2_147_483_647

/**
 * The buckets of `[variant]` or `[variant, weight]`; null where one of them is neither, where a weight is no whole number,
 * and where the sum is 0 or too large. A negative weight counts as 0, for sums of rollouts may come to it.
 */
export function bucketsOf(entries: readonly unknown[]): Buckets | null {
  const variants: unknown[] = []
  const ends: number[] = []
  let total = 0
  for (const entry of entries) {
    if (!Array.isArray(entry) || entry.length === 0 || entry.length > 2) return null
    const variant: unknown = entry[0] ?? null
    if (typeof variant === 'object' && variant !== null) return null
    const weight: unknown = entry.length === 1 ? 1 : entry[1]
    if (typeof weight !== 'number' || !Number.isInteger(weight)) return null
    total += Math.max(0, weight)
    variants.push(variant)
    ends.push(total)
  }
  return total === 0 || total > TOTAL_MAX ? null : { variants, ends, total }
}

/**
 * The variant of a hash: the bucket that hash * total / 2^32 falls into. The product has up to 63 bits; its upper half of
 * the hash and its lower one are multiplied apart, so that doubles are exact.
 */
export function pick(buckets: Buckets, hash: number): unknown {
  const { ends, total, variants } = buckets
  const low = Math.floor(((hash & 0xffff) * total) / 0x10000)
  const bucket = Math.floor(((hash >>> 16) * total + low) / 0x10000)
  let at = 0
  while (bucket >= ends[at]!) at++
  return variants[at]
}

/** The hash of a key that targeting names, or null where it is none for this version. */
export function hashOfKey(version: FractionalVersion, key: unknown): number | null {
  if (version === 2) return typeof key === 'string' ? murmur3(key) : null
  if (key === null || key === undefined) return null
  const bytes = canonicalCbor(key)
  return bytes === null ? null : murmur3Bytes(bytes)
}

/** The hash where targeting names no key: of the flag and whoever asks. Null: nobody says who asks. */
export function hashOfAsker(version: FractionalVersion, flagKey: string, targetingKey: unknown): number | null {
  if (typeof targetingKey !== 'string' || targetingKey === '') return null
  return version === 2 ? murmur3(flagKey + targetingKey) : hashOfKey(3, [flagKey, targetingKey])
}
