import type { Sums } from '../math/mean-bounds.ts'
import { murmur3 } from '../math/murmur3.ts'
import { Ranks } from '../math/quantile-bounds.ts'
import type { Outcome } from '../model/outcome.ts'
import { ARMS, type Arm, type BadEvent } from '../model/rollout.ts'
import { isServed, ttftOf } from './verdict.ts'

/** Times that are kept by rank, by the name of their metrics without the quantile. */
export const TIMES = ['response', 'ttft', 'queue'] as const

/** Shares that are kept, by the name of their metrics. */
export const SHARES = ['errors.ratio', 'refused.ratio', 'slo_miss.ratio', 'fallback.ratio'] as const

/** Quantiles of the control's answers that a request can be slower than, and from how many of them on. */
const SLOWER = [
  ['slower-than-p50', 0.5, 100],
  ['slower-than-p95', 0.95, 200],
  ['slower-than-p99', 0.99, 1_000],
] as const

/** How many artifacts, outcomes and days of outcomes a rollout may have; what is beyond is left out. */
const ARTIFACTS_MAX = 64
const OUTCOMES_MAX = 64
/** How many outcomes are told that no criterion asks for. */
const OUTCOMES_TOLD = 8
const DAYS_MAX = 2_000
/** So many sessions and reports are told apart before the older half of them is forgotten. */
const SEEN_MAX = 131_072

/** Values that have been seen lately: at least the last half of so many. */
class Seen {
  #now = new Set<number>()
  #before = new Set<number>()

  /** Notes a value; false: it had been noted. */
  add(value: number): boolean {
    if (this.#now.has(value) || this.#before.has(value)) return false
    if (this.#now.size >= SEEN_MAX / 2) {
      this.#before = this.#now
      this.#now = new Set()
    }
    this.#now.add(value)
    return true
  }
}

type Counts = { units: number; bad: Partial<Record<BadEvent, number>> }
type OfArm<T> = Record<Arm, T>

const byArm = <T>(make: () => T): OfArm<T> => ({ control: make(), treatment: make() })

const noSums = (): Sums => ({ n: 0, sum: 0, squares: 0, isShare: true })

const add = (a: Sums, b: Sums): Sums => ({
  n: a.n + b.n,
  sum: a.sum + b.sum,
  squares: a.squares === null || b.squares === null ? null : a.squares + b.squares,
  isShare: a.isShare && b.isShare,
})

/** What is kept of a book over a restart. */
export interface BookMemory {
  readonly hash: string
  readonly exposure: string
  readonly times: OfArm<Readonly<Record<string, readonly number[]>>>
  readonly shares: OfArm<Readonly<Record<string, readonly [number, number]>>>
  readonly units: OfArm<number>
  readonly outcomes: Readonly<Record<string, OfArm<Sums>>>
  readonly days: readonly (readonly [string, Sums])[]
  readonly slowerThan: Readonly<Record<string, number>>
  readonly artifacts: OfArm<readonly string[]>
}

/**
 * What came of the requests of one rollout, by arm. Times, shares and artifacts are those since the present shares are
 * in force; what the business reports comes late, and is kept from the beginning.
 */
export class Book {
  readonly hash: string
  #exposure: string
  #exposedAt: number
  #isJob: boolean
  #since = byArm((): Counts => ({ units: 0, bad: {} }))
  #assigned = byArm(() => 0)
  #classUnits = 0
  #took = 0
  #times = byArm(() => new Map(TIMES.map((name) => [name as string, new Ranks()])))
  #shares = byArm(() => new Map<string, [number, number]>())
  #units = byArm(() => 0)
  #outcomes = new Map<string, OfArm<Sums>>()
  #days = new Map<string, Sums>()
  #slowerThan = new Map<string, number>()
  #artifacts = byArm(() => new Set<string>())
  #sessions = new Seen()
  #reports = new Seen()
  /** Jobs that were counted, by a hash of their decision. */
  #jobs = new Seen()

  constructor(hash: string, exposure: string, exposedAt: number, isJob: boolean) {
    this.hash = hash
    this.#exposure = exposure
    this.#exposedAt = exposedAt
    this.#isJob = isJob
  }

  /** Units of both arms since the present shares are in force. */
  get units(): Readonly<OfArm<number>> {
    return this.#units
  }

  get exposedAt(): number {
    return this.#exposedAt
  }

