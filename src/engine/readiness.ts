import type { Event } from '../model/event.ts'
import type { ClassName, EpochMs } from '../model/names.ts'
import type { DimensionReadiness, ReadinessState, TargetReadiness } from '../model/readiness.ts'
import { signalOf } from '../model/signal.ts'
import { DIMENSIONS, type Dimension } from '../model/signal-row.ts'
import type { SnapshotData } from '../model/snapshot.ts'
import { freshnessLimit, isStale } from './columns.ts'
import type { EngineSnapshot, Programs, TargetProgram } from './programs.ts'
import type { ReadinessProgram, ReadinessRule } from './readiness-rules.ts'

/** The letter of each state in the snapshot's codes, milder first: the worst of several is the largest index. */
const LETTERS = 'ugar'
const STATES: Readonly<Record<string, ReadinessState>> = { u: 'unknown', g: 'green', a: 'amber', r: 'red' }
const OBSERVABILITY = DIMENSIONS.indexOf('observability')
const PROCEDURES = DIMENSIONS.indexOf('procedures')

/** The state that a target's code names for a dimension; null: overall. */
export const stateIn = (code: string | undefined, dimension: Dimension | null): ReadinessState =>
  STATES[code?.[dimension === null ? DIMENSIONS.length : DIMENSIONS.indexOf(dimension)] ?? 'u']!

/**
 * The readiness of every target as all classes alike see it, as one code each, with an event for each change of a
 * dimension. What comes out of unknown into green is no news.
 */
export const foldReadiness = (data: SnapshotData, programs: Programs, now: EpochMs, events: Event[]): SnapshotData => {
  const size = data.targets.length
  const width = DIMENSIONS.length + 1
  const worst = new Uint8Array(size * width)
  const targetsOf = new Map<ReadinessProgram, number[]>()
  for (const [index, program] of programs.readiness.entries()) {
    const known = targetsOf.get(program)
    if (known === undefined) targetsOf.set(program, [index])
    else known.push(index)
  }
  for (const [program, indexes] of targetsOf) {
    for (const rule of program.rules) {
      const column = data.columns[rule.signal]
      if (column === undefined) continue
      const limitMs = freshnessLimit(undefined, rule.signal)
      const amber = rule.amber === undefined ? undefined : data.gates[rule.amber.key]?.failed
      const red = rule.red === undefined ? undefined : data.gates[rule.red.key]?.failed
      const offset = DIMENSIONS.indexOf(rule.dimension)
      for (const index of indexes) {
        if (isStale(column, index, limitMs, now)) continue
        const state = red?.[index] === 1 ? 3 : amber?.[index] === 1 ? 2 : 1
        if (state > worst[index * width + offset]!) worst[index * width + offset] = state
      }
    }
    for (const index of indexes)
      worst[index * width + PROCEDURES] = LETTERS.indexOf(
        proceduresOf(programs.targets[index]!, program, now).state[0]!,
      )
  }
  observe(data, now, worst, width)
  let readiness: string[] | undefined
  for (let index = 0; index < size; index++) {
    let code = ''
    let overall = 0
    for (let at = 0; at < DIMENSIONS.length; at++) {
      const state = worst[index * width + at]!
      if (state > overall) overall = state
      code += LETTERS[state]
    }
    code += LETTERS[overall]
    const before = data.readiness[index]
    if (code === before) continue
    readiness ??= data.targets.map((_, at) => data.readiness[at] ?? '')
    readiness[index] = code
    tell(data.targets[index]!, before, code, now, events)
  }
  return readiness === undefined ? data : { ...data, readiness }
}

const tell = (target: string, before: string | undefined, code: string, now: EpochMs, events: Event[]): void => {
  for (const dimension of [...DIMENSIONS, null]) {
    const from = stateIn(before, dimension)
    const to = stateIn(code, dimension)
    if (from === to || (from === 'unknown' && to === 'green') || (from === 'green' && to === 'unknown')) continue
    const cause = dimension === null ? 'overall' : `${dimension} is ${to}`
    events.push({ kind: 'readiness-changed', at: now, target, class: '*', from, to, dimension, cause })
  }
}

/** Signals with an age of their own that were once measured: fresh all of them, some, or none. */
const observe = (data: SnapshotData, now: EpochMs, worst: Uint8Array, width: number): void => {
  const size = data.targets.length
  const fresh = new Uint16Array(size)
  const stale = new Uint16Array(size)
  for (const [key, column] of Object.entries(data.columns)) {
    const limitMs = signalOf(key)?.staleAfterMs
    if (limitMs === undefined) continue
    for (let index = 0; index < size; index++) {
      if (column.at[index] === 0) continue
      if (isStale(column, index, limitMs, now)) stale[index]! += 1
      else fresh[index]! += 1
    }
  }
  for (let index = 0; index < size; index++)
    worst[index * width + OBSERVABILITY] = stale[index]! > 0 ? (fresh[index]! > 0 ? 2 : 3) : fresh[index]! > 0 ? 1 : 0
}

