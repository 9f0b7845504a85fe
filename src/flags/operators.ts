/** What is to be known of an operator of targeting before it is run. */
export interface Operator {
  /** How many operands it takes, at least and at most. */
  readonly operands: readonly [number, number]
  /**
   * Where its work grows with what it is given: `items`, it goes through its first operand and runs its second for each
   * item; `lists`, it goes through all that its operands hold; `list`, through its one operand, if that is an expression.
   */
  readonly grows?: 'items' | 'lists' | 'list'
}

const ANY = Number.POSITIVE_INFINITY

/**
 * Every operator that targeting may use: those of flagd's schema (https://flagd.dev/schema/v0/targeting.json). What the
 * engine underneath knows beyond them is not reachable.
 */
export const OPERATORS = {
  var: { operands: [0, 2] },
  missing: { operands: [0, ANY], grows: 'lists' },
  missing_some: { operands: [2, 2], grows: 'lists' },
  if: { operands: [1, ANY] },
  '==': { operands: [2, 2] },
  '===': { operands: [2, 2] },
  '!=': { operands: [2, 2] },
  '!==': { operands: [2, 2] },
  '!': { operands: [1, 1] },
  '!!': { operands: [1, 1] },
  or: { operands: [1, ANY] },
  and: { operands: [1, ANY] },
  '>': { operands: [2, 2] },
  '>=': { operands: [2, 2] },
  '<': { operands: [2, 3] },
  '<=': { operands: [2, 3] },
  max: { operands: [1, ANY], grows: 'list' },
  min: { operands: [1, ANY], grows: 'list' },
  '+': { operands: [1, ANY], grows: 'list' },
  '*': { operands: [1, ANY], grows: 'list' },
  '-': { operands: [1, 2], grows: 'list' },
  '/': { operands: [2, 2], grows: 'list' },
  '%': { operands: [2, 2], grows: 'list' },
  map: { operands: [2, 2], grows: 'items' },
  filter: { operands: [2, 2], grows: 'items' },
  reduce: { operands: [3, 3], grows: 'items' },
  all: { operands: [2, 2], grows: 'items' },
  none: { operands: [2, 2], grows: 'items' },
  some: { operands: [2, 2], grows: 'items' },
  merge: { operands: [1, ANY], grows: 'lists' },
  in: { operands: [2, 2] },
  cat: { operands: [1, ANY], grows: 'lists' },
  substr: { operands: [2, 3] },
  fractional: { operands: [1, ANY] },
  starts_with: { operands: [2, 2] },
  ends_with: { operands: [2, 2] },
  sem_ver: { operands: [3, 3] },
} as const satisfies Record<string, Operator>

/** A key of OPERATORS. */
export type OperatorName = keyof typeof OPERATORS

/** The operator of a name, if there is one. */
export const operatorNamed = (name: string): Operator | undefined =>
  Object.hasOwn(OPERATORS, name) ? OPERATORS[name as OperatorName] : undefined

/** The most that targeting may hold once its `$ref`s are written out: values, operators and lists. About 2 ms to compile. */
export const NODES_MAX = 1_000

/** What a list of constants counts for: they cost less than what is to be worked out. */
export const constantsSize = (list: readonly unknown[]): number => 1 + Math.ceil(list.length / 16)

/** A list without operators or lists in it. */
export const isConstants = (list: readonly unknown[]): boolean =>
  list.every((item) => typeof item !== 'object' || item === null)

/** How deep operators and lists may stand in one another. */
export const DEPTH_MAX = 64

/** How much more may be compiled than may be written: what a rollout puts around the targeting of its flag. */
export const AROUND = { nodes: 100, depth: 10 } as const
