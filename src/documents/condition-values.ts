import { FAILED } from './condition-functions.ts'

const INT_MAX = 9_223_372_036_854_775_807n
const INT_MIN = -INT_MAX - 1n

/** One operator on two values that did not fail. */
export type Operation = (a: unknown, b: unknown) => unknown

const isNumeric = (value: unknown): value is number | bigint => typeof value === 'number' || typeof value === 'bigint'

const isComparable = (a: unknown, b: unknown): boolean =>
  (isNumeric(a) && isNumeric(b)) || (typeof a === typeof b && (typeof a === 'string' || typeof a === 'boolean'))

/** CEL's equality: numbers by value whatever their type, lists by their elements, all else only within its type. */
export function isEqual(a: unknown, b: unknown): boolean {
  // biome-ignore lint/suspicious/noDoubleEquals: a whole number of CEL is a bigint
  if (isNumeric(a) && isNumeric(b)) return a == b
  if (!Array.isArray(a) || !Array.isArray(b)) return a === b
  return a.length === b.length && a.every((value, index) => isEqual(value, b[index]))
}

const compare =
  (test: (a: never, b: never) => boolean): Operation =>
  (a, b) =>
    isComparable(a, b) ? test(a as never, b as never) : FAILED

const whole = (value: bigint): unknown => (value <= INT_MAX && value >= INT_MIN ? value : FAILED)

/** Arithmetic on doubles; a whole number beside a double becomes one. */
export const doubles = {
  '+': (a: number, b: number): number => a + b,
  '-': (a: number, b: number): number => a - b,
  '*': (a: number, b: number): number => a * b,
  '/': (a: number, b: number): number => a / b,
} as const

const arithmetic =
  (ints: (a: bigint, b: bigint) => unknown, floats?: (a: number, b: number) => number): Operation =>
  (a, b) => {
    if (typeof a === 'bigint' && typeof b === 'bigint') return ints(a, b)
    return floats !== undefined && isNumeric(a) && isNumeric(b) ? floats(Number(a), Number(b)) : FAILED
  }

const add = arithmetic((a, b) => whole(a + b), doubles['+'])

/** The operators between two values, by their sign. Each gives FAILED where it knows no such two. */
export const OPERATIONS: Readonly<Record<string, Operation>> = {
  '==': isEqual,
  '!=': (a, b) => !isEqual(a, b),
  '<': compare((a, b) => a < b),
  '<=': compare((a, b) => a <= b),
  '>': compare((a, b) => a > b),
  '>=': compare((a, b) => a >= b),
  in: (a, b) => (Array.isArray(b) ? b.some((value) => isEqual(a, value)) : FAILED),
  '+': (a, b) => {
    if (typeof a === 'string' && typeof b === 'string') return a + b
    return Array.isArray(a) && Array.isArray(b) ? [...a, ...b] : add(a, b)
  },
  '-': arithmetic((a, b) => whole(a - b), doubles['-']),
  '*': arithmetic((a, b) => whole(a * b), doubles['*']),
  '/': arithmetic((a, b) => (b === 0n ? FAILED : a / b), doubles['/']),
  '%': arithmetic((a, b) => (b === 0n ? FAILED : a % b)),
}
