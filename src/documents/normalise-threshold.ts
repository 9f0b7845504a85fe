import { signalOf } from '../model/signal.ts'
import type { Signal } from '../model/signal-row.ts'
import type { Threshold } from '../model/threshold.ts'
import type { FieldPath } from './place.ts'
import type { Report } from './view.ts'

/** A threshold as it is written. */
export type WrittenThreshold =
  | boolean
  | { readonly max?: number; readonly min?: number; readonly resume?: number; readonly estimated?: boolean }

/**
 * A written threshold with its resume value. Where none is given it lies 10 % inside the limit, and `derived` says so.
 * `true` asks for 1, `false` for 0. Undefined after a problem.
 */
export function threshold(
  signalName: string,
  written: WrittenThreshold,
  path: FieldPath,
  report: Report,
): Threshold | undefined {
  const signal = signalOf(signalName)
  if (signal === undefined) return undefined
  if (typeof written === 'boolean') return wordThreshold(signalName, signal, written, path, report)
  if (signal.unit === 'bool') {
    const message = `${signalName} is either true or false, and this is a number`
    report(path, { code: 'policy/threshold-kind', message, remedy: 'write true or false' })
    return undefined
  }
  const op = written.max === undefined ? 'min' : 'max'
  const limit = (written.max ?? written.min)!
  const inside = op === 'max' ? -1 : 1
  const [least, most] = signal.range
  // A share of 95 % has nothing 10 % inside it: no value could then ever lift the limit.
  const derived = Math.max(least, Math.min(most, Number((limit + inside * Math.abs(limit) * 0.1).toPrecision(12))))
  const resume = written.resume ?? derived
  if (outOfRange(signalName, signal, op, limit, [...path, op], report)) return undefined
  if (outOfRange(signalName, signal, 'resume', resume, [...path, 'resume'], report)) return undefined
  if ((resume - limit) * inside < 0) {
    const side = op === 'max' ? 'below' : 'above'
    const message = `resume ${resume} is on the wrong side of ${op} ${limit}: it has to lie ${side} it`
    const remedy = `write resume: ${derived}, or leave it out`
    report([...path, 'resume'], { code: 'policy/resume-side', message, remedy })
    return undefined
  }
  if (resume === limit && op === 'min') {
    const message = `${signalName}: the limit ${limit} has no distance to its resume value, so the target may flap`
    const remedy = 'write a resume value inside the limit'
    report([...path, op], { code: 'policy/no-hysteresis', message, remedy, severity: 'warning' })
  }
  const marks = {
    ...(written.resume === undefined ? { derived: true } : {}),
    ...(written.estimated === true ? { estimated: true } : {}),
  }
  return { op, limit, resume, ...marks }
}

function wordThreshold(name: string, signal: Signal, written: boolean, path: FieldPath, report: Report) {
  if (signal.unit === 'bool') {
    return written ? ({ op: 'min', limit: 1, resume: 1 } as const) : ({ op: 'max', limit: 0, resume: 0 } as const)
  }
  const message = `${name} is a number in ${signal.unit}, and this is ${written}`
  const remedy = signal.worseWhen === 'higher' ? 'write { max: …, resume: … }' : 'write { min: …, resume: … }'
  report(path, { code: 'policy/threshold-kind', message, remedy })
  return undefined
}

function outOfRange(
  name: string,
  signal: Signal,
  field: 'max' | 'min' | 'resume',
  limit: number,
  path: FieldPath,
  report: Report,
) {
  const [least, most] = signal.range
  if (limit >= least && limit <= most) return false
  const message = `${name} goes from ${least} to ${most} (${signal.unit}); ${field} ${limit} lies outside`
  const remedy = signal.unit === 'ratio' && limit <= 100 ? `write ${limit / 100}` : `write a value in ${signal.unit}`
  report(path, { code: 'policy/limit-out-of-range', message, remedy })
  return true
}
