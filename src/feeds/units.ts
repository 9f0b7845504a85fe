/** Units by what they measure, with the factor to the first of each kind. */
const KINDS: readonly Readonly<Record<string, number>>[] = [
  { ms: 1, s: 1_000, us: 0.001, min: 60_000 },
  { MW: 1, kW: 0.001, W: 0.000_001 },
  { ratio: 1, '%': 0.01 },
  // A cubic metre is 1,000 l; the gallon is that of the United States, 231 cubic inches.
  { 'l/min': 1, 'l/s': 60, 'l/h': 1 / 60, 'm3/h': 1_000 / 60, 'm³/h': 1_000 / 60, 'm3/s': 60_000, gpm: 3.785_411_784 },
  { 'EUR/MWh': 1, 'EUR/kWh': 1_000, 'ct/kWh': 10 },
  // A pound is 453.59237 g, and g/kWh are kg/MWh.
  { 'g/kWh': 1, 'kg/MWh': 1, 'kg/kWh': 1_000, 't/MWh': 1_000, 'lb/MWh': 0.453_592_37, 'lbs/MWh': 0.453_592_37 },
  { 'EUR/h': 1 },
  { EUR: 1, ct: 0.01 },
  { '1/s': 1, '1/min': 1 / 60 },
  { requests: 1 },
  { gpus: 1 },
  { bool: 1 },
]

/** Scales of temperature: degrees of each in one kelvin's step, and where its zero lies in degrees Celsius. */
const CELSIUS = { step: 1, zero: 0 }
const FAHRENHEIT = { step: 5 / 9, zero: -160 / 9 }
const SCALES: Readonly<Record<string, { readonly step: number; readonly zero: number }>> = {
  Cel: CELSIUS,
  C: CELSIUS,
  '°C': CELSIUS,
  degC: CELSIUS,
  degF: FAHRENHEIT,
  '°F': FAHRENHEIT,
  F: FAHRENHEIT,
  K: { step: 1, zero: -273.15 },
}

/**
 * The value in another unit of the same kind: 0.5 s is 500 ms, 95 % is 0.95, 50 degF is 10 Cel. Undefined where the two
 * don't meet. With `isDifference` degrees are steps, not points of a scale: a margin of 9 degF is one of 5 Cel.
 */
export function convertUnit(value: number, from: string, to: string, isDifference = false): number | undefined {
  if (from === to) return value
  if (Object.hasOwn(SCALES, from) && Object.hasOwn(SCALES, to)) {
    const [a, b] = [SCALES[from]!, SCALES[to]!]
    return isDifference ? (value * a.step) / b.step : (value * a.step + a.zero - b.zero) / b.step
  }
  const kind = KINDS.find((units) => Object.hasOwn(units, from) && Object.hasOwn(units, to))
  return kind === undefined ? undefined : (value * kind[from]!) / kind[to]!
}

/** Is a signal a difference of temperatures rather than a temperature? */
export const isDifference = (signal: string): boolean => signal === 'cooling.margin_c'

/** The units that a value may have to become this one. */
export const unitsFor = (to: string): string[] =>
  Object.hasOwn(SCALES, to)
    ? Object.keys(SCALES)
    : Object.keys(KINDS.find((units) => Object.hasOwn(units, to)) ?? { [to]: 1 })

/** A currency code of ISO 4217 at the head of a unit. */
const CURRENCY = /^(?!EUR)([A-Z]{3})(?=$|\/)/

/** The unit with its currency made into EUR, and that currency; the unit itself where it has none or has EUR. */
export const inEuro = (unit: string): { readonly unit: string; readonly currency?: string } => {
  const currency = CURRENCY.exec(unit)?.[1]
  return currency === undefined ? { unit } : { unit: `EUR${unit.slice(3)}`, currency }
}

/**
 * What is wrong with giving a signal of the unit `to` in the unit `from`: no way between them, or money in another
 * currency without the `rate` that makes it EUR. Undefined where nothing is.
 */
export function unitFault(
  from: string,
  to: string,
  rate?: number,
): readonly [message: string, remedy: string] | undefined {
  const { unit, currency } = inEuro(from)
  if (convertUnit(1, unit, to) === undefined)
    return [
      `${JSON.stringify(from)} can't be made into ${to}`,
      `${to} is what the table has; it is converted from ${unitsFor(to).join(', ')}`,
    ]
  if (currency !== undefined && rate === undefined)
    return [`${from} is not in EUR`, `give \`rate\`, what one ${currency} is in EUR, or deliver it in EUR`]
  if (currency === undefined && rate !== undefined)
    return [`there is a rate, but ${from} is in no other currency than EUR`, 'leave out `rate`, or name the currency']
  return undefined
}
