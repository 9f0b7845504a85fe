const C1 = 0xcc9e2d51
const C2 = 0x1b873593

const utf8 = new TextEncoder()

/**
 * MurmurHash3_x86_32 (Austin Appleby, public domain) of the text's UTF-8 bytes, as an unsigned 32-bit number.
 * murmur3('hello') is 0x248bfa47. A lone surrogate hashes as U+FFFD does. Libraries that hash UTF-16 code units give
 * another answer for anything that is not ASCII.
 */
export function murmur3(text: string, seed = 0): number {
  const length = text.length
  const whole = length & ~3
  let hash = seed | 0
  // Bits seen in any code unit: above 0x7f the text is not ASCII, its bytes are not its code units, and we start again.
  let seen = 0
  for (let i = 0; i < whole; i += 4) {
    const a = text.charCodeAt(i)
    const b = text.charCodeAt(i + 1)
    const c = text.charCodeAt(i + 2)
    const d = text.charCodeAt(i + 3)
    seen |= a | b | c | d
    hash = mixed(hash, a | (b << 8) | (c << 16) | (d << 24))
  }
  let tail = 0
  for (let i = length - 1; i >= whole; i--) {
    const a = text.charCodeAt(i)
    seen |= a
    tail = (tail << 8) | a
  }
  return seen > 0x7f ? murmur3Bytes(utf8.encode(text), seed) : finalised(hash, tail, length)
}

/**
 * What murmur3 gives for two seeds, worked out in one pass: `low + high * 2^21` of the second's upper 21 bits and the
 * whole first, 53 bits that a double holds exactly.
 */
export function murmur3Pair(text: string, seedHigh: number, seedLow: number): number {
  const length = text.length
  const whole = length & ~3
  let high = seedHigh | 0
  let low = seedLow | 0
  let seen = 0
  for (let i = 0; i < whole; i += 4) {
    const a = text.charCodeAt(i)
    const b = text.charCodeAt(i + 1)
    const c = text.charCodeAt(i + 2)
    const d = text.charCodeAt(i + 3)
    seen |= a | b | c | d
    const block = a | (b << 8) | (c << 16) | (d << 24)
    high = mixed(high, block)
    low = mixed(low, block)
  }
  let tail = 0
  for (let i = length - 1; i >= whole; i--) {
    const a = text.charCodeAt(i)
    seen |= a
    tail = (tail << 8) | a
  }
  if (seen > 0x7f) return joined(murmur3(text, seedHigh), murmur3(text, seedLow))
  return joined(finalised(high, tail, length), finalised(low, tail, length))
}

const joined = (high: number, low: number): number => high * 0x200000 + (low >>> 11)

/** MurmurHash3_x86_32 of bytes, as an unsigned 32-bit number. */
export function murmur3Bytes(bytes: Uint8Array, seed = 0): number {
  const length = bytes.length
  const whole = length & ~3
  let hash = seed | 0
  for (let i = 0; i < whole; i += 4) {
    hash = mixed(hash, bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24))
  }
  let tail = 0
  for (let i = length - 1; i >= whole; i--) tail = (tail << 8) | bytes[i]!
  return finalised(hash, tail, length)
}

/** The hash after one block of four bytes, little-endian. */
function mixed(hash: number, block: number): number {
  let k = Math.imul(block, C1)
  k = (k << 15) | (k >>> 17)
  const h = hash ^ Math.imul(k, C2)
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0
}

/** The last up to three bytes, the length, and the avalanche. A tail of 0 changes nothing, as in the original. */
function finalised(hash: number, tail: number, length: number): number {
  let k = Math.imul(tail, C1)
  k = (k << 15) | (k >>> 17)
  let h = hash ^ Math.imul(k, C2) ^ length
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
