import fc from 'fast-check'
import type { Test } from 'tap'
import { SignedSketch } from '../../src/math/signed-sketch.ts'
import { createMetrics } from '../../src/metrics.ts'
import type { Decision } from '../../src/model/decision.ts'
import type { ReadinessPage } from '../../src/model/readiness.ts'
import type { SourceStatus } from '../../src/model/source.ts'
import { createEstimates } from '../../src/sidecar/estimates.ts'
import { createForecastWatch } from '../../src/sidecar/forecast-watch.ts'
import { readinessPage, readinessSeries, staleSeries } from '../../src/sidecar/readiness-view.ts'
import { max, min, policy, site, World, workload } from './world.ts'

const HOUR = 3_600_000

const source = (name: string, over: Partial<SourceStatus> = {}): SourceStatus => ({
  ...{ name, kind: 'file', where: '', version: '', nonce: '', lastAcceptedAt: null, lastRefusedAt: null, refusal: [] },
  ...{ failuresInARow: 0, delivers: [], covers: [], ...over },
})

/** Readiness as pages and series, and what guesses are compared with. */
export const plannerLaws = (t: Test): void => {
  t.test('the matrix comes in pages that together are all of it', async (t) => {
    const world = new World({
      sites: ['ams', 'fra', 'lon'].map((name) => site(name)),
      classes: [workload('chat'), workload('training')],
      policies: [policy([['ams']], { signals: { 'queue.depth': max(40) } })],
    })
    const whole = readinessPage(world.snapshot, { after: 0, limit: 100 }, world.now)!
    t.equal(whole.rows.length, 6)
    t.equal(whole.next, undefined)
    const rows: unknown[] = []
    for (let after: number | undefined = 0; after !== undefined; ) {
      const page: ReadinessPage = readinessPage(world.snapshot, { after, limit: 4 }, world.now)!
      rows.push(...page.rows)
      after = page.next
    }
    t.same(rows, whole.rows)
    t.same(
      readinessPage(world.snapshot, { site: 'fra', class: 'chat', after: 0, limit: 9 }, world.now)!.rows.map((row) => [
        row.target,
        row.class,
      ]),
      [['fra/default', 'chat']],
    )
    t.equal(readinessPage(world.snapshot, { site: 'nowhere', after: 0, limit: 9 }, world.now), undefined)
    t.equal(readinessPage(world.snapshot, { class: 'nobody', after: 0, limit: 9 }, world.now), undefined)
    t.same(readinessPage(world.snapshot, { after: 77, limit: 9 }, world.now), { rows: [] })
  })

  t.test('series of readiness are as many as there is trouble, and bounded with many sites', async (t) => {
    const world = new World({
      sites: [site('ams'), site('fra')],
      policies: [policy([['ams'], ['fra']], { signals: { 'queue.depth': max(40) } })],
    })
    world.samples({ ams: { 'power.headroom_pct': 0.5, 'queue.depth': 1 }, fra: { 'queue.depth': 1 } }).pass(1_000)
    const shown = readinessSeries(world.snapshot, world.now).map(([labels]) => labels.join(' '))
    t.ok(shown.includes('ams/default * overall red') && shown.includes('ams/default * power red'), shown.join())
    t.ok(shown.includes('fra/default * overall green'))
    const many = new World({ sites: Array.from({ length: 700 }, (_, n) => site(`s${n}`)) })
    t.equal(readinessSeries(many.snapshot, many.now).length, 700)
  })

  t.test('a required signal that is stale or missing names who should have told it', async (t) => {
    const world = new World({
      sites: [site('ams', { metadata: { name: 'ams', owner: 'dc-ams@example.com' } }), site('fra'), site('lon')],
      policies: [policy([['ams'], ['fra']], { signals: { 'queue.depth': max(40) } })],
    })
    world.samples({ ams: { 'queue.depth': 1 } }, { source: 'ams-vllm' })
    const sources = [
      source('ams-vllm', { owner: 'ml@example.com' }),
      source('fra-vllm', { owner: 'fra@example.com', delivers: ['queue.depth'], covers: ['fra'] }),
    ]
    const shown = () => staleSeries(world.snapshot, sources, world.now).map(([labels]) => labels.join(' '))
    t.same(shown(), ['chat fra/default queue.depth fra-vllm fra@example.com'], 'lon is in no ladder')
    world.pass(6_000)
    t.ok(shown().includes('chat ams/default queue.depth ams-vllm ml@example.com'))
    t.same(
      staleSeries(world.snapshot, [], world.now)[0]?.[0],
      ['chat', 'ams/default', 'queue.depth', 'ams-vllm', 'dc-ams@example.com'],
      'where the source has no owner, the owner of the site',
    )
    const many = new World({
      sites: Array.from({ length: 1_500 }, (_, n) => site(`s${n}`)),
      policies: [policy({ all: true }, { signals: { 'queue.depth': max(40) } })],
    })
    t.equal(staleSeries(many.snapshot, [], many.now).length, 1_000)
  })

  t.test('a guessed threshold gets a proposal from what was measured, a limit of safety never', async (t) => {
    const world = new World({
      sites: [site('ams'), site('fra')],
      readiness: [
        {
          metadata: { name: 'house', owner: 'sre@example.com' },
          sites: ['ams'],
          limits: {
            power: [{ signal: 'power.headroom_pct', amber: min(15, 20), red: min(1, 3), estimated: true }],
          },
          admits: {},
        },
      ],
      policies: [policy([['ams']], { signals: { 'queue.depth': { ...max(40, 30), estimated: true } } })],
    })
    const estimates = createEstimates()
    estimates.look(world.snapshot, world.now)
    t.match(estimates.list(world.now), [
      { document: 'Policy/p@1', signal: 'queue.depth', measured: null, proposed: null, says: /needs 200 values/ },
      { document: 'Readiness/house', use: 'amber', owner: 'sre@example.com', measured: null },
      { document: 'Readiness/house', use: 'red' },
    ])
    // Headroom from 20 to 69 at ams, in its amber limit's eyes; what fra says is none of its business.
    for (let n = 0; n < 720; n++) {
      world.now += 10_000
      world.samples({
        ams: { 'power.headroom_pct': 20 + (n % 50), 'queue.depth': n % 20 },
        fra: { 'power.headroom_pct': 1 },
      })
      estimates.look(world.snapshot, world.now)
      estimates.look(world.snapshot, world.now)
    }
    const [queue, amber, red] = estimates.list(world.now)
    t.equal(queue!.measured?.samples, 720, 'each value once')
    t.ok(
      Math.abs(queue!.proposed!.limit - 18) <= 1 && Math.abs(queue!.proposed!.resume - 14) <= 1,
      JSON.stringify(queue),
    )
    t.ok(
      Math.abs(amber!.proposed!.limit - 22) <= 1 && Math.abs(amber!.proposed!.resume - 31) <= 1,
      JSON.stringify(amber),
    )
    t.match(red, { proposed: null, measured: { samples: 720 }, says: /a limit of safety comes from the plant/ })
    world.documents(world.snapshot.data.sets.test!)
    estimates.look(world.snapshot, world.now)
    t.equal(estimates.list(world.now)[0]!.measured?.samples, 720, 'a reload loses nothing')
    world.now += 13 * HOUR
    world.samples({ ams: { 'queue.depth': 3 } })
    estimates.look(world.snapshot, world.now)
    world.now += 7 * HOUR
    estimates.look(world.snapshot, world.now)
    t.equal(estimates.list(world.now)[0]!.measured?.samples, 1, 'old values are forgotten')
  })

  t.test('a sketch of values of either sign gives quantiles within its accuracy', async (t) => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -1_000, max: 1_000, noNaN: true }), { minLength: 1, maxLength: 200 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (values, q) => {
          const sketch = new SignedSketch(0.01)
          for (const value of values) sketch.add(value)
          const sorted = values.toSorted((a, b) => a - b)
          const rank = q * (values.length - 1)
          const [low, high] = [sorted[Math.floor(rank)]!, sorted[Math.ceil(rank)]!]
          const near = (value: number): number => Math.abs(value) * 0.0101 + 1e-8
          const seen = sketch.quantile(q)!
          return seen >= low - near(low) && seen <= high + near(high)
        },
      ),
    )
    t.equal(new SignedSketch().quantile(0.5), undefined)
  })

  t.test('a forecast is told with the error that the last ones of its class had', async (t) => {
    const world = new World({
      sites: [site('ams')],
      classes: [workload('training', { flexibility: 'delayable' })],
      policies: [
        policy([['ams']], {
          class: 'training',
          signals: { 'price.per_mwh': max(50) },
          otherwise: [{ action: 'delay' }],
          timers: { stableForMs: 0, dwellMs: 0, failBackMs: 0, cooldownMs: 0 },
        }),
      ],
    })
    const metrics = createMetrics()
    const watch = createForecastWatch({ current: () => world.snapshot, tally: world.tally, metrics })
    /** A price that is to fall in ten minutes, and falls so much later, or earlier. */
    const day = (lateMs: number): number | null | undefined => {
      const falls = world.now + 600_000
      const price = (value: number, from: number, to: number) => ({ value, from, to })
      const series = (at: number) => ({
        ...{ signal: 'price.per_mwh', site: 'ams', source: 'market', issuedAt: world.now },
        intervals: [price(90, world.now - 1_000, at), price(20, at, at + HOUR)],
      })
      const say = (at: number): void =>
        void world.apply({
          ...{ kind: 'samples-arrived', at: world.now, samples: [], heartbeats: [] },
          series: [series(at)],
        })
      say(falls)
      const facts = world.facts({ class: 'training' })
      const decision = watch.weigh(facts, world.decide({ class: 'training' }), world.now)
      t.equal(decision.forecast?.at, falls)
      say(falls + lateMs)
      world.pass(900_000, () => watch.look(world.now))
      return decision.forecast?.errorMs
    }
    t.same([day(0), day(60_000), day(-120_000)], [null, null, null], 'three have to turn out first')
    const error = day(0)!
    t.ok(error >= 119_000 && error <= 122_000, `${error} ms`)
    t.match(await metrics.text(), /hubward_forecast_error_seconds_count\{class="training"\} 4/)
  })

  t.test(
    'a forecast that does not come about ends a day late, and no class that documents do not name is followed',
    async (t) => {
      const world = new World({
        sites: [site('ams')],
        policies: [policy([['ams']], { signals: { 'power.headroom_mw': min(1) }, otherwise: [{ action: 'delay' }] })],
      })
      world.samples({ ams: { 'power.headroom_mw': 0 } })
      const metrics = createMetrics()
      const watch = createForecastWatch({ current: () => world.snapshot, tally: world.tally, metrics })
      const forecast = { at: world.now + 1_000, errorMs: null, waitsFor: 'x', target: 'ams/default' }
      const told = (name: string): Decision => ({ ...world.decide(), class: name, forecast })
      watch.weigh(world.facts(), told('chat'), world.now)
      watch.weigh(world.facts({ class: 'made-up' }), told('made-up'), world.now)
      watch.look(world.now + HOUR)
      t.notMatch(await metrics.text(), /hubward_forecast_error_seconds_count/)
      watch.look(world.now + 25 * HOUR)
      t.match(await metrics.text(), /hubward_forecast_error_seconds_count\{class="chat"\} 1\n/)
      t.notMatch(await metrics.text(), /made-up/)
    },
  )
}
