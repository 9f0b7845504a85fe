import {
  type Block,
  logEvidence,
  noEvidence,
  opened,
  RATIOS,
  reopened,
  weighed,
  weighedSplit,
} from '../math/e-process.ts'
import { type Bounds, shareBounds } from '../math/share-bounds.ts'
import {
  ARMS,
  type Arm,
  type ArmCount,
  type ArmsReading,
  alphaEach,
  type BadEvent,
  type CriterionReading,
  type Guardrail,
  metricRow,
  type Rollout,
  type RolloutState,
  type SuccessCriterion,
} from '../model/rollout.ts'

/** Units and events of both arms. */
export type ArmCounts = Readonly<Record<Arm, ArmCount>>

/** Nothing counted. */
export const NO_COUNTS: ArmCounts = { control: { units: 0, bad: {} }, treatment: { units: 0, bad: {} } }

/** The chance of calling a split skewed that is not, at each exposure. */
export const SPLIT_ALPHA = 0.001

/** After how many units tests of harm begin again, beside all that came before. */
const REOPENED_EVERY = { request: 1_000, job: 20 } as const

/** The name of the test of the split between the arms. */
const SPLIT = 'split'

const addCount = (one: ArmCount, other: ArmCount): ArmCount => {
  const bad: Partial<Record<BadEvent, number>> = { ...one.bad }
  for (const [event, count] of Object.entries(other.bad) as [BadEvent, number][]) bad[event] = (bad[event] ?? 0) + count
  return { units: one.units + other.units, bad }
}

const addCounts = (one: ArmCounts, other: ArmCounts): ArmCounts => ({
  control: addCount(one.control, other.control),
  treatment: addCount(one.treatment, other.treatment),
})

/**
 * The state with what was counted weighed in. What is counted waits until there are units of both arms: only then is
 * there a share of the treatment's to hold the events against.
 */
export function countedIn(rollout: Rollout, state: RolloutState, reading: ArmsReading): RolloutState {
  const { counts, assigned } = reading
  const pending = addCounts(state.pending ?? NO_COUNTS, counts)
  const isBlock = pending.control.units > 0 && pending.treatment.units > 0
  const tests: Record<string, readonly number[]> = { ...state.tests }
  const split = assigned ?? { control: counts.control.units, treatment: counts.treatment.units }
  const every = REOPENED_EVERY[rollout.unit]
  const totals = addCounts(state.totals, counts)
  const [from, to] = [state.totals, totals].map(({ control, treatment }) =>
    Math.floor((control.units + treatment.units) / every),
  )
  const renewed = (name: string, alternatives?: number): readonly number[] =>
    reopened(state.tests[name] ?? opened(alternatives), from!, to!)
  tests[SPLIT] = weighedSplit(renewed(SPLIT, 2 * RATIOS.length), split, state.shareBp / 10_000)
  for (const { event, ratioMax } of rollout.guardrails) {
    const [harm, safe] = [`harm ${event}`, `safe ${event}`]
    tests[harm] = renewed(harm)
    if (!isBlock) continue
    const block = blockOf(pending, event)
    tests[harm] = weighed(tests[harm], block, 1, 1)
    tests[safe] = weighed(tests[safe] ?? noEvidence(), block, ratioMax, -1)
  }
  const classUnits = (state.classUnits ?? 0) + (reading.classUnits ?? 0)
  const { took = counts.control.units + counts.treatment.units } = reading
  const reach = { took: (state.reach?.took ?? 0) + took, of: (state.reach?.of ?? 0) + (reading.classUnits ?? took) }
  return {
    ...state,
    tests,
    reach,
    pending: isBlock ? NO_COUNTS : pending,
    totals,
    exposed: addCounts(state.exposed ?? NO_COUNTS, counts),
    stageUnits: {
      control: state.stageUnits.control + counts.control.units,
      treatment: state.stageUnits.treatment + counts.treatment.units,
    },
    classUnits,
    // Without a control nothing is compared any more: what was last compared stands.
    criteria: hasControl(state) ? reading.criteria : state.criteria,
    artifacts: reading.artifacts,
  }
}

