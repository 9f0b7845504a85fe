import {
  type Alias,
  type Document,
  isScalar,
  LineCounter,
  type Node,
  parseAllDocuments,
  visit,
  type YAMLError,
} from 'yaml'
import type { Problem } from '../model/problem.ts'
import { type Located, placeAt } from './place.ts'
import type { DocumentProblemCode } from './problems.ts'

/** One file of a source. */
export interface SourceFile {
  /** Relative to the source's root. */
  readonly path: string
  readonly text: string
}

/** The largest file that is read, in bytes: a ConfigMap holds no more. */
export const FILE_BYTES_MAX = 1_048_576

/** How many aliases a document may spread; the usual bombs make millions. */
const ALIASES_MAX = 100

/** How many problems of one document's text are told. */
const PROBLEMS_MAX = 20

/** A document as it was written, and where. */
export interface Written {
  readonly located: Located
  readonly value: unknown
}

/** The documents of a file. JSON is YAML too. Empty documents are left out; all that is wrong is told. */
export function readText(file: SourceFile): { readonly written: Written[]; readonly problems: Problem[] } {
  const bytes = new TextEncoder().encode(file.text).length
  if (bytes > FILE_BYTES_MAX) {
    const message = `the file has ${bytes} bytes, ${FILE_BYTES_MAX} are allowed`
    return { written: [], problems: [problem('yaml/too-large', file.path, message, 'split it into several files')] }
  }
  const lines = new LineCounter()
  const written: Written[] = []
  const problems: Problem[] = []
  let documents: Document[]
  try {
    documents = parse(file.text, lines)
  } catch {
    // The parser descends by calling itself: a hundred thousand brackets exhaust its stack.
    return { written, problems: [problem('yaml/syntax', file.path, 'nested too deeply', 'flatten the document')] }
  }
  for (const doc of documents) {
    const located = { path: file.path, text: file.text, doc, lines }
    const wrong = [...doc.errors.map((error) => syntaxProblem(located, error)), ...nodeProblems(located)]
    problems.push(...distinct(wrong))
    if (wrong.length > 0 || doc.contents === null) continue
    try {
      const value: unknown = doc.toJS({ maxAliasCount: ALIASES_MAX })
      if (value !== null) written.push({ located, value })
    } catch (error) {
      const place = placeAt(located, doc.contents.range?.[0] ?? 0)
      const message = `the document cannot be expanded: ${(error as Error).message}`
      problems.push({ ...problem('yaml/aliases', file.path, message, 'write the repeated parts out'), ...place })
    }
  }
  return { written, problems }
}

/** One bracket too many makes an error at each token after it. */
function distinct(problems: readonly Problem[]): Problem[] {
  const byPlace = new Map(problems.map((one) => [`${one.line}:${one.column}:${one.message}`, one]))
  return [...byPlace.values()].slice(0, PROBLEMS_MAX)
}

function parse(text: string, lineCounter: LineCounter): Document[] {
  const options = {
    lineCounter,
    version: '1.2',
    schema: 'core',
    strict: true,
    // Checked below: the parser's own check compares each key with each other.
    uniqueKeys: false,
    merge: false,
    prettyErrors: false,
    logLevel: 'silent',
  } as const
  const documents = parseAllDocuments(text, options)
  return Array.isArray(documents) ? (documents as Document[]) : []
}

function problem(code: DocumentProblemCode, path: string, message: string, remedy?: string): Problem {
  return { code, severity: 'error', message, path, line: 1, column: 1, ...(remedy === undefined ? {} : { remedy }) }
}

function syntaxProblem(located: Located, error: YAMLError): Problem {
  const place = placeAt(located, error.pos[0])
  return { ...problem('yaml/syntax', located.path, error.message, REMEDIES[error.code]), ...place }
}

/** Fields written twice, and aliases that lead nowhere or are too many to look at. */
function nodeProblems(located: Located): Problem[] {
  const problems: Problem[] = []
  const aliases: Alias[] = []
  const tell = (code: DocumentProblemCode, node: Node, message: string, remedy: string): void => {
    problems.push({ ...problem(code, located.path, message, remedy), ...placeAt(located, node.range?.[0] ?? 0) })
  }
  visit(located.doc, {
    Alias: (_, alias) => void aliases.push(alias),
    Map: (_, map) => {
      const seen = new Set<string>()
      for (const { key } of map.items) {
        if (!isScalar(key)) continue
        const name = String(key.value)
        if (seen.has(name)) tell('yaml/duplicate-key', key, `the field "${name}" is written twice`, 'keep one of them')
        seen.add(name)
      }
    },
  })
  if (aliases.length > ALIASES_MAX) {
    const message = `the document has ${aliases.length} aliases, ${ALIASES_MAX} are allowed`
    tell('yaml/aliases', aliases[ALIASES_MAX]!, message, 'write the repeated parts out')
    return problems
  }
  for (const alias of aliases) {
    if (alias.resolve(located.doc) !== undefined) continue
    tell('yaml/syntax', alias, `no anchor is called "${alias.source}"`, 'name an anchor that stands before it')
  }
  return problems
}

const REMEDIES: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: 'indent with spaces',
  BAD_INDENT: 'indent what belongs together by the same number of spaces',
  MULTILINE_IMPLICIT_KEY: 'end the line before, or put the text in quotes',
  MISSING_CHAR: 'add what is missing',
}
