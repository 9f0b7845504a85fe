import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { canonicalCbor } from '../../src/flags/cbor.ts'
import { createFlagCompiler, type FlagCompilerOptions } from '../../src/flags/compile-flag.ts'
import { bucketsOf, pick } from '../../src/flags/fractional.ts'
import { meaningOf } from '../../src/flags/meaning.ts'
import { OPERATORS } from '../../src/flags/operators.ts'
import { FLAG_PROBLEMS } from '../../src/flags/problems.ts'
import { FLAGS_MAX, readFlagFiles, readFlags } from '../../src/flags/read-flags.ts'
import type { FlagDefinition, FlagResult, Json } from '../../src/model/flag.ts'
import { problemText } from '../../src/model/problem.ts'
import { CASE_NOW, definitionOf, FLAG_CASES } from '../helpers/flag-cases.ts'
import { FLAG_FAULTS } from '../helpers/flag-faults.ts'
import { FLAG_MEANINGS } from '../helpers/flag-meanings.ts'

const run = (
  definition: FlagDefinition,
  context: Readonly<Record<string, unknown>> = {},
  { key = 'case', ...options }: FlagCompilerOptions & { key?: string } = {},
): FlagResult => createFlagCompiler(options).compile({ key, definition, hash: 'h' })(context, CASE_NOW)

/** A flag of which every text that targeting comes to is a variant. */
const naming = (targeting: unknown, ...variants: string[]): FlagDefinition => ({
  state: 'ENABLED',
  variants: Object.fromEntries(variants.map((name) => [name, name])),
  targeting: targeting as Json,
})

t.test('evaluation is as flagd has it', async (t) => {
  for (const one of FLAG_CASES) {
    const definition = definitionOf(one)
    const context = Object.freeze({ ...one.context })
    const result = run(definition, context)
    t.match(result, one.gives, one.what)
    const { variant } = one.gives
    t.strictSame(
      result.value,
      variant === undefined ? undefined : (one.gives.value ?? definition.variants[variant]),
      one.what,
    )
  }
})

t.test('every operator is used by a case, or by one of the generated definitions', async (t) => {
  const generator = readFileSync(join(import.meta.dirname, '../helpers/flag-generator.ts'), 'utf8')
  const text = JSON.stringify(FLAG_CASES)
  const unused = Object.keys(OPERATORS).filter(
    (name) => !text.includes(`"${name}":`) && !generator.includes(`'${name}'`),
  )
  t.strictSame(unused, [])
})

t.test('version 3 of fractional is what the first evaluator that has it answers', async (t) => {
  const lines = readFileSync(join(import.meta.dirname, '../fixtures/fractional-v3.jsonl'), 'utf8')
    .trim()
    .split('\n')
  const { keys, encodings, splits, answers, askers, asked } = Object.fromEntries(lines.map((line) => JSON.parse(line)))
  t.strictSame(
    keys.map((key: unknown) => Buffer.from(canonicalCbor(key)!).toString('hex')),
    encodings,
  )
  const choose = (fractional: unknown[], context: object): unknown =>
    run(naming({ fractional }, 'a', 'b', 'c'), { ...context }, { fractionalVersion: 3, key: 'fractional-flag' })
      .variant ?? null
  for (const [at, split] of splits.entries()) {
    const worked = [...split.slice(0, -1), { if: [true, split.at(-1)] }]
    t.strictSame(
      keys.map((key: unknown) => choose([{ var: 'k' }, ...split], { k: key })),
      answers[at],
      JSON.stringify(split),
    )
    t.strictSame(
      keys.map((key: unknown) => choose([{ var: 'k' }, ...worked], { k: key })),
      answers[at],
      'worked out',
    )
    t.strictSame(
      askers.map((targetingKey: unknown) => choose(split, { targetingKey })),
      asked[at],
      'without key',
    )
  }
  t.equal(answers.flat().filter((variant: unknown) => variant !== null).length > 500, true)
  t.equal(choose([{ var: 'k' }, ['a', 1]], { k: 'half a \ud83d' }), null, 'a text that is no Unicode')
})

