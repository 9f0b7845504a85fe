/** An address as its 4 or 16 bytes. An IPv4 address mapped into IPv6 is its 4 bytes. */
export type IpBytes = readonly number[]

/** A block of addresses: those whose first `bits` bits are the block's. */
export interface Cidr {
  readonly bytes: IpBytes
  readonly bits: number
}

/** The bytes of `10.0.0.1` or `2001:db8::1`; undefined for anything else, zones and leading zeros included. */
export function parseIp(text: string): IpBytes | undefined {
  if (!text.includes(':')) return parseIp4(text)
  if (text.length > 45) return undefined
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const head = groups(halves[0]!)
  const tail = halves.length === 2 ? groups(halves[1]!) : []
  if (head === undefined || tail === undefined) return undefined
  const missing = 16 - head.length - tail.length
  if (halves.length === 1 ? missing !== 0 : missing < 2) return undefined
  const bytes = [...head, ...new Array<number>(missing).fill(0), ...tail]
  const mapped = bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255
  return mapped ? bytes.slice(12) : bytes
}

function parseIp4(text: string): IpBytes | undefined {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part) && Number(part) < 256)) {
    return undefined
  }
  return parts.map(Number)
}

function groups(half: string): number[] | undefined {
  if (half === '') return []
  const bytes: number[] = []
  const parts = half.split(':')
  for (const [index, part] of parts.entries()) {
    if (index === parts.length - 1 && part.includes('.')) {
      const ip4 = parseIp4(part)
      if (ip4 === undefined) return undefined
      bytes.push(...ip4)
    } else if (/^[0-9A-Fa-f]{1,4}$/.test(part)) {
      const group = Number.parseInt(part, 16)
      bytes.push(group >> 8, group & 255)
    } else return undefined
  }
  return bytes
}

/** The block that `10.0.0.0/8` names; a bare address is the block of itself. Undefined for anything else. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/')
  const bytes = parseIp(slash < 0 ? text : text.slice(0, slash))
  if (bytes === undefined) return undefined
  const size = bytes.length * 8
  if (slash < 0) return { bytes, bits: size }
  const bits = text.slice(slash + 1)
  if (!/^(0|[1-9][0-9]{0,2})$/.test(bits)) return undefined
  // ::ffff:10.0.0.0/104 is 10.0.0.0/8.
  const mapped = bytes.length === 4 && text.slice(0, slash).includes(':')
  const length = Number(bits) - (mapped ? 96 : 0)
  return length < 0 || length > size ? undefined : { bytes, bits: length }
}

/** Whether an address lies in a block. An IPv4 address is never in an IPv6 block. */
export function inBlock(ip: IpBytes, { bytes, bits }: Cidr): boolean {
  if (ip.length !== bytes.length) return false
  const whole = bits >> 3
  for (let index = 0; index < whole; index++) if (ip[index] !== bytes[index]) return false
  const rest = bits & 7
  return rest === 0 || ip[whole]! >> (8 - rest) === bytes[whole]! >> (8 - rest)
}
