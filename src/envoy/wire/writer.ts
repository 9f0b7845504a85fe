/** How many bytes a varint takes. */
const sizeOf = (value: number): number => {
  let size = 1
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size += 1
  return size
}

/** A larger buffer is not kept from one message to the next. */
const KEPT_BYTES_MAX = 65_536
/** Strings up to here are written letter by letter; their length takes one byte. */
const SHORT = 64

/**
 * Writes protobuf messages into one growing buffer. Embedded messages are closed by moving their bytes if the length
 * takes more than the one byte that was left for it, which short answers never need.
 */
export class Writer {
  private bytes: Buffer
  private pos = 0

  constructor(size = 512) {
    this.bytes = Buffer.allocUnsafe(size)
  }

  /** Forgets what an encoding that failed half way left behind. */
  restart(): void {
    this.pos = 0
  }

  /** What was written; the writer can then be used again. */
  finish(): Buffer {
    const written = this.bytes.subarray(0, this.pos)
    this.pos = 0
    if (this.bytes.length <= KEPT_BYTES_MAX) return Buffer.from(written)
    // A body made it large. The bytes are given away as they are, so that no writer holds megabytes for ever.
    this.bytes = Buffer.allocUnsafe(512)
    return written
  }

  private room(size: number): void {
    if (this.pos + size <= this.bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.pos + size))
    this.bytes.copy(larger, 0, 0, this.pos)
    this.bytes = larger
  }

  /** A number without a tag. */
  rawVarint(value: number): void {
    this.room(10)
    if (value < 128) {
      this.bytes[this.pos++] = value
      return
    }
    let rest = value
    while (rest >= 128) {
      this.bytes[this.pos++] = (rest % 128) | 0x80
      rest = Math.floor(rest / 128)
    }
    this.bytes[this.pos++] = rest
  }

  /** A varint field; zero is the default and is not written. */
  varint(field: number, value: number): this {
    if (value === 0) return this
    this.rawVarint(field * 8)
    this.rawVarint(value)
    return this
  }

  /** A bool field; false is the default and is not written. */
  bool(field: number, value: boolean): this {
    return this.varint(field, value ? 1 : 0)
  }

  /** A UTF-8 string field; it is written even if empty, because inside a oneof that says which. */
  text(field: number, value: string): this {
    this.rawVarint(field * 8 + 2)
    if (value.length <= SHORT && this.shortAscii(value)) return this
    const size = Buffer.byteLength(value)
    this.rawVarint(size)
    this.room(size)
    this.pos += this.bytes.write(value, this.pos, 'utf8')
    return this
  }

  // Two calls into the runtime cost more than a loop over the few letters of a header.
  private shortAscii(value: string): boolean {
    const { length } = value
    this.room(length + 1)
    const { bytes, pos } = this
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i)
      if (code > 0x7f) return false
      bytes[pos + 1 + i] = code
    }
    bytes[pos] = length
    this.pos = pos + 1 + length
    return true
  }

  /** A bytes field. */
  data(field: number, value: Uint8Array): this {
    this.rawVarint(field * 8 + 2)
    this.rawVarint(value.length)
    this.room(value.length)
    this.bytes.set(value, this.pos)
    this.pos += value.length
    return this
  }

  /** A double field. */
  double(field: number, value: number): this {
    this.rawVarint(field * 8 + 1)
    this.room(8)
    this.pos = this.bytes.writeDoubleLE(value, this.pos)
    return this
  }

  /** An embedded message, written by `body`. */
  message(field: number, body: () => void): this {
    this.rawVarint(field * 8 + 2)
    this.room(1)
    const start = this.pos
    this.pos += 1
    body()
    const length = this.pos - start - 1
    const size = sizeOf(length)
    if (size > 1) {
      this.room(size - 1)
      this.bytes.copyWithin(start + size, start + 1, start + 1 + length)
    }
    const end = start + size + length
    this.pos = start
    this.rawVarint(length)
    this.pos = end
    return this
  }
}
