/**
 * A JSON request body with another `model`, byte for byte the same elsewhere; undefined if the body is no JSON object
 * with a `model` string at its top level. The text is not parsed and printed again: numbers, order and spacing stay as
 * the client wrote them.
 */
export const rewriteModel = (body: Uint8Array, model: string): Buffer | undefined => {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  // One code unit a byte: places in the text are places in the body, and bytes that are no UTF-8 stay as they are.
  const text = bytes.toString('latin1')
  try {
    const parsed: unknown = JSON.parse(text)
    if (typeof parsed !== 'object' || parsed === null || typeof (parsed as { model?: unknown }).model !== 'string')
      return undefined
  } catch {
    return undefined
  }
  const place = lastTopLevelString(text, 'model')
  if (place === undefined) return undefined
  return Buffer.concat([bytes.subarray(0, place[0]), Buffer.from(JSON.stringify(model)), bytes.subarray(place[1])])
}

/** Where the value of a top-level key stands in valid JSON; of several the last, as JSON.parse reads it. */
const lastTopLevelString = (text: string, key: string): readonly [from: number, to: number] | undefined => {
  let depth = 0
  let found: readonly [number, number] | undefined
  for (let i = 0; i < text.length; i++) {
    const char = text[i]
    if (char === '{' || char === '[') depth += 1
    else if (char === '}' || char === ']') depth -= 1
    else if (char === '"') {
      const end = endOfString(text, i)
      const colon = skipSpace(text, end)
      if (depth === 1 && text[colon] === ':' && JSON.parse(text.slice(i, end)) === key) {
        const from = skipSpace(text, colon + 1)
        found = text[from] === '"' ? [from, endOfString(text, from)] : undefined
      }
      i = end - 1
    }
  }
  return found
}

const skipSpace = (text: string, at: number): number => {
  let i = at
  while (text[i] === ' ' || text[i] === '\n' || text[i] === '\r' || text[i] === '\t') i += 1
  return i
}

const endOfString = (text: string, at: number): number => {
  let i = at + 1
  while (text[i] !== '"') i += text[i] === '\\' ? 2 : 1
  return i + 1
}
