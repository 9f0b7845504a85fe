import type { Problem } from '../model/problem.ts'
import { feedProblem } from './failure.ts'
import { fieldsOf, shown } from './json-reader.ts'

/** Values that a sensor of its kind can have; outside of them it is one that lies or counts in another unit. */
export const REDFISH_RANGES = {
  /** Coolants freeze and boil. */
  temperature: { low: -40, high: 120, unit: 'degrees Celsius' },
  flow: { low: 0, high: 1_000_000, unit: 'l/min' },
  heat: { low: 0, high: 1_000_000, unit: 'kW' },
  capacity: { low: 1, high: 1_000_000_000, unit: 'W' },
  power: { low: 0, high: 10_000_000_000, unit: 'W' },
  /** Water has 4.18 kJ/kgK and glycol mixtures less; 3900 is what devices write that count in J. */
  specificHeat: { low: 0.5, high: 6, unit: 'kJ/kgK' },
  density: { low: 500, high: 2_000, unit: 'kg per cubic metre' },
} as const

/** Collects what is wrong with single readings, each once. */
export class Complaints {
  readonly all: Problem[] = []

  /** Says what is wrong at a resource and a property: a warning, for a bad reading never spoils the others. */
  say(path: string, message: string, remedy?: string): void {
    if (this.all.length >= COMPLAINTS_MAX) return
    const more = { severity: 'warning', path, ...(remedy === undefined ? {} : { remedy }) } as const
    this.all.push(feedProblem('feed/bad-reading', message, more))
  }
}

const COMPLAINTS_MAX = 50

/**
 * The number of a property, which is itself one or has one as its `Reading`. A property that is not there is not
 * instrumented and silent; null, the text "Null", any other text and what lies outside of the range are complaints, and
 * missing all the same.
 */
export const readingOf = (
  resource: Readonly<Record<string, unknown>>,
  name: string,
  path: string,
  range: keyof typeof REDFISH_RANGES,
  complaints: Complaints,
): number | undefined => {
  const value = resource[name]
  if (value === undefined) return undefined
  const isExcerpt = typeof value === 'object' && value !== null
  const reading = isExcerpt ? fieldsOf(value).Reading : value
  const { low, high, unit } = REDFISH_RANGES[range]
  const place = `${path}${path.includes('#') ? '' : '#'}/${name}${isExcerpt ? '/Reading' : ''}`
  if (typeof reading !== 'number' || !Number.isFinite(reading)) {
    complaints.say(place, `${name} has no number: ${shown(reading)}`, 'look at the sensor, or at its firmware')
    return undefined
  }
  if (reading < low || reading > high) {
    const message = `${name} is ${reading}, and between ${low} and ${high} ${unit} is what can be`
    complaints.say(place, message, 'look at the sensor, or at the unit that its firmware counts in')
    return undefined
  }
  return reading
}