t.test('a bucket is the upper half of the 64-bit product of hash and total', async () => {
  const weights = fc.array(fc.oneof(fc.nat(1000), fc.nat(2 ** 27)), { minLength: 1, maxLength: 12 })
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), weights, (hash, weights) => {
      const buckets = bucketsOf(weights.map((weight, index) => [index, weight]))
      const total = weights.reduce((sum, weight) => sum + weight, 0)
      if (total === 0) return buckets === null
      const bucket = Number((BigInt(hash) * BigInt(total)) >> 32n)
      const ends = weights.map((_, index) => weights.slice(0, index + 1).reduce((sum, weight) => sum + weight, 0))
      return pick(buckets!, hash) === ends.findIndex((end) => bucket < end)
    }),
    { numRuns: 5_000, seed: 7 },
  )
})

t.test('two arms over one total keep everybody in the treatment whose share grows', async () => {
  const share = fc.nat(10_000)
  const arm = (key: string, treatment: number, isFirst: boolean): unknown => {
    const arms = [
      ['treatment', treatment],
      ['control', 10_000 - treatment],
    ]
    return run(naming({ fractional: [key, ...(isFirst ? arms : arms.reverse())] }, 'treatment', 'control')).variant
  }
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), share, share, fc.boolean(), (key, one, other, isFirst) => {
      const before = arm(key, Math.min(one, other), isFirst)
      return before === 'control' || arm(key, Math.max(one, other), isFirst) === 'treatment'
    }),
    { numRuns: 1_000, seed: 7 },
  )
})

t.test('three arms can move those of the second one, all of them', async (t) => {
  const compiler = createFlagCompiler()
  const split = (control: number, one: number, other: number) => {
    const fractional = [{ var: 'k' }, ['control', control], ['one', one], ['other', other]]
    const definition = naming({ fractional }, 'control', 'one', 'other')
    return compiler.compile({ key: 'f', definition, hash: `${control}` })
  }
  const [before, after] = [split(98, 1, 1), split(80, 10, 10)]
  const users = Array.from({ length: 20_000 }, (_, index) => ({ k: `user-${index}` }))
  const inOne = users.filter((user) => before(user, 0).variant === 'one')
  t.ok(inOne.length > 100)
  t.equal(inOne.filter((user) => after(user, 0).variant !== 'one').length, inOne.length)
})

const HOSTILE = [
  '"+globalThis.reached++ +"',
  "'+globalThis.reached+++'",
  '$' + '{globalThis.reached++}',
  '`+globalThis.reached+++`',
  '\\"];globalThis.reached++;//',
  '\n globalThis.reached++ \n',
  '\u2028globalThis.reached++\u2029',
  '*/ globalThis.reached++ /*',
  '__%%%0%%%__',
  'prev',
  'context',
  'methods[0](context)',
  '\\',
  '\\\\',
  '\0',
  '\ud800',
]

t.test('no text of a definition or a context is ever run', async (t) => {
  const world = globalThis as { reached?: number }
  world.reached = 0
  const text = fc.oneof(
    fc.constantFrom(...HOSTILE),
    fc.string({ unit: fc.nat(0xffff).map((code) => String.fromCharCode(code)) }),
  )
  const escaped = (name: string): string => name.replaceAll('\\', '\\\\').replaceAll('.', '\\.')
  fc.assert(
    fc.property(text, text, text, (key, name, value) => {
      const variant = value === '' ? 'v' : value
      const read = { var: key === 'unused' ? name : escaped(name) }
      const targeting = {
        if: [{ and: [{ '===': [read, value] }, { in: [value, [key, value]] }] }, { cat: [variant] }, null],
      }
      const context = name === '' || name.includes('../') ? {} : { [name]: value }
      const result = run(naming(targeting, variant, key === '' ? 'k' : key), context, { key })
      if (name === '' || name.includes('/') || name === '$flagd') return result.reason !== 'STATIC'
      return result.variant === variant
    }),
    { numRuns: 600, seed: 7 },
  )
  for (const text of HOSTILE) {
    t.equal(run(naming({ [text]: [1] }, 'a')).errorCode, 'PARSE_ERROR', 'as an operator')
    t.equal(run(naming({ if: [{ [text]: [{ var: 'x' }] }, 'a'] }, 'a')).errorCode, 'PARSE_ERROR')
    for (const op of [
      'var',
      'missing',
      'cat',
      '+',
      '-',
      '*',
      '/',
      '%',
      'substr',
      'max',
      '<',
      'starts_with',
      'sem_ver',
      'fractional',
    ])
      t.type(run(naming({ [op]: [text, text, text] }, 'a'), { [text]: text }).reason, 'string')
  }
  t.equal(world.reached, 0)
  delete world.reached
})

