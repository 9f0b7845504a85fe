/** How a coolant loop is built. */
export interface LoopOptions {
  readonly name: string
  /** The heat at which the supply water settles at its limit, at the design's outside temperature. */
  readonly capacityKw: number
  readonly ratedFlowLpm: number
  readonly supplyLimitC: number
  readonly designSupplyC: number
  /** How fast it follows, with its pump at full speed. */
  readonly tauS: number
}

/** A coolant loop as it is. */
export interface Loop {
  readonly options: LoopOptions
  supplyC: number
  /** The highest that it has been since somebody asked to forget that. */
  maxC: number
  /** Heat put in and taken away, in kW. */
  heatKw: number
  removedKw: number
  /** The pump, 0 to 1. */
  pump: number
  /** How much of the heat exchanger is clogged, 0 to 1. */
  fouling: number
  /** Joules put in and taken away since the start, in kJ: the books of the model. */
  inKj: number
  outKj: number
}

/** What a stopped pump still moves: water that circulates by itself. */
const THERMOSIPHON = 0.02
/** Specific heat of water by litre, in kJ/K. */
const WATER_KJ = 4.18

/** A loop at rest at its design temperature. */
export const loopAt = (options: LoopOptions): Loop => ({
  options,
  supplyC: coldC(options, 20),
  maxC: coldC(options, 20),
  heatKw: 0,
  removedKw: 0,
  pump: 1,
  fouling: 0,
  inKj: 0,
  outKj: 0,
})

/** The water that cools it: follows the air outside, and is what makes the design supply temperature at half load. */
const coldC = ({ supplyLimitC, designSupplyC }: LoopOptions, ambientC: number): number =>
  2 * designSupplyC - supplyLimitC + Math.max(0, ambientC - 30)

/** Heat taken away by degree, in kW/K. */
const conductance = ({ options, pump, fouling }: Loop): number =>
  (options.capacityKw / (options.supplyLimitC - coldC(options, 20))) *
  Math.max(THERMOSIPHON, pump) *
  (1 - Math.min(0.99, fouling))

/** Heat that its water holds by degree, in kJ/K: what makes it follow within tau at full flow. */
const massOf = ({ options }: Loop): number =>
  (options.capacityKw / (options.supplyLimitC - coldC(options, 20))) * options.tauS

/** One step of a first-order model: the exact answer for heat that does not change within the step. */
export const stepLoop = (loop: Loop, heatKw: number, ambientC: number, stepS: number): void => {
  const ua = conductance(loop)
  const mass = massOf(loop)
  const cold = coldC(loop.options, ambientC)
  const settled = cold + heatKw / ua
  const before = loop.supplyC
  loop.supplyC = settled + (before - settled) * Math.exp((-stepS * ua) / mass)
  loop.maxC = Math.max(loop.maxC, loop.supplyC)
  loop.heatKw = heatKw
  // What did not warm the water has left.
  const removedKj = heatKw * stepS - mass * (loop.supplyC - before)
  loop.removedKw = removedKj / stepS
  loop.inKj += heatKw * stepS
  loop.outKj += removedKj
}

/** Heat that the water holds above its cold end, in kJ. */
export const storedKj = (loop: Loop, ambientC: number): number =>
  massOf(loop) * (loop.supplyC - coldC(loop.options, ambientC))

/** Litres a minute. */
export const flowOf = ({ options, pump }: Loop): number => options.ratedFlowLpm * pump

/** The water that comes back, by the heat that it carries. */
export const returnC = (loop: Loop): number => {
  const flow = Math.max(THERMOSIPHON * loop.options.ratedFlowLpm, flowOf(loop))
  return loop.supplyC + loop.heatKw / ((flow / 60) * WATER_KJ)
}
