/**
 * `if` without `else` is interpreted by the engine, ten times as slow as compiled, and in some corners with other results
 * (a null in `cat`, a comparison of two fields). Where there is none of those inside, adding `null` as the last operand
 * changes nothing but the time; this says whether that is so.
 */
export const meansTheSameCompiled = (logic: unknown): boolean => {
  if (typeof logic !== 'object' || logic === null) return true
  const [[name, operands] = ['', null], ...more] = Object.entries(logic)
  if (Array.isArray(logic) || more.length > 0) return false
  if (name === 'var') return isField(logic)
  if (!Array.isArray(operands) || operands.length === 0) return false
  const [first, second] = operands as unknown[]
  switch (name) {
    case 'if':
    case 'and':
    case 'or':
    case 'starts_with':
    case 'ends_with':
    case 'sem_ver':
      return operands.every(meansTheSameCompiled)
    case '!':
    case '!!':
      // Interpreted, the negation of a list is that of its first item.
      return operands.length === 1 && isTrueOrFalse(first) && meansTheSameCompiled(first)
    case '===':
    case '!==':
      return operands.length === 2 && operands.every(meansTheSameCompiled)
    // Constants alone would be worked out, and fail, when they are compiled.
    case '==':
    case '!=':
    case '<':
    case '<=':
    case '>':
    case '>=':
      return operands.length === 2 && isField(first) && isConstant(second)
    case 'in':
      return operands.length === 2 && isField(first) && (isConstantList(second) || isField(second))
    case 'fractional':
      return (
        (isField(first) || typeof first === 'string' || isConstantList(first)) &&
        operands.slice(1).every(isConstantList)
      )
    default:
      return false
  }
}

const TRUE_OR_FALSE = /^(!|!!|[!=]==?|[<>]=?|in|starts_with|ends_with|sem_ver)$/

const isTrueOrFalse = (logic: unknown): boolean =>
  typeof logic === 'object' && logic !== null && TRUE_OR_FALSE.test(Object.keys(logic)[0] ?? '')

const isConstant = (value: unknown): boolean => typeof value !== 'object' || value === null

const isConstantList = (value: unknown): boolean => Array.isArray(value) && value.every(isConstant)

const isField = (logic: unknown): boolean => {
  if (typeof logic !== 'object' || logic === null || Object.keys(logic).length !== 1) return false
  const name = (logic as { var?: unknown }).var
  return typeof name === 'string' && name !== '' && !name.includes('../')
}
