import { BlockList, isIP } from 'node:net'
import * as fc from 'fast-check'
import t from 'tap'
import { parseAddress, parseBlock } from '../../src/math/address.ts'
import { shareOf } from '../../src/math/choice.ts'
import { type CidrTrie, cidrTrie } from '../../src/math/cidr-trie.ts'
import { murmur3, murmur3Bytes } from '../../src/math/murmur3.ts'

t.test('murmur3 gives the published numbers', async (t) => {
  // From the reference's verification set and the vectors of other implementations (seed, text, hash).
  const vectors: [number, string, number][] = [
    [0, '', 0],
    [1, '', 0x514e28b7],
    [0xffffffff, '', 0x81f16f39],
    [0, 'test', 0xba6bd213],
    [0x9747b28c, 'test', 0x704b81dc],
    [0, 'Hello, world!', 0xc0363e43],
    [0x9747b28c, 'Hello, world!', 0x24884cba],
    [0, 'The quick brown fox jumps over the lazy dog', 0x2e4ff723],
    [0x9747b28c, 'The quick brown fox jumps over the lazy dog', 0x2fa826cd],
    [0x9747b28c, 'a', 0x7fa09ea6],
    [0x9747b28c, 'aa', 0x5d211726],
    [0x9747b28c, 'aaa', 0x283e0130],
    [0x9747b28c, 'aaaa', 0x5a97808a],
    [0x9747b28c, 'abcd', 0xf0478627],
    [0, 'hello', 0x248bfa47],
  ]
  for (const [seed, text, hash] of vectors) t.equal(murmur3(text, seed), hash, `${text} with seed ${seed}`)
})

t.test('murmur3 hashes UTF-8, not UTF-16', async (t) => {
  t.equal(murmur3('My 🚀 is full of 🦎.'), 1818098979)
  t.equal(murmur3('tenant-München'), 0xeb19ec76)
  t.equal(murmur3('ππππππππ', 0x9747b28c), 0xd58063c1)
  for (const text of ['租户-7', '😀', 'ÿ', 'a\ud800b', `${'x'.repeat(61)}é`]) {
    t.equal(murmur3(text, 7), murmur3Bytes(Buffer.from(text), 7), JSON.stringify(text))
  }
})

t.test('a share is made of two hashes of murmur3, whatever the text', async (t) => {
  for (let length = 0; length < 40; length++) {
    for (const letter of ['a', 'ü', '🚀']) {
      const [seed, purpose] = [letter.repeat(length), `return ${'x'.repeat(length % 5)}`]
      const text = `${seed}\n${purpose}`
      const share = (murmur3(text) * 2 ** 21 + (murmur3(text, 0x9e3779b9) >>> 11)) / 2 ** 53
      t.equal(shareOf(seed, purpose), share, JSON.stringify(text))
    }
  }
})

t.test('murmur3 of ASCII text is the hash of its bytes at every length', async (t) => {
  for (let length = 0; length < 70; length++) {
    const text = Array.from({ length }, (_, i) => String.fromCharCode((i * 37 + length) & 0x7f)).join('')
    if (murmur3(text, length) !== murmur3Bytes(Buffer.from(text), length)) t.fail(`length ${length}`)
  }
  t.equal(murmur3Bytes(Uint8Array.of(0xff, 0xff, 0xff, 0xff)), 0x76293b50)
  t.equal(murmur3Bytes(Uint8Array.of(0x21, 0x43, 0x65)), 0x7e4a8634)
  t.equal(murmur3Bytes(Uint8Array.of(0, 0)), 0x30f4c306)
})

t.test('a share is the same for the same seed and purpose, and lies in [0, 1)', async (t) => {
  t.equal(shareOf('00f067aa0ba902b7', 'return ams'), shareOf('00f067aa0ba902b7', 'return ams'))
  t.not(shareOf('00f067aa0ba902b7', 'return ams'), shareOf('00f067aa0ba902b7', 'return fra'))
  let least = 1
  let most = 0
  for (let i = 0; i < 20_000; i++) {
    const share = shareOf(i.toString(16).padStart(16, '0'), 'x')
    least = Math.min(least, share)
    most = Math.max(most, share)
  }
  t.ok(least >= 0 && least < 0.001 && most > 0.999 && most < 1, `${least} to ${most}`)
})

t.test('shares are evenly spread, and independent between purposes', async (t) => {
  const bins = new Array<number>(100).fill(0)
  const n = 100_000
  for (let i = 0; i < n; i++) {
    const seed = i.toString(16).padStart(16, '0')
    const bin = Math.floor(shareOf(seed, 'a') * 10) * 10 + Math.floor(shareOf(seed, 'b') * 10)
    bins[bin] = bins[bin]! + 1
  }
  const chiSquared = bins.reduce((sum, seen) => sum + (seen - n / 100) ** 2 / (n / 100), 0)
  // 99 degrees of freedom: 148 is passed by chance once in a thousand, and the numbers here never change.
  t.ok(chiSquared < 148, `chi squared ${chiSquared}`)
})

