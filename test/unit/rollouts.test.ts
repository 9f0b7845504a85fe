import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { countedIn, evidence, harmOf, isSkewed, NO_COUNTS } from '../../src/engine/compare.ts'
import { begun } from '../../src/engine/rollout-begin.ts'
import { finalReport } from '../../src/engine/rollout-report.ts'
import { logEvidence, noEvidence, opened, reopened, weighed, weighedSplit } from '../../src/math/e-process.ts'
import { meanBounds } from '../../src/math/mean-bounds.ts'
import { quantileBounds, Ranks } from '../../src/math/quantile-bounds.ts'
import { lnGamma, shareBounds } from '../../src/math/share-bounds.ts'
import type { Event } from '../../src/model/event.ts'
import { alphaEach } from '../../src/model/rollout.ts'
import { armsCases, outcomeOf } from '../helpers/rollout-arms.ts'
import { documentCases } from '../helpers/rollout-documents.ts'
import { generator, SCENARIOS, simulatedRollout, simulateRun } from '../helpers/rollout-runs.ts'
import { flag, RolloutWorld, reading, rollout, rolloutsOf, units } from '../helpers/rollout-world.ts'

const TREATMENT = { policy: 'p@2', meaning: '' }
const GOOD = [reading('response.p95_ms', -28, 7), reading('errors.ratio', 0, 0.005)]
const told = (world: RolloutWorld) =>
  world.events.filter((event): event is Event & { kind: 'rollout-changed' } => event.kind === 'rollout-changed')

/** Measures both arms alike, as often as it takes to show that errors are not twice as frequent. */
const healthy = (world: RolloutWorld, criteria = GOOD): RolloutWorld => {
  for (let at = 0; at < 20; at++) world.measure(units(1_000, 10), units(1_000, 10), criteria)
  return world
}

t.test('the tests and bounds that may be looked at at any time', async (t) => {
  t.test('the e-process is a martingale: over where an event falls, its mean does not change', async () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 99 }), fc.double({ min: 1, max: 4, noNaN: true }), (percent, ratio) => {
        const block = (events: { control: number; treatment: number }) => ({
          units: { control: 100 - percent, treatment: percent },
          events,
        })
        const share = (percent / 100) * ratio
        const within = share / (1 - percent / 100 + share)
        const e = (events: { control: number; treatment: number }) =>
          Math.exp(logEvidence(weighed(noEvidence(), block(events), ratio, 1)))
        const mean = within * e({ control: 0, treatment: 1 }) + (1 - within) * e({ control: 1, treatment: 0 })
        return Math.abs(mean - 1) < 1e-9
      }),
    )
  })
  t.test('a block with units of one arm alone is no evidence', async (t) => {
    const events = { control: 0, treatment: 5 }
    t.same(weighed(noEvidence(), { units: { control: 0, treatment: 9 }, events }, 1, 1), noEvidence())
    t.equal(logEvidence(weighed(noEvidence(), { units: { control: 9, treatment: 1 }, events }, 1, 1)) > 0, true)
  })
  t.test('a test that begins again starts with no more than 1 in all, however often it does', async () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 100_000 }), { maxLength: 50 }), (steps) => {
        let logs = opened()
        let at = 0
        for (const step of steps) {
          logs = reopened(logs, at, at + step)
          at += step
        }
        return logEvidence(logs) <= 1e-9 && logEvidence(logs) >= Math.log(0.75)
      }),
    )
  })
  t.test('a split as it was meant is no evidence against it, and a skewed one soon is, on either side', async (t) => {
    const e = (treatment: number) =>
      logEvidence(weighedSplit(noEvidence(16), { control: 10_000 - treatment, treatment }, 0.1))
    t.ok(e(1_000) < 0)
    t.ok(e(1_400) > Math.log(1_000))
    t.ok(e(650) > Math.log(1_000))
  })
  t.test('lnGamma gives factorials', async (t) => {
    let factorial = 1
    for (let n = 1; n < 20; n++) {
      t.ok(Math.abs(lnGamma(n) - Math.log(factorial)) < 1e-9)
      factorial *= n
    }
  })
  t.test(
    'bounds of a share hold what was seen, narrow with the count, and leave out what could not give it',
    async () => {
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 5_000 }), fc.double({ min: 0, max: 1, noNaN: true }), (n, part) => {
          const s = Math.round(n * part)
          const [low, high] = shareBounds(s, n, 0.05)
          const [nearLow, nearHigh] = shareBounds(s * 10, n * 10, 0.05)
          return low <= s / n && s / n <= high && nearHigh - nearLow <= high - low && low >= 0 && high <= 1
        }),
      )
    },
  )
  t.test('bounds hold at every look at once in all but 5 % of runs: shares, quantiles and means', async (t) => {
    const runs = 400
    const missed = { share: 0, quantile: 0, mean: 0 }
    for (let run = 0; run < runs; run++) {
      const draw = generator(run * 7 + 1)
      const ranks = new Ranks()
      const sums = { n: 0, sum: 0, squares: 0, isShare: false }
      const out = { share: false, quantile: false, mean: false }
      let held = 0
      for (let n = 1; n <= 2_000; n++) {
        if (draw() < 0.02) held++
        // Uniform from 100 to 200: the 95th percentile is 195, the mean 150.
        const value = 100 + 100 * draw()
        ranks.add(value)
        sums.n++
        sums.sum += value
        sums.squares += value * value
        if (n % 25 !== 0) continue
        const [low, high] = shareBounds(held, n, 0.05)
        out.share ||= low > 0.02 || high < 0.02
        const [from, to] = quantileBounds(ranks, 0.95, 0.05)
        out.quantile ||= (from !== null && from > 195) || (to !== null && to < 195)
        const mean = meanBounds(sums, 0.05)
        out.mean ||= mean !== null && (mean[0] > 150 || mean[1] < 150)
      }
      for (const name of ['share', 'quantile', 'mean'] as const) if (out[name]) missed[name]++
    }
    for (const [name, count] of Object.entries(missed)) t.ok(count <= runs * 0.05 * 1.2, `${name}: ${count} of ${runs}`)
  })
  t.test('ranks are kept over a restart, and what is no count is left out', async (t) => {
    const ranks = new Ranks()
    for (const value of [0, 5, 120, 120.5, 1e9]) ranks.add(value)
    const again = Ranks.of([...ranks.save(), -1, 3, 5_000, 1])
    t.same(again.save(), ranks.save())
    t.equal(again.count, 5)
    t.same(new Ranks().at(1), null)
  })
})

