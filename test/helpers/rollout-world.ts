import { createLog } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import type { ArmCount, ArmsReading, CriterionReading, Rollout, RolloutState } from '../../src/model/rollout.ts'
import { type OpenRollouts, openRollouts } from '../../src/sidecar/rollouts.ts'
import { policy, site, World } from './world.ts'

/** The key of the flag that rollouts of these tests drive. */
export const FLAG = 'prefer-ams-for-chat'

/** A rollout of p@2 in three stages, 1 %, 10 % and 100 %, of a minute each, and whatever else is said. */
export const rollout = (over: Partial<Rollout> & { name?: string } = {}): Rollout => {
  const { name = 'amsterdam-first', ...rest } = over
  return {
    metadata: { name, owner: 'routing@example.com' },
    flag: FLAG,
    class: 'chat',
    policy: 'p@2',
    variants: { control: 'control', treatment: 'treatment' },
    unit: 'request',
    stages: [
      { name: 'canary', tenantsBp: 10_000, shareBp: 100, bakeMs: 60_000 },
      { name: 'tenth', tenantsBp: 10_000, shareBp: 1_000, bakeMs: 60_000 },
      { name: 'all', tenantsBp: 10_000, shareBp: 10_000, bakeMs: 60_000 },
    ],
    success: [
      { metric: 'response.p95_ms', improveBy: 20 },
      { metric: 'errors.ratio', worseByAtMost: 0.01 },
    ],
    guardrails: [{ event: 'error', ratioMax: 2, differenceMax: 0.02 }],
    siteLimits: [],
    freezeWindows: [],
    alpha: 0.05,
    unitsMin: 100,
    promotion: 'judge',
    differingArtifacts: false,
    rollback: { plan: 'switch the flag off', owner: 'routing@example.com' },
    escalation: ['on-call@example.com'],
    dashboard: 'https://dashboards.example.com/amsterdam-first',
    ...rest,
  }
}

/** The flag, whose treatment names p@2. */
export const flag = (over: object = {}): object => ({
  [FLAG]: {
    state: 'ENABLED',
    variants: { control: {}, treatment: { policy: 'p@2' } },
    defaultVariant: 'control',
    metadata: { layer: 'rollout', class: 'chat' },
    ...over,
  },
})

/** A world with two versions of a policy, the flag and a rollout between them, which has begun. */
export class RolloutWorld extends World {
  readonly name: string

  constructor(doc: Rollout | undefined = rollout(), flags: object = flag()) {
    super({
      sites: [site('ams'), site('fra')],
      policies: [
        policy([['fra'], ['ams']], { experiments: { cohorts: ['*'] } }),
        policy([['ams'], ['fra']], { version: 2, experiments: { cohorts: ['*'] } }),
      ],
      rollouts: doc === undefined ? [] : [doc],
    })
    this.name = doc?.metadata.name ?? ''
    this.flags(flags)
  }

  get state(): RolloutState {
    return this.snapshot.data.rollouts[this.name]!
  }

  /** So many units of each arm, of which so many bad, and where the criteria stand; sessions are split as they should be. */
  measure(
    control: ArmCount,
    treatment: ArmCount,
    criteria: readonly CriterionReading[] = [],
    over: Partial<ArmsReading> = {},
  ): this {
    const artifacts = { control: [], treatment: [] }
    const all = control.units + treatment.units
    const inTreatment = Math.round((all * this.state.shareBp) / 10_000)
    const assigned = { control: all - inTreatment, treatment: inTreatment }
    const reading = { rollout: this.name, counts: { control, treatment }, assigned, criteria, artifacts, ...over }
    return this.apply({ kind: 'arms-measured', at: this.now, readings: [reading] })
  }

  order(order: 'promote' | 'hold' | 'resume' | 'abort', author = 'ops@example.com'): this {
    const word = { order, author, reason: 'because', at: this.now }
    return this.apply({ kind: 'rollout-ordered', at: this.now, rollout: this.name, order: word })
  }
}

/** Units of one arm, and the errors among them. */
export const units = (count: number, error = 0): ArmCount => ({ units: count, bad: error === 0 ? {} : { error } })

/** A reading of a criterion: treatment less control, with its bounds. */
export const reading = (metric: string, difference: number, wide: number, count = 10_000): CriterionReading => ({
  metric,
  control: 100,
  treatment: 100 + difference,
  difference,
  low: difference - wide,
  high: difference + wide,
  units: { control: count, treatment: count },
})

/** The rollouts of a world as a running hubward has them, with their file in this folder. */
export const rolloutsOf = (world: World, stateDir: string): OpenRollouts => {
  const heard: (() => void)[] = []
  return openRollouts({
    stateDir,
    store: {
      get current() {
        return world.snapshot
      },
      apply: (change) => {
        world.apply(change)
        for (const listener of heard) listener()
      },
      subscribe: (listener) => {
        const hear = (): void => listener(world.snapshot, [], { kind: 'time-passed', at: world.now })
        heard.push(hear)
        return () => heard.splice(heard.indexOf(hear), 1)
      },
    },
    clock: { now: () => world.now },
    metrics: createMetrics(),
    log: createLog('silent'),
  })
}