t.test('nothing that values inherit is data', async (t) => {
  for (const name of [
    'constructor',
    'constructor.name',
    '__proto__',
    'toString',
    'hasOwnProperty',
    'user.constructor.name',
  ]) {
    const context = { user: { name: 'x' } }
    t.match(
      run(naming({ if: [{ '===': [{ var: [name, 'none'] }, 'none'] }, 'a'] }, 'a'), context),
      { variant: 'a' },
      name,
    )
    t.match(run(naming({ var: name }, 'Object'), context), { reason: 'DEFAULT' }, name)
    t.match(run(naming({ var: { cat: [name] } }, 'Object'), context), { reason: 'DEFAULT' }, `${name}, worked out`)
    t.match(run(naming({ missing: [name] }, name), context), { variant: name }, `${name} is missing`)
  }
  const own = JSON.parse('{"constructor":"mine","__proto__":"yours"}')
  t.match(run(naming({ var: 'constructor' }, 'mine'), own), { variant: 'mine' })
  t.match(run(naming({ var: '__proto__' }, 'yours'), own), { variant: 'yours' })
  t.match(run(naming({ if: [{ var: 'x' }, 'a'] }, 'a'), { x: { constructor: null } }), { variant: 'a' })
  for (const name of [
    'constructor',
    'toString',
    '__proto__',
    'try',
    'throw',
    'eachKey',
    'pipe',
    'val',
    'preserve',
    '$meter',
    'method',
    'log',
  ])
    t.equal(run(naming(JSON.parse(`{"${name}":[{"var":"x"},1]}`), 'a')).errorCode, 'PARSE_ERROR', name)
})

t.test('what would go on for ever, or grow without end, ends as an error', async (t) => {
  const items = Array.from({ length: 1_000 }, (_, index) => index)
  const text = 'a'.repeat(500_000)
  const over = (selector: unknown, mapper: unknown): unknown => ({ map: [selector, mapper] })
  const doubled = { var: 'accumulator' }
  const costly: Readonly<Record<string, unknown>> = {
    'lists in lists in lists': over(
      { var: 'items' },
      over({ var: '../../items' }, over({ var: '../../../../items' }, 1)),
    ),
    'a list that doubles': { reduce: [{ var: 'items' }, { merge: [doubled, doubled] }, [1]] },
    'a text that doubles': { reduce: [{ var: 'items' }, { cat: [doubled, doubled] }, 'x'] },
    'many copies of a list': { merge: Array.from({ length: 300 }, () => ({ var: 'items' })) },
    'a long text in a long text': { in: [{ var: 'half' }, { var: 'text' }] },
    'constants alone': { reduce: [items.slice(0, 60), { merge: [doubled, doubled] }, [1]] },
    'the whole of a text again and again': over({ var: 'items' }, { cat: [{ var: '../../text' }, '!'] }),
    'a list as the result': { map: [{ var: 'many' }, 'x'] },
  }
  const context = { items, text, half: `${'a'.repeat(250_000)}b`, many: Array(200_000).fill('x') }
  for (const [what, targeting] of Object.entries(costly)) {
    const result = run(naming(targeting, 'a'), context)
    t.match(result, { reason: 'ERROR', errorCode: /GENERAL|PARSE_ERROR/, errorMessage: /more than it may/ }, what)
    // The same rule, where only its truth is asked for and where the engine does not compile it.
    t.match(run(naming({ if: [{ '!!': [targeting] }, 'a'] }, 'a'), context), { reason: 'ERROR' }, what)
  }
  const modest = { some: [{ var: 'items' }, { '===': [{ var: '' }, 999] }] }
  t.match(run(naming({ if: [modest, 'a'] }, 'a'), context), { variant: 'a' }, 'a thousand items are gone through')
})

