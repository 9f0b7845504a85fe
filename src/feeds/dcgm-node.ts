import { CLOCK, type GpuState, gpusOf, isDcgmMetric } from './dcgm-page.ts'
import { failure } from './failure.ts'
import type { HttpReader, HttpText } from './http.ts'
import { PrometheusReader } from './prometheus-text.ts'
import { xidNeeds, xidText } from './xids.ts'

/** How a pool's accelerators are judged. */
export interface GpuRules {
  /** Series with other values of these labels are another pool's. */
  readonly where?: Readonly<Record<string, string>>
  /** The unit of the exporter's violation counters: ns in its main branch, us in what vendors document. */
  readonly violationUnit: 'ns' | 'us'
  /** Running at the power limit counts as throttled. */
  readonly powerCap: boolean
  readonly freeMemoryMib: number
  /** XIDs that are let pass beside those of the table. */
  readonly harmlessXids: readonly number[]
}

/** One accelerator, judged. What could not be told is absent. */
export interface Judged extends GpuState {
  /** Why somebody has to look at it. */
  readonly sick?: string
  readonly isFree?: boolean
  readonly isThrottled?: boolean
}

/** What one scrape of a node gave. */
export interface NodeReading {
  readonly gpus: readonly Judged[]
  /** Accelerators that were there in the last day and are gone. */
  readonly missing: number
  /** Whether any of them says anything of its health. */
  readonly knowsHealth: boolean
  /** When it was measured, at the latest, by our clock. */
  readonly at: number
  readonly answer: HttpText
}

/** An accelerator that some kernel kept busy for more than this is used. */
const IDLE_RATIO_MAX = 0.01
/** Held back for more than this share of the time since the last scrape is throttled. */
const VIOLATION_RATIO = 0.05
/** How long a node is remembered to have had more accelerators. */
const MISSING_MS = 86_400_000

/** One exporter: remembers what its last pages said, for counters, for errors that others cover, for GPUs that vanish. */
export class DcgmNode {
  readonly reader: HttpReader
  readonly #rules: GpuRules
  #sick = new Map<string, number>()
  #violations = new Map<string, number>()
  #scrapedAt = 0
  #most = 0
  #mostAt = 0
  #energy = ''
  #energyAt = 0

  constructor(reader: HttpReader, rules: GpuRules) {
    this.reader = reader
    this.#rules = rules
  }

  /** Scrapes it. Rejects with FeedFailure, and then remembers what it did before. */
  async scrape(signal: AbortSignal): Promise<NodeReading> {
    const parser = new PrometheusReader(isDcgmMetric)
    const answer = await this.reader.read(signal, (text) => parser.push(text))
    const states = gpusOf(parser.end(answer.contentType.startsWith('application/openmetrics-text')), this.#rules.where)
    if (states.length === 0) {
      const remedy = 'give the address of a DCGM exporter, and labels under `where` that its series have'
      throw failure('feed/no-metric', `${this.reader.where} shows no accelerator`, { remedy })
    }
    const now = answer.sentAt
    const gpus = states.map((gpu) => this.#judged(gpu, now))
    this.#remember(states, now)
    if (states.length >= this.#most || now - this.#mostAt > MISSING_MS) {
      this.#most = states.length
      this.#mostAt = now
    }
    return {
      gpus,
      missing: this.#most - states.length,
      knowsHealth: states.some(({ xid, remapFailed }) => xid !== undefined || remapFailed !== undefined),
      at: this.#measuredAt(states, now),
      answer,
    }
  }

  #judged(gpu: GpuState, now: number): Judged {
    const sick = this.#sickness(gpu)
    const isThrottled = this.#throttled(gpu, now)
    const { freeMemoryMib } = this.#rules
    const isUsed = gpu.isHeld || sick !== undefined || (gpu.utilisation ?? 0) > IDLE_RATIO_MAX
    return {
      ...gpu,
      ...(sick === undefined ? {} : { sick }),
      // Without a word on its memory it may hold a model that nobody asks just now.
      ...(gpu.usedMib === undefined ? {} : { isFree: !isUsed && gpu.usedMib < freeMemoryMib }),
      ...(isThrottled === undefined ? {} : { isThrottled }),
    }
  }

  #sickness({ name, xid = 0, remapFailed }: GpuState): string | undefined {
    if (remapFailed === true) return 'rows of its memory could not be remapped'
    // The metric has the last XID alone: an application's error after it does not heal the hardware.
    const worst = this.#needsLook(xid) ? xid : xid === 0 ? undefined : this.#sick.get(name)
    return worst === undefined ? undefined : xidText(worst)
  }

  #needsLook(xid: number): boolean {
    return xidNeeds(xid) === 'technician' && !this.#rules.harmlessXids.includes(xid)
  }

  #throttled(gpu: GpuState, now: number): boolean | undefined {
    const { powerCap } = this.#rules
    const { reasons } = gpu
    if (reasons !== undefined) {
      const mask = CLOCK.slowdown | CLOCK.heat | CLOCK.hardwareHeat | CLOCK.powerBrake | (powerCap ? CLOCK.powerCap : 0)
      // An idle GPU says slowdown while it changes its clocks.
      return (reasons & CLOCK.idle) === 0 && (reasons & mask) !== 0
    }
    const total = this.#violation(gpu)
    const before = this.#violations.get(gpu.name)
    if (total === undefined || before === undefined || total < before || now <= this.#scrapedAt) return undefined
    const ms = (total - before) / (this.#rules.violationUnit === 'ns' ? 1_000_000 : 1_000)
    return ms / (now - this.#scrapedAt) > VIOLATION_RATIO
  }

  #violation({ thermalViolation, powerViolation }: GpuState): number | undefined {
    const power = this.#rules.powerCap ? powerViolation : undefined
    return thermalViolation === undefined && power === undefined ? undefined : (thermalViolation ?? 0) + (power ?? 0)
  }

  #remember(states: readonly GpuState[], now: number): void {
    const sick = new Map<string, number>()
    const violations = new Map<string, number>()
    for (const gpu of states) {
      const xid = gpu.xid ?? 0
      const worst = this.#needsLook(xid) ? xid : xid === 0 ? undefined : this.#sick.get(gpu.name)
      if (worst !== undefined) sick.set(gpu.name, worst)
      const total = this.#violation(gpu)
      if (total !== undefined) violations.set(gpu.name, total)
    }
    this.#sick = sick
    this.#violations = violations
    this.#scrapedAt = now
  }

  /** While a counter that always moves stands still, the exporter repeats itself, and its values have the age of the first. */
  #measuredAt(states: readonly GpuState[], now: number): number {
    const energy = states.map((gpu) => `${gpu.name} ${gpu.energy ?? ''}`).join('\n')
    const isKnown = states.every((gpu) => gpu.energy !== undefined)
    if (!isKnown || energy !== this.#energy) {
      this.#energy = isKnown ? energy : ''
      this.#energyAt = now
    }
    return this.#energyAt
  }
}
