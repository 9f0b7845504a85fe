import { type DocumentSet, policyRef } from '../model/documents.ts'
import type { Problem } from '../model/problem.ts'
import { signalOf } from '../model/signal.ts'
import type { Threshold } from '../model/threshold.ts'
import type { About } from './check-feeds.ts'
import type { FieldPath } from './place.ts'
import type { Finding } from './view.ts'

/** One threshold of a set: who says it, where, and of what. */
export interface PlacedThreshold {
  /** `Policy/emea-interactive@2` or `Readiness/house`. */
  readonly document: string
  readonly signal: string
  readonly threshold: Threshold
  /** `amber` or `red` in readiness documents, `limit` or `band` in policies. */
  readonly use: 'limit' | 'band' | 'amber' | 'red'
  readonly estimated: boolean
  readonly of: object
  readonly path: FieldPath
}

/** Every threshold of a set, in the order of its documents. */
export function* thresholdsOf(set: DocumentSet): Generator<PlacedThreshold> {
  for (const policy of set.policies) {
    const document = `Policy/${policyRef(policy)}`
    const one = (signal: string, threshold: Threshold, use: 'limit' | 'band', path: FieldPath): PlacedThreshold => {
      return { document, signal, threshold, use, estimated: threshold.estimated === true, of: policy, path }
    }
    for (const { signal, threshold } of policy.require.signals)
      yield one(signal, threshold, 'limit', ['spec', 'require', 'signals', signal])
    for (const { signal, steps } of policy.bands)
      for (const [index, { threshold }] of steps.entries())
        if (threshold !== undefined) yield one(signal, threshold, 'band', ['spec', 'bands', signal, index])
  }
  for (const readiness of set.readiness ?? []) {
    const document = `Readiness/${readiness.metadata.name}`
    for (const [dimension, limits] of Object.entries(readiness.limits))
      for (const { signal, estimated, ...states } of limits)
        for (const use of ['amber', 'red'] as const) {
          const threshold = states[use]
          const path = ['spec', 'limits', dimension, signal, use]
          // One of the two may be a guess, or the line of both.
          const isGuess =
            threshold?.estimated === true ||
            (estimated && states.amber?.estimated !== true && states.red?.estimated !== true)
          if (threshold !== undefined)
            yield { document, signal, threshold, use, estimated: isGuess, of: readiness, path }
        }
  }
}

/** The thresholds that somebody marked as a guess. */
export const estimatedThresholds = (set: DocumentSet): PlacedThreshold[] =>
  [...thresholdsOf(set)].filter(({ estimated }) => estimated)

/** `Readiness/house  cooling.margin_pct  amber below 10 Cel until 20`. */
export const thresholdText = ({ document, signal, threshold, use }: PlacedThreshold): string => {
  const { op, limit, resume } = threshold
  const unit = signalOf(signal)?.unit ?? ''
  return `${document}  ${signal}  ${use} ${op === 'max' ? 'above' : 'below'} ${limit} ${unit} until ${resume}`
}

/**
 * Thresholds that follow the noise of their signal rather than the thing it measures (`threshold/noisy`, warnings): the
 * gap between limit and resume is narrower than the noise. `noise` is by signal, in its unit: how far a sample lies from
 * the one before when nothing happens. Example: queue.depth 40 until 38 with a noise of 5 crosses both again and again.
 */
export function noiseProblems(set: DocumentSet, noise: Readonly<Record<string, number>>, about?: About): Problem[] {
  const problems: Problem[] = []
  for (const { document, signal, threshold, use, of, path } of thresholdsOf(set)) {
    const wide = Object.hasOwn(noise, signal) ? noise[signal] : undefined
    const row = signalOf(signal)
    const gap = Math.abs(threshold.limit - threshold.resume)
    // A signal of two or three states has no room between them, and no noise either.
    if (wide === undefined || row === undefined || row.unit === 'bool' || row.unit === 'state' || gap >= wide) continue
    const { op, limit, resume } = threshold
    const message =
      `${document} ${use} of ${signal}: ${round(gap)} ${row.unit} lie between ${limit} and ${resume}, ` +
      `and samples that mean the same lie ${round(wide)} apart`
    const better = op === 'max' ? limit - 2 * wide : limit + 2 * wide
    const remedy = `write resume: ${round(Math.max(row.range[0], Math.min(row.range[1], better)))}, or smooth the signal`
    const finding: Finding = { code: 'threshold/noisy', message, remedy, severity: 'warning' }
    if (about !== undefined) about(of)(path, finding)
    else problems.push({ code: finding.code, message, remedy, severity: 'warning' })
  }
  return problems
}

const round = (value: number): number => Number(value.toPrecision(3))