t.test('the judge over seeded runs', async (t) => {
  const doc = simulatedRollout(0.1)
  t.test('arms that are alike are rolled back no more often than alpha', async (t) => {
    const runs = 500
    let judge = 0
    let zTest = 0
    for (let seed = 1; seed <= runs; seed++) {
      const result = simulateRun(doc, { ...SCENARIOS.noEffect(1_500), every: 50 }, seed, false)
      if (result.judge !== undefined) judge++
      if (result.zTest !== undefined) zTest++
    }
    t.ok(judge <= runs * doc.alpha * 1.2, `${judge} of ${runs}`)
    t.ok(zTest > judge * 3, `a z-test that is looked at: ${zTest}`)
  })
  t.test('five percent of errors are seen within 100 canary requests at the median', async (t) => {
    const canary = Array.from(
      { length: 201 },
      (_, at) => simulateRun(doc, SCENARIOS.errors, 5_000 + at, false).judge?.canary ?? 1e9,
    )
    canary.sort((a, b) => a - b)
    t.ok(canary[100]! <= 100, `median ${canary[100]}`)
  })
  t.test('answers 1.3 times as slow are seen in every run within 12,000 requests at a share of 10 %', async (t) => {
    const runs = 150
    const seen = Array.from({ length: runs }, (_, at) => simulateRun(doc, SCENARIOS.slower, 9_000 + at, true).judge)
    t.equal(seen.filter((one) => one !== undefined).length, runs)
  })
})

t.test('what arms take in', armsCases)

t.test('rollouts as documents', documentCases)

