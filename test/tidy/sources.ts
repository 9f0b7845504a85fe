import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'

/** The folder of the project. */
export const ROOT = join(import.meta.dirname, '..', '..')

/** One file as the rules see it; a self-check makes one up. */
export interface Source {
  /** From the project's folder, with slashes. */
  readonly path: string
  readonly text: string
}

/** A rule of the house: what is wrong, one line each, beginning with the place. */
export type Rule = (sources: readonly Source[]) => string[]

/** Every file that git has, or would take: what is ignored is not the project. */
export const tracked = (...under: string[]): Source[] =>
  execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z', '--', ...under], { cwd: ROOT, encoding: 'utf8' })
    .split('\0')
    .filter((path) => path !== '' && existsSync(join(ROOT, path)))
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }))

/** The TypeScript among them. */
export const typescript = (sources: readonly Source[]): Source[] => sources.filter(({ path }) => path.endsWith('.ts'))

const trees = new WeakMap<Source, ts.SourceFile>()

/** The syntax tree of a file, read once. */
export const treeOf = (source: Source): ts.SourceFile => {
  const tree = trees.get(source) ?? ts.createSourceFile(source.path, source.text, ts.ScriptTarget.ES2024, true)
  trees.set(source, tree)
  return tree
}

/** `path:line` of a node, as editors open it. */
export const placeOf = (source: Source, node: ts.Node): string => {
  const tree = treeOf(source)
  return `${source.path}:${tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1}`
}

/** Calls `visit` with every node of the file. */
export const walk = (source: Source, visit: (node: ts.Node) => void): void => {
  const into = (node: ts.Node): void => {
    visit(node)
    ts.forEachChild(node, into)
  }
  ts.forEachChild(treeOf(source), into)
}

/** A file with one text, for a self-check. */
export const planted = (path: string, text: string): Source => ({ path, text })
