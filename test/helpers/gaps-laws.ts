import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import type { Test } from 'tap'
import { createLog } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import type { Because, Decision } from '../../src/model/decision.ts'
import type { GapsReport } from '../../src/model/gaps.ts'
import { openGaps } from '../../src/sidecar/gaps.ts'
import { readLedger, writeLedger } from '../../src/sidecar/gaps-file.ts'
import { emptyLedger, GapsLedger } from '../../src/sidecar/gaps-ledger.ts'
import { gapsReport } from '../../src/sidecar/gaps-report.ts'
import { min, policy, site, T0, World, workload } from './world.ts'

const HOUR = 3_600_000
const ALL = [0, 9_999_999_999_999] as const

/** Codes in the order of the dimensions: power, cooling, gpu, queue, latency, errors, observability, procedures, overall. */
const GREEN = 'ggggggggg'
const POWER_AMBER = 'agggggggg'
const COOLING_RED = 'grggggggg'
const NO_PRACTICE = 'gggggggag'

const refusal = (because: readonly (readonly [target: string, constraint: string])[], over: object = {}): Decision =>
  ({
    action: 'delay',
    status: 503,
    reason: 'no-target',
    class: 'training',
    because: because.map(([target, constraint]): Because => ({ target, constraint })),
    ...over,
  }) as unknown as Decision

const away = (decision: Decision, over: object = {}) => ({ decision, needs: undefined, isKnownClass: true, ...over })

const siteIn = (report: GapsReport, name: string) => report.sites.find((one) => one.site === name)