t.test('what was counted', async (t) => {
  const doc = rollout()
  const none = { criteria: [], artifacts: { control: [], treatment: [] } }
  t.test('weighs the same whether both arms are told at once or one after the other', async (t) => {
    fc.assert(
      fc.property(fc.nat({ max: 20 }), fc.nat({ max: 5 }), (inControl, inTreatment) => {
        const state = begun(doc, TREATMENT, 0)
        const [control, treatment] = [units(90, inControl), units(10, inTreatment)]
        const take = (before: typeof state, counts: { control: typeof control; treatment: typeof control }) =>
          countedIn(doc, before, { rollout: 'r', counts, assigned: { control: 0, treatment: 0 }, ...none })
        const once = take(state, { control, treatment })
        const twice = take(take(state, { control, treatment: units(0) }), { control: units(0), treatment })
        t.same(twice.tests, once.tests)
        t.same(twice.totals, once.totals)
      }),
      { numRuns: 30 },
    )
  })
  t.test('waits for units of the other arm, then is weighed with its share', async (t) => {
    const state = begun(doc, TREATMENT, 0)
    const first = countedIn(doc, state, {
      rollout: 'r',
      counts: { control: units(0), treatment: units(1, 1) },
      ...none,
    })
    t.equal(evidence(first, 'harm error'), Math.log(0.75))
    t.equal(first.pending?.treatment.units, 1)
    const second = countedIn(doc, first, { rollout: 'r', counts: { control: units(9), treatment: units(0) }, ...none })
    t.ok(evidence(second, 'harm error') > 0.5)
    t.same(second.pending, NO_COUNTS)
  })
  t.test('refusals of the treatment are harm like errors', async (t) => {
    const guarded = rollout({ guardrails: [{ event: 'refused', ratioMax: 1.5 }] })
    const counts = { control: units(900), treatment: { units: 100, bad: { refused: 10 } } }
    const after = countedIn(guarded, begun(guarded, TREATMENT, 0), { rollout: 'r', counts, ...none })
    t.equal(harmOf(guarded, after)?.event, 'refused')
  })
  t.test('sessions are assigned once, however many requests they send', async (t) => {
    const state = begun(doc, TREATMENT, 0)
    const counts = { control: units(100), treatment: units(9_000) }
    const assigned = { control: 100, treatment: 1 }
    t.equal(isSkewed(countedIn(doc, state, { rollout: 'r', counts, assigned, ...none })), false)
    t.equal(isSkewed(countedIn(doc, state, { rollout: 'r', counts, ...none })), true)
  })
  t.test('alpha is shared by the guardrails and the criteria that can be broken', async (t) => {
    t.equal(alphaEach(doc), 0.025)
  })
})

