import { murmur3Pair } from './murmur3.ts'

/** The second hash's seed: 2^32 divided by the golden ratio, any odd constant would do. */
const SECOND_SEED = 0x9e3779b9

/**
 * The number in [0, 1) that stands for this seed and this purpose: the same for the same two, evenly spread over many,
 * and independent between purposes. All 53 bits of a double are used. Everything in hubward that looks random is one
 * of these, so that a decision replays bit for bit.
 *
 * shareOf('00f067aa0ba902b7', 'return ams/h100') < 0.25 holds for one seed in four.
 */
export function shareOf(seed: string, purpose: string): number {
  return murmur3Pair(`${seed}\n${purpose}`, 0, SECOND_SEED) / 0x20000000000000
}
