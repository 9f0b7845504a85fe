/*
 * The Huffman code of HPACK (RFC 7541, appendix B). It is canonical: symbols sorted by the length of their code, then by
 * their number, have codes that count upwards, so the lengths say everything. Decoding goes four bits at a time through a
 * table of the tree's inner nodes: no code is shorter than five bits, so a step gives one symbol at most.
 */

/** Bits of the code of each of the 256 bytes, and of the mark of the end. */
const LENGTHS: readonly number[] = [
  ...[13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28],
  ...[28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28],
  ...[6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6],
  ...[5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10],
  ...[13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7],
  ...[7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6],
  ...[15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5],
  ...[6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28],
  ...[20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23],
  ...[24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24],
  ...[22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23],
  ...[21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23],
  ...[26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25],
  ...[19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27],
  ...[20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23],
  ...[26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26],
  30,
]
const END = 256

/** The code of a symbol: its bits as a number, and how many they are. */
export interface Code {
  readonly bits: number
  readonly length: number
}

/** The codes by symbol; 256 is the end. */
export const HUFFMAN_CODES: readonly Code[] = ((): Code[] => {
  const codes: Code[] = new Array(LENGTHS.length)
  let next = 0
  for (let length = 5; length <= 30; length++) {
    for (let symbol = 0; symbol < LENGTHS.length; symbol++) {
      if (LENGTHS[symbol] === length) codes[symbol] = { bits: next++, length }
    }
    next *= 2
  }
  return codes
})()

/** A step: the next node in the low 8 bits, the symbol in the next 8, then these. */
const EMITS = 1 << 16
const FAILS = 1 << 17
/** By node: whether a string may end there, which is after fewer than eight ones. */
const MAY_END = new Uint8Array(256)
const STEPS = new Int32Array(256 * 16)

/** Builds both tables: inner nodes are numbered, leaves are negative. */
const build = (): void => {
  const children: [number, number][] = [[0, 0]]
  for (let symbol = 0; symbol <= END; symbol++) {
    const { bits, length } = HUFFMAN_CODES[symbol]!
    let node = 0
    for (let at = length - 1; at >= 0; at--) {
      const side = (bits >> at) & 1
      if (at === 0) {
        children[node]![side] = -1 - symbol
        break
      }
      if (children[node]![side] === 0) children[node]![side] = children.push([0, 0]) - 1
      node = children[node]![side]!
    }
  }
  for (let node = 0, ones = 0; ones < 8; ones++) {
    MAY_END[node] = 1
    node = children[node]![1]
  }
  for (let node = 0; node < children.length; node++) {
    for (let nibble = 0; nibble < 16; nibble++) {
      let at = node
      let step = 0
      for (let bit = 3; bit >= 0; bit--) {
        at = children[at]![((nibble >> bit) & 1) as 0 | 1]
        if (at >= 0) continue
        const symbol = -1 - at
        step |= symbol === END ? FAILS : EMITS | (symbol << 8)
        at = 0
      }
      STEPS[node * 16 + nibble] = step | at
    }
  }
}
build()

/**
 * Decodes `bytes` from `start` to `end` into `out`, which must have room for 8/5 of them. Gives the number of bytes, or
 * -1 where the string is none: an end in the middle of a code, padding of more than seven bits or of zeros, the end mark.
 */
export const decodeHuffman = (bytes: Uint8Array, start: number, end: number, out: Uint8Array): number => {
  let node = 0
  let length = 0
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!
    let step = STEPS[node * 16 + (byte >> 4)]!
    if (step >= EMITS) {
      if (step >= FAILS) return -1
      out[length++] = (step >> 8) & 0xff
    }
    step = STEPS[(step & 0xff) * 16 + (byte & 15)]!
    if (step >= EMITS) {
      if (step >= FAILS) return -1
      out[length++] = (step >> 8) & 0xff
    }
    node = step & 0xff
  }
  return MAY_END[node] === 1 ? length : -1
}
