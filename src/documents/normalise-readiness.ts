import type { Metadata } from '../model/metadata.ts'
import {
  type Admits,
  READINESS_DEFAULT,
  type ReadinessDocument,
  type ReadinessLimit,
  SAFETY_DIMENSIONS,
} from '../model/readiness.ts'
import { signalOf } from '../model/signal.ts'
import type { Dimension } from '../model/signal-row.ts'
import { bounded } from './normalise-action.ts'
import { normaliseMetadata } from './normalise-site.ts'
import { threshold, type WrittenThreshold } from './normalise-threshold.ts'
import type { FieldPath } from './place.ts'
import type { Report } from './view.ts'

interface WrittenLimit {
  readonly amber?: WrittenThreshold
  readonly red?: WrittenThreshold
  readonly estimated?: boolean
}

type WrittenAdmits = 'all' | 'none' | Partial<Exclude<Admits, 'all'>>

interface WrittenReadiness {
  readonly sites?: readonly string[]
  readonly classes?: readonly string[]
  readonly limits?: Readonly<Partial<Record<Dimension, Readonly<Record<string, WrittenLimit>>>>>
  readonly admits?: Readonly<
    Partial<Record<Dimension, Readonly<Partial<Record<'amber' | 'red' | 'unknown', WrittenAdmits>>>>>
  >
  readonly gameDayMax?: string
}

/** The areas of signals that say something of a dimension; a signal outside of them is under the wrong one. */
const AREAS: Readonly<Record<Dimension, RegExp>> = {
  power: /^(power|grid|pue|derating)\./,
  cooling: /^(cooling|leak|ambient|cop|pue|derating)\./,
  gpu: /^(gpu|replica)\./,
  queue: /^(queue|kv|preemptions|cache)\./,
  latency: /^(ttft|itl|response|network|queue\.wait)[._]/,
  errors: /^(errors|network\.loss_ratio)/,
  observability: /^$/,
  procedures: /^$/,
}

/** A readiness document with its thresholds read, each limit held against its signal and its dimension. */
export function normaliseReadiness(document: { metadata: Metadata; spec: unknown }, report: Report): ReadinessDocument {
  const spec = document.spec as WrittenReadiness
  const { sites, classes, gameDayMax } = spec
  const limits = Object.entries(spec.limits ?? {}).map(([name, signals]) => {
    const dimension = name as Dimension
    const path = ['spec', 'limits', dimension]
    return [
      dimension,
      Object.entries(signals).flatMap(([signal, one]) => limitOf(dimension, signal, one, path, report)),
    ]
  })
  const admits = Object.entries(spec.admits ?? {}).map(([dimension, states]) => [
    dimension,
    Object.fromEntries(Object.entries(states).map(([state, written]) => [state, admitsOf(written)])),
  ])
  return {
    metadata: normaliseMetadata(document.metadata),
    ...(sites === undefined ? {} : { sites }),
    ...(classes === undefined ? {} : { classes }),
    limits: Object.fromEntries(limits),
    admits: Object.fromEntries(admits),
    ...(gameDayMax === undefined
      ? {}
      : { gameDayMaxMs: bounded(gameDayMax, 'gameDayMax', ['spec', 'gameDayMax'], report) }),
  }
}

const admitsOf = (written: WrittenAdmits): Admits => {
  if (written === 'all') return 'all'
  const { flexibility = [], critical = false, classes = [] } = written === 'none' ? {} : written
  return { flexibility, critical, classes }
}

function limitOf(
  dimension: Dimension,
  signal: string,
  written: WrittenLimit,
  above: FieldPath,
  report: Report,
): ReadinessLimit[] {
  const path = [...above, signal]
  const row = signalOf(signal)
  if (row === undefined) return []
  if (!AREAS[dimension].test(signal) || row.scope === 'link') {
    const message =
      row.scope === 'link'
        ? `${signal} has one value for each end of a link, and readiness is of a target`
        : `${signal} says nothing of ${dimension}`
    const right = Object.entries(AREAS).find(([, area]) => row.scope !== 'link' && area.test(signal))?.[0]
    const remedy = right === undefined ? 'put it into a policy, under require.signals' : `put it under ${right}`
    report(path, { code: 'readiness/dimension', message, remedy, want: 'key' })
    return []
  }
  const read = (state: 'amber' | 'red') =>
    written[state] === undefined ? undefined : threshold(signal, written[state], [...path, state], report)
  const [amber, red] = [read('amber'), read('red')]
  const limit: ReadinessLimit = {
    signal,
    ...(amber === undefined ? {} : { amber }),
    ...(red === undefined ? {} : { red }),
    estimated: (written.estimated ?? false) || amber?.estimated === true || red?.estimated === true,
  }
  if (written.amber === undefined && written.red === undefined) {
    const message = `${signal} has neither an amber nor a red limit here`
    report(path, { code: 'readiness/limits', message, remedy: 'write amber: …, red: …, or both', want: 'key' })
    return []
  }
  checkSides(dimension, limit, path, report)
  return [limit]
}

function checkSides(dimension: Dimension, { signal, amber, red }: ReadinessLimit, path: FieldPath, report: Report) {
  const wanted = signalOf(signal)?.worseWhen === 'higher' ? 'max' : 'min'
  for (const [state, one] of [['amber', amber] as const, ['red', red] as const]) {
    if (one === undefined || one.op === wanted) continue
    const message = `${signal} is worse when it is ${wanted === 'max' ? 'higher' : 'lower'}, so ${state} has to be a ${wanted}`
    const remedy = `write ${state}: { ${wanted}: ${one.limit} }`
    report([...path, state], { code: 'readiness/wrong-side', message, remedy })
    return
  }
  if (amber !== undefined && red !== undefined) {
    const isHarder = wanted === 'max' ? red.limit > amber.limit : red.limit < amber.limit
    if (!isHarder) {
      const message = `red at ${red.limit} is reached before amber at ${amber.limit}`
      const remedy = `write a red limit ${wanted === 'max' ? 'above' : 'below'} ${amber.limit}, or leave amber out`
      report([...path, 'red'], { code: 'readiness/limits', message, remedy })
    }
  }
  const byDefault = READINESS_DEFAULT.limits[dimension]?.find((one) => one.signal === signal)?.red
  if (red !== undefined || byDefault === undefined || !SAFETY_DIMENSIONS.includes(dimension)) return
  const message = `with this, ${signal} is never red; without it, it is red at ${byDefault.limit}`
  const remedy = `write red: { ${byDefault.op}: ${byDefault.limit}, resume: ${byDefault.resume} }`
  report(path, { code: 'readiness/no-red', message, remedy, severity: 'warning', want: 'key' })
}
