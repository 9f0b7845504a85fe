import t from 'tap'
import { shareOf } from '../../src/math/choice.ts'
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
