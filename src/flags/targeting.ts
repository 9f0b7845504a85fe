import type { Json } from '../model/flag.ts'
import { constantsSize, DEPTH_MAX, isConstants, NODES_MAX, OPERATORS, operatorNamed } from './operators.ts'
import type { FieldPath, Report } from './text.ts'
import { didYouMean, shown } from './words.ts'

/** Parts of targeting that several flags share, by name, and how large each is. */
export type Evaluators = ReadonlyMap<string, { readonly logic: Json; readonly nodes: number }>

/** Reads `$evaluators`. They don't refer to one another: what is put in a flag's place is what stands there. */
export function readEvaluators(written: unknown, report: Report): Evaluators {
  const evaluators = new Map<string, { logic: Json; nodes: number }>()
  if (written === undefined) return evaluators
  const path = ['$evaluators']
  if (!isMap(written)) {
    const message = `"$evaluators" is ${shown(written)}; it has to be a map from names to targeting`
    report(path, { code: 'flags/wrong-type', message })
    return evaluators
  }
  for (const [name, logic] of Object.entries(written)) {
    const read = new Reader(null, report)
    evaluators.set(name, { logic: read.expanded(logic, [...path, name]), nodes: read.nodes })
  }
  return evaluators
}

/** Targeting with each `$ref` replaced by what it names. What can't be run is reported. */
export function readTargeting(written: unknown, path: FieldPath, evaluators: Evaluators, report: Report): Json {
  return new Reader(evaluators, report).expanded(written, path)
}

class Reader {
  nodes = 0
  readonly #evaluators: Evaluators | null
  readonly #report: Report

  constructor(evaluators: Evaluators | null, report: Report) {
    this.#evaluators = evaluators
    this.#report = report
  }

  /** Stops at the size that is too large, which is told where it is crossed. */
  expanded(logic: unknown, path: FieldPath, depth = 0): Json {
    const isPlain = Array.isArray(logic) && isConstants(logic)
    if (!this.#fits(isPlain ? constantsSize(logic) : 1, path)) return null
    if (isPlain) return logic as Json[]
    if (typeof logic !== 'object' || logic === null) return logic as Json
    if (depth > DEPTH_MAX) {
      const message = `targeting nests deeper than ${DEPTH_MAX} levels`
      this.#report(path, { code: 'flag/targeting-size', message, remedy: 'write it flatter' })
      return null
    }
    if (Array.isArray(logic)) return logic.map((part, index) => this.expanded(part, [...path, index], depth + 1))
    const names = Object.keys(logic)
    if (names.length === 0) return {}
    const name = names[0]!
    if (names.length > 1) {
      const message = `targeting with several operators, ${names
        .map((one) => `"${one}"`)
        .join(', ')
        .slice(0, 200)}`
      this.#report(path, { code: 'flag/operands', message, remedy: 'join them by "and", or make a list of them' })
      return null
    }
    const operands = (logic as Record<string, unknown>)[name]
    if (name === '$ref') return this.#referred(operands, path)
    this.#checkOperator(name, operands, path)
    return { [name]: this.expanded(operands, [...path, name], depth + 1) }
  }

  #fits(nodes: number, path: FieldPath): boolean {
    const before = this.nodes
    this.nodes += nodes
    if (this.nodes > NODES_MAX && before <= NODES_MAX) {
      const message = `targeting holds more than ${NODES_MAX} values and operators`
      this.#report(path, { code: 'flag/targeting-size', message, remedy: 'split it into several flags' })
    }
    return this.nodes <= NODES_MAX
  }

  #referred(name: unknown, path: FieldPath): Json {
    if (this.#evaluators === null) {
      const remedy = 'write out what it stands for'
      this.#report(path, { code: 'flag/nested-ref', message: 'evaluators do not refer to one another', remedy })
      return null
    }
    const found = this.#evaluators.get(String(name))
    if (found === undefined) {
      const known = [...this.#evaluators.keys()]
      const message = `nothing under "$evaluators" is called ${shown(name)}${didYouMean(String(name), known)}`
      this.#report([...path, '$ref'], {
        code: 'flag/unknown-ref',
        message,
        remedy: 'add it there, or correct the name',
      })
      return null
    }
    return this.#fits(found.nodes, path) ? found.logic : null
  }

  #checkOperator(name: string, operands: unknown, path: FieldPath): void {
    const operator = operatorNamed(name)
    if (operator === undefined) {
      const message = `there is no operator "${name.slice(0, 100)}"${didYouMean(name, Object.keys(OPERATORS))}`
      const remedy = `known: ${Object.keys(OPERATORS).join(' ')}`
      this.#report([...path, name], { code: 'flag/unknown-operator', message, remedy, want: 'key' })
      return
    }
    const [least, most] = operator.operands
    const tell = (message: string, remedy?: string, at: FieldPath = [name]): void =>
      this.#report([...path, ...at], { code: 'flag/operands', message, ...(remedy === undefined ? {} : { remedy }) })
    const isOne = !Array.isArray(operands)
    const count = isOne ? 1 : operands.length
    // One expression may come to a whole list of operands.
    if (isOne && least > 1 && !(isMap(operands) && 'grows' in operator && operator.grows !== 'items'))
      tell(`"${name}" is given ${shown(operands)}; it takes a list of ${least} operands`)
    else if (!isOne && (count < least || count > most)) {
      const wanted =
        least === most ? `${least}` : most === Number.POSITIVE_INFINITY ? `at least ${least}` : `${least} to ${most}`
      tell(`"${name}" has ${count} operands; it takes ${wanted}`)
    }
    if (name === 'fractional') this.#checkFractional(operands, tell)
  }

  #checkFractional(operands: unknown, tell: (message: string, remedy?: string, at?: FieldPath) => void): void {
    const remedy = 'write ["variant", 25], the weight being a whole number or an expression'
    const entries: readonly unknown[] = Array.isArray(operands) ? operands : []
    const first = Array.isArray(entries[0]) ? 0 : 1
    if (entries.length <= first && first === 1) tell('"fractional" has no variants to choose from', remedy)
    for (const [index, entry] of entries.entries()) {
      if (index < first) continue
      const at = ['fractional', index]
      if (!Array.isArray(entry)) {
        if (!isMap(entry)) tell(`${shown(entry)} is no variant with its weight`, remedy, at)
        continue
      }
      if (entry.length < 1 || entry.length > 2) tell(`a variant with ${entry.length} parts`, remedy, at)
      const weight: unknown = entry[1]
      if (entry.length === 2 && !isMap(weight) && !Number.isInteger(weight))
        tell(`the weight is ${shown(weight)}; it has to be a whole number`, remedy, [...at, 1])
    }
  }
}

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
