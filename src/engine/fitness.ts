import { shareOf } from '../math/choice.ts'
import { type ActionSpec, severityOf } from '../model/action.ts'
import type { Because } from '../model/decision.ts'
import { columnKey, signalOf } from '../model/signal.ts'
import type { Column, GateRow } from '../model/snapshot.ts'
import { type Block, isWaived, type Notes } from './block.ts'
import { freshnessLimit, isInsufficient, isStale } from './columns.ts'
import { crosses, type GateRef, rampShare } from './gates.ts'
import { nearBlock } from './gravity.ts'
import { isFlapping, SAFETY_DWELL_FACTOR } from './health.ts'
import { type NeedLimit, needLimits } from './job-needs.ts'
import { roomBlock } from './kept-room.ts'
import { PATH_COST, type TargetProgram } from './programs.ts'
import type { AdmissionCheck } from './readiness-rules.ts'
import { netOf } from './reserve.ts'
import type { Scene } from './scene.ts'

/** The first soft block of a target, or with a sink all of them in it. Undefined: it may take the request. */
export const softBlock = (scene: Scene, target: TargetProgram, notes: Notes, sink?: Block[]): Block | undefined => {
  const policy = scene.policy
  if (policy === undefined) return undefined
  const { data, now } = scene
  const index = target.index
  let share = 1
  let first: Block | undefined
  const blocked = (block: Block): boolean => {
    first ??= block
    sink?.push(block)
    return sink === undefined
  }

  for (const { signal, limitMs } of policy.freshness) {
    const column = data.columns[signal]
    if (!isStale(column, index, limitMs, now)) continue
    const at = column?.at[index] ?? 0
    notes.stale.push(`${target.name} ${signal}`)
    const measured = at === 0 ? { measured: 'missing' } : { measured: now - at, ageMs: now - at }
    const because: Because = {
      target: target.name,
      constraint: 'freshness',
      ...measured,
      op: '<=',
      limit: limitMs,
      unit: `ms of ${signal}`,
    }
    if (blocked({ kind: 'stale', because })) return first
  }
  for (const gate of policy.gates) {
    if (isWaived(scene, target, gate.signal, notes)) continue
    const verdict = readGate(scene, target, gate, notes)
    if (verdict.block !== undefined && blocked(verdict.block)) return first
    if (verdict.share < share) share = verdict.share
  }
  for (const band of policy.bands) {
    if (isWaived(scene, target, band.signal, notes)) continue
    let missed: Because | undefined
    for (const step of band.steps) {
      const verdict = step.gate === undefined ? undefined : readGate(scene, target, step.gate, notes)
      if (verdict?.block !== undefined) {
        missed ??= verdict.block.because
        continue
      }
      if (verdict !== undefined && verdict.share < share) share = verdict.share
      if (step.action.action === 'route') break
      const because = missed ?? {
        target: target.name,
        constraint: band.signal,
        measured: data.columns[band.signal]?.value[index] ?? 'missing',
      }
      if (blocked({ kind: 'band', because, action: step.action })) return first
      break
    }
  }
  for (const need of needLimits(scene.facts.needs)) {
    const block = need.signal === PATH_COST ? undefined : needBlock(scene, target, need)
    if (block !== undefined && blocked(block)) return first
  }
  const far = nearBlock(scene, target, notes)
  if (far !== undefined && blocked(far)) return first
  const full = roomBlock(scene, target, notes)
  if (full !== undefined && blocked(full)) return first
  const readiness = policy.readiness[index]!
  for (const check of policy.admission[index]!) {
    const block = admissionBlock(scene, target, check, notes)
    if (block !== undefined && blocked(block)) return first
  }
  for (const { dimension, signals } of readiness.unknownOut) {
    if (signals.some((signal) => !isStale(data.columns[signal], index, freshnessLimit(scene.workload, signal), now)))
      continue
    const because = { target: target.name, constraint: 'readiness', measured: `${dimension} is unknown` } as const
    if (blocked({ kind: 'readiness', because })) return first
  }
  const row = data.health[index]!
  if (row.suspect && blocked(held(target, 'health.suspect', row.cause, 'answers'))) return first
  // A class that red let in never left, and has nothing to return from.
  const hadLeft = !row.lostOnlyRed || row.lostReds.some((signal) => !readiness.redAdmitted.has(signal))
  if (row.backAt > 0 && hadLeft) {
    const waitMs = Math.max(
      policy.timers.dwellMs * (row.lostForSafety ? SAFETY_DWELL_FACTOR : 1),
      row.lostAt + policy.timers.cooldownMs - row.backAt,
    )
    const sinceMs = now - row.backAt
    if (isFlapping(row.departures, policy.timers.dwellMs, now)) {
      if (blocked(held(target, 'health.return', `left ${row.departures.length} times`, 'steady'))) return first
    } else if (sinceMs < waitMs) {
      if (blocked(held(target, 'health.return', sinceMs, waitMs, 'ms since it came back'))) return first
    } else share = Math.min(share, rampShare(row.backAt + waitMs, policy.timers.failBackMs, now))
  }
  if (share < 1) {
    const mine = shareOf(scene.facts.sessionKey ?? scene.facts.requestId, `return ${target.name}`)
    if (mine >= share)
      blocked(held(target, 'return', Math.round(mine * 1e4) / 1e4, Math.round(share * 1e4) / 1e4, 'share'))
  }
  return first
}

