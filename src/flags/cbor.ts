const utf8 = new TextEncoder()

/**
 * A JSON value in canonical CBOR (RFC 7049, section 3.9), as version 3 of `fractional` hashes it: whole numbers of up to
 * 64 bits are integers however they were written, other numbers the shortest float that holds them, and the keys of maps
 * are in the order of their encoded form, shorter ones first. Null where a text is not Unicode, or the value no JSON.
 *
 * [`flag`, `user`] is 82 64 66 6c 61 67 64 75 73 65 72.
 */
export function canonicalCbor(value: unknown): Uint8Array | null {
  const bytes: number[] = []
  return write(value, bytes) ? Uint8Array.from(bytes) : null
}

function write(value: unknown, bytes: number[]): boolean {
  switch (typeof value) {
    case 'string':
      return writeText(value, bytes)
    case 'number':
      writeNumber(value, bytes)
      return true
    case 'boolean':
      bytes.push(value ? 0xf5 : 0xf4)
      return true
    case 'object':
      if (value === null) bytes.push(0xf6)
      else if (Array.isArray(value)) return writeList(value, bytes)
      else return writeMap(value, bytes)
      return true
    default:
      return false
  }
}

function writeText(text: string, bytes: number[]): boolean {
  if (!text.isWellFormed()) return false
  const encoded = utf8.encode(text)
  writeHead(3, encoded.length, bytes)
  for (const byte of encoded) bytes.push(byte)
  return true
}

function writeList(list: readonly unknown[], bytes: number[]): boolean {
  writeHead(4, list.length, bytes)
  return list.every((item) => write(item, bytes))
}

function writeMap(map: object, bytes: number[]): boolean {
  const entries: [number[], number[]][] = []
  for (const [name, item] of Object.entries(map)) {
    const key: number[] = []
    const content: number[] = []
    if (!writeText(name, key) || !write(item, content)) return false
    entries.push([key, content])
  }
  writeHead(5, entries.length, bytes)
  entries.sort(([a], [b]) => a.length - b.length || firstDifference(a, b))
  for (const [key, content] of entries) {
    for (const byte of key) bytes.push(byte)
    for (const byte of content) bytes.push(byte)
  }
  return true
}

function firstDifference(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((byte, index) => byte !== b[index])
  return at < 0 ? 0 : a[at]! - b[at]!
}

function writeNumber(value: number, bytes: number[]): void {
  if (Number.isInteger(value) && value < 2 ** 64 && value >= -(2 ** 63)) {
    if (value >= 0) writeHead(0, value, bytes)
    // The argument is -1 - n, which a double beyond 2^53 does not hold.
    else writeBigHead(1, -1n - BigInt(value), bytes)
    return
  }
  const view = new DataView(new ArrayBuffer(8))
  const as = (head: number, size: number): void => {
    bytes.push(head)
    for (let at = 0; at < size; at++) bytes.push(view.getUint8(at))
  }
  const half = halfOf(value)
  if (half !== null) {
    view.setUint16(0, half)
    as(0xf9, 2)
  } else if (Object.is(Math.fround(value), value)) {
    view.setFloat32(0, value)
    as(0xfa, 4)
  } else {
    view.setFloat64(0, value)
    as(0xfb, 8)
  }
}

/** The bits of the half-precision float that is exactly this number, or null. */
function halfOf(value: number): number | null {
  if (Number.isNaN(value)) return 0x7e00
  const sign = value < 0 ? 0x8000 : 0
  const size = Math.abs(value)
  if (size === Number.POSITIVE_INFINITY) return sign | 0x7c00
  // Below 2^-14 the steps no longer shrink: multiples of 2^-24.
  const exponent = Math.max(-14, Math.floor(Math.log2(size)))
  const steps = size / 2 ** (exponent - 10)
  if (exponent > 15 || !Number.isInteger(steps)) return null
  return sign | (exponent === -14 && steps < 1024 ? steps : ((exponent + 15) << 10) | (steps - 1024))
}

function writeHead(kind: number, argument: number, bytes: number[]): void {
  const head = kind << 5
  if (argument < 24) bytes.push(head | argument)
  else if (argument < 0x100) bytes.push(head | 24, argument)
  else if (argument < 0x10000) bytes.push(head | 25, argument >>> 8, argument & 0xff)
  else writeBigHead(kind, BigInt(argument), bytes)
}

function writeBigHead(kind: number, argument: bigint, bytes: number[]): void {
  if (argument < 0x10000n) {
    writeHead(kind, Number(argument), bytes)
    return
  }
  const size = argument < 0x100000000n ? 4 : 8
  bytes.push((kind << 5) | (size === 4 ? 26 : 27))
  for (let shift = size - 1; shift >= 0; shift--) bytes.push(Number((argument >> BigInt(shift * 8)) & 0xffn))
}
