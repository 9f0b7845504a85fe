import { flowOf, returnC } from './loop.ts'
import type { MeterFault, Plant } from './plant.ts'

/** One reading of a meter: null where it has nothing to say, with the time at which it was taken. */
export interface Reading {
  readonly value: number | null
  readonly at: number
}

/** How long the past is kept for meters that are late. */
const PAST_MS = 600_000
/** How often it is noted. */
const NOTED_MS = 500

/** The meters of a plant by name, `power.draw_mw` or `cdu-1/supply_c`, and how each of them can be wrong. */
export class Meters {
  readonly #plant: Plant
  readonly #stuck = new Map<string, Reading>()
  #past: { readonly at: number; readonly values: ReadonlyMap<string, number> }[] = []
  readonly #noiseRatio: number
  #spikes = 0
  #reads = 0

  /** `noiseRatio`: how far readings of what does not change lie apart, by the value; without noise meters seem to hang. */
  constructor(plant: Plant, noiseRatio = 0) {
    this.#plant = plant
    this.#noiseRatio = noiseRatio
  }

  /** What a meter shows; undefined: it says nothing at all. */
  read(name: string): Reading | undefined {
    const at = this.#plant.advance()
    const values = this.#truth()
    this.#note(at, values)
    const fault = this.#plant.meters.get(name)
    const honest: Reading = { value: this.#noisy(name, values.get(name) ?? null), at }
    if (fault?.kind !== 'stuck') this.#stuck.delete(name)
    return fault === undefined ? honest : this.#faulty(name, fault, honest)
  }

  #noisy(name: string, value: number | null): number | null {
    // A rating is no reading.
    if (value === null || this.#noiseRatio === 0 || name.endsWith('capacity_kw')) return value
    this.#reads += 1
    // The golden ratio spreads the steps evenly from -1 to 1, and no two readings in a row are the same.
    const share = (this.#reads * 0.618_033_988_749_895) % 1
    return value * (1 + this.#noiseRatio * (2 * share - 1))
  }

  #faulty(name: string, fault: MeterFault, honest: Reading): Reading | undefined {
    const { value, at } = honest
    switch (fault.kind) {
      case 'stuck': {
        const stuck = this.#stuck.get(name) ?? honest
        this.#stuck.set(name, stuck)
        // A stuck sensor goes on being read: its value is old, its time is not.
        return { value: stuck.value, at }
      }
      case 'offset':
        return { value: value === null ? null : value + fault.by, at }
      case 'spike':
        this.#spikes += 1
        return { value: value === null ? null : value + (this.#spikes % 3 === 0 ? fault.by : 0), at }
      case 'null':
        return { value: null, at }
      case 'silent':
        return undefined
      case 'late': {
        const then = this.#past.findLast((one) => one.at <= at - fault.ms) ?? this.#past[0]
        return then === undefined
          ? honest
          : { value: then.values.get(name) ?? null, at: Math.min(then.at, at - fault.ms) }
      }
      default:
        return fault satisfies never
    }
  }

  #note(at: number, values: ReadonlyMap<string, number>): void {
    if (at - (this.#past.at(-1)?.at ?? Number.NEGATIVE_INFINITY) < NOTED_MS) return
    this.#past.push({ at, values })
    this.#past = this.#past.filter((one) => at - one.at <= PAST_MS)
  }

  #truth(): ReadonlyMap<string, number> {
    const plant = this.#plant
    const values = new Map<string, number>([
      ['power.draw_mw', plant.drawMw],
      ['power.it_mw', plant.itMw],
      ['pue.ratio', plant.pue],
      ['ambient.temperature_c', plant.now.ambientC],
    ])
    for (const loop of plant.loops) {
      const { name, capacityKw } = loop.options
      values.set(`${name}/supply_c`, loop.supplyC)
      values.set(`${name}/return_c`, returnC(loop))
      values.set(`${name}/flow_lpm`, flowOf(loop))
      values.set(`${name}/heat_kw`, loop.removedKw)
      values.set(`${name}/capacity_kw`, capacityKw)
    }
    return values
  }
}
