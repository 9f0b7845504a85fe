import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseAllDocuments, visit } from 'yaml'
import type { Problem } from '../model/problem.ts'
import { jsonOffset, plainJson } from './json-text.ts'
import type { FlagProblemCode } from './problems.ts'

/** A text with definitions, and the path that problems name. */
export interface FlagFile {
  readonly path: string
  readonly text: string
}

/** A way into a definition: names of fields and indices of lists. */
export type FieldPath = readonly (string | number)[]

/** What is wrong somewhere in a definition. */
export interface Finding {
  readonly code: FlagProblemCode
  readonly message: string
  readonly remedy?: string
  /** Absent: an error. */
  readonly severity?: Problem['severity']
  /** Where it is; `key`: the name of the field rather than its value. */
  readonly want?: 'key'
}

/** Takes down what is wrong, and where. */
export type Report = (path: FieldPath, finding: Finding) => void

/** A text that could be read: its value, and how to tell what is wrong with it. */
export interface Text {
  readonly value: unknown
  readonly problemAt: (path: FieldPath, finding: Finding) => Problem
}

/** The largest text that is read, in bytes. */
export const TEXT_BYTES_MAX = 4_194_304

/** YAML takes seconds for a mebibyte. */
const YAML_BYTES_MAX = 1_048_576

const ALIASES_MAX = 100
const PROBLEMS_MAX = 20
/** How deep values may nest in one another, variants and all. */
const VALUE_DEPTH_MAX = 80
/** Levels that a text may open before it is read: more than values may nest, as brackets in texts are counted with them. */
const OPEN_MAX = 200

/** Reads JSON or YAML. All that is wrong is told; then there is no text. */
export function readText(file: FlagFile): { readonly text: Text | null; readonly problems: Problem[] } {
  const bytes = Buffer.byteLength(file.text)
  if (bytes > TEXT_BYTES_MAX) {
    const message = `the text has ${bytes} bytes, ${TEXT_BYTES_MAX} are allowed`
    return none(file, { code: 'flags/too-large', message, remedy: 'split the flags over several files or sources' })
  }
  const json = plainJson(file.text)
  const deep = json === undefined ? deepFrom(file.text) : -1
  if (deep >= 0) {
    const message = `nested too deeply: more than ${OPEN_MAX} levels are open here`
    const remedy = 'write it flatter, or close what is open'
    return none(file, { code: 'flags/too-deep', message, remedy }, placeIn(file.text, deep))
  }
  if (json === undefined && bytes > YAML_BYTES_MAX) {
    const message = `the text has ${bytes} bytes and is no JSON; of YAML, ${YAML_BYTES_MAX} are allowed`
    return none(file, { code: 'flags/too-large', message, remedy: 'split the flags over several files, or write JSON' })
  }
  if (json === undefined) return readYaml(file)
  if (isDeep(json.value)) return none(file, TOO_DEEP)
  const problemAt: Text['problemAt'] = (path, finding) => {
    const place = placeIn(file.text, jsonOffset(file.text, path, finding.want))
    return problem(finding, { path: file.path, ...place })
  }
  return { text: { value: json.value, problemAt }, problems: [] }
}

interface Place {
  readonly line: number
  readonly column: number
}

function placeIn(text: string, offset: number): Place {
  const before = text.slice(0, offset)
  return { line: before.split('\n').length, column: before.length - before.lastIndexOf('\n') }
}

const TOO_DEEP: Finding = { code: 'flags/too-deep', message: 'nested too deeply', remedy: 'write it flatter' }
const START = { line: 1, column: 1 }

function readYaml(file: FlagFile): { readonly text: Text | null; readonly problems: Problem[] } {
  const lines = new LineCounter()
  let documents: Document[]
  try {
    documents = parsed(file.text, lines)
  } catch {
    // The parser calls itself for each level.
    return none(file, TOO_DEEP)
  }
  const doc = documents[0]
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset)
    return { path: file.path, line: Math.max(1, line), column: Math.max(1, col) }
  }
  if (doc === undefined || documents.length > 1) {
    const message = doc === undefined ? 'the text is empty' : 'the text holds several documents'
    return none(file, { code: 'flags/syntax', message, remedy: 'write one map with the field "flags"' })
  }
  const syntax = syntaxFindings(doc)
  const problems = (syntax.length > 0 ? syntax : nodeFindings(doc, (offset) => lines.linePos(offset).line))
    .slice(0, PROBLEMS_MAX)
    .map(([offset, finding]) => problem(finding, at(offset)))
  if (problems.length > 0) return { text: null, problems }
  try {
    const value: unknown = doc.toJS({ maxAliasCount: ALIASES_MAX })
    if (isDeep(value)) return none(file, TOO_DEEP)
    return { text: { value, problemAt: (path, one) => problem(one, at(offsetOf(doc, path, one.want))) }, problems }
  } catch (error) {
    const message = `the text can't be expanded: ${(error as Error).message}`
    return none(file, { code: 'flags/aliases', message, remedy: 'write the repeated parts out' })
  }
}

