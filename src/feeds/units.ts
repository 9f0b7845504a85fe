/** Units by what they measure, with the factor to the first of each kind. */
const KINDS: readonly Readonly<Record<string, number>>[] = [
  { ms: 1, s: 1_000, us: 0.001, min: 60_000 },
  { MW: 1, kW: 0.001, W: 0.000_001 },
  { ratio: 1, '%': 0.01 },
  { Cel: 1, C: 1, '°C': 1 },
  { 'EUR/MWh': 1, 'EUR/kWh': 1_000 },
  { 'g/kWh': 1, 'kg/MWh': 1, 'kg/kWh': 1_000 },
  { 'EUR/h': 1 },
  { '1/s': 1, '1/min': 1 / 60 },
  { requests: 1 },
  { gpus: 1 },
  { bool: 1 },
]

/** The value in another unit of the same kind: 0.5 s is 500 ms, 95 % is 0.95. Undefined where the two don't meet. */
export function convertUnit(value: number, from: string, to: string): number | undefined {
  if (from === to) return value
  const kind = KINDS.find((units) => Object.hasOwn(units, from) && Object.hasOwn(units, to))
  return kind === undefined ? undefined : (value * kind[from]!) / kind[to]!
}

/** The units that a value may have to become this one. */
export const unitsFor = (to: string): string[] =>
  Object.keys(KINDS.find((units) => Object.hasOwn(units, to)) ?? { [to]: 1 })
