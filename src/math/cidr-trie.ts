import { type Address, parseBlock } from './address.ts'

/** Blocks of addresses, each with a value; the longest block that holds an address gives its value. */
export interface CidrTrie<T> {
  /** How many different blocks it has. */
  readonly size: number
  /** The value of the longest block around this address; undefined where there is none. */
  readonly find: (address: Address) => T | undefined
}

/** Numbers of one node: its child for bit 0, its child for bit 1, its value. 0 is none, the roots being nobody's child. */
const STRIDE = 3

/**
 * A binary trie of the blocks, IPv4 and IPv6 side by side, in one flat array: a look-up follows the address's bits as
 * far as there are nodes and allocates nothing. Of two equal blocks the first stays. A text that is no block is left
 * out: whoever reads documents has refused it before.
 *
 * With 10.0.0.0/8 -> a and 10.1.0.0/16 -> b, 10.1.2.3 gives b and 10.2.0.1 gives a.
 */
export function cidrTrie<T>(entries: Iterable<readonly [string, T]>): CidrTrie<T> {
  // Node 0 is the root of IPv4, node 1 the root of IPv6.
  const nodes: number[] = [0, 0, 0, 0, 0, 0]
  const values: T[] = []
  for (const [text, value] of entries) {
    const block = parseBlock(text)
    if (block === undefined) continue
    let node = rootOf(block.address)
    for (let bit = 0; bit < block.bits; bit++) {
      const slot = node + bitOf(block.address, bit)
      if (nodes[slot] === 0) {
        nodes[slot] = nodes.length
        nodes.push(0, 0, 0)
      }
      node = nodes[slot]!
    }
    if (nodes[node + 2] === 0) nodes[node + 2] = values.push(value)
  }
  const flat = Int32Array.from(nodes)
  return {
    size: values.length,
    find: (address) => {
      let node = rootOf(address)
      let found = flat[node + 2]!
      const bits = address.length * 8
      for (let bit = 0; bit < bits; bit++) {
        node = flat[node + bitOf(address, bit)]!
        if (node === 0) break
        if (flat[node + 2] !== 0) found = flat[node + 2]!
      }
      return found === 0 ? undefined : values[found - 1]
    },
  }
}

const rootOf = (address: Address): number => (address.length === 4 ? 0 : STRIDE)
const bitOf = (address: Address, bit: number): number => (address[bit >> 3]! >> (7 - (bit & 7))) & 1