/** What a gate says of a target: its block, and the share of its ramp. */
export const readGate = (
  scene: Scene,
  target: TargetProgram,
  gate: GateRef,
  notes: Notes,
): { readonly block: Block | undefined; readonly share: number } => {
  const { data, now } = scene
  const index = target.index
  let key = gate.key
  let column = data.columns[gate.signal]
  if (gate.byModel !== undefined && scene.facts.model !== undefined) {
    // The requested model's own number counts where the pool measures it, and the pool's as a whole elsewhere.
    const modelKey = gate.byModel.get(scene.facts.model)
    const modelColumn = modelKey === undefined ? undefined : data.columns[columnKey(gate.signal, scene.facts.model)]
    if (modelKey !== undefined && modelColumn !== undefined && modelColumn.at[index]! >= (column?.at[index] ?? 0)) {
      key = modelKey
      column = modelColumn
    }
  }
  const row = data.gates[key]
  const known = column !== undefined && column.at[index]! > 0
  if (known && isInsufficient(gate.signal, column!.count[index]!))
    notes.insufficient.push(`${target.name} ${gate.signal}`)
  if (row === undefined || row.failed[index] === 0) {
    const net = known ? netBlock(scene, target, gate, column!.value[index]!) : undefined
    if (net !== undefined) return { block: net, share: 1 }
    return known || row === undefined
      ? { block: undefined, share: shareOfRow(row, index, now) }
      : { block: undefined, share: 1 }
  }
  return { block: gateBlock(target, row, column, index, now), share: 1 }
}

/** What admitted jobs hold is taken off before a job is let in after them; it acts at once, for it is no measurement. */
const netBlock = (scene: Scene, target: TargetProgram, gate: GateRef, value: number): Block | undefined => {
  const net = netOf(scene, target, gate.signal, value)
  const { op, limit } = gate.threshold
  if (net === value || !crosses(op, limit, net)) return undefined
  const column = scene.data.columns[gate.signal]
  const because: Because = {
    target: target.name,
    constraint: gate.signal,
    measured: round(net),
    op: op === 'max' ? '<=' : '>=',
    limit,
    unit: `${signalOf(gate.signal)?.unit ?? ''} (${round(value - net)} are reserved)`,
    ageMs: scene.now - (column?.at[target.index] ?? scene.now),
    ...(column === undefined ? {} : { source: column.source[target.index]! }),
  }
  return { kind: 'limit', because }
}

const round = (value: number): number => Math.round(value * 1000) / 1000

