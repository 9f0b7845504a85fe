/** Levels in which names are looked at. */
const DEPTH_MAX = 200

/**
 * The value of a text that is JSON, not far too deep, and in which no map has a name twice, or undefined. YAML, which JSON is too, would be
 * read with its places, and takes a hundred times as long.
 */
export function plainJson(text: string): { readonly value: unknown } | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  return namesAreUnique(text) ? { value } : undefined
}

/**
 * Where a field of a text that is JSON stands, its value or its name; where there is none, the nearest thing around it.
 * Goes through the text up to there.
 */
export function jsonOffset(text: string, path: readonly (string | number)[], want?: 'key'): number {
  let at = afterSpace(text, 0)
  for (const [index, segment] of path.entries()) {
    const found = childOf(text, at, segment)
    if (found === undefined) return at
    at = index === path.length - 1 && want === 'key' ? found.name : found.value
  }
  return at
}

/** Where the name and the value of a child begin. An item of a list has no name but itself. */
function childOf(text: string, start: number, wanted: string | number): { name: number; value: number } | undefined {
  const isMap = text[start] === '{'
  if (!isMap && text[start] !== '[') return undefined
  let at = afterSpace(text, start + 1)
  for (let index = 0; text[at] !== '}' && text[at] !== ']'; index++) {
    const name = at
    if (isMap) at = afterSpace(text, afterSpace(text, endOfString(text, at)) + 1)
    const key = isMap ? JSON.parse(text.slice(name, endOfString(text, name))) : String(index)
    if (key === String(wanted)) return { name, value: at }
    at = afterSpace(text, endOfValue(text, at))
    if (text[at] === ',') at = afterSpace(text, at + 1)
  }
  return undefined
}

/** A string is a name where the next thing behind it is a colon. */
function namesAreUnique(text: string): boolean {
  const open: Set<string>[] = []
  let at = 0
  while (at < text.length) {
    const char = text[at]
    if (char === '{' || char === '[') {
      // Far deeper than anybody writes them: each level would be a set of its own.
      if (open.length >= DEPTH_MAX) return false
      open.push(new Set())
    } else if (char === '}' || char === ']') open.pop()
    if (char !== '"') {
      at += 1
      continue
    }
    const end = endOfString(text, at)
    if (text[afterSpace(text, end)] === ':') {
      const name = JSON.parse(text.slice(at, end)) as string
      const names = open.at(-1)!
      if (names.has(name) || name === '__proto__') return false
      names.add(name)
    }
    at = end
  }
  return true
}

function afterSpace(text: string, start: number): number {
  let at = start
  while (text.charCodeAt(at) <= 0x20) at++
  return at
}

function endOfString(text: string, start: number): number {
  let at = start + 1
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at + 1
}

function endOfValue(text: string, start: number): number {
  let at = start
  let depth = 0
  do {
    const char = text[at]
    if (char === '"') at = endOfString(text, at)
    else {
      if (char === '{' || char === '[') depth += 1
      else if (char === '}' || char === ']') depth -= 1
      at += 1
      // Numbers and words go on up to whatever ends them.
      if (depth === 0 && !/[{}[\]]/.test(char!)) while (/[\w.+-]/.test(text[at] ?? '')) at++
    }
  } while (depth > 0)
  return at
}