t.test('a rollout', async (t) => {
  t.test('begins at its first stage once document and flag are there, and not before', async (t) => {
    t.equal(new RolloutWorld(rollout(), {}).state, undefined)
    const world = new RolloutWorld()
    t.match(world.state, { status: 'running', stage: 0, shareBp: 100, policy: 'p@2' })
    t.match(told(world), [{ from: 'new', to: 'running', stage: 'canary', by: 'judge' }])
  })
  t.test('goes on by evidence alone: stage by stage, and is finished with a sentence', async (t) => {
    const world = new RolloutWorld()
    healthy(world).pass(30_000)
    t.equal(world.state.stage, 0, 'not before it was looked at for long enough')
    world.pass(31_000)
    t.equal(world.state.stage, 1)
    t.same(world.state.criteria, [], 'compared anew under the new share')
    healthy(world).pass(61_000)
    t.match(world.state, { stage: 2, shareBp: 10_000 })
    world.measure(units(0), units(500)).pass(61_000)
    t.match(world.state, { status: 'finished', shareBp: 10_000 })
    t.match(
      world.state.says,
      /^Amsterdam-first cut response\.p95_ms by 28 ms \[21, 35\] for \d+ % of chat requests; error rate unchanged/,
    )
    t.equal(world.snapshot.programs.classes.get('chat')?.policies[0]?.ref, 'p@2')
    t.equal(told(world).at(-1)?.to, 'finished')
  })
  t.test('without requests is never promoted', async (t) => {
    const world = new RolloutWorld().pass(3_600_000)
    t.match(world.state, { status: 'held', stage: 0, needed: 100 })
    t.match(world.state.says, /0 requests in the treatment, 100 more are needed/)
  })
  t.test('with an arm without requests is held, and says which', async (t) => {
    const world = new RolloutWorld().pass(61_000).measure(units(0), units(5_000)).pass(1_000)
    t.match(world.state, { status: 'held', stage: 0 })
    t.match(world.state.says, /in the control/)
  })
  t.test('says how many more requests are needed, and fewer the more were seen', async (t) => {
    const world = new RolloutWorld().pass(61_000).measure(units(300, 1), units(300, 1), GOOD).pass(1_000)
    const first = world.state.needed!
    t.ok(first > 0, world.state.says)
    world.measure(units(100, 0), units(100, 0), GOOD).pass(1_000)
    t.ok(world.state.needed! < first, `${world.state.needed} after ${first}`)
    t.equal(world.state.stage, 0)
  })
  t.test('early stages ask that nothing is worse, the one before the last that it is better', async (t) => {
    const same = [reading('response.p95_ms', 0, 60), reading('errors.ratio', 0, 0.005)]
    const world = healthy(new RolloutWorld(), same).pass(61_000)
    t.equal(world.state.stage, 1)
    healthy(world, same).pass(120_000)
    t.match(world.state, { stage: 1, status: 'held' })
    t.match(world.state.says, /not shown yet: response\.p95_ms better by 20/)
  })
  t.test('rolls back in the very change that proves harm, and tells its numbers', async (t) => {
    const world = new RolloutWorld().measure(units(900, 1), units(100, 12))
    t.match(world.state, { status: 'rolled-back', shareBp: 0 })
    const event = told(world).at(-1)!
    t.match(event, { from: 'running', to: 'rolled-back', by: 'judge' })
    t.match(event.numbers, { 'units treatment': 100, 'error treatment': 12, 'error control': 1 })
    t.ok(event.numbers['e harm error']! > 40)
    healthy(world).pass(600_000)
    t.equal(world.state.status, 'rolled-back', 'an end is an end')
  })
  t.test('that was well for a million requests and then is not is rolled back after a few more', async (t) => {
    const world = new RolloutWorld(rollout({ success: [{ metric: 'response.p95_ms', improveBy: 20 }] }))
    for (let at = 0; at < 1_000; at++) world.measure(units(900, 9), units(100, 1))
    t.equal(world.state.status, 'running')
    let canary = 0
    for (; world.state.status === 'running' && canary < 1_000; canary += 10) world.measure(units(90, 1), units(10, 3))
    t.ok(canary <= 200, `after ${canary}`)
    t.equal(world.state.status, 'rolled-back')
  })
  t.test('rolls back where a criterion is proven to be broken', async (t) => {
    const world = new RolloutWorld().measure(units(100), units(100), [reading('errors.ratio', 0.05, 0.01)])
    t.equal(world.state.status, 'rolled-back')
    t.match(world.state.says, /errors\.ratio is worse by 0\.04 at least/)
  })
  t.test('that can not reach what it promises ends without effect', async (t) => {
    const world = healthy(new RolloutWorld(), [reading('response.p95_ms', -5, 3), GOOD[1]!]).pass(61_000)
    t.equal(world.state.status, 'no-effect')
  })
  t.test('that has shown nothing by its end ends without effect', async (t) => {
    const world = new RolloutWorld(rollout({ endAfterMs: 600_000 })).pass(590_000)
    t.equal(world.state.status, 'held')
    t.equal(world.pass(20_000).state.status, 'no-effect')
  })
  t.test('begins anew with another document, and not for whom to call', async (t) => {
    const world = healthy(new RolloutWorld()).pass(61_000)
    const set = world.snapshot.data.sets.test!
    world.documents({ ...set, rollouts: [rollout({ escalation: ['others@example.com'] })] })
    t.equal(world.state.stage, 1)
    world.documents({ ...set, rollouts: [rollout({ unitsMin: 101 })] })
    t.match(world.state, { stage: 0, totals: NO_COUNTS })
  })
  t.test('whose document is corrected to another class gives its treatment to nobody', async (t) => {
    const { policy: _, ...overlay } = rollout()
    const treatment = { preferred_region: 'ams' }
    const own = flag({ variants: { control: {}, treatment }, targeting: { if: [true, 'treatment', null] } })
    const world = new RolloutWorld(overlay, own)
    const set = world.snapshot.data.sets.test!
    const treated = () => {
      const decisions = Array.from({ length: 200 }, () => world.decide())
      return decisions.filter(({ layers }) => layers[0]?.variant === 'treatment').length
    }
    t.ok(treated() < 20)
    world.documents({ ...set, rollouts: [{ ...overlay, class: 'training' }] })
    t.equal(treated(), 0)
  })
  t.test('that another document stands for shows nobody anything until that can begin', async (t) => {
    const world = healthy(new RolloutWorld()).pass(61_000)
    const set = world.snapshot.data.sets.test!
    world.flags(flag({ variants: { control: {}, treatment: { policy: 'p@3' } } }))
    world.documents({ ...set, rollouts: [rollout({ policy: 'p@3' })] })
    const arms = () => new Set(Array.from({ length: 300 }, () => world.decide().arm))
    t.same([...arms()], [null], 'no judge looks at the old one any more')
    t.match(world.pass(600_000).state, { stage: 1 })
    world.documents(set).flags(flag())
    t.match(world.state, { stage: 1 }, 'put back, it goes on')
    t.ok(arms().has('treatment'))
  })
  t.test(
    'begins anew where its flag gives another treatment, and stands still where that is not what it says',
    async (t) => {
      const overlay = rollout()
      const { policy: _, ...rest } = overlay
      const world = healthy(new RolloutWorld(rest)).pass(61_000)
      t.equal(world.state.stage, 1)
      world.flags(flag({ variants: { control: {}, treatment: { preferred_region: 'ams' } } }))
      t.match(world.state, { stage: 0, policy: null, totals: NO_COUNTS })
      const said = healthy(new RolloutWorld())
      said.flags(flag({ variants: { control: {}, treatment: { policy: 'p@1' } } })).pass(61_000)
      t.match(said.state, { stage: 0, status: 'held', says: /names p@1, and the rollout p@2/ })
    },
  )
  t.test('whose document has gone for a minute is aborted, and one that comes back goes on', async (t) => {
    const world = healthy(new RolloutWorld()).pass(61_000)
    const set = world.snapshot.data.sets.test!
    world.documents({ ...set, rollouts: [] }).pass(30_000)
    world.documents(set).pass(120_000)
    t.match(world.state, { stage: 1, status: 'held' })
    world.documents({ ...set, rollouts: [] }).pass(62_000)
    t.match(world.state, { status: 'aborted', shareBp: 0 })
  })
  t.test('stands still while routing is off, and rolls back even then', async (t) => {
    const world = healthy(new RolloutWorld())
    world
      .overrides({ routing: { enabled: false, reason: 'drill', author: 'ops@example.com', at: world.now } })
      .pass(120_000)
    t.match(world.state, { stage: 0, status: 'held', says: /experiments stand still/ })
    world.measure(units(900, 1), units(100, 30))
    t.equal(world.state.status, 'rolled-back')
  })
  t.test('with a skewed split is held: nothing that is compared can be trusted', async (t) => {
    const world = healthy(new RolloutWorld()).measure(units(0), units(0), GOOD, {
      assigned: { control: 1_000, treatment: 500 },
    })
    t.match(world.pass(61_000).state, { status: 'held', stage: 0, says: /sample ratio/ })
  })
  t.test('whose arms are served by different artifacts is held, unless that is declared', async (t) => {
    const artifacts = { control: ['llama@1'], treatment: ['llama@2'] }
    for (const [differingArtifacts, stage] of [
      [false, 0],
      [true, 1],
    ] as const) {
      const world = healthy(new RolloutWorld(rollout({ differingArtifacts }))).measure(units(1), units(1), GOOD, {
        artifacts,
      })
      t.equal(world.pass(61_000).state.stage, stage)
    }
  })
  t.test('of jobs asks for jobs, and one by hand may go on without', async (t) => {
    const jobs = rollout({
      unit: 'job',
      unitsMin: 5,
      guardrails: [{ event: 'job-failed', ratioMax: 3, differenceMax: 0.9 }],
      success: [{ metric: 'outcome.job-success', worseByAtMost: 1 }],
    })
    const world = new RolloutWorld(jobs).pass(61_000)
    t.match(world.state.says, /0 jobs in the treatment, 5 more/)
    t.equal(world.order('promote').state.stage, 1)
    const met = [reading('outcome.job-success', 0, 0.5)]
    world.measure(units(20), units(20), met).pass(61_000)
    t.equal(world.state.stage, 2)
  })
})