/** A class that is not let in while a dimension is amber (or red, outside of safety), told by the signal that made it so. */
const admissionBlock = (
  scene: Scene,
  target: TargetProgram,
  { dimension, state, gate }: AdmissionCheck,
  notes: Notes,
): Block | undefined => {
  if (isWaived(scene, target, gate.signal, notes)) return undefined
  const { block } = readGate(scene, target, gate, NO_NOTES)
  if (block === undefined) return undefined
  const unit = `${block.because.unit ?? ''} of ${gate.signal}: ${dimension} is ${state}`
  return {
    kind: block.kind === 'held' ? 'held' : 'readiness',
    because: { ...block.because, constraint: 'readiness', unit },
  }
}

/** An insufficient signal of a readiness limit is no requirement of the policy: nobody needs to be told. */
const NO_NOTES: Notes = { stale: [], insufficient: [], waivedBy: null }

const shareOfRow = (row: GateRow | undefined, index: number, now: number): number =>
  row === undefined ? 1 : rampShare(row.returnedAt[index]!, row.spec.failBackMs, now)

const gateBlock = (
  target: TargetProgram,
  row: GateRow,
  column: Column | undefined,
  index: number,
  now: number,
): Block => {
  const { signal, op, limit, resume } = row.spec
  const value = column?.value[index] ?? 0
  const insufficient = isInsufficient(signal, column?.count[index] ?? -1)
  // A target that has been left must get below the resume value; while it is, only the dwell keeps it out.
  const stillBad = !insufficient && crosses(op, resume, value)
  const because: Because = {
    target: target.name,
    constraint: signal,
    measured: value,
    op: op === 'max' ? '<=' : '>=',
    limit: stillBad && crosses(op, limit, value) ? limit : resume,
    unit: signalOf(signal)?.unit ?? '',
    ageMs: now - (column?.at[index] ?? now),
    ...(column === undefined ? {} : { source: column.source[index]! }),
  }
  return { kind: stillBad ? 'limit' : 'held', because }
}

const held = (
  target: TargetProgram,
  constraint: Because['constraint'],
  measured: number | string,
  limit: number | string,
  unit?: string,
): Block => ({
  kind: 'held',
  because: {
    target: target.name,
    constraint,
    measured,
    op: typeof limit === 'number' ? '>=' : '==',
    limit,
    ...(unit === undefined ? {} : { unit }),
  },
})

const needBlock = (scene: Scene, target: TargetProgram, need: NeedLimit): Block | undefined => {
  const { signal } = need
  const column = scene.data.columns[signal]
  const at = column?.at[target.index] ?? 0
  const unit = signalOf(signal)?.unit ?? ''
  if (at === 0) {
    if (need.isImplied) return undefined
    return {
      kind: 'need',
      because: {
        target: target.name,
        constraint: 'job.need',
        measured: `${signal} missing`,
        op: need.min === undefined ? '<=' : '>=',
        limit: need.min ?? need.max ?? 0,
        unit,
      },
    }
  }
  const limitMs = freshnessLimit(scene.workload, signal)
  const ageMs = scene.now - at
  if (isStale(column, target.index, limitMs, scene.now)) {
    const measured = `${signal} stale`
    return {
      kind: 'need',
      because: {
        target: target.name,
        constraint: 'job.need',
        measured,
        op: '<=',
        limit: limitMs,
        unit: 'ms old',
        ageMs,
      },
    }
  }
  const value = round(netOf(scene, target, signal, column!.value[target.index]!))
  const limit =
    need.min !== undefined && value < need.min
      ? need.min
      : need.max !== undefined && value > need.max
        ? need.max
        : undefined
  if (limit === undefined) return undefined
  return {
    kind: 'need',
    because: {
      target: target.name,
      constraint: 'job.need',
      measured: value,
      op: limit === need.min ? '>=' : '<=',
      limit,
      unit: `${unit} of ${signal}`,
      ageMs: scene.now - at,
    },
  }
}

/** The milder of two actions. */
export const milder = (a: ActionSpec | undefined, b: ActionSpec): ActionSpec =>
  a === undefined || severityOf(b.action) < severityOf(a.action) ? b : a
