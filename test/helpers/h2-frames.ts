import { FRAME } from '../../src/envoy/transport/codes.ts'
import { type Field, ROLE } from '../../src/envoy/transport/field.ts'
import { HpackDecoder } from '../../src/envoy/transport/hpack-decoder.ts'
import { HUFFMAN_CODES } from '../../src/envoy/transport/huffman.ts'
import { STATIC_TABLE } from '../../src/envoy/transport/static-table.ts'

/** What a client says first. */
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

/** One frame as bytes. */
export const frame = (type: number, flags: number, id: number, payload: Buffer = Buffer.alloc(0)): Buffer => {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(id >>> 0, 5)
  return Buffer.concat([head, payload])
}

/** A number in four bytes. */
export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes
}

/** SETTINGS of these pairs. */
export const settings = (...pairs: readonly (readonly [number, number])[]): Buffer => {
  const payload = Buffer.alloc(pairs.length * 6)
  for (const [index, [id, value]] of pairs.entries()) {
    payload.writeUInt16BE(id, index * 6)
    payload.writeUInt32BE(value >>> 0, index * 6 + 2)
  }
  return frame(FRAME.settings, 0, 0, payload)
}

/** A gRPC message as it stands in DATA. */
export const message = (bytes: Buffer, isCompressed = false): Buffer =>
  Buffer.concat([Buffer.from([isCompressed ? 1 : 0]), u32(bytes.length), bytes])

const numberOf = (value: number, prefix: number, first: number): Buffer => {
  const mask = 2 ** prefix - 1
  if (value < mask) return Buffer.from([first | value])
  const bytes = [first | mask]
  let rest = value - mask
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128)
  return Buffer.from([...bytes, rest])
}

const coded = new Map<string, Buffer>()

/** A string in the Huffman code, written bit by bit: unlike the decoder, and so slow that short ones are kept. */
export const huffman = (text: Buffer): Buffer => {
  const key = text.toString('latin1')
  const known = coded.get(key)
  if (known !== undefined) return known
  const bytes = encodeHuffman(text)
  if (coded.size < 10_000 && key.length < 2_000) coded.set(key, bytes)
  return bytes
}

const encodeHuffman = (text: Buffer): Buffer => {
  let bits = ''
  for (const byte of text) {
    const { bits: code, length } = HUFFMAN_CODES[byte]!
    bits += code.toString(2).padStart(length, '0')
  }
  bits += '1'.repeat((8 - (bits.length % 8)) % 8)
  return Buffer.from(bits.match(/.{8}/g)?.map((eight) => Number.parseInt(eight, 2)) ?? [])
}

const stringOf = (text: string, isHuffman: boolean): Buffer => {
  const raw = Buffer.from(text, 'latin1')
  const bytes = isHuffman ? huffman(raw) : raw
  return Buffer.concat([numberOf(bytes.length, 7, isHuffman ? 0x80 : 0), bytes])
}

/** How a field is to be written. */
export interface Written {
  readonly isKept?: boolean
  readonly isHuffman?: boolean
  /** Not by an index, though there may be one. */
  readonly isPlain?: boolean
}

const STATIC = STATIC_TABLE.slice(1).map(({ name, value }) => [name, value] as const)

/** An encoder of HPACK with a dynamic table, made to be unlike the decoder: it keeps a plain list. */
export class HpackWriter {
  #table: (readonly [string, string])[] = []
  #sizeMax: number

  constructor(sizeMax = 4_096) {
    this.#sizeMax = sizeMax
  }

  /** Says a new size of the table. */
  resize(size: number): Buffer {
    this.#sizeMax = size
    this.#evict()
    return numberOf(size, 5, 0x20)
  }

  field(name: string, value: string, { isKept = false, isHuffman = false, isPlain = false }: Written = {}): Buffer {
    const whole = isPlain ? -1 : this.#find(([n, v]) => n === name && v === value)
    if (whole >= 0) return numberOf(whole + 1, 7, 0x80)
    const named = isPlain ? -1 : this.#find(([n]) => n === name)
    const head = numberOf(named + 1, isKept ? 6 : 4, isKept ? 0x40 : 0)
    const bytes = Buffer.concat([head, ...(named < 0 ? [stringOf(name, isHuffman)] : []), stringOf(value, isHuffman)])
    if (isKept) {
      this.#table.unshift([name, value])
      this.#evict()
    }
    return bytes
  }

  block(fields: readonly (readonly [string, string])[], written: Written = {}): Buffer {
    return Buffer.concat(fields.map(([name, value]) => this.field(name, value, written)))
  }

  #find(isIt: (field: readonly [string, string]) => boolean): number {
    const known = STATIC.findIndex(isIt)
    if (known >= 0) return known
    const own = this.#table.findIndex(isIt)
    return own < 0 ? -1 : STATIC.length + own
  }

  #evict(): void {
    const size = () => this.#table.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0)
    while (size() > this.#sizeMax) this.#table.pop()
  }
}

/** The path of ext_proc. */
export const PROCESS_PATH = '/envoy.service.ext_proc.v3.ExternalProcessor/Process'

/** The headers of a call. */
export const callHeaders = (
  path = PROCESS_PATH,
  more: readonly (readonly [string, string])[] = [],
): (readonly [string, string])[] => [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', path],
  [':authority', 'h'],
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
  ...more,
]

/** One frame as it was sent to us. */
export interface Heard {
  readonly type: number
  readonly flags: number
  readonly id: number
  readonly payload: Buffer
}

/** Cuts bytes into frames; what is not whole is left over. */
export const cut = (bytes: Buffer): { readonly frames: readonly Heard[]; readonly rest: Buffer } => {
  const frames: Heard[] = []
  let at = 0
  while (bytes.length - at >= 9) {
    const length = bytes.readUIntBE(at, 3)
    if (bytes.length - at < 9 + length) break
    const payload = bytes.subarray(at + 9, at + 9 + length)
    frames.push({ type: bytes[at + 3]!, flags: bytes[at + 4]!, id: bytes.readUInt32BE(at + 5) & 0x7fffffff, payload })
    at += 9 + length
  }
  return { frames, rest: bytes.subarray(at) }
}

const read = new Map<string, Readonly<Record<string, string>>>()

/** A header block of ours as an object. There are few of them, so each is read once. */
export const headersOf = (block: Buffer): Readonly<Record<string, string>> => {
  const key = block.toString('latin1')
  const known = read.get(key)
  if (known !== undefined) return known
  const headers = readBlock(block)
  if (read.size < 1_000) read.set(key, headers)
  return headers
}

const readBlock = (block: Buffer): Record<string, string> => {
  const headers: Record<string, string> = {}
  const fields: Field[] = []
  new HpackDecoder(4_096, true).decode(block, 0, block.length, { field: (field) => fields.push(field) })
  for (const { name, value, role } of fields) {
    if (role === ROLE.malformed && !name.startsWith(':')) throw new Error(`a malformed field: ${name}`)
    headers[name] = value
  }
  return headers
}
