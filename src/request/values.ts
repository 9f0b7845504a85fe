import type { FactValue } from '../model/facts.ts'
import type { EpochMs } from '../model/names.ts'
import { isPlain } from './fact-reader.ts'

/** The longest text that is a fact: a session key may be a long subject, everything else is shorter. */
export const TEXT_CHARS_MAX = 1_024
/** The longest list that is a fact. */
const ITEMS_MAX = 64

/** What stands for a value longer than a fact may be. */
export const TOO_LONG = Symbol('too long')
/** What stands for a value of another form than the fact has. */
export const WRONG = Symbol('wrong')
/** A value, or why it is none. */
export type Coerced<T> = T | typeof TOO_LONG | typeof WRONG | undefined

/** One text out of what a source gave; of a list the first. An empty text is nothing. */
export function text(raw: unknown): Coerced<string> {
  const first = Array.isArray(raw) ? raw[0] : raw
  if (first === undefined || first === null || first === '') return undefined
  if (!isPlain(first)) return WRONG
  const written = String(first)
  return written.length > TEXT_CHARS_MAX ? TOO_LONG : written
}

/** A country's two letters, upper case. */
export function country(raw: unknown): Coerced<string> {
  const written = text(raw)
  if (typeof written !== 'string') return written
  return /^[A-Za-z]{2}$/.test(written) ? written.toUpperCase() : WRONG
}

/** A whole number that is not negative: `4096`, or `AS4200000000` for a network. */
export function count(raw: unknown): Coerced<number> {
  const written = text(raw)
  if (typeof written !== 'string') return written
  const digits = /^(?:AS)?([0-9]{1,10})$/i.exec(written)
  return digits === null ? WRONG : Number(digits[1])
}

/** A truth value: `true`, `false`, `1` or `0`. */
export function truth(raw: unknown): Coerced<boolean> {
  const written = text(raw)
  if (typeof written !== 'string') return written
  if (written === 'true' || written === '1') return true
  return written === 'false' || written === '0' ? false : WRONG
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** A deadline as a time: `2026-11-22T10:00:00Z` is one, `90s` or `4h` is one from now. */
export function deadline(raw: unknown, now: EpochMs): Coerced<EpochMs> {
  const written = text(raw)
  if (typeof written !== 'string') return written
  const duration = /^([0-9]{1,9})(ms|s|m|h|d)$/.exec(written)
  if (duration !== null) return now + Number(duration[1]) * UNIT_MS[duration[2]!]!
  if (!/^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9]{2}:[0-9]{2})$/.test(written)) return WRONG
  const at = Date.parse(written)
  return Number.isNaN(at) ? WRONG : at
}

/** A fact of the user's own: a text, a finite number, a truth value, or a list of texts. */
export function own(raw: unknown): Coerced<FactValue> {
  if (Array.isArray(raw)) {
    if (!raw.every(isPlain)) return WRONG
    const items = raw.map(String)
    return items.length > ITEMS_MAX || items.some((item) => item.length > TEXT_CHARS_MAX) ? TOO_LONG : items
  }
  if (typeof raw === 'boolean' || (typeof raw === 'number' && Number.isFinite(raw))) return raw
  return text(raw)
}
