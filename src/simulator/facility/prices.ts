/** One hour of a price curve. */
export interface PriceHour {
  readonly from: number
  readonly to: number
  /** EUR/MWh. */
  readonly price: number
  /** g/kWh. */
  readonly carbon: number
}

/** A price curve that can be told to be something else, hour by hour or in shorter steps. */
export class Prices {
  /** The length of one step, in ms; an hour, unless a story has no hour. */
  stepMs = 3_600_000
  /** Prices by step from `from` on; empty: the usual day. */
  told: readonly number[] = []
  from = 0

  /** The steps from `now` on, the running one first. */
  ahead(now: number, count = 36): PriceHour[] {
    const origin = this.told.length > 0 ? this.from : 0
    const first = Math.floor((now - origin) / this.stepMs)
    return Array.from({ length: count }, (_, at) => {
      const step = first + at
      const from = origin + step * this.stepMs
      const price = this.told.length > 0 ? (this.told[step] ?? this.told.at(-1)!) : usual(new Date(from).getUTCHours())
      return { from, to: from + this.stepMs, price, carbon: Math.round(80 + price * 2.2) }
    })
  }
}

/** A day with a morning and an evening peak, cheap at night: EUR/MWh by hour, UTC. */
const usual = (hour: number): number => {
  const morning = Math.exp(-((hour - 8) ** 2) / 6)
  const evening = Math.exp(-((hour - 18) ** 2) / 8)
  return Math.round((42 + 55 * morning + 85 * evening) * 100) / 100
}
