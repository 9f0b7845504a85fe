import fc from 'fast-check'
import type { Test } from 'tap'
import { HoldOrder, QUANTUM, type Waiting } from '../../src/engine/hold-order.ts'
import type { Judged } from '../../src/envoy/serving.ts'
import type { Decision } from '../../src/model/decision.ts'
import { type Held, HoldingRoom, type HoldOutcome } from '../../src/sidecar/hold.ts'
import { createRoomLeft } from '../../src/sidecar/hold-room-left.ts'
import { max, policy, site, World } from './world.ts'

const waiting = (tenant: string, deadline: number, over: Partial<Waiting> = {}): Waiting => ({
  tenant,
  deadline,
  critical: false,
  cost: 1_000,
  ...over,
})

/** A room whose clock and turns are driven by the test. */
const roomOf = (limits = { msMax: 10_000, countMax: 1_000, bytesMax: 1_000_000 }) => {
  let now = 0
  const timers = new Map<object, { at: number; run: () => void }>()
  let turns: (() => void)[] = []
  const ended: [id: string, outcome: HoldOutcome, heldMs: number][] = []
  const bugs: unknown[] = []
  const room = new HoldingRoom(limits, {
    now: () => now,
    timer: (ms, run) => {
      const key = {}
      timers.set(key, { at: now + ms, run })
      return () => timers.delete(key)
    },
    soon: (run) => void turns.push(run),
    began: () => {},
    ended: (held, outcome, heldMs) => ended.push([(held as Named).id, outcome, heldMs]),
    bug: (error) => bugs.push(error),
  })
  const turn = (): void => {
    while (turns.length > 0) {
      const due = turns
      turns = []
      for (const run of due) run()
    }
  }
  const pass = (ms: number): void => {
    const end = now + ms
    for (;;) {
      const next = [...timers].filter(([, { at }]) => at <= end).sort((a, b) => a[1].at - b[1].at)[0]
      if (next === undefined) break
      now = Math.max(now, next[1].at)
      timers.delete(next[0])
      next[1].run()
    }
    now = end
  }
  return { room, ended, bugs, turn, pass, now: () => now }
}

type Named = Held & { readonly id: string }

const ANSWER = (word: string): Judged => ({ decision: { id: word } as Decision })

