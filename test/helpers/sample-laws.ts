import * as fc from 'fast-check'
import type { Test } from 'tap'
import { FeedWarnings } from '../../src/feeds/feed-warnings.ts'
import { RecentMap } from '../../src/feeds/recent-map.ts'
import { SampleCheck } from '../../src/feeds/samples.ts'
import type { Sample } from '../../src/model/sample.ts'
import { SIGNALS } from '../../src/model/signal.ts'
import type { SourceStatus } from '../../src/model/source.ts'
import { START } from './feed-time.ts'

const SUPPLY: Sample = { signal: 'cooling.supply_c', site: 'ams', loop: 'cdu-1', value: 30, at: START, source: 'bms' }
const STEP = SIGNALS['cooling.supply_c'].stepPerS!
const FROZEN_MS = SIGNALS['cooling.supply_c'].frozenAfterMs!

/** One check, fed value by value. */
const fed = (over: Partial<Sample> = {}) => {
  const check = new SampleCheck()
  let at = START
  /** What is taken of values that come so many milliseconds apart. */
  const take = (values: readonly number[], everyMs = 1_000, more: Partial<Sample> = {}) => {
    const taken: number[] = []
    for (const value of values) {
      at += everyMs
      taken.push(...check.pass([{ ...SUPPLY, ...over, ...more, value, at }], at).map((sample) => sample.value))
    }
    return taken
  }
  const whys = () => Object.fromEntries(check.refusals().map(({ why, count }) => [why, count]))
  return { check, take, whys, now: () => at }
}

const equal = (n: number, value: number) => Array.from({ length: n }, () => value)