t.test('what sites and people say', async (t) => {
  t.test('pressure halves the share, which comes back five minutes after it has gone', async (t) => {
    const world = new RolloutWorld(rollout({ narrowWhen: { site: 'ams', signal: 'queue.depth', max: 40 } }))
    const press = (depth: number) => world.samples({ ams: { 'queue.depth': depth } })
    press(90).pass(1_000)
    t.match(world.state, { shareBp: 50, status: 'held', says: /ams\/default queue\.depth 90, wanted <= 40/ })
    world.pass(61_000, () => press(90))
    t.equal(world.state.shareBp, 25)
    world.pass(600_000, () => press(90))
    t.equal(world.state.shareBp, 6, 'a sixteenth at least')
    world.pass(290_000, () => press(3))
    t.equal(world.state.shareBp, 6)
    world.pass(11_000, () => press(3))
    t.match(world.state, { shareBp: 100, stage: 0 })
  })
  t.test('a limit on a site holds or rolls back as it says, and silence holds', async (t) => {
    const limited = (action: 'hold' | 'rollback') =>
      healthy(new RolloutWorld(rollout({ siteLimits: [{ signal: 'queue.depth', max: 40, action }] })))
    t.match(limited('hold').pass(61_000).state, { stage: 0, says: /not measured/ })
    const world = limited('rollback')
    world.samples({ ams: { 'queue.depth': 4 }, fra: { 'queue.depth': 90 } }).pass(1_000)
    t.match(world.state, { status: 'rolled-back', says: /fra\/default queue\.depth 90/ })
  })
  t.test('a freeze keeps stages from beginning, and no rollback from happening', async (t) => {
    const world = healthy(new RolloutWorld())
    const freeze = {
      id: 'f',
      kind: 'freeze' as const,
      scope: { class: 'chat' },
      reason: 'launch day',
      author: 'ops@example.com',
      created: world.now,
      expires: world.now + 300_000,
    }
    world.overrides({ overrides: [freeze] }).pass(120_000)
    t.match(world.state, { stage: 0, status: 'held', says: 'frozen by ops@example.com: launch day' })
    t.equal(world.order('promote').state.stage, 0, 'not by hand either')
    t.equal(world.pass(200_000).state.stage, 1, 'its end ends it')
    world.overrides({ overrides: [{ ...freeze, expires: world.now + 300_000 }] })
    world.measure(units(900), units(100, 60))
    t.equal(world.state.status, 'rolled-back')
  })
  t.test('a freeze of another class or of a site that it does not go to is none of its business', async (t) => {
    for (const scope of [{ class: 'training' }, { site: 'lon' }]) {
      const world = healthy(new RolloutWorld())
      const order = {
        id: 'f',
        kind: 'freeze' as const,
        scope,
        reason: 'r',
        author: 'a',
        created: world.now,
        expires: world.now + 300_000,
      }
      t.equal(world.overrides({ overrides: [order] }).pass(61_000).state.stage, 1)
    }
  })
  t.test('a freeze window of the document does the same', async (t) => {
    const { now } = new RolloutWorld()
    const world = healthy(
      new RolloutWorld(rollout({ freezeWindows: [{ from: now, to: now + 120_000, reason: 'quarter end' }] })),
    )
    t.match(world.pass(100_000).state, { stage: 0, says: /quarter end/ })
    t.equal(world.pass(21_000).state.stage, 1)
  })
  t.test('who holds it is not overruled by any promotion, until it is resumed', async (t) => {
    const world = healthy(new RolloutWorld().order('hold')).pass(600_000)
    t.match(world.state, { stage: 0, status: 'held', says: 'held by ops@example.com: because' })
    t.equal(world.order('resume').pass(1_000).state.stage, 1)
    t.match(
      told(world).map(({ by }) => by),
      ['judge', 'ops@example.com', 'ops@example.com', 'judge'],
    )
  })
  t.test('a rollback never goes past the stage that a person has decided on', async (t) => {
    const world = new RolloutWorld().order('promote')
    t.match(world.state, { stage: 1, shareBp: 1_000 })
    healthy(world).pass(61_000)
    t.equal(world.state.stage, 2, 'the judge goes on from there')
    world.order('abort')
    const other = new RolloutWorld().order('promote').measure(units(900), units(100, 60))
    t.match(other.state, {
      stage: 1,
      shareBp: 1_000,
      status: 'held',
      says: /^harm: error: .* has decided on this stage/,
    })
    t.equal(other.pass(600_000).state.stage, 1)
    t.equal(other.order('resume').pass(1_000).state.status, 'rolled-back')
  })
  t.test('what has gone back to the stage of a person stays there until somebody speaks', async (t) => {
    const broken = [GOOD[0]!, reading('errors.ratio', 0.05, 0.01)]
    for (const harm of ['criterion', 'site'] as const) {
      const doc = rollout({
        stages: [...rollout().stages.slice(0, 2), { ...rollout().stages[1]!, name: 'half', shareBp: 5_000 }],
        siteLimits: harm === 'site' ? [{ signal: 'queue.depth', max: 40, action: 'rollback' }] : [],
      })
      const calm = () =>
        void (harm === 'site' && world.samples({ ams: { 'queue.depth': 1 }, fra: { 'queue.depth': 1 } }))
      const world = new RolloutWorld(doc).order('promote')
      healthy(world).pass(61_000, calm)
      t.equal(world.state.stage, 2, 'the judge went on from there')
      if (harm === 'site') world.samples({ ams: { 'queue.depth': 90 } }).pass(1_000)
      else world.measure(units(100), units(100), broken)
      t.match(world.state, { stage: 1, status: 'held', says: /^harm: / })
      healthy(world).pass(600_000, calm)
      t.match(world.state, { stage: 1, status: 'held', says: /^harm: / }, `${harm}: not on by itself`)
      const kept = JSON.parse(JSON.stringify(world.state))
      t.same(kept, world.state, 'it is kept over a restart')
      t.equal(healthy(world.order('resume')).pass(61_000, calm).state.stage, 2)
    }
  })
  t.test('stages may wait for a person', async (t) => {
    const world = healthy(new RolloutWorld(rollout({ promotion: 'human' }))).pass(120_000)
    t.match(world.state, { stage: 0, status: 'held', says: /waits for a person/ })
    t.equal(world.order('promote').state.stage, 1)
  })
  t.test('an abort takes everybody out, and nothing follows it', async (t) => {
    const world = new RolloutWorld().order('abort')
    t.match(world.state, { status: 'aborted', shareBp: 0 })
    const before = world.snapshot
    world.order('promote')
    t.equal(world.snapshot.data.rollouts, before.data.rollouts)
  })
  t.test('a promotion by hand of the last stage finishes it', async (t) => {
    const world = new RolloutWorld().order('promote').order('promote').order('promote')
    t.match(world.state, { status: 'finished', shareBp: 10_000 })
  })
})

