import type { Test } from 'tap'
import { shareOf } from '../../src/math/choice.ts'
import type { Facts } from '../../src/model/facts.ts'
import { siteReady } from '../../src/sidecar/site-ready.ts'
import { order, policy, site, World } from './world.ts'

const KEPT = [{ site: 'ams', pct: 20, tiers: ['premium'] }]

/** Two sites of a hundred slots each; a fifth of ams is kept for premium. */
const worldOf = (keepRoom = KEPT): World =>
  new World({
    sites: [site('ams', { pool: { capacity: 100 } }), site('fra', { pool: { capacity: 100 } })],
    policies: [policy([['ams'], ['fra']], { keepRoom })],
  })

const load = (world: World, running: number, depth = 0): World =>
  world.samples({
    ams: { 'queue.running': running, 'queue.depth': depth },
    fra: { 'queue.running': 0, 'queue.depth': 0 },
  })

/** The share of requests without a tier, of two hundred, that go to ams. */
const shareAt = (world: World): number => {
  let inside = 0
  for (let count = 0; count < 200; count++)
    if (world.where({ sessionKey: `session ${count}` }) === 'ams/default') inside++
  return inside / 200
}

/** Room that is kept for some tiers, judged through decide. */
export function keptRoomCases(t: Test): void {
  t.test('room is kept for its tiers: others go on before the site is full', async (t) => {
    const world = load(worldOf(), 75, 5)
    t.equal(world.where({ tier: 'premium' }), 'ams/default')
    t.match(world.decide({ tier: 'standard' }), {
      target: 'fra/default',
      reason: 'fallback',
      because: [
        { target: 'ams/default', constraint: 'keep.room', measured: 80, op: '<', unit: /20 % is kept for premium/ },
      ],
    })
    t.equal(world.where(), 'fra/default', 'no tier is none of them')
    load(world, 100, 40)
    t.equal(world.where({ tier: 'premium' }), 'ams/default', 'a full site is the thresholds’ business')
    load(world, 70)
    t.equal(shareAt(world), 1)
  })

  t.test('others leave one by one over ten percent, the same ones first each time', async (t) => {
    const world = worldOf()
    const shares = [69, 72, 75, 78, 80].map((running) => shareAt(load(world, running)))
    t.equal(shares[0], 1)
    t.equal(shares.at(-1), 0)
    for (const [at, expected] of [0.8, 0.5, 0.2].entries())
      t.ok(Math.abs(shares[at + 1]! - expected) < 0.12, `${shares}`)
    const inside = (running: number): string[] => {
      load(world, running)
      return Array.from({ length: 200 }, (_, one) => `session ${one}`).filter(
        (sessionKey) => world.where({ sessionKey }) === 'ams/default',
      )
    }
    const few = inside(78)
    const many = inside(73)
    t.ok(few.length > 0 && few.every((key) => many.includes(key)), 'who comes in at 78 % comes in at 73 %')
  })

  t.test('an entry speaks of a site or of one of its pools, and of several the most counts', async (t) => {
    const world = load(worldOf([{ site: 'ams/default', pct: 20, tiers: ['premium'] }]), 85)
    t.equal(world.where(), 'fra/default')
    const both = load(worldOf([...KEPT, { site: 'ams', pct: 50, tiers: ['premium', 'gold'] }]), 60)
    t.same(
      ['premium', 'gold', 'standard'].map((tier) => both.where({ tier })),
      ['ams/default', 'ams/default', 'fra/default'],
    )
    t.equal(load(both, 85).where({ tier: 'gold' }), 'fra/default')
  })

  t.test('a site that does not say how full it is takes none but those that room is kept for', async (t) => {
    const world = worldOf()
    world.samples({ ams: { 'queue.running': 5 } })
    t.equal(world.where({ tier: 'premium' }), 'ams/default')
    t.match(world.decide(), { target: 'fra/default', stale: ['ams/default queue.depth'] })
    load(world, 5)
    t.equal(world.where(), 'ams/default')
    world.now += 5_001
    t.equal(world.where(), 'fra/default')
  })

  t.test('a site with nothing left but kept room is ready all the same: it is, for those', async (t) => {
    const world = load(worldOf(), 95)
    t.match(siteReady(world.snapshot, world.tally, 'ams', 'chat', world.now), { ready: true })
  })

  t.test('an override lets everybody in for a while', async (t) => {
    const world = load(worldOf(), 90)
    world.overrides({ overrides: [order('admit', { site: 'ams' }, { constraint: 'keep.room' })] })
    t.match(world.decide(), { target: 'ams/default', override: 'admit-1' })
  })

  t.test('under steady load the site settles below the kept room and nothing swings, whatever the lag', async (t) => {
    // Requests hold a slot for 1 to 19 seconds; the load is measured each second and counts for the next. Twelve others
    // and one of premium arrive each second: without a limit others alone would fill the site.
    const world = worldOf()
    const ends: number[] = []
    const seen: number[] = []
    const admitted: number[] = []
    let running = 0
    let refused = 0
    let id = 0
    for (let second = 0; second < 300; second++) {
      world.now += 1_000
      running -= ends[second] ?? 0
      load(world, seen.at(-1) ?? 0)
      let others = 0
      const arrive = (over: Partial<Facts>): boolean => {
        const inside = world.where({ ...over, requestId: `request ${id++}` }) === 'ams/default'
        if (!inside) return false
        running++
        const end = second + 1 + Math.floor(shareOf(String(id), 'service') * 19)
        ends[end] = (ends[end] ?? 0) + 1
        return true
      }
      for (let count = 0; count < 12; count++) if (arrive({})) others++
      if (!arrive({ tier: 'premium' })) refused++
      seen.push(running)
      admitted.push(others)
    }
    const settled = seen.slice(60)
    t.equal(refused, 0, 'premium was never turned away')
    t.ok(
      Math.max(...settled) <= 80 + 13,
      `past the kept room by no more than arrives in a second: ${Math.max(...settled)}`,
    )
    t.ok(Math.min(...settled) > 60, `and none was wasted: at least ${Math.min(...settled)}`)
    const none = admitted.slice(60).filter((count) => count === 0 || count === 12).length
    t.ok(none < 72, `others are seldom all in or all out: ${none} seconds of 240`)
  })
}