/** Whether somebody answers for a site, knows what to do, and has practised it lately. */
const proceduresOf = (target: TargetProgram, program: ReadinessProgram, now: EpochMs): DimensionReadiness => {
  const { operations, metadata } = target.doc
  const owner = operations?.owner ?? metadata.owner
  if (operations === undefined) return { state: 'unknown', says: 'the site says nothing of its operations' }
  const lacks = [
    ...(owner === undefined ? ['an owner'] : []),
    ...(operations.runbook === undefined ? ['a runbook'] : []),
    ...(operations.lastGameDay === undefined ? ['a game day'] : []),
  ]
  if (lacks.length > 0) return { state: 'amber', says: `lacks ${lacks.join(', ')}` }
  const ageMs = now - operations.lastGameDay!
  return ageMs <= program.gameDayMaxMs
    ? { state: 'green', says: `${owner} answers for it` }
    : {
        state: 'amber',
        says: 'the last game day was too long ago',
        measured: Math.floor(ageMs / 86_400_000),
        limit: Math.floor(program.gameDayMaxMs / 86_400_000),
        unit: 'days',
      }
}

/** The readiness of one target for a class, by dimension, each with the number that made it so. */
export const readinessOf = (
  snapshot: EngineSnapshot,
  index: number,
  className: ClassName,
  now: EpochMs,
): TargetReadiness => {
  const { data, programs } = snapshot
  const known = programs.classes.get(className)
  const policy = known?.policies[0]
  const program = policy?.readiness[index] ?? programs.readiness[index]!
  const target = programs.targets[index]!
  const dimensions = {} as Record<Dimension, DimensionReadiness>
  for (const dimension of DIMENSIONS) {
    if (dimension === 'procedures') dimensions[dimension] = proceduresOf(target, program, now)
    else if (dimension === 'observability') {
      const required = (policy?.freshness ?? []).map((one) => ({
        signal: one.signal,
        stale: isStale(data.columns[one.signal], index, one.limitMs, now),
      }))
      dimensions[dimension] = observabilityOf(required)
    } else {
      const states = program.rules
        .filter((rule) => rule.dimension === dimension)
        .map((rule) => ruleState(data, rule, index, freshnessLimit(known?.doc, rule.signal), now))
      dimensions[dimension] = states.reduce<DimensionReadiness>(
        (worst, one) => (rank(one.state) > rank(worst.state) ? one : worst),
        states.find((one) => one.measured !== undefined) ?? { state: 'unknown', says: 'nothing is measured' },
      )
    }
  }
  const overall = DIMENSIONS.map((dimension) => dimensions[dimension].state).reduce((worst, one) =>
    rank(one) > rank(worst) ? one : worst,
  )
  return { target: target.name, class: className, overall, dimensions }
}

const rank = (state: ReadinessState): number => LETTERS.indexOf(state[0]!)

const observabilityOf = (required: readonly { signal: string; stale: boolean }[]): DimensionReadiness => {
  if (required.length === 0) return { state: 'unknown', says: 'no signal is required' }
  const stale = required.filter((one) => one.stale)
  const measured = required.length - stale.length
  const names = stale.map((one) => one.signal).join(', ')
  const says = stale.length === 0 ? 'every required signal is fresh' : `stale or missing: ${names}`
  const state = stale.length === 0 ? 'green' : measured === 0 ? 'red' : 'amber'
  return { state, says, measured, limit: required.length, unit: 'fresh signals' }
}

const ruleState = (
  data: SnapshotData,
  rule: ReadinessRule,
  index: number,
  limitMs: number,
  now: EpochMs,
): DimensionReadiness => {
  const column = data.columns[rule.signal]
  const { signal } = rule
  const at = column?.at[index] ?? 0
  if (at === 0) return { state: 'unknown', signal, says: `${signal} was never measured` }
  const measured = column!.value[index]!
  const seen = { signal, measured, unit: signalOf(signal)?.unit ?? '', ageMs: now - at }
  if (isStale(column, index, limitMs, now)) return { ...seen, state: 'unknown', says: `${signal} is stale` }
  const red = rule.red !== undefined && data.gates[rule.red.key]?.failed[index] === 1
  const amber = rule.amber !== undefined && data.gates[rule.amber.key]?.failed[index] === 1
  const gate = red ? rule.red : rule.amber
  const state = red ? 'red' : amber ? 'amber' : 'green'
  const estimate = rule.estimated ? ', a limit that is estimated' : ''
  const limit = gate === undefined ? {} : { limit: state === 'green' ? gate.threshold.limit : gate.threshold.resume }
  return { ...seen, ...limit, state, says: `${signal} is ${state}${estimate}, says ${rule.by}` }
}
