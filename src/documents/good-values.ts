import type { DocumentSet } from '../model/documents.ts'
import type { FlagSet } from '../model/flag.ts'
import { signalFor, signalOf } from '../model/signal.ts'
import type { Threshold } from '../model/threshold.ts'

/** The latencies that an overlay may limit. */
const OVERLAID_SIGNALS = ['ttft.p95_ms', 'response.p95_ms']
/** How far inside the limit of an overlay its resume value lies at most. */
const OVERLAY_RESUME_RATIO = 0.9

/**
 * A value for each signal that some policy or overlay looks at which every one of them is content with: on the good side
 * of the strictest resume value, in the first step of each band, and green.
 */
export function goodValues(set: DocumentSet, flags?: FlagSet | null): Readonly<Record<string, number>> {
  const values: Record<string, number> = {}
  const satisfy = (signal: string, { op, resume }: Threshold): void => {
    const before = values[signal]
    values[signal] = before === undefined ? resume : op === 'max' ? Math.min(before, resume) : Math.max(before, resume)
  }
  for (const policy of set.policies) {
    for (const { signal, threshold } of policy.require.signals) satisfy(signalFor(signal, policy.class), threshold)
    for (const { signal, steps } of policy.bands) {
      const first = steps[0]?.threshold
      if (first !== undefined) satisfy(signalFor(signal, policy.class), first)
    }
    if (policy.keepRoom !== undefined) for (const signal of ['queue.running', 'queue.depth']) values[signal] ??= 0
    // Equal for all, so that ranking leaves the order as it is written.
    for (const { signal } of policy.rank) values[signalFor(signal, policy.class)] ??= restingValue(signal)
  }
  for (const { class: className = '', meanings } of Object.values(flags?.flags ?? {})) {
    for (const meaning of Object.values(meanings)) {
      const limit = meaning.kind === 'overlay' ? meaning.overlay.maxP95Ms : undefined
      if (limit === undefined) continue
      const threshold: Threshold = { op: 'max', limit, resume: limit * OVERLAY_RESUME_RATIO }
      for (const signal of OVERLAID_SIGNALS) satisfy(signalFor(signal, className), threshold)
    }
  }
  for (const { limits } of set.readiness ?? []) {
    for (const { signal, amber, red } of Object.values(limits).flat()) {
      if (amber !== undefined) satisfy(signal, amber)
      if (red !== undefined) satisfy(signal, red)
    }
  }
  // The worst of what is said and what follows from meters counts: what is only assumed must never be that.
  for (const signal of Object.keys(values)) if (signalOf(signal)?.derived === true) values[signal] = bestValue(signal)
  return values
}

/** The end of a signal's range that is not the bad one. */
function bestValue(name: string): number {
  const { range, worseWhen } = signalOf(name)!
  return worseWhen === 'higher' ? range[0] : range[1]
}

/** The best value of a signal that no threshold names. */
function restingValue(name: string): number {
  const signal = signalOf(name)
  if (signal === undefined) return 0
  const [least, most] = signal.range
  return signal.worseWhen === 'higher'
    ? Math.max(0, least)
    : signal.unit === 'bool' || most <= 1
      ? most
      : Math.min(most, 100)
}
