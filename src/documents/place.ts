import { type Document, isAlias, isMap, isScalar, isSeq, type LineCounter, type Node, type Pair } from 'yaml'

/** A way into a document: names of fields and indices of lists. */
export type FieldPath = readonly (string | number)[]

/** One document of a file, with what it takes to find places in it. */
export interface Located {
  readonly path: string
  readonly text: string
  readonly doc: Document
  readonly lines: LineCounter
}

/** A place as problems name it; lines and columns from 1. */
export interface Place {
  readonly path: string
  readonly line: number
  readonly column: number
}

/** Where a field stands: its value or, for `key`, its name. A field that is not there: the nearest thing around it. */
export function placeOf(located: Located, path: FieldPath, want: 'key' | 'value' = 'value'): Place {
  return placeAt(located, offsetOf(located, path, want))
}

/** The place of an offset into the file. */
export function placeAt(located: Located, offset: number): Place {
  const { line, col } = located.lines.linePos(offset)
  return { path: located.path, line: Math.max(1, line), column: Math.max(1, col) }
}

/** Where a character of a text value stands; the value's beginning where escapes or folding hide it. */
export function placeInText(located: Located, path: FieldPath, offset: number): Place {
  const node = nodeAt(located.doc, path)
  if (!isScalar(node) || typeof node.value !== 'string' || !node.range) return placeOf(located, path)
  const [start, end] = node.range
  const raw = located.text.slice(start, end)
  const quote = node.type === 'QUOTE_DOUBLE' || node.type === 'QUOTE_SINGLE' ? 1 : 0
  if (raw.slice(quote, raw.length - quote) === node.value) return placeAt(located, start + quote + offset)
  if (node.type !== 'BLOCK_LITERAL') return placeAt(located, start)
  const before = node.value.slice(0, offset).split('\n')
  const line = placeAt(located, start).line + before.length
  const text = (located.text.split('\n')[line - 1] ?? '').trimEnd()
  const shown = (node.value.split('\n')[before.length - 1] ?? '').trimEnd()
  const indent = text.length - shown.length
  return { path: located.path, line, column: indent + (before.at(-1)?.length ?? 0) + 1 }
}

function offsetOf(located: Located, path: FieldPath, want: 'key' | 'value'): number {
  let node: unknown = located.doc.contents
  let offset = located.doc.contents?.range?.[0] ?? located.doc.range?.[0] ?? 0
  for (const [index, segment] of path.entries()) {
    const pair = childPair(located.doc, node, segment)
    const key = pair?.key as Node | undefined
    const child = pair === undefined ? childItem(located.doc, node, segment) : pair.value
    if (pair === undefined && child === undefined) return offset
    const last = index === path.length - 1
    const at = last && want === 'key' ? (key ?? child) : (child ?? key)
    offset = (at as Node | null)?.range?.[0] ?? key?.range?.[0] ?? offset
    node = child
  }
  return offset
}

/** The node of a field, aliases followed; undefined where there is none. */
function nodeAt(doc: Document, path: FieldPath): unknown {
  let node: unknown = doc.contents
  for (const segment of path) node = childPair(doc, node, segment)?.value ?? childItem(doc, node, segment)
  return isAlias(node) ? node.resolve(doc) : node
}

function childPair(doc: Document, node: unknown, segment: string | number): Pair | undefined {
  const map = isAlias(node) ? node.resolve(doc) : node
  if (!isMap(map)) return undefined
  return map.items.find(({ key }) => String(isScalar(key) ? key.value : key) === String(segment))
}

function childItem(doc: Document, node: unknown, segment: string | number): unknown {
  const list = isAlias(node) ? node.resolve(doc) : node
  return isSeq(list) ? list.items[Number(segment)] : undefined
}