/** The order in which held requests are let go, and that none of them is lost. */
export const holdLaws = (t: Test): void => {
  t.test('held requests: critical first, tenants in turn, the earliest deadline inside one', async (t) => {
    const order = new HoldOrder<Waiting & { readonly name: string }>()
    const add = (name: string, tenant: string, deadline: number, over: Partial<Waiting> = {}) =>
      order.add({ ...waiting(tenant, deadline, over), name })
    add('a2', 'a', 20)
    add('a1', 'a', 10)
    add('a3', 'a', 30)
    add('b1', 'b', 40)
    add('urgent', 'c', 99, { critical: true })
    t.strictSame(
      order.release(() => 'go').map(({ name }) => name),
      ['urgent', 'a1', 'b1', 'a2', 'a3'],
    )
    t.equal(order.size, 0)
    add('large', 'a', 10, { cost: QUANTUM * 3 })
    for (const n of [1, 2, 3, 4]) add(`small${n}`, 'b', n, { cost: QUANTUM })
    t.strictSame(
      order.release(() => 'go').map(({ name }) => name),
      ['small1', 'small2', 'large', 'small3', 'small4'],
      'a large request saves up for its turn and then has it',
    )
  })

  t.test(
    'held requests: what can go goes, whoever stands in front of it, and nobody is asked twice in a round',
    async (t) => {
      const one = fc.record({
        tenant: fc.constantFrom('a', 'b', 'c'),
        deadline: fc.integer({ min: 0, max: 50 }),
        critical: fc.boolean(),
        cost: fc.integer({ min: 1, max: QUANTUM * 4 }),
        fits: fc.boolean(),
      })
      fc.assert(
        fc.property(fc.array(one, { maxLength: 40 }), (all) => {
          const order = new HoldOrder<(typeof all)[number]>()
          for (const each of all) order.add(each)
          const asked: unknown[] = []
          const gone = order.release((each) => {
            asked.push(each)
            return each.fits ? 'go' : 'stay'
          })
          const left = order.all()
          return (
            new Set(asked).size === asked.length &&
            gone.length === all.filter(({ fits }) => fits).length &&
            gone.length + left.length === all.length &&
            order.size === left.length &&
            left.every((each) => all.includes(each) && !gone.includes(each))
          )
        }),
        { numRuns: 2_000 },
      )
      t.pass('2,000 rooms')
    },
  )

  t.test('held requests: a cost beyond all measure is waited for no longer than a long one', async (t) => {
    for (const cost of [1e9, Number.MAX_VALUE, Number.POSITIVE_INFINITY]) {
      const order = new HoldOrder<Waiting & { readonly name: string }>()
      order.add({ ...waiting('a', 1, { cost }), name: 'endless' })
      for (let n = 0; n < 40; n++) order.add({ ...waiting('b', n), name: `b${n}` })
      const gone = order.release(() => 'go').map(({ name }) => name)
      t.equal(gone.indexOf('endless'), 31, 'it has its turn after 32 rounds, as a whole context would')
      t.equal(gone.length, 41)
    }
  })

  t.test('held requests: no tenant starves beside one that floods', async (t) => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: QUANTUM }), (mine, cost) => {
        const order = new HoldOrder<Waiting>()
        for (let n = 0; n < 500; n++) order.add(waiting('flood', n, { cost: 1 }))
        for (let n = 0; n < mine; n++) order.add(waiting('mine', 1_000 + n, { cost }))
        let free = mine * 2
        const gone = order.release(() => (free-- > 0 ? 'go' : 'stop'))
        return gone.filter(({ tenant }) => tenant === 'mine').length >= mine - 1
      }),
      { numRuns: 500 },
    )
    t.pass('half of what is let go is the quiet tenant, whatever the other one sends')
  })

  t.test('the room: every request gets exactly one answer or has left, and none stays past its time', async (t) => {
    const step = fc.oneof(
      fc.record({
        do: fc.constant('come' as const),
        tenant: fc.constantFrom('a', 'b'),
        ms: fc.integer({ min: 1, max: 5_000 }),
      }),
      fc.record({ do: fc.constant('leave' as const), which: fc.nat(50) }),
      fc.record({ do: fc.constant('free' as const), places: fc.integer({ min: 0, max: 5 }), throws: fc.boolean() }),
      fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 3_000 }) }),
    )
    let outcomes = new Set<string>()
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, stops) => {
        const { room, ended, turn, pass, now } = roomOf({ msMax: 5_000, countMax: 10, bytesMax: 100 })
        const answers = new Map<string, number>()
        const left = new Set<string>()
        const cancels: (() => void)[] = []
        const came: { id: string; until: number }[] = []
        let places = 0
        let throws = false
        for (const each of steps) {
          if (each.do === 'come') {
            if (!room.hasRoom(10)) {
              if (room.size < 10 && room.bytes + 10 <= 100) return false
              continue
            }
            const id = `r${came.length}`
            const held: Named = {
              id,
              class: 'chat',
              critical: false,
              tenant: each.tenant,
              deadline: now() + each.ms,
              cost: 1_000,
              bytes: 10,
              since: now(),
              until: now() + each.ms,
              again: () => {
                if (throws) throw new Error('a mistake')
                return places-- > 0 ? ANSWER(id) : undefined
              },
              last: () => ANSWER(id),
              done: () => answers.set(id, (answers.get(id) ?? 0) + 1),
            }
            came.push({ id, until: held.until })
            const cancel = room.add(held)
            cancels.push(() => {
              if (!answers.has(id)) left.add(id)
              cancel()
            })
          } else if (each.do === 'leave') cancels[each.which]?.()
          else if (each.do === 'pass') pass(each.ms)
          else {
            places = each.places
            throws = each.throws
            room.wake()
            turn()
            throws = false
            places = 0
          }
          if (came.some(({ id, until }) => until <= now() && !answers.has(id) && !left.has(id))) return false
        }
        if (stops) room.stop()
        else pass(6_000)
        outcomes = new Set([...outcomes, ...ended.map(([, outcome]) => outcome)])
        return (
          room.size === 0 &&
          room.bytes === 0 &&
          ended.length === came.length &&
          ended.every(([, , heldMs]) => heldMs >= 0 && heldMs <= 5_000) &&
          came.every(({ id }) => (left.has(id) ? !answers.has(id) : answers.get(id) === 1))
        )
      }),
      { numRuns: 3_000 },
    )
    t.strictSame(
      [...outcomes].sort(),
      ['cancelled', 'failed', 'released', 'stopped', 'timed-out'],
      'all ends were reached',
    )
  })

  t.test('the room: who stands behind hundreds that can not go is asked all the same', async (t) => {
    const { room, ended, turn } = roomOf()
    let asked = 0
    for (let n = 0; n < 300; n++) {
      const held: Named = {
        ...waiting('one', n),
        ...{ id: `r${n}`, class: 'chat', bytes: 1, since: 0, until: 5_000 },
        again: () => {
          asked += 1
          return n === 299 ? ANSWER('last') : undefined
        },
        last: () => ANSWER('late'),
        done: () => {},
      }
      room.add(held)
    }
    room.wake()
    room.wake()
    turn()
    t.strictSame(ended, [['r299', 'released', 0]])
    t.equal(asked, 300, 'each of them once')
    room.wake()
    turn()
    t.equal(asked, 599, 'and once more after the next change')
    room.stop()
    t.equal(room.size, 0)
  })

  t.test(
    'the room: no more are let go than the newest measurement leaves room for, whichever feed made it',
    async (t) => {
      for (const told of [true, false]) {
        const world = new World({
          sites: [site('ams')],
          policies: [policy([['ams']], { signals: { 'queue.depth': max(40) } })],
        })
        const roomLeft = createRoomLeft(world.tally)
        const sent = () => world.tally.dispatched['ams/default'] ?? 0
        const measure = (depth: number) =>
          world.samples({ ams: { 'queue.depth': depth } }, told ? { dispatchedBefore: sent() } : {})
        const letGo = () => {
          let gone = 0
          const program = world.snapshot.programs.policies.values().next().value
          while (gone < 100 && roomLeft(world.snapshot, program, 'ams/default') > 0) {
            world.tally.dispatched['ams/default'] = sent() + 1
            gone += 1
          }
          return gone
        }
        measure(38)
        t.equal(letGo(), 2, 'two below the limit')
        t.equal(letGo(), 0, 'and none more on the same measurement')
        world.now += 1_000
        measure(40)
        t.equal(letGo(), 1, 'one on a new one that is at its limit')
      }
      const world = new World({ sites: [site('ams', { pool: { capacity: 3 } })], policies: [policy([['ams']])] })
      const roomLeft = createRoomLeft(world.tally)
      for (const _ of [1, 2]) {
        world.now += 1_000
        world.samples({})
        let gone = 0
        while (gone < 100 && roomLeft(world.snapshot, undefined, 'ams/default') > 0) {
          world.tally.dispatched['ams/default'] = (world.tally.dispatched['ams/default'] ?? 0) + 1
          gone += 1
        }
        t.equal(gone, 3, 'where nothing is measured, its capacity with each change')
      }
    },
  )
}