t.test('evaluation never throws, whatever the definition and the context hold', async (t) => {
  const operator = fc.constantFrom(...Object.keys(OPERATORS))
  const { logic } = fc.letrec((tie) => ({
    logic: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.jsonValue({ maxDepth: 1 }),
      fc.record({ var: fc.constantFrom('a', 'b', 'a.b', '') }),
      fc.tuple(operator, fc.array(tie('logic'), { maxLength: 4 })).map(([name, operands]) => ({ [name]: operands })),
      fc.tuple(operator, tie('logic')).map(([name, operand]) => ({ [name]: operand })),
    ),
  }))
  const context = fc.record(
    { a: fc.jsonValue(), b: fc.jsonValue(), targetingKey: fc.jsonValue() },
    { requiredKeys: [] },
  )
  const reasons = new Map<string, number>()
  fc.assert(
    fc.property(logic, context, fc.constantFrom<2 | 3>(2, 3), (targeting, context, fractionalVersion) => {
      const { reason } = run(naming(targeting, 'a', 'b', 'true', 'false', '0', '1'), context, { fractionalVersion })
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
    }),
    { numRuns: 2_000, seed: 7 },
  )
  t.ok(
    ['DEFAULT', 'ERROR', 'TARGETING_MATCH'].every((reason) => (reasons.get(reason) ?? 0) > 10),
    [...reasons].join(),
  )
})

const flagsText = (count: number, changed = -1): string =>
  JSON.stringify({
    flags: Object.fromEntries(
      Array.from({ length: count }, (_, index) => [
        `flag-${index}`,
        naming({ if: [{ '===': [{ var: 'tenant' }, `t-${index}${index === changed ? '!' : ''}`] }, 'a', null] }, 'a'),
      ]),
    ),
  })

t.test('a flag is compiled once, and only changed ones again', async (t) => {
  const compiler = createFlagCompiler()
  const set = readFlags(flagsText(1_000), 'flags').set!
  const steps = [...compiler.prepare(set)].length
  t.equal(compiler.compiled(), 1_000)
  t.equal(steps, 1_000, 'one flag at a step')
  for (const flag of Object.values(set.flags)) compiler.compile(flag)
  t.equal(compiler.compiled(), 1_000, 'what has been prepared is not compiled when it is used')
  const next = readFlags(flagsText(1_000, 500), 'flags').set!
  t.equal(
    [...compiler.prepare(next)].length,
    10,
    'one step for the changed one, and one for each hundred that are known',
  )
  t.equal(compiler.compiled(), 1_001)
  t.equal(compiler.compile(next.flags['flag-500']!)({ tenant: 't-500!' }, 0).variant, 'a')
  t.equal(compiler.compile(set.flags['flag-500']!)({ tenant: 't-500' }, 0).variant, 'a', 'the old one is another flag')
  compiler.retain(Object.values(next.flags).map(({ hash }) => hash))
  compiler.compile(set.flags['flag-500']!)
  t.equal(compiler.compiled(), 1_002, 'what was forgotten is compiled again')
})

t.test('flags of one definition differ by their keys alone', async (t) => {
  const compiler = createFlagCompiler()
  const definition = naming({ var: '$flagd.flagKey' }, 'one', 'two')
  const [one, two] = ['one', 'two'].map((key) => compiler.compile({ key, definition, hash: 'same' }))
  t.equal(one!({}, 0).variant, 'one')
  t.equal(two!({}, 0).variant, 'two')
  t.equal(compiler.compiled(), 1)
})

t.test('a flag that cannot be compiled does not keep others from their answers', async (t) => {
  const compiler = createFlagCompiler()
  const bad = compiler.compile({ key: 'bad', hash: 'bad', definition: naming({ if: [{ '*': [[1], 2] }, 'a'] }, 'a') })
  const good = compiler.compile({ key: 'good', hash: 'good', definition: naming({ if: [true, 'a'] }, 'a') })
  t.match(bad({}, 0), {
    reason: 'ERROR',
    errorCode: 'PARSE_ERROR',
    errorMessage: /the targeting of "bad" can't be compiled/,
  })
  t.match(good({}, 0), { reason: 'TARGETING_MATCH', variant: 'a' })
})