const blockOf = ({ control, treatment }: ArmCounts, event: BadEvent): Block => ({
  units: { control: control.units, treatment: treatment.units },
  events: { control: control.bad[event] ?? 0, treatment: treatment.bad[event] ?? 0 },
})

/** Are some who take part left as they were? */
export const hasControl = ({ shareBp }: Pick<RolloutState, 'shareBp'>): boolean => shareBp < 10_000

/** ln E of a test; 0 for one that has seen nothing. */
export const evidence = (state: Pick<RolloutState, 'tests'>, name: string): number => {
  const logs = state.tests[name]
  return logs === undefined ? 0 : logEvidence(logs)
}

/** The guardrail of which it is proven that the treatment is worse, or undefined. */
export const harmOf = (rollout: Rollout, state: RolloutState): Guardrail | undefined => {
  const limit = -Math.log(alphaEach(rollout))
  return rollout.guardrails.find(({ event }) => evidence(state, `harm ${event}`) >= limit)
}

/** Is it proven that units do not fall into the arms as they should? Then no comparison can be trusted. */
export const isSkewed = (state: RolloutState): boolean => evidence(state, SPLIT) >= -Math.log(SPLIT_ALPHA)

/** What is known of how much more often than in the control an event happens in the treatment: as shares. */
const differenceOf = (state: RolloutState, event: BadEvent, alpha: number): Bounds => {
  const { control, treatment } = state.exposed ?? NO_COUNTS
  const [controlLow, controlHigh] = shareBounds(control.bad[event] ?? 0, control.units, alpha / 2)
  const [treatmentLow, treatmentHigh] = shareBounds(treatment.bad[event] ?? 0, treatment.units, alpha / 2)
  return [treatmentLow - controlHigh, treatmentHigh - controlLow]
}

/** Where something stands: done, or how many more units it is expected to take; null: not foreseeable. */
export type Progress = { readonly isDone: true } | { readonly isDone: false; readonly needed: number | null }

const DONE: Progress = { isDone: true }

/** Is it refuted that the treatment is worse than a guardrail allows? */
export function safetyOf(rollout: Rollout, state: RolloutState, guardrail: Guardrail): Progress {
  const { event, differenceMax } = guardrail
  const limit = -Math.log(rollout.alpha)
  const seen = evidence(state, `safe ${event}`)
  if (seen >= limit) return DONE
  const weighedUnits = scarcer(state.totals)
  const byRatio = seen > 0 ? (weighedUnits * (limit - seen)) / seen : null
  if (differenceMax === undefined) return open(byRatio)
  const [low, high] = differenceOf(state, event, rollout.alpha)
  if (high <= differenceMax) return DONE
  const byDifference = untilNarrow(scarcer(state.exposed ?? NO_COUNTS), low, high, (low + high) / 2, differenceMax)
  return open(least(byRatio, byDifference))
}

const scarcer = ({ control, treatment }: ArmCounts): number => Math.min(control.units, treatment.units)

const open = (needed: number | null): Progress => ({
  isDone: false,
  needed: needed === null ? null : Math.ceil(needed),
})

const least = (one: number | null, other: number | null): number | null =>
  one === null ? other : other === null ? one : Math.min(one, other)

/** How many more units until bounds, which narrow as the root of the count, leave out a limit; null if they never do. */
function untilNarrow(units: number, low: number, high: number, middle: number, limit: number): number | null {
  const [wide, distance] = [(high - low) / 2, limit - middle]
  if (units === 0 || !(distance > 0) || !Number.isFinite(wide)) return null
  return Math.max(1, units * ((wide / distance) ** 2 - 1))
}

/** How much better the treatment is by a criterion's reading, in the metric's unit: better is above 0. */
export interface Improvement {
  readonly low: number | null
  readonly middle: number | null
  readonly high: number | null
}

