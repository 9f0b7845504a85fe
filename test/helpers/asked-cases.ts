import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CASE_ENGINE } from '../../src/cli/case-engine.ts'
import { type Question, questionsOf } from '../../src/documents/cases.ts'
import { readDocuments } from '../../src/documents/read.ts'
import type { EngineSnapshot } from '../../src/engine/programs.ts'
import type { DocumentSet } from '../../src/model/documents.ts'

/** A folder of documents with its PolicyTests. */
export interface CaseFolder {
  readonly name: string
  readonly set: DocumentSet
}

/** One case with everything that it asks, worked out once and asked at every depth. */
export interface AskedCase {
  /** `test: title`. */
  readonly name: string
  readonly questions: readonly Question<EngineSnapshot>[]
}

const root = join(import.meta.dirname, '..', '..')

/** The cases of the project: those of the rules, and those that are shipped as examples. */
export const caseFolders = (): CaseFolder[] =>
  ['test/cases', 'envoy/examples/documents'].map((name) => {
    const files = readdirSync(join(root, name)).filter((file) => file.endsWith('.yaml'))
    const texts = files.map((path) => ({ path, text: readFileSync(join(root, name, path), 'utf8') }))
    const { set, problems } = readDocuments(texts)
    if (set === null) throw new Error(`${name} can't be read: ${JSON.stringify(problems, null, 1)}`)
    return { name, set }
  })

/** Every question of every case. A case that can't be understood is an error here: it would be asked nothing. */
export const askedCases = ({ set }: CaseFolder): AskedCase[] =>
  set.tests.flatMap(({ metadata, cases }) =>
    cases.map((written) => {
      const failures: string[] = []
      const questions = [...questionsOf(set, CASE_ENGINE, written, failures)]
      const name = `${metadata.name}: ${written.title}`
      if (failures.length > 0 || questions.length === 0) throw new Error(`${name}: ${failures.join('; ')}`)
      return { name, questions }
    }),
  )
