/** One entry of a file, not yet parsed, and where it begins. */
export interface FileEntry {
  readonly text: string
  readonly line: number
  readonly column: number
}

/**
 * The entries of a JSON array, or of JSON lines, each with its place; a text that is not well-formed still gives
 * entries, and parsing them shows what is wrong. Nothing is built beyond one entry at a time.
 */
export function* entriesOf(text: string): Generator<FileEntry> {
  const start = firstMark(text)
  if (text[start] === '[') yield* arrayEntries(text, start + 1)
  else yield* lineEntries(text)
}

function* lineEntries(text: string): Generator<FileEntry> {
  let line = 0
  for (let from = 0; from < text.length; ) {
    const found = text.indexOf('\n', from)
    const end = found < 0 ? text.length : found
    line += 1
    const raw = text.slice(from, end)
    const trimmed = raw.trim()
    if (trimmed !== '') yield { text: trimmed, line, column: raw.indexOf(trimmed) + 1 }
    from = end + 1
  }
}

function* arrayEntries(text: string, from: number): Generator<FileEntry> {
  const place = new Place(text)
  let depth = 0
  let start = from
  let inString = false
  for (let at = from; at < text.length; at++) {
    const char = text[at]!
    if (inString) {
      if (char === '\\') at++
      else if (char === '"') inString = false
    } else if (char === '"') inString = true
    else if (char === '{' || char === '[') depth++
    else if (depth > 0 && (char === '}' || char === ']')) depth--
    else if (depth === 0 && (char === ',' || char === ']')) {
      const body = text.slice(start, at)
      // An empty array has no entry; a comma without one is an entry that parsing refuses.
      if (char === ',' || body.trim() !== '') yield place.entry(start, body)
      start = at + 1
      if (char === ']') {
        const rest = text.slice(start)
        if (rest.trim() !== '') yield place.entry(start, rest)
        return
      }
    }
  }
  yield place.entry(start, `${text.slice(start)} `)
}

/** Lines and columns of growing offsets. */
class Place {
  readonly #text: string
  #at = 0
  #line = 1
  #lineStart = 0

  constructor(text: string) {
    this.#text = text
  }

  entry(start: number, body: string): FileEntry {
    const trimmed = body.trim()
    const from = start + (trimmed === '' ? 0 : body.indexOf(trimmed))
    for (; this.#at < from; this.#at++) {
      if (this.#text[this.#at] !== '\n') continue
      this.#line += 1
      this.#lineStart = this.#at + 1
    }
    return { text: trimmed, line: this.#line, column: from - this.#lineStart + 1 }
  }
}

const firstMark = (text: string): number => {
  return Math.max(0, text.search(/\S/))
}
