import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, type Rule, type Source } from './sources.ts'

/** No file of src is longer than this. */
export const LINES_MAX = 400

/** Files that a person reads in one go. */
export const lengths: Rule = (sources) =>
  sources.flatMap(({ path, text }) => {
    const lines = text.trimEnd().split('\n').length
    return lines <= LINES_MAX ? [] : [`${path}: ${lines} lines, at most ${LINES_MAX}`]
  })

/** Every line in which the expression matches, with what it stands for. */
const lines =
  (pattern: RegExp, what: string): Rule =>
  (sources) =>
    sources.flatMap(({ path, text }) =>
      text
        .split('\n')
        .flatMap((line, index) =>
          pattern.test(line) ? [`${path}:${index + 1}: ${what}: ${line.trim().slice(0, 80)}`] : [],
        ),
    )

// Written in pieces, so that this file does not break its own rules.
const anyOf = (...pieces: (readonly [string, string])[]): string => pieces.map(([a, b]) => a + b).join('|')

/** Words that promise what is not there. */
export const promises: Rule = lines(
  new RegExp(
    `\\b(${anyOf(['TO', 'DO'], ['FIX', 'ME'], ['XX', 'X'])})\\b|\\b(${anyOf(['not imple', 'mented'], ['not yet imple', 'mented'], ['stu', 'b'], ['stu', 'bbed'])})\\b`,
  ),
  'a promise',
)

/** Folders of one machine, which nobody else has. */
export const machinePaths: Rule = lines(
  new RegExp(
    `(?<![\\w.~-])/(${anyOf(['wo', 'rk'], ['ro', 'ot'])})/|(?<![\\w.~-])/home/(?!node\\b)\\w|${anyOf(['/Us', 'ers/'])}`,
  ),
  'a path of one machine',
)

/** Where packages come from is a matter of each machine's own settings. */
export const registryHosts: Rule = lines(
  new RegExp(
    `(${anyOf(['registry.np', 'mjs.org'], ['registry.yarn', 'pkg.com'], ['py', 'pi.org'], ['pythonho', 'sted.org'], ['proxy.go', 'lang.org'], ['repo.mav', 'en']).replaceAll('.', '\\.')})`,
  ),
  'a host of a registry',
)

/** The project stands alone. */
export const outsideFolders: Rule = lines(
  new RegExp(`\\.\\./${anyOf(['sha', 'red'])}\\b|\\b${anyOf(['shared/de', 'sign'])}\\b`),
  'a folder outside the project',
)

/** Links in the documents lead to files that are there. */
export const deadLinks: Rule = (sources) =>
  sources.flatMap(({ path, text }) =>
    [...text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)[^)]*\)/g)]
      .filter(([, link]) => !existsSync(join(ROOT, path, '..', link!)))
      .map(([, link]) => `${path}: ${link} is not there`),
  )

/** A script that a document tells people to run, and that package.json lacks. */
export const unknownCommands =
  (scripts: readonly string[], binaries: readonly string[], commands: readonly string[]): Rule =>
  (sources: readonly Source[]) =>
    sources.flatMap(({ path, text }) => {
      const told = [
        ...[...text.matchAll(/\bnpm run ([\w:-]+)/g)].map(([all, name]) => [all, scripts.includes(name!)] as const),
        ...[...text.matchAll(/\bnpm (test|start)\b/g)].map(([all, name]) => [all, scripts.includes(name!)] as const),
        ...[...text.matchAll(/\bnpx (?!-)([\w@/-]+)/g)].map(([all, name]) => [all, binaries.includes(name!)] as const),
        // In a code span or behind a prompt; in prose `hubward` is the subject of a sentence.
        ...[...text.matchAll(/(?:^\$ |`|\bnpx |\bnpm run (?:--silent )?)hubward(?: --)? ([a-z][\w-]*)/gm)].map(
          ([all, name]) => [all, commands.includes(name!)] as const,
        ),
      ]
      return told.filter(([, known]) => !known).map(([all]) => `${path}: nobody can run "${all}"`)
    })
