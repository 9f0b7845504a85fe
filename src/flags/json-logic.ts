import { Constants, defaultMethods, LogicEngine } from 'json-logic-engine'
import type { EpochMs } from '../model/names.ts'
import { type Buckets, bucketsOf, type FractionalVersion, hashOfAsker, hashOfKey, pick } from './fractional.ts'
import { costOf, FUEL, METER, metered, TooMuch } from './meter.ts'
import { isConstants, OPERATORS } from './operators.ts'
import { ownField, pathOf } from './paths.ts'
import { compareVersions } from './sem-ver.ts'

/** Evaluates one flag's targeting for a flag of this key. Throws where the rules do: adding up a map, say. */
export type Targeting = (flagKey: string, context: object, now: EpochMs) => unknown

/** What an operator of ours does: its operands, the data in view there, and the data around that. */
type Method = (operands: unknown, context: unknown, above: unknown) => unknown

/** An operator as the engine wants it. `state.compile` gives the source of a call, or false: then `method` is called. */
interface EngineMethod {
  readonly method: Method
  readonly compile?: (operands: unknown, state: BuildState) => unknown
  readonly deterministic?: unknown
  readonly optimizeUnary?: boolean
}

/** As much as we need of what the engine hands to `state.compile`: a tag for templates whose functions become calls. */
interface BuildState {
  readonly compile: (strings: TemplateStringsArray, ...parts: unknown[]) => unknown
}

/** What the operators of one program see of the evaluation that is going on. */
interface Scope {
  flagKey: string
  root: object
  now: EpochMs
  fuel: number
}

type Engine = LogicEngine & { readonly allowFunctions?: boolean }
type LibraryMethods = Readonly<Record<string, EngineMethod>>

const library = defaultMethods as unknown as LibraryMethods
const NOWHERE = {}

/** Compiles targeting. Throws where it can't be: an operator that is none, an operand that can never be right. */
export function compileTargeting(targeting: unknown, version: FractionalVersion): Targeting {
  const scope: Scope = { flagKey: '', root: NOWHERE, now: 0, fuel: FUEL }
  const { logic } = metered(targeting)
  const engine: Engine = new LogicEngine({})
  // Without a prototype, so that `constructor` is no operator, whoever asks.
  engine.methods = Object.assign(Object.create(null), methodsOf(scope, version))
  engine.truthy = truthy
  // What does not depend on the context is worked out here already, with the same limit.
  const run = engine.build(logic) as (context: object) => unknown
  return (flagKey, context, now) => {
    scope.flagKey = flagKey
    scope.root = context
    scope.now = now
    scope.fuel = FUEL
    try {
      return run(context)
    } finally {
      scope.root = NOWHERE
    }
  }
}

/** The engine's own check reads `constructor`, which data may hold. */
function truthy(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  return Array.isArray(value) ? value.length > 0 : Object.keys(value).length > 0
}

function methodsOf(scope: Scope, version: FractionalVersion): Record<string, EngineMethod> {
  const methods = Object.fromEntries(Object.keys(OPERATORS).map((name) => [name, library[name]!]))
  return Object.assign(methods, {
    [METER]: meterMethod(scope),
    in: IN,
    ...dataMethods(scope),
    fractional: fractionalMethod(scope, version),
    starts_with: method(onTexts((text, part) => text.startsWith(part))),
    ends_with: method(onTexts((text, part) => text.endsWith(part))),
    sem_ver: method((operands) =>
      Array.isArray(operands) && operands.length === 3 ? compareVersions(operands[0], operands[1], operands[2]) : null,
    ),
  })
}

const method = (run: Method): EngineMethod => ({ method: synchronous(run) })

/** The engine awaits whatever does not carry this mark. */
const synchronous = <Run extends (...parts: never[]) => unknown>(run: Run): Run =>
  Object.assign(run, { [Constants.Sync]: true })

const onTexts =
  (compare: (text: string, part: string) => boolean): Method =>
  (operands) => {
    if (!Array.isArray(operands) || operands.length !== 2) return null
    const [text, part] = operands
    return typeof text === 'string' && typeof part === 'string' ? compare(text, part) : null
  }

function meterMethod(scope: Scope): EngineMethod {
  const charge = synchronous((value: unknown, each: number): unknown => {
    scope.fuel -= costOf(value, each, scope.fuel)
    if (scope.fuel < 0) throw new TooMuch('the targeting goes through more than it may')
    return value
  })
  return {
    method: synchronous((operands) => charge((operands as unknown[])[0], (operands as number[])[1]!)),
    compile: (operands, state) => {
      const [value, each] = operands as unknown[]
      return state.compile`${charge}(${value}, ${each})`
    },
    deterministic: true,
  }
}

/** How many characters are compared at most when a text is looked for in another one. */
const COMPARED_MAX = 16_777_216

const within = synchronous((whole: unknown, part: unknown): boolean => {
  if (!whole) return false
  if (Array.isArray(whole)) return whole.includes(part)
  if (typeof whole !== 'string') throw new Error('"in" looks into lists and texts')
  // Looking for a long text in a long one can take as long as their product.
  if (typeof part === 'string' && whole.length * Math.min(part.length, whole.length) > COMPARED_MAX)
    throw new TooMuch('"in" compares more than it may')
  return whole.includes(part as string)
})

