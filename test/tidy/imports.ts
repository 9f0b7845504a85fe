import { posix } from 'node:path'
import ts from 'typescript'
import type { Architecture } from './architecture.ts'
import { placeOf, type Rule, type Source, treeOf, walk } from './sources.ts'

/** One import, re-export, dynamic import, type import or worker URL. */
interface Import {
  readonly place: string
  readonly specifier: string
  /** The file it names, from the project's folder; undefined if it is a package. */
  readonly file?: string
}

const specifierOf = (node: ts.Node): ts.Node | undefined => {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) return node.argument.literal
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) return node.arguments[0]
  return undefined
}

const read = new WeakMap<Source, Import[]>()

/** All that a file imports. */
export const importsOf = (source: Source): readonly Import[] => {
  const known = read.get(source)
  if (known !== undefined) return known
  const found: Import[] = []
  walk(source, (node) => {
    const literal = specifierOf(node)
    if (literal === undefined || !ts.isStringLiteralLike(literal)) return
    const specifier = literal.text
    found.push({
      place: placeOf(source, node),
      specifier,
      ...(specifier.startsWith('.') ? { file: posix.join(posix.dirname(source.path), specifier) } : {}),
    })
  })
  read.set(source, found)
  return found
}

const unitOf = (path: string): string => path.split('/')[1]!.replace(/\.ts$/, '')

/** What the table's words for packages stand for. A word that is not here is the name of a package. */
const MEANS: Readonly<Record<string, readonly string[]>> = {
  YAML: ['yaml'],
  JsonLogic: ['json-logic-engine'],
  CEL: ['@marcbachmann/cel-js', 're2js'],
  clients: ['undici'],
  'schema validator': ['ajv', 'ajv-formats'],
  'mmdb reader': ['mmdb-lib', 'node:fs', 'node:fs/promises', 'node:module', 'node:path', 'node:timers/promises'],
  'node crypto': ['node:crypto'],
  'the HTTP framework': ['fastify'],
  'the CLI framework': ['commander'],
}
const packageOf = (specifier: string): string =>
  specifier.startsWith('node:') ? specifier : specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
const mayUse = (uses: readonly string[], name: string): boolean =>
  uses.some((word) => (word === 'node' ? name.startsWith('node:') : (MEANS[word] ?? [word]).includes(name)))

/** Every folder of src imports only what the table lets it. */
export const layers =
  (architecture: Architecture): Rule =>
  (sources) =>
    sources.flatMap((source) => {
      const unit = unitOf(source.path)
      const row = architecture.rows.get(unit)
      if (row === undefined) return [`${source.path}: the table has no row for ${unit}`]
      return importsOf(source).flatMap(({ place, specifier, file }) => {
        if (file === undefined) {
          const allowed =
            row.uses === null ||
            architecture.impure.includes(source.path.slice(4)) ||
            mayUse(row.uses, packageOf(specifier))
          return allowed ? [] : [`${place}: ${unit} may not use ${specifier}`]
        }
        if (!file.startsWith('src/')) return [`${place}: ${specifier} lies outside src`]
        const other = unitOf(file)
        return other === unit || row.ours(other) ? [] : [`${place}: ${unit} may not import ${other}`]
      })
    })

/** What ships needs nothing that is installed for development only. */
export const shippedPackages =
  (dependencies: readonly string[]): Rule =>
  (sources) =>
    sources.flatMap((source) =>
      importsOf(source)
        .filter(({ file, specifier }) => file === undefined && !specifier.startsWith('node:'))
        .filter(({ specifier }) => !dependencies.includes(packageOf(specifier)))
        .map(({ place, specifier }) => `${place}: ${packageOf(specifier)} is not among the dependencies`),
    )

/** No file reaches itself by its imports, types included. Gives each cycle once. */
export const cycles: Rule = (sources) => {
  const byPath = new Map(sources.map((source) => [source.path, source]))
  const done = new Set<string>()
  const found: string[] = []
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path)
    if (at >= 0) found.push([...trail.slice(at), path].join(' -> '))
    const source = byPath.get(path)
    if (at >= 0 || done.has(path) || source === undefined) return
    for (const { file } of importsOf(source)) if (file !== undefined) visit(file, [...trail, path])
    done.add(path)
  }
  for (const { path } of sources) visit(path, [])
  return found
}

/** Relative imports name a file that is there, with its ending. */
export const dangling: Rule = (sources) => {
  const known = new Set(sources.map(({ path }) => path))
  return sources.flatMap((source) =>
    importsOf(source)
      .filter(({ file }) => file?.endsWith('.ts') === true && !known.has(file))
      .map(({ place, specifier }) => `${place}: ${specifier} is not there`),
  )
}

const OUTSIDE = new Set(['Date', 'process', 'console', 'performance', 'setTimeout', 'setInterval', 'fetch'])
const isName = (node: ts.Identifier): boolean => {
  const { parent } = node
  const named = (ts.isPropertyAccessExpression(parent) || ts.isPropertyAssignment(parent)) && parent.name === node
  return named || ts.isPropertySignature(parent) || ts.isTypeReferenceNode(parent) || ts.isBindingElement(parent)
}

/** Pure folders neither wait nor look at a clock, at chance or at the process; exceptions are imported by none but themselves. */
export const purity =
  ({ pure, impure }: Pick<Architecture, 'pure' | 'impure'>): Rule =>
  (sources) =>
    sources.flatMap((source) => {
      const within = source.path.slice('src/'.length)
      if (!pure.includes(unitOf(source.path)) || impure.includes(within)) return []
      const wrong = importsOf(source)
        .filter(({ file }) => file !== undefined && impure.includes(file.slice('src/'.length)))
        .map(({ place, specifier }) => `${place}: ${specifier} touches the outside`)
      walk(source, (node) => {
        if (ts.isAwaitExpression(node) || (ts.isForOfStatement(node) && node.awaitModifier !== undefined))
          wrong.push(`${placeOf(source, node)}: await in a pure folder`)
        if (ts.isIdentifier(node) && OUTSIDE.has(node.text) && !isName(node))
          wrong.push(`${placeOf(source, node)}: ${node.text} in a pure folder`)
        if (ts.isPropertyAccessExpression(node) && node.getText(treeOf(source)) === 'Math.random')
          wrong.push(`${placeOf(source, node)}: Math.random in a pure folder`)
      })
      return wrong
    })