/** A reading turned so that better is above 0. */
export const improvementOf = (reading: CriterionReading, rollout: Pick<Rollout, 'business'>): Improvement => {
  const { low, high, difference } = reading
  if (metricRow(reading.metric, rollout).worseWhen === 'lower') return { low, middle: difference, high }
  const turned = (value: number | null): number | null => (value === null ? null : 0 - value)
  return { low: turned(high), middle: turned(difference), high: turned(low) }
}

/** `broken`: proven worse than it allows; `futile`: proven not to improve by what it asks. */
export type Standing = Progress & { readonly fails?: 'broken' | 'futile' }

/** Where a success criterion stands by the readings. `improves` false: only that it is not worse is asked yet. */
export function standingOf(
  rollout: Rollout,
  state: RolloutState,
  criterion: SuccessCriterion,
  improves: boolean,
): Standing {
  const { metric, improveBy, worseByAtMost } = criterion
  const reading = state.criteria.find((one) => one.metric === metric)
  if (reading === undefined) return { isDone: false, needed: null }
  const { low, middle, high } = improvementOf(reading, rollout)
  if (worseByAtMost !== undefined && high !== null && high < -worseByAtMost)
    return { isDone: false, needed: null, fails: 'broken' }
  if (improveBy !== undefined && high !== null && high < improveBy)
    return { isDone: false, needed: null, fails: 'futile' }
  const asked = [
    ...(improves && improveBy !== undefined ? [improveBy] : []),
    ...(worseByAtMost !== undefined ? [-worseByAtMost] : []),
  ]
  const limit = asked.length === 0 ? undefined : Math.max(...asked)
  const isStrict = improves && improveBy === 0
  if (limit === undefined || (low !== null && (isStrict ? low > limit : low >= limit))) return DONE
  if (low === null || middle === null || high === null) return { isDone: false, needed: null }
  const units = Math.min(reading.units.control, reading.units.treatment)
  // Turned about: the middle has to come to lie above the limit by more than half the width.
  return open(untilNarrow(units, -high, -low, -middle, -limit))
}

/**
 * Are the arms served by different artifacts of a model? Then what is compared is not the policy. A model that only one
 * arm was seen with differs too, if it is the treatment's: the control has had more time to be seen with it.
 */
export function differingArtifacts({ artifacts }: RolloutState): string | undefined {
  const byModel = (arm: Arm): Map<string, string[]> => {
    const models = new Map<string, string[]>()
    for (const artifact of artifacts[arm]) {
      const name = artifact.split('@', 1)[0]!
      models.set(name, [...(models.get(name) ?? []), artifact])
    }
    return models
  }
  const [control, treatment] = [byModel('control'), byModel('treatment')]
  if (control.size === 0 || treatment.size === 0) return undefined
  for (const [name, list] of treatment) {
    const other = control.get(name)
    if (other === undefined || other.join() !== list.join())
      return `${list.join(', ')} in the treatment, ${other?.join(', ') ?? 'none of it'} in the control`
  }
  return undefined
}

/** What the judge saw, by name, for the event that tells what it did. */
export function numbersOf(rollout: Rollout, state: RolloutState): Readonly<Record<string, number | null>> {
  const numbers: Record<string, number | null> = {}
  for (const arm of ARMS) {
    numbers[`units ${arm}`] = state.totals[arm].units
    for (const { event } of rollout.guardrails) numbers[`${event} ${arm}`] = state.totals[arm].bad[event] ?? 0
  }
  for (const name of Object.keys(state.tests))
    numbers[`e ${name}`] = short(Math.exp(Math.min(700, evidence(state, name))))
  for (const { metric, difference, low, high } of state.criteria) {
    numbers[metric] = short(difference)
    numbers[`${metric} low`] = short(low)
    numbers[`${metric} high`] = short(high)
  }
  return numbers
}

const short = (value: number | null): number | null => (value === null ? null : Number(value.toPrecision(4)))
