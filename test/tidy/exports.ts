import ts from 'typescript'
import { placeOf, type Rule, treeOf } from './sources.ts'

const has = (node: ts.Node, kind: ts.SyntaxKind): boolean =>
  ts.canHaveModifiers(node) && (ts.getModifiers(node) ?? []).some((modifier) => modifier.kind === kind)

const nameOf = (node: ts.Statement): string =>
  ts.isVariableStatement(node)
    ? node.declarationList.declarations.map(({ name }) => name.getText()).join(', ')
    : ((node as ts.DeclarationStatement).name?.getText() ?? 'an export')

/** Every export has a docstring; of an overloaded function its first signature. */
export const docstrings: Rule = (sources) =>
  sources.flatMap((source) => {
    const seen = new Set<string>()
    return treeOf(source).statements.flatMap((node) => {
      if (!has(node, ts.SyntaxKind.ExportKeyword)) return []
      const name = nameOf(node)
      const first = !ts.isFunctionDeclaration(node) || !seen.has(name)
      seen.add(name)
      if (!first || ts.getJSDocCommentsAndTags(node).some((doc) => ts.isJSDoc(doc) && doc.comment !== undefined))
        return []
      return [`${placeOf(source, node)}: ${name} has no docstring`]
    })
  })

/** No default exports: an export has one name, everywhere. */
export const defaults: Rule = (sources) =>
  sources.flatMap((source) =>
    treeOf(source)
      .statements.filter(
        (node) =>
          ts.isExportAssignment(node) ||
          has(node, ts.SyntaxKind.DefaultKeyword) ||
          (ts.isExportDeclaration(node) && /\bdefault\b/.test(node.exportClause?.getText() ?? '')),
      )
      .map((node) => `${placeOf(source, node)}: default export`),
  )

/** No barrels: nothing is passed on from another file. */
export const barrels: Rule = (sources) =>
  sources.flatMap((source) => [
    ...(source.path.endsWith('/index.ts') ? [`${source.path}: a file is named after what it exports`] : []),
    ...treeOf(source)
      .statements.filter((node) => ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined)
      .map((node) => `${placeOf(source, node)}: passes on what another file exports`),
  ])
