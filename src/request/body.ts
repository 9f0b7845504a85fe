/** What one look at a JSON body found. */
export interface BodyFields {
  /** Strings, numbers and booleans by field, lists as their length; of a field written twice the last. */
  readonly values: ReadonlyMap<string, string | number | boolean>
  /** Fields that are kept whole, as the JSON they are; '' for one that is longer than a fact may be. */
  readonly whole: ReadonlyMap<string, string>
  /** Bytes of text in `messages`, `prompt`, `input` and the like: what a model will read, images left out. */
  readonly textBytes: number
}

/** Nesting deeper than this is refused; real requests have about eight levels. */
const DEPTH_MAX = 64
/** A longer text, or a longer field that is kept whole, is no fact. */
const TEXT_BYTES_MAX = 4_096
/** A longer name is none that anybody asked for. */
const NAME_BYTES_MAX = 256
/** How far a text is looked through byte by byte. */
const NEAR_BYTES = 32

/** Top-level fields whose text a model reads, and the fields inside them that hold it. */
const PROMPT_FIELDS: ReadonlySet<string> = new Set(['messages', 'prompt', 'input', 'instructions', 'system', 'tools'])
const TEXT_FIELDS: readonly Buffer[] = ['content', 'text', 'arguments', 'description', 'name'].map((n) =>
  Buffer.from(n),
)

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const OBJECT = 0x7b
const OBJECT_END = 0x7d
const LIST = 0x5b
const LIST_END = 0x5d

/**
 * The top-level fields of an object in JSON: one pass over the bytes, no recursion, nothing built but what was asked
 * for. Undefined for what is no object, is cut off, or nests too deep. Numbers and words are read as leniently as the
 * servers behind read them (`NaN` passes), because a body that they take and we refuse would have no facts.
 *
 * {"model":"m","messages":[{"content":"abcd"}],"tools":[{},{}]} gives model "m", messages 1, tools 2 and 4 bytes.
 */
export function bodyFields(
  body: Uint8Array,
  wanted: ReadonlySet<string>,
  kept: ReadonlySet<string> = NONE,
): BodyFields | undefined {
  const reader = new Reader(body, kept)
  return reader.fields(wanted) ? reader : undefined
}

const NONE: ReadonlySet<string> = new Set()

class Reader implements BodyFields {
  readonly values = new Map<string, string | number | boolean>()
  readonly whole = new Map<string, string>()
  textBytes = 0
  readonly #bytes: Buffer
  readonly #kept: ReadonlySet<string>
  #at = 0
  #items = 0
  // For each open level: what closes it, and whether a string there is text for the model.
  readonly #closers = new Uint8Array(DEPTH_MAX)
  readonly #textual = new Uint8Array(DEPTH_MAX)