t.test('what is wrong with a definition is told with its code, its place and a reason', async (t) => {
  for (const { code, text, at, says } of FLAG_FAULTS) {
    const { set, problems } = readFlags(text, 'flags')
    const found = problems.find((one) => one.code === code && says.test(problemText(one)))
    const label = `${code} ${text.slice(0, 60)}: ${problems.map(problemText).join('\n')}`
    t.strictSame([found?.line, found?.column], at, label.slice(0, 600))
    t.equal(set === null, found?.severity === 'error', `${code}: errors refuse the whole set`)
  }
  const elsewhere = new Set(['flags/too-many', 'flags/more', 'flags/metadata-differs'])
  const untold = Object.keys(FLAG_PROBLEMS).filter(
    (code) => !elsewhere.has(code) && !FLAG_FAULTS.some((one) => one.code === code),
  )
  t.strictSame(untold, [], 'every code is provoked')
})

t.test(
  'a definition has the same flags and the same places, in JSON and in YAML, as a map and as a list',
  async (t) => {
    const text =
      '{"metadata":{"flagSetId":"s","owner":"a@example.com"},"$evaluators":{"e":{"==":[{"var":"r"},"x"]}},\n"flags":{"one":{"state":"ENABLED","variants":{"on":{"policy":"p@1"}},"defaultVariant":"on","targeting":{"if":[{"$ref":"e"},"on",null]},"metadata":{"owner":"b@example.com","layer":"rollout","class":"training","expires":"2027-02-01T01:00:00+01:00"}}}}'
    const { set, problems } = readFlags(text, 'f')
    t.strictSame(problems, [])
    t.strictSame(set!.metadata, { flagSetId: 's', owner: 'a@example.com' })
    const one = set!.flags.one!
    t.strictSame(one.definition, {
      state: 'ENABLED',
      variants: { on: { policy: 'p@1' } },
      defaultVariant: 'on',
      targeting: { if: [{ '==': [{ var: 'r' }, 'x'] }, 'on', null] },
      metadata: {
        flagSetId: 's',
        owner: 'b@example.com',
        layer: 'rollout',
        class: 'training',
        expires: '2027-02-01T01:00:00+01:00',
      },
    })
    t.match(one, { layer: 'rollout', class: 'training', owner: 'b@example.com', expires: Date.UTC(2027, 1, 1) })
    t.strictSame(one.meanings, { on: { kind: 'policy', policy: 'p@1' } })
    t.strictSame(readFlags(`${text} # in YAML`, 'f').set, set)
    const { flags, ...rest } = JSON.parse(text)
    const reordered = { flags: [{ key: 'one', ...Object.fromEntries(Object.entries(flags.one).reverse()) }], ...rest }
    t.strictSame(readFlags(JSON.stringify(reordered, null, 2), 'f').set, set, 'the order of fields changes no hash')
    for (const wrong of [text.replace('"rollout"', '"x"'), `${text.replace('"rollout"', '"x"')} #`])
      t.match(readFlags(wrong, 'f').problems, [{ code: 'flag/unknown-layer', path: 'f', line: 2, column: 180 }])
  },
)

t.test('places of JSON are those that YAML gives', async (t) => {
  const value = fc.jsonValue({ maxDepth: 4 })
  fc.assert(
    fc.property(fc.dictionary(fc.string(), value, { minKeys: 1 }), fc.nat(3), (flags, indent) => {
      fc.pre(!JSON.stringify(flags).includes('__proto__'))
      const text = JSON.stringify({ flags }, null, indent)
      const json = readFlags(text, 'f').problems
      // The comment makes it YAML; what JSON escapes, YAML may see otherwise, but at the same place.
      const yaml = readFlags(`${text} # YAML`, 'f').problems
      t.strictSame(json.map(problemText), yaml.map(problemText))
      return json.length > 0
    }),
    { numRuns: 100, seed: 7 },
  )
})

