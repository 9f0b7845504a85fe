/** Numbers below a bound that depend on a seed alone (xorshift32). */
export type Draw = (below: number) => number

/** A Draw of its own for a seed. */
export const drawing = (seed: number): Draw => {
  let state = Math.imul(seed, 2654435761) | 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

const one = <T>(draw: Draw, items: readonly T[]): T => items[draw(items.length)]!

/** Names of the context, of which some are missing at times and some never there. */
const NAMES = [
  'targetingKey',
  'tenant',
  'tier',
  'region',
  'age',
  'beta',
  'version',
  'groups',
  'scores',
  'user.name',
  'user.address.zip',
  'user',
  'groups.0',
  'tenant.length',
  'nothing',
  'empty',
  'missing',
  'a\\.b',
  '$flagd.flagKey',
  '.',
  '..',
]
const TEXTS = ['', 'a', 'b', 'premium', 'basic', 'EMEA', 'tenant-7', '1', '1.5', ' 2 ', 'x,y', 'true', 'c']
const NUMBERS = [0, 1, -1, 2, 10, 50, 1.5, -0.5, 1e21]
const VERSIONS = [
  '1.0.0',
  'v1.2.3',
  '1.2',
  '2',
  '2.0.0.0',
  '1.2.3-rc.1',
  '1.2.3-rc.10+b5',
  '01.2.3',
  '1.2.3-01',
  'V3',
  '',
  ' 1.0.0 ',
]

const literal = (draw: Draw): unknown =>
  one<() => unknown>(draw, [
    () => one(draw, TEXTS),
    () => one(draw, TEXTS),
    () => one(draw, NUMBERS),
    () => draw(2) === 0,
    () => null,
  ])()

/** An expression; `inside` where the data in view is an item, of which flagd's own operators are kept out. */
function expression(draw: Draw, depth: number, inside = false): unknown {
  if (depth <= 0) return draw(3) === 0 ? literal(draw) : variable(draw, inside)
  const next = (): unknown => expression(draw, depth - 1 - draw(2), inside)
  const some = (least: number, most: number): unknown[] => Array.from({ length: least + draw(most - least + 1) }, next)
  const mapper = (): unknown => expression(draw, Math.min(2, depth - 1), true)
  const items = (): unknown =>
    draw(3) === 0 ? some(0, 3) : { var: one(draw, ['groups', 'scores', 'groups', 'missing', 'tenant']) }
  const operator =
    (name: string, make: () => unknown): (() => unknown) =>
    () => ({ [name]: make() })
  const plain = [
    () => variable(draw, inside),
    () => literal(draw),
    operator('if', () => some(3, 5)),
    operator('if', () => some(1, 3)),
    ...['==', '===', '!=', '!==', '<', '<=', '>', '>='].map((name) => operator(name, () => [next(), next()])),
    operator('<', () => [next(), next(), next()]),
    operator('!', () => [next()]),
    operator('!!', () => (draw(2) === 0 ? [next()] : variable(draw, inside))),
    operator('and', () => some(1, 3)),
    operator('or', () => some(1, 3)),
    operator('+', () => some(1, 3)),
    operator('+', () => variable(draw, inside)),
    operator('-', () => some(1, 2)),
    operator('*', () => some(1, 3)),
    operator('/', () => [next(), next()]),
    operator('%', () => [next(), next()]),
    operator('max', () => (draw(3) === 0 ? { var: 'scores' } : some(1, 3))),
    operator('min', () => some(1, 3)),
    operator('cat', () => (draw(4) === 0 ? variable(draw, inside) : some(1, 3).map((part) => bare(part, draw)))),
    operator('substr', () => [next(), one(draw, [0, 1, -2]), ...(draw(2) === 0 ? [one(draw, [1, -1, 3])] : [])]),
    operator('in', () => [next(), draw(2) === 0 ? [literal(draw), literal(draw)] : next()]),
    operator('merge', () => some(1, 3)),
    operator('missing', () => [one(draw, NAMES), one(draw, NAMES)].slice(draw(2))),
    operator('missing_some', () => [1 + draw(2), [one(draw, NAMES), one(draw, NAMES), one(draw, NAMES)]]),
    ...['map', 'filter', 'all', 'some', 'none'].map((name) => operator(name, () => [items(), mapper()])),
    operator('reduce', () => [
      items(),
      { [one(draw, ['+', 'cat', 'max'])]: [{ var: 'accumulator' }, { var: 'current' }] },
      one<unknown>(draw, [0, '', 1]),
    ]),
  ]
  const version = (): unknown => (draw(2) === 0 ? { var: 'version' } : one<unknown>(draw, [...VERSIONS, 1, 1.2]))
  const ofFlagd = [
    operator('starts_with', () => [next(), next()]),
    operator('ends_with', () => [{ var: 'tenant' }, one(draw, ['7', '', 'a'])]),
    operator('sem_ver', () => [version(), one(draw, ['=', '!=', '<', '<=', '>', '>=', '^', '~', '?']), version()]),
    operator('fractional', () => fractional(draw, next)),
    operator('fractional', () => fractional(draw, next)),
  ]
  return one(draw, inside ? plain : [...plain, ...ofFlagd, ...ofFlagd])()
}

/** The engine takes operands of `cat` that become a condition with `?` for something else. */
const bare = (part: unknown, draw: Draw): unknown =>
  ['and', 'or', 'missing', 'missing_some'].some((name) => typeof part === 'object' && part !== null && name in part)
    ? literal(draw)
    : part

const variable = (draw: Draw, inside: boolean): unknown => {
  // Paths of an item are left out: the engine takes an item that is 0 for each of its fields.
  if (inside) return { var: one<unknown>(draw, ['', 'x', 'name', 'accumulator', '../index', '../../tier']) }
  if (draw(6) === 0) return { var: [one(draw, NAMES), literal(draw)] }
  if (draw(20) === 0) return { var: { var: 'tier' } }
  return { var: one(draw, NAMES) }
}

function fractional(draw: Draw, next: () => unknown): unknown[] {
  const weight = (): unknown =>
    draw(8) === 0 ? next() : one<unknown>(draw, [0, 1, 5, 25, 50, 100, -3, 1.5, 2_147_483_647, null, '5'])
  const entry = (): unknown => {
    const variant = draw(6) === 0 ? next() : one(draw, ['a', 'b', 'c', 'true'])
    return draw(4) === 0 ? [variant] : draw(40) === 0 ? variant : [variant, draw(3) === 0 ? weight() : 25 + draw(50)]
  }
  const entries = Array.from({ length: 1 + draw(4) }, entry)
  const key = one<() => unknown>(draw, [
    () => ({ var: 'targetingKey' }),
    () => ({ cat: [{ var: '$flagd.flagKey' }, { var: 'tenant' }] }),
    () => 'fixed',
    () => ({ var: 'nothing' }),
    () => ({ var: 'age' }),
  ])
  return draw(3) === 0 ? entries : [key(), ...entries]
}

const VARIANTS: readonly Readonly<Record<string, unknown>>[] = [
  { a: { policy: 'x@1' }, b: {}, c: { preferred_region: 'ams', nested: { list: [1, 2] } } },
  { a: 'A', b: 'B', true: 'T', false: 'F' },
  { a: 1, b: 0, 1: 2, premium: 3 },
  { true: true, false: false },
]

/** A definition that flagd's schema lets pass, or nearly so. */
export function drawFlag(draw: Draw): Record<string, unknown> {
  const variants = one(draw, VARIANTS)
  const names = Object.keys(variants)
  const rest = one<Record<string, unknown>>(draw, [
    { defaultVariant: one(draw, names) },
    { defaultVariant: one(draw, names) },
    { defaultVariant: null },
    {},
  ])
  const targeting = one<() => Record<string, unknown>>(draw, [
    ...Array<() => Record<string, unknown>>(10).fill(() => ({ targeting: rule(draw, names) })),
    () => ({ targeting: {} }),
    () => ({}),
  ])
  return { state: draw(20) === 0 ? 'DISABLED' : 'ENABLED', variants, ...rest, ...targeting() }
}

const rule = (draw: Draw, names: readonly string[]): unknown => {
  const depth = 1 + draw(4)
  // Rules as people write them, beside what nobody would.
  const condition = expression(draw, depth)
  const outcome = (): unknown =>
    draw(4) === 0 ? { fractional: fractional(draw, () => literal(draw)) } : one(draw, names)
  const made = draw(2) === 0 ? { if: [condition, outcome(), ...(draw(3) === 0 ? [] : [outcome()])] } : condition
  return typeof made === 'object' && made !== null ? made : { if: [made, one(draw, names), null] }
}

/** A context; of each name now and then nothing, or a value of another kind. */
export function drawContext(draw: Draw): Record<string, unknown> {
  const context: Record<string, unknown> = {}
  const put = (name: string, ...values: unknown[]): void => {
    if (draw(5) > 0) context[name] = one(draw, values)
  }
  const key = `user-${draw(100_000)}`
  put('targetingKey', key, key, key, '')
  put('tenant', `tenant-${draw(50)}`, 'tenant-7', 'a', 5, { id: 3 })
  put('tier', 'premium', 'basic', '', null, 'region')
  put('region', 'EMEA', 'APAC')
  put('age', 17, 18, 0, -3, '18', 'abc', true, null)
  put('beta', true, false, 'true')
  put('version', ...VERSIONS, 1, 1.2, null)
  put('groups', ['a', 'b'], ['premium'], [], [['a'], 'b'], 'ab', { x: 1 })
  put('scores', [1, 2, 3], [0], [], ['5', 1], [null])
  put('user', { name: 'x', address: { zip: '1' } }, { name: '' }, 'text', null)
  put('nothing', null)
  put('empty', '', [], {})
  put('a.b', 'dotted')
  if (draw(10) === 0) context.$flagd = { flagKey: 'forged', timestamp: 1 }
  return context
}

/** A definition whose targeting is `if` without `else`, of conditions as people write them. */
export function drawHalf(draw: Draw): Record<string, unknown> {
  const variants = VARIANTS[0]!
  const outcome = draw(2) === 0 ? 'a' : { fractional: fractional(draw, () => literal(draw)) }
  return { state: 'ENABLED', variants, defaultVariant: 'b', targeting: { if: [condition(draw, 3), outcome] } }
}

function condition(draw: Draw, depth: number): unknown {
  const field = { var: one(draw, NAMES) }
  const next = (): unknown => condition(draw, depth - 1)
  const simple = [
    () => field,
    () => literal(draw),
    () => ({ [one(draw, ['==', '!=', '<', '<=', '>', '>='])]: [field, literal(draw)] }),
    () => ({ [one(draw, ['==', '<'])]: [field, { var: one(draw, NAMES) }] }),
    () => ({ in: [field, [literal(draw), literal(draw), 'premium']] }),
    () => ({ in: [field, { var: one(draw, ['groups', 'tenant']) }] }),
    () => ({ starts_with: [field, one(draw, TEXTS)] }),
    () => ({ sem_ver: [field, one(draw, ['>=', '^']), one(draw, VERSIONS)] }),
  ]
  const joined = [
    () => ({ [one(draw, ['and', 'or'])]: [next(), next()] }),
    () => ({ [one(draw, ['!', '!!'])]: [next()] }),
    () => ({ [one(draw, ['===', '!=='])]: [next(), next()] }),
    () => ({ if: [next(), next()] }),
    () => ({ '==': [next(), { if: [next(), 'x'] }] }),
  ]
  return one(draw, depth <= 0 ? simple : [...simple, ...joined, ...joined])()
}
