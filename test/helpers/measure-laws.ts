import fc from 'fast-check'
import type { Test } from 'tap'
import { BUCKETS, bucketOf, middleOf, quantileOf } from '../../src/math/log-buckets.ts'
import { ArmRing } from '../../src/measure/arm-ring.ts'
import { Block, type Visited } from '../../src/measure/block.ts'
import { CountRing } from '../../src/measure/count-ring.ts'
import { DecidedRing } from '../../src/measure/decided-ring.ts'
import { IdTable } from '../../src/measure/id-table.ts'
import { Labels } from '../../src/measure/labels.ts'
import { sealedAtOnce } from '../../src/measure/sealed.ts'
import { MeasureStore } from '../../src/measure/store.ts'
import { decision, facts, idAt } from './measure-world.ts'
import { T0 } from './world.ts'

const SHAPE = { dimensions: 3, coarse: [0], sums: 2, cellsMax: 64, entriesMax: 2_048 }

/** Everything in some blocks: sums and counts by the names of their labels. */
const contentOf = (blocks: readonly Visited[]): { sums: Map<string, number>; counts: Map<string, number> } => {
  const sums = new Map<string, number>()
  const counts = new Map<string, number>()
  const add = (map: Map<string, number>, key: string, n: number) => map.set(key, (map.get(key) ?? 0) + n)
  for (const block of blocks) {
    const names: string[] = []
    block.visitCells((cell, labels, sums_) => {
      names[cell] = [...(labels as Uint16Array)].join()
      for (let at = 0; at < SHAPE.sums; at++) if (sums_[at] !== 0) add(sums, `${names[cell]} ${at}`, sums_[at]!)
    })
    block.visitCounts((cell, time, bucket, count) => add(counts, `${names[cell]} ${time} ${bucket}`, count))
  }
  return { sums, counts }
}

const allOf = (store: MeasureStore, from: number, now: number): Visited[] => {
  const { live, sealed } = store.since(from, now)
  return [...sealed, ...live]
}

const total = (map: ReadonlyMap<string, number>): number => [...map.values()].reduce((sum, n) => sum + n, 0)

