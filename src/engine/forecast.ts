import type { Forecast } from '../model/decision.ts'
import type { EpochMs } from '../model/names.ts'
import type { Series } from '../model/sample.ts'
import { couldServe, HARD, HARD_BY_DOCUMENTS, holds } from './eligibility.ts'
import { crosses } from './gates.ts'
import { needLimits } from './job-needs.ts'
import { tiersOf } from './judge-tiers.ts'
import type { PolicyProgram, TargetProgram } from './programs.ts'
import { netOf } from './reserve.ts'
import type { Scene } from './scene.ts'
import { intervalAt, seriesKey } from './series.ts'
import { lineOf, reaches } from './trend.ts'

/** A straight line says nothing of what comes later than this. */
const HORIZON_MS = 3_600_000
/** How many targets are looked at: a forecast is told to somebody who waits, and must not make others wait. */
const TARGETS_MAX = 32

/** One thing that a target has to pass. */
interface Need {
  readonly signal: string
  readonly op: 'max' | 'min'
  /** What the value has to reach: for what has been left, the resume value. */
  readonly limit: number
  /** A limit of readiness: where its signal was never measured it keeps nobody out. */
  readonly optional?: boolean
}

/** When one target fits, as far as that can be told; `at` null: not within what is known. */
interface Fit {
  readonly at: EpochMs | null
  readonly errorMs: number | null
  readonly waitsFor: string
}

/**
 * When the request's class will fit, at the target where that is first: from prices and other series, maintenance
 * windows, and the way of power and cooling. Simple and honest: what cannot be foretold (death, queues, accelerators) is
 * named as what is waited for, without a time. Only asked once nothing fits now.
 */
export const forecast = (scene: Scene, policy: PolicyProgram): Forecast | undefined => {
  let best: Forecast | undefined
  let seen = 0
  for (const tier of tiersOf(scene, policy)) {
    for (const entry of tier) {
      for (const index of entry.targets) {
        const target = scene.programs.targets[index]!
        if (!couldServe(scene, target, scene.facts.model)) continue
        seen += 1
        if (seen > TARGETS_MAX) return best
        const fit = fitOf(scene, policy, target)
        if (best === undefined || sooner(fit.at, best.at)) best = { ...fit, target: target.name }
      }
    }
  }
  return best
}

const sooner = (a: EpochMs | null, b: EpochMs | null): boolean => a !== null && (b === null || a < b)

const fitOf = (scene: Scene, policy: PolicyProgram, target: TargetProgram): Fit => {
  const { now } = scene
  const hard = unforeseen(scene, target)
  if (hard !== undefined) return { at: null, errorMs: null, waitsFor: hard }
  let from = now
  let errorMs: number | null = null
  let waitsFor = ''
  const foretold: { readonly need: Need; readonly series: Series }[] = []
  for (const need of needsOf(scene, policy, target)) {
    const series = seriesOf(scene, target, need.signal)
    if (series !== undefined) {
      foretold.push({ need, series })
      continue
    }
    const column = scene.data.columns[need.signal]
    if ((column?.at[target.index] ?? 0) === 0) {
      if (need.optional) continue
      return { at: null, errorMs: null, waitsFor: need.signal }
    }
    const value = netOf(scene, target, need.signal, column!.value[target.index]!)
    if (!crosses(need.op, need.limit, value)) continue
    const line = lineOf(scene.data.trends[need.signal]?.[target.index])
    // What jobs hold is given back by their end, which nobody knows.
    const held = column!.value[target.index]! - value
    const reach = line === undefined ? undefined : reaches(line, need.limit + held, HORIZON_MS)
    if (reach === undefined) return { at: null, errorMs: null, waitsFor: need.signal }
    if (reach.at > from) {
      from = reach.at
      waitsFor = need.signal
    }
    errorMs = Math.max(errorMs ?? 0, reach.errorMs)
  }
  return windowed(scene, target, foretold, { at: from, errorMs, waitsFor })
}