  constructor(body: Uint8Array, kept: ReadonlySet<string>) {
    this.#kept = kept
    this.#bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  }

  fields(wanted: ReadonlySet<string>): boolean {
    if (this.#next() !== OBJECT) return false
    this.#at++
    if (this.#next() === OBJECT_END) return true
    for (;;) {
      const name = this.#string(NAME_BYTES_MAX)
      if (name === undefined || this.#next() !== COLON) return false
      this.#at++
      this.#next()
      const from = this.#at
      if (!this.#field(name, wanted.has(name))) return false
      if (this.#kept.has(name)) this.whole.set(name, this.#text(from))
      const byte = this.#next()
      this.#at++
      if (byte === OBJECT_END) return true
      if (byte !== COMMA || this.#next() !== QUOTE) return false
    }
  }

  /** What stands between there and here; '' where that is too long. */
  #text(from: number): string {
    return this.#at - from > TEXT_BYTES_MAX ? '' : this.#bytes.toString('utf8', from, this.#at)
  }

  /** Reads one field's value; false if the body is broken. */
  #field(name: string, isWanted: boolean): boolean {
    const byte = this.#next()
    // Of a field written twice the last stands, whatever it is.
    if (isWanted) this.values.delete(name)
    if (byte === QUOTE) {
      const from = this.#at
      const text = this.#string(isWanted ? TEXT_BYTES_MAX : 0)
      if (text === undefined) return false
      if (PROMPT_FIELDS.has(name)) this.textBytes += this.#at - from - 2
      if (isWanted && this.#at - from - 2 <= TEXT_BYTES_MAX) this.values.set(name, text)
      return true
    }
    if (byte === OBJECT || byte === LIST) {
      if (!this.#nested(PROMPT_FIELDS.has(name))) return false
      if (isWanted && byte === LIST) this.values.set(name, this.#items)
      return true
    }
    const word = this.#word()
    if (word === '') return false
    if (isWanted && (word === 'true' || word === 'false')) this.values.set(name, word === 'true')
    else if (isWanted && /^-?[0-9]/.test(word) && Number.isFinite(Number(word))) this.values.set(name, Number(word))
    return true
  }

  /** Passes over a list or object, counting its items and the text in it; false if it is broken. */
  #nested(isPrompt: boolean): boolean {
    let depth = 0
    let isText = isPrompt
    let isEmpty = true
    let commas = 0
    do {
      const byte = this.#next()
      if (byte === OBJECT || byte === LIST) {
        if (depth === DEPTH_MAX) return false
        if (depth > 0) isEmpty = false
        this.#closers[depth] = byte === OBJECT ? OBJECT_END : LIST_END
        this.#textual[depth] = isText && byte === LIST ? 1 : 0
        depth++
        this.#at++
        isText = this.#textual[depth - 1] === 1
      } else if (byte === OBJECT_END || byte === LIST_END) {
        if (this.#closers[depth - 1] !== byte) return false
        depth--
        this.#at++
        isText = depth > 0 && this.#textual[depth - 1] === 1
      } else if (byte === QUOTE) {
        isEmpty = false
        const from = this.#at + 1
        const end = this.#skipString()
        if (end < 0) return false
        if (this.#next() === COLON) {
          // A name: its value is text if the field is one that holds text, in a prompt only.
          this.#at++
          isText = isPrompt && this.#isTextField(from, end)
        } else if (isText) this.textBytes += end - from
      } else if (byte === COMMA) {
        if (depth === 1) commas++
        this.#at++
        isText = this.#textual[depth - 1] === 1
      } else {
        isEmpty = false
        if (!this.#skipWord()) return false
        // A prompt may be a list of tokens: four bytes each, as text has on average.
        if (isText) this.textBytes += 4
      }
    } while (depth > 0)
    this.#items = isEmpty ? 0 : commas + 1
    return true
  }

  /** The next byte that is no space; -1 at the end. */
  #next(): number {
    const bytes = this.#bytes
    while (this.#at < bytes.length) {
      const byte = bytes[this.#at]!
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return byte
      this.#at++
    }
    return -1
  }

  /** Passes over the string here and gives its text, or '' if it is longer than that; undefined if it does not end. */
  #string(bytesMax: number): string | undefined {
    const from = this.#at + 1
    const end = this.#skipString()
    if (end < 0) return undefined
    if (end - from > bytesMax) return ''
    const text = this.#bytes.toString('utf8', from, end)
    if (!text.includes('\\')) return text
    try {
      return JSON.parse(`"${text}"`) as string
    } catch {
      return undefined
    }
  }

  /** Passes over the string here and gives where its closing quote stands; -1 if it does not end. */
  #skipString(): number {
    const bytes = this.#bytes
    let at = this.#at + 1
    while (at < bytes.length) {
      // Short texts and dense escapes are looked through here, what is long by the runtime: calling it costs 30 bytes.
      const near = Math.min(at + NEAR_BYTES, bytes.length)
      for (; at < near; at++) {
        if (bytes[at] === QUOTE) {
          this.#at = at + 1
          return at
        }
        if (bytes[at] === BACKSLASH) at++
      }
      const end = bytes.indexOf(QUOTE, at)
      if (end < 0) return -1
      let before = end - 1
      while (before >= at && bytes[before] === BACKSLASH) before--
      // After an odd number of backslashes the quote belongs to the text.
      if ((end - before) % 2 === 1) {
        this.#at = end + 1
        return end
      }
      at = end + 1
    }
    return -1
  }

  /** Whether the bytes are the name of a field that holds text. Compared as bytes: there may be very many names. */
  #isTextField(from: number, end: number): boolean {
    return TEXT_FIELDS.some(
      (name) => name.length === end - from && this.#bytes.compare(name, 0, name.length, from, end) === 0,
    )
  }

  /** A number or a word, as it is written; '' where there is none. */
  #word(): string {
    const from = this.#at
    return this.#skipWord() ? this.#bytes.toString('latin1', from, this.#at) : ''
  }

  /** Passes over a number or a word; false where there is none. */
  #skipWord(): boolean {
    const from = this.#at
    while (this.#at < this.#bytes.length) {
      const byte = this.#bytes[this.#at]!
      if (byte === COMMA || byte === OBJECT_END || byte === LIST_END || byte <= 0x20) break
      if (byte === QUOTE || byte === COLON || byte === OBJECT || byte === LIST || this.#at - from > 512) return false
      this.#at++
    }
    return this.#at > from
  }
}