/** The stores of measurements: what they hold is what was put in, however it was cut up, and never more than they may. */
export const measureLaws = (t: Test): void => {
  t.test('a bucket is within one percent of every time in it', async (t) => {
    fc.assert(
      fc.property(fc.double({ min: 0.01, max: 7_000_000, noNaN: true }), (ms) => {
        const middle = middleOf(bucketOf(ms))
        return Math.abs(middle - ms) <= ms * 0.0101
      }),
    )
    t.equal(bucketOf(-1), -1)
    t.equal(bucketOf(Number.NaN), -1)
    t.equal(bucketOf(0), 0)
    t.equal(bucketOf(1e300), BUCKETS - 1)
  })

  t.test('quantiles of buckets are within one percent of those of the values themselves', async (t) => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 600_000 }), { minLength: 1, maxLength: 300 }),
        fc.constantFrom(0.5, 0.95, 0.99),
        (values, q) => {
          const counts = new Float64Array(BUCKETS)
          for (const value of values) counts[bucketOf(value)]! += 1
          const exact = values.toSorted((a, b) => a - b)[Math.floor(q * (values.length - 1))]!
          return Math.abs(quantileOf(counts, q)! - exact) <= exact * 0.0101
        },
      ),
    )
    t.equal(quantileOf(new Float64Array(BUCKETS), 0.5), undefined)
  })

  t.test('a table of ids finds what is in it and nothing else, whatever is put in and taken out', async (t) => {
    fc.assert(
      // Few hashes, so that most of them collide.
      fc.property(
        fc.array(fc.tuple(fc.boolean(), fc.nat(30), fc.integer({ min: -4, max: 4 })), { maxLength: 200 }),
        (steps) => {
          const table = new IdTable(31)
          const held = new Map<number, number>()
          for (const [isPut, place, hash] of steps) {
            if (held.has(place)) {
              table.remove(held.get(place)!, place)
              held.delete(place)
            }
            if (isPut) {
              table.put(hash, place)
              held.set(place, hash)
            }
            for (let one = 0; one <= 30; one++) {
              const known = held.get(one)
              const found = table.find(known ?? hash, (at) => at === one)
              if (found !== (known === undefined ? -1 : one)) return false
            }
          }
          return true
        },
      ),
    )
    t.pass()
  })

  t.test('the ring of decisions holds exactly the last ones, and says which it lost unheard', async (t) => {
    const ring = new DecidedRing(50)
    const wrong: number[] = []
    for (let n = 0; n < 1_000; n++) {
      ring.add(decision(idAt(T0 + n, n), { at: T0 + n }), facts({ tenant: `t${n % 7}` }), n % 2 === 0 ? n : undefined)
      if (n % 10 === 0 && !ring.join(ring.find(idAt(T0 + n, n)))) wrong.push(n)
      for (const one of [n, n - 1, n - 49]) {
        if (one < 0) continue
        const { tenant, heldMs } = ring.at(ring.find(idAt(T0 + one, one)))
        if (tenant !== `t${one % 7}` || heldMs !== (one % 2 === 0 ? one : undefined)) wrong.push(one)
      }
      if (n >= 50 && ring.find(idAt(T0 + n - 50, n - 50)) !== -1) wrong.push(n)
    }
    t.same(wrong, [])
    t.equal(ring.overwritten, 950 - 95)
    t.equal(ring.since, T0 + 950)
    t.notOk(ring.join(ring.find(idAt(T0 + 990, 990))), 'it was joined before')
  })

  t.test('the ring of arms keeps decisions of arms only, and each outcome of one once', async (t) => {
    const ring = new ArmRing(8)
    const of = (n: number, over = {}) =>
      ({ id: idAt(T0, n), at: T0, class: 'chat', arm: 'treatment', rollout: 'r', policy: 'p@2', ...over }) as const
    ring.add(of(1, { arm: null }))
    ring.add(of(2, { forced: true }))
    t.equal(ring.find(idAt(T0, 1)), undefined)
    t.equal(ring.find(idAt(T0, 2)), undefined)
    for (let n = 3; n < 20; n++) ring.add(of(n))
    t.equal(ring.find(idAt(T0, 11)), undefined, 'nine were made since')
    t.match(ring.find(idAt(T0, 12)), { arm: 'treatment', rollout: 'r', policy: 'p@2', class: 'chat' })
    t.same(
      [ring.report(idAt(T0, 12), 63), ring.report(idAt(T0, 12), 63), ring.report(idAt(T0, 12), 31)],
      [true, false, true],
    )
    for (let n = 20; n < 28; n++) ring.add(of(n))
    t.ok(ring.report(idAt(T0, 20), 63), 'what another decision reported in its place is forgotten')
  })

  t.test('counts by stretch of time are those of the window, whatever the order of time and questions', async (t) => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(300), fc.integer({ min: 1, max: 5 })), { maxLength: 60 }),
        fc.integer({ min: 1, max: 6 }),
        (steps, slots) => {
          const ring = new CountRing(slots, 10, 1)
          const all: [number, number][] = []
          let now = 1_000
          for (const [step, n] of steps) {
            now += step
            ring.add(now, 0, n)
            all.push([Math.floor(now / 10), n])
            const windowMs = (slots - 1) * 10
            const first = Math.floor((now - windowMs) / 10)
            const expected = all.reduce((sum, [slot, one]) => sum + (slot >= first ? one : 0), 0)
            const again = new CountRing(slots, 10, 1)
            again.restore(ring.entries())
            if (ring.sum(now, windowMs, 0) !== expected || again.sum(now, windowMs, 0) !== expected) return false
          }
          return true
        },
      ),
    )
    t.pass()
  })

  t.test('counting goes on where the clock was set back further than anything is kept', async (t) => {
    const ring = new CountRing(6, 10, 1)
    ring.add(1_000_000, 0, 3)
    ring.add(500_000, 0, 1)
    ring.add(500_010, 0, 1)
    t.equal(ring.sum(500_010, 50, 0), 2)
    t.equal(ring.sum(1_000_000, 50, 0), 0)
  })

  t.test(
    'what a block holds survives its sealing and its merging, however the requests were spread over time',
    async (t) => {
      const request = fc.record({
        gap: fc.constantFrom(0, 0, 100, 9_000, 61_000, 400_000, 3_700_000),
        labels: fc.tuple(
          fc.integer({ min: 2, max: 4 }),
          fc.integer({ min: 0, max: 3 }),
          fc.integer({ min: 2, max: 3 }),
        ),
        ms: fc.integer({ min: 0, max: 100_000 }),
      })
      fc.assert(
        fc.property(fc.array(request, { maxLength: 120 }), fc.integer({ min: 1, max: 500 }), (requests, slots) => {
          const labels = [100, 100, 100].map((max) => new Labels(max))
          for (const one of labels) for (const name of ['a', 'b', 'c']) one.numberOf(name)
          const store = new MeasureStore(SHAPE, labels, { cellsMax: 64, bytesMax: 1_048_576 }, T0)
          const whole = new Block(0, SHAPE)
          let now = T0
          for (const { gap, labels: key, ms } of requests) {
            now += gap
            store.roll(now)
            // Merges go on in pieces of any size.
            store.work(slots)
            for (const block of [store.open(now), whole]) {
              const cell = block.cellFor(key, 1, 1)
              block.sum(cell, 0, 1)
              block.sum(cell, 1, ms)
              block.count(cell, 0, bucketOf(ms), 1)
            }
          }
          if (now - T0 > 47 * 3_600_000) return true
          const kept = contentOf(allOf(store, T0 - 10_000_000, now))
          const direct = contentOf([sealedAtOnce(whole, SHAPE)])
          return (
            JSON.stringify([...kept.sums].sort()) === JSON.stringify([...direct.sums].sort()) &&
            JSON.stringify([...kept.counts].sort()) === JSON.stringify([...direct.counts].sort())
          )
        }),
        { numRuns: 150 },
      )
      t.pass()
    },
  )

  t.test(
    'adversarial labels make no more cells, counts and bytes than there may be, and lose no request',
    async (t) => {
      const labels = [64, 64, 64].map((max) => new Labels(max))
      const store = new MeasureStore(SHAPE, labels, { cellsMax: 64, bytesMax: 1_048_576 }, T0)
      let bytes = 0
      for (let n = 0; n < 60_000; n++) {
        const now = T0 + n * 20
        store.roll(now)
        store.work(1_000)
        const block = store.open(now)
        const key = [
          labels[0]!.numberOf(`target ${n % 40}`),
          labels[1]!.numberOf(`x${n}`),
          labels[2]!.numberOf(`y${n % 9_973}`),
        ]
        const cell = block.cellFor(key, 1, 1)
        block.sum(cell, 0, 1)
        block.count(cell, n % 7, (n * 7_919) % BUCKETS, 1)
        if (block.cells > 64 || block.entries > 2_048 + 7 * BUCKETS) t.fail('too many')
        bytes = Math.max(bytes, store.size.bytes)
      }
      const now = T0 + 60_000 * 20
      const blocks = allOf(store, T0 - 1, now)
      t.equal(total(contentOf(blocks).counts), 60_000)
      t.ok(
        [...contentOf(blocks).sums].filter(([key]) => key.endsWith(' 0')).length > 40,
        'the first label is still told apart',
      )
      t.ok(store.folded > 0)
      t.ok(bytes < 2_000_000, `${bytes} bytes at most`)
      t.ok(labels.every((one) => one.size <= 64))
    },
  )

  t.test('a day of many labels is bounded by bytes: the oldest hours go', async (t) => {
    const labels = [4_096, 64, 64].map((max) => new Labels(max))
    const store = new MeasureStore(SHAPE, labels, { cellsMax: 64, bytesMax: 20_000 }, T0)
    for (let hour = 0; hour < 30; hour++) {
      for (let n = 0; n < 400; n++) {
        const now = T0 + hour * 3_600_000 + n * 5_000
        const block = store.open(now)
        const cell = block.cellFor([labels[0]!.numberOf(`t${n % 40} of ${hour}`), 0, 0], 1, 1)
        block.sum(cell, 0, 1)
        block.count(cell, 0, (n * 31) % BUCKETS, 1)
      }
      store.work()
    }
    const now = T0 + 30 * 3_600_000
    t.ok(allOf(store, 0, now).length < 30)
    t.ok(labels[0]!.size < 30 * 40, 'labels that nothing has any more are forgotten')
    t.ok(allOf(store, 0, now)[0]!.begin > T0 + 3_600_000)
  })
}