const IN: EngineMethod = {
  method: synchronous((operands) => within((operands as unknown[])[1], (operands as unknown[])[0])),
  compile: (operands, state) => {
    if (!Array.isArray(operands)) return false
    const [part, whole] = operands as unknown[]
    if (!Array.isArray(whole) || !isConstants(whole)) return state.compile`${within}(${whole}, ${part})`
    // The same equality as that of lists, and as quick for a thousand tenants as for one.
    const items = new Set(whole)
    return state.compile`${synchronous((item: unknown) => items.has(item))}(${part})`
  },
  deterministic: true,
}

/** Operators that read the context. They see what a value has of its own, and `$flagd` in the context itself. */
function dataMethods(scope: Scope): Record<'var' | 'missing' | 'missing_some', EngineMethod> {
  const flagd = () => ({ flagKey: scope.flagKey, timestamp: Math.floor(scope.now / 1000) })
  const whole = (context: unknown) => (context === scope.root ? { ...scope.root, $flagd: flagd() } : context)
  const follow = (context: unknown, path: readonly string[]): unknown => {
    let at: unknown = context
    for (const name of path) {
      at = name === '$flagd' && at === scope.root ? flagd() : ownField(at, name)
      if (at === undefined || at === null) return at
    }
    return at
  }
  const variable: Method = (operands, context, above) => {
    const [key, fallback = null] = Array.isArray(operands) ? operands : [operands]
    const { name, from } = climbed(key, context, above)
    if (name === undefined || name === null || name === '') return whole(from)
    const path = pathOf(String(name))
    const found = follow(from, path)
    // A field that is null is there, unless the path goes on beyond it.
    return found === undefined || (found === null && !isThere(from, path)) ? fallback : found
  }
  const isThere = (context: unknown, path: readonly string[]): boolean => {
    let at: unknown = context
    for (const name of path) {
      if (!at) return false
      at = follow(at, [name])
      if (at === undefined) return false
    }
    return true
  }
  const absent = (names: unknown, context: unknown): unknown[] =>
    list(names).filter((name) => !isThere(context, pathOf(String(name))))
  return {
    var: {
      method: synchronous(variable),
      compile: (operands, state) => {
        const [key, fallback = null] = Array.isArray(operands) ? operands : [operands]
        if (Array.isArray(operands) && operands.length > 2) return false
        if (key === undefined || key === null || key === '') return state.compile`${synchronous(whole)}(context)`
        if ((typeof key !== 'string' && typeof key !== 'number') || String(key).includes('../')) return false
        const path = pathOf(String(key))
        const read = synchronous((context: unknown) => follow(context, path))
        // The engine's comparisons look at `prev`, the value that was read last: so must ours to come out the same.
        return state.compile`(prev = ${read}(context) ?? (${fallback}))`
      },
      deterministic: library.var!.deterministic,
      optimizeUnary: true,
    },
    missing: method(absent),
    missing_some: method((operands, context) => {
      const [least, names] = operands as [number, unknown]
      const gone = absent(names, context)
      return list(names).length - gone.length >= least ? [] : gone
    }),
  }
}

const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [value])

/** Where `../` leads: from an item to what goes through the items, and on to the data around it. */
function climbed(key: unknown, context: unknown, above: unknown): { name: unknown; from: unknown } {
  let around = above as readonly unknown[]
  let from = context
  let name = key
  let at = 0
  while (typeof name === 'string' && name.startsWith('../') && at < around.length) {
    from = around[at++]
    name = name.slice(3)
    if (at === around.length && Array.isArray(from)) {
      around = from
      from = around[0]
      at = 1
    }
  }
  return { name, from }
}

function fractionalMethod(scope: Scope, version: FractionalVersion): EngineMethod {
  const ofAsker = (buckets: Buckets | null): unknown => {
    const hash = hashOfAsker(version, scope.flagKey, ownField(scope.root, 'targetingKey'))
    return hash === null || buckets === null ? null : pick(buckets, hash)
  }
  const ofKey = (key: unknown, buckets: Buckets | null): unknown => {
    const hash = hashOfKey(version, key)
    return hash === null || buckets === null ? null : pick(buckets, hash)
  }
  const general = (operands: readonly unknown[]): unknown => {
    const isKey = version === 2 ? typeof operands[0] === 'string' : !Array.isArray(operands[0])
    return isKey ? ofKey(operands[0], bucketsOf(operands.slice(1))) : ofAsker(bucketsOf(operands))
  }
  return {
    method: synchronous((operands) => (Array.isArray(operands) && operands.length > 0 ? general(operands) : null)),
    compile: (operands, state) => {
      if (!Array.isArray(operands) || operands.length === 0) return false
      const [first, ...rest] = operands as unknown[]
      const entries = Array.isArray(first) ? operands : rest
      // Weights that are expressions are only known when they are asked for.
      if (!entries.every(isConstant)) return false
      const buckets = bucketsOf(entries)
      if (Array.isArray(first)) return state.compile`${synchronous(() => ofAsker(buckets))}()`
      const isKey = (key: unknown) => (version === 2 ? typeof key === 'string' : !Array.isArray(key))
      const byKey = (key: unknown) => (isKey(key) ? ofKey(key, buckets) : general([key, ...entries]))
      return state.compile`${synchronous(byKey)}(${first})`
    },
  }
}

const isConstant = (entry: unknown): boolean =>
  Array.isArray(entry) && entry.every((part) => part === null || typeof part !== 'object')
