/** An address as its 4 or 16 bytes. An IPv4 address mapped into IPv6 (`::ffff:10.0.0.1`) is its 4 bytes. */
export type Address = readonly number[]

/** A block of addresses: those whose first `bits` bits are the block's. */
export interface Block {
  readonly address: Address
  readonly bits: number
}

/**
 * The bytes of `10.0.0.1` or `2001:db8::1` (RFC 4291, 2.2); undefined for anything else: ports, zones, leading zeros,
 * and the octal, hexadecimal and short forms of IPv4 that some parsers take and others read differently.
 */
export function parseAddress(text: string): Address | undefined {
  const length = text.length
  if (length < 2 || length > 45) return undefined
  return text.indexOf(':') < 0 ? parseIp4(text, 0) : parseIp6(text)
}

/** The block that `10.0.0.0/8` names; a bare address is the block of itself. Undefined for anything else. */
export function parseBlock(text: string): Block | undefined {
  const slash = text.indexOf('/')
  const written = slash < 0 ? text : text.slice(0, slash)
  const address = parseAddress(written)
  if (address === undefined) return undefined
  const size = address.length * 8
  if (slash < 0) return { address, bits: size }
  const digits = text.slice(slash + 1)
  if (!/^(0|[1-9][0-9]{0,2})$/.test(digits)) return undefined
  // ::ffff:10.0.0.0/104 is 10.0.0.0/8; a shorter one would hold more than IPv4 and is refused.
  const bits = Number(digits) - (size === 32 && written.includes(':') ? 96 : 0)
  return bits < 0 || bits > size ? undefined : { address, bits }
}

const DOT = 46
const COLON = 58

function parseIp4(text: string, start: number): number[] | undefined {
  const bytes: number[] = []
  let value = -1
  for (let i = start; i <= text.length; i++) {
    const code = i === text.length ? DOT : text.charCodeAt(i)
    if (code === DOT && value >= 0) {
      bytes.push(value)
      value = -1
    } else if (code < 48 || code > 57 || value === 0) {
      // A zero is a whole part, never the first digit of one: 010 is 8 to some readers and 10 to others.
      return undefined
    } else {
      value = value < 0 ? code - 48 : value * 10 + code - 48
      if (value > 255) return undefined
    }
  }
  return bytes.length === 4 ? bytes : undefined
}

function parseIp6(text: string): number[] | undefined {
  const bytes: number[] = []
  /** How many bytes stood before `::`; -1: there was none. */
  let gapAt = -1
  let i = 0
  if (text.charCodeAt(0) === COLON) {
    if (text.charCodeAt(1) !== COLON) return undefined
    gapAt = 0
    i = 2
  }
  while (i < text.length) {
    let end = i
    let value = 0
    for (; end < text.length; end++) {
      const digit = hexDigit(text.charCodeAt(end))
      if (digit < 0) break
      value = (value << 4) | digit
    }
    if (text.charCodeAt(end) === DOT) {
      const tail = parseIp4(text, i)
      if (tail === undefined) return undefined
      bytes.push(...tail)
      break
    }
    if (end === i || end - i > 4 || bytes.length >= 16) return undefined
    bytes.push(value >> 8, value & 255)
    if (end === text.length) break
    if (text.charCodeAt(end) !== COLON) return undefined
    i = end + 1
    if (text.charCodeAt(i) === COLON) {
      if (gapAt >= 0) return undefined
      gapAt = bytes.length
      i++
    } else if (i === text.length) return undefined
  }
  const missing = 16 - bytes.length
  if (gapAt < 0 ? missing !== 0 : missing < 2) return undefined
  if (gapAt >= 0) bytes.splice(gapAt, 0, ...new Array<number>(missing).fill(0))
  return isMapped(bytes) ? bytes.slice(12) : bytes
}

function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48
  const letter = code | 32
  return letter >= 97 && letter <= 102 ? letter - 87 : -1
}

function isMapped(bytes: readonly number[]): boolean {
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return false
  return bytes[10] === 255 && bytes[11] === 255
}