const none = ({ path }: FlagFile, finding: Finding, place: Place = START): { text: null; problems: Problem[] } => ({
  text: null,
  problems: [problem(finding, { ...place, path })],
})

const problem = (
  { code, message, remedy, severity = 'error' }: Finding,
  place: { readonly path: string; readonly line: number; readonly column: number },
): Problem => ({ code, severity, message, ...place, ...(remedy === undefined ? {} : { remedy }) })

function parsed(text: string, lineCounter: LineCounter): Document[] {
  const documents = parseAllDocuments(text, {
    lineCounter,
    version: '1.2',
    schema: 'core',
    strict: true,
    // Looked for below: the parser compares each key with each other.
    uniqueKeys: false,
    merge: false,
    prettyErrors: false,
    logLevel: 'silent',
  })
  return Array.isArray(documents) ? (documents as Document[]) : []
}

function syntaxFindings(doc: Document): [number, Finding][] {
  // The parser tells the end of its stack as one error at each of the levels that it is in.
  if (doc.errors.some(({ message }) => message.startsWith('Maximum call stack'))) return [[0, TOO_DEEP]]
  const byPlace = new Map(doc.errors.map(({ pos, message }) => [`${pos[0]}:${message}`, [pos[0], message] as const]))
  return [...byPlace.values()].map(([offset, message]) => [offset, { code: 'flags/syntax', message }])
}

function nodeFindings(doc: Document, lineOf: (offset: number) => number): [number, Finding][] {
  const findings: [number, Finding][] = []
  let aliases = 0
  const tell = (node: Node, code: FlagProblemCode, message: string, remedy: string): void => {
    findings.push([node.range?.[0] ?? 0, { code, message, remedy }])
  }
  visit(doc, {
    Alias: (_, alias) => {
      aliases += 1
      if (aliases > ALIASES_MAX) {
        const message = `the text has more than ${ALIASES_MAX} aliases`
        tell(alias, 'flags/aliases', message, 'write the repeated parts out')
        return visit.BREAK
      }
      if (alias.resolve(doc) === undefined)
        tell(alias, 'flags/syntax', `no anchor is called "${alias.source}"`, 'name an anchor that stands before it')
      return undefined
    },
    Map: (_, map) => {
      const seen = new Map<string, number>()
      for (const { key } of map.items) {
        if (!isScalar(key)) continue
        const name = String(key.value)
        const first = seen.get(name)
        if (first !== undefined) {
          const message = `"${name.slice(0, 200)}" is written in line ${lineOf(first)} already`
          tell(key, 'flags/field-twice', message, 'keep one of them')
        }
        // What has this name loses it on the way through programs.
        if (name === '__proto__') tell(key, 'flags/bad-value', '"__proto__" cannot be a name', 'choose another one')
        seen.set(name, key.range?.[0] ?? 0)
      }
    },
  })
  return findings
}

/**
 * Where a text opens more levels than are read, by brackets or by dashes and question marks in a row; -1: nowhere. Asked
 * before YAML is read, which calls itself for each level and takes minutes for those that nobody closes. Brackets inside
 * of texts count too: in a definition they are few, and closed again.
 */
function deepFrom(text: string): number {
  let depth = 0
  let dashes = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x5b || code === 0x7b) depth += 1
    else if ((code === 0x5d || code === 0x7d) && depth > 0) depth -= 1
    if ((code === 0x2d || code === 0x3f) && text.charCodeAt(at + 1) <= 0x20) dashes += 1
    else if (code > 0x20 || code === 0x0a) dashes = 0
    if (depth > OPEN_MAX || dashes > OPEN_MAX) return at
  }
  return -1
}

/** Told level by level: recursion might not come back. */
function isDeep(value: unknown): boolean {
  let level: unknown[] = [value]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > VALUE_DEPTH_MAX) return true
    level = level.flatMap((one) => (typeof one === 'object' && one !== null ? Object.values(one) : []))
  }
  return false
}

/** Where a field stands; where there is none, the nearest thing around it. */
function offsetOf(doc: Document, path: FieldPath, want: 'key' | undefined): number {
  let node: unknown = doc.contents
  let offset = doc.contents?.range?.[0] ?? 0
  for (const [index, segment] of path.entries()) {
    const inside = isAlias(node) ? node.resolve(doc) : node
    const pair = isMap(inside)
      ? inside.items.find(({ key }) => String(isScalar(key) ? key.value : key) === String(segment))
      : undefined
    const child = isSeq(inside) ? inside.items[Number(segment)] : pair?.value
    const key = pair?.key as Node | undefined
    const isLast = index === path.length - 1
    const shown = (isLast && want === 'key' ? (key ?? child) : (child ?? key)) as Node | null | undefined
    if (shown === undefined || shown === null) return offset
    offset = shown.range?.[0] ?? key?.range?.[0] ?? offset
    node = child
  }
  return offset
}