/** What the check of samples is held to where sensors hang and lie. */
export const sampleLaws = (t: Test): void => {
  t.test('a sensor that hangs is refused until it moves, by place and source', async (t) => {
    const { check, take, whys, now } = fed()
    const seconds = FROZEN_MS / 1_000
    t.equal(take(equal(seconds, 30)).length, seconds, 'as long as it may')
    t.same(take(equal(3, 30)), [], 'and no longer')
    t.same(whys(), { frozen: 3 })
    t.same(take([30], 1_000, { loop: 'cdu-2' }).concat(take([30], 1_000, { source: 'other' })), [30, 30])
    t.same(take([30.1, 30.1]), [30.1, 30.1])
    t.match(check.refusals(), [
      { source: 'bms', why: 'frozen', count: 3, last: { sample: { loop: 'cdu-1', value: 30 } } },
    ])
    t.ok(now() > START)
  })

  t.test(
    'the same value is no hang where nothing came in between, or no noise is due, or nothing is worse',
    async (t) => {
      const away = fed()
      t.equal(away.take(equal(5, 30), FROZEN_MS + 1).length, 5, 'silence is not sameness')
      const again = fed()
      const once = { ...SUPPLY, at: START + 1 }
      for (let i = 0; i < 500; i++) t.equal(again.check.pass([once], START + i * 1_000).length, 1)
      t.equal(fed({ signal: 'cooling.flow_lpm' }).take(equal(500, 0)).length, 500, 'a pump that stands still')
      t.ok(fed({ signal: 'cooling.heat_kw' }).take(equal(500, 0)).length < 500, 'no heat at all is too good to be true')
      t.equal(fed({ signal: 'leak.detected' }).take(equal(500, 0)).length, 500)
    },
  )

  t.test('a jump that can not be is refused, and three samples that agree are believed', async (t) => {
    const one = fed()
    t.same(one.take([30, 95, 30.5, -20, 31]), [30, 30.5, 31])
    t.same(one.whys(), { absurd: 2 })
    const moved = fed()
    t.same(moved.take([30, 95, 96, 95.5, 96]), [30, 95.5, 96])
    const wild = fed()
    t.same(wild.take([30, 95, 70, 95, 70, 95, 70]), [30], 'they contradict one another')
    const slow = fed()
    t.same(slow.take([30, 95], 60_000), [30, 95], 'in a minute it may have moved so far')
    const twice = fed()
    t.same(twice.take([30, 95]), [30])
    const lie = { ...SUPPLY, value: 95, at: START + 2_000 }
    for (let i = 0; i < 5; i++) t.same(twice.check.pass([lie], START + 3_000 + i), [], 'one sample read again is one')
  })

  t.test(
    'a value that moves within its step is never refused, and one that leaves it for one sample always',
    async () => {
      const steps = fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 1, maxLength: 60 })
      fc.assert(
        fc.property(steps, fc.nat(59), fc.boolean(), (all, at, up) => {
          let value = 40
          const walk = all.map((step) => {
            value = Math.min(70, Math.max(10, value + step * STEP))
            return value
          })
          if (fed().take(walk).length !== walk.length) throw new Error('a walk within its step was refused')
          const place = at % walk.length
          const lie = (walk[place] ?? 0) + (up ? 1 : -1) * (2 * STEP + 0.01)
          const lied = [40, ...walk.slice(0, place + 1), lie, ...walk.slice(place)]
          return !fed().take(lied).includes(lie)
        }),
      )
    },
  )

  t.test('both ends of a link and every loop are places of their own', async (t) => {
    const check = new SampleCheck()
    const rtt = { signal: 'client.rtt_p95_ms', site: 'ams', value: 20, source: 'rum' }
    const samples = [
      { ...rtt, from: 'asn:1136', at: START },
      { ...rtt, from: 'asn:3320', at: START - 60_000 },
      { ...SUPPLY, at: START },
      { ...SUPPLY, loop: 'cdu-2', value: 90, at: START - 60_000 },
    ]
    t.same(check.pass(samples, START), samples)
    t.same(check.refusals(), [])
  })

  t.test('what is remembered of places is bounded, and what is used stays', async (t) => {
    const map = new RecentMap<number>(100)
    for (let i = 0; i < 10_000; i++) {
      map.set(`place ${i}`, i)
      if (map.get('place 0') !== 0) t.fail('what is used was forgotten')
      if (map.size > 101) t.fail(`${map.size} entries`)
    }
    t.equal(map.get('place 5'), undefined)
    t.equal(map.get('place 9990'), 9_990)
  })

  t.test('what was refused, came too old or does not come is told with whom to ask', async (t) => {
    const status: SourceStatus = {
      name: 'bms',
      kind: 'file',
      owner: 'facility@example.com',
      where: '/run/bms.jsonl',
      version: '1',
      nonce: '1',
      intervalMs: 5_000,
      lastAcceptedAt: START,
      lastRefusedAt: null,
      refusal: [],
      failuresInARow: 0,
      delivers: [],
      covers: [],
    }
    const { check, take, now } = fed()
    take([30, 95, 99])
    const told = (over: Partial<SourceStatus> = {}, at = now(), warnings = new FeedWarnings()) =>
      (warnings.added({ ...status, lastAcceptedAt: at, ...over }, check.refusals(), at).warnings ?? []).map(
        ({ code, message, remedy }) => `${code}: ${message}; ${remedy}`,
      )
    const refused = 'feed/refused-sample: cooling.supply_c of ams loop cdu-1: 99 was refused as absurd, 2 times so far'
    t.same(told(), [`${refused}; ask facility@example.com, its owner`])
    t.same(told({}, now() + 3_600_001), [], 'an hour later it is history')
    const warnings = new FeedWarnings()
    warnings.note(
      'bms',
      [{ ...SUPPLY, at: now() - 312_000 }, SUPPLY, { ...SUPPLY, at: 0, validUntil: now() + 1 }],
      now(),
    )
    t.match(told({}, now(), warnings), [
      /^feed\/stale: cooling.supply_c of ams loop cdu-1 was 312 s old when it came; ask fac/,
      /refused/,
    ])
    warnings.note('bms', [{ ...SUPPLY, at: now() }], now())
    t.equal(told({}, now(), warnings).length, 1)
    t.match(told({ lastAcceptedAt: now() - 16_000 })[0], /nothing was accepted for 16 s; ask facility@example\.com/)
    t.match(told({ lastAcceptedAt: null, failuresInARow: 3 })[0], /nothing was ever accepted, in 3 attempts; ask/)
    const { owner: _, ...unowned } = status
    t.match(warnings.added({ ...unowned, lastAcceptedAt: 0 }, [], now()).warnings, [
      { remedy: /give the feed an owner/ },
    ])
  })
}
