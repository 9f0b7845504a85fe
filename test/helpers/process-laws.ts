import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import type { Test } from 'tap'
import { readConfig } from '../../src/config.ts'
import { fold, recompile } from '../../src/engine/fold.ts'
import type { Handlers, StreamState } from '../../src/envoy/handlers.ts'
import { createFlagCompiler } from '../../src/flags/compile-flag.ts'
import { readFlags } from '../../src/flags/read-flags.ts'
import { DecidedRing } from '../../src/measure/decided-ring.ts'
import { createMetrics } from '../../src/metrics.ts'
import type { Change } from '../../src/model/change.ts'
import type { Decision } from '../../src/model/decision.ts'
import type { Facts } from '../../src/model/facts.ts'
import type { AccessEntry } from '../../src/model/outcome.ts'
import { parseSigningKeys } from '../../src/request/signing-keys.ts'
import { createApplying } from '../../src/sidecar/processes/applying.ts'
import { BATCH_MAX, DecidedBatch, readBatch } from '../../src/sidecar/processes/decided-batch.ts'
import { createDeciderProcess } from '../../src/sidecar/processes/decider-process.ts'
import { digestOf, partsOf } from '../../src/sidecar/processes/digest.ts'
import { createEarlyEntries } from '../../src/sidecar/processes/early-entries.ts'
import { createFeed } from '../../src/sidecar/processes/feed.ts'
import { type Channel, type FrameName, FrameReader, frameOf, openChannel } from '../../src/sidecar/processes/frames.ts'
import { createHandedJournal } from '../../src/sidecar/processes/handed-journal.ts'
import { addCounted, createHandedMetrics } from '../../src/sidecar/processes/handed-metrics.ts'
import { createHandover } from '../../src/sidecar/processes/handover.ts'
import { keysOf, writtenKeys } from '../../src/sidecar/processes/messages.ts'
import { listenersOf, shareOfHold } from '../../src/sidecar/processes/processes.ts'
import { MainDecides, relayEnd, relaying } from '../../src/sidecar/processes/relay.ts'
import { createSharedTally } from '../../src/sidecar/processes/shared-tally.ts'
import { createTaking, type Takers } from '../../src/sidecar/processes/taking.ts'
import { decisionOf } from './scripted-judge.ts'
import { max, policy, site, T0, World } from './world.ts'