t.test('states of before a restart go on, and those of another document do not', async (t) => {
  const world = healthy(new RolloutWorld()).pass(61_000)
  const again = new RolloutWorld()
  const restore = (hash: string) =>
    again.apply({ kind: 'rollouts-restored', at: again.now, rollouts: [{ ...world.state, hash }], retained: [] })
  t.equal(restore('another').state.stage, 0)
  t.same(restore(world.state.hash).state, world.state)
  const { rollouts } = again.snapshot.data
  t.same(JSON.parse(JSON.stringify(rollouts)), rollouts)
})

t.test('a file of rollouts is read as it was written, and put aside where any one part is not', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'hubward-rollouts-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'rollouts.json')
  const world = healthy(new RolloutWorld()).pass(61_000)
  const before = rolloutsOf(world, folder)
  world.pass(1_000)
  before.tick(world.now)
  for (const arm of ['control', 'treatment'] as const)
    before.arms.ended(outcomeOf(arm, { artifact: 'llama@1', decided: { at: world.now + 1 } }))
  before.tick(world.now + 1_000)
  await before.close()
  const whole = readFileSync(path, 'utf8')
  const restored = () => {
    const again = new RolloutWorld()
    rolloutsOf(again, folder).restore()
    return again.pass(1_000).state
  }
  t.match(restored(), { stage: 1, totals: JSON.parse(whole).rollouts[0].totals })
  const places = placesIn(JSON.parse(whole))
  t.ok(places.length > 60, `${places.length} places`)
  for (const [index, place] of places.entries()) {
    writeFileSync(path, JSON.stringify(withAt(JSON.parse(whole), place, [undefined, null, 'text', -1][index % 4])))
    const { stage } = restored()
    if (stage !== 0 || existsSync(path)) t.fail(`${place.join('.')} went unnoticed`)
  }
  for (const text of ['', 'nonsense', whole.slice(0, -2), 'null', '[]']) {
    writeFileSync(path, text)
    t.equal(restored().stage, 0)
    t.equal(readFileSync(`${path}.damaged`, 'utf8'), text)
  }
})