/** The first time from `fit.at` on at which every series fits and no maintenance is planned. */
const windowed = (
  scene: Scene,
  target: TargetProgram,
  foretold: readonly { readonly need: Need; readonly series: Series }[],
  fit: { readonly at: EpochMs; readonly errorMs: number | null; readonly waitsFor: string },
): Fit => {
  const windows = [
    ...target.maintenance,
    ...scene.programs.maintenance.filter(
      (order) => order.site === target.site && (order.pool === undefined || order.pool === target.pool),
    ),
  ]
  let { at, waitsFor } = fit
  // Each step goes past one interval or window, and there are no more of them than this.
  for (let steps = 0; steps < 4_096; steps++) {
    const window = windows.find((one) => at >= one.from && at < one.to)
    if (window !== undefined) {
      at = window.to
      waitsFor = 'maintenance'
      continue
    }
    let next: EpochMs | undefined
    for (const { need, series } of foretold) {
      const interval = intervalAt(series, at)
      if (interval !== undefined && !crosses(need.op, need.limit, interval.value)) continue
      const later = series.intervals.find((one) => one.to > at && !crosses(need.op, need.limit, one.value))
      if (later === undefined) return { at: null, errorMs: null, waitsFor: need.signal }
      next = Math.max(next ?? 0, later.from)
      waitsFor = need.signal
    }
    if (next === undefined || next <= at) return { at, errorMs: fit.errorMs, waitsFor }
    at = next
  }
  return { at: null, errorMs: null, waitsFor }
}

/** A hard constraint of the day whose end nobody can foretell; planned maintenance has one. */
const unforeseen = (scene: Scene, target: TargetProgram): string | undefined => {
  for (let code = HARD_BY_DOCUMENTS; code < HARD.length; code++) {
    const constraint = HARD[code]!
    if (constraint === 'maintenance') {
      if ((scene.data.columns['maintenance.active']?.value[target.index] ?? 0) > 0) return 'maintenance'
      continue
    }
    // Red by a number has a way back to its release point, like every other limit.
    if (constraint === 'safety.red' && scene.data.health[target.index]!.red.every((one) => one.includes('.'))) continue
    if (!holds(scene, target, scene.facts.model, code)) return constraint
  }
  return undefined
}

/** What has to be passed at a target: the policy's limits and bands, the job's own needs, readiness. */
const needsOf = (scene: Scene, policy: PolicyProgram, target: TargetProgram): Need[] => {
  const { data } = scene
  const needs: Need[] = []
  const gates = [...policy.gates]
  const admission = new Set(policy.admission[target.index]!.map((check) => check.gate))
  for (const band of policy.bands) {
    const step = band.steps.find((one) => one.action.action === 'route')
    if (step?.gate !== undefined) gates.push(step.gate)
  }
  for (const gate of [...gates, ...admission]) {
    const { key, signal, threshold } = gate
    const failed = data.gates[key]?.failed[target.index] === 1
    const limit = failed ? threshold.resume : threshold.limit
    needs.push({ signal, op: threshold.op, limit, optional: admission.has(gate) })
  }
  for (const signal of data.health[target.index]!.red) {
    const red = scene.programs.redLimits[target.index]?.get(signal)
    if (red !== undefined && policy.readiness[target.index]?.redAdmitted.has(signal) !== true)
      needs.push({ signal, op: red.op, limit: red.resume })
  }
  for (const { signal, min, max, isImplied: optional = false } of needLimits(scene.facts.needs)) {
    if (min !== undefined) needs.push({ signal, op: 'min', limit: min, optional })
    if (max !== undefined) needs.push({ signal, op: 'max', limit: max, optional })
  }
  return needs
}

const seriesOf = ({ data }: Scene, { site, pool }: TargetProgram, signal: string): Series | undefined =>
  data.series[seriesKey({ signal, site, pool })] ?? data.series[seriesKey({ signal, site })]

/** When the next off-peak hours begin at a target that could serve this, the earliest of them; undefined: not known, or now. */
export const offPeakAt = (scene: Scene, policy: PolicyProgram): EpochMs | undefined => {
  let earliest: EpochMs | undefined
  for (const tier of tiersOf(scene, policy)) {
    for (const entry of tier) {
      for (const index of entry.targets) {
        const target = scene.programs.targets[index]!
        const series = seriesOf(scene, target, 'tariff.off_peak')
        if (series === undefined || !couldServe(scene, target, scene.facts.model)) continue
        if ((intervalAt(series, scene.now)?.value ?? 0) > 0) return undefined
        const next = series.intervals.find((one) => one.from > scene.now && one.value > 0)
        if (next !== undefined && (earliest === undefined || next.from < earliest)) earliest = next.from
      }
    }
  }
  return earliest
}
