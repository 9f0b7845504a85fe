import type { MeterFault, Plant } from './plant.ts'
import type { Prices } from './prices.ts'

interface Field {
  readonly kind: 'number' | 'text' | 'flag' | 'numbers'
  readonly min?: number
  readonly max?: number
  readonly absent?: unknown
}

interface OrderRow {
  readonly fields: Readonly<Record<string, Field>>
  /** One line for GET /. */
  readonly says: string
  readonly run: (plant: Plant, prices: Prices, order: Readonly<Record<string, never>>) => string | undefined
}

const number = (min: number, max: number, absent?: number): Field => ({
  kind: 'number',
  min,
  max,
  ...(absent === undefined ? {} : { absent }),
})
const flag: Field = { kind: 'flag', absent: true }
const text = (absent?: string): Field => ({ kind: 'text', ...(absent === undefined ? {} : { absent }) })

type Given<Type> = Readonly<Record<string, Type>>

const loopOf = (plant: Plant, name: string) => plant.loops.find(({ options }) => options.name === name)

const FAULTS = ['stuck', 'offset', 'spike', 'null', 'silent', 'late', 'well'] as const

/** Every order to a plant. To add one, add a row: reading and GET / follow it. */
export const PLANT_ORDERS: Readonly<Record<string, OrderRow>> = {
  load: {
    fields: { mw: number(-1_000, 10_000) },
    says: 'so many MW are drawn beyond jobs and requests',
    run: (plant, _prices, order) => {
      plant.now.extraMw = (order as Given<number>).mw!
      return undefined
    },
  },
  pump: {
    fields: { loop: text(), ratio: number(0, 1) },
    says: 'the pump of a loop runs at that share of its flow; 0: it has failed',
    run: (plant, _prices, order) => {
      const { loop, ratio } = order as unknown as { loop: string; ratio: number }
      const found = loopOf(plant, loop)
      if (found === undefined) return `there is no loop ${loop}`
      found.pump = ratio
      return undefined
    },
  },
  foul: {
    fields: { loop: text(), ratio: number(0, 1) },
    says: 'that share of the heat exchanger of a loop is clogged',
    run: (plant, _prices, order) => {
      const { loop, ratio } = order as unknown as { loop: string; ratio: number }
      const found = loopOf(plant, loop)
      if (found === undefined) return `there is no loop ${loop}`
      found.fouling = ratio
      return undefined
    },
  },
  ambient: {
    fields: { c: number(-40, 60) },
    says: 'the air outside; above 30 degrees PUE and cold water get worse',
    run: (plant, _prices, order) => {
      plant.now.ambientC = (order as Given<number>).c!
      return undefined
    },
  },
  leak: {
    fields: { on: flag },
    says: 'a leak detector is wet',
    run: (plant, _prices, order) => {
      plant.now.leak = (order as Given<boolean>).on!
      return undefined
    },
  },
  maintain: {
    fields: { on: flag },
    says: 'the plant says that it is being worked on',
    run: (plant, _prices, order) => {
      plant.now.maintenance = (order as Given<boolean>).on!
      return undefined
    },
  },
  gpus: {
    fields: { xid: number(0, 100_000, 0), throttled: number(0, 100_000, 0) },
    says: 'so many accelerators have an XID error that needs a technician, or are slowed down by heat',
    run: (plant, _prices, order) => {
      const { xid, throttled } = order as Given<number>
      plant.now.xidGpus = xid!
      plant.now.throttledGpus = throttled!
      return undefined
    },
  },
  grid: {
    fields: {
      limitMw: number(0, 10_000, -1),
      emergency: { kind: 'flag', absent: false },
      forMs: number(0, 86_400_000, 0),
    },
    says: 'the grid operator limits what may be drawn, or calls an emergency, for so long; all absent: it ends its order',
    run: (plant, _prices, order) => {
      const { limitMw, emergency, forMs } = order as unknown as { limitMw: number; emergency: boolean; forMs: number }
      const at = plant.advance()
      plant.now.gridLimitMw = limitMw < 0 ? null : limitMw
      plant.now.gridEmergency = emergency
      plant.now.gridUntil = forMs > 0 ? at + forMs : null
      return undefined
    },
  },
  meter: {
    fields: { name: text(), fault: text('well'), by: number(-1e9, 1e9, 0), ms: number(0, 600_000, 0) },
    says: `a meter (power.draw_mw, cdu-1/supply_c, or * for all) is ${FAULTS.join(', ')}`,
    run: (plant, _prices, order) => {
      const { name, fault, by, ms } = order as unknown as { name: string; fault: string; by: number; ms: number }
      if (!(FAULTS as readonly string[]).includes(fault)) return `fault must be one of ${FAULTS.join(', ')}`
      const names = name === '*' ? plant.meterNames() : [name]
      if (!names.every((one) => plant.meterNames().includes(one)))
        return `there is no meter ${name}; there are ${plant.meterNames().join(', ')}`
      for (const one of names) {
        if (fault === 'well') plant.meters.delete(one)
        else plant.meters.set(one, { kind: fault, by, ms } as unknown as MeterFault)
      }
      return undefined
    },
  },
  prices: {
    fields: { steps: { kind: 'numbers' }, stepMs: number(1_000, 86_400_000, 3_600_000) },
    says: 'prices in EUR/MWh from now on, one for each step; none: the usual day',
    run: (plant, prices, order) => {
      const { steps, stepMs } = order as unknown as { steps: readonly number[]; stepMs: number }
      prices.stepMs = stepMs
      prices.from = plant.advance()
      prices.told = steps
      return undefined
    },
  },
  job: {
    fields: { id: text(), loop: text(), mw: number(0, 10_000), rampS: number(0, 3_600, 1) },
    says: 'a job begins to draw power on a loop',
    run: (plant, _prices, order) => {
      const { id, loop, mw, rampS } = order as unknown as { id: string; loop: string; mw: number; rampS: number }
      if (loopOf(plant, loop) === undefined) return `there is no loop ${loop}`
      plant.start({ id, loop, mw, rampS })
      return undefined
    },
  },
  'pause-job': {
    fields: { id: text(), on: flag },
    says: 'a job is paused, or goes on',
    run: (plant, _prices, order) => {
      const { id, on } = order as unknown as { id: string; on: boolean }
      return plant.pause(id, on) ? undefined : `there is no job ${id}`
    },
  },
  'end-job': {
    fields: { id: text() },
    says: 'a job is over',
    run: (plant, _prices, order) => (plant.end((order as Given<string>).id!) ? undefined : 'there is no such job'),
  },
  'end-all': {
    fields: {},
    says: 'every job is over',
    run: (plant) => {
      plant.jobs.clear()
      return undefined
    },
  },
  forget: {
    fields: {},
    says: 'the highest supply temperatures begin anew',
    run: (plant) => {
      for (const loop of plant.loops) loop.maxC = loop.supplyC
      return undefined
    },
  },
  well: {
    fields: {},
    says: 'everything is as it was built: pumps, meters, weather, grid; jobs go on',
    run: (plant) => {
      plant.recover()
      return undefined
    },
  },
}

