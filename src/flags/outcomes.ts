import type { FlagDefinition, Json } from '../model/flag.ts'

/** The variants that targeting can come to. `open`: others too, because an expression works the variant out. */
export interface Outcomes {
  readonly variants: ReadonlySet<string>
  readonly open: boolean
  /** It can come to nothing, and the default variant holds. */
  readonly default: boolean
}

/** Operators whose result is true or false, which flagd reads as the variants of these names. */
const TRUTHS: ReadonlySet<string> = new Set(
  '== === != !== < <= > >= ! !! in some all none starts_with ends_with'.split(' '),
)

/** The operator and the arguments of a JsonLogic expression; undefined for a plain value. */
export function operation(
  expression: Json | undefined,
): { readonly name: string; readonly args: readonly Json[] } | undefined {
  if (typeof expression !== 'object' || expression === null || Array.isArray(expression)) return undefined
  const entries = Object.entries(expression)
  const [name, args] = entries[0] ?? []
  return entries.length !== 1 || name === undefined
    ? undefined
    : { name, args: (Array.isArray(args) ? args : [args]) as Json[] }
}

/** Whether a flag has targeting at all: `{}` is none. */
export const isTargeted = ({ targeting }: FlagDefinition): boolean =>
  targeting !== undefined &&
  targeting !== null &&
  !(typeof targeting === 'object' && Object.keys(targeting).length === 0)

/** Whether a condition holds for everybody, for nobody, or for some (undefined). An empty text, 0 and null are false. */
export function constantOf(condition: Json | undefined): boolean | undefined {
  if (Array.isArray(condition)) return condition.length > 0
  if (typeof condition !== 'object' || condition === null) return Boolean(condition)
  const known = operation(condition)
  if (known === undefined) return undefined
  const parts = known.args.map(constantOf)
  if (known.name === '!') return parts[0] === undefined ? undefined : !parts[0]
  if (known.name === '!!') return parts[0]
  if (known.name === 'and')
    return parts.includes(false) ? false : parts.every((part) => part === true) ? true : undefined
  if (known.name === 'or')
    return parts.includes(true) ? true : parts.every((part) => part === false) ? false : undefined
  return undefined
}

/** The branches of an `if` in order: a condition with what it gives; the last, the else, has no condition. */
export function branchesOf(
  args: readonly Json[],
): { readonly when?: Json; readonly gives: Json; readonly index: number }[] {
  const branches: { when?: Json; gives: Json; index: number }[] = []
  for (let index = 0; index + 1 < args.length; index += 2)
    branches.push({ when: args[index]!, gives: args[index + 1]!, index: index + 1 })
  const last = args.length - 1
  branches.push(args.length % 2 === 1 ? { gives: args[last]!, index: last } : { gives: null, index: last })
  return branches
}

/** What the targeting of a flag can come to. */
export function outcomesOf(targeting: Json | undefined): Outcomes {
  const variants = new Set<string>()
  let [open, byDefault] = [false, false]
  const visit = (expression: Json | undefined): void => {
    if (typeof expression === 'string' || typeof expression === 'boolean') variants.add(String(expression))
    else if (expression === null || expression === undefined) byDefault = true
    else visitOperation(expression)
  }
  const visitOperation = (expression: Json): void => {
    const known = operation(expression)
    if (known?.name === 'if' || known?.name === '?:') {
      for (const { when, gives } of branchesOf(known.args)) {
        const holds = when === undefined ? true : constantOf(when)
        if (holds !== false) visit(gives)
        if (holds === true) return
      }
    } else if (known?.name === 'fractional') {
      // Without a key to hash it comes to nothing.
      byDefault = true
      for (const entry of known.args) if (Array.isArray(entry)) visit(entry[0] as Json | undefined)
    } else if (known !== undefined && TRUTHS.has(known.name)) {
      variants.add('true').add('false')
    } else open = true
  }
  visit(targeting)
  return { variants, open, default: byDefault }
}
