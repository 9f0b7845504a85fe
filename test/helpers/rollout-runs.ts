import { countedIn, harmOf } from '../../src/engine/compare.ts'
import { begun } from '../../src/engine/rollout-begin.ts'
import { Book } from '../../src/measure/arms-book.ts'
import type { AccessEntry, Outcome, Verdict } from '../../src/model/outcome.ts'
import type { Arm, ArmCount, Rollout } from '../../src/model/rollout.ts'

/** A small generator of numbers from 0 to 1 that depend on a seed alone (mulberry32). */
export const generator = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** How the requests of an arm come out. */
export interface ArmNature {
  readonly errorRatio: number
  readonly refusedRatio: number
  /** Durations are lognormal about this, with a sigma of 0.5. */
  readonly medianMs: number
}

/** What is simulated. */
export interface Scenario {
  readonly control: ArmNature
  readonly treatment: ArmNature
  readonly share: number
  readonly requests: number
  /** The judge looks after each so many requests. */
  readonly every: number
  /** The treatment is like the control up to here, and by its own nature after; what is stopped before counts as false. */
  readonly turnsAfter?: number
}

/** A rollout with the guardrails of the simulation: five tests that share its alpha. */
export const simulatedRollout = (share: number): Rollout => ({
  metadata: { name: 'simulated', owner: 'routing@example.com' },
  flag: 'prefer-simulated-site-for-chat',
  class: 'chat',
  variants: { control: 'control', treatment: 'treatment' },
  unit: 'request',
  stages: [{ name: 'canary', tenantsBp: 10_000, shareBp: Math.round(share * 10_000), bakeMs: 1_000 }],
  success: [{ metric: 'response.p95_ms', improveBy: 0 }],
  guardrails: (['error', 'timeout', 'refused', 'slower-than-p50', 'slower-than-p95'] as const).map((event) => ({
    event,
    ratioMax: 1.5,
  })),
  siteLimits: [],
  freezeWindows: [],
  alpha: 0.05,
  unitsMin: 100,
  promotion: 'judge',
  differingArtifacts: false,
  rollback: { plan: 'switch the flag off', owner: 'routing@example.com' },
  escalation: ['on-call@example.com'],
  dashboard: 'https://dashboards.example.com/simulated',
})

/** When each way of judging rolled a run back, in requests, and in requests of the treatment; undefined: never. */
export interface RunResult {
  readonly judge: Stop | undefined
  readonly zTest: Stop | undefined
  readonly threshold: Stop | undefined
}

/** After how many requests. */
export interface Stop {
  readonly requests: number
  readonly canary: number
}

/** Looks of the two other ways: every 200 requests, as dashboards and canary tools look at intervals. */
const LOOK_EVERY = 200
/** The fixed threshold: more than so large a part of an interval's canary requests bad. */
const FIXED_RATIO = 0.05
/** One-sided 5 %, as if one looked once. */
const Z = 1.645

/**
 * One run: requests come out by the nature of their arm, the real book takes them in, the real judge weighs them. Beside
 * it, on the same requests: a z-test of the bad events that is looked at every 200 requests, and a fixed threshold on
 * those of each interval. Bad, for those two, is an error or refusal, or, in a run about slowness, slower than the 95th
 * percentile of the control.
 */
export function simulateRun(rollout: Rollout, scenario: Scenario, seed: number, isAboutSlowness: boolean): RunResult {
  const draw = generator(seed)
  const { share, requests, every, turnsAfter = 0 } = scenario
  const arms = { control: scenario.control, treatment: scenario.treatment }
  const book = new Book('h', 'e', 0, false)
  const others = new Others()
  const outcome = blank()
  const { entry } = outcome
  let state = begun(rollout, { policy: null, meaning: '' }, 0)
  let judged: Stop | undefined
  let canary = 0
  // The 95th percentile of what is lognormal, sigma 0.5.
  const slowMs = scenario.control.medianMs * Math.exp(1.645 * 0.5)
  for (let at = 1; at <= requests; at++) {
    const arm: Arm = draw() < share ? 'treatment' : 'control'
    const nature = at > turnsAfter ? arms[arm] : arms.control
    if (arm === 'treatment') canary++
    const luck = draw()
    outcome.verdict =
      luck < nature.errorRatio ? 'error' : luck < nature.errorRatio + nature.refusedRatio ? 'refused' : 'ok'
    entry.durationMs = nature.medianMs * Math.exp(0.5 * normal(draw))
    book.ended(arm, outcome as Outcome)
    others.see(arm, isAboutSlowness ? entry.durationMs > slowMs : outcome.verdict !== 'ok', at, canary)
    if (judged === undefined && (at % every === 0 || at === requests)) {
      const { counts, assigned, classUnits } = book.take()
      const reading = { rollout: state.name, counts: counts as Record<Arm, ArmCount>, assigned, classUnits }
      state = countedIn(rollout, state, { ...reading, criteria: [], artifacts: { control: [], treatment: [] } })
      if (harmOf(rollout, state) !== undefined) judged = { requests: at, canary }
    }
    if (judged !== undefined && others.areDone) break
  }
  return { judge: judged, zTest: others.zTest, threshold: others.threshold }
}

