import type { EpochMs } from '../model/names.ts'
import type { Problem } from '../model/problem.ts'
import type { Interval } from '../model/sample.ts'
import { signalOf } from '../model/signal.ts'
import { feedProblem } from './failure.ts'
import { FOREVER } from './iso-time.ts'
import { shown } from './json-reader.ts'
import type { Order } from './openadr-events.ts'
import { type Tidied, tidyIntervals } from './series-check.ts'

/** What an OpenADR feed can deliver. */
export const OPENADR_SIGNALS = ['grid.import_limit_mw', 'grid.emergency', 'price.per_mwh', 'carbon.g_per_kwh'] as const

/** One of OPENADR_SIGNALS. */
export type OpenadrSignal = (typeof OPENADR_SIGNALS)[number]

/** How payloads become values. */
export interface PayloadRules {
  readonly emergencyTypes: readonly string[]
  /** Of prices whose event does not say. */
  readonly currency: string
  /** EUR for one of a currency. */
  readonly rates: Readonly<Record<string, number>>
}

/** A limit of no effect: the most the signal can say. */
export const NO_LIMIT_MW = signalOf('grid.import_limit_mw')!.range[1]

const POWER_UNITS: Readonly<Record<string, number>> = { KW: 0.001, W: 0.000_001, MW: 1, GW: 1_000 }
const ENERGY_UNITS: Readonly<Record<string, number>> = { KWH: 1_000, MWH: 1, WH: 1_000_000 }
const CARBON_UNITS: Readonly<Record<string, number>> = {
  GHG: 1,
  'G/KWH': 1,
  G_PER_KWH: 1,
  GHG_G_PER_KWH: 1,
  GCO2EQ_PER_KWH: 1,
  'KG/MWH': 1,
  'KG/KWH': 1_000,
  'LB/MWH': 0.453_592_37,
  'LBS/MWH': 0.453_592_37,
}

/**
 * The timeline of a signal from now on, as the orders have it: the strictest limit of those that hold at a time, an
 * emergency while any is on, and of prices and carbon the one of the event that goes before.
 */
export function timelineOf(
  signal: OpenadrSignal,
  orders: readonly Order[],
  rules: PayloadRules,
  now: EpochMs,
): Tidied & { readonly warnings: readonly Problem[] } {
  const warnings = new Map<string, Problem>()
  const warn = (message: string, remedy: string) =>
    warnings.set(message, feedProblem('feed/bad-event', message, { severity: 'warning', remedy }))
  const valued = orders.flatMap((order) => {
    const value = saidBy(signal, order, rules, warn)
    return value === undefined ? [] : [{ ...order, value }]
  })
  if (signal === 'grid.import_limit_mw') valued.sort((a, b) => a.value - b.value)
  else valued.sort((a, b) => a.priority - b.priority || b.issuedAt - a.issuedAt)
  const tidied = tidyIntervals(valued, signal, now)
  return { ...tidied, warnings: [...warnings.values()] }
}

/** The value of an order for a signal; undefined: it says nothing of it, or nothing that can be used. */
const saidBy = (
  signal: OpenadrSignal,
  order: Order,
  rules: PayloadRules,
  warn: (message: string, remedy: string) => void,
): number | undefined => {
  const { type, event } = order
  const number = (): number | undefined => {
    const [value] = order.values
    if (typeof value === 'number' && Number.isFinite(value)) return value
    warn(`${type} of ${event} is ${shown(value)}, which is no number`, 'ask whoever runs the VTN')
    return undefined
  }
  switch (signal) {
    case 'grid.emergency':
      return rules.emergencyTypes.includes(type) && !(order.values.length > 0 && order.values.every(isOff))
        ? 1
        : undefined
    case 'grid.import_limit_mw': {
      const value = type === 'IMPORT_CAPACITY_LIMIT' ? number() : undefined
      if (value === undefined) return undefined
      // A unit that nobody knows is taken for the usual one: what limits us is not to be lost.
      const factor = factorOf(POWER_UNITS, order, 'KW', warn) ?? POWER_UNITS.KW!
      return Math.min(NO_LIMIT_MW, Math.max(0, value * factor))
    }
    case 'price.per_mwh': {
      const value = type === 'PRICE' ? number() : undefined
      const factor = value === undefined ? undefined : factorOf(ENERGY_UNITS, order, 'KWH', warn)
      if (value === undefined || factor === undefined) return undefined
      const currency = (order.currency ?? rules.currency).toUpperCase()
      const rate = currency === 'EUR' ? 1 : rules.rates[currency]
      if (rate === undefined) warn(`prices of ${event} are in ${currency}`, `give its rate: rates: { ${currency}: … }`)
      return rate === undefined ? undefined : value * factor * rate
    }
    case 'carbon.g_per_kwh': {
      const value = type === 'GHG' ? number() : undefined
      const factor = value === undefined ? undefined : factorOf(CARBON_UNITS, order, 'GHG', warn)
      return value === undefined || factor === undefined ? undefined : value * factor
    }
    default:
      return signal satisfies never
  }
}

const isOff = (value: unknown): boolean => value === 0 || value === false || value === '0'

const factorOf = (
  units: Readonly<Record<string, number>>,
  { units: told, type, event }: Order,
  usual: string,
  warn: (message: string, remedy: string) => void,
): number | undefined => {
  const unit = (told ?? usual).toUpperCase()
  if (Object.hasOwn(units, unit)) return units[unit]
  warn(`${type} of ${event} is in ${JSON.stringify(told)}`, `one of ${Object.keys(units).join(', ')} is understood`)
  return undefined
}

/** The interval that a moment lies in. */
export const runningAt = (intervals: readonly Interval[], now: EpochMs): Interval | undefined =>
  intervals.find(({ from, to }) => from <= now && now < to)

/** What comes later, with a short 0 behind each 1, so that an emergency that ends is known to have ended before anybody asks. */
export const emergenciesAhead = (intervals: readonly Interval[], now: EpochMs, graceMs: number): Interval[] =>
  intervals.flatMap((one, index) => {
    const next = intervals[index + 1]?.from ?? FOREVER
    const zero = { from: one.to, to: Math.min(next, one.to + graceMs), value: 0 }
    return [...(one.from > now ? [one] : []), ...(zero.to > zero.from && one.to < FOREVER ? [zero] : [])]
  })