/** Every place in a value, the outermost left out. */
const placesIn = (value: unknown, at: readonly string[] = []): string[][] =>
  typeof value !== 'object' || value === null
    ? []
    : Object.entries(value).flatMap(([name, one]) => [[...at, name], ...placesIn(one, [...at, name])])

const withAt = (value: unknown, [name, ...rest]: readonly string[], wrong: unknown): unknown => {
  const of = value as Record<string, unknown>
  of[name!] = rest.length === 0 ? wrong : withAt(of[name!], rest, wrong)
  return of
}

t.test('the final sentence', async (t) => {
  const doc = rollout({ business: [{ outcome: 'tickets', improve: 'lower' }] })
  const state = {
    ...new RolloutWorld(doc).state,
    totals: { control: units(640), treatment: units(80) },
    classUnits: 1_000,
  }
  const of = (...criteria: Parameters<typeof reading>[]) =>
    finalReport(doc, { ...state, criteria: criteria.map((one) => reading(...one)) })
  t.equal(
    of(['response.p95_ms', -28, 7], ['fallback.ratio', 0, 0.01], ['outcome.tickets', 0, 1]),
    'Amsterdam-first cut response.p95_ms by 28 ms [21, 35] for 72 % of chat requests; fallback rate unchanged [-1, 1] points; outcome.tickets unchanged [-1, 1]; operational only: no business outcome moved',
  )
  t.match(
    of(['response.p95_ms', -28, 7], ['outcome.tickets', -3, 1]),
    /outcome\.tickets down by 3 \[-4, -2\] \(better\)$/,
  )
  const world = new RolloutWorld()
  healthy(world.measure(units(0), units(0), GOOD, { classUnits: 1_000_000, took: 40_000 })).pass(61_000)
  t.equal(world.state.stage, 1, 'a first stage for a few')
  world.measure(units(800), units(100), GOOD, { classUnits: 1_250, took: 900 }).order('promote')
  t.match(finalReport(rollout(), world.state), / for [\d.]+ % of chat requests/, 'nothing has come in this stage yet')
  world.measure(units(0), units(900), [], { classUnits: 1_250, took: 900 }).order('promote')
  t.match(
    world.state.says,
    / for 72 % of chat requests/,
    'those that it is for now, not those of every stage there was',
  )
  t.match(of(), /^Amsterdam-first was compared for 72 % of chat requests, and nothing was measured of it/)
})