t.test('several files of a source are one set, and a key that two of them have names both places', async (t) => {
  const file = (path: string, key: string, version: string) => ({
    path,
    text: JSON.stringify({ flags: { [key]: { state: 'ENABLED', variants: { a: 1 } } }, metadata: { version } }),
  })
  const both = readFlagFiles([file('a.json', 'one', '1'), file('b.json', 'two', '1')])
  t.strictSame(Object.keys(both.set!.flags), ['one', 'two'])
  t.strictSame(both.problems, [])
  const differing = readFlagFiles([file('a.json', 'one', '1'), file('b.json', 'two', '2')])
  t.equal(differing.set?.metadata.version, '1')
  t.match(differing.problems, [{ code: 'flags/metadata-differs', severity: 'warning', path: 'b.json' }])
  const twice = readFlagFiles([file('a.json', 'one', '1'), file('b.json', 'one', '1')])
  t.equal(twice.set, null)
  t.match(twice.problems, [
    { code: 'flag/twice', path: 'b.json', line: 1, column: 11, message: /stands at a\.json:1:11/ },
  ])
  t.match(readFlagFiles(Array(1_001).fill(file('a', 'b', 'c'))), { set: null, problems: [{ code: 'flags/too-many' }] })
})

t.test('a list of constants may be long, for it costs little', async (t) => {
  const tenants = Array.from({ length: 5_000 }, (_, index) => `tenant-${index}`)
  const definition = naming({ if: [{ in: [{ var: 'tenant' }, tenants] }, 'a', null] }, 'a')
  const { set, problems } = readFlags(JSON.stringify({ flags: { f: definition } }), 'f')
  t.strictSame(problems, [])
  const evaluate = createFlagCompiler().compile(set!.flags.f!)
  t.equal(evaluate({ tenant: 'tenant-4999' }, 0).variant, 'a')
  t.equal(evaluate({ tenant: 'tenant-5000' }, 0).reason, 'DEFAULT')
  for (const [item, isIn] of [
    [0, true],
    [-0, true],
    ['0', false],
    [null, true],
    [undefined, true],
    [true, false],
    [{}, false],
  ] as const)
    t.equal(
      run(naming({ if: [{ in: [{ var: 'x' }, [0, null, 'x']] }, 'a', null] }, 'a'), { x: item }).variant === 'a',
      isIn,
      `${item}`,
    )
})

t.test('a set has so many flags, and so many problems are told', async (t) => {
  const many = (count: number, flag: string): string =>
    `{"flags":{${Array.from({ length: count }, (_, index) => `"f${index}":${flag}`).join()}}}`
  t.match(readFlags(many(FLAGS_MAX + 1, '{"state":"ENABLED","variants":{"a":1}}'), 'f'), {
    set: null,
    problems: [{ code: 'flags/too-many' }],
  })
  const { set, problems } = readFlags(many(500, '{}'), 'f')
  t.equal(set, null)
  t.strictSame([problems.length, problems.at(-1)?.message], [101, '900 more problems'])
  const warned = many(300, '{"state":"ENABLED","variants":{"a":1},"x":1}')
  t.equal(Object.keys(readFlags(warned, 'f').set!.flags).length, 300, 'warnings refuse nothing')
  const last = warned.replace(/}}$/, ',"last":{}}}')
  t.equal(readFlags(last, 'f').set, null, 'an error behind more warnings than are told does')
})

t.test('variants mean what a policy, an action or an overlay is', async (t) => {
  for (const [value, meaning] of FLAG_MEANINGS) {
    const told: string[] = []
    t.strictSame(
      meaningOf(value, 'incident', 'training', (_, { message }) => told.push(message)),
      meaning,
      JSON.stringify(value),
    )
    t.strictSame(told, [])
  }
})

t.test(
  'a flag without a layer says nothing of routing, and words of others in its metadata are no errors',
  async (t) => {
    const text = JSON.stringify({
      flags: {
        'new-checkout': {
          state: 'ENABLED',
          variants: { on: true, off: false },
          metadata: { class: 5, expires: 'never' },
        },
      },
    })
    const { set, problems } = readFlags(text, 'f')
    t.strictSame(set!.flags['new-checkout']!.meanings, {})
    t.strictSame([set!.flags['new-checkout']!.layer, set!.flags['new-checkout']!.expires], [undefined, undefined])
    t.strictSame(
      problems.map(({ code, severity }) => `${severity} ${code}`),
      ['warning flag/metadata', 'warning flag/metadata'],
    )
  },
)