/** Box and Muller. */
const normal = (draw: () => number): number => Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw())

class Others {
  zTest: Stop | undefined
  threshold: Stop | undefined
  #units = { control: 0, treatment: 0 }
  #bad = { control: 0, treatment: 0 }
  #interval = { units: 0, bad: 0 }

  get areDone(): boolean {
    return this.zTest !== undefined && this.threshold !== undefined
  }

  see(arm: Arm, isBad: boolean, requests: number, canary: number): void {
    this.#units[arm]++
    if (isBad) this.#bad[arm]++
    if (arm === 'treatment') {
      this.#interval.units++
      if (isBad) this.#interval.bad++
    }
    if (requests % LOOK_EVERY !== 0) return
    const stop = { requests, canary }
    if (this.#z() > Z) this.zTest ??= stop
    if (this.#interval.bad > FIXED_RATIO * this.#interval.units) this.threshold ??= stop
    this.#interval = { units: 0, bad: 0 }
  }

  #z(): number {
    const { control, treatment } = this.#units
    const pooled = (this.#bad.control + this.#bad.treatment) / (control + treatment)
    const spread = Math.sqrt(pooled * (1 - pooled) * (1 / control + 1 / treatment))
    return spread > 0 ? (this.#bad.treatment / treatment - this.#bad.control / control) / spread : 0
  }
}

type Drafted<T> = { -readonly [K in keyof T]: T[K] }

const blank = (): Drafted<Omit<Outcome, 'entry' | 'verdict'>> & { entry: Drafted<AccessEntry>; verdict: Verdict } => ({
  at: 0,
  entry: {
    decision: '',
    requestId: '',
    startedAt: 0,
    durationMs: 0,
    firstBodyMs: -1,
    firstHeaderMs: -1,
    upstreamBeginMs: -1,
    status: 200,
    flags: [],
    details: '',
    cluster: '',
    attempts: 1,
    requestBytes: 0,
    responseBytes: 0,
    headers: {},
  },
  decided: null,
  class: 'chat',
  target: null,
  verdict: 'ok',
  withinSlo: null,
  parts: {},
})

/** The scenarios of the issue. */
export const SCENARIOS = {
  noEffect: (requests: number): Scenario => ({
    control: { errorRatio: 0.01, refusedRatio: 0.005, medianMs: 400 },
    treatment: { errorRatio: 0.01, refusedRatio: 0.005, medianMs: 400 },
    share: 0.1,
    requests,
    every: 20,
  }),
  errors: {
    control: { errorRatio: 0.001, refusedRatio: 0.001, medianMs: 400 },
    treatment: { errorRatio: 0.05, refusedRatio: 0.001, medianMs: 400 },
    share: 0.1,
    requests: 20_000,
    every: 10,
  },
  /** Well for 30,000 requests, and then not. */
  turns: {
    control: { errorRatio: 0.001, refusedRatio: 0.001, medianMs: 400 },
    treatment: { errorRatio: 0.05, refusedRatio: 0.001, medianMs: 400 },
    share: 0.1,
    requests: 50_000,
    every: 20,
    turnsAfter: 30_000,
  },
  slower: {
    control: { errorRatio: 0.001, refusedRatio: 0.001, medianMs: 400 },
    treatment: { errorRatio: 0.001, refusedRatio: 0.001, medianMs: 520 },
    share: 0.1,
    requests: 12_000,
    every: 50,
  },
} as const
