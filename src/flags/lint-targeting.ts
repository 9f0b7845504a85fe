import type { Flag, Json } from '../model/flag.ts'
import { type FlagFinding, finding } from './findings.ts'
import { branchesOf, constantOf, isTargeted, operation, outcomesOf } from './outcomes.ts'

/** Rules of a flag that can never apply, and variants that none of them gives. `given`: variants that others give. */
export function lintTargeting(flag: Flag, given: readonly string[]): FlagFinding[] {
  const { key, definition } = flag
  // Without targeting, whoever wants another variant makes it the default: none of them is out of reach.
  if (!isTargeted(definition)) return []
  const found: FlagFinding[] = []
  walk(definition.targeting!, ['targeting'], (args, path) => {
    for (const [index, message] of shadowed(args))
      found.push(finding('flag/shadowed-rule', key, [...path, index], message, 'take it out, or put it first'))
  })
  const outcomes = outcomesOf(definition.targeting)
  if (outcomes.open) return found
  const reached = new Set([...outcomes.variants, ...given])
  if (outcomes.default && typeof definition.defaultVariant === 'string') reached.add(definition.defaultVariant)
  for (const variant of Object.keys(definition.variants)) {
    if (reached.has(variant)) continue
    const message = `no rule gives the variant "${variant}"`
    found.push(
      finding('flag/unreachable-variant', key, ['variants', variant], message, 'take it out, or give it in a rule'),
    )
  }
  return found
}

/** Every `if` of an expression, with the path to its list of arguments. */
function walk(
  expression: Json,
  path: readonly (string | number)[],
  visit: (args: readonly Json[], path: readonly (string | number)[]) => void,
): void {
  if (Array.isArray(expression)) {
    for (const [index, item] of expression.entries()) walk(item as Json, [...path, index], visit)
    return
  }
  const known = operation(expression)
  if (known === undefined) return
  const inner = [...path, known.name]
  if (known.name === 'if' || known.name === '?:') visit(known.args, inner)
  for (const [index, arg] of known.args.entries()) walk(arg, [...inner, index], visit)
}

/** The branches of an `if` that are never reached, by the index of what they give, and why. */
function shadowed(args: readonly Json[]): [index: number, why: string][] {
  const found: [number, string][] = []
  const before: { readonly text: string; readonly equals: Equality | undefined }[] = []
  let closed = false
  for (const { when, gives, index } of branchesOf(args)) {
    if (when === undefined && args.length % 2 === 0) break
    const gave = typeof gives === 'string' ? ` (it gives "${gives}")` : ''
    if (closed) {
      found.push([index, `a rule before this one always matches, so it never does${gave}`])
      continue
    }
    if (when === undefined) break
    const [holds, text, equals] = [constantOf(when), JSON.stringify(when), equalityOf(when)]
    if (holds === false) found.push([index, `its condition never holds${gave}`])
    else if (before.some((one) => one.text === text || covers(one.equals, equals)))
      found.push([index, `a rule before this one takes everything that it asks for${gave}`])
    closed = holds === true
    before.push({ text, equals })
  }
  return found
}

/** A fact that has to have one of some values. */
interface Equality {
  readonly fact: string
  readonly values: ReadonlySet<string>
}

const covers = (one: Equality | undefined, other: Equality | undefined): boolean =>
  one !== undefined &&
  other !== undefined &&
  one.fact === other.fact &&
  [...other.values].every((value) => one.values.has(value))

/** `{"==": [{"var": "tenant"}, "a"]}` and `{"in": [{"var": "tenant"}, ["a", "b"]]}`; undefined for other conditions. */
function equalityOf(condition: Json): Equality | undefined {
  const known = operation(condition)
  if (known === undefined || known.args.length !== 2) return undefined
  const [left, right] = known.args as [Json, Json]
  const isEqual = known.name === '==' || known.name === '==='
  const pairs: [Json, Json][] = isEqual
    ? [
        [left, right],
        [right, left],
      ]
    : known.name === 'in'
      ? [[left, right]]
      : []
  for (const [one, other] of pairs) {
    const fact = operation(one)?.name === 'var' ? operation(one)!.args[0] : undefined
    const values = isEqual ? [other] : Array.isArray(other) ? (other as Json[]) : []
    const isPlain = values.length > 0 && values.every((value) => typeof value === 'string' || typeof value === 'number')
    if (typeof fact === 'string' && isPlain)
      return { fact, values: new Set(values.map((value) => JSON.stringify(value))) }
  }
  return undefined
}
