import { ConnectionError, ERROR } from './codes.ts'
import { type Field, isValue, ROLE, roleOf, roleOfName } from './field.ts'
import { decodeHuffman } from './huffman.ts'
import { STATIC_TABLE } from './static-table.ts'

/** Fields of the static table, its empty place included: where the dynamic one begins. */
const STATIC = STATIC_TABLE.length
/** The largest number that is read: far above every length and index that can be right. */
const NUMBER_MAX = 0xfffffff

/** What hears of fields, in order. */
export interface FieldSink {
  readonly field: (field: Field) => void
}

const broken = (what: string): ConnectionError => new ConnectionError(ERROR.compression, what)

/**
 * The decoder of HPACK (RFC 7541) with its dynamic table. Fields become objects once: a field that is indexed costs a
 * look-up, and its name and value have been checked already. Values that nobody looks at are checked as bytes and never
 * become strings, unless the table keeps them. Throws ConnectionError, after which the connection can't go on.
 */
export class HpackDecoder {
  /** The size that we allowed in SETTINGS. */
  readonly #sizeAllowed: number
  readonly #keepsAll: boolean
  /** The dynamic table, a ring: the newest field is at `#newest`, older ones follow. */
  readonly #ring: (Field | undefined)[]
  #newest = 0
  #count = 0
  #size = 0
  #sizeMax: number
  /** Where reading stands, so that the small readers need not give two values. */
  #at = 0
  /** Where the bytes of the string that was read last are. */
  #text: Buffer = EMPTY
  #textStart = 0
  #textEnd = 0
  #scratch = Buffer.allocUnsafe(1_024)

  /** `keepsAll`: values that no server looks at become strings too, for who reads answers. */
  constructor(sizeAllowed: number, keepsAll = false) {
    this.#sizeAllowed = sizeAllowed
    this.#keepsAll = keepsAll
    this.#sizeMax = sizeAllowed
    this.#ring = new Array(Math.max(1, Math.ceil(sizeAllowed / 32)))
  }

  /** Bytes in the dynamic table, as HPACK counts them. */
  get size(): number {
    return this.#size
  }

  /** Decodes one whole header block. */
  decode(bytes: Buffer, start: number, end: number, sink: FieldSink): void {
    this.#at = start
    let updates = 0
    let begun = false
    while (this.#at < end) {
      const first = bytes[this.#at]!
      if (first >= 0x80) {
        begun = true
        sink.field(this.#fieldAt(this.#number(bytes, end, 7)))
      } else if (first >= 0x40) {
        begun = true
        const field = this.#literal(bytes, end, 6, true)
        this.#add(field)
        sink.field(field)
      } else if (first >= 0x20) {
        // Two at most, the smaller one first; and only before the first field (section 4.2).
        if (begun || ++updates > 2) throw broken('a table size update out of its place')
        this.#resize(this.#number(bytes, end, 5))
      } else {
        begun = true
        sink.field(this.#literal(bytes, end, 4, false))
      }
    }
  }

  #fieldAt(index: number): Field {
    if (index > 0 && index < STATIC) return STATIC_TABLE[index]!
    const back = index - STATIC
    if (index === 0 || back >= this.#count) throw broken(`no field of index ${index}`)
    return this.#ring[(this.#newest + back) % this.#ring.length]!
  }

  #literal(bytes: Buffer, end: number, prefix: number, isKept: boolean): Field {
    const index = this.#number(bytes, end, prefix)
    let name: string
    let role: number
    if (index !== 0) {
      const named = this.#fieldAt(index)
      name = named.name
      // A name may be good where the value that it came with was not.
      role = named.role === ROLE.malformed ? roleOfName(name) : named.role
    } else {
      this.#string(bytes, end)
      name = this.#latin1()
      role = roleOfName(name)
    }
    this.#string(bytes, end)
    const isGood = isValue(this.#text, this.#textStart, this.#textEnd)
    const size = name.length + this.#textEnd - this.#textStart + 32
    // Only what `te` says decides its role, and only fields with a role and fields of the table are looked at again.
    const value = isKept || this.#keepsAll || role !== ROLE.other || name === 'te' ? this.#latin1() : ''
    return { name, value, role: roleOf(role, name, value, isGood), size }
  }

  #latin1(): string {
    return this.#text.toString('latin1', this.#textStart, this.#textEnd)
  }

  /** A number whose first byte has `prefix` bits for it (section 5.1). */
  #number(bytes: Buffer, end: number, prefix: number): number {
    const mask = (1 << prefix) - 1
    let value = bytes[this.#at++]! & mask
    if (value < mask) return value
    for (let shift = 0; ; shift += 7) {
      if (this.#at >= end) throw broken('a number that is cut off')
      const byte = bytes[this.#at++]!
      value += (byte & 0x7f) * 2 ** shift
      if (value > NUMBER_MAX || shift > 28) throw broken('a number that is too large')
      if (byte < 0x80) return value
    }
  }

  /** Reads a string; its bytes are then in `#text`, until the next one is read. */
  #string(bytes: Buffer, end: number): void {
    if (this.#at >= end) throw broken('a field that is cut off')
    const isHuffman = bytes[this.#at]! >= 0x80
    const length = this.#number(bytes, end, 7)
    const start = this.#at
    const stop = start + length
    if (stop > end) throw broken('a string that is cut off')
    this.#at = stop
    if (!isHuffman) {
      this.#text = bytes
      this.#textStart = start
      this.#textEnd = stop
      return
    }
    const room = Math.ceil((length * 8) / 5)
    if (room > this.#scratch.length) this.#scratch = Buffer.allocUnsafe(room)
    const decoded = decodeHuffman(bytes, start, stop, this.#scratch)
    if (decoded < 0) throw broken('a string that is not in the Huffman code')
    this.#text = this.#scratch
    this.#textStart = 0
    this.#textEnd = decoded
  }

  #add(field: Field): void {
    if (field.size > this.#sizeMax) {
      // A field that is larger than the table empties it, and that is no error (section 4.4).
      this.#evict(0)
      return
    }
    this.#evict(this.#sizeMax - field.size)
    const { length } = this.#ring
    this.#newest = (this.#newest + length - 1) % length
    this.#ring[this.#newest] = field
    this.#count += 1
    this.#size += field.size
  }

  #evict(to: number): void {
    while (this.#size > to) {
      this.#count -= 1
      const oldest = (this.#newest + this.#count) % this.#ring.length
      this.#size -= this.#ring[oldest]!.size
      this.#ring[oldest] = undefined
    }
  }

  #resize(size: number): void {
    if (size > this.#sizeAllowed) throw broken('a table larger than allowed')
    this.#sizeMax = size
    this.#evict(size)
  }
}

const EMPTY = Buffer.alloc(0)
