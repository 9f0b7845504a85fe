import { AROUND, constantsSize, DEPTH_MAX, isConstants, NODES_MAX, type Operator, operatorNamed } from './operators.ts'
import { meansTheSameCompiled } from './whole-if.ts'

/** The engine's name for an operand that is charged for. Targeting cannot write it: it is no operator. */
export const METER = '$meter'

/** What one evaluation may spend: items gone through, times what is done with each. About a millisecond. */
export const FUEL = 100_000

/** An evaluation that went on for too long. */
export class TooMuch extends Error {
  override readonly name = 'TooMuch'
}

/**
 * Targeting with each operand that work grows with put under a METER, and its size. Throws for what the engine must not
 * see: operators that are none, maps of several names, and more than targeting may hold with a rollout around it.
 *
 * `{"some":[{"var":"groups"}, X]}` becomes `{"some":[{"$meter":[{"var":"groups"}, 1 + size of X]}, X]}`.
 */
export function metered(logic: unknown, depth = 0): { readonly logic: unknown; readonly nodes: number } {
  if (typeof logic !== 'object' || logic === null) return { logic, nodes: 1 }
  if (depth > DEPTH_MAX + AROUND.depth) throw new TooMuch(`nested deeper than ${DEPTH_MAX} levels`)
  if (Array.isArray(logic)) {
    if (isConstants(logic)) return counted(logic, constantsSize(logic))
    const parts = logic.map((part) => metered(part, depth + 1))
    return counted(
      parts.map((part) => part.logic),
      parts.reduce((sum, part) => sum + part.nodes, 1),
    )
  }
  const names = Object.keys(logic)
  if (names.length === 0) return { logic, nodes: 1 }
  const [name] = names as [string]
  const operator = operatorNamed(name)
  if (names.length > 1 || operator === undefined) throw new Error(`there is no operator "${names.join('", "')}"`)
  const written = (logic as Record<string, unknown>)[name]
  const inner = metered(written, depth + 1)
  const operands = charged(inner.logic, written, operator.grows)
  // Only where nothing is around it: what is compiled leaves a trace in the comparison that it stands in.
  const isHalf =
    depth === 0 && name === 'if' && Array.isArray(operands) && operands.length === 2 && meansTheSameCompiled(logic)
  return counted({ [name]: isHalf ? [...operands, null] : operands }, inner.nodes + 1)
}

function counted(logic: unknown, nodes: number): { logic: unknown; nodes: number } {
  if (nodes > NODES_MAX + AROUND.nodes) throw new TooMuch(`more than ${NODES_MAX} values and operators`)
  return { logic, nodes }
}

function charged(operands: unknown, written: unknown, grows: Operator['grows']): unknown {
  if (grows === undefined) return operands
  if (!Array.isArray(operands)) return isExpression(operands) ? meter(operands, 1) : operands
  if (grows === 'list') return operands
  if (grows === 'lists') return operands.map((operand) => (isExpression(operand) ? meter(operand, 1) : operand))
  const [items, ...rest] = operands
  const each = sizeOf((written as unknown[])[1])
  return items !== null && typeof items === 'object' ? [meter(items, 1 + each), ...rest] : operands
}

function sizeOf(logic: unknown): number {
  if (typeof logic !== 'object' || logic === null) return 1
  return Object.values(logic).reduce((sum: number, part) => sum + sizeOf(part), 1)
}

const meter = (operand: unknown, cost: number): unknown => ({ [METER]: [operand, cost] })

const isExpression = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value)

/** What going through a value costs, where each of its items costs so much; at most a little more than `most`. */
export function costOf(value: unknown, each: number, most: number): number {
  if (typeof value === 'string') return value.length >>> 4
  if (!Array.isArray(value)) return 1
  let cost = value.length * each
  for (let at = 0; at < value.length && cost <= most; at++) cost += costOf(value[at], 1, most - cost)
  return cost
}
