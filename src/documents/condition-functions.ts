import { RE2JS } from 're2js'
import { type Address, type Block, parseAddress, parseBlock } from '../math/address.ts'

/** What an expression gives that has no value: a fact was missing or of the wrong type. */
export const FAILED: unique symbol = Symbol('failed')

/** One way to call a function: the types it takes, `receiver` first where it is called on a value, and what it gives. */
export interface ConditionFunction {
  /** As the type checker writes it; absent for those that the language brings along. */
  readonly signatures: readonly string[]
  /** One line for the reference. */
  readonly says: string
  /** The values of the receiver, if any, and of the arguments; gives FAILED where they are of the wrong type. */
  readonly run: (...values: unknown[]) => unknown
  /** Whether it is called on a value, `a.f(b)`, or by itself, `f(a, b)`; `both` where either will do. */
  readonly called: 'on-a-value' | 'by-itself' | 'both'
  readonly valueCount: readonly number[]
}

const textPair = (test: (a: string, b: string) => unknown) => (a: unknown, b: unknown) =>
  typeof a === 'string' && typeof b === 'string' ? test(a, b) : FAILED

const text = (change: (a: string) => unknown) => (a: unknown) => (typeof a === 'string' ? change(a) : FAILED)

/** Every function that a condition may call, beside the macros has, all, exists and exists_one. To add one, add a row. */
export const CONDITION_FUNCTIONS = {
  startsWith: onText(
    'a text begins with another',
    textPair((a, b) => a.startsWith(b)),
  ),
  endsWith: onText(
    'a text ends with another',
    textPair((a, b) => a.endsWith(b)),
  ),
  contains: onText(
    'a text has another inside',
    textPair((a, b) => a.includes(b)),
  ),
  lowerAscii: {
    ...onText(
      'the text in lower case',
      text((a) => a.toLowerCase()),
    ),
    valueCount: [1],
  },
  upperAscii: {
    ...onText(
      'the text in upper case',
      text((a) => a.toUpperCase()),
    ),
    valueCount: [1],
  },
  trim: {
    ...onText(
      'the text without blanks around it',
      text((a) => a.trim()),
    ),
    valueCount: [1],
  },
  size: {
    says: 'characters of a text, or entries of a list',
    signatures: [],
    called: 'both',
    valueCount: [1],
    run: (a) => (typeof a === 'string' ? BigInt([...a].length) : Array.isArray(a) ? BigInt(a.length) : FAILED),
  },
  double: {
    says: 'the number that a text or whole number names',
    signatures: [],
    called: 'by-itself',
    valueCount: [1],
    run: toDouble,
  },
  string: {
    says: 'the text of a number or truth value',
    signatures: [],
    called: 'by-itself',
    valueCount: [1],
    run: toText,
  },
  re2match: {
    says: 'an RE2 pattern, a literal, is found in the text; always in time linear in the text',
    signatures: ['re2match(string, string): bool', 'string.re2match(string): bool'],
    called: 'both',
    valueCount: [2],
    run: textPair((a, pattern) => patternOf(pattern)?.test(a) ?? FAILED),
  },
  inCidr: {
    says: 'an address lies in a block, which is a literal',
    signatures: ['inCidr(string, string): bool', 'string.inCidr(string): bool'],
    called: 'both',
    valueCount: [2],
    run: textPair((a, block) => inCidr(a, parseBlock(block))),
  },
} as const satisfies Record<string, ConditionFunction>

/** The pattern of a text, or undefined if RE2 does not know it. */
export function patternOf(pattern: string): RE2JS | undefined {
  try {
    return RE2JS.compile(pattern)
  } catch {
    return undefined
  }
}

/** Whether a text is an address inside a block; FAILED if it is no address. */
export function inCidr(address: string, block: Block | undefined): unknown {
  const ip = parseAddress(address)
  return ip === undefined || block === undefined ? FAILED : inBlock(ip, block)
}

/** Whether an address lies in a block. An IPv4 address is never in an IPv6 block. */
function inBlock(ip: Address, { address, bits }: Block): boolean {
  if (ip.length !== address.length) return false
  const whole = bits >> 3
  for (let index = 0; index < whole; index++) if (ip[index] !== address[index]) return false
  const rest = bits & 7
  return rest === 0 || ip[whole]! >> (8 - rest) === address[whole]! >> (8 - rest)
}

function onText(says: string, run: ConditionFunction['run']): ConditionFunction {
  return { says, signatures: [], called: 'on-a-value', valueCount: [2], run }
}

function toDouble(value: unknown): unknown {
  if (typeof value === 'number') return value
  if (typeof value === 'bigint') return Number(value)
  if (typeof value !== 'string' || value === '' || value !== value.trim()) return FAILED
  const word = /^([+-]?)inf(inity)?$/i.exec(value)
  if (word !== null) return word[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
  if (/^nan$/i.test(value)) return Number.NaN
  const number = Number(value)
  return Number.isNaN(number) ? FAILED : number
}

function toText(value: unknown): unknown {
  if (value === Number.POSITIVE_INFINITY) return '+Inf'
  if (value === Number.NEGATIVE_INFINITY) return '-Inf'
  return ['string', 'number', 'bigint', 'boolean'].includes(typeof value) ? `${value}` : FAILED
}
