import type { SiteClock } from '../clock.ts'
import { type Loop, type LoopOptions, loopAt, stepLoop } from './loop.ts'

/** How a plant is built: what it may draw, what it draws by itself, its coolant loops and its accelerators. */
export interface PlantOptions {
  readonly site: string
  readonly budgetMw: number
  /** IT power without jobs and requests. */
  readonly baseMw: number
  /** IT power of one request that runs. */
  readonly mwPerRequest: number
  readonly gpus: number
  readonly designPue: number
  readonly designAmbientC: number
  readonly loops: readonly LoopOptions[]
}

/** A small campus: 12 MW, one liquid loop of 6 MW and one of air of 3 MW. */
export const PLANT_DEFAULTS: PlantOptions = {
  site: 'ams',
  budgetMw: 12,
  baseMw: 2,
  mwPerRequest: 0.01,
  gpus: 64,
  designPue: 1.15,
  designAmbientC: 30,
  loops: [
    { name: 'cdu-1', capacityKw: 6_000, ratedFlowLpm: 9_000, supplyLimitC: 40, designSupplyC: 30, tauS: 40 },
    { name: 'air-1', capacityKw: 3_000, ratedFlowLpm: 4_000, supplyLimitC: 27, designSupplyC: 20, tauS: 120 },
  ],
}

/** One job that draws power. */
export interface PlantJob {
  readonly id: string
  readonly loop: string
  readonly mw: number
  /** How long it takes from nothing to all, or back. */
  readonly rampS: number
  paused: boolean
  drawMw: number
}

/** What a meter shows of its signal; `offset` adds to it, `late` shows what it was so long ago. */
export type MeterFault =
  | { readonly kind: 'stuck' }
  | { readonly kind: 'offset'; readonly by: number }
  | { readonly kind: 'spike'; readonly by: number }
  | { readonly kind: 'null' }
  | { readonly kind: 'silent' }
  | { readonly kind: 'late'; readonly ms: number }

/** What the outside does to a plant. */
export interface Circumstances {
  ambientC: number
  /** The most the grid gives; null: as much as the budget. */
  gridLimitMw: number | null
  gridEmergency: boolean
  /** When the grid's order ends, epoch ms; null: not said. */
  gridUntil: number | null
  maintenance: boolean
  leak: boolean
  xidGpus: number
  throttledGpus: number
  /** What it draws beyond everything that is modelled. */
  extraMw: number
}

const CALM: Circumstances = {
  ambientC: 20,
  gridLimitMw: null,
  gridEmergency: false,
  gridUntil: null,
  maintenance: false,
  leak: false,
  xidGpus: 0,
  throttledGpus: 0,
  extraMw: 0,
}

/** The meters of each loop. */
export const LOOP_METERS = ['supply_c', 'return_c', 'flow_lpm', 'heat_kw', 'capacity_kw'] as const

/** The longest step of the model: well under the time in which a loop changes. */
const STEP_S = 0.1

/**
 * The facility side of a simulated site: power, heat and coolant, brought up to the time of the clock whenever somebody
 * looks. Heat is conserved: what goes into a loop either warms its water or is taken away.
 */
export class Plant {
  readonly options: PlantOptions
  readonly loops: readonly Loop[]
  readonly jobs = new Map<string, PlantJob>()
  readonly meters = new Map<string, MeterFault>()
  readonly now: Circumstances = { ...CALM }
  readonly #clock: SiteClock
  readonly #running: () => number
  #at: number
  #itMw: number

  /** `running` says how many requests the site serves at the moment. */
  constructor(options: PlantOptions, clock: SiteClock, running: () => number = () => 0) {
    this.options = options
    this.#clock = clock
    this.#running = running
    this.#at = clock.now()
    this.loops = options.loops.map((loop) => loopAt(loop))
    this.#itMw = this.#load()
  }

  /** IT power in MW: what computes and serves. */
  get itMw(): number {
    return this.#itMw
  }

  /** Power Usage Effectiveness: the design's, and two percent more for each degree above the design's outside temperature. */
  get pue(): number {
    const { designPue, designAmbientC } = this.options
    return designPue * (1 + 0.02 * Math.max(0, this.now.ambientC - designAmbientC))
  }

  /** What the whole site draws, in MW. */
  get drawMw(): number {
    return this.#itMw * this.pue
  }

  /** What it may draw now, in MW: the budget, or the grid's limit while that holds. */
  get allowedMw(): number {
    const { gridLimitMw, gridUntil } = this.now
    const holds = gridLimitMw !== null && (gridUntil === null || gridUntil > this.#at)
    return holds ? Math.min(this.options.budgetMw, gridLimitMw) : this.options.budgetMw
  }

  /** Brings everything up to now, and says when that is. */
  advance(): number {
    const now = this.#clock.now()
    for (let left = Math.min(3_600, (now - this.#at) / 1_000); left > 1e-9; left -= STEP_S) {
      const stepS = Math.min(STEP_S, left)
      for (const job of this.jobs.values()) ramp(job, stepS)
      this.#itMw = this.#load()
      for (const loop of this.loops) stepLoop(loop, this.#heatKw(loop), this.now.ambientC, stepS)
    }
    this.#at = now
    this.#itMw = this.#load()
    const { now: outside } = this
    if (outside.gridUntil !== null && outside.gridUntil <= now) {
      outside.gridLimitMw = null
      outside.gridEmergency = false
      outside.gridUntil = null
    }
    return now
  }

  /** Puts a job in; one of the same id is replaced. */
  start(job: Omit<PlantJob, 'paused' | 'drawMw'>): void {
    this.advance()
    this.jobs.set(job.id, { ...job, paused: false, drawMw: 0 })
  }

  /** Pauses or resumes a job; false: there is none of that id. */
  pause(id: string, paused: boolean): boolean {
    this.advance()
    const job = this.jobs.get(id)
    if (job !== undefined) job.paused = paused
    return job !== undefined
  }

  /** Takes a job out; false: there is none of that id. */
  end(id: string): boolean {
    this.advance()
    return this.jobs.delete(id)
  }

  /** The names of its meters. */
  meterNames(): readonly string[] {
    const loops = this.options.loops.flatMap(({ name }) => LOOP_METERS.map((meter) => `${name}/${meter}`))
    return ['power.draw_mw', 'power.it_mw', 'pue.ratio', 'ambient.temperature_c', ...loops]
  }

  /** Everything is as it was built; jobs go on, and what is hot cools down by itself. */
  recover(): void {
    Object.assign(this.now, CALM)
    this.meters.clear()
    for (const loop of this.loops) Object.assign(loop, { pump: 1, fouling: 0 })
  }

  #load(): number {
    let mw = this.options.baseMw + this.now.extraMw + this.#running() * this.options.mwPerRequest
    for (const job of this.jobs.values()) mw += job.drawMw
    return mw
  }

  /** All power becomes heat: that of a job in its own loop, all else in the last one. */
  #heatKw(loop: Loop): number {
    let mw = 0
    for (const job of this.jobs.values()) if (job.loop === loop.options.name) mw += job.drawMw
    const isLast = loop === this.loops.at(-1)
    const rest = this.options.baseMw + this.now.extraMw + this.#running() * this.options.mwPerRequest
    return (mw + (isLast ? rest : 0)) * 1_000
  }
}

const ramp = (job: PlantJob, stepS: number): void => {
  const wanted = job.paused ? 0 : job.mw
  const most = (job.mw / Math.max(0.001, job.rampS)) * stepS
  job.drawMw += Math.max(-most, Math.min(most, wanted - job.drawMw))
}
