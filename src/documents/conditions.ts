import type { ASTNode } from '@marcbachmann/cel-js'
import type { Condition } from '../model/snapshot.ts'
import { type ConditionProblem, checkCondition, parseCondition } from './condition-check.ts'
import { type Conjuncts, conjunctsOf } from './condition-facts.ts'
import { lower } from './condition-lower.ts'

/**
 * All that is wrong with a condition: syntax, types, names, functions that have no place in one, and size. Empty for a
 * good one.
 */
export const conditionProblems = (source: string): ConditionProblem[] => checkCondition(source).problems

/**
 * The program of a condition. It is true only if the expression is: a fact that is missing, or of another type than the
 * expression needs, makes it false unless `&&` or `||` is decided by its other side, as CEL has it. Throws for text
 * that conditionProblems finds fault with.
 */
export function compileCondition(source: string): Condition {
  const known = programs.get(source)
  if (known !== undefined) return known
  const problem = conditionProblems(source)[0]
  if (problem !== undefined) throw new Error(`the condition cannot be used: ${problem.message} (at ${problem.offset})`)
  const program = lower(parseCondition(source))
  const condition: Condition = (facts) => program(facts, NO_VARIABLES) === true
  if (programs.size >= PROGRAMS_MAX) programs.clear()
  programs.set(source, condition)
  return condition
}

// A reload compiles all conditions again, and few of them are new: 70 us for each that is (measured).
const programs = new Map<string, Condition>()
const PROGRAMS_MAX = 5_000
const NO_VARIABLES: readonly unknown[] = []

/** The facts a condition reads, by name, and where each is read first. Empty for a text that cannot be read. */
export function conditionFacts(source: string): ReadonlyMap<string, number> {
  return checkCondition(source).facts
}

/** What must be equal for the condition to hold: by fact, the values that it may have. */
export function conditionConjuncts(source: string): Conjuncts {
  const ast = astOf(source)
  return ast === undefined ? new Map() : conjunctsOf(ast)
}

function astOf(source: string): ASTNode | undefined {
  return checkCondition(source).problems.length === 0 ? parseCondition(source) : undefined
}
