import { fromLatin1, isAscii, type Reader, WireError } from './reader.ts'

/** Places for each header: where its name begins and ends, and its value. */
const PLACES = 4
/** Headers for which there is always room; a message with more has room of its own, and only until the next one. */
const USUAL = 128
/** The most headers of a message: Envoy lets 100 in unless it is told otherwise, and each look-up goes over all of them. */
const HEADERS_MAX = 4_096
/** Texts of how many names are remembered, and up to which length. */
const NAMES_MAX = 256
const TEXT_BYTES_MAX = 128

/** The list of places of the message that was looked at last. There is one, so that no request makes its own. */
let owner: HeaderMap | undefined
let places = new Int32Array(USUAL * PLACES)
let count = 0

/** By name, the text of the value that was read last: most headers are the same from one request to the next. */
const texts = new Map<string, string>()

/**
 * The headers of one message, which stay where they lie in it: a value becomes text when somebody asks for it. The list
 * of places is shared by all messages; whoever finds that it is another's by now has its own message read again.
 */
export class HeaderMap {
  readonly #bytes: Buffer
  readonly #read: (bytes: Buffer, into: HeaderMap) => void

  /** `read` goes through the message and calls `note` for each of its headers; it has done so once before, without fault. */
  constructor(bytes: Buffer, read: (bytes: Buffer, into: HeaderMap) => void) {
    this.#bytes = bytes
    this.#read = read
    this.clear()
  }

  /** Begins the list, or begins it again: of a part of a message that is given twice the last counts. */
  clear(): void {
    owner = this
    count = 0
    if (places.length > USUAL * PLACES) places = new Int32Array(USUAL * PLACES)
  }

  /** Notes a header by its places. Throws WireError where there are too many. */
  note(nameAt: number, nameEnd: number, valueAt: number, valueEnd: number): void {
    if (count === HEADERS_MAX) throw new WireError(`a message has more than ${HEADERS_MAX} headers`)
    const at = count * PLACES
    if (at === places.length) {
      const larger = new Int32Array(places.length * 2)
      larger.set(places)
      places = larger
    }
    places[at] = nameAt
    places[at + 1] = nameEnd
    places[at + 2] = valueAt
    places[at + 3] = valueEnd
    count += 1
  }

  /** The value of a header by its lower-case name, several joined by a comma; undefined where there is none. */
  get(name: string): string | undefined {
    this.#look()
    const bytes = this.#bytes
    let found: string | undefined
    for (let at = 0, end = count * PLACES; at < end; at += PLACES) {
      const nameAt = places[at]!
      if (places[at + 1]! - nameAt !== name.length || !isAscii(bytes, nameAt, places[at + 1]!, name)) continue
      const value = textOf(name, bytes, places[at + 2]!, places[at + 3]!)
      found = found === undefined ? value : `${found},${value}`
    }
    return found
  }

  /** All names and values as they came, one code unit a byte. */
  pairs(): (readonly [name: string, value: string])[] {
    this.#look()
    return Array.from({ length: count }, (_, header) => {
      const [nameAt, nameEnd, valueAt, valueEnd] = places.subarray(header * PLACES, header * PLACES + PLACES)
      return [
        this.#bytes.toString('latin1', nameAt, nameEnd),
        this.#bytes.toString('latin1', valueAt, valueEnd),
      ] as const
    })
  }

  #look(): void {
    if (owner === this) return
    this.clear()
    this.#read(this.#bytes, this)
  }
}

const textOf = (name: string, bytes: Buffer, start: number, end: number): string => {
  if (start === end) return ''
  const last = texts.get(name)
  if (last !== undefined && isAscii(bytes, start, end, last)) return last
  // A string of its own: one that is cut out of the text of a message would keep all of that alive.
  const text = fromLatin1(bytes.toString('latin1', start, end))
  if (end - start <= TEXT_BYTES_MAX && (last !== undefined || texts.size < NAMES_MAX)) texts.set(name, text)
  return text
}

/** Reads a text that is the value of this header, though it lies by itself. */
export const readText = (reader: Reader, name: string): string => {
  const to = reader.span()
  const text = textOf(name, reader.bytes, reader.pos, to)
  reader.pos = to
  return text
}

/** Reads a core.v3.HeaderValue, and notes it: raw_value where Envoy sends one, else value. */
export const readHeader = (reader: Reader, into: HeaderMap): void => {
  const outer = reader.enter()
  let [nameAt, nameEnd, valueAt, valueEnd] = [0, 0, 0, 0]
  let isRaw = false
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag !== 0x0a && tag !== 0x12 && tag !== 0x1a) {
      reader.skip(tag)
      continue
    }
    const to = reader.span()
    if (tag === 0x0a) {
      nameAt = reader.pos
      nameEnd = to
    } else if (tag === 0x1a || !isRaw) {
      valueAt = reader.pos
      valueEnd = to
      isRaw = tag === 0x1a
    }
    reader.pos = to
  }
  reader.leave(outer)
  into.note(nameAt, nameEnd, valueAt, valueEnd)
}

/** Reads a core.v3.HeaderMap, and notes what is in it. */
export const readHeaders = (reader: Reader, into: HeaderMap): void => {
  const outer = reader.enter()
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) readHeader(reader, into)
    else reader.skip(tag)
  }
  reader.leave(outer)
}
