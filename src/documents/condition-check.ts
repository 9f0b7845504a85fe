import { type ASTNode, Environment, type ParseError } from '@marcbachmann/cel-js'
import { parseBlock } from '../math/address.ts'
import { type FACT_NAMES, NEED_FACTS } from '../model/facts.ts'
import { factOf } from './condition-facts.ts'
import { CONDITION_FUNCTIONS, type ConditionFunction, patternOf } from './condition-functions.ts'
import { doubles, isEqual } from './condition-values.ts'
import { didYouMean } from './suggest.ts'

/** What is wrong with a condition, and where in its text. */
export interface ConditionProblem {
  readonly message: string
  /** The first character that is wrong, from 0. */
  readonly offset: number
  readonly remedy?: string
}

/** How large a condition may be. A depth of 32 is far beyond what people can read. */
export const CONDITION_LIMITS = {
  maxAstNodes: 400,
  maxDepth: 32,
  maxListElements: 200,
  maxMapEntries: 0,
  maxCallArguments: 4,
} as const

/** How many loops over lists may stand inside one another: the work is the product of their lengths. */
const LOOPS_MAX = 2

/** The type of each fact that has a field of its own; all others are of any type. */
export const FACT_TYPES: Readonly<Record<(typeof FACT_NAMES)[number], string>> = {
  class: 'string',
  model: 'string',
  tenant: 'string',
  tier: 'string',
  region: 'string',
  country: 'string',
  asn: 'double',
  method: 'string',
  path: 'string',
  residency: 'list<string>',
  residencyClass: 'string',
  sessionKey: 'string',
  deadlineMs: 'double',
  contextTokens: 'double',
  tools: 'bool',
}

// Not facts of the request, or drawn by chance: a condition on them would not replay, or would split traffic unseen.
const REFUSED_FACTS: Readonly<Record<string, string>> = {
  time: 'conditions know no time; write a maintenance window or an override with an expiry',
  now: 'conditions know no time; write a maintenance window or an override with an expiry',
  date: 'conditions know no time; write a maintenance window or an override with an expiry',
  timestamp: 'conditions know no time; write a maintenance window or an override with an expiry',
  random: 'nothing in a decision is random',
  seed: 'the seed only spreads requests among equals',
  requestId: 'a request id says nothing of where a request should go',
  session: 'sessions are kept by `session: sticky`; for its key read request.sessionKey',
  hop: "another hubward's decision is kept by itself",
  needs: "a job's needs tighten the policy by themselves; its size is request.batchSize and request.gpus",
  forced: "a tester's word is followed by itself; cohorts are written as Cohort documents",
  extra: 'read a fact of your own by its name: request.name',
}

// Facts are doubles and `5` is a whole number: CEL knows no `==` or `+` between the two, which nobody would expect here.
const MIXED_OPERATORS: readonly (readonly [string, (a: never, b: never) => unknown])[] = [
  ['double == int', (a: number, b: bigint) => isEqual(a, b)],
  ['double in list<int>', (a: number, b: bigint[]) => b.some((value) => isEqual(a, value))],
  ...(['+', '-', '*', '/'] as const).flatMap((operator) => [
    [`double ${operator} int: double`, (a: number, b: bigint) => doubles[operator](a, Number(b))] as const,
    [`int ${operator} double: double`, (a: bigint, b: number) => doubles[operator](Number(a), b)] as const,
  ]),
]

const MACROS = new Set(['all', 'exists', 'exists_one'])

/** What checking found: problems, and the facts that are read with the place of each. */
export interface Checked {
  readonly problems: ConditionProblem[]
  readonly facts: ReadonlyMap<string, number>
}

/** The environment of conditions over these further facts. */
export function conditionEnvironment(extra: Iterable<string>): Environment {
  const environment = functions.clone()
  const schema: Record<string, string> = { ...FACT_TYPES }
  for (const name of NEED_FACTS) schema[name] = 'double'
  for (const name of extra) schema[name] ??= 'dyn'
  environment.registerVariable({ name: 'request', schema })
  return environment
}

/** The functions and operators of conditions, without the facts; cloned, because to register them takes a while. */
function functionEnvironment(): Environment {
  const environment = new Environment({ limits: CONDITION_LIMITS, homogeneousAggregateLiterals: true })
  for (const { signatures, run } of Object.values(CONDITION_FUNCTIONS) as ConditionFunction[]) {
    for (const signature of signatures) environment.registerFunction(signature, run)
  }
  for (const [operator, run] of MIXED_OPERATORS)
    environment.registerOperator(operator, run as (a: unknown, b: unknown) => unknown)
  return environment
}

const functions = functionEnvironment()

const syntax = conditionEnvironment([])

/** The tree of a condition. Throws the library's ParseError. */
export const parseCondition = (source: string): ASTNode => syntax.parse(source).ast

/** Checks a condition: syntax, then what it may use, then types. */
export function checkCondition(source: string): Checked {
  const facts = new Map<string, number>()
  let ast: ASTNode
  try {
    ast = parseCondition(source)
  } catch (error) {
    return { problems: [libraryProblem(error)], facts }
  }
  const problems: ConditionProblem[] = []
  walk(ast, { problems, facts, bound: new Set(), loops: 0 })
  if (problems.length > 0) return { problems, facts }
  const { valid, type, error } = conditionEnvironment(facts.keys()).check(source)
  if (!valid) problems.push(libraryProblem(error))
  else if (type !== 'bool' && type !== 'dyn') {
    problems.push({
      message: `the condition gives a ${type}, not true or false`,
      offset: 0,
      remedy: 'compare it with something',
    })
  }
  return { problems, facts }
}

