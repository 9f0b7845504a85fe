import type { Flag, FlagSet, Json } from '../model/flag.ts'
import { type FlagFinding, finding } from './findings.ts'
import { operation } from './outcomes.ts'

/** Arms of a `fractional` as intervals of all buckets, 0 to 1, in their order. */
interface Split {
  /** What is hashed, as text; empty: flag key and targeting key. */
  readonly key: string
  readonly arms: readonly { readonly variant: string; readonly from: number; readonly to: number }[]
  readonly path: readonly (string | number)[]
}

/** Shares closer than this are the same one: far less than a bucket of 2^31. */
const EPSILON = 1e-12

/**
 * What a change of weights does to users who should not notice it. An arm that shrinks has to let go of as many as it
 * shrinks by; whoever else changes arms is moved for nothing: from control 98, a 1, b 1 to 80, 10, 10 the whole arm a
 * lands in b. Two arms over one order never do that; of several each needs slots of its own. Only flags with a layer.
 */
export const lintChange = (before: FlagSet, after: FlagSet): FlagFinding[] =>
  Object.values(after.flags).flatMap((flag) => changeOf(before, flag))

/** The same, flag by flag, for whoever has requests to answer meanwhile. */
export function* changeInSteps(before: FlagSet, after: FlagSet): Generator<undefined, FlagFinding[]> {
  const found: FlagFinding[] = []
  for (const flag of Object.values(after.flags)) {
    found.push(...changeOf(before, flag))
    yield
  }
  return found
}

function changeOf(set: FlagSet, flag: Flag): FlagFinding[] {
  const old = Object.hasOwn(set.flags, flag.key) ? set.flags[flag.key] : undefined
  if (old === undefined || flag.layer === undefined || old.hash === flag.hash) return []
  const [before, after] = [splitsOf(old), splitsOf(flag)]
  return after.flatMap((split) => {
    const same = before.find(({ path }) => String(path) === String(split.path))
    const moved = same === undefined ? undefined : movedBy(same, split)
    if (moved === undefined) return []
    const remedy = 'keep the order of the arms, and give each slots of its own, or nest one split of two in another'
    return [finding('flag/moves-users', flag.key, split.path, moved, remedy)]
  })
}

function movedBy(before: Split, after: Split): string | undefined {
  if (before.key !== after.key) return 'another key is hashed than before, so everybody is dealt out anew'
  const moves = [...new Set(before.arms.map(({ variant }) => variant))].flatMap((variant) => {
    const [old, fresh] = [share(before, variant), share(after, variant)]
    const stay = kept(before, after, variant)
    const needless = old - stay - Math.max(0, old - fresh)
    return needless > EPSILON && old > 0 ? [`${percent(needless / old)} of the users of "${variant}"`] : []
  })
  return moves.length === 0 ? undefined : `these weights move ${moves.join(' and ')} to another arm for nothing`
}

const share = ({ arms }: Split, variant: string): number =>
  arms.reduce((sum, arm) => sum + (arm.variant === variant ? arm.to - arm.from : 0), 0)

/** The share of all buckets that belong to the variant before and after. */
function kept(before: Split, after: Split, variant: string): number {
  let sum = 0
  for (const one of before.arms)
    for (const other of after.arms)
      if (one.variant === variant && other.variant === variant)
        sum += Math.max(0, Math.min(one.to, other.to) - Math.max(one.from, other.from))
  return sum
}

const percent = (ratio: number): string => `${Math.round(ratio * 1_000) / 10} %`

/** Every `fractional` of a flag whose variants and weights are written out. */
function splitsOf({ definition }: Flag): Split[] {
  const splits: Split[] = []
  const visit = (expression: Json, path: readonly (string | number)[]): void => {
    if (Array.isArray(expression)) {
      for (const [index, item] of expression.entries()) visit(item as Json, [...path, index])
      return
    }
    const known = operation(expression)
    if (known === undefined) return
    const inner = [...path, known.name]
    const split = known.name === 'fractional' ? splitOf(known.args, inner) : undefined
    if (split !== undefined) splits.push(split)
    for (const [index, arg] of known.args.entries()) visit(arg, [...inner, index])
  }
  if (definition.targeting !== undefined) visit(definition.targeting, ['targeting'])
  return splits
}

function splitOf(args: readonly Json[], path: readonly (string | number)[]): Split | undefined {
  const hasKey = args.length > 0 && !Array.isArray(args[0])
  const entries = hasKey ? args.slice(1) : args
  const weights: (readonly [variant: string, weight: number])[] = []
  for (const entry of entries) {
    const [variant, weight = 1] = (Array.isArray(entry) ? entry : []) as readonly Json[]
    if (typeof variant !== 'string' || typeof weight !== 'number') return undefined
    weights.push([variant, Math.max(0, weight)])
  }
  const total = weights.reduce((sum, [, weight]) => sum + weight, 0)
  if (total === 0) return undefined
  let from = 0
  const arms = weights.map(([variant, weight]) => {
    const arm = { variant, from: from / total, to: (from + weight) / total }
    from += weight
    return arm
  })
  return { key: hasKey ? JSON.stringify(args[0]) : '', arms, path }
}