/** What travels between the processes of one hubward, and in which bounds. */
export function processLaws(t: Test): void {
  /** A channel that keeps what is written to it. */
  const kept = (): { channel: Channel; frames: { name: FrameName; payload: Buffer }[]; waiting: number } => {
    const all: { name: FrameName; payload: Buffer }[] = []
    const reader = new FrameReader((name, payload) => all.push({ name, payload }))
    const ends = { frames: all, waiting: 0 }
    const channel: Channel = {
      write: (frame) => reader.push(Buffer.from(frame)),
      waiting: () => ends.waiting,
      close: () => {},
    }
    return Object.assign(ends, { channel })
  }

  t.test('frames come out as they went in, whatever the pieces in which they travel', (t) => {
    const names = ['feed', 'decided', 'relay', 'differs'] as const
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(...names), fc.uint8Array({ maxLength: 300 })), { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 20 }),
        (frames, cuts) => {
          const bytes = Buffer.concat(frames.map(([name, payload]) => frameOf(name, payload)))
          const out: [string, string][] = []
          const reader = new FrameReader((name, payload) => out.push([name, payload.toString('hex')]))
          for (let at = 0, cut = 0; at < bytes.length; cut++) {
            const end = at + cuts[cut % cuts.length]!
            reader.push(bytes.subarray(at, end))
            at = end
          }
          t.strictSame(
            out,
            frames.map(([name, payload]) => [name, Buffer.from(payload).toString('hex')]),
          )
        },
      ),
      { numRuns: 60 },
    )
    t.throws(() => new FrameReader(() => {}).push(Buffer.from([0, 0, 0, 1, 99, 0])), /no frame/)
    t.end()
  })

  t.test('a channel tells once that the other end has gone, or speaks nonsense', async (t) => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => server.close())
    for (const last of [Buffer.alloc(0), Buffer.from([9, 9, 9, 9, 200, 1])]) {
      const taken = once(server, 'connection') as Promise<[Socket]>
      const near = connect((server.address() as { port: number }).port, '127.0.0.1')
      const [far] = await taken
      const closed: string[] = []
      const over = new Promise<void>((resolve) =>
        openChannel(far, {
          took: () => {},
          closed: (why) => {
            closed.push(why)
            setImmediate(resolve)
          },
        }),
      )
      near.on('error', () => {})
      near.end(last)
      await over
      t.match(closed, [last.length === 0 ? /gone/ : /no frame/])
      t.equal(closed.length, 1)
    }
  })

  t.test('what can not be taken in is told, and what comes after it is taken in', async (t) => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => server.close())
    const taken = once(server, 'connection') as Promise<[Socket]>
    const near = connect((server.address() as { port: number }).port, '127.0.0.1')
    const [far] = await taken
    const heard: string[] = []
    const over = new Promise<void>((resolve) =>
      openChannel(far, {
        took: (name, payload) => {
          if (payload.length === 0) throw new Error('a mistake')
          heard.push(name)
        },
        failed: (error) => heard.push(String(error)),
        closed: (why) => {
          heard.push(why)
          resolve()
        },
      }),
    )
    near.end(Buffer.concat([frameOf('counts'), frameOf('records', 'x'), frameOf('entries', 'y')]))
    await over
    t.strictSame(heard, ['Error: a mistake', 'records', 'entries', 'the other end has gone'])
  })

  t.test('a process that can not be started is tried again, and ends nobody else', async (t) => {
    const node = (stdio: 'ignore' | 'pipe'): ChildProcess =>
      spawn(process.execPath, ['--eval', ''], { stdio: ['ignore', 'ignore', 'ignore', stdio] })
    const runs: readonly (() => ChildProcess)[] = [
      () => {
        throw new Error('spawn ENOMEM')
      },
      () => Object.assign(node('ignore'), { stdio: undefined }) as unknown as ChildProcess,
      () => spawn('/nowhere/node', { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] }),
      () => node('pipe'),
    ]
    const told: [string, string, number][] = []
    let begun = 0
    await new Promise<void>((resolve) => {
      const one = createDeciderProcess({
        begin: () => {
          begun += 1
        },
        ...{ ready: () => {}, took: () => {}, bug: (error) => t.fail(String(error)), apartMs: 3 },
        gone: (cause, detail, afterMs) => {
          told.push([cause, detail, afterMs])
          if (told.length < runs.length) return
          one.kill()
          resolve()
        },
        run: (args) => {
          t.match(args.at(-1), /decider\.ts$/)
          return runs[told.length]!()
        },
      })
      one.start(0)
    })
    t.match(told, [
      ['ended', /ENOMEM/, 203],
      ['ended', /no pipe/, 403],
      ['ended', /ENOENT/, 803],
      ['ended', /exit code 0/, 1_603],
    ])
    t.ok(begun >= 1)
  })

  t.test('the CPU that a process has used up is never less than it was, however soon the next one dies', (t) => {
    const told: string[] = []
    const taking = createTaking(
      {
        ...({
          journal: { takeIn: () => {}, leaveOut: () => {} },
          onPanic: () => {},
          onStale: () => {},
        } as unknown as Takers),
        ...{ tally: {} as never, log: {} as never },
        metrics: { add: (name: string, count: number, what: string) => told.push(`${name} ${what} ${count}`) } as never,
      },
      () => {},
    )
    const counts = (cpuSeconds: number) =>
      taking.took(
        1,
        'counts',
        Buffer.from(
          JSON.stringify({
            ...{ counted: { counters: [], histograms: [] }, leftOut: [], panicked: [], stale: [], cpuSeconds },
            dropped: { records: 0, decisions: 0, entries: 0, refusals: 3 },
          }),
        ),
      )
    const cpu = () => taking.told().get(1)?.cpuSeconds
    counts(5)
    taking.end(1)
    taking.end(1)
    counts(1)
    t.equal(cpu(), 6)
    t.strictSame(told, Array(2).fill('hubward_handover_dropped_total refusals 3'))
    t.end()
  })

  const NAMES = ['a', 'b', 'ams/h100', 'ünï', '"quoted"'] as const
  const text = fc.constantFrom(...NAMES)
  const decided = fc.record({
    class: text,
    action: fc.constantFrom('route', 'degrade', 'queue', 'delay', 'deny'),
    reason: fc.constantFrom('first-choice', 'fallback', 'panic'),
    target: fc.option(text, { nil: undefined }),
    ladder: fc.constantFrom([], [['*']], [['nearest 3']], [['ams'], ['fra']]),
    because: fc.constantFrom([], [{ target: 'fra/h100', constraint: 'death' }]),
    policy: fc.option(text, { nil: null }),
    flag: fc.option(text, { nil: undefined }),
    arm: fc.constantFrom(null, 'control', 'treatment'),
    rollout: fc.option(text, { nil: undefined }),
    forced: fc.boolean(),
    tenant: fc.option(fc.oneof(text, fc.constant('t'.repeat(500))), { nil: undefined }),
    tier: fc.option(text, { nil: undefined }),
    model: fc.option(text, { nil: undefined }),
    sessionKey: fc.option(fc.oneof(text, fc.constant('s'.repeat(500))), { nil: undefined }),
    promptType: fc.option(text, { nil: undefined }),
    heldMs: fc.option(fc.integer({ min: 0, max: 60_000 }), { nil: undefined }),
  })

  t.test('what is measured of a decision is the same, wherever it was made', (t) => {
    fc.assert(
      fc.property(fc.array(decided, { maxLength: 40 }), (all) => {
        const [here, there] = [new DecidedRing(64), new DecidedRing(64)]
        const batch = new DecidedBatch()
        for (const [index, { flag, tenant, tier, sessionKey, promptType, heldMs, model, ...one }] of all.entries()) {
          const decision = {
            ...{ id: `k${index}-x`, at: T0 + index, layers: flag === undefined ? [] : [{ flag }] },
            ...one,
            ...(one.action === 'degrade' ? { model: model ?? 'small' } : {}),
          } as unknown as Decision
          const facts = { tenant, tier, sessionKey, model, extra: promptType === undefined ? {} : { promptType } }
          here.add(decision, facts as unknown as Facts, heldMs)
          batch.add(facts as unknown as Facts, decision, heldMs, index % 2 === 0)
        }
        const read = readBatch(Buffer.concat([Buffer.alloc(3), batch.take(7, [['ams/h100', 2]])]).subarray(3))
        t.strictSame([read.number, read.sent, read.decided.length, batch.size], [7, [['ams/h100', 2]], all.length, 0])
        for (const { facts, decision, heldMs } of read.decided) there.add(decision, facts, heldMs)
        for (let index = 0; index < all.length; index++) {
          t.strictSame(there.at(there.find(`k${index}-x`)), here.at(here.find(`k${index}-x`)))
          t.equal(read.decided[index]!.isLogged, index % 2 === 0)
        }
      }),
      { numRuns: 60 },
    )
    t.end()
  })

  t.test('a batch holds as many decisions as it may, each with texts of its own', (t) => {
    const batch = new DecidedBatch()
    for (let index = 0; index < BATCH_MAX; index++) {
      const own = (what: string) => `${what} ${index}`
      batch.add(
        { tenant: own('tenant'), tier: own('tier'), model: own('model'), extra: {} } as unknown as Facts,
        { ...decisionOf({ action: 'route', target: own('target'), cluster: 'c' }), id: own('id') } as Decision,
        undefined,
        true,
      )
    }
    const { decided: all } = readBatch(batch.take(1, []))
    t.equal(all.length, BATCH_MAX)
    t.match(all.at(-1), { facts: { tenant: `tenant ${BATCH_MAX - 1}` }, decision: { id: `id ${BATCH_MAX - 1}` } })
    t.end()
  })

  t.test('counters of all processes never go back, are never less than was told, and come to the same', (t) => {
    const TARGETS = ['ams', 'fra'] as const
    const step = fc.oneof(
      fc.record({ who: fc.integer({ min: 0, max: 2 }), sends: fc.constantFrom(...TARGETS) }),
      fc.record({ who: fc.integer({ min: 1, max: 2 }), does: fc.constantFrom('takes', 'arrives', 'told', 'hears') }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const main: Record<string, number> = { ams: 3, fra: 0 }
        const wrong: string[] = []
        const seen = [1, 2].map(() => ({
          shared: createSharedTally(1, Object.entries(main)),
          up: [] as ReturnType<ReturnType<typeof createSharedTally>['take']>[],
          down: [] as { upTo: number; all: [string, number][] }[],
          upTo: 0,
          last: { ams: 3, fra: 0 } as Record<string, number>,
        }))
        const run = (who: number, does: string): void => {
          const one = seen[who - 1]!
          if (does === 'takes') one.up.push(one.shared.take())
          else if (does === 'arrives') {
            const taken = one.up.shift()
            if (taken === undefined) return
            for (const [target, count] of taken.sent) main[target]! += count
            one.upTo = taken.number
          } else if (does === 'told') one.down.push({ upTo: one.upTo, all: Object.entries(main) })
          else {
            const told = one.down.shift()
            if (told === undefined) return
            one.shared.told(told.upTo, told.all)
            for (const [target, count] of told.all)
              if ((one.shared.tally.dispatched[target] ?? 0) < count) wrong.push(`less than ${count} to ${target}`)
          }
        }
        let sent = 3
        for (const one of steps) {
          if ('sends' in one) {
            sent += 1
            if (one.who === 0) main[one.sends]! += 1
            else seen[one.who - 1]!.shared.tally.dispatch(one.sends)
          } else run(one.who, one.does)
          for (const { shared, last } of seen) {
            for (const target of TARGETS) {
              const now = shared.tally.dispatched[target] ?? 0
              if (now < last[target]!) wrong.push(`${target} went back to ${now}`)
              last[target] = now
            }
          }
        }
        for (const does of ['takes', 'arrives', 'told', 'hears'])
          for (const who of [1, 2]) for (let left = 0; left < 130; left++) run(who, does)
        t.strictSame(wrong, [])
        t.equal(main.ams! + main.fra!, sent)
        for (const { shared } of seen)
          for (const target of TARGETS) t.equal(shared.tally.dispatched[target] ?? 0, main[target])
      }),
      { numRuns: 60 },
    )
    t.end()
  })

  const SITES = ['ams', 'fra', 'lon'] as const
  const someChange = fc.oneof(
    fc.record({
      kind: fc.constant('samples-arrived' as const),
      samples: fc.array(
        fc.record({
          signal: fc.constantFrom('queue.depth', 'power.draw_mw', 'gpu.free', 'made.up'),
          site: fc.constantFrom(...SITES),
          value: fc.integer({ min: 0, max: 40 }),
          ...{ source: fc.constant('feed'), dispatchedBefore: fc.integer({ min: 0, max: 9 }) },
        }),
        { maxLength: 6 },
      ),
    }),
    fc.record({ kind: fc.constant('time-passed' as const) }),
    fc.record({ kind: fc.constant('clusters-known' as const), clusters: fc.subarray([...SITES]) }),
    fc.record({
      kind: fc.constant('documents-accepted' as const),
      ladder: fc.shuffledSubarray([...SITES], { minLength: 1 }),
    }),
  )

  const setOf = (ladder: readonly string[]) => ({
    ...{ sites: SITES.map((name) => site(name)), residencies: [], factSources: [], readiness: [], cohorts: [] },
    ...{
      rollouts: [],
      tests: [],
      classes: [],
      policies: [policy([ladder], { signals: { 'queue.depth': max(20, 10) } })],
    },
  })

  t.test('whoever joins on the way makes the same snapshot, part by part, and another one is noticed', (t) => {
    fc.assert(
      fc.property(fc.array(someChange, { minLength: 2, maxLength: 25 }), fc.nat(24), (changes, at) => {
        const world = new World(setOf(['ams', 'fra']))
        let now = T0
        const feed = createFeed({ data: () => world.snapshot.data, dispatched: {} })
        const { channel, frames } = kept()
        for (const [index, change] of changes.entries()) {
          if (index === at % changes.length) feed.join(1, channel, (rest) => frameOf('begin', JSON.stringify(rest)))
          now += 700
          const whole = {
            ...{ at: now, source: 'test', version: 'v', nonce: 'n', hash: 'h', problems: [] },
            ...change,
            ...('samples' in change
              ? { samples: change.samples.map((sample) => ({ ...sample, at: now })), heartbeats: [] }
              : {}),
            ...('ladder' in change ? { set: setOf(change.ladder) } : {}),
          } as unknown as Change
          world.apply(whole)
          feed.changed(whole)
        }
        const parts = partsOf(world.snapshot.data).length
        for (let count = 0; count < parts; count++) feed.check()
        feed.close()
        const differs: string[] = []
        let there: World['snapshot'] | undefined
        const compiler = createFlagCompiler()
        const applying = createApplying({
          apply: (change) => {
            there = fold(there!, change).snapshot
          },
          data: () => there!.data,
          compiler,
          hashes: () => [],
          differs: (why) => differs.push(why),
        })
        const { compile } = world.snapshot.programs
        let checks = 0
        for (const { name, payload } of frames) {
          const said = JSON.parse(payload.toString())
          if (name === 'begin') there = recompile(said.data, compile, compiler.compile)
          else if (name === 'feed') applying.feed(said)
          else if (name === 'check') {
            checks += 1
            applying.check(said)
          }
        }
        t.strictSame(differs, [])
        t.equal(checks, parts)
        t.equal(JSON.stringify(there!.data), JSON.stringify(world.snapshot.data))
        const queue = there!.data.columns['queue.depth']
        if (queue === undefined) return
        there = {
          ...there!,
          data: { ...there!.data, columns: { ...there!.data.columns, 'queue.depth': { ...queue, value: [1, 2, 99] } } },
        }
        const wrong = partsOf(world.snapshot.data).filter(
          (part) => digestOf(there!.data, part) !== digestOf(world.snapshot.data, part),
        )
        t.strictSame(wrong, [{ path: ['columns', 'queue.depth', 'value'] }].slice(0, wrong.length))
        t.equal(wrong.length, 1)
      }),
      { numRuns: 40 },
    )
    t.end()
  })

  t.test('flags are compiled before they are in force, and what comes after them waits', async (t) => {
    const flags = Object.fromEntries(
      Array.from({ length: 3_000 }, (_, i) => [
        `flag-${i}`,
        {
          state: 'ENABLED',
          variants: { on: i, off: -1 },
          defaultVariant: 'on',
          targeting: { if: [{ '==': [i, i] }, 'off', 'on'] },
        },
      ]),
    )
    const { set } = readFlags(JSON.stringify({ flags }), 'flags.json')
    const compiler = createFlagCompiler()
    const made: string[] = []
    const differs: string[] = []
    const over = new Promise<void>((resolve) => {
      const applying = createApplying({
        apply: (change) => {
          if (change.kind === 'flags-accepted') t.equal(compiler.compiled(), 3_000, 'all are compiled by then')
          made.push(change.kind)
          if (made.length === 3) setImmediate(resolve)
        },
        data: () => ({ revision: made.length }) as never,
        compiler,
        hashes: () => Object.values(set!.flags).map(({ hash }) => hash),
        differs: (why) => differs.push(why),
      })
      const accepted = { kind: 'flags-accepted', set } as unknown as Change
      applying.feed({ changes: [accepted, { kind: 'time-passed', at: T0 }], revision: 2 })
      applying.feed({ changes: [{ kind: 'clusters-known', at: T0, clusters: null }], revision: 4 })
      t.strictSame(made, [], 'nothing overtakes them')
    })
    await over
    t.strictSame(made, ['flags-accepted', 'time-passed', 'clusters-known'])
    t.match(differs, [/revision 3 where 4 should be/])
  })

  t.test('an entry of the access log waits for its decision, and not for ever', (t) => {
    const known = new Set<string>()
    const given: string[] = []
    const early = createEarlyEntries(
      (id) => known.has(id),
      (entries) => given.push(...entries.map(({ decision }) => decision)),
    )
    const entry = (decision: string) => ({ decision }) as AccessEntry
    known.add('known')
    early.take([entry('known'), entry(''), entry('early'), entry('foreign')], T0)
    t.strictSame(given, ['known', ''])
    early.take([entry('early')], T0 + 10)
    early.decided(['another', 'early'])
    t.strictSame(given, ['known', '', 'early', 'early'])
    early.look(T0 + 900)
    t.equal(given.length, 4)
    early.look(T0 + 1_001)
    t.strictSame(given.splice(0).at(-1), 'foreign')
    const flood = Array.from({ length: 20_000 }, (_, i) => entry(`flood-${i % 19_000}`))
    early.take(flood, T0)
    t.equal(given.length, 20_000 - 16_384, 'a flood does not fill the memory')
    early.look(T0 - 60_000)
    t.equal(given.length, 20_000, 'nor does a clock that was set back')
    t.end()
  })

  t.test('what is counted elsewhere is added as if it had been counted here', async (t) => {
    const [here, there, taken] = [createMetrics(), createHandedMetrics(), createMetrics()]
    for (const metrics of [here, there, taken]) metrics.know('class', ['chat'])
    const count = (metrics: typeof here) => {
      metrics.add('hubward_no_policy_total', 2, 'chat')
      metrics.add('hubward_no_policy_total', 1, 'whatever a client wrote')
      metrics.observeMs('hubward_request_seconds', 0.05)
      metrics.observeMs('hubward_request_seconds', 3)
      metrics.observeMs('hubward_hold_seconds', 800, 'chat', 'released')
    }
    for (let round = 0; round < 3; round++) {
      count(here)
      count(there)
      addCounted(taken, JSON.parse(JSON.stringify(there.take())))
    }
    t.strictSame(there.take(), { counters: [], histograms: [] }, 'nothing is told twice')
    t.equal(await taken.text(), await here.text())
  })

  t.test('a main process that lags is told less, and how much less; counters come later and whole', async (t) => {
    const ends = kept()
    const [shared, metrics] = [createSharedTally(1, []), createHandedMetrics()]
    metrics.know('class', ['chat'])
    const journal = createHandedJournal({
      ...{ share: 1, movedPerSecond: 100, isJob: () => false, chance: () => 0, classNames: () => new Set(['chat']) },
      record: ({ decision }) => ({ kind: 'decision', decision }) as never,
      bug: (error) => t.fail(String(error)),
    })
    const handover = createHandover({
      ...{ channel: ends.channel, tally: shared, metrics, journal },
      state: () => ({ active: 1, heldBytes: 0, loopDelayMs: 2 }),
    })
    const decide = (id: string) => {
      const decision = { ...decisionOf({ action: 'deny', status: 503 }), id } as Decision
      handover.decided({ extra: {} } as unknown as Facts, decision, T0, {
        reserve: 'declared',
        dispatch: true,
        dryRun: false,
      })
      journal.keep({ decision } as never, journal.wants(decision, id)!)
      shared.tally.dispatch('ams/h100')
      metrics.add('hubward_no_policy_total', 1, 'chat')
    }
    const framed = () => Object.fromEntries(ends.frames.splice(0).map(({ name, payload }) => [name, payload]))
    ends.waiting = 17 * 1_048_576
    for (const id of ['a', 'b']) decide(id)
    handover.entries([{ decision: 'a' } as AccessEntry])
    handover.flush()
    t.strictSame(framed(), {}, 'nothing is written to a full pipe')
    ends.waiting = 0
    decide('c')
    handover.flush()
    const { decided: batch, turnedAway, records, counts } = framed()
    t.strictSame(
      readBatch(batch!).decided.map(({ decision }) => decision.id),
      ['c'],
    )
    t.strictSame(readBatch(batch!).sent, [['ams/h100', 3]], 'what was sent is never lost')
    t.equal(JSON.parse(turnedAway!.toString()).length, 1)
    t.equal(JSON.parse(records!.toString()).decision.id, 'c')
    t.match(JSON.parse(counts!.toString()), {
      dropped: { decisions: 2, records: 2, entries: 1, refusals: 2 },
      counted: { counters: [['hubward_no_policy_total', 3, ['chat']]] },
    })
  })

  t.test('what only the main process decides is answered by it, bytes for bytes', (t) => {
    const ends = kept()
    const { channel, frames } = ends
    const counted: string[] = []
    const decider: Handlers = {
      process: (message, stream) => {
        if (message.toString() === 'headers of a body') {
          stream.waiting = message
          return Buffer.from('pass on')
        }
        throw new MainDecides('a job')
      },
      check: () => {
        throw new MainDecides('a job')
      },
      failed: () => t.fail('it is no failure'),
    }
    const relay = relaying(decider, channel, (result) => counted.push(result))
    const asked: string[] = []
    const again: string[] = []
    let left = 0
    const main: Handlers = {
      process: (message, stream) => {
        asked.push(message.toString())
        if (message.toString() === 'wrong') throw new Error('a mistake')
        stream.gone = () => {
          left += 1
        }
        return Buffer.from(`answer to ${message}`)
      },
      check: () => Buffer.alloc(0),
      failed: () => {},
    }
    const pass = (): void => {
      for (const { name, payload } of frames.splice(0)) {
        if (name === 'relay') end.message(payload)
        else if (name === 'relayGone') end.gone(payload)
        else relay.answered(payload, name === 'answer')
      }
    }
    const uncounted: Handlers['process'] = (message, stream) => {
      again.push(message.toString())
      return main.process(message, stream)
    }
    const end = relayEnd(() => main, uncounted, channel.write)
    const stream = (): { state: StreamState; said: string[] } => {
      const said: string[] = []
      const state = { send: (answer: Buffer) => said.push(answer.toString()), fail: () => said.push('failed') }
      return { state: state as StreamState, said }
    }
    const [plain, bodied, broken] = [stream(), stream(), stream()]
    t.equal(relay.handlers.process(Buffer.from('a job'), plain.state), undefined)
    t.equal(relay.handlers.process(Buffer.from('headers of a body'), bodied.state)?.toString(), 'pass on')
    t.equal(relay.handlers.process(Buffer.from('body'), bodied.state), undefined)
    relay.handlers.process(Buffer.from('wrong'), broken.state)
    pass()
    pass()
    t.strictSame(again, ['headers of a body'], 'what was counted there is not counted again')
    t.strictSame(asked, ['a job', 'headers of a body', 'body', 'wrong'])
    t.strictSame([plain.said, bodied.said, broken.said], [['answer to a job'], ['answer to body'], ['failed']])
    t.ok(plain.state.decided, 'and it is not decided twice')
    for (const { state } of [plain, bodied, broken]) state.gone?.()
    pass()
    t.equal(left, 2, 'whoever leaves has left there as well')
    t.throws(() => relay.handlers.process(Buffer.from('a job'), {}), /only the main process/, 'nobody to answer later')
    ends.waiting = 17 * 1_048_576
    t.throws(() => relay.handlers.process(Buffer.from('a job'), stream().state), /only the main process/, 'a full pipe')
    t.strictSame(frames, [])
    try {
      relay.handlers.check(Buffer.alloc(0))
    } catch (error) {
      relay.handlers.failed(error, 'ext_authz')
    }
    t.strictSame(counted, ['relayed', 'relayed', 'relayed', 'refused'])
    t.end()
  })

  t.test('processes have listeners, shares of what is held, and keys of their own', (t) => {
    const listeners = [
      { unix: '/run/envoy.sock', mode: 0o660 },
      { host: '127.0.0.1', port: 50_051 },
      { host: '::1', port: 0 },
    ]
    t.strictSame(listenersOf(listeners, 0), listeners)
    t.strictSame(listenersOf(listeners, 2), [
      { unix: '/run/envoy.sock.2', mode: 0o660 },
      { host: '127.0.0.1', port: 50_053 },
      { host: '::1', port: 0 },
    ])
    for (const [countMax, processes] of [
      [256, 1],
      [256, 3],
      [2, 5],
    ] as const) {
      const hold = { msMax: 10_000, countMax, bytesMax: 1_000_003 }
      const shares = Array.from({ length: processes }, (_, index) => shareOfHold(hold, processes, index))
      t.equal(
        shares.reduce((sum, one) => sum + one.countMax, 0),
        countMax,
      )
      t.equal(
        shares.reduce((sum, one) => sum + one.bytesMax, 0),
        hold.bytesMax,
      )
    }
    const secret = (fill: number): string => Buffer.alloc(32, fill).toString('base64url')
    const { keys } = parseSigningKeys(`new ${secret(1)}\nold ${secret(2)}\n`)
    const there = keysOf(JSON.parse(JSON.stringify(writtenKeys(keys!))))
    t.equal(there.current, 'new')
    t.strictSame([...there.secrets.keys()], ['new', 'old'])
    t.ok(there.secrets.get('old')!.equals(keys!.secrets.get('old')!))
    t.end()
  })

  t.test('listeners that several processes would share are told by the configuration', (t) => {
    const told = (listeners: object[], processes: number, more: object = {}): string[] => {
      const settings = [`processes=${processes}`]
      const file = join(tmpdir(), `hubward-processes-${process.pid}.json`)
      writeFileSync(file, JSON.stringify({ listeners, documents: [{ name: 'd', dir: 'd' }], ...more }))
      t.teardown(() => rmSync(file, { force: true }))
      return readConfig({ file, environment: {}, settings }).problems.map(({ code, message }) => `${code} ${message}`)
    }
    t.strictSame(told([{ address: '127.0.0.1:7000' }, { address: '127.0.0.1:7003' }], 3), [])
    t.match(told([{ address: '127.0.0.1:7000' }, { address: '127.0.0.1:7002' }], 3), [
      /config\/processes process 0 would listen on 127\.0\.0\.1:7002/,
    ])
    t.match(told([{ address: '127.0.0.1:65535' }], 2), [/config\/processes there is no port 65536/])
    t.match(told([{ socket: '/run/a' }, { socket: '/run/a.1' }], 2), [/config\/processes .*\/run\/a\.1/])
    t.strictSame(told([{ socket: '/run/a' }, { socket: '/run/a.1' }], 1), [])
    for (const [all, one] of [
      ['0.0.0.0', '127.0.0.1'],
      ['[::]', '127.0.0.1'],
      ['localhost', '[::1]'],
    ]) {
      t.match(told([{ address: `${all}:7000` }, { address: `${one}:7001` }], 2), [/config\/processes .*:7001/])
      t.match(told([{ address: `${one}:7000` }, { address: `${all}:7001` }], 2), [/config\/processes .*:7001/])
    }
    t.strictSame(told([{ address: '0.0.0.0:7000' }, { address: '[::1]:7001' }], 2), [])
    t.match(told([{ address: '127.0.0.1:9469' }], 2), [/config\/processes .*:9470, which another has/], 'admin')
    const sync = { openfeature: { sync: { address: '127.0.0.1:7001' } } }
    t.match(told([{ address: '127.0.0.1:7000' }], 2, sync), [/config\/processes .*:7001/])
    t.match(told([{ socket: '/run/a' }], 3, { openfeature: { sync: { socket: '/run/a.2' } } }), [/a\.2, which another/])
    t.strictSame(told([{ socket: `/run/${'a'.repeat(100)}` }], 10), [])
    t.match(told([{ socket: `/run/${'ä'.repeat(50)}` }], 11), [/config\/processes process 10 .*107 bytes/])
    t.match(told([{ socket: '/run/a' }], 65), [/config\/setting "65" is no value/])
    t.end()
  })
}