t.test('an address is read in every form that RFC 4291 has, and in no other', async (t) => {
  const good: [string, string][] = [
    ['10.0.0.1', '10.0.0.1'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0'],
    ['::1', '0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1'],
    ['1::', '0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0'],
    ['2001:DB8::ff00:42:8329', '32.1.13.184.0.0.0.0.0.0.255.0.0.66.131.41'],
    ['1:2:3:4:5:6:7:8', '0.1.0.2.0.3.0.4.0.5.0.6.0.7.0.8'],
    ['1:2:3:4:5:6:7::', '0.1.0.2.0.3.0.4.0.5.0.6.0.7.0.0'],
    ['64:ff9b::192.0.2.33', '0.100.255.155.0.0.0.0.0.0.0.0.192.0.2.33'],
    ['::ffff:10.1.2.3', '10.1.2.3'],
    ['::FFFF:0a01:0203', '10.1.2.3'],
  ]
  for (const [text, bytes] of good) t.equal(parseAddress(text)?.join('.'), bytes, text)
  const bad = [
    ...['', '1', '10.0.0', '10.0.0.1.2', '10.0.0.256', '010.0.0.1', '10.0.0.1:80', '0x7f.0.0.1', '10..0.1', '10.0.0.'],
    ...['.10.0.0.1', '10.0.0.1 ', '１0.0.0.1', ':', ':::', ':1', '1:', '1::2::3', '1:2:3:4:5:6:7', '[::1]', '::1%eth0'],
    ...['1:2:3:4:5:6:7:8:9', '1:2:3:4:5:6:7:8::', '12345::', 'g::', '::1.2.3', '1:2:3:4:5:6:7:1.2.3.4', '::1.2.3.4:5'],
    ...['unknown', '@', '/run/envoy.sock', '1'.repeat(70_000), ':'.repeat(40)],
  ]
  for (const text of bad) t.equal(parseAddress(text), undefined, text.slice(0, 40))
})

t.test('an address is read as node:net reads it', async (t) => {
  const piece = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.stringMatching(/^[0-9a-f:.]{0,24}$/),
    fc.ipV6().map((text) => text.toUpperCase()),
  )
  const law = fc.property(piece, (text) => (parseAddress(text) === undefined) === (isIP(text) === 0))
  const details = fc.check(law, { numRuns: 5_000, seed: 1 })
  t.notOk(details.failed, JSON.stringify(details.counterexample))
})

t.test('a block is an address and a length, mapped ones counted from where IPv4 begins', async (t) => {
  t.same(parseBlock('10.0.0.0/8'), { address: [10, 0, 0, 0], bits: 8 })
  t.same(parseBlock('10.0.0.9'), { address: [10, 0, 0, 9], bits: 32 })
  t.same(parseBlock('::ffff:10.0.0.0/104'), { address: [10, 0, 0, 0], bits: 8 })
  t.equal(parseBlock('::/0')?.bits, 0)
  for (const text of ['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/08', '::/129', '::ffff:10.0.0.0/90', '/8', '1.1.1.1/-1']) {
    t.equal(parseBlock(text), undefined, text)
  }
})

t.test('the longest block gives the value, whatever the order they came in', async (t) => {
  const entries: [string, string][] = [
    ['10.1.0.0/16', 'b'],
    ['10.0.0.0/8', 'a'],
    ['10.1.2.3', 'c'],
    ['10.1.0.0/16', 'late'],
    ['2001:db8::/32', 'six'],
    ['nonsense', 'never'],
  ]
  const find = (trie: CidrTrie<string>, text: string) => trie.find(parseAddress(text)!)
  for (const order of [entries, entries.toReversed()]) {
    const trie = cidrTrie(order)
    t.equal(trie.size, 4)
    t.equal(find(trie, '10.2.0.1'), 'a')
    t.equal(find(trie, '10.1.2.3'), 'c')
    t.equal(find(trie, '10.1.2.4'), order === entries ? 'b' : 'late')
    t.equal(find(trie, '::ffff:10.1.2.3'), 'c')
    t.equal(find(trie, '11.0.0.0'), undefined)
    t.equal(find(trie, '2001:db8:1::1'), 'six')
    t.equal(find(trie, 'a01:203::'), undefined, 'the first bytes of IPv6 are not an IPv4 address')
  }
  t.equal(find(cidrTrie([['0.0.0.0/0', 'all']]), '203.0.113.9'), 'all')
})

t.test('the trie holds what node:net BlockList holds', async (t) => {
  const address = (six: boolean) =>
    fc
      .array(fc.oneof(fc.constantFrom(0, 1, 128, 255), fc.nat(255)), {
        minLength: six ? 16 : 4,
        maxLength: six ? 16 : 4,
      })
      .map((bytes) => (six ? hextets(bytes) : bytes.join('.')))
  const block = fc.boolean().chain((six) => fc.tuple(address(six), fc.nat(six ? 128 : 32)))
  const set = fc.tuple(fc.array(block, { minLength: 1, maxLength: 20 }), fc.array(fc.boolean().chain(address)))
  const law = fc.property(set, ([blocks, probes]) => {
    // A list for each family: BlockList would find IPv4 addresses in ::/0, and here the families are apart.
    const lists = { 4: new BlockList(), 6: new BlockList() }
    for (const [base, bits] of blocks) listOf(lists, base).addSubnet(base, bits, familyOf(base))
    const trie = cidrTrie(blocks.map(([base, bits]) => [`${base}/${bits}`, true] as const))
    return [...probes, ...blocks.map(([base]) => base)].every(
      (text) => (trie.find(parseAddress(text)!) ?? false) === listOf(lists, text).check(text, familyOf(text)),
    )
  })
  const details = fc.check(law, { numRuns: 2_000, seed: 2 })
  t.notOk(details.failed, JSON.stringify(details.counterexample))
  t.equal(cidrTrie([['::/0', true]]).find(parseAddress('10.0.0.1')!), undefined)
})

const familyOf = (text: string) => (isIP(text) === 6 ? 'ipv6' : 'ipv4')
const listOf = (lists: { 4: BlockList; 6: BlockList }, text: string) => lists[isIP(text) === 6 ? 6 : 4]

function hextets(bytes: readonly number[]): string {
  const groups = []
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[i]! << 8) | bytes[i + 1]!).toString(16))
  return groups.join(':')
}
