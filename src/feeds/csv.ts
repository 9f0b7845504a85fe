/** Rows of a CSV text (RFC 4180): quoted cells may hold the separator, line breaks and doubled quotes. Empty lines are none. */
export function* csvRows(text: string, separator = ','): Generator<readonly string[]> {
  let row: string[] = []
  let at = text.charCodeAt(0) === 0xfeff ? 1 : 0
  while (at < text.length) {
    let cell: string
    if (text[at] === '"') {
      const parts: string[] = []
      let from = at + 1
      for (;;) {
        const quote = text.indexOf('"', from)
        const end = quote < 0 ? text.length : quote
        parts.push(text.slice(from, end))
        at = end + 1
        if (text[at] !== '"') break
        parts.push('"')
        from = at + 1
      }
      cell = parts.join('')
      // What stands between a closing quote and the separator is rubbish.
      while (at < text.length && text[at] !== separator && text[at] !== '\n' && text[at] !== '\r') at++
    } else {
      const from = at
      while (at < text.length && text[at] !== separator && text[at] !== '\n' && text[at] !== '\r') at++
      cell = text.slice(from, at).trim()
    }
    row.push(cell)
    if (text[at] === separator) {
      at += 1
      // A separator at the very end has an empty cell behind it.
      if (at < text.length && text[at] !== '\n' && text[at] !== '\r') continue
      row.push('')
    }
    while (text[at] === '\n' || text[at] === '\r') at++
    if (row.length > 1 || row[0] !== '') yield row
    row = []
  }
}
