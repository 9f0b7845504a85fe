import type { ASTNode } from '@marcbachmann/cel-js'

/** What must be equal for a condition to hold: by fact, the values that it may have, and where that is written. */
export type Conjuncts = ReadonlyMap<string, { readonly values: ReadonlySet<unknown>; readonly offset: number }>

/** The equalities that a condition's outermost `&&` join: `request.f == "a"` and `request.f in ["a", "b"]`. */
export function conjunctsOf(ast: ASTNode): Conjuncts {
  const found = new Map<string, { values: ReadonlySet<unknown>; offset: number }>()
  const visit = (node: ASTNode): void => {
    if (node.op === '&&') {
      visit(node.args[0])
      visit(node.args[1])
      return
    }
    const equality = equalityOf(node)
    if (equality === undefined) return
    const before = found.get(equality.fact)?.values
    const values = before === undefined ? equality.values : intersection(equality.values, before)
    found.set(equality.fact, { values, offset: equality.offset })
  }
  visit(ast)
  return found
}

function equalityOf(node: ASTNode): { fact: string; values: Set<unknown>; offset: number } | undefined {
  if (node.op !== '==' && node.op !== 'in') return undefined
  const [left, right] = node.args
  const pairs: [ASTNode, ASTNode][] =
    node.op === '=='
      ? [
          [left, right],
          [right, left],
        ]
      : [[left, right]]
  for (const [one, other] of pairs) {
    const fact = factOf(one)
    const values = node.op === '==' ? literals([other]) : other.op === 'list' ? literals(other.args) : undefined
    if (fact !== undefined && values !== undefined) return { fact, values, offset: other.start }
  }
  return undefined
}

/** The name of the fact that `request.name` reads. */
export const factOf = (node: ASTNode): string | undefined =>
  node.op === '.' && node.args[0].op === 'id' && node.args[0].args === 'request' ? node.args[1] : undefined

/** The values of literals, whole numbers of either type alike; undefined if one is no literal. */
function literals(nodes: readonly ASTNode[]): Set<unknown> | undefined {
  const values = new Set<unknown>()
  for (const node of nodes) {
    if (node.op !== 'value') return undefined
    values.add(typeof node.args === 'bigint' ? Number(node.args) : node.args)
  }
  return values
}

/** Whether no request can meet both: some fact would have to have two values at once. */
export function areDisjoint(a: Conjuncts, b: Conjuncts): boolean {
  for (const [fact, { values }] of a) {
    const others = b.get(fact)?.values
    if (others !== undefined && intersection(values, others).size === 0) return true
  }
  return false
}

const intersection = (a: ReadonlySet<unknown>, b: ReadonlySet<unknown>): Set<unknown> =>
  new Set([...a].filter((value) => b.has(value)))