  /** Begins anew where other shares are in force: what was compared under the old ones is told by its last reading. */
  expose(exposure: string, exposedAt: number): void {
    if (exposure === this.#exposure) return
    this.#exposure = exposure
    this.#exposedAt = exposedAt
    this.#since = byArm(() => ({ units: 0, bad: {} }))
    this.#assigned = byArm(() => 0)
    this.#times = byArm(() => new Map(TIMES.map((name) => [name as string, new Ranks()])))
    this.#shares = byArm(() => new Map())
    this.#units = byArm(() => 0)
    this.#artifacts = byArm(() => new Set())
    this.#sessions = new Seen()
  }

  /** A request of the class has ended, of whatever arm or of none. */
  passed(): void {
    this.#classUnits += 1
  }

  /** A request of an arm has ended. Of jobs only those that never ran count by that: the others when they are reported. */
  ended(arm: Arm, outcome: Outcome): void {
    const { withinSlo, entry, target, decided, parts, artifact } = outcome
    const verdict = this.#isInVain(outcome) ? 'timeout' : outcome.verdict
    this.#took += 1
    const session = decided?.session
    if (session === undefined || this.#sessions.add(session)) this.#assigned[arm] += 1
    if (artifact !== undefined && this.#artifacts[arm].size < ARTIFACTS_MAX) this.#artifacts[arm].add(artifact)
    const isRefused = verdict === 'refused'
    // What a site turns down at once has no time of its own. A time-out took at least as long as it did, and so would the
    // answer to a client that left: without these an arm looks fast whose slow answers nobody waits for.
    const isTimed = verdict === 'timeout' || verdict === 'left' || isServed(verdict, entry)
    const isJobUnderWay = this.#isJob && (verdict === 'ok' || verdict === 'left')
    const bad: BadEvent[] = []
    if (verdict === 'error' || verdict === 'timeout' || isRefused) bad.push(verdict)
    if (withinSlo === false) bad.push('slo-miss')
    if (isTimed)
      for (const [event] of SLOWER) if (entry.durationMs > (this.#slowerThan.get(event) ?? Infinity)) bad.push(event)
    if (!isJobUnderWay && (!this.#isJob || decided === null || this.#jobs.add(murmur3(decided.id))))
      this.#count(arm, bad)
    if (isTimed) {
      this.#time(arm, 'response', entry.durationMs)
      this.#time(arm, 'ttft', ttftOf(entry))
      if (parts.heldMs !== undefined || parts.queueMs !== undefined)
        this.#time(arm, 'queue', (parts.heldMs ?? 0) + (parts.queueMs ?? 0))
    }
    this.#share(arm, 'errors.ratio', verdict === 'error' || verdict === 'timeout')
    this.#share(arm, 'refused.ratio', isRefused)
    if (withinSlo !== null) this.#share(arm, 'slo_miss.ratio', !withinSlo)
    const first = decided?.firstChoice ?? null
    if (!isRefused && first !== null)
      this.#share(arm, 'fallback.ratio', target !== first && target?.startsWith(`${first}/`) !== true)
  }

  /**
   * Has a client gone without a byte, after longer than 95 of a hundred of the control's had their whole answer? Its own
   * patience has ended where a time-out of the route would have come later.
   */
  #isInVain({ verdict, entry }: Outcome): boolean {
    return (
      verdict === 'left' &&
      entry.firstBodyMs < 0 &&
      entry.durationMs > (this.#slowerThan.get('slower-than-p95') ?? Number.POSITIVE_INFINITY)
    )
  }

  /**
   * An outcome was reported of one decision, at whose end the job of this hash ended or none; `mark` tells reports apart,
   * so that one sent twice counts once.
   */
  reported(arm: Arm, name: string, value: number, mark: number, job: number | undefined, isPresent: boolean): void {
    if (!this.#reports.add(mark)) return
    this.#sum(name, arm, { n: 1, sum: value, squares: value * value, isShare: value === 0 || value === 1 })
    if (this.#isJob && job !== undefined && isPresent && this.#jobs.add(job))
      this.#count(arm, value > 0 ? [] : ['job-failed'])
  }

  /** What was reported of an arm for a day; sent again, it replaces what was. */
  reportedDay(arm: Arm, name: string, day: string, sums: Sums): void {
    const key = `${name} ${arm} ${day}`
    if (!this.#days.has(key) && this.#days.size >= DAYS_MAX) return
    this.#days.set(key, sums)
  }

  #count(arm: Arm, bad: readonly BadEvent[]): void {
    const since = this.#since[arm]
    since.units += 1
    this.#units[arm] += 1
    for (const event of bad) since.bad[event] = (since.bad[event] ?? 0) + 1
  }

  #time(arm: Arm, name: string, ms: number): void {
    this.#times[arm].get(name)!.add(ms)
  }

  #share(arm: Arm, name: string, holds: boolean): void {
    const cell = this.#shares[arm].get(name) ?? [0, 0]
    this.#shares[arm].set(name, [cell[0] + (holds ? 1 : 0), cell[1] + 1])
  }

  #sum(name: string, arm: Arm, sums: Sums): void {
    let known = this.#outcomes.get(name)
    if (known === undefined) {
      if (this.#outcomes.size >= OUTCOMES_MAX) return
      known = byArm(noSums)
      this.#outcomes.set(name, known)
    }
    known[arm] = add(known[arm], sums)
  }

  /** Values of a time, by rank. */
  ranks(arm: Arm, name: string): Ranks | undefined {
    return this.#times[arm].get(name)
  }

  /** How often something held, and of how many. */
  share(arm: Arm, name: string): readonly [number, number] {
    return this.#shares[arm].get(name) ?? [0, 0]
  }

  /** The names of reported outcomes. */
  outcomes(): readonly string[] {
    const ofDays = [...this.#days.keys()].map((key) => key.split(' ')[0]!)
    return [...new Set([...this.#outcomes.keys(), ...ofDays])].slice(0, OUTCOMES_TOLD)
  }

  /** What was reported of an arm under a name: of single decisions, and of days. */
  sums(arm: Arm, name: string): Sums {
    let all = this.#outcomes.get(name)?.[arm] ?? noSums()
    for (const [key, sums] of this.#days) if (key.startsWith(`${name} ${arm} `)) all = add(all, sums)
    return all
  }

  artifacts(arm: Arm): readonly string[] {
    return [...this.#artifacts[arm]].sort()
  }

  /** What was counted since this was last called; and from now on a request is slow by what the control has shown by now. */
  take() {
    const taken = { counts: this.#since, assigned: this.#assigned, classUnits: this.#classUnits, took: this.#took }
    this.#since = byArm(() => ({ units: 0, bad: {} }))
    this.#assigned = byArm(() => 0)
    this.#classUnits = 0
    this.#took = 0
    const control = this.#times.control.get('response')!
    for (const [event, q, from] of SLOWER) {
      const value = control.count >= from ? control.quantile(q) : null
      if (value !== null) this.#slowerThan.set(event, value)
    }
    return taken
  }

  save(): BookMemory {
    const times = (arm: Arm) => Object.fromEntries([...this.#times[arm]].map(([name, ranks]) => [name, ranks.save()]))
    const shares = (arm: Arm) => Object.fromEntries(this.#shares[arm])
    return {
      hash: this.hash,
      exposure: this.#exposure,
      times: { control: times('control'), treatment: times('treatment') },
      shares: { control: shares('control'), treatment: shares('treatment') },
      units: { ...this.#units },
      outcomes: Object.fromEntries(this.#outcomes),
      days: [...this.#days],
      slowerThan: Object.fromEntries(this.#slowerThan),
      artifacts: { control: this.artifacts('control'), treatment: this.artifacts('treatment') },
    }
  }

  /** Takes in what was saved of the same rollout; what was compared under other shares is left out. */
  restore(memory: BookMemory): void {
    if (memory.hash !== this.hash) return
    this.#outcomes = new Map(Object.entries(memory.outcomes).map(([name, sums]) => [name, { ...sums }]))
    this.#days = new Map(memory.days)
    this.#slowerThan = new Map(Object.entries(memory.slowerThan))
    if (memory.exposure !== this.#exposure) return
    for (const arm of ARMS) {
      this.#units[arm] = memory.units[arm]
      for (const name of TIMES) this.#times[arm].set(name, Ranks.of(memory.times[arm][name] ?? []))
      this.#shares[arm] = new Map(Object.entries(memory.shares[arm]).map(([name, [held, of]]) => [name, [held, of]]))
      this.#artifacts[arm] = new Set(memory.artifacts[arm])
    }
  }
}
