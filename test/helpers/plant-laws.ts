import fc from 'fast-check'
import type { Test } from 'tap'
import { manualClock } from '../../src/simulator/clock.ts'
import { loopAt, storedKj } from '../../src/simulator/facility/loop.ts'
import { Meters } from '../../src/simulator/facility/meters.ts'
import { orderPlant } from '../../src/simulator/facility/orders.ts'
import { PLANT_DEFAULTS, Plant } from '../../src/simulator/facility/plant.ts'
import { Prices } from '../../src/simulator/facility/prices.ts'

const plantOf = () => {
  const clock = manualClock(1_800_000_000_000)
  const plant = new Plant(PLANT_DEFAULTS, clock)
  const prices = new Prices()
  const order = (value: object) => orderPlant(plant, prices, value)
  const pass = (ms: number) => {
    clock.advance(ms)
    plant.advance()
  }
  return { clock, plant, prices, order, pass, meters: new Meters(plant) }
}

/** The physics of the simulated plant, and the ways in which its meters lie. */
export const plantLaws = (t: Test): void => {
  t.test('heat is conserved: what goes into a loop warms its water or is taken away', async (t) => {
    const step = fc.record({
      mw: fc.double({ min: 0, max: 8, noNaN: true }),
      pump: fc.double({ min: 0, max: 1, noNaN: true }),
      ambient: fc.constant(20),
      ms: fc.integer({ min: 50, max: 60_000 }),
    })
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 8 }), (steps) => {
        const { plant, order, pass } = plantOf()
        const [loop] = plant.loops
        const before = storedKj(loop!, 20)
        for (const { mw, pump, ms } of steps) {
          order({ do: 'job', id: 'one', loop: 'cdu-1', mw, rampS: 1 })
          order({ do: 'pump', loop: 'cdu-1', ratio: pump })
          pass(ms)
        }
        const error = loop!.inKj - loop!.outKj - (storedKj(loop!, 20) - before)
        return Math.abs(error) < 1e-6 * Math.max(1, loop!.inKj)
      }),
      { numRuns: 300 },
    )
    t.pass('300 histories')
  })

  t.test('more heat, less flow or a warmer day never cool a loop', async (t) => {
    const supplyAfter = (mw: number, pump: number, ambient: number): number => {
      const { plant, order, pass } = plantOf()
      order({ do: 'job', id: 'one', loop: 'cdu-1', mw, rampS: 1 })
      order({ do: 'pump', loop: 'cdu-1', ratio: pump })
      order({ do: 'ambient', c: ambient })
      pass(120_000)
      return plant.loops[0]!.supplyC
    }
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 6, noNaN: true }),
        fc.double({ min: 0.05, max: 1, noNaN: true }),
        fc.double({ min: 10, max: 45, noNaN: true }),
        (mw, pump, ambient) =>
          supplyAfter(mw, pump, ambient) <= supplyAfter(mw + 1, pump, ambient) + 1e-9 &&
          // On a hot day water that stands still also warms more slowly.
          supplyAfter(mw, pump, 20) <= supplyAfter(mw, pump / 2, 20) + 1e-9 &&
          supplyAfter(mw, pump, ambient) <= supplyAfter(mw, pump, ambient + 5) + 1e-9,
      ),
      { numRuns: 60 },
    )
    const { plant, order, pass } = plantOf()
    order({ do: 'job', id: 'one', loop: 'cdu-1', mw: 6, rampS: 1 })
    pass(600_000)
    t.ok(Math.abs(plant.loops[0]!.supplyC - 40) < 0.1, 'at its capacity it settles at its limit')
    t.equal(loopAt(PLANT_DEFAULTS.loops[0]!).supplyC, 20)
  })

  t.test('a failed pump takes the margin within minutes, and pausing the job in time keeps it', async (t) => {
    const { plant, order, pass } = plantOf()
    order({ do: 'job', id: 'tuning', loop: 'cdu-1', mw: 3, rampS: 1 })
    pass(300_000)
    t.ok(plant.loops[0]!.supplyC < 31)
    order({ do: 'pump', loop: 'cdu-1', ratio: 0 })
    pass(20_000)
    const warm = plant.loops[0]!.supplyC
    t.ok(warm > 31 && warm < 40, `on its way: ${warm}`)
    order({ do: 'pause-job', id: 'tuning' })
    pass(60_000)
    t.ok(plant.loops[0]!.supplyC < 40, 'it never reached its limit')
    order({ do: 'pause-job', id: 'tuning', on: false })
    pass(120_000)
    t.ok(plant.loops[0]!.supplyC > 40, 'and would have, had it gone on')
  })

  t.test(
    'power follows jobs by their ramp and the weather by its PUE; an order of the grid ends by itself',
    async (t) => {
      const { plant, order, pass } = plantOf()
      t.equal(plant.drawMw, 2 * 1.15)
      order({ do: 'job', id: 'training', loop: 'cdu-1', mw: 4, rampS: 2 })
      pass(1_000)
      t.ok(Math.abs(plant.itMw - 4) < 1e-6, 'half of it after half the ramp')
      pass(2_000)
      t.ok(Math.abs(plant.drawMw - 6 * 1.15) < 1e-6)
      order({ do: 'ambient', c: 40 })
      t.ok(Math.abs(plant.drawMw - 6 * 1.15 * 1.2) < 1e-6, 'a fifth more at ten degrees above the design')
      order({ do: 'grid', limitMw: 5, emergency: true, forMs: 10_000 })
      t.equal(plant.allowedMw, 5)
      pass(10_000)
      t.equal(plant.allowedMw, 12)
      t.equal(plant.now.gridEmergency, false)
    },
  )

  t.test('meters lie in each of their ways, and tell the truth again', async (t) => {
    const { plant, order, pass, meters, clock } = plantOf()
    const draw = () => meters.read('power.draw_mw')
    const honest = plant.drawMw
    const is = (fault: string, more = {}) => order({ do: 'meter', name: 'power.draw_mw', fault, ...more })
    pass(1_000)
    t.strictSame(draw(), { value: honest, at: clock.now() })
    is('stuck')
    draw()
    order({ do: 'load', mw: 3 })
    t.strictSame(draw(), { value: honest, at: clock.now() }, 'an old value with a new time')
    is('offset', { by: -2 })
    t.equal(draw()!.value, plant.drawMw - 2)
    is('spike', { by: 100 })
    t.equal([draw(), draw(), draw()].filter((one) => one!.value! > 90).length, 1)
    is('null')
    t.equal(draw()!.value, null)
    is('silent')
    t.equal(draw(), undefined)
    is('late', { ms: 5_000 })
    pass(1_000)
    t.equal(draw()!.at, clock.now() - 5_000)
    is('well')
    t.strictSame(draw(), { value: plant.drawMw, at: clock.now() })
  })

  t.test('meters have noise where nothing changes, and one that is stuck has none', async (t) => {
    const { plant, order } = plantOf()
    const noisy = new Meters(plant, 0.001)
    const draws = () => Array.from({ length: 50 }, () => noisy.read('power.draw_mw')!.value!)
    const all = draws()
    t.equal(new Set(all).size, 50)
    t.ok(all.every((value) => Math.abs(value / plant.drawMw - 1) <= 0.001))
    order({ do: 'meter', name: 'power.draw_mw', fault: 'stuck' })
    t.equal(new Set(draws()).size, 1)
    t.equal(noisy.read('cdu-1/capacity_kw')!.value, noisy.read('cdu-1/capacity_kw')!.value)
  })

  t.test('orders that make no sense are told so', async (t) => {
    const { order } = plantOf()
    t.match(order({ do: 'melt' }), /must be one of load, pump/)
    t.match(order({ do: 'pump', loop: 'cdu-9', ratio: 0 }), /no loop cdu-9/)
    t.match(order({ do: 'pump', loop: 'cdu-1', ratio: 2 }), /pump.ratio must be a number from 0 to 1/)
    t.match(order({ do: 'pump', loop: 'cdu-1', ratio: 0, now: true }), /no field "now"/)
    t.match(order({ do: 'meter', name: 'thermometer' }), /no meter thermometer; there are power.draw_mw/)
    t.match(orderPlant(plantOf().plant, new Prices(), 'pump'), /send a JSON object/)
  })

  t.test('prices go on hour by hour, or as they are told', async (t) => {
    const { prices, order, clock } = plantOf()
    const day = prices.ahead(clock.now(), 24).map(({ price }) => price)
    t.ok(Math.max(...day) > 2 * Math.min(...day), 'peaks cost more than twice the night')
    order({ do: 'prices', steps: [90, 40], stepMs: 10_000 })
    t.strictSame(
      prices.ahead(clock.now() + 5_000, 3).map(({ price }) => price),
      [90, 40, 40],
    )
  })
}