function libraryProblem(error: unknown): ConditionProblem {
  const { summary, range, message } = error as Partial<ParseError> & Error
  return { message: lowerFirst((summary ?? message).split('\n')[0]!), offset: range?.start ?? 0 }
}

const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1)

/** Whether a fact can have this name at all: not one that every object has, such as `constructor`. */
const canBeFact = (name: string): boolean => /^[A-Za-z][A-Za-z0-9_]{0,63}$/.test(name) && !(name in {})

interface Walk {
  readonly problems: ConditionProblem[]
  readonly facts: Map<string, number>
  readonly bound: ReadonlySet<string>
  readonly loops: number
}

function walk(node: ASTNode, at: Walk): void {
  const wrong: Wrong = (message, remedy, offset = node.start) => {
    at.problems.push({ message, offset, ...(remedy === undefined ? {} : { remedy }) })
  }
  switch (node.op) {
    case 'value':
      if (typeof node.args === 'object' && node.args !== null) wrong('bytes and unsigned numbers have no place here')
      return
    case 'id':
      if (node.args === 'request' && !at.bound.has('request'))
        wrong('request is no value by itself', 'name a fact: request.tenant')
      else if (!at.bound.has(node.args))
        wrong(`there is no "${node.args}" here`, 'a condition reads facts of the request: request.tenant')
      return
    case '.': {
      const fact = at.bound.has('request') ? undefined : factOf(node)
      if (fact === undefined) {
        const [owner] = node.args
        if (owner.op === 'id' && owner.args !== 'request') walk(owner, at)
        else wrong('facts have no fields of their own', 'facts are flat: request.name', node.pos)
        return
      }
      const refused = Object.hasOwn(REFUSED_FACTS, fact) ? REFUSED_FACTS[fact] : undefined
      if (!canBeFact(fact)) wrong(`"${fact}" cannot be the name of a fact`, 'write letters, digits and underscores')
      else if (refused !== undefined) wrong(`request.${fact} cannot be read in a condition`, refused)
      else if (!at.facts.has(fact)) at.facts.set(fact, node.start)
      return
    }
    case 'call':
    case 'rcall':
      walkCall(node, at, wrong)
      return
    case 'list':
      for (const item of node.args) walk(item, at)
      return
    case '!_':
    case '-_':
      walk(node.args, at)
      return
    case 'map':
      wrong('a map has no place here')
      return
    case '[]':
    case '[?]':
    case '.?':
      return void wrong(
        'brackets have no place here',
        'write request.name for a fact, and "x" in request.name for a list',
      )
    default:
      for (const part of node.args) walk(part, at)
  }
}

type Wrong = (message: string, remedy?: string, offset?: number) => void

function walkCall(node: ASTNode & { op: 'call' | 'rcall' }, at: Walk, wrong: Wrong): void {
  const [name, receiver, args] = node.op === 'call' ? [node.args[0], undefined, node.args[1]] : node.args
  if (node.op === 'call' && name === 'has') {
    // has() looks at the field, it does not read it: the fact counts as one that the condition knows.
    for (const arg of args) walk(arg, at)
    return
  }
  if (receiver !== undefined) walk(receiver, at)
  if (MACROS.has(name) && receiver !== undefined) {
    walkLoop(args, at, wrong)
    return
  }
  if (name === 'matches') {
    wrong('matches() can take forever on some texts', 'write re2match(request.path, "…"), which cannot')
    return
  }
  const known = (CONDITION_FUNCTIONS as Readonly<Record<string, ConditionFunction>>)[name]
  if (known === undefined || !Object.hasOwn(CONDITION_FUNCTIONS, name)) {
    const all = [...Object.keys(CONDITION_FUNCTIONS), 'has', ...MACROS]
    wrong(`there is no function "${name}" here${didYouMean(name, all)}`, `known: ${all.join(', ')}`)
    return
  }
  for (const arg of args) walk(arg, at)
  const pattern = args.at(-1)
  if (name === 're2match' || name === 'inCidr') checkLiteral(name, pattern, wrong)
}

function walkLoop(args: readonly ASTNode[], at: Walk, wrong: Wrong): void {
  if (at.loops >= LOOPS_MAX) wrong(`more than ${LOOPS_MAX} loops inside one another`, 'split the policy in two')
  const [variable, predicate] = args
  if (variable?.op !== 'id' || predicate === undefined) wrong('a loop is list.exists(v, condition on v)')
  else walk(predicate, { ...at, bound: new Set([...at.bound, variable.args]), loops: at.loops + 1 })
}

function checkLiteral(name: 're2match' | 'inCidr', arg: ASTNode | undefined, wrong: Wrong): void {
  if (arg === undefined) return
  if (arg.op !== 'value' || typeof arg.args !== 'string') {
    const what = name === 're2match' ? 'pattern' : 'block'
    wrong(`the ${what} of ${name} has to be written out`, `write it in quotes: ${name}(request.x, "…")`, arg.start)
  } else if (name === 're2match' && patternOf(arg.args) === undefined) {
    const remedy = 'RE2 has no back references and no look-around; write it without'
    wrong(`RE2 does not know the pattern ${JSON.stringify(arg.args)}`, remedy, arg.start)
  } else if (name === 'inCidr' && parseBlock(arg.args) === undefined) {
    wrong(`${JSON.stringify(arg.args)} is not a block of addresses`, 'write it like "10.0.0.0/8"', arg.start)
  }
}
