import type { ASTNode } from '@marcbachmann/cel-js'
import { parseBlock } from '../math/address.ts'
import { type Facts, NEED_FACTS } from '../model/facts.ts'
import { FACT_TYPES } from './condition-check.ts'
import { factOf } from './condition-facts.ts'
import { CONDITION_FUNCTIONS, type ConditionFunction, FAILED, inCidr, patternOf } from './condition-functions.ts'
import { OPERATIONS } from './condition-values.ts'

/** A lowered expression: its value for these facts and loop variables, or FAILED. Never throws. */
export type Program = (facts: Facts, variables: readonly unknown[]) => unknown

/**
 * The closures of a checked tree. Each node becomes one function that calls those of its parts, which is six times as
 * fast as walking the tree (measured: 31 ns against 184 ns for two comparisons).
 */
export const lower = (ast: ASTNode): Program => lowerNode(ast, [])

function lowerNode(node: ASTNode, scope: readonly string[]): Program {
  const part = (other: ASTNode): Program => lowerNode(other, scope)
  switch (node.op) {
    case 'value': {
      const value = node.args
      return () => value
    }
    case 'id': {
      const index = scope.lastIndexOf(node.args)
      return (_facts, variables) => variables[index]
    }
    case '.':
      return readFact(factOf(node) ?? '')
    case '&&':
      return logical(part(node.args[0]), part(node.args[1]), false)
    case '||':
      return logical(part(node.args[0]), part(node.args[1]), true)
    case '!_': {
      const operand = part(node.args)
      return (facts, variables) => {
        const value = operand(facts, variables)
        return typeof value === 'boolean' ? !value : FAILED
      }
    }
    case '-_': {
      const operand = part(node.args)
      return (facts, variables) => {
        const value = operand(facts, variables)
        return typeof value === 'number' || typeof value === 'bigint' ? -value : FAILED
      }
    }
    case '?:': {
      const [test, yes, no] = [part(node.args[0]), part(node.args[1]), part(node.args[2])]
      return (facts, variables) => {
        const value = test(facts, variables)
        return value === true ? yes(facts, variables) : value === false ? no(facts, variables) : FAILED
      }
    }
    case 'list': {
      const items = node.args.map(part)
      return (facts, variables) => {
        const values: unknown[] = []
        for (const item of items) {
          const value = item(facts, variables)
          if (value === FAILED) return FAILED
          values.push(value)
        }
        return values
      }
    }
    case 'call':
      return node.args[0] === 'has' ? hasFact(node.args[1]) : call(node.args[0], node.args[1], scope)
    case 'rcall': {
      const [name, receiver, args] = node.args
      if (name === 'all' || name === 'exists' || name === 'exists_one') return loop(name, receiver, args, scope)
      return call(name, [receiver, ...args], scope)
    }
    default: {
      const operation = OPERATIONS[node.op]
      if (operation === undefined) throw new Error(`a checked condition has no "${node.op}"`)
      const [left, right] = (node.args as [ASTNode, ASTNode]).map(part) as [Program, Program]
      return (facts, variables) => {
        const a = left(facts, variables)
        if (a === FAILED) return FAILED
        const b = right(facts, variables)
        return b === FAILED ? FAILED : operation(a, b)
      }
    }
  }
}

function readFact(name: string): Program {
  if (Object.hasOwn(FACT_TYPES, name)) {
    const field = name as keyof typeof FACT_TYPES
    return (facts) => facts[field] ?? FAILED
  }
  const need = NEED_FACTS.find((one) => one === name)
  if (need !== undefined) return (facts) => facts.needs?.[need] ?? FAILED
  return (facts) => (Object.hasOwn(facts.extra, name) ? (facts.extra[name] ?? FAILED) : FAILED)
}

function hasFact([field]: readonly ASTNode[]): Program {
  const read = readFact(field === undefined ? '' : (factOf(field) ?? ''))
  return (facts, variables) => read(facts, variables) !== FAILED
}

/** `&&` (decided by false) and `||` (decided by true): a side that failed counts only if the other does not decide. */
function logical(left: Program, right: Program, deciding: boolean): Program {
  return (facts, variables) => {
    const a = left(facts, variables)
    if (a === deciding) return deciding
    const b = right(facts, variables)
    if (b === deciding) return deciding
    return a === !deciding && b === !deciding ? !deciding : FAILED
  }
}

function call(name: string, args: readonly ASTNode[], scope: readonly string[]): Program {
  const { run }: ConditionFunction = CONDITION_FUNCTIONS[name as keyof typeof CONDITION_FUNCTIONS]
  const [first, second] = args.map((arg) => lowerNode(arg, scope))
  if (first === undefined) throw new Error(`${name} is called on something`)
  const literal = args[1]?.op === 'value' ? args[1].args : undefined
  const prepared = typeof literal === 'string' ? prepare(name, literal) : undefined
  if (prepared !== undefined) {
    return (facts, variables) => {
      const value = first(facts, variables)
      return typeof value === 'string' ? prepared(value) : FAILED
    }
  }
  return (facts, variables) => {
    const a = first(facts, variables)
    if (a === FAILED || second === undefined) return a === FAILED ? FAILED : run(a)
    const b = second(facts, variables)
    return b === FAILED ? FAILED : run(a, b)
  }
}

/** Functions whose second value is a literal, which is worked out once. */
function prepare(name: string, literal: string): ((value: string) => unknown) | undefined {
  if (name === 're2match') {
    const pattern = patternOf(literal)
    return (value) => pattern?.test(value) ?? FAILED
  }
  if (name !== 'inCidr') return undefined
  const block = parseBlock(literal)
  return (value) => inCidr(value, block)
}

function loop(
  kind: 'all' | 'exists' | 'exists_one',
  list: ASTNode,
  args: readonly ASTNode[],
  scope: readonly string[],
): Program {
  const items = lowerNode(list, scope)
  const [variable, condition] = args as [ASTNode & { op: 'id' }, ASTNode]
  const test = lowerNode(condition, [...scope, variable.args])
  return (facts, variables) => {
    const values = items(facts, variables)
    if (!Array.isArray(values)) return FAILED
    let failed = false
    let count = 0
    for (const value of values) {
      const result = test(facts, [...variables, value])
      if (typeof result !== 'boolean') failed = true
      else if (result) count++
      if (kind === 'exists' && count > 0) return true
      if (kind === 'all' && result === false) return false
    }
    // An element that failed spoils the answer only if no other one decided it; exists_one has to know them all.
    if (failed) return FAILED
    return kind === 'exists' ? false : kind === 'all' ? true : count === 1
  }
}