/** Carries an order out; a sentence that says what is wrong with it where it can't be. */
export const orderPlant = (plant: Plant, prices: Prices, value: unknown): string | undefined => {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return 'send a JSON object such as {"do":"pump","loop":"cdu-1","ratio":0}'
  const { do: name, ...given } = value as Record<string, unknown>
  const row = typeof name === 'string' && Object.hasOwn(PLANT_ORDERS, name) ? PLANT_ORDERS[name] : undefined
  if (row === undefined) return `"do" must be one of ${Object.keys(PLANT_ORDERS).join(', ')}`
  const unknown = Object.keys(given).find((key) => !Object.hasOwn(row.fields, key))
  if (unknown !== undefined) return `${name} has no field "${unknown}"; it takes ${Object.keys(row.fields).join(', ')}`
  const order: Record<string, unknown> = {}
  for (const [key, field] of Object.entries(row.fields)) {
    const found = given[key] ?? field.absent
    const problem = problemOf(found, field)
    if (problem !== undefined) return `${name}.${key} must be ${problem}`
    order[key] = found
  }
  plant.advance()
  return row.run(plant, prices, order as Readonly<Record<string, never>>)
}

const problemOf = (value: unknown, { kind, min, max, absent }: Field): string | undefined => {
  if (value === absent && absent !== undefined) return undefined
  switch (kind) {
    case 'number':
      return typeof value === 'number' && value >= min! && value <= max! ? undefined : `a number from ${min} to ${max}`
    case 'text':
      return typeof value === 'string' && value !== '' && value.length <= 128 ? undefined : 'a text'
    case 'flag':
      return typeof value === 'boolean' ? undefined : 'true or false'
    case 'numbers':
      return Array.isArray(value) && value.length <= 1_000 && value.every((one) => Number.isFinite(one))
        ? undefined
        : 'a list of numbers'
  }
}
