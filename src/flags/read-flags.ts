import type { Flag, FlagSet, Scalar } from '../model/flag.ts'
import { errorsFirst, type Problem } from '../model/problem.ts'
import { readFlag } from './read-flag.ts'
import { shapeFindings } from './shape.ts'
import { readEvaluators } from './targeting.ts'
import { type FieldPath, type FlagFile, type Report, readText, type Text } from './text.ts'

/** A set, or null where anything in it is wrong enough to refuse it; warnings come with a set too. */
export interface ReadFlags {
  readonly set: FlagSet | null
  readonly problems: readonly Problem[]
}

/** The most flags of one source. */
export const FLAGS_MAX = 10_000

const PROBLEMS_MAX = 100
const TEXTS_MAX = 1_000

/**
 * The flags of a flagd definition in JSON or YAML (https://flagd.dev/reference/flag-definitions). Each stands by itself
 * then: `$ref`s are written out, and the metadata of the set lies under its own. Refused whole for any error in it.
 */
export const readFlags = (text: string, path: string): ReadFlags => readFlagFiles([{ path, text }])

/** The flags of several texts of one source, of which each has its own `$evaluators` and metadata. */
export function readFlagFiles(files: readonly FlagFile[]): ReadFlags {
  const reading = new Reading()
  if (files.length > TEXTS_MAX) {
    const message = `the source has ${files.length} files, ${TEXTS_MAX} are allowed`
    return { set: null, problems: [{ code: 'flags/too-many', severity: 'error', message }] }
  }
  for (const file of files) {
    const { text, problems } = readText(file)
    reading.problems.push(...problems)
    if (text !== null) reading.take(text)
  }
  return reading.result()
}

class Reading {
  readonly problems: Problem[] = []
  readonly #flags = new Map<string, Flag>()
  /** Where each key has been seen first. */
  readonly #places = new Map<string, () => Problem>()
  #metadata: Readonly<Record<string, Scalar>> = {}
  #unplaced = 0
  #isRefused = false

  take(text: Text): void {
    const report = this.#reporter(text)
    for (const [path, finding] of shapeFindings('root', text.value)) report(path, finding)
    if (!isMap(text.value)) return
    const { flags, metadata } = text.value
    const own = isMap(metadata) ? (metadata as Record<string, Scalar>) : {}
    this.#takeMetadata(own, report)
    const evaluators = readEvaluators(text.value.$evaluators, report)
    for (const [key, at, written] of this.#entries(flags, report)) {
      if (!this.#isNew(key, at, text, report)) continue
      const flag = readFlag(key, written, { at, evaluators, metadata: own }, report)
      if (flag !== null) this.#flags.set(key, flag)
    }
  }

  result(): ReadFlags {
    const problems = errorsFirst(this.problems)
    const told = problems.slice(0, PROBLEMS_MAX)
    const more = problems.length - told.length + this.#unplaced
    if (more > 0) {
      const severity = this.#isRefused ? 'error' : 'warning'
      told.push({ code: 'flags/more', severity, message: `${more} more problems` })
    }
    if (this.#isRefused || problems.some(({ severity }) => severity === 'error')) return { set: null, problems: told }
    return { set: { flags: Object.fromEntries(this.#flags), metadata: this.#metadata }, problems: told }
  }

  #reporter(text: Text): Report {
    return (path, finding) => {
      // Places are looked up one by one: what is not shown is only counted.
      if (this.problems.length < PROBLEMS_MAX * 2) this.problems.push(text.problemAt(path, finding))
      else {
        this.#unplaced += 1
        this.#isRefused ||= finding.severity !== 'warning'
      }
    }
  }

  /** Keys with the way to their flags. */
  *#entries(flags: unknown, report: Report): Generator<[string, FieldPath, unknown]> {
    if (isMap(flags)) for (const [key, flag] of Object.entries(flags)) yield [key, ['flags', key], flag]
    if (!Array.isArray(flags)) return
    for (const [index, flag] of flags.entries()) {
      const at = ['flags', index]
      if (isMap(flag) && typeof flag.key === 'string') yield [flag.key, at, flag]
      else {
        const remedy = 'write "key", or make a map of the list'
        report(at, { code: 'flags/missing-field', message: 'a flag in a list without its key', remedy })
      }
    }
  }

  #isNew(key: string, at: FieldPath, text: Text, report: Report): boolean {
    const first = this.#places.get(key)
    if (first !== undefined) {
      const { path, line, column } = first()
      const message = `a flag "${key.slice(0, 200)}" stands at ${path}:${line}:${column} already`
      report(at, { code: 'flag/twice', message, remedy: 'keep one of them', want: 'key' })
      return false
    }
    if (key === '' || key.length > 200 || key === '__proto__') {
      report(at, { code: 'flags/bad-value', message: `the key of a flag has 1 to 200 characters`, want: 'key' })
      return false
    }
    if (this.#places.size === FLAGS_MAX) {
      const message = `the source has more than ${FLAGS_MAX} flags`
      report(at, { code: 'flags/too-many', message, remedy: 'split them over several sources' })
    }
    this.#places.set(key, () => text.problemAt(at, { code: 'flag/twice', message: '', want: 'key' }))
    return this.#places.size <= FLAGS_MAX
  }

  #takeMetadata(own: Readonly<Record<string, Scalar>>, report: Report): void {
    for (const [name, value] of Object.entries(own)) {
      if (!Object.hasOwn(this.#metadata, name) || this.#metadata[name] === value) continue
      const message = `"${name}" of the set is said to be ${JSON.stringify(this.#metadata[name])} by another file`
      const remedy = 'write the metadata of the set in one file'
      report(['metadata', name], { code: 'flags/metadata-differs', message, remedy, severity: 'warning' })
    }
    this.#metadata = { ...own, ...this.#metadata }
  }
}

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
