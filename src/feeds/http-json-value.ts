import type { Sample } from '../model/sample.ts'
import { signalOf } from '../model/signal.ts'
import { type FeedProblemCode, failure } from './failure.ts'
import { isPointer, pointed } from './json-pointer.ts'
import { shown } from './json-reader.ts'
import { inSignalUnit, type MeasuredPlace, type MeasuredValue, samplePlace, valueFaults } from './measured-place.ts'

/** One value of a JSON document, as it is configured. */
export interface JsonValue extends MeasuredValue, MeasuredPlace {
  /** Where it stands, by RFC 6901: `/plant/loops/0/supply`. */
  readonly pointer: string
  /** Where its time of measurement stands; that of the asking where absent. */
  readonly timePointer?: string
  /** How that time is written: epoch milliseconds or seconds, or ISO 8601 with a zone. `iso` where absent. */
  readonly timeUnit?: 'ms' | 's' | 'iso'
  /** Where the device says how good the value is, and with which words it is good. */
  readonly quality?: { readonly pointer: string; readonly good: readonly (string | number | boolean)[] }
  /** Numbers written as text are taken. */
  readonly numericStrings?: boolean
}

/** Texts with which devices say that there is no value. */
const NOTHING = new Set(['', 'null', 'n/a', 'na', 'nan', 'none', 'unknown', '-', '--'])
const NUMERIC = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/
/** Before 1973 in milliseconds: somebody meant seconds. */
const MS_MIN = 100_000_000_000

/**
 * The sample that a document holds at a value's pointers, asked for at `askedAt`. Throws FeedFailure with one problem
 * where there is none: a pointer that leads nowhere, with the nearest parent that is there; null and the texts that stand
 * for it; a value of bad quality; a time that is none.
 */
export function jsonSample(
  document: unknown,
  value: JsonValue,
  { source, askedAt, clockAheadMs }: { source: string; askedAt: number; clockAheadMs: number },
): Sample {
  const bad = (code: FeedProblemCode, message: string, remedy: string) =>
    failure(code, `${value.signal} at ${value.pointer || 'the whole'}: ${message}`, { remedy })
  const at = (pointer: string) => {
    const seen = pointed(document, pointer)
    if (seen.found) return seen.value
    throw bad('feed/no-value', `nothing is at ${pointer}; ${seen.parent} is ${seen.has}`, 'correct the pointer')
  }
  const { quality, timePointer, timeUnit = 'iso' } = value
  if (quality !== undefined) {
    const said = at(quality.pointer)
    if (!quality.good.includes(said as string)) {
      throw bad('feed/missing-value', `its quality is ${shown(said)}`, 'look at the sensor')
    }
  }
  const given = at(value.pointer)
  const number = numberOf(given, value)
  if (typeof number === 'string') {
    const remedy =
      number === IS_TEXT ? 'set numericStrings, if the device writes numbers as text' : 'look at the sensor'
    throw bad(number === MISSING ? 'feed/missing-value' : 'feed/bad-sample', `${number} ${shown(given)}`, remedy)
  }
  let measuredAt = askedAt
  if (timePointer !== undefined) {
    const time = at(timePointer)
    const read = timeOf(time, timeUnit)
    if (read === undefined) {
      const remedy =
        timeUnit === 'iso' ? 'give timeUnit: ms or s, where it is a number' : 'give the timeUnit that it is written in'
      throw bad('feed/bad-sample', `${shown(time)} is no time in ${timeUnit}`, remedy)
    }
    measuredAt = Math.round(read) - clockAheadMs
  }
  const place = samplePlace(value, signalOf(value.signal))
  if (typeof place === 'string') throw bad('feed/bad-target', place, 'correct its place')
  return { signal: value.signal, ...place, value: inSignalUnit(number, value), at: measuredAt, source }
}

const MISSING = 'there is no value but'
const IS_TEXT = 'a text stands there:'

const numberOf = (given: unknown, { signal, numericStrings }: JsonValue): number | string => {
  if (typeof given === 'number') return given
  if (typeof given === 'boolean') return signalOf(signal)?.unit === 'bool' ? Number(given) : 'it is no number but'
  if (given === null) return MISSING
  if (typeof given !== 'string') return 'it is no number but'
  const text = given.trim()
  if (NOTHING.has(text.toLowerCase())) return MISSING
  if (numericStrings === true && NUMERIC.test(text)) return Number(text)
  return numericStrings === true ? 'it is no number but' : IS_TEXT
}

const timeOf = (time: unknown, unit: 'ms' | 's' | 'iso'): number | undefined => {
  if (unit === 'iso') {
    const parsed = typeof time === 'string' && ISO.test(time) ? Date.parse(time) : Number.NaN
    return Number.isNaN(parsed) ? undefined : parsed
  }
  const number = typeof time === 'string' && NUMERIC.test(time) ? Number(time) : time
  if (typeof number !== 'number' || !Number.isFinite(number)) return undefined
  const ms = unit === 's' ? number * 1_000 : number
  return ms >= MS_MIN && ms < MS_MIN * 1_000 ? ms : undefined
}

/** What is wrong with a value as it is configured. */
export const jsonValueFaults = (value: JsonValue): readonly (readonly [message: string, remedy: string])[] => {
  const faults = [...valueFaults(value)]
  for (const pointer of [value.pointer, value.timePointer, value.quality?.pointer]) {
    if (pointer !== undefined && !isPointer(pointer))
      faults.push([
        `${JSON.stringify(pointer)} is no JSON pointer`,
        'write /a/0/b; ~1 is a slash in a name, ~0 a tilde',
      ])
  }
  const row = signalOf(value.signal)
  const place = samplePlace(value, row)
  if (row !== undefined && typeof place === 'string') faults.push([`${value.signal}: ${place}`, 'correct its place'])
  return faults
}
