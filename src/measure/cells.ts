import { bucketOf } from '../math/log-buckets.ts'
import { MEASURED_TIMES, type MeasuredTime } from '../model/measurements.ts'
import type { EpochMs, TargetName } from '../model/names.ts'
import { type Outcome, VERDICTS } from '../model/outcome.ts'
import { Labels } from './labels.ts'
import { MeasureStore, type StoreBounds } from './store.ts'
import { isServed, ttftOf } from './verdict.ts'

/** The labels of a cell, and how many values of each are told apart at once. What else one asks for follows from these. */
export const CELL_LABELS = {
  target: 16_384,
  class: 1_024,
  arm: 8,
  rollout: 256,
  policy: 4_096,
  artifact: 1_024,
  region: 256,
  tier: 256,
  promptType: 256,
} as const satisfies Record<string, number>

/** A key of CELL_LABELS. */
export type CellLabel = keyof typeof CELL_LABELS

/** In the order in which cells have them. */
export const CELL_LABEL_NAMES = Object.keys(CELL_LABELS) as readonly CellLabel[]

/** What is added up in a cell. The first one orders cells by size. */
const CELL_SUMS = [
  'requests',
  ...VERDICTS,
  'sloMet',
  'sloMissed',
  'placed',
  'fallback',
  'degraded',
  'retried',
  'promptTokens',
  'completionTokens',
  'streamMs',
  'streamTokens',
  'cacheTenThousandths',
  'cacheSeen',
  'poolTokens',
  'poolSeen',
] as const

/** One of CELL_SUMS. */
export type CellSum = (typeof CELL_SUMS)[number]

/** The place of a sum in a cell. */
export const SUM = Object.fromEntries(CELL_SUMS.map((name, at) => [name, at])) as Readonly<Record<CellSum, number>>

/** The place of a time. */
export const TIME = Object.fromEntries(Object.keys(MEASURED_TIMES).map((name, at) => [name, at])) as Readonly<
  Record<MeasuredTime, number>
>

/** Values that the pool's own signals had when a request ended. */
export type SignalAt = (target: TargetName, signal: string) => number | undefined

/** Counts outcomes by all of their labels. */
export class Cells {
  readonly labels: readonly Labels[] = CELL_LABEL_NAMES.map((name) => new Labels(CELL_LABELS[name]))
  readonly store: MeasureStore
  readonly #signalAt: SignalAt
  readonly #key = new Uint16Array(CELL_LABEL_NAMES.length)

  constructor(bounds: StoreBounds, signalAt: SignalAt, now: EpochMs) {
    this.#signalAt = signalAt
    const coarse = (['target', 'class', 'arm', 'rollout'] as const).map((name) => CELL_LABEL_NAMES.indexOf(name))
    const shape = { dimensions: CELL_LABEL_NAMES.length, coarse, sums: CELL_SUMS.length }
    this.store = new MeasureStore(shape, this.labels, bounds, now)
  }

  /** Counts one outcome, now. */
  add(outcome: Outcome, now: EpochMs): void {
    const { decided, target, verdict, entry, parts } = outcome
    const block = this.store.open(now)
    const cell = block.cellFor(this.#keyOf(outcome), 1, TIMES)
    const sum = (name: CellSum, n = 1): void => block.sum(cell, SUM[name], n)
    sum('requests')
    sum(verdict)
    if (outcome.withinSlo !== null) sum(outcome.withinSlo ? 'sloMet' : 'sloMissed')
    if (decided !== null && target !== null && verdict !== 'refused') {
      sum('placed')
      if (isElsewhere(outcome)) sum('fallback')
      if (decided.action === 'degrade') sum('degraded')
    }
    if (entry.attempts > 1) sum('retried')
    const time = (name: MeasuredTime, ms: number | undefined): void => {
      const bucket = ms === undefined ? -1 : bucketOf(ms)
      if (bucket >= 0) block.count(cell, TIME[name], bucket, 1)
    }
    time('held', parts.heldMs)
    if (verdict === 'timeout') time('response', entry.durationMs)
    if (!isServed(verdict, entry) || target === null) return
    time('response', entry.durationMs)
    time('ttft', ttftOf(entry))
    time('network', parts.networkMs)
    time('queue', parts.queueMs)
    time('prefill', parts.prefillMs)
    time('decode', parts.decodeMs)
    if (entry.promptTokens !== undefined) sum('promptTokens', whole(entry.promptTokens))
    if (entry.completionTokens !== undefined) {
      sum('completionTokens', whole(entry.completionTokens))
      if ((parts.decodeMs ?? 0) > 0) {
        sum('streamTokens', whole(entry.completionTokens))
        sum('streamMs', parts.decodeMs)
      }
    }
    const hits = this.#signalAt(target, 'cache.hit_ratio')
    if (hits !== undefined) {
      sum('cacheTenThousandths', Math.round(hits * 10_000))
      sum('cacheSeen')
    }
    const tokens = this.#signalAt(target, 'tokens.per_s')
    if (tokens !== undefined) {
      sum('poolTokens', Math.round(tokens))
      sum('poolSeen')
    }
  }

  #keyOf({ decided, target, artifact, class: className }: Outcome): Uint16Array {
    const isMeasuredByArm = decided !== null && !decided.forced
    const values: Readonly<Record<CellLabel, string | null | undefined>> = {
      target,
      class: className,
      arm: isMeasuredByArm ? decided.arm : null,
      rollout: isMeasuredByArm ? decided.rollout : null,
      policy: decided?.policy,
      artifact,
      region: decided?.region,
      tier: decided?.tier,
      promptType: decided?.promptType,
    }
    for (let at = 0; at < this.#key.length; at++)
      this.#key[at] = this.labels[at]!.numberOf(values[CELL_LABEL_NAMES[at]!])
    return this.#key
  }
}

const TIMES = Object.keys(MEASURED_TIMES).length

/** Whatever a log says, a count is a whole number that is no fraction of the others. */
const whole = (n: number): number => (n >= 0 && n < 1e9 ? Math.round(n) : 0)

/** Was the request served elsewhere than it would best have been? A session that stays where it is is not. */
const isElsewhere = ({ decided, target }: Outcome): boolean =>
  decided !== null &&
  (decided.reason === 'fallback' ||
    decided.action === 'degrade' ||
    // Envoy itself went on to the next cluster, the first having refused the connection.
    (decided.target !== null && decided.target !== target))