/** What sites lacked, told by the hour: sums, restarts, clocks, damage. */
export const gapsLaws = (t: Test): void => {
  t.test(
    'time is counted by the hour in which it passed, a site being as bad as the worst of its targets',
    async (t) => {
      const ledger = new GapsLedger()
      let now = T0 - (T0 % HOUR) + HOUR - 10_000
      const begin = now
      const pass = (ms: number): void => {
        for (const end = now + ms; now < end; ledger.pass(now)) now += 1_000
      }
      ledger.see(['ams/a', 'ams/b', 'fra/a'], [GREEN, POWER_AMBER, NO_PRACTICE], now)
      pass(20_000)
      ledger.see(['ams/a', 'ams/b', 'fra/a'], [COOLING_RED, POWER_AMBER, GREEN], now)
      pass(30_000)
      const report = gapsReport(ledger.state.hours, ...ALL)
      t.equal(report.watchedHours * HOUR, 50_000)
      t.same(siteIn(report, 'ams'), {
        site: 'ams',
        chronic: [],
        amberHours: 20_000 / HOUR,
        redHours: 30_000 / HOUR,
        dimensions: [
          { dimension: 'power', amberHours: 50_000 / HOUR, redHours: 0 },
          { dimension: 'cooling', amberHours: 0, redHours: 30_000 / HOUR },
        ],
        work: [],
      })
      t.match(siteIn(report, 'fra'), {
        amberHours: 0,
        dimensions: [{ dimension: 'procedures', amberHours: 20_000 / HOUR }],
      })
      const first = gapsReport(ledger.state.hours, begin, begin + 1)
      t.equal(first.watchedHours * HOUR, 10_000, 'ten seconds of it lie before the full hour')
      t.equal(first.to, begin + 10_000, 'and whole hours are told')
      t.same(ledger.sinceStart.get('ams\ncooling'), [0, 30_000])
    },
  )

  t.test(
    'whatever the clock does and however often it is restarted, a sum is the time that was lived through',
    async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'hubward-gaps-'))
      t.teardown(() => rmSync(folder, { recursive: true, force: true }))
      const step = fc.oneof(
        fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 30_000 }) }),
        fc.record({ do: fc.constant('state' as const), code: fc.constantFrom(GREEN, POWER_AMBER, COOLING_RED) }),
        fc.record({ do: fc.constant('leap' as const), ms: fc.integer({ min: 31_000, max: 400 * HOUR }) }),
        fc.record({ do: fc.constant('back' as const), ms: fc.integer({ min: 1, max: 400 * HOUR }) }),
        fc.record({ do: fc.constant('restart' as const), ms: fc.integer({ min: -100 * HOUR, max: 100 * HOUR }) }),
      )
      let run = 0
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
          const path = join(folder, `${run++}.jsonl`)
          let ledger = new GapsLedger(readLedger(path).state)
          let now = T0
          let code = GREEN
          let [amber, red, watched] = [0, 0, 0]
          ledger.see(['ams/a'], [code], now)
          for (const one of steps) {
            if (one.do === 'leap' || one.do === 'pass' || one.do === 'restart') now += one.ms
            if (one.do === 'state') {
              code = one.code
              ledger.see(['ams/a'], [code], now)
            } else if (one.do === 'pass') {
              ledger.pass(now)
              watched += one.ms
              if (code === POWER_AMBER) amber += one.ms
              if (code === COOLING_RED) red += one.ms
            } else if (one.do === 'leap') ledger.pass(now)
            else if (one.do === 'back') ledger.pass(now - one.ms)
            else {
              await writeLedger(path, ledger.state)
              const { state, problem } = readLedger(path)
              if (problem !== undefined) return false
              ledger = new GapsLedger(state)
              ledger.see(['ams/a'], [code], now)
            }
          }
          const report = gapsReport(ledger.state.hours, ...ALL)
          const ams = siteIn(report, 'ams')
          const ms = (hours: number | undefined): number => Math.round((hours ?? 0) * HOUR)
          return ms(report.watchedHours) === watched && ms(ams?.amberHours) === amber && ms(ams?.redHours) === red
        }),
        { numRuns: 60 },
      )
    },
  )

  t.test('work stands at each site that turned it away, and once in all; a named job counts once a day', async (t) => {
    const ledger = new GapsLedger()
    const both = refusal([
      ['ams/a', 'power.headroom_mw'],
      ['ams/b', 'cooling.margin_c'],
      ['fra/a', 'queue.depth'],
    ])
    const job = { needs: { mw: 2, gpus: 16, hours: 6 }, key: 'job-1' }
    ledger.turnAway(away(both, job), T0)
    ledger.turnAway(away(both, job), T0 + HOUR)
    ledger.turnAway(away(both, { needs: { mw: 2 }, classHours: 3 }), T0)
    ledger.turnAway(away(both), T0)
    const { total, sites } = gapsReport(ledger.state.hours, ...ALL)
    t.same(total, [
      {
        class: 'training',
        action: 'delay',
        constraint: 'power.headroom_mw',
        ...{ asked: 4, work: 3, sized: 2, mwh: 2 * 6 + 2 * 3, gpuHours: 96 },
      },
    ])
    t.same(
      sites.map((one) => [one.site, one.work.map(({ constraint, asked, work }) => [constraint, asked, work])]),
      [
        ['ams', [['power.headroom_mw', 4, 3]]],
        ['fra', [['queue.depth', 4, 3]]],
      ],
    )
    ledger.turnAway(away(both, job), T0 + 25 * HOUR)
    t.equal(gapsReport(ledger.state.hours, ...ALL).total[0]!.work, 4, 'a day later it counts again')
  })

  t.test(
    'what is no matter of capacity is not counted, and no name that a request brings fills the ledger',
    async (t) => {
      const ledger = new GapsLedger()
      for (const over of [
        { reason: 'bad-request', action: 'deny', status: 400 },
        { reason: 'residency-unknown', action: 'deny', status: 403 },
        { reason: 'no-target', action: 'deny', status: 403 },
        { action: 'route', target: 'ams/a' },
        { action: 'queue', holdMsMax: 5 },
      ])
        ledger.turnAway(away(refusal([['ams/a', 'queue.depth']], over)), T0)
      t.same(gapsReport(ledger.state.hours, ...ALL).total, [])
      for (let n = 0; n < 100; n++) {
        const decision = refusal([['ams/a', `made.up_${n}`]], { class: `class-${n}` })
        ledger.turnAway({ decision, needs: undefined, isKnownClass: false, key: `k${n}` }, T0)
      }
      t.match(gapsReport(ledger.state.hours, ...ALL).total, [{ class: 'other', constraint: 'other', asked: 100 }])
      t.equal(gapsReport(ledger.state.hours, ...ALL).total.length, 1)
      const bound = new GapsLedger()
      bound.turnAway(
        away(
          refusal([
            ['lon/a', 'residency'],
            ['ams/a', 'pool.cooling'],
          ]),
        ),
        T0,
      )
      const lacked = gapsReport(bound.state.hours, ...ALL)
      t.same(
        [lacked.total[0]!.constraint, ...lacked.sites.map((one) => one.site)],
        ['pool.cooling', 'ams'],
        'a site outside of the residency lacks nothing',
      )
      const words = (over: object): string | undefined => {
        const one = new GapsLedger()
        one.turnAway(away(refusal([], { because: [{ target: 'ams/a', ...over }] })), T0)
        return gapsReport(one.state.hours, ...ALL).total[0]!.constraint
      }
      t.equal(words({ constraint: 'job.need', measured: 1, unit: 'MW of power.headroom_mw' }), 'power.headroom_mw')
      t.equal(words({ constraint: 'job.need', measured: 'gpu.free missing', unit: 'GPUs' }), 'gpu.free')
      t.equal(words({ constraint: 'job.need', measured: 'gpu.free stale' }), 'freshness')
      t.equal(words({ constraint: 'job.need', measured: 1, unit: ' of made.up' }), 'job.need')
      t.equal(words({ constraint: 'safety.red', measured: 'leak.detected 1' }), 'leak.detected')
      t.equal(words({ constraint: 'readiness', measured: 'power is unknown' }), 'readiness')
      ledger.turnAway(away(refusal([], { reason: 'stale' })), T0)
      t.match(
        gapsReport(ledger.state.hours, ...ALL).total[1],
        { constraint: 'stale', asked: 1 },
        'without a target the reason',
      )
      for (let n = 0; n < 5_000; n++) ledger.turnAway(away(refusal([['ams/a', 'queue.depth']]), { key: `n${n}` }), T0)
      t.ok(ledger.state.seen.size <= 4_096)
    },
  )

  t.test('the ledger is bounded by hours and by entries; the oldest go first, and since when is told', async (t) => {
    const ledger = new GapsLedger(emptyLedger(), 40)
    const targets = Array.from({ length: 5 }, (_, n) => `s${n}/a`)
    for (let hour = 0; hour < 30; hour++) {
      const at = T0 + hour * HOUR
      ledger.see(
        targets,
        targets.map(() => POWER_AMBER),
        at,
      )
      ledger.pass(at + 10_000)
    }
    let entries = 0
    for (const { states, work } of ledger.state.hours.values()) entries += states.size + work.size
    t.ok(entries <= 40 && entries >= 20, `${entries} entries`)
    const report = gapsReport(ledger.state.hours, ...ALL)
    t.equal(siteIn(report, 's0')!.amberHours * HOUR, ledger.state.hours.size * 10_000)
    t.ok(report.since! > T0)
    const long = new GapsLedger()
    for (let hour = 0; hour < 900; hour++) {
      long.see(['ams/a'], [GREEN], T0 + hour * HOUR)
      long.pass(T0 + hour * HOUR + 1_000)
    }
    t.ok(long.state.hours.size <= 841)
  })

  t.test('chronic sites come first, by the share of the time that was watched', async (t) => {
    const ledger = new GapsLedger()
    const see = (codes: readonly string[], from: number, to: number): void => {
      ledger.see(['ams/a', 'fra/a', 'lon/a'], codes, T0 + from * 60_000)
      for (let at = from * 60_000; at <= to * 60_000; at += 10_000) ledger.pass(T0 + at)
    }
    see([POWER_AMBER, GREEN, GREEN], 0, 5)
    see([GREEN, NO_PRACTICE, COOLING_RED], 5, 15)
    see([GREEN, NO_PRACTICE, GREEN], 15, 100)
    const { sites } = gapsReport(ledger.state.hours, ...ALL)
    t.same(
      sites.map(({ site: name, chronic }) => [name, chronic]),
      [
        ['lon', ['cooling']],
        ['ams', []],
        ['fra', []],
      ],
    )
  })

  t.test('a ledger that is not whole is put aside with its place and a remedy, and counting starts anew', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'hubward-gaps-'))
    t.teardown(() => rmSync(folder, { recursive: true, force: true }))
    const path = join(folder, 'gaps.jsonl')
    const ledger = new GapsLedger()
    ledger.see(['ams/a'], [POWER_AMBER], T0)
    ledger.pass(T0 + 5_000)
    ledger.turnAway(away(refusal([['ams/a', 'power.headroom_mw']]), { key: 'a', needs: { mw: 1, hours: 1 } }), T0)
    await writeLedger(path, ledger.state)
    const whole = readFileSync(path, 'utf8')
    t.same(readLedger(path).state, ledger.state, 'what is read is what was written')
    const sha = whole.slice(whole.lastIndexOf('sha256'))
    for (const [what, text] of [
      ['cut short', whole.slice(0, -20)],
      ['cut at a line', whole.slice(0, whole.indexOf('\n') + 1)],
      ['another number in it', whole.replace('5000', '6000')],
      ['empty', ''],
      ['somebody else', '{"a":1}\n'],
      ['of a later form', whole.replace('gaps 1', 'gaps 2')],
      ['only its sum', sha],
    ] as const) {
      writeFileSync(path, text)
      const { state, problem } = readLedger(path)
      t.equal(state.hours.size, 0, what)
      t.match(problem, { code: 'gaps/damaged', path, remedy: /gaps\.jsonl\.damaged; put back a copy/ }, what)
      t.equal(readFileSync(`${path}.damaged`, 'utf8'), text, `${what}: the old one is kept`)
      t.same(readLedger(path), { state: emptyLedger() }, 'the next start finds nothing to say')
    }
    mkdirSync(path)
    t.match(readLedger(path).problem, { code: 'gaps/damaged', message: /EISDIR/ })
  })

  t.test('a running ledger hears of changes and decisions, and a second one goes on where it ended', async (t) => {
    const stateDir = mkdtempSync(join(tmpdir(), 'hubward-gaps-'))
    t.teardown(() => rmSync(stateDir, { recursive: true, force: true }))
    const world = new World({
      sites: [site('ams')],
      classes: [workload('training', { flexibility: 'delayable', usualHours: 4 })],
      policies: [policy([['ams']], { class: 'training', signals: { 'power.headroom_mw': min(1, 2) } })],
    })
    const log = createLog('silent')
    const open = () => {
      const metrics = createMetrics()
      const clock = { now: () => world.now }
      const bug = (error: unknown) => t.fail(String(error))
      return { metrics, ...openGaps({ stateDir, clock, metrics, log, current: () => world.snapshot, bug }) }
    }
    const live = (gaps: ReturnType<typeof open>, ms: number): void => {
      world.pass(ms, () => {
        world.samples({ ams: { 'power.headroom_pct': 5, 'power.headroom_mw': 0.5 } })
        gaps.changed(world.snapshot, { kind: 'time-passed', at: world.now })
      })
      gaps.changed(world.snapshot, { kind: 'time-passed', at: world.now })
    }
    const first = open()
    live(first, 60_000)
    const facts = world.facts({ class: 'training', needs: { mw: 3 } })
    first.decided(facts, world.decide({ class: 'training', needs: { mw: 3 } }), undefined, world.now)
    t.match(
      await first.metrics.text(),
      /hubward_readiness_seconds_total\{site="ams",dimension="power",state="amber"\} 5\d/,
    )
    await first.close()
    const second = open()
    live(second, 60_000)
    const report = await second.report(0, world.now + HOUR)
    const seconds = siteIn(report, 'ams')!.amberHours * 3_600
    t.ok(seconds > 110 && seconds <= 120, `${seconds} s`)
    t.match(report.total, [{ class: 'training', action: 'deny', constraint: 'power.headroom_mw', work: 1, mwh: 12 }])
    rmSync(stateDir, { recursive: true, force: true })
    writeFileSync(stateDir, 'no folder')
    await second.save()
    t.equal(
      (await second.report(0, world.now + HOUR)).total.length,
      1,
      'a disk that takes nothing loses nothing in memory',
    )
    await second.close()
  })
}