t.test('no sequence of measurements, orders and time promotes an unmeasured arm or goes on past an end', async () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('measure' as const), treatment: fc.nat({ max: 40 }), bad: fc.nat({ max: 40 }) }),
    fc.record({ do: fc.constantFrom('hold' as const, 'resume' as const, 'pass' as const) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const world = new RolloutWorld()
      let ended: string | undefined
      let seen = 0
      for (const one of steps) {
        if (one.do === 'measure') {
          world.measure(units(300, 3), units(one.treatment, Math.min(one.bad, one.treatment)), GOOD)
          seen += one.treatment
        } else if (one.do === 'pass') world.pass(30_000)
        else world.order(one.do)
        const { status, shareBp, stage } = world.state
        if (ended !== undefined && ended !== status) return false
        if (status !== 'running' && status !== 'held') ended = status
        if (status === 'rolled-back' && shareBp !== 0) return false
        if (stage > 0 && seen < 100) return false
        if (world.state.order?.order === 'hold' && status === 'running') return false
      }
      return true
    }),
    { numRuns: 60 },
  )
})

t.test('a flag that is switched off or gone holds its rollout', async (t) => {
  const world = healthy(new RolloutWorld())
  world.flags({}).pass(61_000)
  t.match(world.state, { status: 'held', stage: 0, says: /no source has the flag/ })
  world.flags(flag({ state: 'DISABLED' })).pass(1_000)
  t.match(world.state, { stage: 0, says: /switched off/ })
  t.equal(world.flags(flag()).pass(1_000).state.stage, 1)
})
